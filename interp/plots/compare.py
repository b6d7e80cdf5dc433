"""Pictures of several models; every trace of a model says so in `meta["model"]`."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any

import numpy as np
import xarray
from plotly.graph_objects import Figure, Scatter

from interp.analyses.comparison_result import ModelComparison
from interp.plots.marks import line, placed_line
from interp.plots.panel import Panel, StepAxis, axis_of_layers, draw, log_axis
from interp.plots.style import MUTED, Look, model_looks, reference_look
from interp.results.selection import steps_of
from probes.references import reference_class

SPREAD = 0.6
"""Width over which the models are spread about a reference's place on the axis."""
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
        traces.append(
            placed_line(
                found.layers,
                found.step,
                found.bounds,
                look,
                place=axis.place,
                digits=",.3~f",
                more_hover="<br>SimE %{customdata[3]:.3f}",
                customdata=np.column_stack([found.step, found.bounds, found.score]),
                **_of_model(name, look),
            )
        )
    title = f"Best-matching step of {reference_look(reference).label}"
    y = axis.properties("best-matching step")
    return draw(Panel(title, traces, _layer_axis(comparison), y))


def plot_layer_errors(comparison: ModelComparison) -> Figure:
    """Mean error of every layer's read-out against layer."""
    traces = []
    for name, look in model_looks(comparison.names).items():
        layers = comparison.match(name).layers.isel(site=0)
        bounds = layers.mean_error_interval.values.T
        line = _line(name, look, layers.layer.values, layers.mean_error.values, bounds)
        traces.append(line.update(hovertemplate="layer %{x}: error %{y:.4f}"))
    title = {"text": "squared error / d, mean over points"}
    y: dict[str, Any] = {"title": title, "rangemode": "tozero"}
    return draw(Panel("Error of each layer's read-out", traces, _layer_axis(comparison), y))


def plot_similarities(comparison: ModelComparison) -> Figure:
    """SimE of predictions with Newton, GD and OGD, as in Table 1, with intervals."""
    traces = _by_reference(comparison.summary, "similarity")
    y = {"title": {"text": "SimE at the best step"}}
    x = _reference_axis(comparison.summary)
    return draw(Panel("Similarity of errors with references", traces, x, y))


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
    traces = _by_reference(summary, "similarity_difference")
    y = {"title": {"text": "difference of SimE"}, "zeroline": True, "zerolinecolor": MUTED}
    title = f"Difference from {escape(other)}, on the same prompts"
    return draw(Panel(title, traces, _reference_axis(summary), y))


def plot_examples(comparison: ModelComparison) -> Figure:
    """Error of predictions against the number of examples, and that of the best predictor."""
    summary = comparison.summary
    summary["examples"] = summary.point
    traces = [*_best(summary, "examples", "point_baseline_error")]
    traces += _lines(summary, "examples", "point_error")
    y = _error_axis("squared error / d", summary.point_error)
    x = {"title": {"text": "number of examples seen"}}
    return draw(Panel("Error of predictions", traces, x, y))


def plot_forgetting(comparison: ModelComparison) -> Figure:
    """Error on a repeated example, by the number of examples since (Fig. 5)."""
    summary = comparison.summary
    widest = summary.isel(model=int(np.isfinite(summary.gap.values).sum(1).argmax()))
    traces = []
    for key, dash in zip(map(str, summary.remembering.values), BEST_DASHES, strict=False):
        look = Look(reference_class(key).label, MUTED, dash, "x-thin")
        errors = widest.reference_forgetting.sel(remembering=key).values
        traces.append(_plain(look, widest.gap.values, errors))
    traces += _lines(summary, "gap", "forgetting")
    x = {"title": {"text": "examples since"}, "tick0": 0, "dtick": 1 if widest.gap[-1] < 9 else 2}
    y = _error_axis("squared error / d", summary.forgetting, summary.reference_forgetting)
    return draw(Panel("Error on a repeated example", traces, x, y))


