"""The interface of every reference algorithm."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any, ClassVar, TypeAlias

import numpy as np
from jaxtyping import Float
from torch import Tensor

from probes.references.prefixes import Prefixes

Steps: TypeAlias = Sequence[int | float] | Tensor | np.ndarray | None
"""Step counts at which a reference is evaluated; None for one that has no steps."""
Parameters: TypeAlias = Mapping[str, Mapping[str, Any]]
"""Parameters of references, by name of the variant and of the parameter."""


class Reference(ABC):
    """An algorithm that predicts each y of a prompt from the pairs before it.

    Subclasses are frozen dataclasses whose fields are the algorithm's parameters. Point 0 has seen
    nothing and is predicted as 0, except under a prior whose mean is not 0.

    Each docstring holds the algorithm as a plain loop, run by `pytest --doctest-modules probes` on
    four examples X, y of two dimensions, with S = X^T X, b = X^T y and a `query`;
    `same(reference, w, step)` says whether the reference has these weights after so many steps.
    """

    key: ClassVar[str]
    """Name in `REFERENCES` of the algorithm with its default parameters."""
    family: ClassVar[str]
    """Key of the algorithm that this is a variant of; its own unless the class says another."""
    label: ClassVar[str]
    """Name in a table or a legend, such as "GD"; see also `legend`."""
    phrase: ClassVar[str]
    """Name within a sentence, such as "gradient descent"."""
    is_iterative: ClassVar[bool] = True
    """Whether there is a step axis; without one, any `steps` give a single step 0."""
    takes_real_steps: ClassVar[bool] = False
    """Whether a step count need not be whole."""
    doublings: ClassVar[int | None] = None
    """Steps are compared on a logarithmic grid up to 2 to this power; None for a linear grid."""
    scale: ClassVar[tuple[str, ...]] = ()
    """Parameters without which a number of steps means nothing, such as GD's eta."""
    steps_with_kappa: ClassVar[str | None] = None
    """What the number of steps to a given error is proportional to, κ the condition number."""
    uses_order: ClassVar[bool] = False
    """Whether predictions depend on the order of the examples."""
    uses_directions: ClassVar[bool] = False
    """Whether predictions change when all x and the query are rotated together."""
    rivals: ClassVar[Parameters] = {}
    """Parameters of the variants without steps that every verdict compares with those that have
    some, by name."""

    def __init_subclass__(cls) -> None:
        if "key" in vars(cls) and "family" not in vars(cls):
            cls.family = cls.key

    @classmethod
    def candidates(cls, largest_eigenvalue: float) -> Parameters:  # noqa: ARG003
        """Parameters of the variants that layers are compared with by default, by name.

        Args:
            largest_eigenvalue: Of S on the task's prompts and all their prefixes, from which
                constants for all prefixes are set.
        """
        return {}

    @property
    def legend(self) -> str:
        """The label, and how this variant differs from others of its family."""
        return self.label

    @property
    def name(self) -> str:
        """The key, followed by the parameters that are not at their default."""
        return self._name(self.key)

    def _name(self, key: str, *, without: Sequence[str] = ()) -> str:
        changed = [
            f"{field.name}={getattr(self, field.name)}"
            for field in fields(self)  # type: ignore[arg-type]  # every subclass is a dataclass
            if field.name not in without and getattr(self, field.name) != field.default
        ]
        return f"{key}({', '.join(changed)})" if changed else key

    @abstractmethod
    def stream_predictions(
        self, prefixes: Prefixes, steps: Steps = None
    ) -> Iterator[tuple[float, Float[Tensor, "prompt point"]]]:
        """Yields (step, predictions) in ascending order of step, once per entry of `steps`.

        Memory does not grow with the number or size of the steps. A yielded tensor is the
        caller's to keep or change.

        Raises:
            ValueError: Steps that are negative, not finite, none at all, or not whole where the
                algorithm needs whole ones.
        """

    def stream_weights(
        self, prefixes: Prefixes, steps: Steps = None
    ) -> Iterator[tuple[float, Float[Tensor, "prompt point dim"]]]:
        """Yields (step, weights w with prediction w·x_t), otherwise as `stream_predictions`.

        Raises:
            ValueError: As `stream_predictions`; or the predictions are not linear in x_t.
        """
        raise ValueError(f"{self.name} has no weights: its predictions are not linear in x")

    def predictions(
        self, prefixes: Prefixes, steps: Steps = None
    ) -> Float[Tensor, "step prompt point"]:
        """Predictions after each of `steps`, in the order asked for.

        Raises:
            ValueError: As `stream_predictions`.
        """
        return self._stacked(self.stream_predictions(prefixes, steps), steps)

    def weights(
        self, prefixes: Prefixes, steps: Steps = None
    ) -> Float[Tensor, "step prompt point dim"]:
        """Weight vectors after each of `steps`, in the order asked for.

        Raises:
            ValueError: As `stream_weights`.
        """
        return self._stacked(self.stream_weights(prefixes, steps), steps)

    def check_steps(self, steps: Steps) -> list[float]:
        """The step counts as floats, in the order given; [0.0] for an algorithm without steps.

        Raises:
            ValueError: As `stream_predictions`.
        """
        if not self.is_iterative:
            return [0.0]
        if steps is None:
            raise ValueError(f"steps must be given for {self.name}, got None")
        counts = np.asarray(steps, dtype=np.float64)
        if counts.ndim != 1 or counts.size == 0:
            raise ValueError(
                f"steps must be a sequence of at least one step count, got shape {counts.shape}"
            )
        for count in counts.tolist():
            if not (math.isfinite(count) and count >= 0):
                raise ValueError(f"steps must be finite and at least 0, got {count}")
            if not self.takes_real_steps and not count.is_integer():
                raise ValueError(f"steps of {self.name} must be whole, got {count}")
        return [float(count) for count in counts]

    def _stacked(self, stream: Iterator[tuple[float, Tensor]], steps: Steps) -> Tensor:
        order = np.argsort(self.check_steps(steps), kind="stable")
        stacked: Tensor | None = None
        for position, (_, values) in zip(order, stream, strict=True):
            if stacked is None:
                stacked = values.new_empty(len(order), *values.shape)
            stacked[position] = values
        assert stacked is not None
        return stacked
