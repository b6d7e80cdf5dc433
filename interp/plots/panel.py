"""One panel of a picture, panels side by side, and the axes that pictures share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from plotly.basedatatypes import BaseTraceType
from plotly.graph_objects import Figure
from plotly.subplots import make_subplots

from interp.plots import template
from interp.plots.style import MUTED, SHADE
from interp.results.result import MatchResult

HEIGHT = template.HEIGHT
GAP = 0.12
"""Between panels, as a share of the width."""
MOST_LAYER_TICKS = 13
MOST_HEAD_TICKS = 48
HEAD_HEIGHT = 19
"""Pixels of a head's row, high enough for its number."""
LEAST_HEIGHT = 300
"""Of a picture of few heads, whose y axis has a title of two dozen letters."""
R2_AXIS: dict[str, Any] = {
    "title": {"text": "best R² (1 = fully readable)"},
    "range": [-0.04, 1.06],
    "dtick": 0.2,
}
EXAMPLES_AXIS: dict[str, Any] = {"title": {"text": "number of examples seen"}}


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
    is_single = len(panels) == 1
    titles = None if is_single else [panel.title for panel in panels]
    figure = make_subplots(cols=len(panels), horizontal_spacing=GAP, subplot_titles=titles)
    figure.update_layout(template=template.NAME)
    if is_single:
        figure.update_layout(title_text=panels[0].title)
    else:
        figure.update_layout(legend_y=1.1)
    for index, panel in enumerate(panels):
        place = {"row": 1, "col": index + 1}
        figure.add_traces(list(panel.traces), 1, index + 1)
        figure.update_xaxes(panel.x, **place)
        figure.update_yaxes(panel.y, **place)
        if not is_single:
            start = next(figure.select_xaxes(**place)).domain[0]
            figure.layout.annotations[index].update(
                x=start, xanchor="left", y=1.02, font={"size": 14}
            )
        first, last = panel.x.get("range", (0, 4))
        width = last - first
        for start, end, what in panel.bands:
            figure.add_vrect(
                start,
                end,
                fillcolor=SHADE,
                line={"width": 0},
                layer="below",
                annotation={
                    "text": what,
                    "textangle": 0 if end - start > width / 4 else -90,
                    "font": {"size": 11, "color": MUTED},
                },
                annotation_position="inside top",
                exclude_empty_subplots=False,
                **place,
            )
        figure.update_layout(panel.layout)
    return figure


def log_axis(title: str, *values: np.ndarray, floor: float = 0.0) -> dict[str, Any]:
    """The logarithmic axis, which covers all values above a floor where there are any."""
    axis = {"title": {"text": title}, "type": "log", "tickformat": "~g", "dtick": 1}
    if not values:
        return axis
    shown = np.concatenate([np.ravel(part) for part in values])
    shown = shown[np.isfinite(shown) & (shown > floor)]
    low, high = (shown.min(), shown.max()) if len(shown) else (0.1, 1.0)
    return axis | {"range": [float(np.log10(low)) - 0.3, float(np.log10(high)) + 0.2]}


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


def axis_of_heads(names: Sequence[str], title: str = "layer.head") -> dict[str, Any]:
    """The axis of attention heads, or what else has a row each, from the first layer down."""
    return {
        "title": {"text": title},
        "type": "category",
        "autorange": "reversed",
        "showgrid": False,
        "dtick": max(1, len(names) // MOST_HEAD_TICKS),
    }


def head_names(layers: np.ndarray, heads: np.ndarray) -> np.ndarray:
    """Names such as "1.0" for head 0 of layer 1, layers outermost.

    Layers count from 1, as in every picture, where 0 is the embedding; `lens_name` gives the name
    in TransformerLens, whose first block is 0.
    """
    return np.array([f"{layer}.{head}" for layer in layers for head in heads])


def lens_name(name: str) -> str:
    """The name that TransformerLens gives a head: "L0H2" for "1.2"."""
    layer, head = name.split(".")
    return f"L{int(layer) - 1}H{head}"


@dataclass(frozen=True)
class StepAxis:
    """Where step counts lie on an axis.

    On the logarithmic one 0 steps lie as far below 1 as 2 steps lie above it, as on the grid that
    steps were matched on.
    """

    is_log: bool
    largest: float

    @classmethod
    def of(cls, result: MatchResult, name: str) -> StepAxis:
        """The axis that suits the grid of a reference."""
        scores = result.reference(name)
        return cls(scores.attrs["spacing"] == "log", float(scores.step.values[-1]))

    def place(self, steps: np.ndarray) -> np.ndarray:
        """Coordinates of step counts."""
        return np.log2(np.maximum(steps, 0.5)) if self.is_log else steps

    def properties(self, title: str) -> dict[str, Any]:
        """Properties of a plotly axis, ticks labelled with step counts."""
        if not self.is_log:
            return {"title": {"text": f"{title} (iterations)"}}
        last = int(np.log2(max(self.largest, 1)))
        exponents = range(0, last + 1, 3)
        return {
            "title": {"text": f"{title} (log scale)"},
            "tickvals": [-1, *exponents],
            "ticktext": ["0", *(f"{2**exponent:,}" for exponent in exponents)],
            "minor": {"tickvals": list(range(last + 1)), "ticks": "outside", "tickcolor": MUTED},
        }
