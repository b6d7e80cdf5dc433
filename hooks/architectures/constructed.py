"""Transformers whose weights are set by construction, so that what they compute is known."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Self

import torch
from einops import einsum
from jaxtyping import Float
from torch import Tensor, nn
from transformer_lens.hook_points import HookPoint

from hooks.architectures.prefix_attention import AttentionHooks, PrefixAttention, call_hook
from hooks.architectures.prefix_segments import PrefixSegments, prefix_segments
from hooks.model import ModelConfig, SequenceModel

Target = Literal["prediction", "filtered_query"]
"""What of an algorithm's iterate a stream can hold: x_t·w_k, or phi_k(S) x_t."""


@dataclass(frozen=True)
class ConstructedConfig(ModelConfig):
    """What every constructed model needs; algorithms add their constants."""

    d_model: int = 0
    """Width of the residual stream; 0 for what the construction needs, more leaves room unused."""
    looped: bool = False
    """Whether layers that do the same share their weights."""
    dtype: str = "float32"
    """Precision that the weights are set in, "float32" or "float64"."""

    def __post_init__(self) -> None:
        needed = self.slots().d_model
        if self.d_model == 0:
            object.__setattr__(self, "d_model", needed)
        super().__post_init__()
        if self.d_model < needed:
            raise ValueError(f"d_model must be at least {needed}, got {self.d_model}")
        if self.dtype not in ("float32", "float64"):
            raise ValueError(f"dtype must be 'float32' or 'float64', got {self.dtype!r}")

    @abstractmethod
    def slots(self) -> Slots:
        """What the coordinates of the residual stream are for."""


class Slots:
    """Names for runs of coordinates of the residual stream."""

    def __init__(self, sizes: Mapping[str, int]) -> None:
        self._slices: dict[str, slice] = {}
        self.d_model = 0
        for name, size in sizes.items():
            self._slices[name] = slice(self.d_model, self.d_model + size)
            self.d_model += size

    def __getitem__(self, name: str) -> slice:
        return self._slices[name]

    def size(self, name: str) -> int:
        return self._slices[name].stop - self._slices[name].start


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
        pre = einsum(self.W_in, resid, "d_model d_mlp, d_model token prompt -> d_mlp token prompt")
        post = call_hook(hooks.hook_pre, pre).relu() if hooks else pre.relu_()
        post = call_hook(hooks.hook_post, post) if hooks else post
        return einsum(self.W_out, post, "d_mlp d_model, d_mlp token prompt -> d_model token prompt")


class MLPHooks(nn.Module):
    """Hook points of one use of an MLP."""

    def __init__(self) -> None:
        super().__init__()
        self.hook_pre = HookPoint()
        self.hook_post = HookPoint()


class Sublayer(nn.Module):
    """Weights of an attention layer and, where there is one, the MLP behind it."""

    def __init__(self, attn: PrefixAttention, mlp: RectifiedMLP | None = None) -> None:
        super().__init__()
        self.attn = attn
        self.mlp = mlp

    def forward(
        self,
        resid: Float[Tensor, "d_model token prompt"],
        segments: PrefixSegments,
        n_times: int = 1,
    ) -> Float[Tensor, "d_model token prompt"]:
        """The residual stream after applying both, `n_times` over."""
        if n_times > 1 and self.mlp is None and not self.attn.writes_what_it_attends_by():
            return resid + self.attn.repeat(resid, segments, n_times)
        for _ in range(n_times):
            resid = resid + self.attn(resid, segments)
            resid = resid if self.mlp is None else resid + self.mlp(resid)
        return resid


class Block(nn.Module):
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


