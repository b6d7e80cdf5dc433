"""The step of a reference that each layer is most like."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor

Spacing = Literal["linear", "log"]


@dataclass(frozen=True)
class StepGrid:
    """The step counts at which a reference is evaluated, and how to read between them."""

    steps: tuple[float, ...]
    """Increasing step counts, real ones included."""
    spacing: Spacing = "linear"
    """Whether equal distances on this grid are equal differences or equal ratios of steps."""

    def __post_init__(self) -> None:
        if not self.steps:
            raise ValueError("steps must hold at least one step count")
        if any(b <= a for a, b in zip(self.steps, self.steps[1:], strict=False)):
            raise ValueError("steps must increase")
        if not (self.steps[0] >= 0 and math.isfinite(sum(self.steps))):
            raise ValueError("steps must be finite and at least 0")
        if self.spacing not in get_args(Spacing):
            known = ", ".join(get_args(Spacing))
            raise ValueError(f"spacing must be one of {known}, got {self.spacing!r}")
        if self.spacing == "log" and any(0 < step <= 0.5 for step in self.steps):
            raise ValueError("steps on a log grid must be 0 or above 0.5, where 0 is drawn")

    @classmethod
    def linear(cls, largest: float, spacing: float = 0.25) -> StepGrid:
        """0, spacing, 2 spacing, … up to `largest`, as suits Newton.

        Raises:
            ValueError: `largest` is negative, or `spacing` not above 0.
        """
        if not spacing > 0:
            raise ValueError(f"spacing must be above 0, got {spacing}")
        count = round(largest / spacing)
        return cls(tuple(spacing * index for index in range(count + 1)), "linear")

    @classmethod
    def log(cls, largest: float, per_octave: int = 8) -> StepGrid:
        """0 and every whole step up to 16, then `per_octave` a doubling, as suits GD.

        Powers of two are always among them, as in the paper's Fig. 10.

        Raises:
            ValueError: `largest` is negative or not below 2^64, or `per_octave` below 1.
        """
        if per_octave < 1:
            raise ValueError(f"per_octave must be at least 1, got {per_octave}")
        if not largest < 2.0**64:
            raise ValueError(f"largest must be below 2^64, got {largest}")
        fractions = (2.0 ** (index / per_octave) for index in range(64 * per_octave))
        steps = {0.0, *map(float, range(1, 17)), *(step for step in fractions if step <= largest)}
        return cls(tuple(sorted(step for step in steps if step <= largest)), "log")

    @property
    def n_still(self) -> int:
        """How many of the steps are 0: none or one.

        A prediction of 0 has no direction, so its similarity with read-outs of their own, or its
        R^2, is no limit of those of small steps, and nothing is interpolated between them.
        """
        return int(self.steps[0] == 0)

    def tensor(self) -> Float[Tensor, " step"]:
        return torch.tensor(self.steps, dtype=torch.float64)

    def whole(self) -> Int[Tensor, " whole_step"]:
        """Indices of the whole step counts, the only ones that the paper compares."""
        return (self.tensor() % 1 == 0).nonzero()[:, 0]

    def coordinates(self) -> Float[Tensor, " step"]:
        """Where the steps lie on an axis of this spacing; 0 steps lie one half-step below 1."""
        steps = self.tensor()
        return steps if self.spacing == "linear" else steps.clamp(min=0.5).log2()

    def at(self, coordinates: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """The step counts at coordinates, the inverse of `coordinates`."""
        if self.spacing == "linear":
            return coordinates
        return torch.where(coordinates <= -1 + 1e-12, 0.0, 2.0**coordinates)

    def locate(
        self, steps: Sequence[float] | Float[Tensor, " query"]
    ) -> tuple[Int[Tensor, " query"], Float[Tensor, " query"]]:
        """Index of the grid step below each queried step, and how far towards the next, 0 to 1.

        Distances are those of `coordinates`. Steps outside the grid are moved to its end.
        """
        coordinates = self.coordinates()
        queries = torch.as_tensor(steps, dtype=torch.float64)
        if self.spacing == "log":
            queries = queries.clamp(min=0.5).log2()
        queries = queries.clamp(coordinates[0], coordinates[-1])
        if len(coordinates) == 1:
            return torch.zeros_like(queries, dtype=torch.long), torch.zeros_like(queries)
        below = torch.searchsorted(coordinates, queries, right=True).sub(1)
        below = below.clamp(0, len(coordinates) - 2)
        fraction = (queries - coordinates[below]) / (coordinates[below + 1] - coordinates[below])
        return below, fraction


BEFORE_FIRST = 0.25
"""How far before the first step above 0 a peak may lie, in distances to the step after it."""


@dataclass(frozen=True)
class Match:
    """Best-matching step of every layer."""

    step: Float[Tensor, "*batch layer"]
    """As a real number: the peak of a polynomial through the best grid step and its neighbours."""
    whole_step: Float[Tensor, "*batch layer"]
    """The best among whole steps, as in the paper."""
    similarity: Float[Tensor, "*batch layer"]
    """At the real-valued best step; never above 1, which no cosine and no R^2 exceeds."""


def best_match(similarity: Float[Tensor, "*batch layer step"], grid: StepGrid) -> Match:
    """Finds the step with the highest similarity, layer by layer.

    Args:
        similarity: SimE, SimW or R^2 of every layer with every step of a grid.
        grid: The steps.

    Raises:
        ValueError: The last axis is not the grid's, or a similarity is NaN.
    """
    if similarity.shape[-1] != len(grid.steps):
        raise ValueError(
            f"similarity has {similarity.shape[-1]} steps on its last axis, "
            f"the grid has {len(grid.steps)}"
        )
    if (is_nan := similarity.isnan()).any():
        raise ValueError(f"similarity is NaN, first at {is_nan.nonzero()[0].tolist()}")
    coordinates = grid.coordinates()
    best = similarity.argmax(-1)
    peak = similarity.amax(-1)
    whole = grid.whole()
    whole_best = whole[similarity[..., whole].argmax(-1)] if len(whole) else best
    offset, gain = _peak(similarity, grid, best, order=5)
    return Match(
        step=grid.at(coordinates[best] + offset),
        whole_step=grid.tensor()[whole_best],
        similarity=torch.maximum(peak, (peak + gain).clamp(max=1)),
    )


def interpolation_error(
    similarity: Float[Tensor, "*batch layer step"], grid: StepGrid
) -> Float[Tensor, "*batch layer"]:
    """Bound on the error of a real-valued best step, as the grid has no steps in between.

    The distance from the peak of the polynomial through five grid points, which `best_match`
    takes, to that through seven; where there are no more than five, to that through three.

    Args:
        similarity: As for `best_match`.
        grid: The steps.
    """
    coordinates = grid.coordinates()
    best = similarity.argmax(-1)
    other = 7 if len(grid.steps) - grid.n_still > 5 else 3
    taken, compared = (
        grid.at(coordinates[best] + _peak(similarity, grid, best, order=order)[0])
        for order in (5, other)
    )
    return (taken - compared).abs()


def _peak(
    values: Float[Tensor, "*batch step"],
    grid: StepGrid,
    best: Int[Tensor, "*batch"],
    order: int,
) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch"]]:
    """Offset and gain of the peak near the best grid value; zero where that is an end of the grid.

    0 steps belong to no polynomial: see `n_still`. Below the step after them a peak may lie by up
    to `BEFORE_FIRST`, or layers that are there would on average be found later.
    The polynomial goes through up to `order` grid points, five as a rule: near the top a similarity
    is not symmetric, and a parabola through three would be off by several per cent of the spacing.
    No cosine and no R^2 exceeds 1, so where the polynomial does, its peak is too far from the grid
    step: the offset is reduced as if the gain, which goes with its square, were what is left to 1.
    """
    coordinates = grid.coordinates()
    n_steps, first = len(coordinates), grid.n_still
    zero = torch.zeros_like(values[..., 0])
    if n_steps - first < 3:
        return zero, zero
    order = min(order, n_steps - first)
    start = (best - order // 2).clamp(first, n_steps - order)
    window = start[..., None] + torch.arange(order)
    x = coordinates[window] - coordinates[best][..., None]
    y = values.gather(-1, window) - values.gather(-1, best[..., None])
    scale = (coordinates[-1] - coordinates[first]) / (n_steps - first - 1)
    powers = (x / scale)[..., None] ** torch.arange(order, dtype=x.dtype)
    coefficients = torch.linalg.solve(powers, y[..., None])[..., 0]
    below = coordinates[(best - 1).clamp(min=first)] - coordinates[best]
    above = coordinates[(best + 1).clamp(max=n_steps - 1)] - coordinates[best]
    if first:
        gap = coordinates[first + 1] - coordinates[first]
        below = torch.where(best == first, -BEFORE_FIRST * gap, below)
    # The peak lies between the neighbours: the highest of a fine comb there, then Newton's method.
    comb = torch.linspace(0, 1, 33, dtype=x.dtype)
    offsets = (below[..., None] + (above - below)[..., None] * comb) / scale
    heights = _polynomial(coefficients[..., None, :], offsets)
    offset = offsets.gather(-1, heights.argmax(-1, keepdim=True))[..., 0]
    degree = torch.arange(order, dtype=x.dtype)
    slope = (coefficients * degree)[..., 1:]
    curvature = (slope * degree[:-1])[..., 1:]
    for _ in range(4):
        bend = _polynomial(curvature, offset)
        step = _polynomial(slope, offset) / torch.where(bend < 0, bend, -torch.inf)
        offset = torch.clamp(offset - step, below / scale, above / scale)
    has_peak = (best != first) | (offset > below / scale)
    offset = torch.where(has_peak, offset, 0.0)
    gain = _polynomial(coefficients, offset).clamp(min=0)
    left = (1 - values.amax(-1)).clamp(min=0)
    offset = offset * (left / torch.maximum(gain, left).clamp(min=1e-300)).sqrt()
    is_inner = (best >= first) & (best > 0) & (best < n_steps - 1)
    return torch.where(is_inner, offset * scale, zero), torch.where(is_inner, gain, zero)


def _polynomial(
    coefficients: Float[Tensor, "*#batch power"], x: Float[Tensor, "*#batch"]
) -> Float[Tensor, "*batch"]:
    """The value of c_0 + c_1 x + c_2 x^2 and so on."""
    value = torch.zeros_like(x)
    for coefficient in reversed(coefficients.unbind(-1)):
        value = value * x + coefficient
    return value
