"""Fig. 9, 13, 14 and 27: weights that the predictions of layers imply for the next x."""

from __future__ import annotations

import numpy as np
import torch
import xarray
from plotly.graph_objects import Scatter

from interp.analyses.comparisons import Comparison
from interp.analyses.induced_weights import compare_induced_weights
from interp.paper.cast import Cast, Member
from interp.paper.catalogue import Row
from interp.paper.finding import Check, Drawing, Finding, Outcome, without_model
from interp.paper.growth import layers_at_work
from interp.paper.heatmaps import GD_GRID, NEWTON_GRID, law_claims
from interp.paper.layer_predictions import LayerPredictions
from interp.paper.matches import Matches, official_eta
from interp.paper.pictures import arranged, heatmap_panel
from interp.paper.published import LAST_SIMILARITY_OF_WEIGHTS
from interp.paper.roles import PAPER_DIMS
from interp.paper.scale import describe, number_check
from interp.plots.panel import Panel
from interp.plots.style import MUTED, ordered_looks
from probes.matching import StepGrid
from probes.references import GD, Newton, Reference

MOST_PROMPTS = 128
"""From here on as many as `compare_induced_weights` takes by itself."""
IN_SPAN = 0.95
"""Of the squared length that a direction at random leaves outside: what must lie inside."""
DRAWN_LAYERS = 5
LAST_GD_STEP = 2.0**15
"""That is drawn."""


def induced_weights(row: Row, cast: Cast) -> Finding:
    """SimW of every layer with every step of Newton and GD, best match marked."""
    layers = cast.layers("transformer")
    member = cast.find("transformer")
    if layers is None or member is None:
        return without_model(row, cast.lacks("transformer"))
    about = describe(cast, "transformer")
    eta = official_eta(layers.prefixes)
    tree = _compare(member, cast, eta)
    newton, gd = (_matches(tree, name) for name in ("newton", "gd"))
    first = (layers_at_work(layers) or (0, 0))[0]
    low = min(item.similarity[first:, 1:].min().item() for item in (newton, gd))
    figure = arranged(
        heatmap_panel(
            newton, "newton", title="Iterative Newton", measure="SimW", low=low, with_scale=False
        ),
        heatmap_panel(
            gd,
            "gd",
            title="Gradient descent, log axis",
            measure="SimW",
            low=low,
            largest=LAST_GD_STEP,
        ),
        legend_rows=0,
    )
    checks = (
        *law_claims(layers, newton, gd, about),
        number_check(
            "SimW of the last layer with Newton",
            newton.best[-1].item(),
            LAST_SIMILARITY_OF_WEIGHTS,
            0.01,
            at_scale=cast.n_dims == PAPER_DIMS,
            about=about,
            interval=newton.best_interval[-1],
        ),
    )
    drawing = Drawing(
        row.key,
        "Similarity of induced weights (SimW)",
        "Mean cosine, over prompts and prefixes of at least one pair, of the weights that a "
        "layer's read-out induces with those of each step; best step marked. "
        f"{about}, GD with eta = {eta:.3g}.",
        figure,
    )
    data = xarray.merge([newton.data("newton"), gd.data("gd")])
    return Finding(row, checks, (drawing,), data=data)


def span(row: Row, cast: Cast) -> Finding:
    """Share of the induced weights' squared length in the span of the examples."""
    layers = cast.layers("transformer")
    member = cast.find("transformer")
    if layers is None or member is None:
        return without_model(row, cast.lacks("transformer"))
    about = describe(cast, "transformer")
    root = _compare(member, cast, official_eta(layers.prefixes)).to_dataset()
    drawing = Drawing(
        row.key,
        "Induced weights and the span of the examples",
        "Share of the squared length of the induced weights that lies in the span of the examples "
        f"seen, and what a direction at random has. From n = d on the examples span all. {about}.",
        arranged(_span_panel(root, layers), legend_rows=2),
    )
    variables = ["in_span", "in_span_interval", "random_in_span"]
    return Finding(row, (_span_check(root, member, about),), (drawing,), data=root[variables])


