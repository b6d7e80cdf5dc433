"""One pass over samples, chunk by chunk, into regression statistics."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from probes.statistics import RegressionStatistics

SAMPLES_PER_CHUNK = 512
"""Samples converted to float64 at once: few enough for the cache, enough for fast products."""


class NonFiniteSampleError(ValueError):
    """A NaN or an infinity among features or targets.

    Attributes:
        site: Index of the site it was found at; None for targets shared by the sites.
        sample: Index of the sample within the update.
    """

    def __init__(self, message: str, *, site: int | None, sample: int) -> None:
        super().__init__(message)
        self.site = site
        self.sample = sample


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
        NonFiniteSampleError: A feature or target is NaN or infinite; says at which site and sample.
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
    count = statistics.count[group]
    feature_mean, target_mean = statistics.feature_mean[group], statistics.target_mean[group]
    n_rows = min(SAMPLES_PER_CHUNK, features.shape[1]) + 1
    feature_buffer, target_buffer = _buffer(features, n_rows), _buffer(targets, n_rows)
    for start in range(0, features.shape[1], SAMPLES_PER_CHUNK):
        chunk = slice(start, start + SAMPLES_PER_CHUNK)
        n_samples = features[:, chunk].shape[1]
        share = n_samples / (count + n_samples)
        # One more row, the shift of mean, makes the centred moments of the chunk add up to those
        # of the whole (Chan, Golub and LeVeque 1979) within the same product.
        row_weight = (count * share).sqrt()
        h = _centre(features[:, chunk], feature_mean, row_weight, share, feature_buffer)
        t = _centre(targets[:, chunk], target_mean, row_weight, share, target_buffer)
        count += n_samples
        by_site = h.transpose(0, 1)
        statistics.feature_scatter[group].baddbmm_(by_site.mT, by_site)
        if targets.shape[0] == 1:
            # All sites in one product: [site d, sample] @ [sample, target].
            statistics.cross_scatter[group].flatten(0, 1).addmm_(h.flatten(1).T, t[:, 0])
        else:
            statistics.cross_scatter[group].baddbmm_(by_site.mT, t.transpose(0, 1))
        statistics.target_scatter[group] += t.square().sum(dim=0)


def _buffer(
    values: Float[Tensor, "site sample column"], n_rows: int
) -> Float[Tensor, "row site column"]:
    shape = (n_rows, values.shape[0], values.shape[2])
    return torch.empty(shape, dtype=torch.float64, device=values.device)


def _centre(
    values: Float[Tensor, "site sample column"],
    mean: Float[Tensor, "site column"],
    row_weight: Float[Tensor, ""],
    share: Float[Tensor, ""],
    buffer: Float[Tensor, "row site column"],
) -> Float[Tensor, "sample_and_shift site column"]:
    """Float64 values about their own mean, and the weighted shift from `mean` as one more row.

    Moves `mean`, in place, to the mean of old and new samples. The first sample is taken off
    before averaging, so a constant column is exactly zero.
    """
    n_samples = values.shape[1]
    origin = values[:, 0].double()
    centred = buffer[:n_samples]
    torch.sub(values.transpose(0, 1), origin, out=centred)
    offset = centred.mean(dim=0)
    centred -= offset
    shift = origin + offset - mean
    torch.mul(shift, row_weight, out=buffer[n_samples])
    mean += shift * share
    return buffer[: n_samples + 1]


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
    raise NonFiniteSampleError(
        f"{name} at {where} of this update are not finite",
        site=site[0] if site else None,
        sample=sample,
    )
