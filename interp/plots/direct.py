"""The direct protocol: what of the iterates can be read from the activations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import numpy as np
from plotly.graph_objects import Figure, Scatter

from interp.plots.panel import R2_AXIS, Panel, draw, layer_axis
from interp.plots.style import reference_look
from interp.results.result import MatchResult
from interp.results.selection import Measure, choose_site, choose_stepping, is_measured

DRAWN: dict[str, tuple[str, str, str]] = {
    "prediction": ("prediction", "solid", "circle"),
    "weights": ("weight vector", "dash", "square"),
    "filtered_query": ("filtered query", "dot", "diamond"),
}
"""What is regressed onto: its name, dash and symbol."""


def plot_direct(
    result: MatchResult, references: Sequence[str] | None = None, *, site: str | None = None
) -> Figure:
    """Best held-out R^2 of each iterate from each layer's activations.

    The steps at which it is reached are a match curve: see `plot_curve` with `measure`.

    Args:
        result: What `match` found.
        references: Names of references with steps; by default all.
        site: Kind of site; by default the first. Vectors are read at the first kind only.

    Raises:
        ValueError: A reference or site that the result does not hold.
    """
    kind = choose_site(result, site)
    names = choose_stepping(result, references)
    only = f"{reference_look(names[0]).label}: best" if len(names) == 1 else "Best"
    traces = []
    for name in names:
        look = reference_look(name)
        scores = result.reference(name).sel(site=kind)
        for target in get_args(Measure)[1:]:
            if not is_measured(scores, target):
                continue
            words, dash, symbol = DRAWN[target]
            values = scores[f"{target}_best_r2"].values
            traces.append(
                Scatter(
                    x=scores.layer.values,
                    y=np.maximum(values, 0),
                    mode="lines+markers",
                    line={**look.line, "dash": dash},
                    marker={**look.marker, "symbol": symbol},
                    name=words if len(names) == 1 else f"{look.label}: {words}",
                    customdata=values,
                    hovertemplate="layer %{x}: R² %{customdata:.3f}",
                )
            )
    return draw(
        Panel(
            title=f"{only} held-out R² from each layer",
            traces=traces,
            x=layer_axis(result),
            y=R2_AXIS,
        )
    )
