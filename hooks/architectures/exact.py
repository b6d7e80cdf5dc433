"""Constructed transformers of one sub-layer a layer, which can be read and patched inside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor, nn
from transformer_lens.hook_points import HookPoint

from hooks.architectures.constructed import ConstructedConfig, ConstructedModel, Sublayer
from hooks.architectures.prefix_attention import AttentionHooks, call_hook
from hooks.architectures.prefix_segments import PrefixSegments
from hooks.architectures.rectified_mlp import MLPHooks


@dataclass(frozen=True)
class ExactConfig(ConstructedConfig):
    """Sizes of a model that runs one step of its algorithm a layer."""

    looped: bool = False
    """Whether layers that do the same share their weights."""


class ExactBlock(nn.Module):
    """Hook points of a layer that is one sub-layer, whose weights other layers may share."""

    def __init__(self, has_mlp: bool) -> None:
        super().__init__()
        self.hook_resid_pre = HookPoint()
        self.attn = AttentionHooks()
        self.hook_attn_out = HookPoint()
        if has_mlp:
            self.hook_resid_mid = HookPoint()
            self.mlp = MLPHooks()
            self.hook_mlp_out = HookPoint()
        self.hook_resid_post = HookPoint()

    def forward(
        self,
        resid: Float[Tensor, "d_model token prompt"],
        sublayer: Sublayer,
        segments: PrefixSegments,
    ) -> Float[Tensor, "d_model token prompt"]:
        resid = call_hook(self.hook_resid_pre, resid)
        resid = resid + call_hook(self.hook_attn_out, sublayer.attn(resid, segments, self.attn))
        if sublayer.mlp is not None:
            resid = call_hook(self.hook_resid_mid, resid)
            resid = resid + call_hook(self.hook_mlp_out, sublayer.mlp(resid, self.mlp))
        return call_hook(self.hook_resid_post, resid)


class ExactModel(ConstructedModel):
    """A constructed transformer whose layers are one sub-layer each."""

    config: ExactConfig
    n_layers_outside_loop: ClassVar[int] = 0
    """Layers that a looped model has besides those of its loop."""

    def set_layers(self, sublayers: Mapping[str, Sublayer], names: Sequence[str]) -> None:
        """Makes a layer, with hooks of its own, of the sub-layer of each name."""
        self.sublayers.update(sublayers)
        self.schedule = tuple(names)
        self.blocks = nn.ModuleList(ExactBlock(sublayers[name].mlp is not None) for name in names)

    def run_layers(
        self, resid: Float[Tensor, "d_model token prompt"], segments: PrefixSegments
    ) -> Float[Tensor, "d_model token prompt"]:
        for block, name in zip(self.blocks, self.schedule, strict=True):
            resid = block(resid, self.sublayers[name], segments)
        return resid

    def with_loops(self, n_loops: int) -> ExactModel:
        if not self.config.looped:
            super().with_loops(n_loops)
        if n_loops < 1:
            raise ValueError(f"n_loops must be at least 1, got {n_loops}")
        n_layers = n_loops + self.n_layers_outside_loop
        model = type(self)(replace(self.config, n_layers=n_layers)).to(self.device, self.dtype)
        model.load_state_dict(self.state_dict())
        model.provenance = {**self.provenance, "n_loops": n_loops}
        return model.train(self.training)
