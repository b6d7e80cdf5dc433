"""Ridge regression solved and scored in closed form, from statistics.

Every site, target and strength at once. With the scatter S of the features, the cross scatter C
and the means m_h, m_t of n samples, the map h -> W^T h + b of strength s is

    W = (S + s I)^-1 C,    b = m_t - W^T m_h,

and its sum of squared errors on samples of other statistics, with T the scatter of the targets,

    diag(T + W^T S W - 2 W^T C) + n (m_t - W^T m_h - b)^2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from probes.statistics import RegressionStatistics

RELATIVE_STRENGTHS: tuple[float, ...] = (1e-12, 1e-10, 1e-8, 1e-6, 1e-4, 1e-2, 1e-1, 1.0)
"""Ridge strengths tried by default, relative to the mean eigenvalue of a site's scatter."""

EIGENVALUE_TOLERANCE = 8 * torch.finfo(torch.float64).eps
"""Per feature: see `rank_threshold`."""

RidgeStrengths = Sequence[float] | Float[Tensor, " strength"] | Float[Tensor, "strength site"]
"""Strengths for all sites, or for each."""


def relative_strengths(
    statistics: RegressionStatistics, relative: Sequence[float] = RELATIVE_STRENGTHS
) -> Float[Tensor, "strength site"]:
    """Ridge strengths in units of each site's mean scatter eigenvalue.

    A site without any variance gets the strengths themselves.
    """
    scatter = statistics.pooled().feature_scatter[0]
    scale = scatter.diagonal(dim1=1, dim2=2).mean(dim=1)
    scale = torch.where(scale > 0, scale, 1.0)
    return torch.tensor(list(relative), dtype=torch.float64, device=scale.device)[:, None] * scale


