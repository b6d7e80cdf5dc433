"""Similarity with two references, on prompts that separate them and on ordinary ones."""

from __future__ import annotations

import xarray
from plotly.graph_objects import Figure, Scatter

from interp.plots.panel import Panel, draw
from interp.plots.style import reference_look


def plot_separation(separation: xarray.Dataset) -> Figure:
    """SimE of every layer with both references, one panel for each kind of prompts.

    Args:
        separation: What `interp.separate` found.
    """
    panels: list[Panel] = []
    for kind in separation.prompts.values:
        rows = separation.sel(prompts=kind)
        traces = []
        for name in rows.reference.values:
            look = reference_look(str(name))
            traces.append(
                Scatter(
                    x=rows.layer.values,
                    y=rows.similarity.sel(reference=name).values,
                    mode="lines+markers",
                    line=look.line,
                    marker=look.marker,
                    name=look.label,
                    showlegend=not panels,
                    customdata=rows.best_step.sel(reference=name).values,
                    hovertemplate="layer %{x}: %{y:.3f} at step %{customdata:,.4~r}",
                )
            )
        panels.append(
            Panel(
                f"{kind} prompts",
                traces,
                {"title": {"text": "layer (0 = embedding)"}},
                {"title": {"text": "SimE at the best step"}, "range": [-0.05, 1.05]},
            )
        )
    return draw(*panels)
