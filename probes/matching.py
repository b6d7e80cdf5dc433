"""Which step of a reference is a layer most like?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

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

    @classmethod
    def linear(cls, largest: float, spacing: float = 0.25) -> StepGrid:
        """0, spacing, 2 spacing, … up to `largest`, as suits Newton."""
        count = round(largest / spacing)
        return cls(tuple(spacing * index for index in range(count + 1)), "linear")

    @classmethod
    def log(cls, largest: float, per_octave: int = 8) -> StepGrid:
        """0 and every whole step up to 16, then `per_octave` a doubling, as suits GD.

        Powers of two are always among them, as in the paper's Fig. 10.
        """
        fractions = (2.0 ** (index / per_octave) for index in range(64 * per_octave))
        steps = {0.0, *map(float, range(1, 17)), *(step for step in fractions if step <= largest)}
        return cls(tuple(sorted(step for step in steps if step <= largest)), "log")

    def tensor(self) -> Float[Tensor, " step"]:
        return torch.tensor(self.steps, dtype=torch.float64)

    def whole(self) -> Int[Tensor, " whole_step"]:
        """Indices of the whole step counts, the only ones the paper looks at."""
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


@dataclass(frozen=True)
class Match:
    """Best-matching step of every layer."""

    step: Float[Tensor, "*batch layer"]
    """As a real number, from a parabola through the best grid step and its neighbours."""
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
        ValueError: The last axis is not the grid's.
    """
    if similarity.shape[-1] != len(grid.steps):
        raise ValueError(
            f"similarity has {similarity.shape[-1]} steps on its last axis, "
            f"the grid has {len(grid.steps)}"
        )
    coordinates = grid.coordinates()
    best = similarity.argmax(-1)
    peak = similarity.amax(-1)
    whole = grid.whole()
    whole_best = whole[similarity[..., whole].argmax(-1)] if len(whole) else best
    if len(grid.steps) > 2:
        offset, gain = _parabola(similarity, coordinates, best)
    else:
        offset, gain = torch.zeros_like(peak), torch.zeros_like(peak)
    return Match(
        step=grid.at(coordinates[best] + offset),
        whole_step=grid.tensor()[whole_best],
        similarity=torch.maximum(peak, (peak + gain).clamp(max=1)),
    )


def _parabola(
    values: Float[Tensor, "*batch step"],
    coordinates: Float[Tensor, " step"],
    best: Int[Tensor, "*batch"],
) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch"]]:
    """Offset and gain of the vertex over the best grid value; zero at the ends of the grid."""
    inner = best.clamp(1, len(coordinates) - 2)
    x0, x1, x2 = (coordinates[inner + shift] for shift in (-1, 0, 1))
    y0, y1, y2 = (values.gather(-1, (inner + s)[..., None])[..., 0] for s in (-1, 0, 1))
    left, right = (y1 - y0) / (x1 - x0), (y2 - y1) / (x2 - x1)
    curvature = (right - left) / (x2 - x0)  # of y = y1 + slope (x - x1) + curvature (x - x1)^2
    slope = (left * (x2 - x1) + right * (x1 - x0)) / (x2 - x0)
    usable = (curvature < 0) & (inner == best)
    safe = torch.where(usable, curvature, -torch.ones_like(curvature))
    offset = (-slope / (2 * safe)).clamp(min=x0 - x1, max=x2 - x1)
    gain = slope * offset + safe * offset.square()
    zero = torch.zeros_like(offset)
    return torch.where(usable, offset, zero), torch.where(usable, gain, zero)


def interpolation(
    grid: StepGrid, steps: Sequence[float] | Float[Tensor, " query"]
) -> tuple[Int[Tensor, " query"], Float[Tensor, " query"]]:
    """Index of the grid step below each queried step, and how far on towards the next, in 0..1.

    Distances are measured in the grid's coordinates. Queries outside the grid are moved to its end.
    """
    coordinates = grid.coordinates()
    queries = torch.as_tensor(steps, dtype=torch.float64)
    if grid.spacing == "log":
        queries = queries.clamp(min=0.5).log2()
    queries = queries.clamp(coordinates[0], coordinates[-1])
    if len(coordinates) == 1:
        return torch.zeros_like(queries, dtype=torch.long), torch.zeros_like(queries)
    below = torch.searchsorted(coordinates, queries, right=True).sub(1)
    below = below.clamp(0, len(coordinates) - 2)
    fraction = (queries - coordinates[below]) / (coordinates[below + 1] - coordinates[below])
    return below, fraction
