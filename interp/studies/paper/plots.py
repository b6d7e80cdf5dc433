"""Panels that several rows draw: heatmaps with the best match marked, lines with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from plotly.graph_objects import Figure, Scatter
from torch import Tensor

from interp.plots.heatmap import similarity_panel
from interp.plots.marks import line, placed_line
from interp.plots.panel import HEIGHT, Panel, StepAxis, axis_of_layers, draw
from interp.plots.style import MUTED, Look, reference_look
from interp.scoring.layer_matches import LayerMatches

Values: TypeAlias = Sequence[int | float | str] | np.ndarray | Tensor
"""On an axis of numbers or of names."""
PUBLISHED = Look("published, d = 20, 12 layers", MUTED, "dot", "diamond-open")
LAYER_TITLE = "layer (0 = embedding)"
LAYER_AXIS: dict[str, Any] = {"title": LAYER_TITLE, "dtick": 1}
LOG_ERROR_AXIS: dict[str, Any] = {
    "title": "squared error / d",
    "type": "log",
    "exponentformat": "power",
    "dtick": 1,
}
MOST_DECADES_OF_2_AND_5 = 2.0
"""On a wider axis only powers of ten have labels."""


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
    steps = np.asarray(matches.grid.steps)
    shown = steps <= (largest or steps[-1])
    layers = np.arange(len(matches.step))
    panel = similarity_panel(
        title or reference_look(name).label,
        StepAxis(matches.grid.spacing == "log", float(steps[shown][-1])),
        steps[shown],
        layers,
        matches.similarity.numpy()[:, shown],
        matches.step.numpy(),
        unit=measure,
        y=axis_of_layers(layers),
    )
    panel.traces[0].update(zmin=low, zmax=1, showscale=with_scale)
    return panel


def lowest(*matches: LayerMatches) -> float:
    """The dark end of a colour scale that several heatmaps share."""
    return min(item.similarity.min().item() for item in matches)


def step_line(
    matches: LayerMatches, look: Look, axis: StepAxis, *, x: Values | None = None
) -> Scatter:
    """Best-matching step against layer with its interval."""
    places = np.arange(len(matches.step)) if x is None else x
    bounds = matches.step_interval.numpy()
    return placed_line(
        places, matches.step.numpy(), bounds, look, place=axis.place, digits=",.4~r", hover="%{x}: "
    )


def plain_line(x: Values, y: Values, look: Look, **more: Any) -> Scatter:
    """A line with markers; `more` are further properties of the trace."""
    return line(list(x), np.asarray(y), look, "%{x}: %{y:.4g}", **more)


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


def log_error_axis(*errors: Tensor) -> dict[str, Any]:
    """The logarithmic axis of errors that all panels with these lines share."""
    values = torch.cat([part.flatten() for part in errors])
    exponents = values[values > 0].log10()
    low, high = exponents.min().item() - 0.1, exponents.max().item() + 0.1
    axis = LOG_ERROR_AXIS | {"range": [low, high]}
    if high - low < MOST_DECADES_OF_2_AND_5:
        axis |= {"dtick": "D2", "tickformat": "~g"}
    return axis
