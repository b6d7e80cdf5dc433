"""Transformers whose weights are set by construction, so that what they compute is known."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, Literal

import torch
from einops import einsum
from jaxtyping import Float
from torch import Tensor, nn
from transformer_lens.hook_points import HookPoint

from hooks.architectures.prefix_attention import PrefixAttention, call_hook, mix_coordinates
from hooks.architectures.prefix_segments import PrefixSegments, prefix_segments
from hooks.architectures.rectified_mlp import RectifiedMLP
from hooks.architectures.slots import Slots
from hooks.model import ModelConfig, SequenceModel

Target = Literal["prediction", "filtered_query"]
"""What of an algorithm's iterate a stream can hold: x_t·w_k, or phi_k(S) x_t."""


@dataclass(frozen=True)
class ConstructedConfig(ModelConfig):
    """What every constructed model needs; algorithms add their constants."""

    d_model: int = 0
    """Width of the residual stream; 0 for what the construction needs, more leaves room unused."""
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

    def task(self) -> dict[str, Any]:
        """The task that the default constants suit, as plain values: x ~ N(0, I), no noise."""
        return {"name": "linear_regression", "n_dims": self.n_dims, "n_points": self.n_points}

    @abstractmethod
    def slots(self) -> Slots:
        """What the coordinates of the residual stream are for."""


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


class ConstructedModel(SequenceModel):
    """A transformer with full attention within each prefix, run once for every prefix of a prompt.

    The runs share the token axis, see `PrefixSegments`; points are predicted at the last token of
    each. Weights are ordinary parameters, in `sublayers` by name, which layers may share.
    """

    config: ConstructedConfig
    takes_longer_prompts = True

    def __init__(self, config: ConstructedConfig, generator: torch.Generator | None = None) -> None:
        super().__init__(config, generator)
        n_inputs = 2 * config.n_dims + 1
        self.W_read_in = nn.Parameter(torch.zeros(n_inputs, config.d_model, dtype=torch.float64))
        self.W_read_out = nn.Parameter(torch.zeros(config.d_model, dtype=torch.float64))
        self.hook_embed = HookPoint()
        self.sublayers = nn.ModuleDict()

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
        return self.read_out(self.run_layers(resid, segments), segments)

    @abstractmethod
    def run_layers(
        self, resid: Float[Tensor, "d_model token prompt"], segments: PrefixSegments
    ) -> Float[Tensor, "d_model token prompt"]:
        """What leaves the last layer."""

    def embed(
        self,
        xs: Float[Tensor, "prompt point dim"],
        ys: Float[Tensor, "prompt point"],
        segments: PrefixSegments,
    ) -> Float[Tensor, "d_model token prompt"]:
        """The residual stream that enters the first layer, one segment of tokens a prefix."""
        inputs = segments.tokens(xs.to(self.dtype), ys.to(self.dtype))
        return call_hook(self.hook_embed, mix_coordinates(self.W_read_in.T, inputs))

    def read_out(
        self, resid: Float[Tensor, "d_model token prompt"], segments: PrefixSegments
    ) -> Float[Tensor, "prompt point"]:
        """The predictions, from what leaves the last layer."""
        queries = resid[:, segments.query_tokens]
        return einsum(self.W_read_out, queries, "d_model, d_model point prompt -> prompt point")

    def describe(self) -> dict[str, Any]:
        dtype = str(self.dtype).removeprefix("torch.")
        return {**super().describe(), "dtype": dtype}
