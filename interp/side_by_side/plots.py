"""Pictures of several models; every trace of a model says so in `meta["model"]`."""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np
import xarray
from plotly.graph_objects import Figure, Scatter

from interp.plots.marks import error_bars
from interp.plots.panel import MOST_LAYER_TICKS, Panel, draw
from interp.plots.step_axis import StepAxis
from interp.plots.style import MUTED, Look, reference_look
from interp.results.selection import steps_of
from interp.side_by_side.looks import model_looks
from interp.side_by_side.result import ModelComparison
from interp.side_by_side.tables import REFERENCE_TITLES

LAYER_TITLE = "layer (0 = embedding)"
SPREAD = 0.6
"""Width over which the models are spread about a reference's place on the axis."""
REMEMBERING_LOOKS = {
    "ols": Look("OLS", MUTED, "dot", "x-thin"),
    "ogd": Look("OGD", MUTED, "longdash", "circle-open"),
}
BEST_DASHES = ("dot", "longdash", "dashdot", "longdashdot")
KAPPA_AXIS: dict[str, Any] = {
    "title": {"text": "condition number κ"},
    "type": "log",
    "dtick": 1,
    "exponentformat": "power",
}
FLOOR = 1e-6
"""Errors below are drawn here: exact ones have no place on a logarithmic axis."""


def plot_match_curves(comparison: ModelComparison, reference: str = "newton") -> Figure:
    """Best-matching step of a reference against layer, one line with intervals a model.

    Args:
        comparison: What `compare` found.
        reference: Name of a reference with steps that every model was compared with.

    Raises:
        ValueError: There is no such reference.
    """
    traces = []
    for name, look in model_looks(comparison.names).items():
        result = comparison.match(name)
        axis = StepAxis.of(result, reference)
        found = steps_of(result.reference(reference).isel(site=0), "similarity")
        low, high = axis.place(found.bounds[:, 0]), axis.place(found.bounds[:, 1])
        traces.append(
            _line(name, look, found.layers, axis.place(found.step), low, high).update(
                customdata=np.column_stack([found.step, found.bounds, found.score]),
                hovertemplate=(
                    "layer %{x}: %{customdata[0]:,.3~f} steps "
                    "(%{customdata[1]:,.3~f} to %{customdata[2]:,.3~f})"
                    "<br>SimE %{customdata[3]:.3f}"
                ),
            )
        )
    title = f"Best-matching step of {reference_look(reference).label}"
    return draw(
        Panel(title, traces, _layer_axis(comparison), axis.properties("best-matching step"))
    )


def plot_layer_errors(comparison: ModelComparison) -> Figure:
    """Mean error of every layer's read-out against layer, and that of the best predictor."""
    traces = []
    for name, look in model_looks(comparison.names).items():
        layers = comparison.match(name).layers.isel(site=0)
        low, high = layers.mean_error_interval.values.T
        line = _line(name, look, layers.layer.values, layers.mean_error.values, low, high)
        traces.append(line.update(hovertemplate="layer %{x}: error %{y:.4f}"))
    y: dict[str, Any] = {
        "title": {"text": "squared error / d, mean over points"},
        "rangemode": "tozero",
    }
    panel = Panel("Error of each layer's read-out", traces, _layer_axis(comparison), y)
    return draw(panel)


def plot_similarities(comparison: ModelComparison) -> Figure:
    """SimE of predictions with Newton, GD and OGD, as in Table 1, with intervals."""
    summary = comparison.summary
    scores = summary.similarity, summary.similarity_interval
    traces = _by_reference(comparison, *scores)
    y = {"title": {"text": "SimE at the best step"}}
    panel = Panel("Similarity of errors with references", traces, _reference_axis(summary), y)
    return draw(panel)


