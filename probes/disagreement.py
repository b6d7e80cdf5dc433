"""Similarity of errors where two references disagree, and where they do not."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from probes.similarity import error_directions, point_similarity
from probes.uncertainty.bootstrap import bootstrap_interval, bootstrap_weights


@dataclass(frozen=True)
class RivalSimilarity:
    """SimE of layers with two rivals, over prompts sorted by how much the rivals disagree."""

    disagreement: Float[Tensor, "layer part"]
    """1 - SimE of the rivals with each other; the parts of the prompts follow in rising order."""
    similarity: Float[Tensor, "rival layer part"]
    margin: Float[Tensor, "layer part"]
    """SimE with the first rival minus SimE with the second."""
    margin_interval: Float[Tensor, "2 layer part"]
    at_points: Float[Tensor, "rival layer point"]
    """Cosine over all prompts of the errors at each point."""


def similarity_by_disagreement(
    layers: Float[Tensor, "layer prompt point"],
    rivals: Float[Tensor, "2 layer prompt point"],
    ys: Float[Tensor, "prompt point"],
    *,
    n_parts: int = 4,
    n_replicates: int = 200,
    seed: int = 0,
    level: float = 0.95,
    n_unseen: int = 1,
) -> RivalSimilarity:
    """SimE of every layer with two rivals on each quarter of the prompts, by their disagreement.

    On most prompts two references at their best-matching steps err alike, and a layer that is
    similar to one is similar to both. The prompts on which their errors differ are those that can
    tell, and here they are looked at alone. How much the rivals disagree on a prompt does not
    depend on the model, so nothing is selected in favour of either.

    Args:
        layers: Predictions of the layers.
        rivals: Predictions of both references at their best step for each layer.
        ys: What was to be predicted.
        n_parts: Parts of equal size that the prompts are sorted into.
        n_replicates: Bootstrap replicates, over the prompts of a part.
        seed: Of the replicates.
        level: Confidence level of the intervals.
        n_unseen: Leading points that have seen no pair.

    Raises:
        ValueError: Fewer than two prompts a part, or a prediction that is not finite.
    """
    n_prompts = ys.shape[0]
    size = n_prompts // n_parts if n_parts > 0 else 0
    if size < 2:
        raise ValueError(f"n_parts must leave 2 of {n_prompts} prompts in each, got {n_parts}")
    said = error_directions(layers, ys, n_unseen=n_unseen)
    first, second = (error_directions(rival, ys, n_unseen=n_unseen) for rival in rivals)
    between = 1 - (first * second).sum(-1)  # [layer, prompt]
    ascending = between.argsort(dim=-1)[:, n_prompts - size * n_parts :]

    def parts(values: Float[Tensor, "layer prompt"]) -> Float[Tensor, "layer part member"]:
        return values.gather(-1, ascending).unflatten(-1, (n_parts, size))

    to_rivals = [parts((said * rival).sum(-1)) for rival in (first, second)]
    difference = to_rivals[0] - to_rivals[1]
    weights = bootstrap_weights(size, n_replicates, seed)
    replicates = torch.einsum("rp,lkp->rlk", weights / size, difference)
    return RivalSimilarity(
        disagreement=parts(between).mean(-1),
        similarity=torch.stack([cosines.mean(-1) for cosines in to_rivals]),
        margin=difference.mean(-1),
        margin_interval=bootstrap_interval(replicates, level, n_groups=size),
        at_points=torch.stack([point_similarity(layers, rival, ys) for rival in rivals]),
    )
