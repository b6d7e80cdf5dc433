"""What a model answers when a query's state is taken from another prompt."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import xarray
from plotly.graph_objects import Figure, Scatter

from interp.plots.marks import error_bars, line
from interp.plots.panel import Panel, axis_of_layers, draw
from interp.plots.style import INK, MUTED, Look, reference_look

RANDOM_LOOK = Look("random directions", "#d55e00", "dot", "x")
ANSWER_LOOKS = {
    "A": Look("A's, whose state it is", INK, "solid", "circle"),
    "B": Look("B's, whose examples are there", "#0072b2", "dash", "square"),
}


def interchange(table: xarray.Dataset, *, value: Literal["share", "answer"] = "share") -> Figure:
    """What later layers make of another prompt's state of the query, by the layer it is put in.

    Args:
        table: What `interp.interchange` found.
        value: "share" of the change of an iterate that the answer makes where the iterate is
            moved to the other prompt's; or whose "answer" the whole state leads to.

    Raises:
        ValueError: An unknown value.
    """
    if value not in ("share", "answer"):
        raise ValueError(f"value must be 'share' or 'answer', got {value!r}")
    if value == "answer":
        traces = [_line(table, value, {"prompt": name}, ANSWER_LOOKS[name]) for name in "AB"]
        title, unit = "Whose answer the query's state leads to", "weight of the prompt's own answer"
    else:
        looks = {str(name): reference_look(str(name)) for name in table.reference.values}
        looks["random"] = RANDOM_LOOK
        traces = [_line(table, value, {"subspace": name}, look) for name, look in looks.items()]
        title, unit = "Iterates taken from another prompt", "share of the iterate's change"
    layers = table.layer.values
    goal = Scatter(
        x=[layers[0] - 0.5, layers[-1] + 0.5], y=[1, 1], mode="lines", hoverinfo="skip",
        line={"color": MUTED, "dash": "longdash", "width": 1.5}, showlegend=False,
    )  # fmt: skip
    axis: dict[str, Any] = {"title": {"text": unit}}
    return draw(Panel(title=title, traces=[goal, *traces], x=axis_of_layers(layers), y=axis))


def _line(table: xarray.Dataset, variable: str, where: dict[str, str], look: Look) -> Scatter:
    here = table.sel(where)
    here = here.isel(layer=np.flatnonzero(np.isfinite(here[variable].values)))
    bounds = here[f"{variable}_interval"].values
    bars = error_bars(here[variable].values, bounds[:, 0], bounds[:, 1])
    hover, more = "layer %{x}: %{y:.3f}", {}
    if variable == "share":
        hover, more = f"{hover}, cosine %{{customdata:.3f}}", {"customdata": here.cosine.values}
    return line(here.layer.values, here[variable].values, look, hover, error_y=bars, **more)
