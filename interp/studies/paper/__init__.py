"""The figures and the table of Fu et al. 2024, computed again with the published numbers beside.

`rows` lists the figures, `models` opens the models that they are about, `reproduction.reproduce`
computes them with the functions of `figures`, each of whose claims a rule decides (`claims`).
"""
