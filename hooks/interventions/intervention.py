"""The base class of interventions, and the block in which some are in force."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from hooks.model import SequenceModel

ForwardHooks = list[tuple[str | Callable[..., Any], Callable[..., Any]]]
"""Names of hook points and functions of (activation, hook), as TransformerLens takes them."""

Model = TypeVar("Model", bound=SequenceModel)


class Intervention(ABC):
    """A change to what a model computes."""

    @abstractmethod
    def hooks(self, model: SequenceModel) -> ForwardHooks:
        """The forward hooks that make the change.

        Raises:
            ValueError: The model has no such site.
        """


@contextmanager
def intervene(model: Model, *interventions: Intervention) -> Iterator[Model]:
    """Runs a block with interventions in force, applied in the order given.

    The model's own hooks come before them and stay. What `capture` or `run_with_cache` reads inside
    the block is what the changed model computes.

    Args:
        model: One of our models or an attached one.
        *interventions: None of them leaves the model as it is.

    Raises:
        ValueError: The model has no site of that kind, layer or head.
    """
    hooks = [hook for item in interventions for hook in item.hooks(model)]
    with model.hooks(fwd_hooks=hooks):
        yield model
