"""Algorithms that act on each eigendirection of S separately."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from probes.references.prefixes import Prefixes
from probes.references.reference import Reference, Steps

FilterFactors = Callable[[float], Tensor]
"""Maps a step to the filter factor f_k(l), [prompt, point, direction]."""


class SpectralReference(Reference):
    """A reference whose weights are phi_k(S) X^T y for a function phi_k of the eigenvalues.

    The filter factor of a direction with eigenvalue l is f_k(l) = l phi_k(l): 0 for nothing,
    1 for the least-squares solution. One decomposition of the prefixes serves every step of every
    such reference.
    """

    takes_real_steps: ClassVar[bool] = True

    @abstractmethod
    def filter_factors(self, prefixes: Prefixes) -> FilterFactors:
        """Prepares f_k for these prefixes. The steps it is asked for never descend."""

    @abstractmethod
    def filter_at_zero(self, prefixes: Prefixes, step: float) -> Float[Tensor, "prompt point"]:
        """phi_k(0): what happens to the part of a query that no example has a component along.

        Defined for prefixes of less than full rank; for others no such part exists and the value
        means nothing.
        """

    def stream_predictions(
        self, prefixes: Prefixes, steps: Steps = None
    ) -> Iterator[tuple[float, Float[Tensor, "prompt point"]]]:
        for step, learnt in self._factors_at(prefixes, steps):
            predictions = torch.linalg.vecdot(prefixes.terms, learnt)
            if predictions.sum().isnan():
                predictions = _weighted(prefixes.terms, learnt).sum(-1)
            yield step, predictions

    def stream_weights(
        self, prefixes: Prefixes, steps: Steps = None
    ) -> Iterator[tuple[float, Float[Tensor, "prompt point dim"]]]:
        decomposition = prefixes.decomposition
        for step, learnt in self._factors_at(prefixes, steps):
            along = _weighted(decomposition.coefficients, learnt)
            yield step, (along[..., None, :] @ decomposition.right_vectors)[..., 0, :]

    def stream_filtered_queries(
        self, prefixes: Prefixes, steps: Steps = None
    ) -> Iterator[tuple[float, Float[Tensor, "prompt point dim"]]]:
        """Yields (step, phi_k(S) x_t), otherwise as `stream_predictions`.

        This is what the residual stream of Theorem 5.1's transformer holds. A query's component
        that no example spans is multiplied by phi_k(0).
        """
        decomposition = prefixes.decomposition
        eigenvalues = prefixes.eigenvalues
        per_eigenvalue = torch.where(
            eigenvalues > 0, decomposition.queries / eigenvalues, torch.zeros(())
        )
        for step, learnt in self._factors_at(prefixes, steps):
            along = _weighted(per_eigenvalue, learnt)
            spanned = (along[..., None, :] @ decomposition.right_vectors)[..., 0, :]
            at_zero = self.filter_at_zero(prefixes, step)[..., None]
            yield step, spanned + at_zero * prefixes.null_queries

    def filtered_queries(
        self, prefixes: Prefixes, steps: Steps = None
    ) -> Float[Tensor, "step prompt point dim"]:
        """phi_k(S) x_t after each of `steps`, in the order asked for.

        Raises:
            ValueError: As `stream_predictions`.
        """
        return self._stacked(self.stream_filtered_queries(prefixes, steps), steps)

    def _factors_at(
        self, prefixes: Prefixes, steps: Steps
    ) -> Iterator[tuple[float, Float[Tensor, "prompt point direction"]]]:
        counts = sorted(self.check_steps(steps))
        filter_factors = self.filter_factors(prefixes)
        for step in counts:
            yield step, filter_factors(step)


def _weighted(values: Tensor, learnt: Tensor) -> Tensor:
    """Their product, in which a direction that y does not excite stays 0 even if it diverges."""
    product = values * learnt
    if product.sum().isnan():
        product = torch.where(values == 0, 0.0, product)
    return product
