"""Iterations run in the eigenbasis of S."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from itertools import pairwise

from jaxtyping import Float
from torch import Tensor

from probes.references.prefixes import Prefixes
from probes.references.reference import Reference, Steps


class EigenbasisIteration(Reference):
    """An iteration that sees its prefix only through inner products and products with S.

    Such a method commutes with rotations, so it is run where S is diagonal, for all prompts and
    points at once: a product with S costs O(dim), and components along small eigenvalues keep
    their own digits. Directions that no example spans stay 0.
    """

    @abstractmethod
    def iterates(self, prefixes: Prefixes) -> Iterator[Float[Tensor, "prompt point direction"]]:
        """Yields V^T w_k for k = 0, 1, 2, …, without end; a yielded tensor is never changed."""

    def stream_predictions(
        self, prefixes: Prefixes, steps: Steps = None
    ) -> Iterator[tuple[float, Float[Tensor, "prompt point"]]]:
        for step, iterate in self._at(prefixes, steps):
            yield step, (iterate * prefixes.decomposition.queries).sum(-1)

    def stream_weights(
        self, prefixes: Prefixes, steps: Steps = None
    ) -> Iterator[tuple[float, Float[Tensor, "prompt point dim"]]]:
        for step, iterate in self._at(prefixes, steps):
            yield step, (iterate[..., None, :] @ prefixes.decomposition.right_vectors)[..., 0, :]

    def _at(
        self, prefixes: Prefixes, steps: Steps
    ) -> Iterator[tuple[float, Float[Tensor, "prompt point direction"]]]:
        counts = sorted(self.check_steps(steps))
        iterates = self.iterates(prefixes)
        iterate = next(iterates)
        for before, step in pairwise([0.0, *counts]):
            for _ in range(int(step - before)):
                iterate = next(iterates)
            yield step, iterate
