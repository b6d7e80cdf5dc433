"""Read-outs that are exact on the samples where a layer has converged."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from probes.readout import Readout

N_ROUNDS = 14
"""Reweightings."""
FIRST_WIDTH = 0.3
"""Of the weights' tails, in root mean squares of the targets; halved at every round."""
LAST_WIDTH = 1e-6
"""Where the halving ends, near what float32 activations resolve."""
RIDGE = 1e-12
"""Of the mean eigenvalue, so that directions which never vary do no harm."""


def fit_converged_readout(
    features: Float[Tensor, "site sample d"], targets: Float[Tensor, " sample"]
) -> Readout:
    """The affine read-out that is most exact on the samples where the layer holds the target.

    Least squares gives most weight to the samples on which a layer is still far off, and shrinks
    or stretches all others to fit them, so that converged samples seem not to have converged. This
    minimises the sum of log(error^2 + width^2) with a falling width instead, by iterated
    reweighting (a redescending M-estimator; Holland and Welsch 1977), so that samples on which the
    layer already holds the target decide, and the rest keep their errors. Where no sample has
    converged it is a robust regression, and no worse than least squares in its scale.

    Args:
        features: Activations.
        targets: What the layers converge to.

    Raises:
        ValueError: Values that are not finite, or fewer samples than unknowns.
    """
    n_sites, n_samples, d_features = features.shape
    if n_samples <= d_features + 1:
        raise ValueError(
            f"features must have more samples than the {d_features + 1} unknowns, got {n_samples}"
        )
    for name, values in (("features", features), ("targets", targets)):
        if not bool(values.isfinite().all()):
            raise ValueError(f"{name} hold values that are not finite")
    inputs, mean, spread = _standardised(features.double())
    goal = targets.double()
    scale = goal.square().mean().sqrt().clamp(min=1e-300)
    weights = torch.ones(n_sites, n_samples, dtype=torch.float64, device=inputs.device)
    solution = inputs.new_zeros(n_sites, inputs.shape[-1])
    for index in range(N_ROUNDS + 1):
        solution = _solve(inputs, goal, weights)
        errors = (inputs @ solution[..., None])[..., 0] - goal
        width = max(FIRST_WIDTH * 2.0**-index, LAST_WIDTH) * scale
        weights = 1 / (errors.square() + width.square())
    weight = solution[:, :-1] / spread
    bias = solution[:, -1] - (weight * mean).sum(-1)
    return Readout(weight[..., None], bias[:, None], torch.zeros_like(bias)[:, None])


def _standardised(
    features: Float[Tensor, "site sample d"],
) -> tuple[Float[Tensor, "site sample input"], Float[Tensor, "site d"], Float[Tensor, "site d"]]:
    """Features of mean 0 and spread 1 with a column of ones, their means and their spreads."""
    mean = features.mean(1)
    centred = features - mean[:, None]
    spread = centred.square().mean(1).sqrt()
    spread = torch.where(spread > 0, spread, 1.0)
    ones = torch.ones_like(features[..., :1])
    return torch.cat([centred / spread[:, None], ones], -1), mean, spread


def _solve(
    inputs: Float[Tensor, "site sample input"],
    goal: Float[Tensor, " sample"],
    weights: Float[Tensor, "site sample"],
) -> Float[Tensor, "site input"]:
    weighted = inputs * (weights / weights.mean(1, keepdim=True))[..., None]
    gram = weighted.mT @ inputs
    size = gram.diagonal(dim1=-2, dim2=-1).mean(-1)
    gram = gram + (RIDGE * size)[:, None, None] * torch.eye(inputs.shape[-1]).to(gram)
    return torch.linalg.solve(gram, weighted.mT @ goal)
