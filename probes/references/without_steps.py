"""Linear predictors that have no steps and are no function of S alone."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from probes.references.divergence import warn_of_overflow
from probes.references.prefixes import Prefixes
from probes.references.reference import Reference, Steps


class WithoutSteps(Reference):
    """A reference that gives one weight vector per prefix."""

    is_iterative: ClassVar[bool] = False

    @abstractmethod
    def solve(self, prefixes: Prefixes) -> Float[Tensor, "prompt point dim"]:
        """The weights of every prefix of whole prompts."""

    def stream_predictions(
        self, prefixes: Prefixes, steps: Steps = None
    ) -> Iterator[tuple[float, Float[Tensor, "prompt point"]]]:
        yield 0.0, (self._solved(prefixes) * prefixes.xs).sum(-1)

    def stream_weights(
        self, prefixes: Prefixes, steps: Steps = None
    ) -> Iterator[tuple[float, Float[Tensor, "prompt point dim"]]]:
        yield 0.0, self._solved(prefixes)

    def _solved(self, prefixes: Prefixes) -> Float[Tensor, "prompt point dim"]:
        weights = prefixes.at_own_points(self.solve(prefixes.whole))
        warn_of_overflow(self.name, weights)
        return weights
