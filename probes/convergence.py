"""How fast errors fall: the order of convergence over layers or steps."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from probes.uncertainty.bootstrap import bootstrap_interval, bootstrap_weights

ABOVE_FLOOR = 5.0
"""Errors are believed from this many times the floor on …"""
HIGHEST_ORDER = 3.0
"""… also after one more layer of convergence of this order, so that the floor hides none."""
LEAST_FALL = 0.02
"""A layer is at work on a sample if it lets log error fall by more."""
MIN_SAMPLES = 50
"""Samples in the regime, of at least this many prompts, for an order to be estimated."""
LARGEST_SPREAD = 0.6
"""Quartile range of the samples' orders over their median, beyond which they do not agree."""
N_TRIPLES = 3
"""How far from the end an order is looked for, in layers."""


@dataclass(frozen=True)
class OrderOfConvergence:
    """The order of convergence at the last layers whose errors differ by more than rounding."""

    order: float
    """1 is linear convergence, as of gradient descent; 2 is Newton's; NaN if not estimable."""
    interval: tuple[float, float]
    layers: tuple[int, int, int] | None
    """Indices of the three layers it was measured on."""
    n_samples: int
    """Predictions it was measured on."""
    reason: str | None = None
    """Why it cannot be estimated."""


def order_of_convergence(
    errors: Float[Tensor, "layer prompt point"],
    floor: Float[Tensor, " layer"],
    *,
    n_replicates: int = 200,
    seed: int = 0,
    level: float = 0.95,
) -> OrderOfConvergence:
    """Order q of e_{l+1} ~ e_l^q, from single predictions and not from their mean.

    A mean over prompts mixes those that converged long ago with those that have hardly begun, and
    falls with an order of its own. Of a single prediction three consecutive errors give
    q = log(e_{l+2} / e_{l+1}) / log(e_{l+1} / e_l), whatever the constant in front, exactly so
    once the slowest direction of its prefix is all that is left. Over the predictions in that
    regime the ratio is the median weighted by log(e_{l+1} / e_l), which is the least absolute
    deviation of a line through the origin. The last three layers that enough predictions agree on
    count, at most `N_TRIPLES` from the end.

    Args:
        errors: |prediction - what it converges to| of the layers that do something, in order.
        floor: Error of each layer that does not come from being under way: rounding, or what a
            read-out cannot read better.
        n_replicates: Bootstrap replicates, over prompts.
        seed: Of the replicates.
        level: Confidence level of the interval.

    Raises:
        ValueError: Errors or floors that are negative or not finite.
    """
    for name, values in (("errors", errors), ("floor", floor)):
        if not bool(((values >= 0) & values.isfinite()).all()):
            raise ValueError(f"{name} must be finite and at least 0")
    reason = "fewer than three layers do something"
    for last in range(len(errors) - 1, max(1, len(errors) - 1 - N_TRIPLES), -1):
        triple = errors[last - 2 : last + 1].double()
        falls = (triple[:-1].clamp(min=1e-300) / triple[1:].clamp(min=1e-300)).log()
        usable = _in_regime(triple, falls, ABOVE_FLOOR * floor[last - 2 : last + 1].max().item())
        n_prompts = int(usable.any(-1).sum())
        if n_prompts < MIN_SAMPLES:
            if last == len(errors) - 1:
                reason = (
                    f"of {errors[0].numel():,} predictions {int(usable.sum())} improve over three "
                    "layers and stay above what the read-outs resolve"
                )
            continue
        prompts = usable.nonzero()[:, 0]
        sizes = falls[0][usable]
        ratios = falls[1][usable] / sizes
        low, median, high = (
            _weighted_quantile(ratios, sizes[None], q)[0] for q in (0.25, 0.5, 0.75)
        )
        if not median > 0 or (high - low) / median > LARGEST_SPREAD:
            if last == len(errors) - 1:
                reason = (
                    "predictions do not agree on an order "
                    f"(half of them between {low:.1f} and {high:.1f})"
                )
            continue
        weights = bootstrap_weights(errors.shape[1], n_replicates, seed)
        replicates = _weighted_quantile(ratios, weights[:, prompts] * sizes, 0.5)
        bounds = bootstrap_interval(replicates, level, n_groups=n_prompts).tolist()
        layers = (last - 2, last - 1, last)
        return OrderOfConvergence(median.item(), (bounds[0], bounds[1]), layers, int(usable.sum()))
    return OrderOfConvergence(torch.nan, (torch.nan, torch.nan), None, 0, reason)


def _in_regime(
    triple: Float[Tensor, "3 prompt point"],
    falls: Float[Tensor, "2 prompt point"],
    floor: float,
) -> Bool[Tensor, "prompt point"]:
    """Predictions that the first of two layers improves and the second cannot take to the floor.

    The last error is not restricted: that would select the orders.
    """
    reached = triple[1] * torch.exp(-HIGHEST_ORDER * falls[0])
    return (falls[0] > LEAST_FALL) & (reached > floor) & (triple[2] > 0)


def _weighted_quantile(
    values: Float[Tensor, " sample"], weights: Float[Tensor, "replicate sample"], share: float
) -> Float[Tensor, " replicate"]:
    order: Int[Tensor, " sample"] = values.argsort()
    cumulative = weights[:, order].cumsum(-1)
    place = torch.searchsorted(cumulative, share * cumulative[:, -1:])
    return values[order][place[:, 0].clamp(max=len(values) - 1)]


def convergence_order(
    errors: Float[Tensor, "*batch layer"], floor: float = 0.0
) -> Float[Tensor, "*batch"]:
    """Slope of log e_{l+1} against log e_l: 1 is linear convergence, 2 is Newton's near the end.

    Args:
        errors: Errors in excess of what they converge to, layer by layer.
        floor: Errors at or below it have converged; from the first such layer on none is used.

    Returns:
        The order, NaN where fewer than three errors lie above the floor.
    """
    usable = (errors > max(floor, 0.0)).cumprod(-1).bool()
    logs = torch.where(usable, errors.clamp(min=1e-300).log(), 0.0)
    both = usable[..., 1:]
    count = both.sum(-1)
    x, y = logs[..., :-1], logs[..., 1:]
    mean_x = (x * both).sum(-1) / count.clamp(min=1)
    mean_y = (y * both).sum(-1) / count.clamp(min=1)
    dx = (x - mean_x[..., None]) * both
    dy = (y - mean_y[..., None]) * both
    variance = dx.square().sum(-1)
    slope = (dx * dy).sum(-1) / variance.clamp(min=1e-300)
    return torch.where((count >= 2) & (variance > 0), slope, torch.nan)
