"""A model whose layers are run in another order: some again, some swapped, some left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformer_lens.hook_points import HookPoint

from hooks.architectures.looped import LoopedTransformer
from hooks.interventions.intervention import ForwardHooks
from hooks.model import ModelConfig, SequenceModel
from hooks.sites import Site


class ReorderedBlock(nn.Module):
    """Hook points of a place in the order; what enters is hooked at the first place only."""

    def __init__(self) -> None:
        super().__init__()
        self.hook_resid_pre = HookPoint()
        self.hook_resid_post = HookPoint()


class Reordered(SequenceModel):
    """A model whose layers run in a given order, each as often as the order names it.

    It is read like any other model: layer l is what leaves the l-th layer of the order, and what
    leaves the last one is what the predictions are made from. The order is cut where it does not
    ascend and the model runs once for every part, each from what the part before it left; layers
    that are not part of it pass on what they are given. The model itself stays as it is.

    Args:
        model: One of our models, a Hugging Face or an attached one.
        order: Its layers, counted from 1.

    Raises:
        ValueError: The order is empty or names a layer that the model does not have.
    """

    site_kinds = ("resid_post",)

    def __init__(self, model: SequenceModel, order: Sequence[int]) -> None:
        wrong = [layer for layer in order if not 1 <= layer <= model.n_layers]
        if not order or wrong:
            raise ValueError(
                f"order must name one or more layers from 1 to {model.n_layers}, the number of the "
                f"model's layers, got {list(order)}"
            )
        config = model.config
        super().__init__(ModelConfig(config.n_dims, config.n_points, len(order), config.d_model))
        self.order = tuple(order)
        self.blocks = nn.ModuleList(ReorderedBlock() for _ in order)
        self.setup()  # before the model is added: its names and hook points are its own
        self.model = model
        self.training = model.training
        self.is_causal = model.is_causal  # type: ignore[misc]  # of the class where it is known
        self.takes_longer_prompts = model.takes_longer_prompts  # type: ignore[misc]
        self.first_point = model.first_point
        self.is_wiring_checked = model.is_wiring_checked
        words = ", ".join(map(str, order))
        self.provenance = {**model.provenance, "name": f"{model.name}, layers {words}"}

    def forward(
        self, xs: Float[Tensor, "prompt point dim"], ys: Float[Tensor, "prompt point"]
    ) -> Float[Tensor, "prompt point"]:
        entered: list[Tensor] | None = None
        for first, part in _ascending(self.order):
            run = _Pass(self, part, first, entered)
            with self.model.hooks(fwd_hooks=run.hooks()):
                predictions = self.model(xs, ys)
            entered = run.left
        return predictions

    def prediction_tokens(self, n_points: int) -> slice | Tensor:
        return self.model.prediction_tokens(n_points)

    def read_site(
        self, activations: Float[Tensor, "row token *width"], n_prompts: int, n_points: int
    ) -> Float[Tensor, "prompt point *width"]:
        return self.model.read_site(activations, n_prompts, n_points)

    def final_norm(
        self, activations: Float[Tensor, "*batch d_model"]
    ) -> Float[Tensor, "*batch d_model"]:
        return self.model.final_norm(activations)

    @property
    def dtype(self) -> torch.dtype:
        return self.model.dtype

    @property
    def device(self) -> torch.device:
        return self.model.device


class _Pass:
    """One run of the model, through layers that ascend.

    A model that is run prefix by prefix fires every hook once for each of them, in the same order
    in every run.
    """

    def __init__(
        self, owner: Reordered, part: Sequence[int], first: int, entered: list[Tensor] | None
    ) -> None:
        self.owner, self.entered = owner, entered
        self.places = {layer: first + index for index, layer in enumerate(part)}
        """Places in the order, from 0, of the layers of this part."""
        self.left: list[Tensor] = []
        """What left the last of them, firing by firing."""
        self.blocks: list[Any] = list(owner.blocks)

    def hooks(self) -> ForwardHooks:
        model = self.owner.model
        hooks: ForwardHooks = [
            (model.hook_name(Site(layer)), self._passing_on(layer))
            for layer in range(1, model.n_layers + 1)
        ]
        hooks.insert(0, (model.hook_name(Site(0)), self._enter))
        if self.entered is None and "resid_pre" in model.site_kinds and 1 not in self.places:
            site = Site(min(self.places), "resid_pre")
            hooks.append((model.hook_name(site), lambda activation, hook: self.stream))
        return hooks

    def _enter(self, activation: Tensor, *, hook: HookPoint) -> Tensor:
        if self.entered is None:
            self.stream = self.blocks[0].hook_resid_pre(activation)
            return self.stream
        self.stream = self.entered[len(self.left)]
        if 1 not in self.places:
            return activation
        if isinstance(self.owner.model, LoopedTransformer):
            return self.owner.model.between_loops(self.stream, activation)
        return self.stream

    def _passing_on(self, layer: int) -> Callable[..., Any]:
        def pass_on(activation: Tensor, *, hook: HookPoint) -> Tensor:  # noqa: ARG001
            if layer in self.places:
                place = self.places[layer]
                self.stream = self.blocks[place].hook_resid_post(activation)
            if layer == self.owner.model.n_layers:
                self.left.append(self.stream)
            return self.stream

        return pass_on


def _ascending(order: Sequence[int]) -> Iterator[tuple[int, Sequence[int]]]:
    """The longest ascending parts of an order, and where each begins."""
    ends = [index for index in range(1, len(order)) if order[index] <= order[index - 1]]
    for start, end in zip([0, *ends], [*ends, len(order)], strict=True):
        yield start, order[start:end]
