"""How often the verdict is right, measured on models whose algorithm is known.

`grid` lists cells, `run` computes one (with `models`), `calibration` runs all and joins their
results into tables, `counts` counts these, and `figures`, `tables` and `page` show what was found.
"""
