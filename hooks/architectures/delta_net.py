"""DeltaNet: causal linear attention whose memory is written by the delta rule."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from transformer_lens.hook_points import HookPoint

from hooks.architectures.attention_config import AttentionConfig
from hooks.architectures.gpt2 import MLP, Block
from hooks.model import SequenceModel, init_gpt2_weights
from hooks.tokens import make_tokens, token_width


@dataclass(frozen=True)
class DeltaNetConfig(AttentionConfig):
    """Sizes of a DeltaNet."""

    n_layers: int = 4
    n_heads: int = 2


class DeltaAttention(nn.Module):
    """Each head keeps a matrix S and corrects it at every token, an online gradient step.

    S_t = S_{t-1} + beta_t (v_t - S_{t-1} k_t) k_t^T with |k_t| = 1 and beta_t in (0, 1), and the
    output is S_t q_t (Schlag et al. 2021). It is computed for all tokens at once: the corrections
    u_t = beta_t (v_t - S_{t-1} k_t) solve one unit lower triangular system (Yang et al. 2024).
    """

    def __init__(self, config: DeltaNetConfig) -> None:
        super().__init__()
        self.n_heads = config.n_heads
        self.W_QKV = nn.Linear(config.d_model, 3 * config.d_model)
        self.W_beta = nn.Linear(config.d_model, config.n_heads)
        self.W_O = nn.Linear(config.d_model, config.d_model)
        self.hook_q = HookPoint()
        self.hook_k = HookPoint()
        self.hook_v = HookPoint()
        self.hook_beta = HookPoint()
        self.hook_z = HookPoint()

    def forward(
        self, x: Float[Tensor, "batch token d_model"]
    ) -> Float[Tensor, "batch token d_model"]:
        q, k, v = rearrange(
            self.W_QKV(x), "batch token (three head d) -> three batch token head d",
            three=3, head=self.n_heads,
        )  # fmt: skip
        q, k, v = self.hook_q(q), self.hook_k(F.normalize(k, dim=-1)), self.hook_v(v)
        beta = self.hook_beta(self.W_beta(x).sigmoid())  # [batch, token, head]
        z = self.hook_z(delta_rule(q, k, v, beta))
        return self.W_O(rearrange(z, "batch token head d -> batch token (head d)"))


def delta_rule(
    q: Float[Tensor, "batch token head d"],
    k: Float[Tensor, "batch token head d"],
    v: Float[Tensor, "batch token head d"],
    beta: Float[Tensor, "batch token head"],
) -> Float[Tensor, "batch token head d"]:
    """S_t q_t for every token, with S_t = S_{t-1} + beta_t (v_t - S_{t-1} k_t) k_t^T and S_0 = 0.

    With u_t = beta_t (v_t - sum_{s<t} (k_s·k_t) u_s), S_t = sum_{s<=t} u_s k_s^T.
    """
    q, k, v = (rearrange(part, "batch token head d -> batch head token d") for part in (q, k, v))
    beta = rearrange(beta, "batch token head -> batch head token 1")
    interference = (beta * (k @ k.mT)).tril(-1)
    # The diagonal is taken for ones, so this solves (1 + interference) u = beta v.
    u = torch.linalg.solve_triangular(interference, beta * v, upper=False, unitriangular=True)
    return rearrange((q @ k.mT).tril() @ u, "batch head token d -> batch token head d")


class DeltaNet(SequenceModel):
    """A recurrent network whose layers are online learners.

    One token a point, (x_{t-1}, y_{t-1}, x_t); keys have unit length. With keys along x_{t-1},
    values y_{t-1} / |x_{t-1}|, queries x_t and beta = 1 a single layer is the paper's OGD,
    w <- w - (w·x - y) x / |x|^2. Its blocks are GPT-2's with the delta rule in place of softmax
    attention. There are no positions: the recurrence has an order of its own.
    """

    config: DeltaNetConfig
    site_kinds = ("resid_post", "resid_pre", "resid_mid", "attn_out", "mlp_out", "z")
    takes_longer_prompts = True

    def __init__(self, config: DeltaNetConfig, generator: torch.Generator | None = None) -> None:
        super().__init__(config)
        self.read_in = nn.Linear(token_width("joined", config.n_dims), config.d_model)
        self.hook_embed = HookPoint()
        self.blocks = nn.ModuleList(
            Block(config.d_model, DeltaAttention(config), MLP(config))
            for _ in range(config.n_layers)
        )
        self.ln_final = nn.LayerNorm(config.d_model)
        self.read_out = nn.Linear(config.d_model, 1)
        init_gpt2_weights(self, std=1 / math.sqrt(config.d_model), generator=generator)
        std = 1 / math.sqrt(2 * config.n_layers * config.d_model)
        for name, weight in self.named_parameters():
            if name.endswith("W_O.weight"):
                nn.init.normal_(weight, std=std, generator=generator)
            elif name.endswith("W_out.weight"):  # four times as wide, so it adds as much
                nn.init.normal_(weight, std=std / 2, generator=generator)
        self.setup()

    def forward(
        self, xs: Float[Tensor, "prompt point dim"], ys: Float[Tensor, "prompt point"]
    ) -> Float[Tensor, "prompt point"]:
        self.check_prompts(xs, ys)
        tokens = make_tokens("joined", xs.to(self.dtype), ys.to(self.dtype))
        resid = self.hook_embed(self.read_in(tokens))  # [prompt, point, d_model]
        for block in self.blocks:
            resid = block(resid)
        return self.read_out(self.ln_final(resid))[..., 0]

    def prediction_tokens(self, n_points: int) -> slice:
        return slice(None)

    def final_norm(
        self, activations: Float[Tensor, "*batch d_model"]
    ) -> Float[Tensor, "*batch d_model"]:
        return self.ln_final(activations)
