"""Moments of a prompt, which the weights of iterative algorithms are made of."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from probes.references import Prefixes


def moments(
    prefixes: Prefixes, n_moments: int, *, per_example: bool = False
) -> Float[Tensor, "moment prompt point dim"]:
    """S^j b of every prefix, from j = 0 on.

    Args:
        prefixes: The prefixes.
        n_moments: How many.
        per_example: Whether S and b are means over the pairs of the prefix, and not sums.
    """
    decomposition = prefixes.decomposition
    n_seen = torch.arange(prefixes.n_points, dtype=torch.float64).clamp(min=1)[:, None]
    eigenvalues = prefixes.eigenvalues / (n_seen if per_example else 1)
    along = eigenvalues * decomposition.coefficients  # b in the eigenbasis
    found = []
    for _ in range(n_moments):
        found.append((along[..., None, :] @ decomposition.right_vectors)[..., 0, :])
        along = along * eigenvalues
    return torch.stack(found)
