"""The constant number of steps a layer that explains all layers best.

The size of a similarity does not tell algorithms apart: with its step free in every layer, a slower
algorithm imitates a faster one. What tells them apart is whether one constant number of steps a
layer explains all layers at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from scipy.sparse import csr_array
from torch import Tensor

from probes.matching import StepGrid

Law = Literal["linear", "log-linear"]

N_RAMP_STEPS = 32
"""Steps at which a ramp may start and end, spread over the grid."""


@dataclass(frozen=True)
class ConstantRateFit:
    """A growth of steps with depth: flat, then a constant rate, then flat again."""

    score: Float[Tensor, " replicate"]
    """Mean similarity over layers along the ramp."""
    first_layer: Float[Tensor, " replicate"]
    """Index, in the table, of the last layer before the growth."""
    last_layer: Float[Tensor, " replicate"]
    """Index, in the table, of the first layer after the growth."""
    first_step: Float[Tensor, " replicate"]
    last_step: Float[Tensor, " replicate"]
    depth: Float[Tensor, " layer"]
    """Depth of each layer of the table, see `fit_constant_rate`."""

    @property
    def rate(self) -> Float[Tensor, " replicate"]:
        """Steps a layer between the first and the last layer of the growth."""
        return (self.last_step - self.first_step) / self._span

    @property
    def steps(self) -> Float[Tensor, "replicate layer"]:
        """The steps of every layer under the linear law."""
        begun = self.depth - self.depth[self.first_layer.long()][:, None]
        progress = (begun / self._span[:, None]).clamp(0, 1)
        return torch.lerp(self.first_step[:, None], self.last_step[:, None], progress)

    @property
    def _span(self) -> Float[Tensor, " replicate"]:
        return self.depth[self.last_layer.long()] - self.depth[self.first_layer.long()]


def fit_constant_rate(
    similarity: Float[Tensor, "replicate layer step"],
    grid: StepGrid,
    *,
    law: Law = "linear",
    depth: Float[Tensor, " layer"] | None = None,
    min_layers: int = 3,
) -> ConstantRateFit:
    """Fits the ramp with the highest mean similarity (for the linear law, the constant rate).

    Every ramp is a row of weights on the table of similarities, so the search over all windows of
    layers and all pairs of end steps is one sparse matrix product for all replicates together.

    Args:
        similarity: SimE or R^2 of every layer with every step, for bootstrap replicates.
        grid: The steps.
        law: What grows linearly with depth: the step, or its logarithm.
        depth: Depth of each layer, by default 0, 1, 2, …; layers that do nothing share a depth.
        min_layers: Fewest layers that a growth spans, its ends included.

    Raises:
        ValueError: Fewer layers than `min_layers`, fewer than two steps, depths that decrease or
            are all the same, or a similarity that is NaN.
    """
    n_layers, n_steps = similarity.shape[1:]
    if depth is None:
        depth = torch.arange(n_layers, dtype=torch.float64)
    if n_layers < min_layers:
        raise ValueError(f"a growth law needs at least {min_layers} layers, got {n_layers}")
    if len(grid.steps) < 2 or n_steps != len(grid.steps):
        raise ValueError(
            f"similarity has {n_steps} steps and the grid {len(grid.steps)}; both must agree and "
            "be at least 2"
        )
    if (depth.diff() < 0).any() or depth[0] == depth[-1]:
        raise ValueError(
            "depth must not decrease from layer to layer, nor stay the same throughout"
        )
    if (is_nan := similarity.isnan()).any():
        raise ValueError(f"similarity is NaN, first at {is_nan.nonzero()[0].tolist()}")
    weights, windows = _ramps(grid, law, tuple(depth.tolist()), min_layers)
    scores = weights @ similarity.flatten(1).double().numpy().T  # [ramp, replicate]
    best = scores.argmax(0)
    first_layer, last_layer, first_step, last_step = torch.from_numpy(windows[best]).unbind(1)
    score = torch.from_numpy(scores.max(0))
    return ConstantRateFit(score, first_layer, last_layer, first_step, last_step, depth)


@cache
def _ramps(
    grid: StepGrid, law: Law, depth: tuple[float, ...], min_layers: int
) -> tuple[csr_array, np.ndarray]:
    """Every ramp as a row of weights on [layer, step], and its (layers, steps) as a table."""
    depths, n_steps = np.array(depth), len(grid.steps)
    ends = _end_steps(grid)
    first, last = (
        column.ravel() for column in np.meshgrid(ends, ends, indexing="ij")
    )  # every pair of a first and a last step …
    growing = first < last
    first, last = first[growing], last[growing]  # … that grows
    columns, values, windows = [], [], []
    for start in range(len(depths)):
        for end in range(start + min_layers - 1, len(depths)):
            span = depths[end] - depths[start]
            if span <= 0:
                continue
            progress = ((depths - depths[start]) / span).clip(0, 1)  # [layer]
            steps = _between(first, last, progress, law)  # [ramp, layer]
            queries = torch.from_numpy(steps.ravel())
            below, fraction = (part.numpy() for part in grid.locate(queries))
            layer = np.tile(np.arange(len(depths)), len(first)) * n_steps
            upper = np.minimum(below + 1, n_steps - 1)
            columns.append(np.stack([layer + below, layer + upper], -1).ravel())
            values.append(np.stack([1 - fraction, fraction], -1).ravel() / len(depths))
            window = np.broadcast_to([[float(start), float(end)]], (len(first), 2))
            windows.append(np.concatenate([window, first[:, None], last[:, None]], 1))
    column, value, window = map(np.concatenate, (columns, values, windows))
    row_ends = np.arange(len(window) + 1) * 2 * len(depths)
    shape = (len(window), len(depths) * n_steps)
    return csr_array((value, column, row_ends), shape=shape), window


def _between(first: np.ndarray, last: np.ndarray, progress: np.ndarray, law: Law) -> np.ndarray:
    if law == "linear":
        return first[:, None] + (last - first)[:, None] * progress
    low, high = np.log2(np.maximum(first, 0.5)), np.log2(np.maximum(last, 0.5))
    return 2.0 ** (low[:, None] + (high - low)[:, None] * progress)


def end_step_spacing(grid: StepGrid) -> float:
    """The mean distance between the end steps that `fit_constant_rate` tries, in coordinates."""
    x = grid.coordinates()
    return (x[-1] - x[0]).item() / (min(N_RAMP_STEPS, len(grid.steps)) - 1)


def _end_steps(grid: StepGrid) -> np.ndarray:
    """A thinned grid: fine enough for the score, coarse enough to try all pairs."""
    count = min(N_RAMP_STEPS, len(grid.steps))
    chosen = np.unique(np.linspace(0, len(grid.steps) - 1, count).round().astype(int))
    return np.array(grid.steps)[chosen]
