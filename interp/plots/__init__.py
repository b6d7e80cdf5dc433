"""Pictures, one kind a file: plotly figures that compute no score of their own.

Most show a `MatchResult`; those of views and interventions show the data of these.
"""

from __future__ import annotations

import warnings
from typing import Any

from interp.plots.ablation import plot_ablation as ablation
from interp.plots.ablation import plot_head_ablation as head_ablation
from interp.plots.ablation import plot_shift as shift
from interp.plots.controls import plot_controls as controls
from interp.plots.curve import plot_curve as curve
from interp.plots.direct import plot_direct as direct
from interp.plots.error import plot_error as error
from interp.plots.halves import plot_halves as halves
from interp.plots.heads import plot_heads as heads
from interp.plots.heatmap import plot_heatmap as heatmap
from interp.plots.induced_weights import plot_span as span
from interp.plots.induced_weights import plot_weights as weights
from interp.plots.induced_weights import plot_weights_by_examples as weights_by_examples
from interp.plots.patterns import plot_looked_at as looked_at
from interp.plots.patterns import plot_patterns as patterns
from interp.plots.points import plot_points as points
from interp.plots.sites import plot_sites as sites
from interp.plots.steering import plot_steering as steering

__all__ = [
    "ablation",
    "controls",
    "curve",
    "direct",
    "error",
    "halves",
    "head_ablation",
    "heads",
    "heatmap",
    "looked_at",
    "patterns",
    "points",
    "shift",
    "sites",
    "span",
    "steering",
    "weights",
    "weights_by_examples",
]


def __getattr__(name: str) -> Any:
    """The deprecated `plot_curve` of 0.1 for `curve`, and likewise for every other picture."""
    picture = name.removeprefix("plot_")
    if picture == name or picture not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    words = f"interp.plots.{name} is deprecated; use interp.plots.{picture} instead"
    warnings.warn(words, DeprecationWarning, stacklevel=2)
    return globals()[picture]
