"""The optimiser of a recipe, and its state as named tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from jaxtyping import Float
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
            Muon(matrices, rate, decay),
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


class Muon(torch.optim.Optimizer):
    """`torch.optim.Muon(adjust_lr_fn="match_rms_adamw")`, in float32 and a batch for each shape.

    PyTorch's works matrix by matrix in bfloat16, which most CPUs compute slowly.
    """

    def __init__(
        self,
        params: list[nn.Parameter],
        lr: float,
        weight_decay: float,
        momentum: float = 0.95,
    ) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        loss = closure() if closure else None
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[nn.Parameter]] = {}
            for parameter in group["params"]:
                if parameter.grad is not None:
                    by_shape.setdefault(parameter.shape, []).append(parameter)
            for shape, parameters in by_shape.items():
                updates = torch.stack([self._update(each, group) for each in parameters])
                rate = group["lr"] * 0.2 * max(shape) ** 0.5
                for parameter, update in zip(parameters, orthogonal(updates), strict=True):
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    parameter.add_(update.to(parameter.dtype), alpha=-rate)
        return loss

    def _update(self, parameter: nn.Parameter, group: dict[str, Any]) -> Tensor:
        """Nesterov's momentum of a matrix."""
        gradient = parameter.grad
        assert gradient is not None
        momentum = self.state[parameter].setdefault("momentum_buffer", torch.zeros_like(gradient))
        momentum.lerp_(gradient, 1 - group["momentum"])
        return gradient.lerp(momentum, group["momentum"]).float()


def orthogonal(matrices: Float[Tensor, "matrix row column"]) -> Float[Tensor, "matrix row column"]:
    """The matrices with all singular values near 1, by five Newton-Schulz steps (Jordan 2024)."""
    is_tall = matrices.shape[1] > matrices.shape[2]
    xs = matrices.mT if is_tall else matrices
    xs = xs / xs.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    for _ in range(5):
        gram = xs @ xs.mT
        xs = 3.4445 * xs + (-4.775 * gram + 2.0315 * gram @ gram) @ xs
    return xs.mT if is_tall else xs


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
