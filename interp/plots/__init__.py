"""Pictures of a `MatchResult`, one a file: plotly figures that compute no score of their own."""

from __future__ import annotations

from interp.plots.controls import plot_controls
from interp.plots.curve import plot_curve
from interp.plots.direct import plot_direct
from interp.plots.error import plot_error
from interp.plots.heatmap import plot_heatmap
from interp.plots.points import plot_points
from interp.plots.sites import plot_sites

__all__ = [
    "plot_controls",
    "plot_curve",
    "plot_direct",
    "plot_error",
    "plot_heatmap",
    "plot_points",
    "plot_sites",
]
