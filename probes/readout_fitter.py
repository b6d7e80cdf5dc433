"""Read-outs fitted, chosen and scored on streaming statistics."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from probes.accumulation import accumulate
from probes.readout import Readout, Readouts
from probes.ridge import (
    RidgeStrengths,
    ValidationError,
    check_ridge,
    check_strengths,
    relative_strengths,
    solve_groups,
    solve_strengths,
    sum_squared_errors,
)
from probes.statistics import RegressionStatistics


class ReadoutFitter:
    """Fits read-outs of many targets from many sites on one pass over the samples.

    Only sufficient statistics are kept, so memory does not grow with the samples, shards merge,
    and bootstrap replicates over groups of samples need no second pass.
    """

    statistics: RegressionStatistics
    """Moments of all samples seen so far; updated in place."""

    def __init__(
        self,
        n_sites: int,
        d_features: int,
        n_targets: int,
        *,
        n_groups: int = 1,
        targets_per_site: bool = False,
        device: torch.device | str | None = None,
    ) -> None:
        """Starts with no samples; `RegressionStatistics.empty` explains the arguments."""
        self.statistics = RegressionStatistics.empty(
            n_sites,
            d_features,
            n_targets,
            n_groups=n_groups,
            targets_per_site=targets_per_site,
            device=device,
        )

    @classmethod
    def from_statistics(cls, statistics: RegressionStatistics) -> ReadoutFitter:
        """A fitter that has seen what the statistics describe; later updates change them too."""
        fitter = cls.__new__(cls)
        fitter.statistics = statistics
        return fitter

    @torch.no_grad()
    def update(
        self,
        features: Float[Tensor, "site sample d"],
        targets: Float[Tensor, "sample target"] | Float[Tensor, "site sample target"],
        groups: Int[Tensor, " sample"] | None = None,
    ) -> ReadoutFitter:
        """Adds samples; see `probes.accumulation.accumulate` for the arguments and errors."""
        accumulate(self.statistics, features, targets, groups)
        return self

    def merge(self, other: ReadoutFitter) -> ReadoutFitter:
        """Adds the samples another fitter of the same sizes has seen."""
        self.statistics = self.statistics.merge(other.statistics)
        return self

    def solve(self, ridge_strengths: RidgeStrengths) -> Readouts:
        """Read-outs for every ridge strength, from one eigendecomposition a site.

        Minimises ||t - H w - b||^2 + strength ||w||^2, b unpenalised: scikit-learn's `Ridge`.
        `probes.ridge.rank_threshold` says what becomes of directions without variance.

        Raises:
            ValueError: No samples yet, or a strength that is negative or not finite.
        """
        strengths = check_strengths(ridge_strengths, self.statistics)
        weight, bias = solve_strengths(self.statistics, strengths)
        return Readouts(weight, bias, strengths[:, :, None].expand_as(bias))

    def select(
        self,
        held_out: RegressionStatistics,
        ridge_strengths: RidgeStrengths | None = None,
        *,
        per_target: bool = False,
    ) -> Readout:
        """The read-outs whose ridge strength does best on held-out samples.

        Args:
            held_out: Statistics of samples this fitter has not seen.
            ridge_strengths: Strengths to choose from, for all sites or for each; by default
                `probes.ridge.RELATIVE_STRENGTHS` times the site's mean scatter eigenvalue.
            per_target: Choose for every target; otherwise for each site, by mean R^2.

        Raises:
            ValueError: As `solve` and `validation_error`.
        """
        if ridge_strengths is None:
            ridge_strengths = relative_strengths(self.statistics)
        readouts = self.solve(ridge_strengths)
        return readouts.select(validation_error(readouts, held_out).best(per_target=per_target))

    def resample(
        self, weights: Float[Tensor, "replicate group"], ridge: Float[Tensor, "site target"] | float
    ) -> Readouts:
        """Read-outs refitted with every group weighted, one variant a row of weights.

        Args:
            weights: How often each group counts, as `probes.uncertainty.bootstrap_weights` draws.
            ridge: Ridge strength, such as the `Readout.ridge` of the fit on all samples.

        Raises:
            ValueError: Weights or strengths that are negative, not finite or of another shape.
        """
        replicates = self.statistics.resample(weights)
        ridge = check_ridge(ridge, replicates)
        weight, bias = solve_groups(replicates, ridge)
        return Readouts(weight, bias, ridge.expand_as(bias))


def validation_error(
    readouts: Readouts | Readout, held_out: RegressionStatistics
) -> ValidationError:
    """Errors of read-outs on held-out samples, from their statistics alone.

    A single read-out gives a variant axis of length 1.

    Raises:
        ValueError: No held-out samples, or sites, features or targets that do not fit.
    """
    held_out.check_samples()
    pooled = held_out.pooled()
    variants = [readouts] if isinstance(readouts, Readout) else list(readouts)
    sums = torch.cat([sum_squared_errors(r.weight, r.bias, pooled) for r in variants])
    return ValidationError.from_sums(sums, pooled.target_scatter, pooled.count)


def resampled_error(
    readout: Readout, held_out: RegressionStatistics, weights: Float[Tensor, "replicate group"]
) -> ValidationError:
    """Errors of one read-out on held-out groups weighted anew, one variant a row of weights.

    Raises:
        ValueError: As `validation_error`, or weights that do not fit the groups.
    """
    held_out.check_samples()
    sums = sum_squared_errors(readout.weight, readout.bias, held_out)
    targets = held_out.targets_only().resample(weights)
    totals = (weights.to(sums) @ sums.flatten(1)).reshape(len(weights), *sums.shape[1:])
    return ValidationError.from_sums(totals, targets.target_scatter, targets.count)
