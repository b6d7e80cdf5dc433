"""An MLP with the positive part as its activation."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformer_lens.hook_points import HookPoint

from hooks.architectures.prefix_attention import call_hook, mix_coordinates


class MLPHooks(nn.Module):
    """Hook points of one use of an MLP."""

    def __init__(self) -> None:
        super().__init__()
        self.hook_pre = HookPoint()
        self.hook_post = HookPoint()


class RectifiedMLP(nn.Module):
    """Two linear maps around the positive part, without biases."""

    def __init__(self, d_model: int, d_mlp: int) -> None:
        super().__init__()
        self.W_in = nn.Parameter(torch.zeros(d_model, d_mlp, dtype=torch.float64))
        self.W_out = nn.Parameter(torch.zeros(d_mlp, d_model, dtype=torch.float64))

    def forward(
        self, resid: Float[Tensor, "d_model token prompt"], hooks: MLPHooks | None = None
    ) -> Float[Tensor, "d_model token prompt"]:
        """What the layer adds to the residual stream."""
        pre = mix_coordinates(self.W_in.T, resid)
        post = call_hook(hooks.hook_pre, pre).relu() if hooks else pre.relu_()
        post = call_hook(hooks.hook_post, post) if hooks else post
        return mix_coordinates(self.W_out.T, post)
