"""Streaming sufficient statistics of linear regressions from many sites onto many targets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

SAMPLES_PER_CHUNK = 2048
"""Samples converted to float64 at once: enough for a full-speed product, little memory."""


class NonFiniteError(ValueError):
    """A NaN or an infinity among features or targets.

    Attributes:
        site: Index of the site it was found at; None for targets shared by the sites.
        sample: Index of the sample within the update.
    """

    def __init__(self, message: str, *, site: int | None, sample: int) -> None:
        super().__init__(message)
        self.site = site
        self.sample = sample


@dataclass(frozen=True)
class RegressionStatistics:
    """All that a ridge regression needs of its samples, group by group, in float64.

    Moments are kept about each group's own mean, so a mean that is large beside the spread costs
    no digits. The axis `target_site` has length 1 where all sites share their targets.
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
        """Statistics of no sample at all."""
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
            merged.absorb(group, *(field[group] for field in other._fields))
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

        shares = self.count / self.count.sum()
        feature_centre = torch.einsum("g,gsd->sd", shares, self.feature_mean)
        target_centre = torch.einsum("g,gst->st", shares, self.target_mean)
        feature_offset = self.feature_mean - feature_centre
        target_offset = self.target_mean - target_centre

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
            pooled.absorb(0, *(field[group] for field in self._fields))
        return pooled

    def select_groups(self, groups: Sequence[int]) -> RegressionStatistics:
        """Statistics of some of the groups, each still on its own."""
        index = torch.as_tensor(list(groups), dtype=torch.long, device=self.count.device)
        return RegressionStatistics(*(field[index] for field in self._fields))

    def absorb(
        self,
        group: int,
        count: Float[Tensor, ""],
        feature_mean: Float[Tensor, "site d"],
        target_mean: Float[Tensor, "target_site target"],
        feature_scatter: Float[Tensor, "site d d"] | None,
        cross_scatter: Float[Tensor, "site d target"] | None,
        target_scatter: Float[Tensor, "target_site target"],
    ) -> None:
        """Adds centred moments to one group, in place (Chan, Golub and LeVeque 1979).

        Scatters given as None are already in the group's, only the shift of mean is missing.
        """
        before, total = self.count[group].clone(), self.count[group] + count
        if float(total) == 0:
            return
        feature_shift = feature_mean - self.feature_mean[group]
        target_shift = target_mean - self.target_mean[group]
        share = count / total
        if feature_scatter is not None:
            self.feature_scatter[group] += feature_scatter
        if cross_scatter is not None:
            self.cross_scatter[group] += cross_scatter
        self.target_scatter[group] += target_scatter
        if float(before) > 0:
            scaled_shift = feature_shift * (before * share)
            self.feature_scatter[group] += _outer(scaled_shift, feature_shift)
            self.cross_scatter[group] += _outer(scaled_shift, target_shift)
            self.target_scatter[group] += before * share * target_shift**2
        self.feature_mean[group] += feature_shift * share
        self.target_mean[group] += target_shift * share
        self.count[group] = total

    @property
    def _fields(self) -> tuple[Tensor, ...]:
        return (
            self.count,
            self.feature_mean,
            self.target_mean,
            self.feature_scatter,
            self.cross_scatter,
            self.target_scatter,
        )

    @property
    def _sizes(self) -> tuple[int, ...]:
        return (*self.feature_mean.shape, *self.target_mean.shape[1:])


def accumulate(
    statistics: RegressionStatistics,
    features: Float[Tensor, "site sample d"],
    targets: Float[Tensor, "sample target"] | Float[Tensor, "site sample target"],
    groups: Int[Tensor, " sample"] | None = None,
) -> None:
    """Adds samples to statistics, in place; all of them or, on bad input, none.

    Args:
        statistics: What to add to.
        features: Activations, of any floating dtype; converted chunk by chunk.
        targets: Targets shared by the sites or, where the statistics say so, of each site.
        groups: Group of each sample; all in group 0 where there is only one.

    Raises:
        NonFiniteError: A feature or target is NaN or infinite; says at which site and sample.
        ValueError: Shapes do not fit the statistics, or `groups` is missing or out of range.
    """
    _check_shapes(statistics, features, targets, groups)
    _check_finite("features", features)
    _check_finite("targets", targets)
    if targets.ndim == 2:
        targets = targets[None]
    if groups is None or statistics.n_groups == 1:
        _accumulate_group(statistics, 0, features, targets)
        return
    if bool((groups[1:] < groups[:-1]).any()):
        groups, order = groups.sort(stable=True)
        features, targets = features[:, order], targets[:, order]
    labels, counts = torch.unique_consecutive(groups, return_counts=True)
    start = 0
    for label, n_samples in zip(labels.tolist(), counts.tolist(), strict=True):
        samples = slice(start, start + n_samples)
        _accumulate_group(statistics, label, features[:, samples], targets[:, samples])
        start += n_samples


