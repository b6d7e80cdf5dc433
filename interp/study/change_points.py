"""When something changes over a training: change points with intervals.

A change point is the training step from which on a measured quantity stays past a stated level,
interpolated between checkpoints on the logarithm of the step. Its 95 % interval holds the steps at
which the band of the quantity's own 95 % intervals over prompts contains the level: it reaches from
where the better end of the band passes the level for good to where the worse end does. Where the
quantity runs straight between checkpoints and keeps clear of the level elsewhere, the interval
covers the change point at least as often as a band covers the quantity, whatever the errors at
different checkpoints have in common.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray

from probes.verdict.criteria import DEFAULT_CRITERIA

BEGUN, LEARNT = 0.1, 0.9
"""Shares of the way from the error of predicting 0 to that of the baseline."""
WORKING = 0.02
"""Share of the error left by the layer before that a layer at work removes at least."""
ALIKE = 0.9
"""SimE of the last layer and a reference that are alike."""
GENERAL, MEMORISED = 0.75, 0.25
"""Where a model is between dMMSE, 0, and ridge, 1, on new tasks; predicting 0 is about half-way."""
ORDER_FREE = 0.05
"""Share of the last layer that may depend on the order of the examples."""
EXPLAINED = 0.9
"""Share of the last layer that filters of directions could explain."""


@dataclass(frozen=True)
class Curve:
    """A quantity at every checkpoint, and the level that it passes."""

    key: str
    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    level: float
    rises: bool = True

    def change_point(self, steps: np.ndarray) -> tuple[float, float, float]:
        """The step from which on it stays past its level, and the interval's ends.

        -inf is at or before the first checkpoint, inf not by the last. Checkpoints without a value
        are left out.
        """
        sign = 1 if self.rises else -1
        better, worse = (self.high, self.low) if self.rises else (self.low, self.high)
        curves = np.array([self.value, better, worse]) * sign
        is_there = np.isfinite(curves).all(0)
        if not is_there.any():
            return np.nan, np.nan, np.nan
        steps = steps[is_there]
        point, low, high = (crossing(steps, row, sign * self.level) for row in curves[:, is_there])
        return point, low, high


def crossing(steps: np.ndarray, values: np.ndarray, level: float) -> float:
    """The step from which on values are at least a level, interpolated on the log of the step.

    Step 0 counts as 1/2. -inf says that all values are, inf that the last is not.

    Args:
        steps: Training steps, rising.
        values: One for each.
        level: To be reached and kept.
    """
    below = np.flatnonzero(values < level)
    if not below.size:
        return -np.inf
    last = below[-1]
    if last == len(steps) - 1:
        return np.inf
    before, after = np.log2(np.maximum(steps[last : last + 2], 0.5))
    share = (level - values[last]) / (values[last + 1] - values[last])
    return float(2 ** (before + share * (after - before)))


def change_points(found: xarray.Dataset) -> xarray.Dataset:
    """Change points of what `interp.emerge` found.

    Args:
        found: Quantities by `step`, with their intervals.

    Returns:
        By `change`, a key such as "learnt" or "layer 3": `change_step`, `change_step_low` and
        `change_step_high`, -inf for at or before the first checkpoint and inf for not by the last;
        and `change_level`. Growth and likeness are those of `last_reference`.
    """
    curves = [one for one in _curves(found, last_reference(found)) if np.isfinite(one.value).any()]
    points = np.array([curve.change_point(found.step.values) for curve in curves])
    data: dict[str, Any] = {
        f"change_step{end}": ("change", values)
        for end, values in zip(("", "_low", "_high"), points.T, strict=True)
    }
    data["change_level"] = ("change", [curve.level for curve in curves])
    coords = {"change": [curve.key for curve in curves]}
    return xarray.Dataset(data, coords)


def last_reference(found: xarray.Dataset) -> str:
    """The first reference that the last verdict retains; else the one the last layer is most like.

    Only references with steps count.
    """
    last = found.dropna("step", how="all", subset=["match_best_similarity"]).isel(step=-1)
    retained = [
        name for name in str(last.match_retained.item()).split(", ") if name in last.reference
    ]
    likeness = last.match_best_similarity.isel(layer=-1).fillna(-1)
    return retained[0] if retained else str(likeness.idxmax("reference").item())


def _curves(found: xarray.Dataset, reference: str) -> Iterator[Curve]:
    learnt = _band(found, "error_learnt")
    yield Curve("begun", *learnt, BEGUN)
    yield Curve("learnt", *learnt, LEARNT)
    for layer in found.layer.values[found.layer.values > 0]:  # 0 is the embedding
        row = _band(found.sel(layer=layer), "match_error_reduction")
        yield Curve(f"layer {layer}", *row, WORKING)
    named = found.sel(reference=reference)
    last = named.isel(layer=-1)
    is_matched = np.isfinite(last.match_best_similarity.values)
    value, low, high = (
        np.where(np.isnan(row) & is_matched & np.isfinite(row).any(), 0.0, row)
        for row in _band(named, "match_growth_gain")  # NaN with fewer than 3 layers at work
    )
    yield Curve("growth", value, low, high, DEFAULT_CRITERIA.growth_margin)
    yield Curve("alike", *_band(last, "match_best_similarity"), ALIKE)
    if "pool_ridge_likeness" in found:
        likeness = _band(found.sel(prompts="new"), "pool_ridge_likeness")
        yield Curve("general", *likeness, GENERAL)
        yield Curve("memorised", *likeness, MEMORISED, rises=False)
    if "anatomy_share" in found:
        order = _band(last.sel(part="order"), "anatomy_share")
        yield Curve("order", *order, ORDER_FREE, rises=False)
        yield Curve("explained", *_band(last, "anatomy_ceiling"), EXPLAINED)


def _band(found: xarray.Dataset, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    value, low, high = (found[f"{name}{end}"].values for end in ("", "_low", "_high"))
    return value, low, high
