"""The optimiser of a recipe, and its state as named tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from interp.training.settings import Optimiser


def build_optimiser(model: nn.Module, settings: Optimiser) -> torch.optim.Optimizer:
    """The optimiser of a recipe, over all of a model's parameters."""
    if settings.name == "muon":
        return MuonWithAdamW(model, settings)
    optimisers = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    return optimisers[settings.name](
        model.parameters(),
        lr=settings.learning_rate,
        betas=settings.betas,
        weight_decay=settings.weight_decay,
        fused=True,
    )


class MuonWithAdamW(torch.optim.Optimizer):
    """Muon for the matrices of the layers, AdamW for embeddings, biases, norms and the read-out.

    Muon (Jordan et al. 2024) moves a matrix along its momentum with all singular values made equal.
    Its step is scaled to the root mean square of AdamW's (Liu et al. 2025), so that one learning
    rate serves both.
    """

    def __init__(self, model: nn.Module, settings: Optimiser) -> None:
        matrices: list[nn.Parameter] = []
        others: list[nn.Parameter] = []
        for name, parameter in model.named_parameters():
            is_matrix = parameter.ndim == 2 and is_in_layer(name)
            (matrices if is_matrix else others).append(parameter)
        if not matrices:
            raise ValueError("optimiser.name is 'muon', but the model's layers have no matrices")
        rate, decay = settings.learning_rate, settings.weight_decay
        super().__init__([{"params": matrices}, {"params": others}], {"lr": rate})
        self.parts = (
            torch.optim.Muon(matrices, rate, decay, adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW(others, rate, betas=settings.betas, weight_decay=decay, fused=True),
        )
        self._share()

    def _share(self) -> None:
        """Makes the parts' groups and states this optimiser's own."""
        self.param_groups = [part.param_groups[0] for part in self.parts]
        for part in self.parts:
            part.state = self.state

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        loss = closure() if closure else None
        for part in self.parts:
            part.step()
        return loss

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        for part, group in zip(self.parts, self.param_groups, strict=True):
            part.param_groups = [group]
        self._share()


def is_in_layer(name: str) -> bool:
    """Whether a parameter of this name belongs to one of a model's layers."""
    return name.startswith(("blocks.", "shared_block."))


def optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """An optimiser's state as named tensors."""
    return {
        f"optimiser.{index}.{name}": value
        for index, entries in optimiser.state_dict()["state"].items()
        for name, value in entries.items()
    }


def restore_optimiser(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """The inverse of `optimiser_tensors`; the model must already be on its device."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimiser."):
            _, index, name = key.split(".", 2)
            state.setdefault(int(index), {})[name] = value
    groups = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": state, "param_groups": groups})