def _accumulate_group(
    statistics: RegressionStatistics,
    group: int,
    features: Float[Tensor, "site sample d"],
    targets: Float[Tensor, "target_site sample target"],
) -> None:
    feature_scatter = statistics.feature_scatter[group]
    cross_scatter = statistics.cross_scatter[group]
    for start in range(0, features.shape[1], SAMPLES_PER_CHUNK):
        chunk = slice(start, start + SAMPLES_PER_CHUNK)
        centred_features, feature_mean = _centre(features[:, chunk])
        centred_targets, target_mean = _centre(targets[:, chunk])
        n_samples = centred_features.shape[1]
        feature_scatter.baddbmm_(centred_features.mT, centred_features)
        if targets.shape[0] == 1:
            # All sites in one product: [site d, sample] @ [sample, target].
            by_sample = centred_features.transpose(0, 1).reshape(n_samples, -1)
            cross_scatter.view(by_sample.shape[1], -1).addmm_(by_sample.T, centred_targets[0])
        else:
            cross_scatter.baddbmm_(centred_features.mT, centred_targets)
        statistics.absorb(
            group,
            statistics.count.new_tensor(n_samples),
            feature_mean,
            target_mean,
            None,
            None,
            centred_targets.square().sum(dim=1),
        )


def _centre(
    values: Float[Tensor, "site sample column"],
) -> tuple[Float[Tensor, "site sample column"], Float[Tensor, "site column"]]:
    """Float64 values about their mean over samples, laid out sample first, and that mean.

    The first sample is taken off before averaging, so a constant column is exactly zero.
    """
    origin = values[:, :1].double()
    n_sites, n_samples, n_columns = values.shape
    by_sample = torch.empty(
        n_samples, n_sites, n_columns, dtype=torch.float64, device=values.device
    )
    centred = by_sample.transpose(0, 1)
    torch.sub(values, origin, out=centred)
    offset = centred.mean(dim=1, keepdim=True)
    centred -= offset
    return centred, (origin + offset)[:, 0]


def _sum_groups(
    weights: Float[Tensor, "replicate group"], values: Float[Tensor, " group *shape"]
) -> Float[Tensor, " replicate *shape"]:
    return (weights @ values.flatten(1)).reshape(-1, *values.shape[1:])


def _outer(
    left: Float[Tensor, "*batch d"], right: Float[Tensor, "*other target"]
) -> Float[Tensor, "*both d target"]:
    return left[..., :, None] * right[..., None, :]


def _check_shapes(
    statistics: RegressionStatistics, features: Tensor, targets: Tensor, groups: Tensor | None
) -> None:
    n_sites, d_features = statistics.feature_mean.shape[1:]
    target_sites, n_targets = statistics.target_mean.shape[1:]
    if features.ndim != 3 or (features.shape[0], features.shape[2]) != (n_sites, d_features):
        raise ValueError(
            f"features must be [{n_sites} sites, sample, {d_features}], got {list(features.shape)}"
        )
    n_samples = features.shape[1]
    shared = (n_samples, n_targets)
    expected = [shared, (1, *shared)] if target_sites == 1 else [(n_sites, *shared)]
    if tuple(targets.shape) not in expected:
        raise ValueError(f"targets must be {list(expected[0])}, got {list(targets.shape)}")
    if groups is None:
        if statistics.n_groups > 1:
            raise ValueError(f"groups is needed: the statistics have {statistics.n_groups} groups")
        return
    if tuple(groups.shape) != (n_samples,):
        raise ValueError(f"groups must be [{n_samples} samples], got {list(groups.shape)}")
    if n_samples and not 0 <= int(groups.min()) <= int(groups.max()) < statistics.n_groups:
        raise ValueError(
            f"groups must be in 0..{statistics.n_groups - 1}, "
            f"got {int(groups.min())}..{int(groups.max())}"
        )


def _check_finite(name: str, values: Tensor) -> None:
    if bool(values.sum().isfinite()):
        return
    bad = (~values.isfinite()).any(dim=-1)
    if not bool(bad.any()):
        return
    *site, sample = bad.nonzero()[0].tolist()
    where = f"site {site[0]}, sample {sample}" if site else f"sample {sample}"
    raise NonFiniteError(
        f"{name} at {where} of this update are not finite",
        site=site[0] if site else None,
        sample=sample,
    )
