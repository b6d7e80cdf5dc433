"""Errors of read-outs on samples known only by their statistics."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from probes.statistics import RegressionStatistics


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
        target_scatter: Float[Tensor, "variant target_site target"],
        count: Float[Tensor, " variant"],
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
