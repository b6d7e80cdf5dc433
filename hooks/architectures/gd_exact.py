"""A transformer that runs gradient descent exactly (von Oswald et al. 2023, Proposition 1)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from hooks.architectures.constructed import ConstructedConfig, ConstructedModel, Sublayer, Target
from hooks.architectures.exact import ExactConfig, ExactModel
from hooks.architectures.prefix_attention import PrefixAttention
from hooks.architectures.slots import Slots, read_slot, write_slot
from hooks.architectures.spectral_bound import largest_singular_value, power_of_two_below


def default_eta(n_dims: int, n_points: int) -> float:
    """The largest power of two that keeps eta lambda_max(S) below 2 for x ~ N(0, I)."""
    return power_of_two_below(2 / largest_singular_value(n_dims, n_points) ** 2)


@dataclass(frozen=True)
class GDExactConfig(ExactConfig):
    """Sizes of a GD transformer: one step a layer."""

    n_layers: int = 12
    eta: float = 0.0
    """Step size on the sum of squares, w <- w - eta (S w - b); 0 for `default_eta` of the sizes."""

    def __post_init__(self) -> None:
        if self.eta == 0:
            object.__setattr__(self, "eta", default_eta(self.n_dims, self.n_points))
        super().__post_init__()
        if not (self.eta > 0 and math.isfinite(self.eta)):
            raise ValueError(f"eta must be above 0, got {self.eta}")

    def slots(self) -> Slots:
        return gd_slots(self.n_dims)


def gd_slots(n_dims: int) -> Slots:
    """The stream of a token. At queries `x_example` is 0, and `residual`, y - x·w, is -x·w."""
    return Slots({"x": n_dims, "x_example": n_dims, "residual": 1})


def set_gd_ends(model: ConstructedModel, slots: Slots) -> None:
    """Sets read-in and read-out of a model whose stream is that of `gd_slots`."""
    d = model.config.n_dims
    for start, name in ((0, "x"), (d, "x_example"), (2 * d, "residual")):
        write_slot(model.W_read_in, slots[name], start=start)
    model.W_read_out.data[slots["residual"]] = -1


class GDExact(ExactModel):
    """One step of gradient descent from w = 0 in each layer, by linear self-attention alone.

    Every token holds its running residual y - x·w_k; queries, which have no y, hold minus the
    prediction x_t·w_k. A head with queries and keys x and the residuals as values subtracts
    eta x·(X^T r) from all of them, which is what a step of w does. Queries have no `x_example`, so
    that they are not attended to.

    The stream that leaves layer l holds, readable, minus the prediction after l steps. Eta is fixed
    in the weights: prompts with eta lambda_max(S) above 2 diverge, they alone.
    """

    config: GDExactConfig
    site_kinds = ("resid_post", "resid_pre", "attn_out", "z")

    def __init__(self, config: GDExactConfig, generator: torch.Generator | None = None) -> None:
        super().__init__(config, generator)
        parts = self.parts()
        parts.set_ends(self)
        names = ["step" if config.looped else str(layer) for layer in range(config.n_layers)]
        self.set_layers({name: parts.step() for name in dict.fromkeys(names)}, names)
        self.finish()

    def parts(self) -> GDParts:
        """What the layers are made of."""
        return GDParts(self.config, self.config.eta)

    def steps_done(self, target: Target = "prediction") -> Float[Tensor, " layer"]:
        layers = torch.arange(self.n_layers + 1, dtype=torch.float64)
        return layers if target == "prediction" else torch.full_like(layers, torch.nan)


class GDParts:
    """The sub-layer that gradient descent is made of, for a stream of `gd_slots`."""

    def __init__(self, config: ConstructedConfig, eta: float) -> None:
        self.config = config
        self.eta = eta
        self.slots = gd_slots(config.n_dims)

    def set_ends(self, model: ConstructedModel) -> None:
        """Sets read-in and read-out."""
        set_gd_ends(model, self.slots)

    def step(self) -> Sublayer:
        """Subtracts eta x·(X^T r) from the residual r of every token."""
        config, slots = self.config, self.slots
        attn = PrefixAttention(
            config.d_model,
            n_heads=1,
            d_head=config.n_dims,
            d_value=1,
            n_points=config.n_points,
            rectified=False,
        )
        read_slot(attn.W_Q[0], slots["x"])
        read_slot(attn.W_K[0], slots["x_example"])
        read_slot(attn.W_V[0], slots["residual"])
        write_slot(attn.W_O[0], slots["residual"], factor=-self.eta * config.n_points)
        return Sublayer(attn)
