"""What can be read from layers, beyond a control, by one family alone, and against another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from plotly.graph_objects import Figure

from interp.plots.marks import layer_line, line
from interp.plots.panel import R2_AXIS, Panel, draw, layer_axis
from interp.plots.style import ordered_looks, reference_look
from interp.results.result import MatchResult
from interp.results.selection import Measure, choose_site, choose_stepping, is_measured, stepping
from probes.references import legend_of

DRAWN: dict[str, tuple[str, str, str]] = {
    "prediction": ("prediction", "solid", "circle"),
    "weights": ("weight vector", "dash", "square"),
    "filtered_query": ("filtered query", "dot", "diamond"),
}
"""What is regressed onto: its name, dash and symbol."""
SELECTIVITIES = {
    "similarity": ("selectivity", "Similarity of errors beyond the random twin's"),
    "prediction": ("prediction_selectivity", "Direct R² beyond the random twin's"),
}
"""By measure: the variable of a result, and the picture's title."""


def direct(
    result: MatchResult, references: Sequence[str] | None = None, *, site: str | None = None
) -> Figure:
    """Best held-out R^2 of each iterate from each layer's activations.

    The steps at which it is reached are a match curve: see `curve` with `measure`.

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
                line(
                    scores.layer.values,
                    np.maximum(values, 0),
                    look,
                    "layer %{x}: R² %{customdata:.3f}",
                    line={**look.line, "dash": dash},
                    marker={**look.marker, "symbol": symbol},
                    name=words if len(names) == 1 else f"{look.label}: {words}",
                    customdata=values,
                )
            )
    title = f"{only} held-out R² from each layer"
    return draw(Panel(title, traces, layer_axis(result), R2_AXIS))


def selectivity(
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
    if measure not in SELECTIVITIES:
        raise ValueError(f"measure must be one of {', '.join(SELECTIVITIES)}, got {measure!r}")
    variable, title = SELECTIVITIES[measure]
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
    y = {"title": {"text": "real minus control"}, "zeroline": True}
    return draw(Panel(title, traces, layer_axis(result), y))


def unique_variance(result: MatchResult, *, site: str | None = None) -> Figure:
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


def disagreement(result: MatchResult) -> Figure:
    """SimE with the best family minus that with the next, by how much the two disagree.

    Args:
        result: What `match` found.

    Raises:
        ValueError: The result compares a single family.
    """
    root = result.layers
    if "rival_margin" not in root:
        raise ValueError("the result holds no rivals: it compares a single family")
    parts = [str(part) for part in root.part.values]
    words = ["least", *[f"quarter {part}" for part in parts[1:-1]], "most"]
    looks = ordered_looks(
        [f"disagree {word}" if word in ("least", "most") else word for word in words]
    )
    traces = []
    for part, look in zip(parts, looks, strict=True):
        traces.append(
            layer_line(
                root.rival_margin.sel(part=part),
                root.rival_margin_interval.sel(part=part),
                look,
                "+.4f",
            )
        )
    first, second = (legend_of(str(name)) for name in root.rival.values)
    title = f"SimE with {first} minus SimE with {second}"
    y = {"title": {"text": "margin (positive: the first)"}, "zeroline": True}
    return draw(Panel(title, traces, layer_axis(result), y))
