"""The best-matching steps of every layer of a model, and no more of a match."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from hooks.model import SequenceModel
from interp.analyses.comparisons import Comparison
from interp.analyses.fitting import batches
from interp.analyses.layer_readouts import FIT_TO_HELD_OUT
from interp.tasks import Task
from probes.controls.bootstrap import bootstrap_weights
from probes.matching import Match, best_match
from probes.readout import Readout
from probes.readout_fitting import ReadoutFitter
from probes.references import Prefixes
from probes.similarity import error_directions, group_similarity

N_REPLICATES = 200


def fit_scaled_readouts(model: SequenceModel, task: Task, *, n_prompts: int, seed: int) -> Readout:
    """Ridge read-outs of y from every layer, each feature in units of its own root mean square.

    A stream may hold quantities of all sizes beside each other, such as M_k x beside a prediction,
    which at a large condition number is a million times as large; a ridge in the stream's own units
    would then suppress the prediction.

    Args:
        model: The model, whose last layer is read after the final LayerNorm.
        task: Where the prompts come from.
        n_prompts: To fit on; a quarter as many choose ridge strengths.
        seed: Of these prompts.

    Raises:
        NonFiniteError: An activation is NaN or infinite.
    """
    sites = list(model.sites())
    total = n_prompts + max(1, n_prompts // FIT_TO_HELD_OUT)
    [whole] = batches(model, task, sites, total, seed, "official", total)
    prefixes, activations, _ = whole
    scale = activations[:, :n_prompts].double().square().mean((1, 2)).sqrt()
    scale = torch.where(scale > 0, scale, 1.0)
    features = activations.double() / scale[:, None, None]
    fitter, held_out = (ReadoutFitter(len(sites), scale.shape[1], 1) for _ in range(2))
    for part, chosen in ((fitter, slice(n_prompts)), (held_out, slice(n_prompts, total))):
        part.update(features[:, chosen].flatten(1, 2), prefixes.ys[chosen].reshape(-1, 1))
    found = fitter.select(held_out.statistics)
    return Readout(found.weight / scale[..., None], found.bias, found.ridge)


def match_layers(
    layers: Float[Tensor, "layer prompt point"],
    prefixes: Prefixes,
    item: Comparison,
    *,
    n_groups: int,
    seed: int = 0,
) -> Match:
    """Matches layers with the steps of a reference by SimE with matched read-outs.

    The match is that of all prompts together first, then of bootstrap replicates of them.

    Args:
        layers: What the layers' read-outs say.
        prefixes: The prompts.
        item: The reference and its grid.
        n_groups: Groups of prompts, the units of the bootstrap; must divide their number.
        seed: Of the replicates.

    Raises:
        ValueError: An iterate is not finite, or the groups would differ in size.
    """
    iterates = item.reference.predictions(prefixes, item.grid.steps)
    ys = prefixes.ys
    of_layers = error_directions(layers, ys)
    of_iterates = error_directions(read_out(iterates, ys), ys)
    similarity = group_similarity(of_layers, of_iterates, n_groups)
    weights = bootstrap_weights(n_groups, N_REPLICATES, seed, with_original=True)
    replicates = torch.tensordot(weights / n_groups, similarity, 1).clamp(max=1)
    return best_match(replicates, item.grid)


def read_out(
    iterates: Float[Tensor, "step prompt point"], ys: Float[Tensor, "prompt point"]
) -> Float[Tensor, "step prompt point"]:
    """Every iterate through its least-squares affine read-out of y, as a layer has one.

    Two numbers fitted to thousands need no prompts of their own.
    """
    centred = iterates - iterates.mean((1, 2), keepdim=True)
    spread = centred.square().sum((1, 2), keepdim=True)
    slope = (centred * (ys - ys.mean())).sum((1, 2), keepdim=True) / spread.clamp(min=1e-300)
    return ys.mean() + slope * centred
