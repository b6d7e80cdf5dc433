"""Eigenvalues that layers and predictions of changed models have learnt to a half."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from interp.scoring.layer_matches import own_readouts
from probes.anatomy import FilterBasis, resolved_eigenvalue
from probes.references import Prefixes

LEVEL = 0.95
PENALTY = 1e-3
"""Of the free filters' roughness; the same for all, as they are compared with each other."""


class ResolvedEigenvalues:
    """Products of what layers and predictions say at a point with the features of a free filter."""

    def __init__(self, point: int, n_changes: int, n_rows: int, n_prompts: int) -> None:
        self.point, self.sizes = point, (n_changes, n_prompts, n_rows)
        self.basis: FilterBasis | None = None
        self.features = torch.zeros(0)
        self.said = torch.full(self.sizes, torch.nan, dtype=torch.float64)

    def update(
        self, index: int, rows: slice, prefixes: Prefixes, said: Float[Tensor, "row prompt point"]
    ) -> None:
        rescaled = own_readouts(said, prefixes.ys)[:-1]  # as the match curve does
        self.said[index, rows] = torch.cat([rescaled, said[-1:]])[..., self.point].T
        if index:
            return
        here = prefixes.at_points([self.point])
        if self.basis is None:
            self.basis = FilterBasis.of(here.eigenvalues)
            self.features = torch.zeros(self.sizes[1], len(self.basis.knots), dtype=torch.float64)
        self.features[rows] = self.basis.features(here.eigenvalues[:, 0], here.terms[:, 0]).double()

    def columns(self, weights: Float[Tensor, "replicate prompt"]) -> dict[str, Any]:
        """Resolved eigenvalues: axes after the change, and values."""
        assert self.basis is not None
        basis, z = self.basis, self.features
        weights = torch.cat([torch.ones_like(weights[:1]), weights])
        gram = torch.einsum("np,pk,pm->nkm", weights, z, z)
        resolved = partial(resolved_eigenvalue, basis)

        def solved(of_change: Float[Tensor, "prompt row"]) -> Float[Tensor, "replicate row"]:
            moment = torch.einsum("np,pr,pk->nrk", weights, of_change, z)
            return resolved(basis.solve(gram, moment, PENALTY))

        found = torch.stack([solved(part) for part in self.said])  # [change, replicate, row]
        found = torch.where(self.said.isnan().any(1)[:, None], torch.nan, found)
        ratio = found[..., -1] / found[:1, :, -1]
        return {
            "resolved_eigenvalue": (("read_layer",), found[:, 0, :-1].numpy()),
            "output_resolved_eigenvalue": ((), found[:, 0, -1].numpy()),
            "output_resolved_eigenvalue_interval": (("bound",), _quantiles(found[:, 1:, -1])),
            "output_resolved_ratio": ((), ratio[:, 0].numpy()),
            "output_resolved_ratio_interval": (("bound",), _quantiles(ratio[:, 1:])),
        }


def _quantiles(replicates: Float[Tensor, "change replicate"]) -> np.ndarray:
    """Bounds of intervals; infinite where no eigenvalue is resolved."""
    ends = replicates.new_tensor([(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return replicates.quantile(ends, 1, interpolation="nearest").T.numpy()
