"""Targets of the direct protocol: the iterates of references, side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from probes.candidate import Candidate
from probes.readout import Readout
from probes.references import Prefixes, SpectralReference
from probes.references.divergence import bounded

TARGETS: dict[str, str] = {
    "prediction": "the iterate's prediction",
    "weights": "the iterate's weight vector w_k",
    "filtered_query": "the filtered query phi_k(S) x",
}
"""What of an iterate is regressed onto, and how reports call it."""

MAX_NUMBERS = 2**24
"""Of the target matrix that is held at once."""


@dataclass(frozen=True)
class TargetBlock:
    """Columns of the target matrix that belong together."""

    comparison: str
    target: str
    n_steps: int
    width: int
    """Numbers per step: 1 for a prediction, n_dims for a vector."""
    columns: slice


@dataclass(frozen=True)
class DirectTargets:
    """All iterates of all comparisons, side by side as columns of one target matrix.

    Points that have seen nothing are left out: there every iterate is 0.
    """

    comparisons: tuple[Candidate, ...]
    n_dims: int
    targets: tuple[str, ...]
    """Which of `TARGETS`."""

    @classmethod
    def predictions(cls, comparisons: Sequence[Candidate], n_dims: int) -> DirectTargets:
        """One column a step, on the fine grid."""
        return cls(tuple(comparisons), n_dims, ("prediction",))

    @classmethod
    def vectors(
        cls,
        comparisons: Sequence[Candidate],
        n_dims: int,
        targets: tuple[str, ...] = ("weights", "filtered_query"),
    ) -> DirectTargets:
        """`n_dims` columns a step, on the coarse grid: weights and filtered queries."""
        spectral = [c for c in comparisons if isinstance(c.reference, SpectralReference)]
        return cls(tuple(spectral), n_dims, targets)

    @cached_property
    def blocks(self) -> tuple[TargetBlock, ...]:
        blocks, start = [], 0
        for comparison in self.comparisons:
            for target in self.targets:
                n_steps = len(comparison.grid_of(target).steps)
                width = 1 if target == "prediction" else self.n_dims
                end = start + n_steps * width
                columns = slice(start, end)
                blocks.append(TargetBlock(comparison.name, target, n_steps, width, columns))
                start = end
        return tuple(blocks)

    @property
    def n_targets(self) -> int:
        return self.blocks[-1].columns.stop

    def compute(
        self,
        prefixes: Prefixes,
        known: Mapping[str, Float[Tensor, "_step prompt point"]] | None = None,
    ) -> Float[Tensor, "prompt seen_point target"]:
        """The target matrix at every point that has seen at least one pair.

        Args:
            prefixes: The prompts.
            known: Predictions of comparisons at every step of their `grid`, by name; a prediction
                at a step among them is not computed again.
        """
        shape = (prefixes.n_prompts, prefixes.n_points - prefixes.n_unseen, self.n_targets)
        matrix = torch.empty(shape, dtype=torch.float64)
        items = {item.name: item for item in self.comparisons}
        for block in self.blocks:
            item = items[block.comparison]
            matrix[..., block.columns] = rearrange(
                self._iterates(item, block.target, prefixes, (known or {}).get(item.name))[
                    :, :, prefixes.n_unseen :
                ],
                "step prompt point dim -> prompt point (step dim)",
            )
        return matrix

    def parts(
        self,
        prefixes: Prefixes,
        known: Mapping[str, Float[Tensor, "_step prompt point"]] | None = None,
        multiple: int = 1,
    ) -> Iterator[tuple[int, int, Float[Tensor, "prompt seen_point target"]]]:
        """First and last prompt and the targets, of runs of prompts that fit `MAX_NUMBERS`.

        Every run but the last is a multiple of `multiple` prompts.
        """
        numbers = multiple * prefixes.n_points * self.n_targets
        n_prompts = multiple * max(1, MAX_NUMBERS // numbers)
        for start in range(0, prefixes.n_prompts, n_prompts):
            stop = min(start + n_prompts, prefixes.n_prompts)
            rows = {name: values[:, start:stop] for name, values in (known or {}).items()}
            yield start, stop, self.compute(prefixes.part(start, stop), rows)

    def _iterates(
        self,
        item: Candidate,
        target: str,
        prefixes: Prefixes,
        known: Float[Tensor, "_step prompt point"] | None,
    ) -> Float[Tensor, "step prompt point dim"]:
        reference, steps = item.reference, item.grid_of(target).steps
        if target == "prediction":
            if known is not None and set(steps) <= set(item.grid.steps):
                places = {step: place for place, step in enumerate(item.grid.steps)}
                return known[[places[step] for step in steps], ..., None]
            return bounded(reference.predictions(prefixes, steps)[..., None])
        if target == "weights":
            return bounded(reference.weights(prefixes, steps))
        assert isinstance(reference, SpectralReference)
        return bounded(reference.filtered_queries(prefixes, steps))


NUMBERS_AT_ONCE = 2**18
"""Errors that are squared and summed at once: few enough for the cache."""


@dataclass
class ExplainedVariance:
    """Held-out R^2 of every iterate from every site, from sums kept per group of prompts."""

    targets: DirectTargets
    squared_error: Float[Tensor, "group site target"]
    total: Float[Tensor, "group target"]
    total_square: Float[Tensor, "group target"]
    count: Float[Tensor, " group"]

    @classmethod
    def empty(cls, targets: DirectTargets, n_groups: int, n_sites: int) -> ExplainedVariance:
        n_targets = targets.n_targets
        zeros = torch.zeros(n_groups, n_targets, dtype=torch.float64)
        errors = torch.zeros(n_groups, n_sites, n_targets, dtype=torch.float64)
        return cls(targets, errors, zeros, zeros.clone(), zeros[:, 0].clone())

    def add(
        self,
        first_group: int,
        n_groups: int,
        readout: Readout,
        activations: Float[Tensor, "site prompt point d_model"],
        values: Float[Tensor, "prompt seen_point target"],
    ) -> None:
        """Adds a batch whose prompts fill `n_groups` consecutive groups, in order."""
        size = values.shape[0] * values.shape[1] // n_groups
        targets = rearrange(values, "prompt point target -> (prompt point) target")
        seen = activations[:, :, -values.shape[1] :]
        features = rearrange(seen, "site prompt point d -> site (prompt point) d")
        n_at_once = max(1, NUMBERS_AT_ONCE // (size * self.targets.n_targets))
        for start in range(0, n_groups, n_at_once):
            stop = min(start + n_at_once, n_groups)
            groups = slice(first_group + start, first_group + stop)
            rows = slice(start * size, stop * size)
            some = targets[rows]
            grouped = some.unflatten(0, (stop - start, size))
            self.total[groups] += grouped.sum(1)
            self.total_square[groups] += grouped.square().sum(1)
            self.count[groups] += size
            for site, h in enumerate(features[:, rows].to(readout.weight)):
                error = torch.addmm(readout.bias[site], h, readout.weight[site]).sub_(some)
                squares = error.unflatten(0, (stop - start, size))
                self.squared_error[groups, site] += torch.linalg.vector_norm(
                    squares, dim=1
                ).square()

    def r2(
        self, weights: Float[Tensor, "replicate group"]
    ) -> dict[tuple[str, str], Float[Tensor, "replicate site _step"]]:
        """R^2 by (comparison, target) under resampling weights; 0 where a target never varies."""
        total, square = weights @ self.total, weights @ self.total_square
        count = (weights @ self.count)[:, None]
        variance = (square - total.square() / count).clamp(min=0)
        # What is left of a constant after the subtraction is rounding, not variance.
        variance = torch.where(variance > 1e-12 * square, variance, 0.0)
        result = {}
        for block in self.targets.blocks:
            columns = self.squared_error[..., block.columns]
            error = _sum_width(torch.einsum("rg,gst->rst", weights, columns), block)
            spread = _sum_width(variance[..., block.columns], block)[:, None]
            safe = torch.where(spread > 0, spread, 1.0)
            r2 = torch.where(spread > 0, 1 - error / safe, 0.0)
            result[block.comparison, block.target] = r2
        return result


def _sum_width(
    values: Float[Tensor, "*batch target"], block: TargetBlock
) -> Float[Tensor, "*batch step"]:
    return values.unflatten(-1, (block.n_steps, block.width)).sum(-1)
