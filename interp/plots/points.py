"""Similarity at each layer's best step, for every number of examples."""

from __future__ import annotations

import numpy as np
from plotly.graph_objects import Figure, Heatmap

from interp.plots.panel import Panel, draw, layer_axis
from interp.plots.step_axis import StepAxis
from interp.plots.style import SEQUENTIAL, reference_look
from interp.results.result import MatchResult
from interp.results.selection import choose_reference, choose_site


def plot_points(
    result: MatchResult, reference: str | None = None, *, site: str | None = None
) -> Figure:
    """Cosine of errors over prompts at each layer's best step, by number of examples and layer.

    Args:
        result: What `match` found.
        reference: Name of a reference with steps; by default the one that the verdict quotes.
        site: Kind of site; by default the first.

    Raises:
        ValueError: A reference or site that the result does not hold.
    """
    name = choose_reference(result, reference)
    axis = StepAxis.of(result, name)
    scores = result.reference(name).sel(site=choose_site(result, site))
    table = scores.point_similarity.transpose("layer", "step", "point")
    nearest = [
        int(np.abs(axis.place(scores.step.values) - place).argmin())
        for place in np.nan_to_num(axis.place(scores.best_step.values))
    ]
    values = table.values[np.arange(len(nearest)), nearest]
    cells = Heatmap(
        x=scores.point.values,
        y=scores.layer.values,
        z=values,
        colorscale=SEQUENTIAL,
        zmax=1,
        colorbar={"title": {"text": "cosine"}, "thickness": 12, "outlinewidth": 0},
        hovertemplate="layer %{y}, %{x} examples: %{z:.3f}<extra></extra>",
    )
    panel = Panel(
        title=f"{reference_look(name).label}: similarity for each number of examples",
        traces=(cells,),
        x={"title": {"text": "number of examples seen"}, "showgrid": False},
        y={**layer_axis(result), "showgrid": False},
    )
    return draw(panel)
