"""Targets that follow from the prompt's xs but from a task the model has not seen."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def other_task_targets(
    xs: Float[Tensor, "prompt point dim"],
    generator: torch.Generator,
    *,
    like: Float[Tensor, "prompt point"] | None = None,
) -> Float[Tensor, "prompt point"]:
    """Targets x·w of a fresh w ~ N(0, I) for every prompt, as if it came from another task.

    They have the structure of linear regression and no relation to the ys in the prompt, so a
    read-out that predicts them has learned the task and not read the activations.

    Args:
        xs: Inputs of the prompts.
        generator: Source of the ws, on the CPU.
        like: Targets whose root mean square the result is scaled to.
    """
    n_prompts, _, n_dims = xs.shape
    weights = torch.randn(n_prompts, n_dims, generator=generator, dtype=torch.float64).to(xs)
    targets = torch.einsum("npd,nd->np", xs, weights)
    if like is None:
        return targets
    return targets * (like.square().mean() / targets.square().mean()).sqrt()
