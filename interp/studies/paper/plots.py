"""Panels that several rows draw: heatmaps with the best match marked, lines with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from plotly.graph_objects import Figure, Heatmap, Scatter
from torch import Tensor

from interp.plots.marks import BEST_MARK, error_bars
from interp.plots.panel import HEIGHT, Panel, draw
from interp.plots.step_axis import StepAxis
from interp.plots.style import MUTED, Look, reference_look
from interp.scoring.layer_matches import LayerMatches

Coordinates: TypeAlias = Sequence[int | float | str] | np.ndarray
"""On an axis of numbers or of names."""
PUBLISHED = Look("published, d = 20, 12 layers", MUTED, "dot", "diamond-open")
LAYER_TITLE = "layer (0 = embedding)"


def heatmap_panel(
    matches: LayerMatches,
    name: str,
    *,
    title: str | None = None,
    measure: str = "SimE",
    low: float | None = None,
    with_scale: bool = True,
    largest: float | None = None,
) -> Panel:
    """Similarity by step and layer, best match marked, as in Fig. 3.

    Args:
        matches: What to draw.
        name: Key of the reference.
        title: By default what the reference is called.
        measure: What the similarity is called.
        low: Similarity at the dark end of the scale; by default the lowest.
        with_scale: Whether the colour bar is drawn.
        largest: Last step drawn; matches beyond it are marked at the edge.
    """
    label = title or reference_look(name).label
    steps = np.asarray(matches.grid.steps)
    shown = steps <= (largest or steps[-1])
    axis = StepAxis(matches.grid.spacing == "log", float(steps[shown][-1]))
    places, layers = axis.place(steps[shown]), np.arange(len(matches.step))
    best = matches.step.numpy()
    inside = best <= steps[shown][-1]
    cells = Heatmap(
        x=places,
        y=layers,
        z=matches.similarity.numpy()[:, shown],
        zmin=low,
        zmax=1,
        showscale=with_scale,
        colorbar={"title": {"text": measure}},
        customdata=np.broadcast_to(steps[shown], (len(layers), shown.sum())),
        hovertemplate=f"layer %{{y}}, step %{{customdata:,.4~r}}: {measure} %{{z:.3f}}"
        "<extra></extra>",
    )
    marks = Scatter(
        x=np.where(inside, axis.place(best), places[-1]),
        y=layers,
        mode="markers",
        marker={
            **BEST_MARK,
            "symbol": np.where(inside, "circle", "triangle-right").tolist(),
        },
        customdata=best,
        hovertemplate="layer %{y}: best at step %{customdata:,.4~r}<extra></extra>",
        showlegend=False,
        cliponaxis=False,
    )
    return Panel(
        title=label,
        traces=(cells, marks),
        x={
            **axis.properties("step"),
            "showgrid": False,
            "range": _edges(places),
            **({} if axis.is_log else {"tickformat": ","}),
        },
        y={
            "title": {"text": LAYER_TITLE},
            "showgrid": False,
            "dtick": -(-len(layers) // 13),
            "range": [-0.5, len(layers) - 0.5],
        },
    )


def _edges(places: np.ndarray) -> list[float]:
    """Outer edges of the cells, with room for marks."""
    if len(places) < 2:
        return [float(places[0]) - 0.5, float(places[0]) + 0.5]
    first, last = (places[1] - places[0]) / 2, (places[-1] - places[-2]) / 2
    room = (places[-1] - places[0]) / 40
    return [float(places[0] - first - room), float(places[-1] + last + room)]


def lowest(*matches: LayerMatches) -> float:
    """The dark end of a colour scale that several heatmaps share."""
    return min(item.similarity.min().item() for item in matches)


def step_line(
    matches: LayerMatches, look: Look, axis: StepAxis, *, x: Coordinates | None = None
) -> Scatter:
    """Best-matching step against layer with its interval."""
    step = axis.place(matches.step.numpy())
    low, high = (axis.place(matches.step_interval[:, bound].numpy()) for bound in (0, 1))
    return interval_line(
        np.arange(len(step)) if x is None else x, step, low, high, look, matches.step.numpy()
    )


def interval_line(
    x: Coordinates,
    y: np.ndarray | Tensor,
    low: np.ndarray | Tensor,
    high: np.ndarray | Tensor,
    look: Look,
    values: np.ndarray | Tensor | None = None,
) -> Scatter:
    """A line with 95 % intervals.

    Args:
        x: Coordinates.
        y: Coordinates …
        low: … and those of their intervals.
        high: Upper ends.
        look: Colour, dash, symbol and name.
        values: What the mouse shows, where it is not y.
    """
    y, low, high = (np.asarray(part) for part in (y, low, high))
    return Scatter(
        x=x,
        y=y,
        error_y=error_bars(y, low, high, colour=look.colour),
        mode="lines+markers",
        line=look.line,
        marker=look.marker,
        name=look.label,
        customdata=y if values is None else np.asarray(values),
        hovertemplate="%{x}: %{customdata:,.4~r}",
    )


def line(
    x: Coordinates,
    y: np.ndarray | Tensor,
    look: Look,
    *,
    group: str | None = None,
    with_legend: bool = True,
) -> Scatter:
    """A line with markers."""
    return Scatter(
        x=list(x),
        y=np.asarray(y),
        mode="lines+markers",
        line=look.line,
        marker={**look.marker, "size": 6},
        name=look.label,
        legendgroup=group,
        showlegend=with_legend,
        hovertemplate="%{x}: %{y:.4g}",
    )


def level(y: float, label: str, x: tuple[float, float], *, dash: str = "dash") -> Scatter:
    """A horizontal line across the panel."""
    return Scatter(
        x=list(x),
        y=[y, y],
        mode="lines",
        line={"color": MUTED, "dash": dash, "width": 1.5},
        name=label,
        hoverinfo="skip",
    )


def arranged(*panels: Panel, legend_rows: int = 1) -> Figure:
    """Panels side by side with room above for captions and for a legend of so many rows."""
    figure = draw(*panels)
    captions = 28 if len(panels) > 1 else 0
    top = 16 + 24 * legend_rows + captions
    return figure.update_layout(
        legend={"y": 1.1 if captions else 1.02},
        margin={"t": top},
        meta={"wide": True, "top": top},
        height=HEIGHT + 24 * (legend_rows - 1),
        title=None,
    )


LAYER_AXIS: dict[str, Any] = {"title": {"text": LAYER_TITLE}, "dtick": 1}
LOG_ERROR_AXIS: dict[str, Any] = {
    "title": {"text": "squared error / d"},
    "type": "log",
    "exponentformat": "power",
    "dtick": 1,
}
MOST_DECADES_OF_2_AND_5 = 2.0
"""On a wider axis only powers of ten have labels."""


def log_error_axis(*errors: Tensor) -> dict[str, Any]:
    """The logarithmic axis of errors that all panels with these lines share."""
    values = torch.cat([part.flatten() for part in errors])
    exponents = values[values > 0].log10()
    low, high = exponents.min().item() - 0.1, exponents.max().item() + 0.1
    axis = LOG_ERROR_AXIS | {"range": [low, high]}
    if high - low < MOST_DECADES_OF_2_AND_5:
        axis |= {"dtick": "D2", "tickformat": "~g"}
    return axis
