"""GPT-2 on prompts of interleaved x and y tokens, the architecture of Garg et al. 2022."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from transformer_lens.hook_points import HookPoint

from hooks.architectures.attention_config import AttentionConfig
from hooks.model import ModelConfig, SequenceModel, init_gpt2_weights
from hooks.tokens import (
    TokenLayout,
    check_token_layout,
    make_tokens,
    token_width,
    tokens_per_point,
)


@dataclass(frozen=True)
class GPT2Config(AttentionConfig):
    """Sizes of a GPT-2; the paper's are 12 layers, 8 heads, d_model 256, d = 20, 41 points."""

    attn_only: bool = False
    """Whether the blocks have no MLP."""
    attention: Literal["softmax", "relu"] = "softmax"
    """ReLU divides by the number of visible tokens instead of normalising (Bai et al. 2023)."""
    tokens: TokenLayout = "interleaved"
    """Whether x and y are tokens of their own, or a query and the pair before it are one."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_token_layout(self.tokens)
        if self.attention not in ("softmax", "relu"):
            raise ValueError(f"attention must be 'softmax' or 'relu', got {self.attention!r}")


class Attention(nn.Module):
    """Causal multi-head attention; its pattern is computed only while somebody hooks it."""

    def __init__(
        self, config: AttentionConfig, activation: Literal["softmax", "relu"] = "softmax"
    ) -> None:
        super().__init__()
        self.n_heads = config.n_heads
        self.is_relu = activation == "relu"
        self.W_QKV = nn.Linear(config.d_model, 3 * config.d_model)
        self.W_O = nn.Linear(config.d_model, config.d_model)
        self.hook_q = HookPoint()
        self.hook_k = HookPoint()
        self.hook_v = HookPoint()
        self.hook_attn_scores = HookPoint()
        self.hook_pattern = HookPoint()
        self.hook_z = HookPoint()

    def forward(
        self, x: Float[Tensor, "batch token d_model"]
    ) -> Float[Tensor, "batch token d_model"]:
        q, k, v = (
            rearrange(hook(self._split_heads(part)), "batch token head d -> batch head token d")
            for hook, part in zip(
                (self.hook_q, self.hook_k, self.hook_v), self.W_QKV(x).chunk(3, -1), strict=True
            )
        )
        z = (
            self._attend_with_pattern(q, k, v)
            if self.is_relu or self._pattern_is_wanted()
            else F.scaled_dot_product_attention(q, k, v, is_causal=True)
        )
        z = self.hook_z(rearrange(z, "batch head token d -> batch token head d"))
        return self.W_O(rearrange(z, "batch token head d -> batch token (head d)"))

    def _split_heads(
        self, x: Float[Tensor, "batch token d_model"]
    ) -> Float[Tensor, "batch token head d"]:
        return rearrange(x, "batch token (head d) -> batch token head d", head=self.n_heads)

    def _pattern_is_wanted(self) -> bool:
        hooks = (self.hook_attn_scores, self.hook_pattern)
        return any(hook.fwd_hooks or hook.bwd_hooks for hook in hooks)

    def _attend_with_pattern(
        self,
        q: Float[Tensor, "batch head token d"],
        k: Float[Tensor, "batch head token d"],
        v: Float[Tensor, "batch head token d"],
    ) -> Float[Tensor, "batch head token d"]:
        scores = q @ k.mT / math.sqrt(q.shape[-1])
        future = torch.ones_like(scores[0, 0], dtype=torch.bool).triu(1)
        scores = self.hook_attn_scores(scores.masked_fill(future, -torch.inf))
        if self.is_relu:
            n_visible = torch.arange(1, len(future) + 1, device=scores.device)
            return self.hook_pattern(scores.relu() / n_visible[:, None]) @ v
        return self.hook_pattern(scores.softmax(-1)) @ v


class MLP(nn.Module):
    """Two linear maps around GPT-2's tanh-approximated GELU."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.W_in = nn.Linear(config.d_model, 4 * config.d_model)
        self.W_out = nn.Linear(4 * config.d_model, config.d_model)
        self.hook_pre = HookPoint()
        self.hook_post = HookPoint()

    def forward(
        self, x: Float[Tensor, "batch token d_model"]
    ) -> Float[Tensor, "batch token d_model"]:
        pre = self.hook_pre(self.W_in(x))
        return self.W_out(self.hook_post(F.gelu(pre, approximate="tanh")))


