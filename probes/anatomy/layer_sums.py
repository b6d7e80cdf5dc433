"""Sums over groups of prompts of all products that the shares of some layers need."""

from __future__ import annotations

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor

from probes.anatomy.free_filter import FilterBasis
from probes.anatomy.transforms import KEPT

N_SAMPLED = 4096
"""Prompts that are kept whole at most, whatever their number."""


class LayerSums:
    """Sums over groups of prompts of all products that the shares of some layers need, at a point.

    Args:
        basis: Of the free filter.
        n_layers: How many layers are read.
        n_iterates: Steps of all references together.
        n_groups: Groups that prompts are put in.
    """

    def __init__(self, basis: FilterBasis, n_layers: int, n_iterates: int, n_groups: int) -> None:
        knots, kept = len(basis.knots), len(KEPT)
        self.basis = basis
        self.target_energy = torch.zeros((), dtype=torch.float64)
        """Sum of y squared."""
        self.energy = torch.zeros(n_groups, n_layers, dtype=torch.float64)
        self.gram = torch.zeros(n_groups, knots, knots, dtype=torch.float64)
        self.moment = torch.zeros(n_groups, n_layers, knots, dtype=torch.float64)
        self.kept = torch.zeros(n_groups, n_layers, kept, dtype=torch.float64)
        self.kept_moment = torch.zeros(n_groups, n_layers, kept, knots, dtype=torch.float64)
        self.iterate_energy = torch.zeros(n_groups, n_iterates, dtype=torch.float64)
        self.iterate_target = torch.zeros(n_iterates, dtype=torch.float64)
        """Sum of products with y, over all groups."""
        self.iterate_product = torch.zeros(n_groups, n_layers, n_iterates, dtype=torch.float64)
        self.iterate_moment = torch.zeros(n_groups, n_iterates, knots, dtype=torch.float64)
        self._samples: list[tuple[Tensor, Tensor]] = []
        self._n_sampled = 0

    def update(
        self,
        first_group: int,
        targets: Float[Tensor, "group prompt"],
        said: Float[Tensor, "layer group prompt"],
        features: Float[Tensor, "group prompt knot"],
        iterates: Float[Tensor, "iterate group prompt"],
        kept: Float[Tensor, "layer group prompt kept"] | None,
    ) -> None:
        """Adds some groups of prompts.

        Args:
            first_group: Index of the first; the others follow it.
            targets: y of the query.
            said: f of every layer.
            features: Of `FilterBasis.features`.
            iterates: What references say at each of their steps.
            kept: Of `kept_parts`; None where prompts cannot be changed.
        """
        groups = slice(first_group, first_group + len(features))
        if self._n_sampled < N_SAMPLED:
            self._samples.append((said.flatten(1), iterates.flatten(1)))
            self._n_sampled += said[0].numel()
        z = features.double()
        f, p = (
            rearrange(part.double(), "row group prompt -> group row prompt")
            for part in (said, iterates)
        )
        self.target_energy += targets.double().square().sum()
        self.iterate_target += torch.einsum("igp,gp->i", iterates.double(), targets.double())
        self.energy[groups] += f.square().sum(-1)
        self.gram[groups] += z.mT @ z
        self.moment[groups] += f @ z
        self.iterate_energy[groups] += p.square().sum(-1)
        self.iterate_product[groups] += f @ p.mT
        self.iterate_moment[groups] += p @ z
        if kept is None:
            self.kept[groups] = torch.nan
            return
        h = rearrange(kept.double(), "layer group prompt kept -> group layer kept prompt")
        self.kept[groups] += (h @ f[..., None])[..., 0]
        self.kept_moment[groups] += h @ z[:, None]

    def sampled(self) -> tuple[Float[Tensor, "layer prompt"], Float[Tensor, "iterate prompt"]]:
        """What layers and iterates say on the first prompts, `N_SAMPLED` or a few more."""
        said, iterates = zip(*self._samples, strict=True)
        return torch.cat(said, 1), torch.cat(iterates, 1)

    def free_filters(
        self, groups: Bool[Tensor, " group"], penalty: float
    ) -> Float[Tensor, "layer knot"]:
        """The filter of every layer that explains most of it on some groups."""
        return self.basis.solve(self.gram[groups].sum(0), self.moment[groups].sum(0), penalty)

    def bordered(
        self, iterates: Int[Tensor, " layer"]
    ) -> tuple[Float[Tensor, "group layer knot knot"], Float[Tensor, "group layer knot"]]:
        """Products of the features, one iterate among them for each layer, and with f."""
        n_groups, n_layers, n_knots = self.moment.shape
        gram = self.energy.new_zeros(n_groups, n_layers, n_knots + 1, n_knots + 1)
        gram[..., :-1, :-1] = self.gram[:, None]
        gram[..., -1, :-1] = gram[..., :-1, -1] = self.iterate_moment[:, iterates]
        gram[..., -1, -1] = self.iterate_energy[:, iterates]
        product = gathered(self.iterate_product, iterates[:, None])
        return gram, torch.cat([self.moment, product], -1)


def gathered(
    values: Float[Tensor, "group layer iterate"], steps: Int[Tensor, "layer reference"]
) -> Float[Tensor, "group layer reference"]:
    """The values of one iterate of every reference, for each layer its own."""
    return values.gather(2, steps.expand(len(values), -1, -1))
