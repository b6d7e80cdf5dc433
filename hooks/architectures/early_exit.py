"""GPT-2 read out before its last layer."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from hooks.architectures.gpt2 import GPT2, GPT2Config


@dataclass(frozen=True)
class EarlyExitConfig(GPT2Config):
    """A GPT-2's sizes, and the layer whose residual stream is read out."""

    read_out_layer: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.read_out_layer >= self.n_layers:
            raise ValueError(
                f"read_out_layer must be below n_layers = {self.n_layers}, "
                f"got {self.read_out_layer}"
            )


class EarlyExit(GPT2):
    """GPT-2 whose read-out reads the raw residual stream of an earlier layer.

    The layer-by-layer probes of Fu et al. 2024 are such models, one for each layer. The layers
    behind the read-out run as well, so that every site can still be read.
    """

    config: EarlyExitConfig

    def __init__(self, config: EarlyExitConfig, generator: torch.Generator | None = None) -> None:
        super().__init__(config, generator)

    def forward(
        self, xs: Float[Tensor, "prompt point dim"], ys: Float[Tensor, "prompt point"]
    ) -> Float[Tensor, "prompt point"]:
        self.check_prompts(xs, ys)
        resid = self.embed(xs.to(self.dtype), ys.to(self.dtype))  # [prompt, token, d_model]
        streams = []
        for block in self.blocks:
            resid = block(resid)
            streams.append(resid)
        predictions = self.read_out(streams[self.config.read_out_layer - 1])[..., 0]
        return predictions[:, self.prediction_tokens(xs.shape[1])]
