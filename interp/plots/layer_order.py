"""What repeating, swapping or skipping a layer does to a model."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import xarray
from plotly.graph_objects import Figure, Scatter

from interp.plots.marks import error_bars, line
from interp.plots.panel import Panel, axis_of_layers, draw
from interp.plots.style import INK, MUTED, Look, reference_look

CHANGE_LOOKS: dict[str, Look] = {
    "repeat": Look("repeated", INK, "solid", "circle"),
    "swap": Look("swapped with the next", "#0072b2", "dash", "square"),
    "skip": Look("skipped", "#d55e00", "dot", "diamond"),
}


def layer_order(
    table: xarray.Dataset,
    reference: str | None = None,
    *,
    value: Literal["steps", "error", "eigenvalue"] = "steps",
) -> Figure:
    """What the prediction gains or loses by the layer that is repeated, swapped or skipped.

    Args:
        table: What `interp.reorder_layers` found.
        reference: Whose "steps"; by default the first.
        value: "steps" that the prediction gets ahead, beside those that the layer takes in the
            whole model; its "error"; or the "eigenvalue" that it resolves.

    Raises:
        ValueError: A reference that was not compared, or an unknown value.
    """
    names = [str(name) for name in table.reference.values]
    name = names[0] if reference is None else reference
    if name not in names:
        raise ValueError(f"reference must be one of {', '.join(names)}, got {name!r}")
    table = table.sel(reference=name)
    shown = {
        "steps": ("output_shift", f"steps of {reference_look(name).label} gained"),
        "error": ("error", "squared error / d"),
        "eigenvalue": ("output_resolved_eigenvalue", "eigenvalue of XᵀX where g = 1/2"),
    }
    if value not in shown:
        raise ValueError(f"value must be one of {', '.join(shown)}, got {value!r}")
    variable, title = shown[value]
    axis: dict[str, Any] = {"title": {"text": title}}
    if value != "steps":
        axis |= {"type": "log", "dtick": 1, "exponentformat": "power"}
    layers = table.layer.values
    whole = table.layer_gain.values if value == "steps" else table[f"model_{variable}"].values
    label = "steps of the layer itself" if value == "steps" else "the model as it is"
    expected = Scatter(
        x=layers, y=np.broadcast_to(whole, layers.shape), mode="lines", name=label,
        line={"color": MUTED, "dash": "longdash", "width": 1.5}, hovertemplate="%{y:.3~g}",
    )  # fmt: skip
    traces = [expected, *(_line(table.sel(change=key), variable, key) for key in CHANGE_LOOKS)]
    words = {"steps": "Steps", "error": "Error", "eigenvalue": "Resolved eigenvalue"}[value]
    panel = Panel(
        title=f"{words} of the prediction after a layer is changed",
        traces=[trace for trace in traces if len(trace.x)],
        x=axis_of_layers(layers),
        y=axis,
    )
    return draw(panel)


def _line(table: xarray.Dataset, variable: str, change: str) -> Scatter:
    here = table.isel(layer=np.flatnonzero(np.isfinite(table[variable].values)))
    values, bounds = here[variable].values, here[f"{variable}_interval"].values
    low, high = (np.where(np.isfinite(bound), bound, values) for bound in bounds.T)
    hover = f"layer %{{x}} {CHANGE_LOOKS[change].label}: %{{y:.4~g}}"
    bars = error_bars(values, low, high)
    return line(here.layer.values, values, CHANGE_LOOKS[change], hover, error_y=bars)
