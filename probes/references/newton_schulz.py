"""Newton–Schulz iteration of any order."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from probes.references.divergence import warn_of_divergence
from probes.references.prefixes import Prefixes
from probes.references.residual_power import one_minus_power
from probes.references.spectral import FilterFactors, SpectralReference

Alpha = float | Literal["frobenius", "spectral"]


@dataclass(frozen=True)
class NewtonSchulz(SpectralReference):
    """M_0 = alpha S, M <- M (I + R + ... + R^(p-1)) with R = I - S M, w_k = M_k X^T y.

    R becomes R^p, so phi_k(l) = (1 - (1 - alpha l^2)^(p^k)) / l, and k may be any real number.
    With `ridge` the iteration inverts S + ridge I in place of S, X^T y staying as it is.

    **The paper's alpha.** With alpha = 2 / ||S S^T||_2 the largest eigenvalue has alpha l^2 = 2
    exactly, a residual factor of -1: step 0 overshoots that direction by a factor of 2. For an
    even order (-1)^(p^k) = 1 and every later step holds 0 in it: it is never learnt. For an odd
    order it stays at 2. Eigenvalues that equal the largest to rounding (4 d eps) count as equal.
    The official code's alpha = 1 / ||S S^T||_F keeps all factors in [0, 1) and is the default.

    **Real steps.** Where alpha l^2 is in (1, 2] the factor is negative. For an odd order its power
    is negative at every k. For an even one it is negative at k = 0 and positive at every whole k
    from 1 on; between 0 and 1 the sign passes through -cos(pi k), and from 1 on the power is
    |1 - alpha l^2|^(p^k): continuous, and equal to the iteration at every whole k. Where
    alpha l^2 > 2 the iteration diverges, as a `DivergenceWarning` says.

    **Accuracy.** Where a factor lies within delta of -1, rounding is amplified by 1 / delta.

    >>> M = S / np.linalg.norm(S @ S.T)
    >>> for _ in range(3):
    ...     R = I - S @ M
    ...     M = M @ (I + R + R @ R)
    >>> same(NewtonSchulz(order=3), M @ b, step=3)
    True
    """

    alpha: Alpha = "frobenius"
    """"frobenius" for 1 / ||S S^T||_F, "spectral" for 2 / ||S S^T||_2, of each prefix; or a number
    for all prefixes, as in Theorem 5.1."""
    ridge: float = 0.0
    """lambda of S + lambda I, in units of x^2."""
    order: int = 3
    """p, at least 2."""

    key: ClassVar[str] = "newton-schulz"
    label: ClassVar[str] = "Newton–Schulz"
    phrase: ClassVar[str] = "Newton–Schulz iteration"

    def __post_init__(self) -> None:
        is_rule = self.alpha in ("frobenius", "spectral")
        if not is_rule and (isinstance(self.alpha, str) or not 0 < self.alpha < math.inf):
            raise ValueError(
                f"alpha must be a number above 0, 'frobenius' or 'spectral', got {self.alpha!r}"
            )
        if not 0 <= self.ridge < math.inf:
            raise ValueError(f"ridge must be at least 0 and finite, got {self.ridge}")
        if self.order < 2:
            raise ValueError(f"order must be at least 2, got {self.order}")

    def filter_factors(self, prefixes: Prefixes) -> FilterFactors:
        eigenvalues = prefixes.eigenvalues
        contraction = self._contraction(eigenvalues + self.ridge)
        warn_of_divergence(self.name, contraction > 2, prefixes)
        learnt = one_minus_power(contraction)
        if not self.ridge:
            return lambda step: learnt(self._exponent(step), self._sign(step))
        shrinkage = eigenvalues / (eigenvalues + self.ridge)
        return lambda step: learnt(self._exponent(step), self._sign(step)) * shrinkage

    def filter_at_zero(self, prefixes: Prefixes, step: float) -> Float[Tensor, "prompt point"]:
        if not self.ridge:
            return torch.zeros_like(prefixes.ys)
        smallest = self._contraction(prefixes.eigenvalues + self.ridge)[..., -1:]
        learnt = one_minus_power(smallest)(self._exponent(step), self._sign(step))
        return learnt[..., 0] / self.ridge

    def _contraction(
        self, eigenvalues: Float[Tensor, "prompt point direction"]
    ) -> Float[Tensor, "prompt point direction"]:
        """Alpha l^2, from eigenvalues in descending order."""
        if not isinstance(self.alpha, str):
            return self.alpha * eigenvalues.square()
        largest = eigenvalues[..., :1]
        squares = torch.where(largest > 0, eigenvalues / largest, 0.0).square()
        if self.alpha == "frobenius":
            norm = torch.linalg.vector_norm(squares, dim=-1, keepdim=True)
            return torch.where(norm > 0, squares / norm, 0.0)
        tolerance = 4 * eigenvalues.shape[-1] * torch.finfo(eigenvalues.dtype).eps
        return 2 * torch.where(squares >= 1 - tolerance, 1.0, squares)

    def _exponent(self, step: float) -> float:
        return math.pow(self.order, min(step, math.log(1e300, self.order)))

    def _sign(self, step: float) -> float:
        """The sign of a negative factor's power at this step."""
        return -1.0 if self.order % 2 else -math.cos(math.pi * min(step, 1.0))
