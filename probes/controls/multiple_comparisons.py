"""P-values adjusted for how many comparisons were made, along the last axis.

The verdict makes its own allowance, because it makes one comparison for every reference and not one
for every layer: each measure takes its intervals at the level 1 - (1 - level) / (n - 1) for n
references (Bonferroni; `probes.verdict.constant_rates`), layers being averaged before. There are
two measures and a reference is rejected if either rejects it, so a true reference is rejected by
chance at most 2 (1 - level) of the time; margins come on top, and what this amounts to is measured
by `interp calibrate`.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def holm(p_values: Float[Tensor, "*batch comparison"]) -> Float[Tensor, "*batch comparison"]:
    """Adjusted so that those below alpha hold a false one with chance alpha at most (Holm 1979).

    Valid under any dependence between the comparisons, such as between layers.

    Raises:
        ValueError: A p-value outside [0, 1].
    """
    ascending, order = _check(p_values).sort(dim=-1)
    n = p_values.shape[-1]
    factors = torch.arange(n, 0, -1, device=p_values.device)
    adjusted = (ascending * factors).cummax(dim=-1).values.clamp_max(1.0)
    return torch.empty_like(adjusted).scatter_(-1, order, adjusted)


def benjamini_hochberg(
    p_values: Float[Tensor, "*batch comparison"],
) -> Float[Tensor, "*batch comparison"]:
    """Adjusted so that among those below alpha a share alpha is false on average.

    Benjamini and Hochberg 1995; valid for independent or positively dependent comparisons.

    Raises:
        ValueError: A p-value outside [0, 1].
    """
    descending, order = _check(p_values).sort(dim=-1, descending=True)
    n = p_values.shape[-1]
    ranks = torch.arange(n, 0, -1, device=p_values.device)
    adjusted = (descending * n / ranks).cummin(dim=-1).values.clamp_max(1.0)
    return torch.empty_like(adjusted).scatter_(-1, order, adjusted)


def _check(p_values: Tensor) -> Tensor:
    if not bool(((p_values >= 0) & (p_values <= 1)).all()):
        raise ValueError("p_values must be between 0 and 1")
    return p_values
