"""Conjugate gradients."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from probes.references.eigenbasis import EigenbasisIteration
from probes.references.prefixes import Prefixes


@dataclass(frozen=True)
class ConjugateGradient(EigenbasisIteration):
    """The minimiser of the squared error in span(b, S b, …, S^(k-1) b) (Hestenes, Stiefel 1952).

    Each residual is made orthogonal to all earlier ones, so the iterates are those of exact
    arithmetic, which reach OLS after as many steps as the prefix has rank; the textbook recurrence
    in floating point loses that at a large condition number.

    >>> w, r = np.zeros(2), b
    >>> p = r
    >>> for _ in range(1):
    ...     length = (r @ r) / (p @ S @ p)
    ...     w, last, r = w + length * p, r, r - length * S @ p
    ...     p = r + (r @ r) / (last @ last) * p
    >>> same(ConjugateGradient(), w, step=1)
    True
    >>> same(ConjugateGradient(), np.linalg.solve(S, b), step=2)
    True
    """

    key: ClassVar[str] = "cg"
    label: ClassVar[str] = "CG"
    phrase: ClassVar[str] = "conjugate gradient"
    steps_with_kappa: ClassVar[str] = "the root of κ"

    def iterates(self, prefixes: Prefixes) -> Iterator[Float[Tensor, "prompt point direction"]]:
        eigenvalues, solution = prefixes.eigenvalues, prefixes.decomposition.coefficients
        iterate = torch.zeros_like(solution)
        yield iterate
        residual = eigenvalues * solution
        negligible = 4 * prefixes.n_dims * torch.finfo(residual.dtype).eps * residual.abs()
        direction = residual
        earlier: list[Tensor] = []
        for step in range(1, prefixes.n_dims):
            squared = _dot(residual, residual)
            earlier.append(_ratio(residual, squared.sqrt()))
            image = eigenvalues * direction
            length = _ratio(squared, _dot(direction, image))
            residual = residual - length * image
            for _ in range(2):
                for unit in earlier:
                    residual = residual - _dot(residual, unit) * unit
            reached: Bool[Tensor, "prompt point 1"] = (residual.abs() <= negligible).all(
                -1, keepdim=True
            ) | (prefixes.rank <= step)[..., None]
            residual = torch.where(reached, 0.0, residual)
            direction = residual + _ratio(_dot(residual, residual), squared) * direction
            iterate = solution - _ratio(residual, eigenvalues)
            yield iterate
        while True:
            yield solution


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum(-1, keepdim=True)


def _ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    """Their quotient; 0 where the denominator is 0."""
    return torch.where(denominator == 0, 0.0, numerator / denominator)
