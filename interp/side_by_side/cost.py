"""What a model costs: parameters, and time for a prompt."""

from __future__ import annotations

import statistics
import time

from jaxtyping import Float
from torch import Tensor

from hooks.inference import inference
from hooks.model import SequenceModel

N_PROMPTS = 64
N_PASSES = 9
SECONDS = 0.5
"""No further pass is timed once this much time has been spent."""


def count_parameters(model: SequenceModel) -> int:
    """Numbers that training can set; weights that layers share count once."""
    return sum(parameter.numel() for parameter in model.parameters())


def milliseconds_per_prompt(
    model: SequenceModel,
    xs: Float[Tensor, "prompt point dim"],
    ys: Float[Tensor, "prompt point"],
) -> float:
    """Median time of forward passes over the first `N_PROMPTS` prompts, divided by their number.

    It is the wall time of this machine, as busy as it happens to be: good for an order of
    magnitude. The first pass is not counted.
    """
    xs, ys = (part[:N_PROMPTS].to(model.device) for part in (xs, ys))
    seconds: list[float] = []
    with inference(model):
        model(xs, ys)
        while len(seconds) < N_PASSES and sum(seconds) < SECONDS:
            start = time.perf_counter()
            model(xs, ys).sum().item()  # waits for an accelerator
            seconds.append(time.perf_counter() - start)
    return 1000 * statistics.median(seconds) / len(xs)
