"""SimE of every layer with every step of a reference, best match marked."""

from __future__ import annotations

from typing import Any

import numpy as np
from plotly.graph_objects import Figure, Heatmap, Scatter

from interp.plots.marks import BEST_MARK, button_row
from interp.plots.panel import Panel, draw, layer_axis
from interp.plots.step_axis import StepAxis
from interp.plots.style import SEQUENTIAL, reference_look
from interp.results.result import MatchResult
from interp.results.selection import AT_LEAST, choose_site, choose_stepping

TREATMENTS = {
    "matched/paper": "matched",
    "raw/paper": "raw, paper",
    "raw/official": "raw, official code",
}
"""What the buttons that switch between treatments of the iterates say."""


def plot_heatmap(
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

    def best(which: str) -> np.ndarray:
        return scores.best_step_by_treatment.sel(treatment=which).values

    def table(which: str) -> np.ndarray:
        return scores.similarity.sel(treatment=which).values

    cells, marks = similarity_cells(
        axis, steps, layers, table(treatment), best(treatment), unit="SimE"
    )
    layout: dict[str, Any] = {}
    if switch and len(treatments) > 1:
        buttons = [
            {
                "label": TREATMENTS.get(which, which),
                "method": "restyle",
                "args": [
                    {
                        "z": [table(which), None],
                        "x": [places, axis.place(best(which))],
                        "customdata": [cells.customdata, best(which)],
                        "text": [None, at_least(best(which), steps)],
                    }
                ],
            }
            for which in treatments
        ]
        layout["updatemenus"] = [button_row(buttons, treatments.index(treatment), 1.02)]
    panel = Panel(
        title=f"{reference_look(name).label}: similarity of errors (SimE)",
        traces=(cells, marks),
        x={**axis.properties("step"), "showgrid": False, "range": step_range(places)},
        y={**layer_axis(result), "showgrid": False, "range": [layers[0] - 0.5, layers[-1] + 0.5]},
        layout=layout,
    )
    return draw(panel)


def similarity_cells(
    axis: StepAxis,
    steps: np.ndarray,
    layers: np.ndarray,
    similarity: np.ndarray,
    best: np.ndarray,
    *,
    unit: str,
) -> tuple[Heatmap, Scatter]:
    """A heatmap of similarity by layer and step, and a mark on each layer's best step."""
    cells = Heatmap(
        x=axis.place(steps),
        y=layers,
        z=similarity,
        colorscale=SEQUENTIAL,
        colorbar={"title": {"text": unit}, "thickness": 12, "outlinewidth": 0},
        customdata=np.broadcast_to(steps, (len(layers), len(steps))),
        hovertemplate=f"layer %{{y}}, step %{{customdata:,.4~r}}: {unit} %{{z:.3f}}<extra></extra>",
    )
    marks = Scatter(
        x=axis.place(best),
        y=layers,
        mode="markers",
        marker=BEST_MARK,
        customdata=best,
        text=at_least(best, steps),
        hovertemplate="layer %{y}: best at step %{text}%{customdata:,.3~f}<extra></extra>",
        showlegend=False,
        cliponaxis=False,
    )
    return cells, marks


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
