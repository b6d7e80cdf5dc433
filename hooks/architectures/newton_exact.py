"""A transformer that runs Iterative Newton exactly (Fu et al. 2024, Theorem 5.1)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from hooks.architectures.constructed import ConstructedConfig, ConstructedModel, Sublayer, Target
from hooks.architectures.exact import ExactConfig, ExactModel
from hooks.architectures.prefix_attention import PrefixAttention
from hooks.architectures.rectified_mlp import RectifiedMLP
from hooks.architectures.slots import Slots, read_slot, write_slot
from hooks.architectures.spectral_bound import largest_singular_value, power_of_two_below


def default_alpha(n_dims: int, n_points: int) -> float:
    """The largest power of two that keeps alpha lambda_max(S)^2 below 2 for x ~ N(0, I)."""
    return power_of_two_below(2 / largest_singular_value(n_dims, n_points) ** 4)


@dataclass(frozen=True)
class NewtonExactConfig(ExactConfig):
    """Sizes of a Newton transformer: `n_layers` - 2 iterations, between set-up and read-out."""

    n_layers: int = 14
    alpha: float = 0.0
    """M_0 = alpha S, in the units of S = X^T X; 0 for `default_alpha` of the sizes."""
    readable: bool = True
    """Whether the stream carries the running prediction, one layer behind."""

    def __post_init__(self) -> None:
        if self.alpha == 0:
            object.__setattr__(self, "alpha", default_alpha(self.n_dims, self.n_points))
        super().__post_init__()
        if self.n_layers < 2:
            raise ValueError(f"n_layers must be at least 2, got {self.n_layers}")
        if not (self.alpha > 0 and math.isfinite(self.alpha)):
            raise ValueError(f"alpha must be above 0, got {self.alpha}")

    def slots(self) -> Slots:
        return newton_slots(self.n_dims)


def newton_slots(n_dims: int) -> Slots:
    """The stream of a token. Slots that end in `_example` are 0 at queries; n is `n_points`."""
    return Slots(
        {
            "x": n_dims,
            "x_example": n_dims,
            "m": n_dims,  # n M_k x
            "m_example": n_dims,
            "y": 1,  # 0 at queries
            "new_prediction": 1,  # 0 except between attention and MLP
            "prediction": 1,
        }
    )


class NewtonExact(ExactModel):
    """Iterates M <- 2M - M S M in its forward pass, from M_0 = alpha S, and predicts x_t·M_k X^T y.

    Layer 1 sets up n M_0 x at every token, layers 2 to k + 1 iterate, layer k + 2 reads out. In an
    iteration a pair of heads, for the positive and the negative part, adds -(1/2) n M S M x to
    n M x and the MLP doubles the result; n is `n_points`, the constant of the (1/n) ReLU attention,
    so that M is kept in the units of S / n. A second pair does the same for the copy that
    examples, and no query, are attended to by.

    The stream that leaves layer l holds the filtered query M_{l-1} x_t (the last two layers hold
    that of M_k). With `readable` it also holds the prediction of M_{l-2}: heads with values y put
    it into a slot that the MLP moves over the last one. Without, no linear function of the stream
    before the last layer is a prediction.

    Alpha is fixed in the weights: prompts with alpha lambda_max(S)^2 above 2 diverge, to infinite
    and then NaN predictions of theirs alone. With the default alpha and x ~ N(0, I) that is less
    than one prompt in a million.
    """

    config: NewtonExactConfig
    site_kinds = ("resid_post", "resid_pre", "resid_mid", "attn_out", "mlp_out", "z")
    n_layers_outside_loop = 2

    def __init__(self, config: NewtonExactConfig, generator: torch.Generator | None = None) -> None:
        super().__init__(config, generator)
        n_iterations = config.n_layers - 2
        parts = NewtonParts(config, config.alpha)
        parts.set_ends(self)
        if config.looped:
            names = ["set_up", *["iterate"] * n_iterations, "read_out"]
            sublayers = {
                "set_up": parts.set_up(),
                "iterate": parts.iterate(readable=config.readable),
                "read_out": parts.read_out(),
            }
        else:
            names = [str(layer) for layer in range(config.n_layers)]
            iterations = [parts.iterate(readable=config.readable) for _ in range(n_iterations)]
            layers = [parts.set_up(), *iterations, parts.read_out()]
            sublayers = dict(zip(names, layers, strict=True))
        self.set_layers(sublayers, names)
        self.finish()

    def steps_done(self, target: Target = "prediction") -> Float[Tensor, " layer"]:
        last = self.n_layers
        layers = torch.arange(last + 1, dtype=torch.float64)
        if target == "filtered_query":
            steps = (layers - 1).clamp(max=last - 2)
        else:
            steps = layers - 2 if self.config.readable else torch.where(layers < last, -1, last - 2)
        return torch.where(steps < 0, torch.nan, steps)


MOVE_PREDICTION = {
    "new_prediction": {"new_prediction": -1.0, "prediction": 1.0},
    "prediction": {"prediction": -1.0},
}
"""What an MLP adds to replace the prediction by the new one."""


class NewtonParts:
    """The sub-layers that Iterative Newton is made of, for a stream of `newton_slots`."""

    def __init__(self, config: ConstructedConfig, alpha: float) -> None:
        self.config = config
        self.alpha = alpha
        self.slots = newton_slots(config.n_dims)

    def set_ends(self, model: ConstructedModel) -> None:
        """Sets read-in and read-out."""
        d = self.config.n_dims
        for start, name in ((0, "x"), (d, "x_example"), (2 * d, "y")):
            write_slot(model.W_read_in, self.slots[name], start=start)
        model.W_read_out.data[self.slots["prediction"]] = 1

    def set_up(self) -> Sublayer:
        """Writes n M_0 x = n alpha S x; its MLP has nothing to do."""
        attn = self._attention(queries=("x", "x_example"), keys="x_example", values="x_example")
        n_squared = self.config.n_points**2
        self._write(attn, 0, "m", factor=self.alpha * n_squared)
        self._write(attn, 1, "m_example", factor=self.alpha * n_squared)
        return Sublayer(attn, self._mlp(MOVE_PREDICTION))

    def iterate(self, *, readable: bool) -> Sublayer:
        """Turns M into 2M - M S M; if readable, writes first the prediction that M makes."""
        attn = self._attention(queries=("x", "x_example"), keys="m_example", values="m_example")
        self._write(attn, 0, "m", factor=-0.5)
        self._write(attn, 1, "m_example", factor=-0.5)
        if readable:
            self._write_prediction(attn, start=self.config.n_dims)
        double = {"m": {"m": 1.0}, "m_example": {"m_example": 1.0}}
        return Sublayer(attn, self._mlp(double | MOVE_PREDICTION if readable else double))

    def read_out(self) -> Sublayer:
        """Writes the prediction that M makes, in place of the one that was there."""
        attn = self._attention(queries=("x",), keys="m_example", values=None)
        self._write_prediction(attn, start=0)
        return Sublayer(attn, self._mlp(MOVE_PREDICTION))

    def _attention(
        self, *, queries: tuple[str, ...], keys: str, values: str | None
    ) -> PrefixAttention:
        """A pair of heads for each slot of queries, y their last value, writing nothing yet."""
        config, slots = self.config, self.slots
        d_slot = config.n_dims if values else 0
        attn = PrefixAttention(
            config.d_model,
            n_heads=2 * len(queries),
            d_head=config.n_dims,
            d_value=d_slot + 1,
            n_points=config.n_points,
            rectified=True,
        )
        for head in range(attn.n_heads):
            read_slot(attn.W_Q[head], slots[queries[head // 2]])
            read_slot(attn.W_K[head], slots[keys], factor=_sign(head))
            if values:
                read_slot(attn.W_V[head], slots[values])
            read_slot(attn.W_V[head], slots["y"], start=d_slot)
        return attn

    def _write(self, attn: PrefixAttention, pair: int, slot: str, *, factor: float) -> None:
        for head in (2 * pair, 2 * pair + 1):
            write_slot(attn.W_O[head], self.slots[slot], factor=_sign(head) * factor)

    def _write_prediction(self, attn: PrefixAttention, *, start: int) -> None:
        for head in (0, 1):
            slot = self.slots["new_prediction"]
            write_slot(attn.W_O[head], slot, factor=_sign(head), start=start)

    def _mlp(self, additions: Mapping[str, Mapping[str, float]]) -> RectifiedMLP:
        """An MLP that adds multiples of slots to others, as the difference of their two parts.

        Args:
            additions: For each slot that is read, the slots that it is added to and how often.
        """
        config, slots = self.config, self.slots
        reads = [(name, sign) for name in additions for sign in (1.0, -1.0)]
        mlp = RectifiedMLP(config.d_model, sum(slots.size(name) for name, _ in reads))
        start = 0
        for name, sign in reads:
            size = slots.size(name)
            read_slot(mlp.W_in, slots[name], factor=sign, start=start)
            for written, times in additions[name].items():
                write_slot(mlp.W_out, slots[written], factor=sign * times, start=start)
            start += size
        return mlp


def _sign(head: int) -> float:
    """Heads come in pairs, for the positive and the negative part of their scores."""
    return 1.0 if head % 2 == 0 else -1.0