def plot_differences(comparison: ModelComparison, other: str | None = None) -> Figure:
    """SimE of every model less that of one of them, paired by prompts, with intervals.

    Args:
        comparison: What `compare` found.
        other: The one; by default the first. Models of other tasks are left out.

    Raises:
        ValueError: It was not compared.
    """
    other = comparison.names[0] if other is None else other
    comparison.match(other)
    summary = comparison.summary.sel(other=other)
    scores = summary.similarity_difference, summary.similarity_difference_interval
    traces = _by_reference(comparison, *scores)
    y = {"title": {"text": "difference of SimE"}, "zeroline": True, "zerolinecolor": MUTED}
    title = f"Difference from {escape(other)}, on the same prompts"
    return draw(Panel(title, traces, _reference_axis(summary), y))


def plot_examples(comparison: ModelComparison) -> Figure:
    """Error of predictions against the number of examples, and that of the best predictor."""
    summary = comparison.summary
    points = np.arange(summary.sizes["point"])
    traces = []
    for task in map(int, np.unique(summary.task.values)):
        first = summary.isel(model=int(np.flatnonzero(summary.task.values == task)[0]))
        look = _best_look(summary, task)
        traces.append(_plain(look, points, first.point_baseline_error.values))
    for name, look in model_looks(comparison.names).items():
        errors = _drawn(summary.sel(model=name).point_error.values)
        traces.append(_line(name, look, points, errors))
    y = _error_axis("squared error / d", summary.point_error)
    x = {"title": {"text": "number of examples seen"}}
    return draw(Panel("Error of predictions", traces, x, y))


def plot_forgetting(comparison: ModelComparison) -> Figure:
    """Error on an example asked again, by the number of examples since (Fig. 5)."""
    summary = comparison.summary
    traces = []
    widest = summary.isel(model=int(np.isfinite(summary.gap.values).sum(1).argmax()))
    for key in map(str, summary.remembering.values):
        errors = widest.reference_forgetting.sel(remembering=key).values
        traces.append(_plain(REMEMBERING_LOOKS[key], widest.gap.values, errors))
    for name, look in model_looks(comparison.names).items():
        row = summary.sel(model=name)
        low, high = _drawn(row.forgetting_interval.values).T
        traces.append(_line(name, look, row.gap.values, _drawn(row.forgetting.values), low, high))
    x = {"title": {"text": "examples since"}, "tick0": 0, "dtick": 1 if widest.gap[-1] < 9 else 2}
    y = _error_axis("squared error / d", summary.forgetting, summary.reference_forgetting)
    return draw(Panel("Error on an example that is asked again", traces, x, y))


def plot_conditioning(comparison: ModelComparison) -> Figure:
    """Error of predictions against the condition number of the prompts, and that of OLS."""
    summary = comparison.summary
    traces = []
    has_kappa = np.isfinite(summary.kappa.values).any(1)
    for task in map(int, np.unique(summary.task.values[has_kappa])):
        first = summary.isel(model=int(np.flatnonzero(summary.task.values == task)[0]))
        look = _best_look(summary, task)
        traces.append(_plain(look, first.kappa.values, first.kappa_baseline_error.values))
    traces += _by_kappa(comparison, "kappa_error")
    y = _error_axis("squared error / d", summary.kappa_error, summary.kappa_baseline_error)
    return draw(Panel("Error of predictions", traces, KAPPA_AXIS, y | {"dtick": "D2"}))


def plot_conditioned_excess(comparison: ModelComparison) -> Figure:
    """Error above that of OLS against the condition number, paired by prompts."""
    traces = _by_kappa(comparison, "kappa_excess")
    y = _error_axis("squared error / d above OLS", comparison.summary.kappa_excess)
    return draw(Panel("Excess over OLS", traces, KAPPA_AXIS, y))


def _by_kappa(comparison: ModelComparison, score: str) -> list[Scatter]:
    summary = comparison.summary
    traces = []
    for name, look in model_looks(comparison.names).items():
        row = summary.sel(model=name)
        low, high = _drawn(row[f"{score}_interval"].values).T
        traces.append(_line(name, look, row.kappa.values, _drawn(row[score].values), low, high))
    return traces


