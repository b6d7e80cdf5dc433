"""A line over layers whose every value has an interval."""

from __future__ import annotations

import xarray
from plotly.graph_objects import Scatter

from interp.plots.marks import error_bars
from interp.plots.style import Look


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
    middle = values.values
    low, high = (interval.sel(bound=name).values for name in ("low", "high"))
    return Scatter(
        x=values.layer.values,
        y=middle,
        mode="lines+markers",
        line=look.line,
        marker=look.marker,
        name=look.label,
        error_y=error_bars(middle, low, high, is_thin=True),
        hovertemplate=f"layer %{{x}}: %{{y:{digits}}}",
    )
