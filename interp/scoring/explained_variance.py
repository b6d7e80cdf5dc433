"""The direct protocol: what of each iterate can be read linearly from the activations?"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from interp.scoring.direct_targets import DirectTargets, TargetBlock
from probes.readout import Readout

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
        features = rearrange(activations[:, :, 1:], "site prompt point d -> site (prompt point) d")
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
        squared_error = torch.einsum("rg,gst->rst", weights, self.squared_error)
        total, square = weights @ self.total, weights @ self.total_square
        count = (weights @ self.count)[:, None]
        variance = (square - total.square() / count).clamp(min=0)
        # What is left of a constant after the subtraction is rounding, not variance.
        variance = torch.where(variance > 1e-12 * square, variance, 0.0)
        result = {}
        for block in self.targets.blocks:
            error = _sum_width(squared_error[..., block.columns], block)
            spread = _sum_width(variance[..., block.columns], block)[:, None]
            safe = torch.where(spread > 0, spread, 1.0)
            r2 = torch.where(spread > 0, 1 - error / safe, 0.0)
            result[block.comparison, block.target] = r2
        return result


def _sum_width(
    values: Float[Tensor, "*batch target"], block: TargetBlock
) -> Float[Tensor, "*batch step"]:
    return values.unflatten(-1, (block.n_steps, block.width)).sum(-1)
