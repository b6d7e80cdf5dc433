"""Similarity as colours: of layers with steps of a reference, by number of examples."""

from __future__ import annotations

from typing import Any

import numpy as np
from plotly.graph_objects import Figure

from interp.plots.marks import best_marks, button_row, cells
from interp.plots.panel import EXAMPLES_AXIS, Panel, StepAxis, draw, layer_axis
from interp.plots.style import reference_look
from interp.results.result import MatchResult
from interp.results.selection import AT_LEAST, choose_reference, choose_site, choose_stepping

TREATMENTS = {
    "matched/paper": "matched",
    "raw/paper": "raw, paper",
    "raw/official": "raw, official code",
}
"""What the buttons that switch between treatments of the iterates say."""


def heatmap(
    result: MatchResult,
    reference: str = "newton",
    *,
    site: str | None = None,
    treatment: str | None = None,
    switch: bool = True,
) -> Figure:
    """SimE by step and layer, as in Fig. 3 (Newton) and Fig. 10 (GD) of Fu et al. 2024.

    Args:
        result: What `match` found.
        reference: Name of a reference with steps.
        site: Kind of site; by default the first.
        treatment: "matched/paper", "raw/paper" or "raw/official"; by default the result's own.
        switch: Whether buttons above the picture switch between the treatments.

    Raises:
        ValueError: A reference, site or treatment that the result does not hold.
    """
    (name,) = choose_stepping(result, (reference,))
    scores = result.reference(name).sel(site=choose_site(result, site))
    treatments = [str(value) for value in scores.treatment.values]
    treatment = treatment or str(scores.attrs["treatment"])
    if treatment not in treatments:
        raise ValueError(f"treatment must be one of {', '.join(treatments)}, got {treatment!r}")
    axis = StepAxis.of(result, name)
    steps, layers = scores.step.values, scores.layer.values
    places = axis.place(steps)
    best = {
        which: scores.best_step_by_treatment.sel(treatment=which).values for which in treatments
    }
    tables = {which: scores.similarity.sel(treatment=which).values for which in treatments}
    columns = np.broadcast_to(steps, (len(layers), len(steps)))
    layout: dict[str, Any] = {}
    if switch and len(treatments) > 1:
        buttons = [
            {
                "label": TREATMENTS.get(which, which),
                "method": "restyle",
                "args": [
                    {
                        "z": [tables[which], None],
                        "x": [places, axis.place(best[which])],
                        "customdata": [columns, best[which]],
                        "text": [None, at_least(best[which], steps)],
                    }
                ],
            }
            for which in treatments
        ]
        layout["updatemenus"] = [button_row(buttons, treatments.index(treatment), 1.02)]
    panel = similarity_panel(
        f"{reference_look(name).label}: similarity of errors (SimE)",
        axis,
        steps,
        layers,
        tables[treatment],
        best[treatment],
        unit="SimE",
        y=layer_axis(result),
        layout=layout,
    )
    return draw(panel)


def points(result: MatchResult, reference: str | None = None, *, site: str | None = None) -> Figure:
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
    table = scores.point_similarity.transpose("layer", "step", "point").values
    best = np.nan_to_num(axis.place(scores.best_step.values))
    nearest = np.abs(axis.place(scores.step.values) - best[:, None]).argmin(1)
    shown = cells(
        scores.point.values,
        scores.layer.values,
        table[np.arange(len(nearest)), nearest],
        "cosine",
        "layer %{y}, %{x} examples: %{z:.3f}",
        zmax=1,
    )
    panel = Panel(
        title=f"{reference_look(name).label}: similarity for each number of examples",
        traces=(shown,),
        x={**EXAMPLES_AXIS, "showgrid": False},
        y={**layer_axis(result), "showgrid": False},
    )
    return draw(panel)


def similarity_panel(
    title: str,
    axis: StepAxis,
    steps: np.ndarray,
    layers: np.ndarray,
    similarity: np.ndarray,
    best: np.ndarray,
    *,
    unit: str,
    y: dict[str, Any],
    layout: dict[str, Any] | None = None,
) -> Panel:
    """A heatmap of similarity by layer and step, with a mark on each layer's best step.

    Args:
        title: Of the panel.
        axis: Where steps lie.
        steps: Those of the columns.
        layers: Those of the rows.
        similarity: Values `[layer, step]`.
        best: Each layer's best step; one beyond `steps` is marked by a triangle at the edge.
        unit: What the similarity is called.
        y: Properties of the axis of layers.
        layout: Further properties of the figure's layout.
    """
    places, is_beyond = axis.place(steps), best > steps[-1]
    shown = cells(
        places,
        layers,
        similarity,
        unit,
        f"layer %{{y}}, step %{{customdata:,.4~r}}: {unit} %{{z:.3f}}",
        customdata=np.broadcast_to(steps, (len(layers), len(steps))),
    )
    marks = best_marks(
        np.where(is_beyond, places[-1], axis.place(best)),
        layers,
        "layer %{y}: best at step %{text}%{customdata:,.3~f}",
        customdata=best,
        text=at_least(best, steps),
    )
    if is_beyond.any():
        marks.marker.symbol = np.where(is_beyond, "triangle-right", "circle").tolist()
    x = {**axis.properties("step"), "showgrid": False, "range": step_range(places)}
    return Panel(title, (shown, marks), x, {**y, "showgrid": False}, layout=layout or {})


def at_least(best: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """What stands before best steps: a sign where there are no further steps to compare."""
    return np.where(np.isclose(best, steps[-1]), f"{AT_LEAST} ", "")


def step_range(centres: np.ndarray) -> list[float]:
    """Outer edges of the first and the last of some cells, with a little room for marks."""
    if len(centres) < 2:
        return [float(centres[0]) - 0.5, float(centres[0]) + 0.5]
    first, last = (centres[1] - centres[0]) / 2, (centres[-1] - centres[-2]) / 2
    room = (centres[-1] - centres[0]) / 40
    return [float(centres[0] - first - room), float(centres[-1] + last)]
