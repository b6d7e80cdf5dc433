"""Which tokens of a model could hold an iterate, of which prefix, and what it would be there."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from einops import einsum, rearrange
from jaxtyping import Float, Int
from torch import Tensor

from hooks.architectures.constructed import ConstructedModel
from hooks.architectures.prefix_segments import prefix_segments
from hooks.model import SequenceModel
from probes.references import Prefixes, Reference, SpectralReference

STEERED = ("prediction", "filtered_query")
"""What of an iterate a stream can hold and be steered by, see `values_at`."""


@dataclass(frozen=True)
class TokenPositions:
    """Tokens that stand for the same thing: queries, or examples."""

    name: str
    tokens: Int[Tensor, " place"]
    """Their positions on the sequence axis."""
    prefixes: Int[Tensor, " place"]
    """How many pairs the prefix has whose iterate a token could hold."""
    points: Int[Tensor, " place"]
    """The point whose x each token is about."""


def token_positions(model: SequenceModel, n_points: int) -> tuple[TokenPositions, ...]:
    """Queries, and examples where a model has tokens for them; point 0 has seen nothing.

    A model that attends within each prefix has examples for each of them. In one that reads
    x_1, y_1, x_2, … a y token has seen its own pair, so it stands for the prefix that ends there.
    """
    points = torch.arange(1, n_points)
    if isinstance(model, ConstructedModel):
        segments = prefix_segments(n_points)
        examples = segments.is_example.nonzero()[:, 0]
        sizes = torch.tensor([part.stop - part.start for part in segments.slices])
        prefixes = torch.arange(n_points).repeat_interleave(sizes)
        return (
            TokenPositions("query", segments.query_tokens[1:], points, points),
            TokenPositions("example", examples, prefixes[examples], segments.points[examples]),
        )
    positions = model.prediction_tokens(n_points)
    if isinstance(positions, slice) and positions.step == 2 and not positions.start:
        return (
            TokenPositions("query", 2 * points, points, points),
            TokenPositions("example", 2 * points - 1, points, points - 1),
        )
    if isinstance(positions, slice):
        positions = torch.arange(n_points * max(positions.step or 1, 1))[positions]
    return (TokenPositions("query", positions[1:n_points], points, points),)


def values_at(
    role: TokenPositions, target: str, reference: Reference, prefixes: Prefixes, steps: list[float]
) -> Float[Tensor, "step prompt place width"]:
    """What the tokens of a role would hold after each of some ascending steps.

    "prediction" is x·w_k at queries and the residual y - x·w_k at examples (von Oswald et al.
    2023); "filtered_query" is phi_k(S) x at both (Fu et al. 2024, Theorem 5.1).
    """
    xs = prefixes.xs[:, role.points]  # [prompt, place, dim]
    if target == "prediction":
        weights = reference.weights(prefixes, steps)[:, :, role.prefixes]
        predictions = einsum(
            weights, xs, "step prompt place dim, prompt place dim -> step prompt place"
        )
        is_example = role.name == "example"
        values = prefixes.ys[:, role.points] - predictions if is_example else predictions
        return rearrange(values, "step prompt place -> step prompt place 1")
    assert isinstance(reference, SpectralReference)
    directions = prefixes.decomposition.right_vectors[:, role.prefixes]
    eigenvalues = prefixes.eigenvalues[:, role.prefixes]
    along = einsum(
        directions, xs, "prompt place direction dim, prompt place dim -> prompt place direction"
    )
    unseen = xs - _combined(along, directions)
    # What is left of an x that examples span is rounding, which many steps would blow up.
    is_left = unseen.norm(dim=-1, keepdim=True) > 1e-12 * xs.norm(dim=-1, keepdim=True)
    unseen = torch.where(is_left, unseen, 0.0)
    learnt = reference.filter_factors(prefixes)
    iterates = []
    for step in steps:
        share = learnt(step)[:, role.prefixes]
        phi = torch.where(eigenvalues > 0, share / eigenvalues, 0.0)
        at_zero = reference.filter_at_zero(prefixes, step)[:, role.prefixes, None]
        iterates.append(_combined(along * phi, directions) + at_zero * unseen)
    return torch.stack(iterates)


def _combined(
    along: Float[Tensor, "prompt place direction"],
    directions: Float[Tensor, "prompt place direction dim"],
) -> Float[Tensor, "prompt place dim"]:
    return einsum(
        along, directions, "prompt place direction, prompt place direction dim -> prompt place dim"
    )
