"""The figures and the table of Fu et al. 2024, computed again with the published numbers beside.

`catalogue` lists the rows, `reproducing` computes them, `writing` writes what came out.
"""
