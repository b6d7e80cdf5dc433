"""A looped transformer: one GPT-2 block applied again and again."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformer_lens.hook_points import HookPoint

from hooks.architectures.attention_config import AttentionConfig
from hooks.architectures.gpt2 import MLP, Attention
from hooks.model import SequenceModel, init_gpt2_weights
from hooks.tokens import (
    TokenLayout,
    check_token_layout,
    make_tokens,
    token_width,
    tokens_per_point,
)


@dataclass(frozen=True)
class LoopedConfig(AttentionConfig):
    """Sizes of a looped transformer; `n_layers` is how often its block is applied."""

    input_injection: bool = True
    """Whether the embedding is added to the stream again before every loop."""
    norm_in_loop: bool = False
    """Whether every loop, not only the last, ends with the final norm, as in Yang et al.'s code."""
    tokens: TokenLayout = "interleaved"
    """Whether x and y are tokens of their own, or a query and the pair before it are one."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_token_layout(self.tokens)


class SharedBlock(nn.Module):
    """The weights of a pre-LayerNorm block, and the hooks inside its parts."""

    def __init__(self, config: LoopedConfig) -> None:
        super().__init__()
        self.ln1 = nn.LayerNorm(config.d_model)
        self.attn = Attention(config)
        self.ln2 = nn.LayerNorm(config.d_model)
        self.mlp = MLP(config)


class Loop(nn.Module):
    """The hooks of one application of the shared block."""

    def __init__(self) -> None:
        super().__init__()
        self.hook_resid_pre = HookPoint()
        self.hook_attn_out = HookPoint()
        self.hook_resid_mid = HookPoint()
        self.hook_mlp_out = HookPoint()
        self.hook_resid_post = HookPoint()

    def forward(
        self, resid: Float[Tensor, "batch token d_model"], block: SharedBlock
    ) -> Float[Tensor, "batch token d_model"]:
        resid = self.hook_resid_pre(resid)
        attn_out = self.hook_attn_out(block.attn(block.ln1(resid)))
        resid = self.hook_resid_mid(resid + attn_out)
        return self.hook_resid_post(resid + self.hook_mlp_out(block.mlp(block.ln2(resid))))


class LoopedTransformer(SequenceModel):
    """GPT-2 whose layers share their weights (Yang et al. 2023).

    The weights do not depend on the number of loops: `with_loops` gives the same network with
    another. Loop l is read at `blocks.{l-1}.hook_*`; hooks inside `shared_block` see every loop.
    With input injection the stream starts at zero and what enters loop 1 is the embedding.
    """

    config: LoopedConfig
    site_kinds = ("resid_post", "resid_pre", "resid_mid", "attn_out", "mlp_out")

    def __init__(self, config: LoopedConfig, generator: torch.Generator | None = None) -> None:
        super().__init__(config)
        self.read_in = nn.Linear(token_width(config.tokens, config.n_dims), config.d_model)
        n_tokens = tokens_per_point(config.tokens) * config.n_points
        self.W_pos = nn.Embedding(n_tokens, config.d_model)
        self.hook_embed = HookPoint()
        self.hook_pos_embed = HookPoint()
        self.shared_block = SharedBlock(config)
        self.blocks = nn.ModuleList(Loop() for _ in range(config.n_layers))
        self.ln_final = nn.LayerNorm(config.d_model)
        self.read_out = nn.Linear(config.d_model, 1)
        init_gpt2_weights(self, std=1 / math.sqrt(config.d_model), generator=generator)
        for last in (self.shared_block.attn.W_O, self.shared_block.mlp.W_out):
            # Every loop adds the same update, so it starts as a small share of the stream.
            std = 0.5 / (config.n_layers * math.sqrt(config.d_model))
            nn.init.normal_(last.weight, std=std, generator=generator)
        self.setup()

    def forward(
        self, xs: Float[Tensor, "prompt point dim"], ys: Float[Tensor, "prompt point"]
    ) -> Float[Tensor, "prompt point"]:
        self.check_prompts(xs, ys)
        embedding = self.embed(xs.to(self.dtype), ys.to(self.dtype))  # [prompt, token, d_model]
        resid = embedding
        for index, loop in enumerate(self.blocks):
            if index:
                resid = self.between_loops(resid, embedding)
            resid = loop(resid, self.shared_block)
        predictions = self.read_out(self.ln_final(resid))[..., 0]  # [prompt, token]
        return predictions[:, self.prediction_tokens(xs.shape[1])]

    def between_loops(
        self, resid: Float[Tensor, "*batch d_model"], embedding: Float[Tensor, "*batch d_model"]
    ) -> Float[Tensor, "*batch d_model"]:
        """What enters a loop after the first, from what the loop before it left."""
        if self.config.norm_in_loop:
            resid = self.ln_final(resid)
        return resid + embedding if self.config.input_injection else resid

    def embed(
        self, xs: Float[Tensor, "prompt point dim"], ys: Float[Tensor, "prompt point"]
    ) -> Float[Tensor, "prompt token d_model"]:
        """The read-in tokens and their positions, which enter every loop."""
        tokens = make_tokens(self.config.tokens, xs, ys)
        positions = torch.arange(tokens.shape[1], device=tokens.device)
        return self.hook_embed(self.read_in(tokens)) + self.hook_pos_embed(self.W_pos(positions))

    def prediction_tokens(self, n_points: int) -> slice:
        return slice(None, None, tokens_per_point(self.config.tokens))

    def with_loops(self, n_loops: int) -> LoopedTransformer:
        """A copy of this network that applies its block another number of times.

        Raises:
            ValueError: `n_loops` is below 1.
        """
        if n_loops < 1:
            raise ValueError(f"n_loops must be at least 1, got {n_loops}")
        model = LoopedTransformer(replace(self.config, n_layers=n_loops))
        model.load_state_dict(self.state_dict())
        model.provenance = {**self.provenance, "n_loops": n_loops}
        return model.to(device=self.device, dtype=self.dtype).train(self.training)

    def final_norm(
        self, activations: Float[Tensor, "*batch d_model"]
    ) -> Float[Tensor, "*batch d_model"]:
        return self.ln_final(activations)