def rank_threshold(eigenvalues: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch 1"]:
    """Eigenvalues of a scatter matrix at most this large count as zero: 8 d eps times the largest.

    Directions below it vary by less than about 3e-7 of the widest one (at d = 64), which is no
    more than the rounding of the scatter matrix and of float32 activations. They get weight exactly
    0 at every ridge strength, so constant and duplicated features do no harm and strength 0 gives
    the minimum-norm solution. scikit-learn's `Ridge` fits the rounding in such directions: the two
    agree wherever the strength is well above the threshold or no eigenvalue is below it.

    Args:
        eigenvalues: In ascending order.
    """
    return EIGENVALUE_TOLERANCE * eigenvalues.shape[-1] * eigenvalues[..., -1:].clamp_min(0.0)


def solve_strengths(
    statistics: RegressionStatistics, strengths: Float[Tensor, "strength site"]
) -> tuple[Float[Tensor, "strength site d target"], Float[Tensor, "strength site target"]]:
    """Weights and biases of the pooled samples at every strength, one `eigh` a site.

    Raises:
        ValueError: There are no samples.
    """
    statistics.check_samples()
    pooled = statistics.pooled()
    eigenvalues, basis = torch.linalg.eigh(pooled.feature_scatter[0])
    inverse = _filter(eigenvalues, strengths[:, :, None])
    weight = basis @ (inverse[..., None] * (basis.mT @ pooled.cross_scatter[0]))
    return weight, _bias(weight, pooled)


def solve_groups(
    statistics: RegressionStatistics, strengths: Float[Tensor, "site target"]
) -> tuple[Float[Tensor, "group site d target"], Float[Tensor, "group site target"]]:
    """Weights and biases of every group by itself, by batched Cholesky where that is safe.

    It is where a site has one strength for all targets and that lifts the smallest eigenvalue
    above `rank_threshold`; elsewhere an `eigh` a group gives what `solve_strengths` would.
    """
    scatter, cross = statistics.feature_scatter, statistics.cross_scatter
    site_strength = strengths[:, 0]
    largest = scatter.diagonal(dim1=2, dim2=3).sum(dim=2)
    threshold = EIGENVALUE_TOLERANCE * scatter.shape[-1] * largest
    is_shared = bool((strengths == site_strength[:, None]).all())
    if is_shared and bool((site_strength > threshold).all()):
        penalised = scatter.clone()
        penalised.diagonal(dim1=2, dim2=3).add_(site_strength[:, None])
        weight = torch.cholesky_solve(cross, torch.linalg.cholesky(penalised))
    else:
        eigenvalues, basis = torch.linalg.eigh(scatter)
        inverse = _filter(eigenvalues[..., None, :], strengths[..., None]).mT
        weight = basis @ (inverse * (basis.mT @ cross))
    return weight, _bias(weight, statistics)


def check_strengths(
    ridge_strengths: RidgeStrengths, statistics: RegressionStatistics
) -> Float[Tensor, "strength site"]:
    """Strengths of every site, on the statistics' device.

    Raises:
        ValueError: A strength is negative or not finite, or the shape does not fit.
    """
    strengths = torch.as_tensor(
        ridge_strengths, dtype=torch.float64, device=statistics.count.device
    )
    if strengths.ndim == 1:
        strengths = strengths[:, None].expand(-1, statistics.n_sites)
    if strengths.ndim != 2 or strengths.shape[1] != statistics.n_sites or not len(strengths):
        raise ValueError(
            f"ridge_strengths must be [strength] or [strength, {statistics.n_sites} sites], "
            f"got {list(strengths.shape)}"
        )
    if not bool((strengths.isfinite() & (strengths >= 0)).all()):
        raise ValueError(f"ridge_strengths must be finite and at least 0, got {ridge_strengths}")
    return strengths


def check_ridge(
    ridge: Float[Tensor, "site target"] | float, statistics: RegressionStatistics
) -> Float[Tensor, "site target"]:
    """One strength for every site and target, on the statistics' device.

    Raises:
        ValueError: It is negative or not finite, or its shape does not fit.
    """
    shape = (statistics.n_sites, statistics.n_targets)
    ridge = torch.as_tensor(ridge, dtype=torch.float64, device=statistics.count.device)
    if ridge.shape not in ((), shape):
        raise ValueError(
            f"ridge must be a number or [{shape[0]} sites, {shape[1]} targets], "
            f"got {list(ridge.shape)}"
        )
    if not bool((ridge.isfinite() & (ridge >= 0)).all()):
        raise ValueError("ridge must be finite and at least 0")
    return ridge.expand(shape)


def _filter(
    eigenvalues: Float[Tensor, "*shape d"], strengths: Float[Tensor, "*other 1"]
) -> Float[Tensor, "*broadcast d"]:
    """1 / (eigenvalue + strength), and 0 for directions without variance."""
    alive = eigenvalues > rank_threshold(eigenvalues)
    return torch.where(alive, 1 / torch.where(alive, eigenvalues + strengths, 1.0), 0.0)


def _bias(
    weight: Float[Tensor, "variant site d target"], statistics: RegressionStatistics
) -> Float[Tensor, "variant site target"]:
    explained = (statistics.feature_mean[..., None, :] @ weight)[..., 0, :]
    return statistics.target_mean - explained


@dataclass(frozen=True)
class ValidationError:
    """Errors of read-outs on samples they were not fitted on."""

    mse: Float[Tensor, "variant site target"]
    """Mean squared error; digits below 1e-16 of the target's variance are lost."""

    r2: Float[Tensor, "variant site target"]
    """1 - mse / variance of the target there; for a constant target 1 if exact, else 0."""

    @classmethod
    def from_sums(
        cls,
        squared_errors: Float[Tensor, "variant site target"],
        target_scatter: Float[Tensor, "#variant target_site target"],
        count: Float[Tensor, "#variant"],
    ) -> ValidationError:
        """Errors from sums over samples of squared errors and squared target deviations."""
        mse = squared_errors / count[:, None, None]
        scatter = target_scatter.expand_as(mse)
        exact = (squared_errors == 0).to(mse)
        return cls(mse, torch.where(scatter > 0, 1 - squared_errors / scatter, exact))

    def best(self, *, per_target: bool = False) -> Int[Tensor, "site target"]:
        """The variant with the highest R^2 at each site: on average over targets, or for each."""
        r2 = self.r2 if per_target else self.r2.mean(dim=2, keepdim=True)
        return r2.argmax(dim=0).expand(self.r2.shape[1:])


def sum_squared_errors(
    weight: Float[Tensor, "site d target"],
    bias: Float[Tensor, "site target"],
    statistics: RegressionStatistics,
) -> Float[Tensor, "group site target"]:
    """Sums of squared errors of an affine map over the samples of every group.

    Raises:
        ValueError: Sites, features or targets that do not fit the map.
    """
    expected = (*statistics.feature_mean.shape[1:], statistics.n_targets)
    if tuple(weight.shape) != expected:
        raise ValueError(
            f"the read-out is for {list(weight.shape)} (site, feature, target), "
            f"the statistics for {list(expected)}"
        )
    predicted_mean = torch.einsum("gsd,sdt->gst", statistics.feature_mean, weight) + bias
    quadratic = statistics.feature_scatter @ weight - 2 * statistics.cross_scatter
    within = statistics.target_scatter + (weight * quadratic).sum(dim=2)
    offset = statistics.target_mean - predicted_mean
    return within.clamp_min(0.0) + statistics.count[:, None, None] * offset**2
