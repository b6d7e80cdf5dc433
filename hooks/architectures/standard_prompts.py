"""Prompts of the task that constructed models are built for, to measure their streams on."""

from __future__ import annotations

import torch
from einops import einsum
from jaxtyping import Float
from torch import Tensor

from hooks.model import ModelConfig


def standard_prompts(
    config: ModelConfig, n_prompts: int
) -> tuple[Float[Tensor, "prompt point dim"], Float[Tensor, "prompt point"]]:
    """The same prompts every time: x ~ N(0, I), w ~ N(0, I), y = w·x, in float64."""
    generator = torch.Generator().manual_seed(0)
    shape = (n_prompts, config.n_points, config.n_dims)
    xs = torch.randn(shape, dtype=torch.float64, generator=generator)
    weights = torch.randn(n_prompts, config.n_dims, dtype=torch.float64, generator=generator)
    return xs, einsum(xs, weights, "prompt point dim, prompt dim -> prompt point")
