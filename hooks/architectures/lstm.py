"""A stack of LSTM layers, the paper's recurrent counterpart of the transformer."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformer_lens.hook_points import HookPoint

from hooks.model import ModelConfig, SequenceModel
from hooks.tokens import make_tokens


@dataclass(frozen=True)
class LSTMConfig(ModelConfig):
    """Sizes of an LSTM; the paper's are 10 layers, d_model 256, d = 20, 41 points."""

    n_layers: int = 4
    d_model: int = 96
    residual: bool = False
    """Whether a layer reads a LayerNorm of the stream and adds to it, instead of replacing it.

    At d = 5 a plain stack of 10 layers still predicted zero after 300 training steps; with this
    option its error was down by a third after 200.
    """
    forget_bias: float = 1.0
    """Initial bias of the forget gates; 1 lets gradients reach the first examples."""
    input_gain: float = 1.0
    """Factor on the initial weights by which a layer reads the one below.

    A half-open gate on either side of a cell halves what goes through it. So in a plain stack what
    tells prompts apart falls by almost half a layer: after 10 layers 0.3 % of it is left, and
    gradients are 10,000 times as small as with `residual`. With a gain of 3 none is lost, at any
    width. At d = 5 that alone does not make 10 layers of 64 learn: with AdamW at 2e-3 they still
    predicted zero after 3,500 steps; with Muon they were off that plateau after 750.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.input_gain < math.inf:
            raise ValueError(f"input_gain must be above 0 and finite, got {self.input_gain}")


class LSTMLayer(nn.Module):
    """One LSTM layer; what it leaves at each token is its hidden state, or the sum with it."""

    def __init__(self, config: LSTMConfig) -> None:
        super().__init__()
        self.residual = config.residual
        self.ln = nn.LayerNorm(config.d_model) if config.residual else nn.Identity()
        self.lstm = nn.LSTM(config.d_model, config.d_model, batch_first=True)
        self.hook_resid_pre = HookPoint()
        self.hook_hidden = HookPoint()
        self.hook_resid_post = HookPoint()

    def forward(
        self, resid: Float[Tensor, "prompt token d_model"]
    ) -> Float[Tensor, "prompt token d_model"]:
        resid = self.hook_resid_pre(resid)
        hidden = self.hook_hidden(self.lstm(self.ln(resid))[0])
        return self.hook_resid_post(resid + hidden if self.residual else hidden)


class LSTM(SequenceModel):
    """LSTM layers between the read-in and the read-out that the GPT-2 has.

    Each layer's hidden states are its residual stream: layer l of the network is read at
    `blocks.{l-1}.hook_resid_post` (Fu et al. 2024, Section 4.1 and Table 1).
    """

    config: LSTMConfig
    site_kinds = ("resid_post", "resid_pre")
    takes_longer_prompts = True

    def __init__(self, config: LSTMConfig, generator: torch.Generator | None = None) -> None:
        super().__init__(config)
        self.read_in = nn.Linear(config.n_dims, config.d_model)
        self.hook_embed = HookPoint()
        layers = [LSTMLayer(config) for _ in range(config.n_layers)]
        self.blocks = nn.ModuleList(layers)
        self.ln_final = nn.LayerNorm(config.d_model) if config.residual else nn.Identity()
        self.read_out = nn.Linear(config.d_model, 1)
        _init_linear(self.read_in, generator)
        for layer in layers:
            _init_lstm(layer.lstm, config, generator)
        _init_linear(self.read_out, generator)
        self.setup()

    def forward(
        self, xs: Float[Tensor, "prompt point dim"], ys: Float[Tensor, "prompt point"]
    ) -> Float[Tensor, "prompt point"]:
        self.check_prompts(xs, ys)
        tokens = make_tokens("interleaved", xs.to(self.dtype), ys.to(self.dtype))
        resid = self.hook_embed(self.read_in(tokens))  # [prompt, token, d_model]
        for block in self.blocks:
            resid = block(resid)
        predictions = self.read_out(self.final_norm(resid))[..., 0]  # [prompt, token]
        return predictions[:, self.prediction_tokens(xs.shape[1])]

    def final_norm(
        self, activations: Float[Tensor, "*batch d_model"]
    ) -> Float[Tensor, "*batch d_model"]:
        return self.ln_final(activations)


def _init_linear(linear: nn.Linear, generator: torch.Generator | None) -> None:
    bound = 1 / math.sqrt(linear.in_features)
    nn.init.uniform_(linear.weight, -bound, bound, generator=generator)
    nn.init.uniform_(linear.bias, -bound, bound, generator=generator)


def _init_lstm(lstm: nn.LSTM, config: LSTMConfig, generator: torch.Generator | None) -> None:
    """Uniform input weights, orthogonal recurrent ones, zero biases except the forget gate's."""
    bound = config.input_gain / math.sqrt(lstm.input_size)
    weights = dict(lstm.named_parameters())
    nn.init.uniform_(weights["weight_ih_l0"], -bound, bound, generator=generator)
    with torch.no_grad():
        for gate in weights["weight_hh_l0"].chunk(4):
            nn.init.orthogonal_(gate, generator=generator)
        weights["bias_hh_l0"].zero_()
        weights["bias_ih_l0"].zero_()
        _, forget, _, _ = weights["bias_ih_l0"].chunk(4)  # gates: input, forget, cell, output
        forget.fill_(config.forget_bias)
