"""A transformer that runs GD++ exactly: gradient descent on data it preconditions as it goes."""

from __future__ import annotations

import math
from dataclasses import dataclass

from hooks.architectures.constructed import ConstructedConfig, Sublayer
from hooks.architectures.gd_exact import GDExact, GDExactConfig, GDParts, default_eta
from hooks.architectures.prefix_attention import PrefixAttention
from hooks.architectures.slots import read_slot, write_slot


@dataclass(frozen=True)
class GDPPExactConfig(GDExactConfig):
    """Sizes of a GD++ transformer: one step a layer."""

    gamma: float = 0.0
    """Step size of the data's own update, x <- x - gamma X^T X x; 0 for half of `default_eta`."""

    def __post_init__(self) -> None:
        if self.gamma == 0:
            object.__setattr__(self, "gamma", default_gamma(self.n_dims, self.n_points))
        super().__post_init__()
        if not (self.gamma > 0 and math.isfinite(self.gamma)):
            raise ValueError(f"gamma must be above 0, got {self.gamma}")


def default_gamma(n_dims: int, n_points: int) -> float:
    """Half of `default_eta`: 1 - gamma lambda stays above 0 for x ~ N(0, I)."""
    return default_eta(n_dims, n_points) / 2


class GDPPExact(GDExact):
    """One step of GD++ in each layer, by linear self-attention alone.

    Beside the step of `GDExact`, and from the same data, every x becomes (I - gamma S_k) x with
    S_k = X_k^T X_k of the examples as they are after k steps (von Oswald et al. 2023, Section 4.1).
    On the spectrum of S: lambda_{k+1} = lambda_k (1 - gamma lambda_k)^2, and the residual in that
    direction is multiplied by 1 - eta lambda_k.

    The stream that leaves layer l holds, readable, minus the prediction after l steps.
    """

    config: GDPPExactConfig

    def parts(self) -> GDPPParts:
        return GDPPParts(self.config, self.config.eta, self.config.gamma)


class GDPPParts(GDParts):
    """The sub-layer that GD++ is made of, for a stream of `gd_slots`."""

    def __init__(self, config: ConstructedConfig, eta: float, gamma: float) -> None:
        super().__init__(config, eta)
        self.gamma = gamma

    def step(self) -> Sublayer:
        """One head updates residuals and x, another the x that examples are attended to by."""
        config, slots, d = self.config, self.slots, self.config.n_dims
        attn = PrefixAttention(
            config.d_model,
            n_heads=2,
            d_head=d,
            d_value=d + 1,
            n_points=config.n_points,
            rectified=False,
        )
        for head, name in enumerate(("x", "x_example")):
            read_slot(attn.W_Q[head], slots[name])
            read_slot(attn.W_K[head], slots["x_example"])
            read_slot(attn.W_V[head], slots["x_example"])
            write_slot(attn.W_O[head], slots[name], factor=-self.gamma * config.n_points)
        read_slot(attn.W_V[0], slots["residual"], start=d)
        write_slot(attn.W_O[0], slots["residual"], factor=-self.eta * config.n_points, start=d)
        return Sublayer(attn)
