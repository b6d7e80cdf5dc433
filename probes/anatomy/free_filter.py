"""Filters g(l) that are fitted, not assumed: piecewise linear in log l."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

N_KNOTS = 12
PENALTIES = tuple(10.0**exponent for exponent in range(-8, 1))
"""Of squared second differences, as shares of the features' mean square."""
OUTERMOST = 0.005
"""Share of the eigenvalues below the first knot, and above the last."""


@dataclass(frozen=True)
class FilterBasis:
    """Hat functions of log l; below the first knot g is proportional to l, constant at the end."""

    knots: Float[Tensor, " knot"]
    """Eigenvalues, ascending."""

    @classmethod
    def of(cls, eigenvalues: Tensor, n_knots: int = N_KNOTS) -> FilterBasis:
        """Knots at equally spaced quantiles of the eigenvalues above 0.

        Raises:
            ValueError: Fewer than two different eigenvalues are above 0.
        """
        positive = eigenvalues[eigenvalues > 0].flatten().double()
        shares = torch.linspace(OUTERMOST, 1 - OUTERMOST, n_knots, dtype=torch.float64)
        knots = positive.quantile(shares).unique() if len(positive) else positive
        if len(knots) < 2:
            raise ValueError(f"eigenvalues must have two values above 0, got {positive.tolist()}")
        return cls(knots)

    def __call__(self, eigenvalues: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch knot"]:
        """Every hat function at the eigenvalues; all are 0 at 0."""
        knots = self.knots.to(eigenvalues)
        place = eigenvalues.clamp(knots[0], knots[-1]).log()
        logs = knots.log()
        right = torch.searchsorted(logs, place.contiguous()).clamp(1, len(knots) - 1)
        share = ((place - logs[right - 1]) / (logs[right] - logs[right - 1])).clamp(0, 1)
        basis = eigenvalues.new_zeros(*eigenvalues.shape, len(knots))
        basis.scatter_(-1, right[..., None] - 1, (1 - share)[..., None])
        basis.scatter_add_(-1, right[..., None], share[..., None])
        return basis * (eigenvalues / knots[0]).clamp(max=1)[..., None]

    def features(
        self,
        eigenvalues: Float[Tensor, "*batch direction"],
        terms: Float[Tensor, "*batch direction"],
    ) -> Float[Tensor, "*batch knot"]:
        """Predictions of each hat function taken as the filter.

        Args:
            eigenvalues: Of X^T X.
            terms: c_j (v_j . q), what each direction adds to the least-squares prediction.
        """
        return torch.einsum("...dk,...d->...k", self(eigenvalues), terms)

    def solve(
        self,
        gram: Float[Tensor, "*batch feature feature"],
        moment: Float[Tensor, "*batch target feature"],
        penalty: float,
    ) -> Float[Tensor, "*batch target feature"]:
        """Penalised least-squares filters, from sums of products of features and targets.

        Features after those of the knots are not penalised.
        """
        size = gram.diagonal(dim1=-2, dim2=-1).mean(-1)[..., None, None]
        n_knots = len(self.knots)
        identity = torch.eye(gram.shape[-1], dtype=gram.dtype)
        second = identity[:n_knots].diff(dim=0).diff(dim=0) if n_knots > 2 else identity[:0]
        matrix = gram + size * (penalty * second.T @ second + 1e-12 * identity)
        return torch.linalg.solve(matrix, moment.mT).mT


def resolved_eigenvalue(
    basis: FilterBasis, filters: Float[Tensor, "*batch knot"]
) -> Float[Tensor, "*batch"]:
    """The largest eigenvalue below which g < 1/2: inf where g is below 1/2 at every knot.

    Below the first knot g is proportional to l, so a value there is an extrapolation.
    """
    logs = basis.knots.log()
    low, high = filters[..., :-1], filters[..., 1:]
    crosses = (low < 0.5) & (high >= 0.5)
    share = ((0.5 - low) / torch.where(crosses, high - low, 1.0)).clamp(0, 1)
    places = torch.where(crosses, torch.lerp(logs[:-1], logs[1:], share), -torch.inf)
    crossing = places.amax(-1)
    below = (basis.knots[0] * 0.5 / filters[..., 0].clamp(min=0.5)).log()
    found = torch.where(crossing > -torch.inf, crossing, below)
    return torch.where(filters[..., -1] < 0.5, torch.inf, found.exp())


def exponent(
    basis: FilterBasis,
    filters: Float[Tensor, "*batch knot"],
    least: float = 0.03,
    most: float = 0.5,
) -> Float[Tensor, "*batch"]:
    """The slope of log g against log l where g is between `least` and `most`.

    1 for gradient descent, ridge regression and Newton from a multiple of I at small l, 2 for
    Newton from a multiple of S; less on the range that data cover. NaN with under three knots.
    """
    is_used = (filters > least) & (filters < most)
    weights = is_used.to(filters)
    x = basis.knots.log().expand_as(filters)
    y = torch.where(is_used, filters, 1.0).log()
    count = weights.sum(-1).clamp(min=1)[..., None]
    x = x - (weights * x).sum(-1, keepdim=True) / count
    y = y - (weights * y).sum(-1, keepdim=True) / count
    slope = (weights * x * y).sum(-1) / (weights * x * x).sum(-1)
    return torch.where(is_used.sum(-1) >= 3, slope, torch.nan)