def _compare(member: Member, cast: Cast, eta: float) -> xarray.DataTree:
    """`compare_induced_weights` with the official Newton and GD, once a model."""
    key = f"induced:{member.name}"
    if key not in cast.remembered:
        comparisons = [
            _comparison("newton", Newton(), NEWTON_GRID),
            _comparison("gd", GD(eta), GD_GRID),
        ]
        n_prompts = cast.settings.n_scored
        cast.remembered[key] = compare_induced_weights(
            member.model,
            member.task,
            comparisons=comparisons,
            n_prompts=None if n_prompts >= MOST_PROMPTS else n_prompts,
            seed=cast.settings.seed,
        )
    tree: xarray.DataTree = cast.remembered[key]
    return tree


def _comparison(name: str, reference: Reference, grid: StepGrid) -> Comparison:
    return Comparison(name, name, reference, grid, grid, grid)


def _matches(tree: xarray.DataTree, name: str) -> Matches:
    found = tree[name].to_dataset()
    grid = StepGrid(tuple(found.step.values.tolist()), found.attrs["spacing"])
    variables = (
        "similarity", "best_step", "best_step_interval", "best_similarity",
        "best_similarity_interval",
    )  # fmt: skip
    return Matches(grid, *(torch.from_numpy(found[variable].values) for variable in variables))


def _span_check(root: xarray.Dataset, member: Member, about: str) -> Check:
    """How far beyond a direction at random the last layer's weights lie in the span."""
    last = root.isel(layer=-1)
    before = last.sel(point=slice(1, member.task.n_dims - 1))
    outside = 1 - before.random_in_span.values
    spread = (before.in_span.values - before.random_in_span.values) / outside
    bounds = (before.in_span_interval.values - before.random_in_span.values[:, None]) / (
        outside[:, None]
    )
    low, high = bounds.mean(0)  # conservative: as if all points erred together
    outcome: Outcome = "cannot be told"
    if low >= IN_SPAN:
        outcome = "agrees"
    elif high < IN_SPAN:
        outcome = "disagrees"
    shares = ", ".join(f"{share:.3f}" for share in before.in_span.values)
    return Check(
        "the last layer's induced weights lie in the span of the examples",
        f"share of the squared length in the span after 1, 2, … examples: {shares}; of what a "
        f"direction at random leaves outside, {spread.mean():.1%} ({low:.1%} to {high:.1%}) is in",
        f"averaged over n < d, at least {IN_SPAN:.0%} of the squared length that a direction at "
        "random leaves outside lies in the span, with its 95 % interval; disagrees if all below",
        outcome,
        about=about,
    )


def _span_panel(root: xarray.Dataset, layers: LayerPredictions) -> Panel:
    first, last = layers_at_work(layers) or (0, layers.n_layers)
    drawn = np.unique(np.linspace(first, last, DRAWN_LAYERS).round().astype(int))
    points = root.point.values
    traces = [
        Scatter(
            x=points,
            y=root.random_in_span.values,
            mode="lines",
            line={"color": MUTED, "dash": "dot", "width": 2},
            name="direction at random",
        )
    ]
    for layer, look in zip(drawn, ordered_looks([f"layer {n}" for n in drawn]), strict=True):
        item = root.sel(layer=layer)
        y, (low, high) = item.in_span.values, item.in_span_interval.values.T
        traces.append(
            Scatter(
                x=points,
                y=y,
                error_y={"type": "data", "array": high - y, "arrayminus": y - low, "thickness": 1},
                mode="lines+markers",
                line=look.line,
                marker=look.marker,
                name=look.label,
            )
        )
    return Panel(
        "Share in the span of the examples",
        traces,
        {"title": {"text": "number of examples n"}},
        {"title": {"text": "share of squared length in the span"}, "range": [0, 1.04]},
    )
