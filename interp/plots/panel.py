"""One panel of a picture, and panels side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from plotly.basedatatypes import BaseTraceType
from plotly.graph_objects import Figure

from interp.plots.style import FONT, GRID, INK, MUTED, SHADE
from interp.results.result import MatchResult

HEIGHT = 420
GAP = 0.12
"""Between panels, as a share of the width."""
MOST_LAYER_TICKS = 13
MOST_HEAD_TICKS = 48
HEAD_HEIGHT = 19
"""Pixels of a head's row, high enough for its number."""
R2_AXIS: dict[str, Any] = {
    "title": {"text": "best R² (1 = fully readable)"},
    "range": [-0.04, 1.06],
    "dtick": 0.2,
}
AXIS: dict[str, Any] = {
    "automargin": True,
    "gridcolor": GRID,
    "linecolor": MUTED,
    "showline": True,
    "ticks": "outside",
    "tickcolor": MUTED,
    "zeroline": False,
}


@dataclass(frozen=True)
class Panel:
    """What is drawn on one pair of axes."""

    title: str
    traces: Sequence[BaseTraceType]
    x: dict[str, Any]
    """Properties of the x axis, its title with the unit among them."""
    y: dict[str, Any]
    bands: Sequence[tuple[float, float, str]] = ()
    """Shaded stretches of the x axis: start, end and what they are."""
    layout: dict[str, Any] = field(default_factory=dict)
    """Further properties of the figure's layout."""


def draw(*panels: Panel) -> Figure:
    """A figure of one panel, or of several side by side.

    Raises:
        ValueError: No panels: the result holds nothing of what was asked for.
    """
    if not panels:
        raise ValueError("the result holds nothing of what was asked for")
    width = (1 - GAP * (len(panels) - 1)) / len(panels)
    layout: dict[str, Any] = {
        "font": {"family": FONT, "size": 13, "color": INK},
        "height": HEIGHT,
        "legend": {
            "orientation": "h",
            "x": 0,
            "y": 1.02 if len(panels) == 1 else 1.1,
            "yanchor": "bottom",
            "font": {"size": 12},
        },
        "margin": {"l": 56, "r": 12, "t": 16, "b": 48},
        "paper_bgcolor": "white",
        "plot_bgcolor": "white",
        "shapes": [],
        "annotations": [],
        "template": None,
    }
    if len(panels) == 1:
        layout["title"] = {
            "text": panels[0].title,
            "x": 0,
            "xref": "paper",
            "y": 1,
            "yref": "container",
            "yanchor": "top",
            "pad": {"t": 12, "b": 6},
            "automargin": True,  # above the buttons or the legend, however high they are
        }
    traces = []
    for index, panel in enumerate(panels):
        number = str(index + 1) if index else ""
        start = index * (width + GAP)
        layout[f"xaxis{number}"] = {
            **AXIS,
            **panel.x,
            "domain": [start, start + width],
            "anchor": f"y{number}",
        }
        layout[f"yaxis{number}"] = {**AXIS, **panel.y, "anchor": f"x{number}"}
        for band in panel.bands:
            _shade(layout, number, *band)
        if len(panels) > 1:
            _caption(layout, panel.title, start)
        traces += [trace.update(xaxis=f"x{number}", yaxis=f"y{number}") for trace in panel.traces]
        layout |= panel.layout
    return Figure(traces, layout)


def layer_axis(result: MatchResult) -> dict[str, Any]:
    """The axis of a result's layers."""
    return axis_of_layers(result.layers.layer.values)


def axis_of_layers(layers: np.ndarray) -> dict[str, Any]:
    """The axis of layers, with no more ticks than a phone has room for."""
    return {
        "title": {"text": "layer (0 = embedding)" if layers[0] == 0 else "layer"},
        "tick0": 0,
        "range": [layers[0] - 0.5, layers[-1] + 0.5],
        "dtick": -(-len(layers) // MOST_LAYER_TICKS),
    }


def axis_of_heads(names: Sequence[str]) -> dict[str, Any]:
    """The axis of attention heads, or what else has a row each, from the first layer down."""
    return {
        "title": {"text": "layer.head"},
        "type": "category",
        "autorange": "reversed",
        "showgrid": False,
        "dtick": max(1, len(names) // MOST_HEAD_TICKS),
    }


def _shade(layout: dict[str, Any], number: str, start: float, end: float, what: str) -> None:
    axes = {"xref": f"x{number}", "yref": f"y{number} domain"}
    layout["shapes"].append(
        {
            "type": "rect",
            "x0": start,
            "x1": end,
            "y0": 0,
            "y1": 1,
            "fillcolor": SHADE,
            "line": {"width": 0},
            "layer": "below",
            **axes,
        }
    )
    layout["annotations"].append(
        {
            "x": (start + end) / 2,
            "y": 1,
            "yanchor": "top",
            "text": what,
            "textangle": 0 if end - start > 1 else -90,
            "showarrow": False,
            "font": {"size": 11, "color": MUTED},
            **axes,
        }
    )


def _caption(layout: dict[str, Any], title: str, start: float) -> None:
    layout["annotations"].append(
        {
            "x": start,
            "y": 1.02,
            "xref": "paper",
            "yref": "paper",
            "xanchor": "left",
            "yanchor": "bottom",
            "text": title,
            "showarrow": False,
            "font": {"size": 14},
        }
    )
