"""Streaming sufficient statistics of linear regressions from many sites onto many targets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class RegressionStatistics:
    """All that a ridge regression needs of its samples, group by group, in float64.

    Moments are kept about each group's own mean, so a mean that is large beside the spread costs
    no more digits than rounding that mean does. The axis `target_site` has length 1 where all
    sites share their targets.
    """

    count: Float[Tensor, " group"]
    """Samples in each group, or the sum of their weights."""

    feature_mean: Float[Tensor, "group site d"]

    target_mean: Float[Tensor, "group target_site target"]

    feature_scatter: Float[Tensor, "group site d d"]
    """Sum of (h - mean)(h - mean)^T."""

    cross_scatter: Float[Tensor, "group site d target"]
    """Sum of (h - mean)(t - mean)^T."""

    target_scatter: Float[Tensor, "group target_site target"]
    """Sum of (t - mean)^2, one target at a time."""

    @classmethod
    def empty(
        cls,
        n_sites: int,
        d_features: int,
        n_targets: int,
        *,
        n_groups: int = 1,
        targets_per_site: bool = False,
        device: torch.device | str | None = None,
    ) -> RegressionStatistics:
        """Statistics of no sample at all.

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
        target_sites = n_sites if targets_per_site else 1

        def zeros(*shape: int) -> Tensor:
            return torch.zeros(n_groups, *shape, dtype=torch.float64, device=device)

        return cls(
            count=zeros(),
            feature_mean=zeros(n_sites, d_features),
            target_mean=zeros(target_sites, n_targets),
            feature_scatter=zeros(n_sites, d_features, d_features),
            cross_scatter=zeros(n_sites, d_features, n_targets),
            target_scatter=zeros(target_sites, n_targets),
        )

    @property
    def n_groups(self) -> int:
        return self.count.shape[0]

    @property
    def n_sites(self) -> int:
        return self.feature_mean.shape[1]

    @property
    def n_targets(self) -> int:
        return self.target_mean.shape[2]

    def check_samples(self) -> None:
        """Raises ValueError where there is no sample in any group."""
        if float(self.count.sum()) <= 0:
            raise ValueError("there are no samples to fit or score: call update() first")

    def merge(self, other: RegressionStatistics) -> RegressionStatistics:
        """Statistics of both sets of samples together, group by group.

        Raises:
            ValueError: The two differ in groups, sites, features or targets.
        """
        if self._sizes != other._sizes:
            raise ValueError(
                "statistics to merge must agree in (groups, sites, features, target sites, "
                f"targets), got {self._sizes} and {other._sizes}"
            )
        merged = RegressionStatistics(*(field.clone() for field in self._fields))
        for group in range(self.n_groups):
            merged._absorb(group, other, group)
        return merged

    def resample(self, weights: Float[Tensor, "replicate group"]) -> RegressionStatistics:
        """Statistics of the samples weighted by group: one replicate a row, in the group axis.

        Rows of counts drawn with replacement give a bootstrap, rows of ones with a zero a
        jackknife, rows of zeros and ones a split into training and held-out groups.

        Raises:
            ValueError: `weights` has another number of groups, is negative or not finite, or has
                a row that leaves no sample.
        """
        if weights.shape[1] != self.n_groups:
            raise ValueError(
                f"weights must be [replicate, {self.n_groups} groups], got {tuple(weights.shape)}"
            )
        weights = weights.to(self.count)
        if not bool((weights.isfinite() & (weights >= 0)).all()):
            raise ValueError("weights must be finite and at least 0")
        sample_weights = weights * self.count
        count = sample_weights.sum(dim=1)
        if bool((count <= 0).any()):
            row = int((count <= 0).nonzero()[0])
            raise ValueError(f"weights row {row} leaves no sample")

        feature_centre, feature_offset = self._offsets(self.feature_mean)
        target_centre, target_offset = self._offsets(self.target_mean)
        n_samples, replicate_count = self.count[:, None, None], count[:, None, None]
        feature_shift = _sum_groups(sample_weights, feature_offset) / replicate_count
        target_shift = _sum_groups(sample_weights, target_offset) / replicate_count

        def total(scatter: Tensor, left: Tensor, right: Tensor) -> Tensor:
            return _sum_groups(weights, scatter + _outer(left * n_samples, right))

        target_second = self.target_scatter + n_samples * target_offset**2
        return RegressionStatistics(
            count=count,
            feature_mean=feature_centre + feature_shift,
            target_mean=target_centre + target_shift,
            feature_scatter=total(self.feature_scatter, feature_offset, feature_offset)
            - _outer(feature_shift * replicate_count, feature_shift),
            cross_scatter=total(self.cross_scatter, feature_offset, target_offset)
            - _outer(feature_shift * replicate_count, target_shift),
            target_scatter=(
                _sum_groups(weights, target_second) - replicate_count * target_shift**2
            ).clamp_min(0.0),
        )

    def pooled(self) -> RegressionStatistics:
        """Statistics of all groups together, as one group."""
        if self.n_groups == 1:
            return self
        pooled = RegressionStatistics(*(field[:1].clone() for field in self._fields))
        for group in range(1, self.n_groups):
            pooled._absorb(0, self, group)
        return pooled

    def select_groups(self, groups: Sequence[int]) -> RegressionStatistics:
        """Statistics of some of the groups, each still on its own."""
        index = torch.as_tensor(list(groups), dtype=torch.long, device=self.count.device)
        return RegressionStatistics(*(field[index] for field in self._fields))

    def site(self, index: int) -> RegressionStatistics:
        """Statistics of one site, without a copy."""
        site = slice(index, index + 1)
        target_site = site if self.target_mean.shape[1] > 1 else slice(None)
        return replace(
            self,
            feature_mean=self.feature_mean[:, site],
            target_mean=self.target_mean[:, target_site],
            feature_scatter=self.feature_scatter[:, site],
            cross_scatter=self.cross_scatter[:, site],
            target_scatter=self.target_scatter[:, target_site],
        )

    def targets_only(self) -> RegressionStatistics:
        """The same samples without features, for what needs only the targets' variance."""
        return replace(
            self,
            feature_mean=self.feature_mean[..., :0],
            feature_scatter=self.feature_scatter[..., :0, :0],
            cross_scatter=self.cross_scatter[..., :0, :],
        )

    def _absorb(self, group: int, other: RegressionStatistics, other_group: int) -> None:
        """Adds one group of another to one group, in place (Chan, Golub and LeVeque 1979)."""
        before, added = self.count[group].clone(), other.count[other_group]
        if float(added) == 0:
            return
        share = added / (before + added)
        feature_shift = other.feature_mean[other_group] - self.feature_mean[group]
        target_shift = other.target_mean[other_group] - self.target_mean[group]
        self.feature_scatter[group] += other.feature_scatter[other_group]
        self.cross_scatter[group] += other.cross_scatter[other_group]
        self.target_scatter[group] += other.target_scatter[other_group]
        if float(before) > 0:
            scaled_shift = feature_shift * (before * share)
            self.feature_scatter[group] += _outer(scaled_shift, feature_shift)
            self.cross_scatter[group] += _outer(scaled_shift, target_shift)
            self.target_scatter[group] += before * share * target_shift**2
        self.feature_mean[group] += feature_shift * share
        self.target_mean[group] += target_shift * share
        self.count[group] += added

    def _offsets(
        self, means: Float[Tensor, "group site column"]
    ) -> tuple[Float[Tensor, "site column"], Float[Tensor, "group site column"]]:
        """The mean over all samples and each group's distance from it; exactly 0 for constants."""
        origin = means[int(self.count.argmax())]
        offsets = means - origin
        centre = torch.einsum("g,gsc->sc", self.count / self.count.sum(), offsets)
        return origin + centre, offsets - centre

    @property
    def _fields(self) -> tuple[Tensor, ...]:
        return tuple(getattr(self, field.name) for field in fields(self))

    @property
    def _sizes(self) -> tuple[int, ...]:
        return (*self.feature_mean.shape, *self.target_mean.shape[1:])


def _sum_groups(
    weights: Float[Tensor, "replicate group"], values: Float[Tensor, " group *shape"]
) -> Float[Tensor, " replicate *shape"]:
    return (weights @ values.flatten(1)).reshape(len(weights), *values.shape[1:])


def _outer(
    left: Float[Tensor, "*batch d"], right: Float[Tensor, "*other target"]
) -> Float[Tensor, "*both d target"]:
    return left[..., :, None] * right[..., None, :]
