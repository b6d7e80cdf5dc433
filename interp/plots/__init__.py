"""Pictures, one kind a file: plotly figures that compute no score of their own.

Most show a `MatchResult`; those of views and interventions show the data of these.
"""

from __future__ import annotations

from interp.plots.ablation import plot_ablation, plot_head_ablation, plot_shift
from interp.plots.controls import plot_controls
from interp.plots.curve import plot_curve
from interp.plots.direct import plot_direct
from interp.plots.error import plot_error
from interp.plots.halves import plot_halves
from interp.plots.heads import plot_heads
from interp.plots.heatmap import plot_heatmap
from interp.plots.induced_weights import plot_span, plot_weights, plot_weights_by_examples
from interp.plots.patterns import plot_looked_at, plot_patterns
from interp.plots.points import plot_points
from interp.plots.sites import plot_sites
from interp.plots.steering import plot_steering

__all__ = [
    "plot_ablation",
    "plot_controls",
    "plot_curve",
    "plot_direct",
    "plot_error",
    "plot_halves",
    "plot_head_ablation",
    "plot_heads",
    "plot_heatmap",
    "plot_looked_at",
    "plot_patterns",
    "plot_points",
    "plot_shift",
    "plot_sites",
    "plot_span",
    "plot_steering",
    "plot_weights",
    "plot_weights_by_examples",
]