class ConstructedModel(SequenceModel):
    """A transformer with full attention within each prefix, run once for every prefix of a prompt.

    The runs share the token axis, see `PrefixSegments`; points are predicted at the last token of
    each. Weights are ordinary parameters, in `sublayers` by name; `schedule` says which of them
    each layer applies, so layers may share weights and a layer may be several sub-layers.
    """

    config: ConstructedConfig
    n_layers_outside_loop: ClassVar[int] = 0
    """Layers that a looped model has besides those of its loop."""

    def __init__(self, config: ConstructedConfig, generator: torch.Generator | None = None) -> None:
        super().__init__(config, generator)
        n_inputs = 2 * config.n_dims + 1
        self.W_read_in = nn.Parameter(torch.zeros(n_inputs, config.d_model, dtype=torch.float64))
        self.W_read_out = nn.Parameter(torch.zeros(config.d_model, dtype=torch.float64))
        self.hook_embed = HookPoint()
        self.sublayers = nn.ModuleDict()
        self.schedule: tuple[tuple[str, ...], ...] = ()

    def finish(self) -> None:
        """Casts the weights to the model's precision and names its hooks; last in `__init__`."""
        self.to(getattr(torch, self.config.dtype))
        self.setup()

    @abstractmethod
    def steps_done(self, target: Target = "prediction") -> Float[Tensor, " layer"]:
        """Steps of its algorithm that each layer of the residual stream, 0 to n_layers, holds.

        Args:
            target: Whether x_t·w_k is asked for or the filtered query phi_k(S) x_t, as a linear
                function of the stream at the prediction positions.

        Returns:
            Step counts k; NaN where the layer does not hold that target of any iterate.
        """

    def prediction_tokens(self, n_points: int) -> slice | Tensor:
        return prefix_segments(n_points).query_tokens

    def forward(
        self, xs: Float[Tensor, "prompt point dim"], ys: Float[Tensor, "prompt point"]
    ) -> Float[Tensor, "prompt point"]:
        self.check_prompts(xs, ys)
        segments = prefix_segments(xs.shape[1])
        resid = self.embed(xs, ys, segments)  # [d_model, token, prompt]
        resid = self.run_layers(resid, segments)
        queries = resid[:, segments.query_tokens]
        return einsum(self.W_read_out, queries, "d_model, d_model point prompt -> prompt point")

    def embed(
        self,
        xs: Float[Tensor, "prompt point dim"],
        ys: Float[Tensor, "prompt point"],
        segments: PrefixSegments,
    ) -> Float[Tensor, "d_model token prompt"]:
        """The residual stream that enters the first layer, one segment of tokens a prefix."""
        inputs = segments.tokens(xs.to(self.dtype), ys.to(self.dtype))
        return call_hook(
            self.hook_embed,
            einsum(
                self.W_read_in, inputs, "input d_model, input token prompt -> d_model token prompt"
            ),
        )

    def run_layers(
        self, resid: Float[Tensor, "d_model token prompt"], segments: PrefixSegments
    ) -> Float[Tensor, "d_model token prompt"]:
        """What leaves the last layer; here, for layers of one sub-layer each."""
        for block, (name,) in zip(self.blocks, self.schedule, strict=True):
            resid = block(resid, self.sublayers[name], segments)
        return resid

    def set_layers(self, sublayers: Mapping[str, Sublayer], schedule: Sequence[str]) -> None:
        """Makes a layer of each name in `schedule`, with hooks of its own."""
        self.sublayers.update(sublayers)
        self.schedule = tuple((name,) for name in schedule)
        self.blocks = nn.ModuleList(Block(sublayers[name].mlp is not None) for name in schedule)

    def with_loops(self, n_loops: int) -> Self:
        """The same weights, their loop run another number of times.

        Raises:
            ValueError: The model's layers have weights of their own.
        """
        if not self.config.looped:
            raise ValueError("only a looped model can be run for another number of loops")
        n_layers = n_loops + self.n_layers_outside_loop
        model = type(self)(replace(self.config, n_layers=n_layers)).to(self.device, self.dtype)
        model.load_state_dict(self.state_dict())
        model.provenance = {**self.provenance, "n_loops": n_loops}
        return model.train(self.training)

    def describe(self) -> dict[str, Any]:
        dtype = str(self.dtype).removeprefix("torch.")
        return {**super().describe(), "dtype": dtype}


def read_slot(
    weight: Float[Tensor, "d_model d"], slot: slice, *, factor: float = 1.0, start: int = 0
) -> None:
    """Makes a weight read `factor` times a slot of the stream into its columns from `start` on."""
    write_slot(weight.mT, slot, factor=factor, start=start)


def write_slot(
    weight: Float[Tensor, "d d_model"], slot: slice, *, factor: float = 1.0, start: int = 0
) -> None:
    """Makes a weight write `factor` times its rows from `start` on to a slot of the stream."""
    size = slot.stop - slot.start
    weight.data[start : start + size, slot] = factor * torch.eye(size, dtype=weight.dtype)
