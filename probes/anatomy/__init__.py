"""What a layer says, split into shares that need no list of candidate algorithms.

A layer's read-out of y is a function f of the examples (X, y) and the query q. An algorithm for
linear regression that treats examples alike and directions alike says

    p(X, y, q) = sum_j g(l_j) c_j (v_j . q),   X^T X = V diag(l) V^T,

with c_j the coefficients of least squares along v_j and a filter g. `transforms` makes prompts that
are as likely as the given ones; how much of f such a change leaves as it was bounds what any p can
explain. `free_filter` fits g without assuming an algorithm, and `shares` puts both together.
"""

from probes.anatomy.depth_law import DepthLaw, depth_law
from probes.anatomy.free_filter import FilterBasis, exponent, resolved_eigenvalue
from probes.anatomy.layer_sums import LayerSums
from probes.anatomy.mixture import Mixture
from probes.anatomy.shares import EQUIVALENCE, PARTS, Band, Shares
from probes.anatomy.transforms import KEPT, N_FACTORS, VARIANTS, draw_variants, kept_parts

__all__ = [
    "EQUIVALENCE",
    "KEPT",
    "N_FACTORS",
    "PARTS",
    "VARIANTS",
    "Band",
    "DepthLaw",
    "FilterBasis",
    "LayerSums",
    "Mixture",
    "Shares",
    "depth_law",
    "draw_variants",
    "exponent",
    "kept_parts",
    "resolved_eigenvalue",
]
