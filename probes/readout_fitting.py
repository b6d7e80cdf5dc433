"""Read-outs fitted, chosen and scored in closed form on streaming statistics."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from probes.accumulation import accumulate
from probes.readout import Readout, Readouts
from probes.ridge import (
    RidgeStrengths,
    check_strengths,
    relative_strengths,
    solve_groups,
    solve_strengths,
)
from probes.statistics import RegressionStatistics
from probes.validation import ValidationError, sum_squared_errors


class ReadoutFitter:
    """Fits read-outs of many targets from many sites on one pass over the samples.

    Only sufficient statistics are kept, so memory does not grow with the samples, shards merge,
    and bootstrap replicates over groups of samples need no second pass.
    """

    statistics: RegressionStatistics
    """Moments of everything seen so far; updated in place."""

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
        """Starts with no samples.

        Args:
            n_sites: Sites, each with its own read-outs.
            d_features: Width of the activations.
            n_targets: Targets, regressed independently.
            n_groups: Groups whose statistics are kept apart, for `resample` and cross-validation.
                Memory is proportional to it.
            targets_per_site: Whether every site has targets of its own.
            device: Where the statistics live.

        Raises:
            ValueError: A count is below 1.
        """
        for name, value in (
            ("n_sites", n_sites),
            ("d_features", d_features),
            ("n_targets", n_targets),
            ("n_groups", n_groups),
        ):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
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
        _check_samples(self.statistics.count.sum())
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
            weights: How often each group counts, as `probes.controls.bootstrap_weights` draws.
            ridge: Ridge strength, such as the `Readout.ridge` of the fit on all samples.

        Raises:
            ValueError: Weights or strengths that are negative, not finite or of another shape.
        """
        replicates = self.statistics.resample(weights)
        n_sites, n_targets = replicates.n_sites, replicates.n_targets
        ridge = torch.as_tensor(ridge, dtype=torch.float64, device=weights.device)
        if ridge.ndim not in (0, 2) or ridge.shape not in ((), (n_sites, n_targets)):
            raise ValueError(
                f"ridge must be a number or [{n_sites} sites, {n_targets} targets], "
                f"got {list(ridge.shape)}"
            )
        if not bool((ridge.isfinite() & (ridge >= 0)).all()):
            raise ValueError("ridge must be finite and at least 0")
        weight, bias = solve_groups(replicates, ridge.expand(n_sites, n_targets))
        return Readouts(weight, bias, ridge.expand_as(bias))


def validation_error(
    readouts: Readouts | Readout, held_out: RegressionStatistics
) -> ValidationError:
    """Errors of read-outs on held-out samples, from their statistics alone.

    A single read-out gives a variant axis of length 1.

    Raises:
        ValueError: No held-out samples, or sites, features or targets that do not fit.
    """
    _check_samples(held_out.count.sum())
    pooled = held_out.pooled()
    variants = [readouts] if isinstance(readouts, Readout) else list(readouts)
    sums = [sum_squared_errors(readout.weight, readout.bias, pooled) for readout in variants]
    n_variants = len(variants)
    return ValidationError.from_sums(
        torch.cat(sums),
        pooled.target_scatter.expand(n_variants, -1, -1),
        pooled.count.expand(n_variants),
    )


def resampled_error(
    readout: Readout, held_out: RegressionStatistics, weights: Float[Tensor, "replicate group"]
) -> ValidationError:
    """Errors of one read-out on held-out groups weighted anew, one variant a row of weights.

    Raises:
        ValueError: As `validation_error`, or weights that do not fit the groups.
    """
    _check_samples(held_out.count.sum())
    sums = sum_squared_errors(readout.weight, readout.bias, held_out)
    targets = held_out.targets_only().resample(weights)
    totals = (weights.to(sums) @ sums.flatten(1)).reshape(len(weights), *sums.shape[1:])
    return ValidationError.from_sums(totals, targets.target_scatter, targets.count)


def _check_samples(count: Float[Tensor, ""]) -> None:
    if float(count) <= 0:
        raise ValueError("there are no samples to fit or score: call update() first")
