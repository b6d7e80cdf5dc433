"""A delta-rule network that runs online gradient descent exactly, in its first layer."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from hooks.architectures.constructed import ConstructedConfig, ConstructedModel, Sublayer, Target
from hooks.architectures.exact import ExactConfig, ExactModel
from hooks.architectures.gd_exact import gd_slots, set_gd_ends
from hooks.architectures.prefix_delta_rule import PrefixDeltaRule
from hooks.architectures.slots import Slots, read_slot, write_slot


@dataclass(frozen=True)
class OGDExactConfig(ExactConfig):
    """Sizes of a network that passes over the examples once, whatever the number of its layers."""

    n_layers: int = 4

    def slots(self) -> Slots:
        return gd_slots(self.n_dims)


class OGDExact(ExactModel):
    """Online gradient descent with eta = 1 / |x|^2 from w = 0, over the examples in their order.

    Every token holds its residual y - x·w, as in `GDExact`; queries, which have no y, hold minus
    their prediction. A delta-rule head with keys x, values the residuals and queries x learns w
    and subtracts from every token what w says there, once the token's own example is learned. So
    the examples are left without a residual, and the layers after the first, of the same weights,
    find nothing to learn: the stream that leaves any layer holds minus the prediction of OGD.
    """

    config: OGDExactConfig
    site_kinds = ("resid_post", "resid_pre", "attn_out", "z")

    def __init__(self, config: OGDExactConfig, generator: torch.Generator | None = None) -> None:
        super().__init__(config, generator)
        parts = OGDParts(config)
        parts.set_ends(self)
        names = ["pass" if config.looped else str(layer) for layer in range(config.n_layers)]
        self.set_layers({name: parts.step() for name in dict.fromkeys(names)}, names)
        self.finish()

    def steps_done(self, target: Target = "prediction") -> Float[Tensor, " layer"]:
        passes = torch.ones(self.n_layers + 1, dtype=torch.float64)
        passes[0] = 0
        return passes if target == "prediction" else torch.full_like(passes, torch.nan)


class OGDParts:
    """The sub-layer that online gradient descent is made of, for a stream of `gd_slots`."""

    def __init__(self, config: ConstructedConfig) -> None:
        self.config = config
        self.slots = gd_slots(config.n_dims)

    def set_ends(self, model: ConstructedModel) -> None:
        """Sets read-in and read-out."""
        set_gd_ends(model, self.slots)

    def step(self) -> Sublayer:
        """Learns w from the residuals, one example after another, and subtracts x·w from them."""
        config, slots = self.config, self.slots
        delta = PrefixDeltaRule(
            config.d_model, n_heads=1, d_head=config.n_dims, d_value=1, n_points=config.n_points
        )
        read_slot(delta.W_Q[0], slots["x"])
        read_slot(delta.W_K[0], slots["x_example"])
        read_slot(delta.W_V[0], slots["residual"])
        write_slot(delta.W_O[0], slots["residual"], factor=-1.0)
        return Sublayer(delta)
