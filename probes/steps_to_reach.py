"""How many steps, or layers, an error needs to fall far enough."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor


def steps_to_reach(
    errors: Float[Tensor, "*batch step"],
    steps: Sequence[float] | Float[Tensor, " step"],
    target: float | Float[Tensor, "*batch"],
) -> Float[Tensor, "*batch"]:
    """The first step at which an error is at or below a target.

    Between two steps of the grid the logarithm of the error is taken to be linear in the step.

    Args:
        errors: Errors, at least 0, at rising steps.
        steps: Those steps.
        target: An error above 0.

    Returns:
        The step; NaN where the target is not reached.

    Raises:
        ValueError: Steps that do not rise or do not fit the errors, an error that is negative or
            NaN, or a target that is not above 0.
    """
    grid = torch.as_tensor(steps, dtype=torch.float64)
    goal = torch.as_tensor(target, dtype=torch.float64).expand(errors.shape[:-1])
    if grid.ndim != 1 or len(grid) != errors.shape[-1] or not bool((grid.diff() > 0).all()):
        raise ValueError(
            f"steps must be {errors.shape[-1]} rising step counts, got {grid.tolist()}"
        )
    if not bool((errors >= 0).all()):
        raise ValueError("errors must be numbers of at least 0")
    if not bool((goal > 0).all()):
        raise ValueError("target must be above 0")
    reached = errors <= goal[..., None]
    first = reached.int().argmax(-1)
    before = (first - 1).clamp(min=0)
    log_errors = errors.double().clamp(min=1e-300).log()
    high, low = (log_errors.gather(-1, index[..., None])[..., 0] for index in (before, first))
    fall = high - low
    fraction = torch.where(fall > 0, (high - goal.log()) / fall.clamp(min=1e-300), 1.0)
    found = grid[before] + fraction.clamp(0, 1) * (grid[first] - grid[before])
    return torch.where(reached.any(-1), found, torch.nan)
