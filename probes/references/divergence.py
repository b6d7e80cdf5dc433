"""A warning about iterations that do not converge, and bounds for what they return."""

from __future__ import annotations

import warnings

from jaxtyping import Bool, Float
from torch import Tensor

from probes.references.prefixes import Prefixes

DIVERGED = 1e60
"""Where `bounded` holds what has diverged: products of squares of it are still numbers."""


class DivergenceWarning(UserWarning):
    """The iteration does not converge on some prefixes; its values are the true, growing ones."""


def warn_of_divergence(
    name: str, diverging: Bool[Tensor, "prompt point direction"], prefixes: Prefixes
) -> None:
    """Warns with the reference's name and the number of prefixes, if any, that diverge.

    Args:
        name: The reference.
        diverging: Directions of S in which its iteration grows without bound.
        prefixes: What it runs on; a direction that y has no part in does not count.
    """
    excited = prefixes.decomposition.coefficients != 0
    n_diverging = int((diverging & excited).any(-1).sum())
    if n_diverging:
        n_prefixes = prefixes.n_prompts * prefixes.n_points
        warnings.warn(
            f"{name} diverges on {n_diverging} of {n_prefixes} prefixes: its step size is too "
            "large for their largest eigenvalue",
            DivergenceWarning,
            stacklevel=2,
        )


def warn_of_overflow(name: str, values: Float[Tensor, "prompt point dim"]) -> None:
    """Warns with the number of prefixes, if any, whose values are beyond `DIVERGED` or no numbers.

    Args:
        name: The reference.
        values: What it computed, weights or predictions.
    """
    n_diverging = int((~(values.abs() <= DIVERGED)).any(-1).sum())
    if n_diverging:
        warnings.warn(
            f"{name} diverges on {n_diverging} of {values.shape[:2].numel()} prefixes: its step "
            "size is too large for their x, or x and y are too large",
            DivergenceWarning,
            stacklevel=2,
        )


def bounded(values: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Iterates with all that has diverged beyond 1e60, or overflowed, held there.

    Sums over prompts then stay finite, so that one prefix on which an iteration diverges spoils its
    own scores only.
    """
    return values.nan_to_num(nan=DIVERGED).clamp_(-DIVERGED, DIVERGED)
