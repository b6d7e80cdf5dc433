"""Running a model without leaving a trace in it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def inference(module: nn.Module) -> Iterator[None]:
    """Evaluation mode and inference mode, uncompiled, for the length of a block.

    Every submodule's own train/eval mode is put back afterwards, also after an exception, so a
    model whose parts are in different modes stays as it was.
    """
    training = [part for part in module.modules() if part.training]
    try:
        if training:
            module.eval()
        with torch.inference_mode(), uncompiled():
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
