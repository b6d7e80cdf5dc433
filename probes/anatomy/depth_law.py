"""How the eigenvalue that layers resolve falls with depth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from probes.anatomy.free_filter import FilterBasis, resolved_eigenvalue
from probes.anatomy.shares import Band, Shares
from probes.verdict.growth_law import GrowthLaw, growth_law

LEAST_LAYERS = 3


class DepthLaw(NamedTuple):
    """The fall of the resolved eigenvalue over the layers where data cover it.

    A method of first order resolves eigenvalues in inverse proportion to its steps, so with a
    constant number of steps a layer 1 / eigenvalue is linear in depth. One of second order halves
    the eigenvalue at every step from a multiple of I, and divides it by sqrt 2 from one of S, once
    it is far below the largest eigenvalue.
    """

    is_used: Bool[Tensor, " layer"]
    law: GrowthLaw
    """Of 1 / eigenvalue: "linear" is first order, "log-linear" second."""
    halvings: Band
    """How often the eigenvalue is halved a layer."""
    steps_per_layer: Band
    """[reference]: steps that take a reference's own resolved eigenvalue as far, NaN where fewer
    than three layers are within its steps."""


def depth_law(
    basis: FilterBasis,
    shares: Shares,
    is_heard: Bool[Tensor, " layer"],
    steps: Sequence[Sequence[float]],
) -> DepthLaw | None:
    """The law of the layers whose resolved eigenvalue lies between the outermost knots.

    Args:
        basis: Of the filters.
        shares: Of the layers.
        is_heard: Whether a layer says anything worth the name.
        steps: Of every reference.

    Returns:
        None where fewer than three layers are left.
    """
    lowest, highest = basis.knots[0], basis.knots[-1]
    resolved = resolved_eigenvalue(basis, shares.filters.value)
    is_used = is_heard & (resolved >= lowest) & (resolved <= highest)
    if is_used.sum() < LEAST_LAYERS:
        return None
    depth = torch.arange(len(is_used), dtype=torch.float64)
    curves = [
        _Curve.of(basis, filters, torch.tensor(one, dtype=torch.float64))
        for filters, one in zip(
            shares.iterate_filters.split([len(one) for one in steps]), steps, strict=True
        )
    ]

    def halvings(filters: Float[Tensor, "*batch layer knot"]) -> Float[Tensor, "*batch"]:
        found = resolved_eigenvalue(basis, filters)[..., is_used].clamp(lowest, highest)
        return -_slope(depth[is_used], found.log2())

    def rates(filters: Float[Tensor, "*batch layer knot"]) -> Float[Tensor, "*batch reference"]:
        found = resolved_eigenvalue(basis, filters)
        return torch.stack([curve.rate(found, is_used, depth, resolved) for curve in curves], -1)

    law = growth_law(resolved[is_used].max() / resolved[is_used], depth[is_used])
    return DepthLaw(is_used, law, shares.interval_of(halvings), shares.interval_of(rates))


class _Curve(NamedTuple):
    """The eigenvalue that a reference resolves after each of its steps, falling."""

    logs: Float[Tensor, " step"]
    steps: Float[Tensor, " step"]

    @classmethod
    def of(
        cls, basis: FilterBasis, filters: Float[Tensor, "step knot"], steps: Float[Tensor, " step"]
    ) -> _Curve:
        found = resolved_eigenvalue(basis, filters)
        is_inside = (found >= basis.knots[0]) & (found <= basis.knots[-1])
        logs = found[is_inside].log()
        is_new = torch.ones_like(logs, dtype=torch.bool)
        is_new[1:] = logs[1:] < logs.cummin(0).values[:-1]
        return cls(logs[is_new], steps[is_inside][is_new])

    def rate(
        self,
        found: Float[Tensor, "*batch layer"],
        is_used: Bool[Tensor, " layer"],
        depth: Float[Tensor, " layer"],
        resolved: Float[Tensor, " layer"],
    ) -> Float[Tensor, "*batch"]:
        """Steps a layer over the layers that are used and whose eigenvalue a step resolves."""
        if len(self.logs) < 2:
            return found.new_full(found.shape[:-1], torch.nan)
        logs = resolved.log()
        is_within = is_used & (logs <= self.logs[0]) & (logs >= self.logs[-1])
        if is_within.sum() < LEAST_LAYERS:
            return found.new_full(found.shape[:-1], torch.nan)
        place = -found[..., is_within].log().clamp(self.logs[-1], self.logs[0])
        right = torch.searchsorted(-self.logs, place.contiguous()).clamp(1, len(self.logs) - 1)
        before, after = self.logs[right - 1], self.logs[right]
        share = (before + place) / (before - after)
        return _slope(depth[is_within], torch.lerp(self.steps[right - 1], self.steps[right], share))


def _slope(x: Float[Tensor, " layer"], y: Float[Tensor, "*batch layer"]) -> Float[Tensor, "*batch"]:
    dx = x - x.mean()
    return y @ dx / dx.square().sum()
