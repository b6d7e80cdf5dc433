"""Chebyshev iteration."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from probes.references.divergence import warn_of_divergence
from probes.references.prefixes import Prefixes
from probes.references.residual_power import alternating_sign
from probes.references.spectral import FilterFactors, SpectralReference


@dataclass(frozen=True)
class Chebyshev(SpectralReference):
    """The polynomial method that is best for all spectra in an interval (Golub and Varga 1961).

    The residual in an eigendirection is T_k(z(l)) / T_k(z(0)) with T_k the Chebyshev polynomial
    and z the map of [largest, smallest] to [-1, 1]. As T_k(z) = cos(k arccos z), k may be any real
    number; above the interval, where T_k(z) = (-1)^k |T_k(z)|, the sign passes through cos(pi k).
    An eigenvalue above largest + smallest diverges.

    The three-term form of Saad, Iterative Methods for Sparse Linear Systems, Algorithm 12.1:

    >>> smallest, largest = np.linalg.eigvalsh(S)
    >>> theta, delta = (largest + smallest) / 2, (largest - smallest) / 2
    >>> w, rho, d = np.zeros(2), delta / theta, b / theta
    >>> for _ in range(3):
    ...     w = w + d
    ...     last, rho = rho, 1 / (2 * theta / delta - rho)
    ...     d = rho * last * d + 2 * rho / delta * (b - S @ w)
    >>> same(Chebyshev(), w, step=3)
    True
    """

    smallest: float | Literal["prefix"] = "prefix"
    """Lower end of the interval, above 0; "prefix" for each prefix's smallest eigenvalue within
    its numerical rank."""
    largest: float | Literal["prefix"] = "prefix"
    """Upper end, at least `smallest`; "prefix" for each prefix's largest eigenvalue."""

    key: ClassVar[str] = "chebyshev"
    label: ClassVar[str] = "Chebyshev"
    phrase: ClassVar[str] = "Chebyshev iteration"
    steps_with_kappa: ClassVar[str] = "the root of κ"

    def __post_init__(self) -> None:
        for name in ("smallest", "largest"):
            value = getattr(self, name)
            if value != "prefix" and (isinstance(value, str) or not 0 < value < torch.inf):
                raise ValueError(f"{name} must be a number above 0 or 'prefix', got {value!r}")
        if isinstance(self.smallest, str) != isinstance(self.largest, str):
            raise ValueError("smallest and largest must both be numbers or both 'prefix'")
        if not isinstance(self.smallest, str) and self.smallest > self.largest:  # type: ignore[operator]
            raise ValueError(
                f"largest must be at least smallest, got {self.largest} and {self.smallest}"
            )

    def filter_factors(self, prefixes: Prefixes) -> FilterFactors:
        eigenvalues = prefixes.eigenvalues
        smallest, largest = (end[..., None] for end in self._interval(prefixes))
        warn_of_divergence(self.name, eigenvalues > largest + smallest, prefixes)
        width = largest - smallest
        below, above = eigenvalues < smallest, eigenvalues > largest
        from_lower, to_upper = (eigenvalues - smallest).abs(), (largest - eigenvalues).abs()
        angle = 2 * torch.atan2(from_lower.sqrt(), to_upper.sqrt())
        outside = torch.where(above, to_upper, from_lower)
        growth = torch.where(below | above, 2 * _arcsinh_root(outside, width), 0.0)
        growth_at_zero = 2 * _arcsinh_root(smallest, width)
        any_above = bool(above.any())

        def learnt(step: float) -> Tensor:
            numerator = torch.where(below | above, 1.0, (step * angle).cos())
            if any_above:
                numerator = torch.where(above, alternating_sign(step), numerator)
            ratio = (step * (growth - growth_at_zero)).exp()  # cosh(k a) / cosh(k b)
            ratio = ratio * (1 + (-2 * step * growth).exp())
            return 1 - numerator * ratio / (1 + (-2 * step * growth_at_zero).exp())

        return learnt

    def filter_at_zero(self, prefixes: Prefixes, step: float) -> Float[Tensor, "prompt point"]:
        smallest, largest = self._interval(prefixes)
        growth_at_zero = 2 * _arcsinh_root(smallest, largest - smallest)
        mean = (smallest * largest).sqrt()
        return torch.where(mean > 0, step * (step * growth_at_zero).tanh() / mean, 0.0)

    def _interval(
        self, prefixes: Prefixes
    ) -> tuple[Float[Tensor, "prompt point"], Float[Tensor, "prompt point"]]:
        if isinstance(self.smallest, str) or isinstance(self.largest, str):
            return prefixes.smallest_eigenvalues, prefixes.eigenvalues[..., 0]
        return torch.full_like(prefixes.ys, self.smallest), torch.full_like(
            prefixes.ys, self.largest
        )


def _arcsinh_root(numerator: Tensor, width: Tensor) -> Tensor:
    """Arcsinh(sqrt(numerator / width)); very large, not infinite, where the width is 0."""
    return (numerator / width).sqrt().asinh().nan_to_num(nan=0.0, posinf=math.sqrt(2.0**1000))
