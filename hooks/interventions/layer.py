"""Ablation of what a whole layer adds to the residual stream."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from transformer_lens.hook_points import HookPoint

from hooks.interventions.ablation import Method, check_method, replacement
from hooks.interventions.intervention import ForwardHooks, Intervention
from hooks.model import SequenceModel
from hooks.sites import Site


@dataclass(frozen=True)
class AblateLayer(Intervention):
    """Replaces the difference between what leaves a layer and what entered it.

    The method "zero" skips the layer: what entered it leaves it.
    """

    layer: int
    """From 1 to the model's `n_layers`."""
    method: Method = "zero"
    seed: int = 0
    """Decides which other prompt stands in for each one."""

    def __post_init__(self) -> None:
        check_method(self.method)
        if self.layer < 1:
            raise ValueError(f"layer must be at least 1, got {self.layer}")

    def hooks(self, model: SequenceModel) -> ForwardHooks:
        entered: list[Tensor] = []

        def enter(activation: Tensor, *, hook: HookPoint) -> None:  # noqa: ARG001
            entered.append(activation)

        def leave(activation: Tensor, *, hook: HookPoint) -> Tensor:  # noqa: ARG001
            before = entered.pop()
            if self.method == "zero":
                return before
            return before + replacement(activation - before, self.method, self.seed)

        return [
            (model.hook_name(Site(self.layer - 1)), enter),
            (model.hook_name(Site(self.layer)), leave),
        ]
