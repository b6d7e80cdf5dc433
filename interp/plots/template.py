"""The plotly template of every picture: fonts, axes, legends and colour bars, registered once."""

from __future__ import annotations

from typing import Any

import plotly.io
from plotly.graph_objects import Heatmap, layout

from interp.plots.style import FONT, GRID, INK, MUTED, SEQUENTIAL

NAME = "interp"
HEIGHT = 420
_AXIS: dict[str, Any] = {
    "automargin": True,
    "gridcolor": GRID,
    "linecolor": MUTED,
    "showline": True,
    "ticks": "outside",
    "tickcolor": MUTED,
    "zeroline": False,
    "zerolinecolor": MUTED,
}

plotly.io.templates[NAME] = layout.Template(
    layout={
        "font": {"family": FONT, "size": 13, "color": INK},
        "height": HEIGHT,
        "legend": {
            "orientation": "h",
            "x": 0,
            "y": 1.02,
            "yanchor": "bottom",
            "font": {"size": 12},
        },
        "margin": {"l": 56, "r": 12, "t": 16, "b": 48},
        "paper_bgcolor": "white",
        "plot_bgcolor": "white",
        "title": {
            "x": 0,
            "xref": "paper",
            "y": 1,
            "yref": "container",
            "yanchor": "top",
            "pad": {"t": 12, "b": 6},
            "automargin": True,  # above the buttons or the legend, however high they are
        },
        "updatemenudefaults": {"bgcolor": "white", "font": {"size": 11}},
        "xaxis": _AXIS,
        "yaxis": _AXIS,
    },
    data={
        "heatmap": [
            Heatmap(colorscale=SEQUENTIAL, colorbar={"thickness": 12, "outlinewidth": 0}),
        ],
    },
)

if plotly.io.renderers.default == "plotly_mimetype":
    # VS Code and JupyterLab show this kind of output; pages that nbconvert makes need HTML as well.
    plotly.io.renderers.default = "plotly_mimetype+notebook_connected"
