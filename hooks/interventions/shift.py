"""Moving activations by a given amount."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor
from transformer_lens.hook_points import HookPoint

from hooks.interventions.intervention import ForwardHooks, Intervention
from hooks.interventions.patching import check_shape
from hooks.model import SequenceModel
from hooks.sites import Site


@dataclass(frozen=True, eq=False)
class Shift(Intervention):
    """Adds a tensor to the activations of a site."""

    site: Site
    amount: Float[Tensor, "prompt token *width"]
    """In the shape of what the site's hook sees."""

    def hooks(self, model: SequenceModel) -> ForwardHooks:
        def shift(activation: Tensor, *, hook: HookPoint) -> Tensor:  # noqa: ARG001
            check_shape("amount", self.amount, activation, self.site)
            return activation + self.amount.to(activation.dtype).to(activation.device)

        return [(model.hook_name(self.site), shift)]
