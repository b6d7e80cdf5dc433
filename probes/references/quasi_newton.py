"""Quasi-Newton methods with an inexact line search, which amplifies rounding."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from decimal import localcontext
from itertools import count

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from probes.references.conjugate_gradient import ConjugateGradient
from probes.references.eigenbasis import EigenbasisIteration
from probes.references.line_search import LineSearch, check_line_search
from probes.references.many_digits import MANY_DIGITS, Digits, Quadratic
from probes.references.prefixes import Prefixes

NOISE = 2.0**-45
"""Part that the second run adds to or takes from every component of every step: 128 roundings."""

AGREEMENT = 1e-9
"""Part of the solution's norm up to which two runs may differ and still be trusted.

With NOISE as it is, what passes is right to 1e-9 of the largest |y|: of 8,400 random cases of
d = 2 to 6, kappa(S) = 1e2 to 1e12, memory 1 to 10 and 40 steps, none is off by more.
"""

GRADIENT_AGREEMENT = 1e-4
"""The same for the gradient, as part of itself, as long as the iterate has not converged.

A gradient that is nothing but rounding leaves both runs where they are, in agreement.
"""

Disturb = Callable[[Float[Tensor, "run prompt point direction"]], Tensor]


class QuasiNewton(EigenbasisIteration):
    """A method that learns curvature from its own steps, on half the sum of squares, from w = 0.

    With line search "scipy" some prefixes amplify a rounding from step to step, by up to 1e12 in
    40 steps at kappa(S) = 1e4 and 1e30 at 1e12, and others, just as ill-conditioned, not at all.
    So every prefix is run twice in float64, once with random errors of some roundings in its steps
    (after CESTAC, Vignes 1993), and where the two runs part it is run once more, from its pairs
    themselves and in `MANY_DIGITS`: some 20 ms for 40 steps of one prefix at d = 20.
    """

    line_search: LineSearch

    def __post_init__(self) -> None:
        check_line_search(self.line_search)

    @abstractmethod
    def errors(
        self,
        eigenvalues: Float[Tensor, "prompt point direction"],
        error: Float[Tensor, "run prompt point direction"],
        disturb: Disturb,
    ) -> Iterator[Float[Tensor, "run prompt point direction"]]:
        """Yields how far iterates 1, 2, … are from the solution, in the eigenbasis of S.

        Args:
            eigenvalues: Of S.
            error: How far iterate 0 is.
            disturb: To be applied to every step.
        """

    @abstractmethod
    def in_many_digits(self, quadratic: Quadratic) -> Iterator[Digits]:
        """Yields iterates 0, 1, … of one prefix."""

    def iterates(self, prefixes: Prefixes) -> Iterator[Float[Tensor, "prompt point direction"]]:
        if self.line_search == "exact":
            yield from ConjugateGradient().iterates(prefixes)
        eigenvalues, solution = prefixes.eigenvalues, prefixes.decomposition.coefficients
        yield torch.zeros_like(solution)
        generator = torch.Generator(solution.device).manual_seed(0)

        def disturb_second(steps: Tensor) -> Tensor:
            adds = torch.empty_like(solution).bernoulli_(generator=generator)
            return torch.stack([steps[0], steps[1] * (1 + (2 * adds - 1) * NOISE)])

        runs = self.errors(eigenvalues, solution.expand(2, *solution.shape), disturb_second)
        again: dict[tuple[int, int], tuple[Quadratic, Iterator[Digits]]] = {}
        for step, errors in zip(count(1), runs, strict=False):
            iterate = solution - errors[0]
            apart = ~_agree(errors, eigenvalues, solution)
            with localcontext(MANY_DIGITS):
                for prompt, point in apart.nonzero().tolist():
                    if (prompt, point) not in again:
                        quadratic = Quadratic.of_prefix(prefixes, prompt, point)
                        weights = self.in_many_digits(quadratic)
                        for _ in range(step):
                            next(weights)
                        again[prompt, point] = quadratic, weights
                for (prompt, point), (quadratic, weights) in again.items():
                    iterate[prompt, point] = quadratic.along_directions(next(weights))
            yield iterate


def _agree(
    errors: Float[Tensor, "run prompt point direction"],
    eigenvalues: Float[Tensor, "prompt point direction"],
    solution: Float[Tensor, "prompt point direction"],
) -> Bool[Tensor, "prompt point"]:
    """Whether the iterates of two runs agree to `AGREEMENT`, gradients to `GRADIENT_AGREEMENT`."""
    difference, negligible = errors[1] - errors[0], AGREEMENT * solution.norm(dim=-1)
    gradient = (eigenvalues * errors[0]).norm(dim=-1)
    same_gradient = (eigenvalues * difference).norm(dim=-1) <= GRADIENT_AGREEMENT * gradient
    converged = errors.norm(dim=-1).amax(0) <= negligible
    return (difference.norm(dim=-1) <= negligible) & (same_gradient | converged)
