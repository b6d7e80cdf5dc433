"""How far the scores lie above those of a control."""

from __future__ import annotations

from typing import Literal

from plotly.graph_objects import Figure

from interp.plots.layer_intervals import layer_line
from interp.plots.panel import Panel, draw, layer_axis
from interp.plots.style import reference_look
from interp.results.result import MatchResult
from interp.results.selection import choose_site, stepping

VARIABLES = {"similarity": "selectivity", "prediction": "prediction_selectivity"}
TITLES = {
    "similarity": "Similarity of errors beyond the random twin's",
    "prediction": "Direct R² beyond the random twin's",
}


def plot_selectivity(
    result: MatchResult,
    measure: Literal["similarity", "prediction"] = "similarity",
    *,
    site: str | None = None,
) -> Figure:
    """Score of each reference at its best step minus that of the random-initialised twin.

    Args:
        result: What `match` found.
        measure: SimE, or the held-out R^2 of the iterate's prediction.
        site: Kind of site; by default the first, the only one that the twin is read at.

    Raises:
        ValueError: A site that the result does not hold, an unknown measure, or a result without
            a twin.
    """
    kind = choose_site(result, site)
    if measure not in VARIABLES:
        raise ValueError(f"measure must be one of {', '.join(VARIABLES)}, got {measure!r}")
    variable = VARIABLES[measure]
    traces = []
    for name in stepping(result):
        scores = result.reference(name)
        if variable not in scores:
            continue
        traces.append(
            layer_line(
                scores[variable].sel(site=kind),
                scores[f"{variable}_interval"].sel(site=kind),
                reference_look(name),
            )
        )
    if not traces:
        raise ValueError("the result holds no scores of a random-initialised twin")
    y = {"title": {"text": "real minus control"}, "zeroline": True, "zerolinecolor": "#57606a"}
    return draw(Panel(TITLES[measure], traces, layer_axis(result), y))
