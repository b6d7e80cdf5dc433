"""Which references together explain each layer, and with which weights."""

from __future__ import annotations

import numpy as np
from plotly.graph_objects import Bar, Figure

from interp.plots.anatomy import AnatomyTable, at_point
from interp.plots.marks import error_bars, hatching
from interp.plots.panel import Panel, axis_of_layers, draw
from interp.plots.style import reference_look

HATCHINGS = ("", "/", "\\", "x", "-", "|", "+", ".")


def mixtures(anatomy: AnatomyTable, point: int | None = None) -> Figure:
    """Weights of the references in the mixture that explains each layer best, side by side.

    Args:
        anatomy: What `interp.anatomy` found, or the view "anatomy" of a match.
        point: Number of examples seen; by default the most that was taken apart.

    Raises:
        ValueError: A point that was not taken apart.
    """
    table = at_point(anatomy, point)
    traces = []
    for index, name in enumerate(table.reference.values):
        here = table.sel(reference=name)
        values, low, high = (here[f"mixture_weight{end}"].values for end in ("", "_low", "_high"))
        if not (values > 0).any():
            continue
        look = reference_look(str(name))
        pattern = hatching(HATCHINGS[index % len(HATCHINGS)])
        traces.append(
            Bar(
                x=here.layer.values,
                y=np.where(values > 0, values, np.nan),
                name=look.label,
                marker={"color": look.line["color"], "pattern": pattern},
                error_y=error_bars(values, low, high),
                customdata=np.column_stack([here.mixture_step, here.mixture_gain]),
                hovertemplate=(
                    "layer %{x}: %{y:.2f} × step %{customdata[0]:,.4~g}; "
                    "mixture above the best alone: %{customdata[1]:.1%}"
                ),
            )
        )
    panel = Panel(
        title=f"Mixture of references that explains each layer, after {int(table.point)} examples",
        traces=traces,
        x=axis_of_layers(table.layer.values) | {"showgrid": False},
        y={"title": {"text": "weight of the iterate"}, "rangemode": "tozero"},
        layout={"barmode": "group"},
    )
    return draw(panel)
