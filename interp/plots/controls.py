"""What is found where nothing should be: random weights, shuffled targets."""

from __future__ import annotations

from html import escape
from typing import Any, Literal

import numpy as np
from plotly.graph_objects import Figure, Scatter

from interp.plots.panel import R2_AXIS, Panel, draw, layer_axis
from interp.plots.style import INK, Look
from interp.results.result import MatchResult
from interp.results.selection import choose_site, stepping

CONTROL_LOOKS = (
    ("#d55e00", "dash", "square-open"),
    ("#0072b2", "dot", "diamond-open"),
    ("#007a5a", "longdash", "triangle-up-open"),
    ("#cc79a7", "dashdot", "cross-open"),
)


def plot_controls(
    result: MatchResult,
    value: Literal["error", "r2"] = "error",
    *,
    site: str | None = None,
) -> Figure:
    """The model beside its controls, layer by layer.

    Args:
        result: What `match` found.
        value: "error" for the read-outs' error over that of predicting 0, "r2" for the highest
            R^2 with which any iterate's prediction can be read.
        site: Kind of site; by default the first.

    Raises:
        ValueError: A site that the result does not hold, or an unknown value.
    """
    kind = choose_site(result, site)
    root = result.layers
    if value == "error":
        title, variable = "Error, relative to predicting 0", "relative_error"
        y: dict[str, Any] = {
            "title": {"text": "error / error of predicting 0"},
            "rangemode": "tozero",
        }
        model = root.mean_error.sel(site=kind).values / float(root.zero_error.mean())
    elif value == "r2":
        title, variable = "Best R² of any iterate's prediction", "prediction_r2"
        y = R2_AXIS
        model = _best_r2(result, kind)
    else:
        raise ValueError(f"value must be 'error' or 'r2', got {value!r}")
    layers = root.layer.values
    traces = [_line(layers, model, Look("trained model", INK, "solid", "circle"))]
    for index, (name, control) in enumerate(result.data["controls"].children.items()):
        values = control.to_dataset()[variable].sel(site=kind).values
        if np.isfinite(values).any():
            look = Look(escape(name), *CONTROL_LOOKS[index % len(CONTROL_LOOKS)])
            traces.append(_line(layers, values, look))
    return draw(Panel(title, traces, layer_axis(result), y))


def _best_r2(result: MatchResult, kind: str) -> np.ndarray:
    tables = [
        result.reference(name).prediction_best_r2.sel(site=kind).values
        for name in stepping(result)
        if "prediction_best_r2" in result.reference(name)
    ]
    if not tables:
        return np.full(result.layers.sizes["layer"], np.nan)
    return np.maximum(np.max(tables, axis=0), 0)


def _line(layers: np.ndarray, values: np.ndarray, look: Look) -> Scatter:
    return Scatter(
        x=layers,
        y=values,
        mode="lines+markers",
        line=look.line,
        marker=look.marker,
        name=look.label,
        hovertemplate="layer %{x}: %{y:.3f}",
    )