class Block(nn.Module):
    """Pre-LayerNorm attention and, where there is one, MLP, each added to the residual stream."""

    def __init__(self, d_model: int, attn: nn.Module, mlp: nn.Module | None = None) -> None:
        super().__init__()
        self.ln1 = nn.LayerNorm(d_model)
        self.attn = attn
        self.hook_resid_pre = HookPoint()
        self.hook_attn_out = HookPoint()
        self.attn_only = mlp is None
        if mlp is not None:
            self.ln2 = nn.LayerNorm(d_model)
            self.mlp = mlp
            self.hook_resid_mid = HookPoint()
            self.hook_mlp_out = HookPoint()
        self.hook_resid_post = HookPoint()

    def forward(
        self, resid: Float[Tensor, "batch token d_model"]
    ) -> Float[Tensor, "batch token d_model"]:
        resid = self.hook_resid_pre(resid)
        resid = resid + self.hook_attn_out(self.attn(self.ln1(resid)))
        if self.attn_only:
            return self.hook_resid_post(resid)
        resid = self.hook_resid_mid(resid)
        return self.hook_resid_post(resid + self.hook_mlp_out(self.mlp(self.ln2(resid))))


class GPT2(SequenceModel):
    """GPT-2 with a linear read-in of tokens and a linear read-out at the x tokens.

    By default a prompt becomes x_1, y_1, x_2, y_2, … (see `hooks.tokens`). Weights and results are
    then those of Hugging Face's `GPT2Model` run on `inputs_embeds`, which the source code of the
    paper uses (Garg et al. 2022, Section 3; Fu et al. 2024, Section 4.1).
    """

    config: GPT2Config
    site_kinds: tuple[str, ...] = (
        "resid_post", "resid_pre", "resid_mid", "attn_out", "mlp_out", "z",
    )  # fmt: skip

    def __init__(self, config: GPT2Config, generator: torch.Generator | None = None) -> None:
        super().__init__(config)
        if config.attn_only:
            self.site_kinds = ("resid_post", "resid_pre", "attn_out", "z")
        self.read_in = nn.Linear(token_width(config.tokens, config.n_dims), config.d_model)
        n_tokens = tokens_per_point(config.tokens) * config.n_points
        self.W_pos = nn.Embedding(n_tokens, config.d_model)
        self.hook_embed = HookPoint()
        self.hook_pos_embed = HookPoint()
        self.blocks = nn.ModuleList(
            Block(
                config.d_model,
                Attention(config, config.attention),
                None if config.attn_only else MLP(config),
            )
            for _ in range(config.n_layers)
        )
        self.ln_final = nn.LayerNorm(config.d_model)
        self.read_out = nn.Linear(config.d_model, 1)
        init_gpt2_weights(self, std=0.02, generator=generator)
        std = 0.02 / math.sqrt(2 * config.n_layers)
        for name, weight in self.named_parameters():
            if name.endswith(("W_O.weight", "W_out.weight")):  # residual projections, as in GPT-2
                nn.init.normal_(weight, std=std, generator=generator)
        self.setup()

    def forward(
        self, xs: Float[Tensor, "prompt point dim"], ys: Float[Tensor, "prompt point"]
    ) -> Float[Tensor, "prompt point"]:
        self.check_prompts(xs, ys)
        resid = self.embed(xs.to(self.dtype), ys.to(self.dtype))  # [prompt, token, d_model]
        for block in self.blocks:
            resid = block(resid)
        predictions = self.read_out(self.ln_final(resid))[..., 0]  # [prompt, token]
        return predictions[:, self.prediction_tokens(xs.shape[1])]

    def embed(
        self, xs: Float[Tensor, "prompt point dim"], ys: Float[Tensor, "prompt point"]
    ) -> Float[Tensor, "prompt token d_model"]:
        """The residual stream that enters the first block."""
        tokens = make_tokens(self.config.tokens, xs, ys)
        positions = torch.arange(tokens.shape[1], device=tokens.device)
        return self.hook_embed(self.read_in(tokens)) + self.hook_pos_embed(self.W_pos(positions))

    def prediction_tokens(self, n_points: int) -> slice:
        return slice(None, None, tokens_per_point(self.config.tokens))

    def final_norm(
        self, activations: Float[Tensor, "*batch d_model"]
    ) -> Float[Tensor, "*batch d_model"]:
        return self.ln_final(activations)
