"""Fig. 9, 13, 14 and 27: weights that the predictions of layers imply for the next x."""

from __future__ import annotations

from functools import cache

import torch
import xarray

from interp import plots
from interp.analyses.induced_weights import compare_induced_weights
from interp.scoring.layer_matches import LayerMatches
from interp.studies.paper.claims import Claim, Quantity, number_claim
from interp.studies.paper.figures.heatmaps import GD_GRID, NEWTON_GRID
from interp.studies.paper.growth_claims import law_of_layers
from interp.studies.paper.models import PaperModel
from interp.studies.paper.paper_setup import LAST_SIMILARITY_OF_WEIGHTS
from interp.studies.paper.reproduction import Drawing, Part
from probes.candidate import Candidate
from probes.matching import StepGrid
from probes.references import GD, Newton

MOST_PROMPTS = 128
"""From here on as many as `compare_induced_weights` takes by itself."""


def induced_weights(model: PaperModel) -> Part:
    """SimW of every layer with every step of Newton and GD, best match marked."""
    tree = _compare(model)
    newton, gd = (_matches(tree, name) for name in ("newton", "gd"))
    last = number_claim(
        "last-weights",
        Quantity.of(newton.best[-1], newton.best_interval[-1]),
        LAST_SIMILARITY_OF_WEIGHTS,
        at_scale=model.at_scale,
        about=model.about,
    )
    laws = (
        law_of_layers("newton-law", model, newton.step),
        law_of_layers("gd-law", model, gd.step),
    )
    return Part(
        (*laws, last),
        tuple(
            Drawing.of("induced", plots.weights(tree, name), model=model) for name in tree.children
        ),
        data=xarray.merge([newton.data("newton"), gd.data("gd")]),
    )


def span(model: PaperModel) -> Part:
    """Share of the induced weights' squared length in the span of the examples."""
    tree = _compare(model)
    root = tree.to_dataset()
    return Part(
        (_span_claim(root, model),),
        (Drawing.of("span", plots.span(tree), model=model),),
        data=root[["in_span", "in_span_interval", "random_in_span"]],
    )


@cache
def _compare(model: PaperModel) -> xarray.DataTree:
    """`compare_induced_weights` with the official Newton and GD, once a model for two rows."""
    n_prompts = model.settings.n_scored
    return compare_induced_weights(
        model.model,
        model.task,
        comparisons=[
            Candidate("newton", "newton", Newton(), *[NEWTON_GRID] * 3),
            Candidate("gd", "gd", GD(model.eta), *[GD_GRID] * 3),
        ],
        n_prompts=None if n_prompts >= MOST_PROMPTS else n_prompts,
        seed=model.settings.seed,
    )


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
    found = (
        f"share of the squared length in the span after 1, 2, … examples: {shares}; of what a "
        f"direction at random leaves outside, {share.text('.1%')} is in"
    )
    return Claim.of("in-span", found, share, about=model.about)
