"""Hooked architectures, one a file. A new one is a new file and one line in `ARCHITECTURES`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch

from hooks.architectures.delta_net import DeltaNet, DeltaNetConfig
from hooks.architectures.early_exit import EarlyExit, EarlyExitConfig
from hooks.architectures.gd_exact import GDExact, GDExactConfig
from hooks.architectures.gdpp_exact import GDPPExact, GDPPExactConfig
from hooks.architectures.gpt2 import GPT2, GPT2Config
from hooks.architectures.linear_attention import LinearAttention, LinearAttentionConfig
from hooks.architectures.looped import LoopedConfig, LoopedTransformer
from hooks.architectures.lstm import LSTM, LSTMConfig
from hooks.architectures.newton_exact import NewtonExact, NewtonExactConfig
from hooks.architectures.ogd_exact import OGDExact, OGDExactConfig
from hooks.architectures.planted import Planted
from hooks.architectures.planted_config import PlantedConfig
from hooks.model import ModelConfig, SequenceModel


class Architecture(NamedTuple):
    """A model class and the configuration it is built from."""

    model: type[SequenceModel]
    config: type[ModelConfig]


ARCHITECTURES: dict[str, Architecture] = {
    "gpt2": Architecture(GPT2, GPT2Config),
    "early-exit": Architecture(EarlyExit, EarlyExitConfig),
    "lstm": Architecture(LSTM, LSTMConfig),
    "linear-attention": Architecture(LinearAttention, LinearAttentionConfig),
    "delta-net": Architecture(DeltaNet, DeltaNetConfig),
    "looped": Architecture(LoopedTransformer, LoopedConfig),
    "newton-exact": Architecture(NewtonExact, NewtonExactConfig),
    "gd-exact": Architecture(GDExact, GDExactConfig),
    "gdpp-exact": Architecture(GDPPExact, GDPPExactConfig),
    "ogd-exact": Architecture(OGDExact, OGDExactConfig),
    "planted": Architecture(Planted, PlantedConfig),
}


def build_model(
    architecture: str, config: Mapping[str, Any], *, seed: int | None = None
) -> SequenceModel:
    """Builds a randomly initialised model.

    Args:
        architecture: A key of `ARCHITECTURES`.
        config: Fields of that architecture's configuration; missing ones take their defaults.
        seed: Seed of the initialisation; None draws from torch's global generator.

    Raises:
        ValueError: Unknown architecture, unknown or invalid field.
    """
    if architecture not in ARCHITECTURES:
        known = ", ".join(sorted(ARCHITECTURES))
        raise ValueError(f"architecture {architecture!r} is unknown, known ones: {known}")
    model, config_class = ARCHITECTURES[architecture]
    fields = set(config_class.__dataclass_fields__)
    if unknown := sorted(set(config) - fields):
        raise ValueError(
            f"{architecture} has no {', '.join(unknown)}; it takes {', '.join(sorted(fields))}"
        )
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    return model(config_class(**config), generator)


def architecture_of(model: SequenceModel) -> str:
    """The key of `ARCHITECTURES` a model was built from."""
    for name, architecture in ARCHITECTURES.items():
        if type(model) is architecture.model:
            return name
    raise ValueError(f"{type(model).__name__} is not a registered architecture")
