"""Fig. 9, 13, 14 and 27: weights that the predictions of layers imply for the next x."""

from __future__ import annotations

import numpy as np
import torch
import xarray
from plotly.graph_objects import Scatter

from interp.analyses.induced_weights import compare_induced_weights
from interp.plots.panel import Panel
from interp.plots.style import MUTED, ordered_looks
from interp.scoring.layer_matches import LayerMatches
from interp.studies.paper.claims import Claim, Quantity, Rule, number_claim
from interp.studies.paper.figures.heatmaps import GD_GRID, NEWTON_GRID
from interp.studies.paper.growth_claims import laws_of_layers
from interp.studies.paper.models import PaperModel, PaperModels
from interp.studies.paper.plots import arranged, heatmap_panel, interval_line
from interp.studies.paper.published import LAST_SIMILARITY_OF_WEIGHTS
from interp.studies.paper.reproduction import Drawing, RowResult, without_model
from interp.studies.paper.rows import Row
from probes.candidate import Candidate
from probes.matching import StepGrid
from probes.references import GD, Newton

MOST_PROMPTS = 128
"""From here on as many as `compare_induced_weights` takes by itself."""
IN_SPAN = 0.95
"""Of the squared length that a direction at random leaves outside: what must lie inside."""
DRAWN_LAYERS = 5
LAST_GD_STEP = 2.0**15
"""That is drawn."""


def induced_weights(row: Row, models: PaperModels) -> RowResult:
    """SimW of every layer with every step of Newton and GD, best match marked."""
    model = models.find("transformer")
    if model is None:
        return without_model(row, models.lacks("transformer"))
    tree = _compare(model, models)
    newton, gd = (_matches(tree, name) for name in ("newton", "gd"))
    first = (model.working_layers or (0, 0))[0]
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
    last = number_claim(
        "SimW of the last layer with Newton",
        Quantity.of(newton.best[-1], newton.best_interval[-1]),
        LAST_SIMILARITY_OF_WEIGHTS,
        0.01,
        at_scale=model.at_scale,
        about=model.about,
    )
    see = (
        "Mean cosine, over prompts and prefixes of at least one pair, of the weights that a "
        "layer's read-out induces with those of each step; best step marked. "
        f"{model.about}, GD with eta = {model.eta:.3g}."
    )
    return RowResult(
        row,
        (*laws_of_layers(model, newton.step, gd.step), last),
        (Drawing(row.key, "Similarity of induced weights (SimW)", see, figure),),
        data=xarray.merge([newton.data("newton"), gd.data("gd")]),
    )


def span(row: Row, models: PaperModels) -> RowResult:
    """Share of the induced weights' squared length in the span of the examples."""
    model = models.find("transformer")
    if model is None:
        return without_model(row, models.lacks("transformer"))
    root = _compare(model, models).to_dataset()
    see = (
        "Share of the squared length of the induced weights that lies in the span of the examples "
        "seen, and what a direction at random has. From n = d on the examples span all. "
        f"{model.about}."
    )
    figure = arranged(_span_panel(root, model), legend_rows=2)
    title = "Induced weights and the span of the examples"
    data = root[["in_span", "in_span_interval", "random_in_span"]]
    drawing = Drawing(row.key, title, see, figure)
    return RowResult(row, (_span_claim(root, model),), (drawing,), data=data)


def _compare(model: PaperModel, models: PaperModels) -> xarray.DataTree:
    """`compare_induced_weights` with the official Newton and GD, once a model."""
    if model.name not in models.induced:
        n_prompts = models.settings.n_scored
        models.induced[model.name] = compare_induced_weights(
            model.model,
            model.task,
            comparisons=[
                Candidate("newton", "newton", Newton(), *[NEWTON_GRID] * 3),
                Candidate("gd", "gd", GD(model.eta), *[GD_GRID] * 3),
            ],
            n_prompts=None if n_prompts >= MOST_PROMPTS else n_prompts,
            seed=models.settings.seed,
        )
    return models.induced[model.name]


def _matches(tree: xarray.DataTree, name: str) -> LayerMatches:
    found = tree[name].to_dataset()
    grid = StepGrid(tuple(found.step.values.tolist()), found.attrs["spacing"])
    variables = (
        "similarity", "best_step", "best_step_interval", "best_similarity",
        "best_similarity_interval",
    )  # fmt: skip
    return LayerMatches(grid, *(torch.from_numpy(found[name].values) for name in variables))


def _span_claim(root: xarray.Dataset, model: PaperModel) -> Claim:
    """How far beyond a direction at random the last layer's weights lie in the span."""
    before = root.isel(layer=-1).sel(point=slice(1, model.task.n_dims - 1))
    random = before.random_in_span
    beyond = ((before.in_span - random) / (1 - random)).mean("point")
    # Conservative: as if all points erred together.
    bounds = ((before.in_span_interval - random) / (1 - random)).mean("point")
    share = Quantity(beyond.item(), *bounds.values.tolist())
    shares = ", ".join(f"{share:.3f}" for share in before.in_span.values)
    return Claim(
        "the last layer's induced weights lie in the span of the examples",
        f"share of the squared length in the span after 1, 2, … examples: {shares}; of what a "
        f"direction at random leaves outside, {share.text('.1%')} is in",
        Rule(
            f"averaged over n < d, at least {IN_SPAN:.0%} of the squared length that a direction "
            "at random leaves outside lies in the span, with its 95 % interval; disagrees if all "
            "below",
            above=IN_SPAN,
        ),
        share,
        about=model.about,
    )


def _span_panel(root: xarray.Dataset, model: PaperModel) -> Panel:
    first, last = model.working_layers or (0, model.layers.n_layers)
    drawn = np.unique(np.linspace(first, last, DRAWN_LAYERS).round().astype(int))
    traces = [
        Scatter(
            x=root.point.values,
            y=root.random_in_span.values,
            mode="lines",
            line={"color": MUTED, "dash": "dot", "width": 2},
            name="direction at random",
        )
    ]
    for layer, look in zip(drawn, ordered_looks([f"layer {n}" for n in drawn]), strict=True):
        item = root.sel(layer=layer)
        low, high = item.in_span_interval.values.T
        traces.append(interval_line(root.point.values, item.in_span.values, low, high, look))
    return Panel(
        "Share in the span of the examples",
        traces,
        {"title": {"text": "number of examples n"}},
        {"title": {"text": "share of squared length in the span"}, "range": [0, 1.04]},
    )
