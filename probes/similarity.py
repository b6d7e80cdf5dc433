"""Similarity of errors: how alike two predictors err on the same prompts."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from einops import einsum, rearrange
from jaxtyping import Float
from torch import Tensor

Convention = Literal["paper", "official"]

CONVENTIONS = get_args(Convention)
"""The paper's definition starts at the point that has seen one pair, the official code at none."""


def error_directions(
    predictions: Float[Tensor, "*predictor prompt point"],
    ys: Float[Tensor, "prompt point"],
    convention: Convention = "paper",
    n_unseen: int = 1,
) -> Float[Tensor, "*predictor prompt scored_point"]:
    """Each prompt's residual vector over its points, scaled to length one.

    A residual of exactly zero stays zero, so its cosine with anything is 0.

    Args:
        predictions: Predictions of any number of predictors.
        ys: What was to be predicted.
        convention: Where the vector starts, one of `CONVENTIONS`.
        n_unseen: Leading points that have seen no pair, see `Prefixes.n_unseen`.

    Raises:
        ValueError: No point is left, or a prediction is not finite.
    """
    if convention not in CONVENTIONS:
        raise ValueError(f"convention must be one of {', '.join(CONVENTIONS)}, got {convention!r}")
    first = n_unseen if convention == "paper" else 0
    if ys.shape[-1] <= first:
        raise ValueError(
            f"prompts of {ys.shape[-1]} point(s) leave none under the {convention!r} convention"
        )
    residuals = (predictions[..., first:] - ys[..., first:]).double()
    return _unit(residuals, "predictions hold NaN or infinity, first at [*predictor, prompt]")


def error_cosines(
    a: Float[Tensor, "a prompt point"], b: Float[Tensor, "b prompt point"]
) -> Float[Tensor, "a b prompt"]:
    """Cosine of the errors of every pair of predictors on every prompt.

    Args:
        a: Error directions, as `error_directions` gives them.
        b: Error directions of the predictors to compare with.
    """
    return einsum(a, b, "a prompt point, b prompt point -> a b prompt")


def similarity_of_errors(
    a: Float[Tensor, "a prompt point"],
    b: Float[Tensor, "b prompt point"],
) -> Float[Tensor, "a b"]:
    """SimE: the mean over prompts of the cosine of errors (Fu et al. 2024, Definition 4).

    Args:
        a: Error directions, as `error_directions` gives them.
        b: Error directions of the predictors to compare with.
    """
    return einsum(a, b, "a prompt point, b prompt point -> a b") / a.shape[1]


def group_similarity(
    a: Float[Tensor, "a prompt point"], b: Float[Tensor, "b prompt point"], n_groups: int
) -> Float[Tensor, "group a b"]:
    """SimE within consecutive groups of prompts, to be averaged under resampling weights.

    Args:
        a: Error directions, as `error_directions` gives them.
        b: Error directions of the predictors to compare with.
        n_groups: Number of groups; must divide the number of prompts.

    Raises:
        ValueError: The groups would differ in size.
    """
    n_prompts = a.shape[1]
    if n_groups < 1 or n_prompts % n_groups:
        raise ValueError(f"n_groups must divide the {n_prompts} prompts, got {n_groups}")
    a_groups = (
        a.unflatten(1, (n_groups, -1)).flatten(2).transpose(0, 1)
    )  # [group, a, (prompt point)]
    b_groups = b.unflatten(1, (n_groups, -1)).flatten(2).transpose(0, 1)
    return a_groups @ b_groups.mT * (n_groups / n_prompts)


def point_similarity(
    predictions_a: Float[Tensor, "a prompt point"],
    predictions_b: Float[Tensor, "a prompt point"],
    ys: Float[Tensor, "prompt point"],
) -> Float[Tensor, "a point"]:
    """Cosine over prompts of the errors at each point, for predictors paired one to one.

    Args:
        predictions_a: Predictions of the first of each pair.
        predictions_b: Predictions of the second of each pair.
        ys: What was to be predicted.

    Raises:
        ValueError: A prediction is not finite.
    """
    where = "predictions hold NaN or infinity, first at [predictor, point]"
    a, b = (
        _unit(rearrange(p.double() - ys, "a prompt point -> a point prompt"), where)
        for p in (predictions_a, predictions_b)
    )
    return einsum(a, b, "a point prompt, a point prompt -> a point")


def weight_cosines(
    a: Float[Tensor, "*batch dim"], b: Float[Tensor, "*batch dim"]
) -> Float[Tensor, "*batch"]:
    """SimW's cosine of two weight vectors (Fu et al. 2024, Definition 5); 0 with a zero vector.

    Raises:
        ValueError: A weight is not finite.
    """
    where = "weights hold NaN or infinity, first at [*batch]"
    return (_unit(a.double(), where) * _unit(b.double(), where)).sum(-1)


def _unit(vectors: Float[Tensor, "*batch n"], complaint: str) -> Float[Tensor, "*batch n"]:
    """Vectors scaled to length one; zero vectors stay zero."""
    norms = vectors.norm(dim=-1, keepdim=True)
    if not norms.isfinite().all() or (norms < 1e-150).any():
        # Squares may have left the range: scaled by the largest entry they cannot.
        largest = vectors.abs().amax(-1, keepdim=True)
        if not largest.isfinite().all():
            where = (~largest[..., 0].isfinite()).nonzero()[0].tolist()
            raise ValueError(f"{complaint} {where}")
        vectors = vectors / _or_one(largest)
        norms = vectors.norm(dim=-1, keepdim=True)
    return vectors / _or_one(norms)


def _or_one(scale: Tensor) -> Tensor:
    return torch.where(scale > 0, scale, torch.ones_like(scale))
