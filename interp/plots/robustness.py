"""Pictures of a sweep of conditions."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray
from plotly.graph_objects import Figure, Scatter

from interp.analyses.variations import VARIATIONS
from interp.plots.marks import line, placed_line
from interp.plots.panel import Panel, StepAxis, draw, log_axis
from interp.plots.style import MUTED, Look, ordered_looks, reference_look

MOST_LINES = 6
MOST_DECADES_OF_2_AND_5 = 2.5
"""On a wider axis only powers of ten have labels."""
BAND = 0.012
"""Half the width of the band at the value in training, as a share of the axis."""
LARGEST_STEP = 2.0**14
"""That an axis of GD's steps has a label for."""
LEAST_READABLE = 0.05
"""Share of y that a layer's read-out must explain for its matching step to be drawn."""


def plot_condition_errors(name: str, table: xarray.Dataset) -> Figure:
    """Error of layers, of the model and of the best answer, relative to predicting 0.

    Args:
        name: What was varied, a name of `VARIATIONS`.
        table: As `ConditionSweep.table` gives it.
    """
    shown = _shown_layers(table)
    looks = ordered_looks([f"layer {layer}" for layer in shown])
    zero = table.zero_error.values
    traces = [
        _line(name, table, table.error.sel(layer=layer).values / zero, look, "error")
        for layer, look in zip(shown, looks, strict=True)
    ]
    own = Look("the model itself", "#d55e00", "dash", "square-open")
    traces.append(_line(name, table, table.model_error.values / zero, own, "error"))
    best = Look("OLS, or ridge at the noise", MUTED, "dot", "x-thin")
    exact = np.maximum(table.best_error.values / zero, 1e-300)
    traces.append(_line(name, table, exact, best, "error"))
    lowest = np.nanmin([table.error / table.zero_error], initial=1.0)
    highest = np.nanmax([(table.model_error / table.zero_error).values, np.ones(len(zero))])
    exponents = np.log10([max(lowest, 1e-12) / 2, min(highest, 1e6) * 2])
    y = log_axis("error / error of predicting 0") | {
        "range": exponents.tolist(),
        "dtick": "D2" if np.ptp(exponents) < MOST_DECADES_OF_2_AND_5 else 1,
    }
    title, bands = "Error, relative to predicting 0", _training(name, table)
    return draw(Panel(title, traces, _axis(name, table), y, bands=bands))


def plot_condition_steps(name: str, table: xarray.Dataset, reference: str) -> Figure | None:
    """Best-matching step of one reference for every layer; None where nothing was matched.

    Args:
        name: What was varied.
        table: As `ConditionSweep.table` gives it.
        reference: One of the table's.
    """
    is_readable = table.error < (1 - LEAST_READABLE) * table.zero_error
    steps = table.best_step.sel(reference=reference).where(is_readable)
    if not np.isfinite(steps.values).any():
        return None
    shown = _shown_layers(table)
    axis = StepAxis(reference == "gd", LARGEST_STEP)
    traces = []
    for layer, look in zip(shown, ordered_looks([f"layer {n}" for n in shown]), strict=True):
        values = steps.sel(layer=layer).values
        if np.isnan(values).all():
            continue
        bounds = table.best_step_interval.sel(reference=reference, layer=layer).values
        traces.append(
            placed_line(
                _places(name, table),
                values,
                bounds,
                look,
                place=axis.place,
                digits=",.4~r",
                hover="%{text}: step ",
                text=_labels(table),
            )
        )
    y = axis.properties("best-matching step")
    if not axis.is_log:
        y["rangemode"] = "tozero"
    label = reference_look(reference).label
    title = f"{label}: step most like each layer"
    return draw(Panel(title, traces, _axis(name, table), y, bands=_training(name, table)))


def plot_needs(table: xarray.Dataset) -> Figure:
    """Steps that the references themselves need, by condition number."""
    traces = []
    for reference in table.reference.values:
        needed = table.steps_needed.sel(reference=reference).values
        traces.append(_line("kappa", table, needed, reference_look(str(reference)), "steps"))
    y = log_axis("steps to weights within 10 % (log scale)") | {"tickformat": ","}
    title, bands = "Steps that the references themselves need", _training("kappa", table)
    return draw(Panel(title, traces, _axis("kappa", table), y, bands=bands))


def _shown_layers(table: xarray.Dataset) -> list[int]:
    layers = table.layer.values
    picked = np.linspace(0, len(layers) - 1, min(MOST_LINES, len(layers))).round().astype(int)
    return [int(layers[index]) for index in dict.fromkeys(picked)]


def _axis(name: str, table: xarray.Dataset) -> dict[str, Any]:
    variation = VARIATIONS[name]
    return {
        "title": {"text": variation.axis},
        "type": "log" if variation.spacing == "log" else "linear",
        "tickvals": _places(name, table).tolist(),
        "ticktext": _labels(table),
    }


def _places(name: str, table: xarray.Dataset) -> np.ndarray:
    """Where the values lie on their axis."""
    values = table.value.values
    return np.arange(len(values), dtype=float) if VARIATIONS[name].spacing == "even" else values


def _labels(table: xarray.Dataset) -> list[str]:
    return [f"{value:,g}" for value in table.value.values]


def _training(name: str, table: xarray.Dataset) -> list[tuple[float, float, str]]:
    """A thin band at the value in training."""
    own = float(table.attrs["own"])
    values, places = table.value.values, _places(name, table)
    if not (values[0] <= own <= values[-1]) or len(values) < 2:
        return []
    if VARIATIONS[name].spacing == "log":
        centre, reach = np.log10(own), BAND * np.log10(values[-1] / values[0])
        return [(10 ** (centre - reach), 10 ** (centre + reach), "")]
    centre, reach = float(np.interp(own, values, places)), BAND * float(np.ptp(places))
    return [(centre - reach, centre + reach, "")]


def _line(name: str, table: xarray.Dataset, y: np.ndarray, look: Look, what: str) -> Scatter:
    hover = f"%{{text}}: {what} %{{y:.3~g}}"
    return line(_places(name, table), y, look, hover, text=_labels(table))
