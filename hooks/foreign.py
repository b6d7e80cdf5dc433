"""Advice for a model of no known architecture, in words and in lines of code."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor, nn

from hooks.model import SequenceModel

N_SHOWN = 4
WRAPPERS = {
    "torch._dynamo.eval_frame": "_orig_mod",
    "torch.nn.parallel.data_parallel": "module",
    "torch.nn.parallel.distributed": "module",
    "torch.distributed.fsdp.fully_sharded_data_parallel": "module",
    "torch.optim.swa_utils": "module",
}
"""Where torch defines wrappers of modules, and the attribute that holds what is wrapped."""


def attach_lines(names: Iterable[str] = ()) -> str:
    """The lines of Python that read a foreign module, its layers guessed from its weights' names.

    Set off by an empty line, after which `interp` prints a message as it is.
    """
    return f"""hooks.attach reads any module by the names of its layers:

    model = hooks.attach(
        module, predict=lambda module, xs, ys: module(xs, ys),  # [prompt, point]
        n_dims=5, n_points=11, layers="{likely_layers(names)}",
    )
    interp.match(model, interp.tasks.LinearRegression(n_dims=5, n_points=11))"""


def describe_weights(weights: Mapping[str, Tensor]) -> str:
    """The first weights' names and shapes, and how many there are."""
    shown = ", ".join(f"{name} {tuple(w.shape)}" for name, w in list(weights.items())[:N_SHOWN])
    return f"{len(weights)} weights, {shown}{', …' if len(weights) > N_SHOWN else ''}"


def likely_layers(names: Iterable[str]) -> str:
    """The pattern of the longest numbered list in names such as "encoder.layers.3.weight"."""
    numbers: dict[str, set[str]] = defaultdict(set)
    for name in names:
        if found := re.match(r"((?:[^.]+\.)*?)(\d+)\.", name):
            numbers[found[1]].add(found[2])
    longest = max(numbers, key=lambda prefix: len(numbers[prefix]), default="layers.")
    return f"{longest}*"


def own_model(model: object) -> SequenceModel:
    """The model with our interface, out of what torch wraps around it.

    These are `torch.compile`, DataParallel and its like, and averaged weights.

    Raises:
        TypeError: It is something else; for a module, the message says how to attach to it.
    """
    inner = unwrapped(model)
    if isinstance(inner, SequenceModel):
        return inner
    kind = type(model).__name__
    if isinstance(inner, nn.Module):
        names = [name for name, _ in inner.named_parameters()]
        raise TypeError(f"model is a {kind}, whose layers nothing names yet; {attach_lines(names)}")
    raise TypeError(f"model is a {kind}, expected what interp.load or hooks.attach returns")


def unwrapped(module: Any) -> Any:
    """What torch's own wrappers hold; anything else as it is."""
    while isinstance(module, nn.Module) and type(module).__module__ in WRAPPERS:
        module = getattr(module, WRAPPERS[type(module).__module__])
    return module
