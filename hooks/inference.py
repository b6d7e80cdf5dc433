"""Running a model without leaving a trace in it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

BATCH_SIZE = 512


@contextmanager
def inference(module: nn.Module) -> Iterator[None]:
    """`evaluation` and inference mode, for the length of a block."""
    with evaluation(module), torch.inference_mode():
        yield


@contextmanager
def evaluation(module: nn.Module) -> Iterator[None]:
    """Evaluation mode, uncompiled, for the length of a block.

    Every submodule's own train/eval mode is put back afterwards, also after an exception, so a
    model whose parts are in different modes stays as it was.
    """
    training = [part for part in module.modules() if part.training]
    try:
        if training:
            module.eval()
        with uncompiled():
            yield
    finally:
        for part in training:
            part.training = True


@contextmanager
def uncompiled() -> Iterator[None]:
    """What `torch.compile` has compiled runs as it was, since compiled code skips later hooks."""
    if "torch._dynamo" not in sys.modules:  # so nothing is compiled; importing it takes seconds
        yield
        return
    with torch.compiler.set_stance("force_eager"):
        yield


def on_device_of(model: Any, values: Tensor) -> Tensor:
    """Values on a model's device, cast before they move where it has no float64 (Apple's MPS)."""
    if model.device.type == "mps" and values.dtype == torch.float64:
        values = values.to(torch.float32)
    return values.to(model.device)


def predict(
    model: Any,
    xs: Float[Tensor, "prompt point dim"],
    ys: Float[Tensor, "prompt point"],
    batch_size: int = BATCH_SIZE,
) -> Float[Tensor, "prompt point"]:
    """A model's own predictions, in float64 on the CPU, run batch by batch."""
    said = []
    for x, y in zip(xs.split(batch_size), ys.split(batch_size), strict=True):
        with inference(model):
            said.append(model(on_device_of(model, x), on_device_of(model, y)).cpu())
    return torch.cat(said).double().clone()
