"""Scores of a model's layers against references, with bootstrap replicates of each."""

from __future__ import annotations

from dataclasses import dataclass

from einops import einsum
from jaxtyping import Float
from torch import Tensor

from probes.references import Prefixes


@dataclass(frozen=True)
class Sample:
    """The first evaluation prompts, one by one, and what every site's read-out predicts on them."""

    prefixes: Prefixes
    """The prompts, decomposed once for all who need it."""
    said: Float[Tensor, "site prompt point"]
    activations: Float[Tensor, "first_kind few_prompts point d_model"] | None = None
    """Of the sites of the first kind, on the first few of these prompts."""


@dataclass(frozen=True)
class Scores:
    """Scores under resampling weights: over all prompts first, then over replicates of them."""

    similarity: dict[tuple[str, str, str], Float[Tensor, "replicate site _step"]]
    """SimE by comparison, treatment of the iterates and convention."""
    direct: dict[tuple[str, str], Float[Tensor, "replicate _site _step"]]
    """Held-out R^2 by comparison and target, of the sites that were regressed."""
    point_similarity: dict[str, Float[Tensor, "site _step point"]]
    """Cosine over prompts of the errors at each point, by comparison."""
    reference_error: dict[str, Float[Tensor, "_step point"]]
    """Squared error of the iterates as they are."""
    layer_error: Float[Tensor, "replicate site point"]
    """Squared error of each site's read-out of y."""
    shuffled_error: Float[Tensor, "replicate site point"]
    """Of the read-out of other prompts' y, as a prediction of those."""
    model_error: Float[Tensor, "replicate point"]
    target_square: Float[Tensor, "replicate point"]
    """Mean of y^2: the error of predicting 0."""
    change: Float[Tensor, " site"]
    """Largest relative change from the site before, over prompts and points."""
    n_groups: int
    sample: Sample


def average(
    table: Float[Tensor, " group *rest"], weights: Float[Tensor, "replicate group"]
) -> Float[Tensor, " replicate *rest"]:
    """Mean over groups under resampling weights."""
    mean = einsum(weights, table.flatten(1), "replicate group, group rest -> replicate rest")
    return (mean / weights.sum(1, keepdim=True)).unflatten(1, table.shape[1:])
