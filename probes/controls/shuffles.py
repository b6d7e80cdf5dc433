"""Controls that break the tie between activations and targets and keep everything else."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor


def derangement(n: int, generator: torch.Generator) -> Int[Tensor, " n"]:
    """A uniformly drawn permutation that leaves nothing in its place.

    Raises:
        ValueError: `n` is below 2, where there is none.
    """
    if n < 2:
        raise ValueError(f"a derangement needs n of at least 2, got {n}")
    places = torch.arange(n)
    while True:  # accepted with probability about 1/e
        permutation = torch.randperm(n, generator=generator)
        if not bool((permutation == places).any()):
            return permutation


def derangements(n_rows: int, n: int, generator: torch.Generator) -> Int[Tensor, "row n"]:
    """Independent uniform derangements, one a row; see `derangement`."""
    if n < 2:
        raise ValueError(f"a derangement needs n of at least 2, got {n}")
    places = torch.arange(n)
    rows = torch.empty(n_rows, n, dtype=torch.long)
    missing = torch.arange(n_rows)
    while len(missing):
        drawn = torch.rand(len(missing), n, generator=generator, dtype=torch.float64).argsort(dim=1)
        rows[missing] = drawn
        missing = missing[(drawn == places).any(dim=1)]
    return rows


def shuffle_targets(
    targets: Float[Tensor, " prompt *rest"], generator: torch.Generator
) -> Float[Tensor, " prompt *rest"]:
    """The targets with every prompt given those of another one, its points in their order.

    What a read-out still explains comes from what prompts share (such as the point a prediction
    is made at) and from the fit's own freedom, not from the prompt.

    Raises:
        ValueError: Fewer than two prompts.
    """
    if len(targets) < 2:
        raise ValueError(f"targets must be of at least 2 prompts to shuffle, got {len(targets)}")
    return targets[derangement(len(targets), generator).to(targets.device)]


def shuffle_pairs(
    ys: Float[Tensor, "prompt point"], generator: torch.Generator
) -> Float[Tensor, "prompt point"]:
    """The ys with each moved to another point of its prompt, so that no x keeps its own y.

    The prompt's xs and the set of its ys stay, what ties one to the other does not: a model that
    learns in context has nothing to learn.

    Raises:
        ValueError: Fewer than two points.
    """
    n_prompts, n_points = ys.shape
    if n_points < 2:
        raise ValueError(f"ys must have at least 2 points to shuffle, got {n_points}")
    return ys.gather(1, derangements(n_prompts, n_points, generator).to(ys.device))