def plot_conditioning(comparison: ModelComparison) -> Figure:
    """Error of predictions against the condition number of the prompts, and that of OLS."""
    summary = comparison.summary
    traces = [*_best(summary, "kappa", "kappa_baseline_error")]
    traces += _lines(summary, "kappa", "kappa_error")
    y = _error_axis("squared error / d", summary.kappa_error, summary.kappa_baseline_error)
    return draw(Panel("Error of predictions", traces, KAPPA_AXIS, y | {"dtick": "D2"}))


def plot_conditioned_excess(comparison: ModelComparison) -> Figure:
    """Error above that of OLS against the condition number, paired by prompts."""
    traces = _lines(comparison.summary, "kappa", "kappa_excess")
    y = _error_axis("squared error / d above OLS", comparison.summary.kappa_excess)
    return draw(Panel("Excess over OLS", traces, KAPPA_AXIS, y))


def _best(summary: xarray.Dataset, axis: str, score: str) -> Iterator[Scatter]:
    """The best predictor known for each task, which is named where there are several."""
    tasks = summary.task.values
    for task in np.unique(tasks[np.isfinite(summary[score].values).any(1)]):
        row = summary.isel(model=int(np.flatnonzero(tasks == task)[0]))
        label = f"OLS, task {task + 1}" if tasks.any() else "OLS"
        look = Look(label, MUTED, BEST_DASHES[task % len(BEST_DASHES)], "x-thin")
        yield _plain(look, row[axis].values, row[score].values)


def _lines(summary: xarray.Dataset, axis: str, score: str) -> list[Scatter]:
    """A score of every model against something, with intervals where it has them."""
    traces = []
    for name, look in model_looks(list(map(str, summary.model.values))).items():
        row = summary.sel(model=name)
        has_bounds = f"{score}_interval" in row
        bounds = _drawn(row[f"{score}_interval"].values).T if has_bounds else None
        traces.append(_line(name, look, row[axis].values, _drawn(row[score].values), bounds))
    return traces


def _by_reference(summary: xarray.Dataset, score: str) -> list[Scatter]:
    """Markers of all models side by side at every reference's place on the axis."""
    names = list(map(str, summary.model.values))
    offsets = np.linspace(-0.5, 0.5, len(names)) * SPREAD if len(names) > 1 else np.zeros(1)
    places = np.arange(summary.sizes["reference"])
    traces = []
    for (name, look), offset in zip(model_looks(names).items(), offsets, strict=True):
        row = summary.sel(model=name)
        bounds = row[f"{score}_interval"].transpose("bound", "reference").values
        traces.append(
            _line(name, look, places + offset, row[score].values, bounds).update(
                mode="markers",
                customdata=bounds.T,
                hovertemplate="SimE %{y:.3f} (%{customdata[0]:.3f} to %{customdata[1]:.3f})",
            )
        )
    return traces


def _reference_axis(summary: xarray.Dataset) -> dict[str, Any]:
    n = summary.sizes["reference"]
    return {
        "tickvals": list(range(n)),
        "ticktext": [reference_class(str(key)).label for key in summary.reference.values],
        "range": [-0.5, n - 0.5],
        "showgrid": False,
    }


def _line(
    name: str, look: Look, x: np.ndarray, y: np.ndarray, bounds: np.ndarray | None
) -> Scatter:
    """A model's line, with intervals where there are any."""
    return line(x, y, look, "%{x}: %{y:.4~g}", bounds, **_of_model(name, look))


def _of_model(name: str, look: Look) -> dict[str, Any]:
    """What every trace of a model has."""
    return {"legendgroup": look.label, "meta": {"model": name}}


def _plain(look: Look, x: np.ndarray, y: np.ndarray) -> Scatter:
    """A reference's line, which is no model's."""
    return line(x, _drawn(y), look, "%{x}: %{y:.3~g}", mode="lines")


def _layer_axis(comparison: ModelComparison) -> dict[str, Any]:
    layers = (comparison.match(name).layers.layer.values for name in comparison.names)
    return axis_of_layers(max(layers, key=lambda found: found[-1]))


def _drawn(errors: np.ndarray) -> np.ndarray:
    return np.where(errors < FLOOR, FLOOR * 1e-3, errors)


def _error_axis(title: str, *errors: xarray.DataArray) -> dict[str, Any]:
    return log_axis(title, *(part.values for part in errors), floor=FLOOR)
