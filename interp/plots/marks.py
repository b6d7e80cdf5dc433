"""Parts that traces and layouts of several pictures share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

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
