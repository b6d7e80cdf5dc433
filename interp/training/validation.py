"""How well a model in training predicts prompts it is not trained on."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from hooks.model import SequenceModel
from interp.tasks import Prompts, Task

VALIDATION_SEED = 2**32 - 1
"""Outside the seeds a recipe may have, so that validation prompts are never trained on."""


def validation_prompts(task: Task, n_prompts: int) -> Prompts:
    """The prompts that training progress is measured on."""
    return task.sample(n_prompts, torch.Generator().manual_seed(VALIDATION_SEED))


@torch.inference_mode()
def validation_error(model: SequenceModel, prompts: Prompts, batch_size: int = 1024) -> float:
    """Mean squared error over prompts and points."""
    total = 0.0
    for xs, ys in zip(prompts.xs.split(batch_size), prompts.ys.split(batch_size), strict=True):
        xs, ys = (part.to(model.device, model.dtype) for part in (xs, ys))
        total += squared_error(model(xs, ys), ys).double().sum().item()
    return total / prompts.ys.numel()


def squared_error(
    predictions: Float[Tensor, "prompt point"], ys: Float[Tensor, "prompt point"]
) -> Float[Tensor, "prompt point"]:
    """Squared error of every prediction."""
    return (predictions - ys.to(predictions.dtype)).square()
