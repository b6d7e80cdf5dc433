"""How fast the errors of layers approach those of least squares."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from hooks.sites import Site
from interp.analyses.scores import Scores
from probes.controls.bootstrap import interval
from probes.convergence import convergence_order

CONVERGED = 0.01
"""A layer has converged once its excess over OLS is below this share of the first layer's."""


def orders(scores: Scores, sites: Sequence[Site]) -> Float[Tensor, "kind estimate"]:
    """Order of convergence over the layers of each kind of site: value, low and high.

    Errors are averaged over points; what counts is their excess over that of OLS on the same
    prompts, layer by layer up to the first that has converged. See `probes.convergence`.

    Returns:
        A row for each kind, in order of appearance. NaN where too few layers lie above
        convergence or, as an interval, where they do not in every bootstrap replicate.
    """
    ols = scores.reference_error["ols"].mean((1, 2))  # it has one step
    excess = scores.layer_error.mean(-1) - ols[:, None]
    kinds = [site.kind for site in sites]
    rows = [
        _order(excess[:, [index for index, other in enumerate(kinds) if other == kind]], scores)
        for kind in dict.fromkeys(kinds)
    ]
    return torch.stack(rows)


def _order(excess: Float[Tensor, "replicate layer"], scores: Scores) -> Float[Tensor, " estimate"]:
    has_converged = excess[0] <= CONVERGED * excess[0, 0].clamp(min=0)
    n_layers = int(has_converged.nonzero()[0]) if has_converged.any() else len(has_converged)
    order = convergence_order(excess[:, :n_layers])
    bounds = torch.full((2,), torch.nan, dtype=order.dtype)
    if order.isfinite().all():
        bounds = interval(order[1:], n_groups=scores.n_groups)
    return torch.cat([order[:1], bounds])
