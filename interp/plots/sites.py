"""Kinds of site side by side: residual stream, attention output, MLP output."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import xarray
from plotly.graph_objects import Figure, Scatter

from interp.plots.marks import line_with_intervals
from interp.plots.panel import Panel, draw, layer_axis
from interp.plots.step_axis import StepAxis
from interp.plots.style import reference_look, site_look
from interp.results.result import MatchResult
from interp.results.selection import choose_reference


def plot_sites(
    result: MatchResult,
    value: Literal["step", "similarity", "error"] = "step",
    reference: str | None = None,
) -> Figure:
    """A score against layer, one line with intervals for each kind of site that was read.

    Args:
        result: What `match` found.
        value: The best-matching "step", the "similarity" at it, or the mean "error".
        reference: Whose step or similarity; by default the one that the verdict quotes.

    Raises:
        ValueError: A reference that was not compared or has no steps, or an unknown value.
    """
    if value == "error":
        y: dict[str, Any] = {
            "title": {"text": "squared error / d, mean over points"},
            "rangemode": "tozero",
        }
        return draw(
            Panel("Error of read-outs", _lines(result.layers, "mean_error"), layer_axis(result), y)
        )
    if value not in ("step", "similarity"):
        raise ValueError(f"value must be 'step', 'similarity' or 'error', got {value!r}")
    name = choose_reference(result, reference)
    scores, label = result.reference(name), reference_look(name).label
    if value == "similarity":
        y = {"title": {"text": "SimE at the best-matching step"}}
        traces = _lines(scores, "best_similarity")
        return draw(Panel(f"{label}: highest similarity", traces, layer_axis(result), y))
    axis = StepAxis.of(result, name)
    y = axis.properties("best-matching step")
    traces = _lines(scores, "best_step", axis)
    return draw(Panel(f"{label}: best-matching step", traces, layer_axis(result), y))


def _lines(scores: xarray.Dataset, variable: str, axis: StepAxis | None = None) -> list[Scatter]:
    traces = []
    for kind in map(str, scores.site.values):
        look = site_look(kind)
        values = scores[variable].sel(site=kind).values
        bounds = scores[f"{variable}_interval"].sel(site=kind).values
        layers, place = scores.layer.values, axis.place if axis else np.asarray
        traces.append(
            line_with_intervals(layers, values, bounds, look, place=place, digits=",.4~r")
        )
    return traces
