"""How fast errors fall: the order of convergence over layers or steps."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def convergence_order(
    errors: Float[Tensor, "*batch layer"], floor: float = 0.0
) -> Float[Tensor, "*batch"]:
    """Slope of log e_{l+1} against log e_l: 1 is linear convergence, 2 is Newton's near the end.

    Args:
        errors: Errors in excess of what they converge to, layer by layer.
        floor: Errors at or below it have converged; from the first such layer on none is used.

    Returns:
        The order, NaN where fewer than three errors lie above the floor.
    """
    usable = (errors > max(floor, 0.0)).cumprod(-1).bool()
    logs = torch.where(usable, errors.clamp(min=1e-300).log(), 0.0)
    both = usable[..., 1:]
    count = both.sum(-1)
    x, y = logs[..., :-1], logs[..., 1:]
    mean_x = (x * both).sum(-1) / count.clamp(min=1)
    mean_y = (y * both).sum(-1) / count.clamp(min=1)
    dx = (x - mean_x[..., None]) * both
    dy = (y - mean_y[..., None]) * both
    variance = dx.square().sum(-1)
    slope = (dx * dy).sum(-1) / variance.clamp(min=1e-300)
    return torch.where((count >= 2) & (variance > 0), slope, torch.nan)
