"""The algorithm of a planted model, and the difficulties of finding it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import torch

from hooks.architectures.constructed import ConstructedConfig
from hooks.architectures.gd_exact import default_eta, gd_slots
from hooks.architectures.gdpp_exact import default_gamma
from hooks.architectures.newton_exact import default_alpha, newton_slots
from hooks.architectures.slots import Slots

Algorithm = Literal["newton", "gd", "gdpp", "ogd"]


@dataclass(frozen=True)
class PlantedConfig(ConstructedConfig):
    """What is planted, and under which difficulties."""

    n_layers: int = 8
    """All layers: idle ones, dead ones and those that do something."""
    algorithm: str = "newton"
    """What is planted: "newton", "gd", "gdpp" or "ogd"."""
    iterations_per_layer: int = 1
    """Steps that a layer takes, unless it is idle or dead; online GD is done after one."""
    alpha: float = 0.0
    """Newton's M_0 = alpha S; 0 for `default_alpha` of the sizes."""
    eta: float = 0.0
    """Step size of GD and GD++; 0 for `default_eta` of the sizes."""
    gamma: float = 0.0
    """Step size of the data's own update in GD++; 0 for `default_gamma` of the sizes."""
    readable: bool = True
    """Whether Newton's stream carries the running prediction; GD's always does."""
    noise: float = 0.0
    """Standard deviation of noise in the residual stream, in those of the stream without it."""
    noise_enters: bool = False
    """Whether what follows a layer is computed from the noisy stream, or the noise only read."""
    noise_seed: int = 0
    rotation_seed: int | None = None
    """Seed of an orthogonal matrix that the residual stream is turned by; None for none."""
    dead_fraction: float = 0.0
    """Fraction of the layers that are not idle that do nothing; never the first or last of them."""
    dead_seed: int = 0
    """Seed of which layers are dead."""
    idle_start: int = 0
    """Layers at the start that do nothing."""
    idle_end: int = 0
    """Layers at the end that do nothing."""

    may_be_zero: ClassVar[frozenset[str]] = frozenset(
        {"noise_seed", "rotation_seed", "dead_seed", "idle_start", "idle_end"}
    )

    def __post_init__(self) -> None:
        if self.algorithm not in get_args(Algorithm):
            known = ", ".join(get_args(Algorithm))
            raise ValueError(f"algorithm must be one of {known}, got {self.algorithm!r}")
        super().__post_init__()
        for name, default in (
            ("alpha", default_alpha),
            ("eta", default_eta),
            ("gamma", default_gamma),
        ):
            value = getattr(self, name) or default(self.n_dims, self.n_points)
            object.__setattr__(self, name, value)
            if not (value > 0 and math.isfinite(value)):
                raise ValueError(f"{name} must be above 0, got {value}")
        if not (self.noise >= 0 and math.isfinite(self.noise)):
            raise ValueError(f"noise must be at least 0, got {self.noise}")
        n_busy = self.n_layers - self.idle_start - self.idle_end
        if n_busy < 1:
            raise ValueError(
                "idle_start + idle_end must leave a layer of n_layers, got "
                f"{self.idle_start} + {self.idle_end} of {self.n_layers}"
            )
        if not 0 <= self.dead_fraction <= 1 or self.n_dead > max(0, n_busy - 2):
            raise ValueError(
                f"dead_fraction must leave the first and last of {n_busy} layers alive, got "
                f"{self.dead_fraction}"
            )

    def slots(self) -> Slots:
        return (newton_slots if self.algorithm == "newton" else gd_slots)(self.n_dims)

    @property
    def n_dead(self) -> int:
        return round(self.dead_fraction * (self.n_layers - self.idle_start - self.idle_end))

    @property
    def is_active(self) -> tuple[bool, ...]:
        """Which layers, from 1 on, do something."""
        first, last = self.idle_start, self.n_layers - self.idle_end - 1
        generator = torch.Generator().manual_seed(self.dead_seed)
        inner = torch.randperm(max(0, last - first - 1), generator=generator)
        dead = {first + 1 + int(layer) for layer in inner[: self.n_dead]}
        return tuple(first <= layer <= last and layer not in dead for layer in range(self.n_layers))
