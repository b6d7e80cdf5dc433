"""Non-negative mixtures of references: which of them together explain a layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.optimize import nnls
from torch import Tensor

from probes.anatomy.shares import Band

MOST_SWEEPS = 8
LEAST_ENERGY = 1e-12
"""Eigenvalues of second moments that are a smaller share of the largest are rounding."""


@dataclass(frozen=True)
class Mixture:
    """What each layer is made of at one point, as a mixture of iterates."""

    weight: Band
    """[layer, reference]: of its iterate in the mixture; the interval is given the steps."""
    step: Int[Tensor, "layer reference"]
    """Index of that iterate among the reference's own; -1 where its weight is 0."""
    share: Band
    """[layer]: the share of the layer's energy that the mixture explains, on other prompts."""
    gain: Band
    """[layer]: by how much that is more than the best single reference's."""

    @classmethod
    def of(
        cls,
        said: Float[Tensor, "layer prompt"],
        iterates: Float[Tensor, "iterate prompt"],
        sizes: Sequence[int],
        weights: Float[Tensor, "replicate group"],
        level: float = 0.95,
    ) -> Mixture:
        """Finds the mixture of one iterate of each reference that explains a layer best.

        Steps and weights start from the best single reference. Each reference in turn then takes
        the step that explains most beside the others, all weights are solved for again by
        non-negative least squares on second moments, and so on until nothing improves; one that
        adds no more than chance is left out. Shares are of prompts that a mixture was not chosen
        on: each half is explained by that of the other. References that say nearly the same stand
        in for each other, which the intervals of the weights, given the steps, do not show.

        Args:
            said: f of every layer.
            iterates: What references say at each of their steps.
            sizes: Number of steps of every reference.
            weights: How often each group of consecutive prompts is drawn in each replicate.
            level: Of the intervals.

        Raises:
            ValueError: There are fewer prompts than groups.
        """
        f, p = said.double(), iterates.double()
        n_prompts, n_groups = f.shape[1], weights.shape[1]
        if n_prompts < n_groups:
            raise ValueError(f"said must have at least {n_groups} prompts, got {n_prompts}")
        group = torch.arange(n_prompts) * n_groups // n_prompts
        explained = torch.zeros(2, *f.shape, dtype=torch.float64)  # by the mixture, by the single
        for half in (group % 2 == 0, group % 2 == 1):
            moment, gram = f[:, ~half] @ p[:, ~half].T, p[:, ~half] @ p[:, ~half].T
            for layer, row in enumerate(moment):
                best = _single(row, gram)
                alone = row[best] / gram[best, best].clamp(min=torch.finfo().tiny)
                energy = float(f[layer, ~half].square().sum())
                chosen, parts = _mixed(row, gram, sizes, energy, int((~half).sum()))
                for kind, answer in enumerate((parts @ p[chosen], alone @ p[best])):
                    gained = 2 * f[layer] * answer - answer**2
                    explained[kind, layer, half] = gained[half]
        energies = torch.cat([f.square()[None], explained])
        sums = torch.zeros(n_groups, 3, len(f), dtype=torch.float64)
        sums.index_add_(0, group, energies.permute(2, 0, 1))
        drawn = torch.cat([torch.ones_like(weights[:1]), weights]).double()
        whole, mixed, single = torch.einsum("rg,gkl->krl", drawn, sums)
        moment, gram = f @ p.T, p @ p.T
        step = torch.full((len(f), len(sizes)), -1)
        weight = torch.zeros(len(drawn), *step.shape, dtype=torch.float64)
        offsets = np.cumsum([0, *sizes])
        for layer, row in enumerate(moment):
            energy = float(f[layer].square().sum())
            chosen, _ = _mixed(row, gram, sizes, energy, n_prompts)
            if not len(chosen):
                continue
            reference = np.searchsorted(offsets, chosen, side="right") - 1
            step[layer, reference] = torch.from_numpy(chosen - offsets[reference])
            few = p[chosen]
            grams = torch.zeros(n_groups, len(few), len(few), dtype=torch.float64)
            grams.index_add_(0, group, torch.einsum("ap,bp->pab", few, few))
            moments = torch.zeros(n_groups, len(few), dtype=torch.float64)
            moments.index_add_(0, group, (few * f[layer]).T)
            again = zip(torch.einsum("rg,gab->rab", drawn, grams), drawn @ moments, strict=True)
            weight[:, layer, reference] = torch.stack([_solved(*one) for one in again])
        share, gain = mixed / whole, (mixed - single) / whole
        return cls(
            weight=Band.of(weight[0], weight[1:], level),
            step=step,
            share=Band.of(share[0], share[1:], level),
            gain=Band.of(gain[0], gain[1:], level),
        )


def _single(moment: Float[Tensor, " iterate"], gram: Float[Tensor, "iterate iterate"]) -> Tensor:
    """The iterate that explains most with a weight that is not negative."""
    return _gains(moment, gram.diagonal(), gram.diagonal()).argmax()[None]


def _gains(moment: Tensor, energy: Tensor, whole: Tensor) -> Tensor:
    """What iterates explain; nothing where hardly any of their whole energy is their own."""
    return moment.clamp(min=0) ** 2 / torch.where(energy > 1e-9 * whole, energy, torch.inf)


def _mixed(
    moment: Float[Tensor, " iterate"],
    gram: Float[Tensor, "iterate iterate"],
    sizes: Sequence[int],
    energy: float,
    n_prompts: int,
) -> tuple[np.ndarray, Float[Tensor, " chosen"]]:
    """The iterates of a mixture that have a weight, and these weights.

    A reference is part of it if it adds more than its weight and step cost (Schwarz 1978).
    """
    whole = gram.diagonal()
    stop = np.cumsum(sizes)

    def solved(rows: np.ndarray) -> tuple[float, np.ndarray, Tensor]:
        weight = _solved(gram[rows][:, rows], moment[rows])
        left = max(energy - float(weight @ moment[rows]), LEAST_ENERGY * energy, 1e-300)
        used = weight.numpy() > 0
        return (
            n_prompts * np.log(left) + 2 * np.log(n_prompts) * used.sum(),
            rows[used],
            weight[used],
        )

    best, chosen, weight = solved(_single(moment, gram).numpy())
    for _ in range(MOST_SWEEPS):
        before = best
        for low, high in zip(stop - np.array(sizes), stop, strict=True):
            others = chosen[(chosen < low) | (chosen >= high)]
            cross = gram[low:high][:, others]
            projection = cross @ torch.linalg.pinv(gram[others][:, others], hermitian=True)
            left = moment[low:high] - projection @ moment[others]
            own = whole[low:high] - (projection * cross).sum(1)
            new = low + int(_gains(left, own, whole[low:high]).argmax())
            for rows in (np.append(others, new), others):
                found = solved(rows) if len(rows) else (np.inf, chosen, weight)
                if found[0] < best - 1e-6:
                    best, chosen, weight = found
        if best > before - 1e-6:
            break
    return chosen, weight


def _solved(
    gram: Float[Tensor, "chosen chosen"], moment: Float[Tensor, " chosen"]
) -> Float[Tensor, " chosen"]:
    """The weights, none negative, that explain most."""
    if not gram.any():
        return torch.zeros_like(moment)
    values, vectors = torch.linalg.eigh(gram)
    kept = values > LEAST_ENERGY * values[-1]
    root = values[kept].sqrt()
    found, _ = nnls((vectors[:, kept] * root).T.numpy(), (moment @ vectors[:, kept] / root).numpy())
    return torch.from_numpy(found)
