"""Scores of all prompts together, and of bootstrap replicates of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from einops import einsum
from jaxtyping import Float
from torch import Tensor

from interp.analyses.comparisons import Comparison
from interp.scoring.evaluation import Evaluation, Sample


@dataclass(frozen=True)
class Scores:
    """Scores under resampling weights: over all prompts first, then over replicates of them."""

    similarity: dict[tuple[str, str, str], Float[Tensor, "replicate site _step"]]
    """SimE by comparison, treatment of the iterates and convention."""
    direct: dict[tuple[str, str], Float[Tensor, "replicate _site _step"]]
    """Held-out R^2 by comparison and target, of the sites that were regressed."""
    point_similarity: dict[str, Float[Tensor, "site _step point"]]
    """Cosine over prompts of the errors at each point, by comparison."""
    layer_error: Float[Tensor, "replicate site point"]
    shuffled_error: Float[Tensor, "replicate site point"]
    reference_error: dict[str, Float[Tensor, "replicate _step point"]]
    model_error: Float[Tensor, "replicate point"]
    target_square: Float[Tensor, "replicate point"]
    change: Float[Tensor, " site"]
    n_groups: int
    sample: Sample

    @classmethod
    def of(
        cls,
        evaluation: Evaluation,
        comparisons: Sequence[Comparison],
        weights: Float[Tensor, "replicate group"],
    ) -> Scores:
        """Averages an evaluation's groups under resampling weights, the first row uniform."""
        direct: dict[tuple[str, str], Tensor] = {}
        for variance in evaluation.direct:
            few = weights[:, : len(variance.count)]
            direct |= variance.r2(torch.where(few.sum(1, keepdim=True) > 0, few, 1.0))
        return cls(
            similarity={key: average(t, weights) for key, t in evaluation.similarity.items()},
            direct=direct,
            point_similarity={
                item.name: _point_cosines(evaluation, item.name) for item in comparisons
            },
            layer_error=average(evaluation.layer_error, weights),
            shuffled_error=average(evaluation.shuffled_error, weights),
            reference_error={
                item.name: average(evaluation.reference_error[item.name], weights)
                for item in comparisons
            },
            model_error=average(evaluation.model_error, weights),
            target_square=average(evaluation.target_square, weights),
            change=evaluation.change,
            n_groups=evaluation.n_groups,
            sample=evaluation.sample,
        )


def average(
    table: Float[Tensor, " group *rest"], weights: Float[Tensor, "replicate group"]
) -> Float[Tensor, " replicate *rest"]:
    """Mean over groups under resampling weights."""
    mean = einsum(weights, table.flatten(1), "replicate group, group rest -> replicate rest")
    return (mean / weights.sum(1, keepdim=True)).unflatten(1, table.shape[1:])


def _point_cosines(evaluation: Evaluation, name: str) -> Float[Tensor, "site step point"]:
    layer = evaluation.layer_error.mean(0)[:, None]  # [site, 1, point]
    matched = evaluation.matched_error[name].mean(0)[None]  # [1, step, point]
    norms = (layer * matched).sqrt()
    product = evaluation.error_product[name].mean(0)
    return torch.where(norms > 0, product / norms.clamp(min=1e-300), 0.0)
