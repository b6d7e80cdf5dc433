"""Linear self-attention without softmax, MLP or normalisation (von Oswald et al. 2023)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from einops import einsum, rearrange, repeat
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from transformer_lens.hook_points import HookPoint

from hooks.architectures.attention_config import AttentionConfig
from hooks.model import SequenceModel


@dataclass(frozen=True)
class LinearAttentionConfig(AttentionConfig):
    """Sizes of a linear self-attention network."""

    n_layers: int = 4
    d_model: int = 32
    clip: float = 10.0
    """Largest absolute value a layer leaves in the stream.

    A layer is cubic in its input, so a rare long x explodes in a few of them; typical prompts
    stay below and their network is exactly linear attention.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.clip > 0:
            raise ValueError(f"clip must be above 0, got {self.clip}")


class LinearSelfAttention(nn.Module):
    """Every token adds the sum over examples of (q·k) v; scores are neither scaled nor squashed."""

    def __init__(self, config: LinearAttentionConfig) -> None:
        super().__init__()
        self.n_heads, self.n_points = config.n_heads, config.n_points
        self.W_QKV = nn.Linear(config.d_model, 3 * config.d_model, bias=False)
        self.W_O = nn.Linear(config.d_model, config.d_model, bias=False)
        self.hook_q = HookPoint()
        self.hook_k = HookPoint()
        self.hook_v = HookPoint()
        self.hook_z = HookPoint()

    def forward(self, x: Float[Tensor, "row token d_model"]) -> Float[Tensor, "row token d_model"]:
        qkv = rearrange(
            self.W_QKV(x), "row token (three head d) -> three row token head d",
            three=3, head=self.n_heads,
        )  # fmt: skip
        q, k, v = (
            hook(part)
            for hook, part in zip((self.hook_q, self.hook_k, self.hook_v), qkv, strict=True)
        )
        # sum_j (q·k_j) v_j = q (sum_j k_j v_j^T) over the examples, which follow the query.
        memory = einsum(k[:, 1:], v[:, 1:], "row pair head d, row pair head e -> row head d e")
        memory = memory / self.n_points
        z = einsum(q, memory, "row token head d, row head d e -> row token head e")
        return self.W_O(rearrange(self.hook_z(z), "row token head e -> row token (head e)"))


class LinearAttentionBlock(nn.Module):
    """One linear self-attention, added to the residual stream, which is clipped."""

    def __init__(self, config: LinearAttentionConfig) -> None:
        super().__init__()
        self.clip = config.clip
        self.attn = LinearSelfAttention(config)
        self.hook_resid_pre = HookPoint()
        self.hook_attn_out = HookPoint()
        self.hook_resid_post = HookPoint()

    def forward(
        self, resid: Float[Tensor, "row token d_model"]
    ) -> Float[Tensor, "row token d_model"]:
        resid = self.hook_resid_pre(resid)
        resid = resid + self.hook_attn_out(self.attn(resid))
        return self.hook_resid_post(resid.clamp(-self.clip, self.clip))


class LinearAttention(SequenceModel):
    """Layers of linear self-attention on the examples of a prefix and one query.

    One layer can perform one step of gradient descent exactly (von Oswald et al. 2023,
    Proposition 1). Its tokens are whole pairs (x_j, y_j) and the query (x_t, 0), and examples
    attend to each other in both directions, so the network runs once per prefix: a hook sees
    [prompt * point, token, d_model], the query at token 0 of every row. Queries are no keys
    (Ahn et al. 2023), sums are divided by `config.n_points`, and there are neither positions
    nor biases, so the order of the examples cannot matter.
    """

    config: LinearAttentionConfig
    site_kinds = ("resid_post", "resid_pre", "attn_out", "z")
    takes_longer_prompts = True

    def __init__(
        self, config: LinearAttentionConfig, generator: torch.Generator | None = None
    ) -> None:
        super().__init__(config)
        self.read_in = nn.Linear(config.n_dims + 1, config.d_model, bias=False)
        self.hook_embed = HookPoint()
        blocks = [LinearAttentionBlock(config) for _ in range(config.n_layers)]
        self.blocks = nn.ModuleList(blocks)
        self.read_out = nn.Linear(config.d_model, 1, bias=False)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                std = 1 / math.sqrt(module.in_features)
                nn.init.normal_(module.weight, std=std, generator=generator)
        with torch.no_grad():
            for block in blocks:
                block.attn.W_QKV.weight *= 0.4
                block.attn.W_O.weight /= config.n_layers
        self.setup()

    def forward(
        self, xs: Float[Tensor, "prompt point dim"], ys: Float[Tensor, "prompt point"]
    ) -> Float[Tensor, "prompt point"]:
        self.check_prompts(xs, ys)
        resid = self.hook_embed(self.read_in(_prefixes(xs.to(self.dtype), ys.to(self.dtype))))
        for block in self.blocks:
            resid = block(resid)
        return self.read_out(self.read_site(resid, *ys.shape))[..., 0]

    def prediction_tokens(self, n_points: int) -> slice:
        """The query is the first token of each of the rows."""
        return slice(0, 1)

    def read_site(
        self, activations: Float[Tensor, "row token *width"], n_prompts: int, n_points: int
    ) -> Float[Tensor, "prompt point *width"]:
        return activations[:, 0].unflatten(0, (n_prompts, n_points))


def _prefixes(
    xs: Float[Tensor, "prompt point dim"], ys: Float[Tensor, "prompt point"]
) -> Float[Tensor, "row token width"]:
    """One row a prefix: its query (x_t, 0), then its pairs, then zeros, which stay zero."""
    n_points = xs.shape[1]
    queries = rearrange(F.pad(xs, (0, 1)), "prompt point width -> prompt point 1 width")
    pairs = torch.cat((xs, ys[..., None]), dim=2)[:, :-1]
    pairs = repeat(pairs, "prompt pair width -> prompt prefix pair width", prefix=n_points)
    unseen = torch.ones(n_points, n_points - 1, dtype=torch.bool, device=xs.device).triu()
    pairs = pairs.masked_fill(unseen[:, :, None], 0)
    return rearrange(
        torch.cat((queries, pairs), dim=2),
        "prompt prefix token width -> (prompt prefix) token width",
    )
