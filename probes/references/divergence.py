"""Saying that an iteration does not converge."""

from __future__ import annotations

import warnings

from jaxtyping import Bool
from torch import Tensor

from probes.references.prefixes import Prefixes


class DivergenceWarning(UserWarning):
    """The iteration does not converge on some prefixes.

    Its values are the true, growing ones, up to 1e60.
    """


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
