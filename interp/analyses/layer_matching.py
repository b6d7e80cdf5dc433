"""The best-matching steps of every layer of a model, and no more of a match."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from interp.analyses.comparisons import Comparison
from probes.controls.bootstrap import bootstrap_weights
from probes.matching import Match, best_match
from probes.references import Prefixes
from probes.similarity import error_directions, group_similarity

N_REPLICATES = 200


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
    directions = [error_directions(values, ys) for values in (layers, read_out(iterates, ys))]
    similarity = group_similarity(*directions, n_groups)
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