def _best_look(summary: xarray.Dataset, task: int) -> Look:
    """Of the best predictor known for a task, which is named where there are several."""
    label = f"OLS, task {task + 1}" if summary.task.values.any() else "OLS"
    return Look(label, MUTED, BEST_DASHES[task % len(BEST_DASHES)], "x-thin")


def _by_reference(
    comparison: ModelComparison, scores: xarray.DataArray, bounds: xarray.DataArray
) -> list[Scatter]:
    """Markers of all models side by side at every reference's place on the axis."""
    names = comparison.names
    offsets = np.linspace(-0.5, 0.5, len(names)) * SPREAD if len(names) > 1 else np.zeros(1)
    places = np.arange(scores.sizes["reference"])
    traces = []
    for (name, look), offset in zip(model_looks(names).items(), offsets, strict=True):
        low, high = bounds.sel(model=name).transpose("bound", "reference").values
        values = scores.sel(model=name).values
        traces.append(
            _line(name, look, places + offset, values, low, high).update(
                mode="markers",
                customdata=np.column_stack([low, high]),
                hovertemplate="SimE %{y:.3f} (%{customdata[0]:.3f} to %{customdata[1]:.3f})",
            )
        )
    return traces


def _reference_axis(summary: xarray.Dataset) -> dict[str, Any]:
    n = summary.sizes["reference"]
    return {
        "tickvals": list(range(n)),
        "ticktext": [REFERENCE_TITLES[str(key)] for key in summary.reference.values],
        "range": [-0.5, n - 0.5],
        "showgrid": False,
    }


def _line(
    name: str,
    look: Look,
    x: np.ndarray,
    y: np.ndarray,
    low: np.ndarray | None = None,
    high: np.ndarray | None = None,
) -> Scatter:
    """A model's line, with intervals where there are any."""
    line = Scatter(
        x=x,
        y=y,
        mode="lines+markers",
        line={**look.line, "width": 1.75},
        marker={**look.marker, "size": 7},
        name=look.label,
        legendgroup=look.label,
        meta={"model": name},
        hovertemplate="%{x}: %{y:.4~g}",
    )
    if low is not None and high is not None:
        line.update(error_y=error_bars(y, low, high, colour=look.colour, is_thin=True))
    return line


def _plain(look: Look, x: np.ndarray, y: np.ndarray) -> Scatter:
    """A reference's line, which is no model's."""
    return Scatter(
        x=x,
        y=_drawn(y),
        mode="lines",
        line=look.line,
        name=look.label,
        hovertemplate="%{x}: %{y:.3~g}",
    )


def _layer_axis(comparison: ModelComparison) -> dict[str, Any]:
    most = max(int(comparison.match(name).layers.layer[-1]) for name in comparison.names)
    return {
        "title": {"text": LAYER_TITLE},
        "tick0": 0,
        "dtick": -(-(most + 1) // MOST_LAYER_TICKS),
        "range": [-0.5, most + 0.5],
    }


def _drawn(errors: np.ndarray) -> np.ndarray:
    return np.where(errors < FLOOR, FLOOR * 1e-3, errors)


def _error_axis(title: str, *errors: xarray.DataArray) -> dict[str, Any]:
    return {
        "title": {"text": title},
        "type": "log",
        "tickformat": "~g",
        "dtick": 1,
        "range": _log_range(np.concatenate([part.values.ravel() for part in errors])),
    }


def _log_range(errors: np.ndarray) -> list[float]:
    values = errors[np.isfinite(errors) & (errors > FLOOR)]
    low, high = (values.min(), values.max()) if len(values) else (0.1, 1.0)
    return [float(np.log10(low)) - 0.3, float(np.log10(high)) + 0.2]
