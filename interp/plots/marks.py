"""Parts that traces and layouts of several pictures share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from plotly.graph_objects import Scatter

from interp.plots.style import Look

BEST_MARK: dict[str, Any] = {
    "symbol": "circle",
    "size": 10,
    "color": "white",
    "line": {"color": "black", "width": 2},
}
"""On a heatmap, the step that a layer is most like."""


def error_bars(
    values: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    *,
    colour: str | None = None,
    is_thin: bool = False,
) -> dict[str, Any]:
    """A trace's error bars from the ends of intervals, as the axis places them."""
    bars = {
        "type": "data",
        "symmetric": False,
        "array": np.maximum(high - values, 0),
        "arrayminus": np.maximum(values - low, 0),
        "thickness": 1 if is_thin else 1.2,
        "width": 3 if is_thin else 4,
    }
    return bars if colour is None else {**bars, "color": colour}


def line_with_intervals(
    layers: np.ndarray,
    values: np.ndarray,
    bounds: np.ndarray,
    look: Look,
    *,
    place: Callable[[np.ndarray], np.ndarray],
    digits: str,
) -> Scatter:
    """A score against layer.

    Args:
        layers: The layers.
        values: Of the score, one a layer.
        bounds: Its intervals, `[layer, (low, high)]`.
        look: How the line looks and is called.
        place: Where values lie on the axis.
        digits: Format of values in d3's language.
    """
    middle, low, high = (place(part) for part in (values, bounds[:, 0], bounds[:, 1]))
    numbers = [f"%{{customdata[{index}]:{digits}}}" for index in range(3)]
    return Scatter(
        x=layers,
        y=middle,
        error_y=error_bars(middle, low, high),
        mode="lines+markers",
        line=look.line,
        marker=look.marker,
        name=look.label,
        customdata=np.column_stack([values, bounds]),
        hovertemplate=f"layer %{{x}}: {numbers[0]} ({numbers[1]} to {numbers[2]})",
    )


def button_row(buttons: Sequence[dict[str, Any]], active: int, height: float) -> dict[str, Any]:
    """Buttons in a row above a picture, at a height in shares of its own."""
    return {
        "type": "buttons",
        "direction": "right",
        "active": active,
        "buttons": list(buttons),
        "x": 0,
        "xanchor": "left",
        "y": height,
        "yanchor": "bottom",
        "pad": {"b": 6, "l": 0, "t": 0, "r": 0},
        "font": {"size": 11},
        "bgcolor": "white",
        "showactive": True,
    }
