"""Constant rates whose end steps lie between those of a grid."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from probes.matching import StepGrid
from probes.verdict.constant_rate_fit import ConstantRateFit, end_step_spacing, fit_constant_rate

N_ROUNDS = 8
"""Rounds of the search, each of which moves both ends by less than the one before."""

SHRINK = 0.6
"""Share of a round's reach that the next one has."""


def best_constant_rate(
    similarity: Float[Tensor, "replicate layer step"],
    grid: StepGrid,
    depth: Float[Tensor, " layer"] | None = None,
) -> ConstantRateFit:
    """Fits the constant rate on the grid, then between its steps.

    Args:
        similarity: See `fit_constant_rate`.
        grid: The steps.
        depth: See `fit_constant_rate`.

    Raises:
        ValueError: As `fit_constant_rate`.
    """
    fit = fit_constant_rate(similarity, grid, depth=depth)
    return refine_constant_rate(fit, similarity, grid, reach=end_step_spacing(grid))


def refine_constant_rate(
    fit: ConstantRateFit,
    similarity: Float[Tensor, "replicate layer step"],
    grid: StepGrid,
    *,
    reach: float,
) -> ConstantRateFit:
    """Moves the ends of constant-rate ramps to where the mean similarity is highest nearby.

    Between grid steps a similarity is read off the cubic through the four nearest ones; linear
    interpolation would favour ramps that meet the grid. The layers of a ramp stay as they are.

    Args:
        fit: What `fit_constant_rate` found, one ramp a replicate.
        similarity: The table it was fitted to.
        grid: The steps of that table.
        reach: How far the first round moves an end, in the grid's coordinates.

    Raises:
        ValueError: `reach` is not above 0.
    """
    if not reach > 0:
        raise ValueError(f"reach must be above 0, got {reach}")
    at = _CubicInterpolation(similarity.double(), grid)
    start, end = (fit.depth[layer.long()][:, None] for layer in (fit.first_layer, fit.last_layer))
    progress = ((fit.depth - start) / (end - start)).clamp(0, 1)  # [replicate, layer]
    low, high = grid.coordinates()[[0, -1]]
    first, last = (_coordinates(grid, step) for step in (fit.first_step, fit.last_step))
    moves = torch.tensor([0.0, -1.0, 1.0], dtype=torch.float64)
    moves = torch.cartesian_prod(moves, moves)  # staying comes first, so it wins a tie
    for _ in range(N_ROUNDS):
        firsts = (first + reach * moves[:, :1]).clamp(low, high)  # [move, replicate]
        lasts = (last + reach * moves[:, 1:]).clamp(low, high)
        steps = torch.lerp(grid.at(firsts)[..., None], grid.at(lasts)[..., None], progress)
        scores = at(_coordinates(grid, steps)).mean(-1)
        scores = torch.where(firsts < lasts, scores, -torch.inf)
        score, best = scores.max(0)
        first, last = (ends.gather(0, best[None])[0] for ends in (firsts, lasts))
        reach *= SHRINK
    return replace(fit, score=score, first_step=grid.at(first), last_step=grid.at(last))


def _coordinates(grid: StepGrid, steps: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    return steps.clamp(min=0.5).log2() if grid.spacing == "log" else steps


class _CubicInterpolation:
    """Similarities between grid steps, at most 1, for every replicate and layer at once.

    Between 0 steps and the next they are read off a line: see `StepGrid.n_still`.
    """

    def __init__(self, similarity: Float[Tensor, "replicate layer step"], grid: StepGrid) -> None:
        self.similarity = similarity
        self.x = grid.coordinates()
        self.first = grid.n_still
        self.order = min(4, len(self.x) - self.first)

    def __call__(
        self, queries: Float[Tensor, "move replicate layer"]
    ) -> Float[Tensor, "move replicate layer"]:
        below = torch.searchsorted(self.x, queries.contiguous(), right=True) - 1
        start = below - (self.order - 1) // 2
        start = start.clamp(self.first, len(self.x) - self.order)
        value = self._through(start, self.order, queries)
        if self.first:
            is_early = queries < self.x[1]
            line = self._through(torch.zeros_like(below), 2, queries)
            value = torch.where(is_early, line, value)
        return value.clamp(max=1)

    def _through(
        self,
        start: Int[Tensor, "move replicate layer"],
        order: int,
        queries: Float[Tensor, "move replicate layer"],
    ) -> Float[Tensor, "move replicate layer"]:
        """The polynomial through the steps from `start` on (Lagrange)."""
        nodes = [self.x[start + j] for j in range(order)]
        value = torch.zeros_like(queries)
        for j, node in enumerate(nodes):
            weight = torch.ones_like(queries)
            for other in nodes[:j] + nodes[j + 1 :]:
                weight = weight * (queries - other) / (node - other)
            value += weight * self._at(start + j)
        return value

    def _at(
        self, index: Int[Tensor, "move replicate layer"]
    ) -> Float[Tensor, "move replicate layer"]:
        table = self.similarity.expand(len(index), -1, -1, -1)
        return table.gather(-1, index[..., None])[..., 0]
