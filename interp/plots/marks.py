"""Traces that several pictures share: lines with intervals, cells, best matches, buttons."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import xarray
from plotly.graph_objects import Heatmap, Scatter

from interp.plots.style import MUTED, Look

BEST_MARK: dict[str, Any] = {
    "symbol": "circle",
    "size": 10,
    "color": "white",
    "line": {"color": "black", "width": 2},
}
"""On a heatmap, the step that a layer is most like."""


def line(
    x: Any, y: Any, look: Look, hover: str, bounds: Iterable[Any] | None = None, **more: Any
) -> Scatter:
    """A line with markers, and with whiskers where there are intervals.

    Args:
        x: Places of the markers.
        y: Their values.
        look: How the series is drawn and called.
        hover: What is shown where it is pointed at.
        bounds: Lower and upper ends of the values' intervals.
        more: Further properties of the trace.
    """
    common = {"name": look.label, "line": look.line, "marker": look.marker, "mode": "lines+markers"}
    if bounds is not None:
        common["error_y"] = error_bars(np.asarray(y), *map(np.asarray, bounds), colour=look.colour)
    return Scatter(x=x, y=y, hovertemplate=hover, **{**common, **more})


def level(y: Any, label: str, x: Any, dash: str = "dash") -> Scatter:
    """A horizontal line across a panel, from one x to another."""
    stroke = {"color": MUTED, "dash": dash, "width": 1.5}
    return Scatter(x=x, y=[y, y], mode="lines", line=stroke, name=label, hoverinfo="skip")


def cells(x: Any, y: Any, z: Any, unit: str, hover: str, **more: Any) -> Heatmap:
    """Coloured cells and the bar that gives colours their meaning.

    Args:
        x: Places of the columns.
        y: Places of the rows.
        z: Values `[row, column]`.
        unit: Above the bar.
        hover: What is shown where a cell is pointed at.
        more: Further properties of the trace.
    """
    bar = {"title": {"text": unit}, **more.pop("colorbar", {})}
    text = f"{hover}<extra></extra>"
    return Heatmap(x=x, y=y, z=z, colorbar=bar, hovertemplate=text, **more)


def error_bars(
    values: np.ndarray, low: np.ndarray, high: np.ndarray, *, colour: str | None = None
) -> dict[str, Any]:
    """A trace's error bars from the ends of intervals, as the axis places them."""
    bars = {
        "type": "data",
        "symmetric": False,
        "array": np.maximum(high - values, 0),
        "arrayminus": np.maximum(values - low, 0),
        "thickness": 1,
        "width": 3,
    }
    return bars if colour is None else {**bars, "color": colour}


def layer_line(
    values: xarray.DataArray, interval: xarray.DataArray, look: Look, digits: str = "+.3f"
) -> Scatter:
    """Values by `layer` with the whiskers that an interval by `layer` and `bound` gives.

    Args:
        values: The values.
        interval: Their bounds, "low" and "high".
        look: How the series is drawn and called.
        digits: How a value is written when it is pointed at.
    """
    bounds = [interval.sel(bound=name).values for name in ("low", "high")]
    hover = f"layer %{{x}}: %{{y:{digits}}}"
    return line(values.layer.values, values.values, look, hover, bounds)


def placed_line(
    x: Any,
    values: np.ndarray,
    bounds: np.ndarray,
    look: Look,
    *,
    place: Callable[[np.ndarray], np.ndarray],
    digits: str,
    hover: str = "layer %{x}: ",
    more_hover: str = "",
    **more: Any,
) -> Scatter:
    """A score on an axis that places values its own way, with its interval where it is pointed at.

    Args:
        x: Places of the markers, such as layers.
        values: Of the score.
        bounds: Its intervals, `[value, (low, high)]`.
        look: How the line looks and is called.
        place: Where values lie on the axis.
        digits: Format of values in d3's language.
        hover: What stands before a value where it is pointed at.
        more_hover: What stands behind it.
        more: Further properties of the trace.
    """
    number, *ends = (f"%{{customdata[{index}]:{digits}}}" for index in range(3))
    return line(
        x,
        place(values),
        look,
        f"{hover}{number} ({' to '.join(ends)}){more_hover}",
        [place(end) for end in bounds.T],
        **{"customdata": np.column_stack([values, bounds]), **more},
    )


def best_marks(x: Any, y: Any, hover: str, **more: Any) -> Scatter:
    """Marks on the best matches of a heatmap."""
    return Scatter(
        **{"x": x, "y": y, "mode": "markers", "marker": BEST_MARK, "showlegend": False, **more},
        hovertemplate=f"{hover}<extra></extra>",
        cliponaxis=False,
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
        "showactive": True,
    }


def hatching(shape: str, solidity: float = 0.2) -> dict[str, Any]:
    """White lines over a bar's colour, which tell bars apart in black and white."""
    return {"shape": shape, "fillmode": "overlay", "fgcolor": "white", "solidity": solidity}
