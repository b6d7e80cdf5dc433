"""What only one of the references explains, layer by layer."""

from __future__ import annotations

from plotly.graph_objects import Figure

from interp.plots.layer_intervals import layer_line
from interp.plots.panel import Panel, draw, layer_axis
from interp.plots.style import reference_look
from interp.results.result import MatchResult
from interp.results.selection import choose_site


def plot_unique_variance(result: MatchResult, *, site: str | None = None) -> Figure:
    """R^2 of each layer on a reference after all other families are partialled out.

    Args:
        result: What `match` found.
        site: Kind of site; by default the first, the only one that it is measured at.

    Raises:
        ValueError: A site that the result does not hold, or a result without unique variances.
    """
    kind = choose_site(result, site)
    traces = []
    for name in result.references:
        scores = result.reference(name)
        if "unique_r2" not in scores:
            continue
        traces.append(
            layer_line(
                scores.unique_r2.sel(site=kind),
                scores.unique_r2_interval.sel(site=kind),
                reference_look(name),
                ".3f",
            )
        )
    if not traces:
        raise ValueError("the result holds no unique variances")
    title = "Variance of the layers that one family alone explains"
    y = {"title": {"text": "partial R², all others held fixed"}, "range": [-0.04, 1.06]}
    return draw(Panel(title, traces, layer_axis(result), y))
