"""Shares of a layer's energy, from sums over groups of prompts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from probes.anatomy.free_filter import PENALTIES
from probes.anatomy.layer_sums import LayerSums, gathered

PARTS = (
    "order",
    "examples",
    "direction",
    "y_nonlinear",
    "query_nonlinear",
    "filter_interaction",
    "other_filter",
    "reference",
)
"""What a layer's energy is split into, in the order in which it is split off; they add up to 1.

`order` depends on the order of the examples, `examples` on them one by one beyond X^T X and X^T y,
`direction` on directions of x-space; `y_nonlinear` is not linear in y and `query_nonlinear` not in
the query; `filter_interaction` is a filter whose value at one eigenvalue depends on the others in
another way than the reference's, `other_filter` a free filter beside the reference, and `reference`
what the reference says at its best step and scale.
"""
EQUIVALENCE = 0.01
"""A reference describes a layer where its `gap` is below this share of the layer, beyond chance."""
N_FOLDS = 8


class Band(NamedTuple):
    """A number and the ends of its interval."""

    value: Tensor
    low: Tensor
    high: Tensor

    @classmethod
    def of(
        cls,
        value: Float[Tensor, "*score"],
        replicates: Float[Tensor, "replicate *score"],
        level: float,
    ) -> Band:
        """A number of all prompts with quantiles of it on resampled ones, of those not NaN."""
        tail = (1 - level) / 2
        low, high = (
            replicates.nanquantile(q, 0, interpolation="nearest") for q in (tail, 1 - tail)
        )
        return cls(value, low, high)


@dataclass(frozen=True)
class Shares:
    """What the layers at one point are made of, with bootstrap intervals over groups of prompts."""

    share: Band
    """[layer, part]."""
    ceiling: Band
    """[layer]: the share that some filter could explain, whatever its values."""
    reference_share: Band
    """[layer, reference]: the share that each reference explains at its best step."""
    gap: Band
    """[layer, reference]: the share that some filter could explain, but not this reference."""
    reference_step: Int[Tensor, "layer reference"]
    """Index of that step among the reference's own."""
    best: Int[Tensor, " layer"]
    """The reference of `PARTS`: the one that explains most."""
    filters: Band
    """[layer, knot]: the free filter."""
    replicates: Float[Tensor, "replicate layer knot"]
    """Free filters of resampled groups."""
    reference_filters: Float[Tensor, "layer reference knot"]
    """The references at those steps, measured by the same estimator."""
    iterate_filters: Float[Tensor, "iterate knot"]
    """Every step of every reference, in the scale in which it predicts y best, as read-outs do."""

    def interval_of(self, measure: Callable[[Tensor], Tensor], level: float = 0.95) -> Band:
        """A number measured on the free filters [*batch, layer, knot], with its interval.

        Resampled groups on which it is NaN do not count.
        """
        return Band.of(measure(self.filters.value), measure(self.replicates), level)

    @classmethod
    def of(
        cls,
        sums: LayerSums,
        sizes: Sequence[int],
        is_filter: Sequence[bool],
        weights: Float[Tensor, "replicate group"],
        level: float = 0.95,
    ) -> Shares:
        """Solves for everything.

        A free filter or a reference's step and scale is chosen on other folds of the groups than
        those it is scored on. The filter's prediction p serves as control variate: T p = p for
        every change T of a prompt, so E p (f - T f) = 0, and taking it away leaves the noise of
        the residual's energies only.

        Args:
            sums: Of all prompts.
            sizes: Number of steps of every reference.
            is_filter: Whether a reference is a filter, so that it can be the one of `PARTS`.
            weights: How often each group is drawn in each bootstrap replicate.
            level: Of the intervals.
        """
        folds = torch.arange(len(sums.energy)) % N_FOLDS
        in_fold = [folds == fold for fold in range(N_FOLDS)]
        everywhere = torch.ones_like(in_fold[0])
        penalty = _best_penalty(sums, in_fold)
        kept = torch.zeros_like(sums.kept)
        by_reference = sums.energy.new_zeros(*sums.energy.shape, len(sizes))
        best_steps = [_best_steps(sums, ~is_in, sizes) for is_in in in_fold]
        for is_in, (steps, scale) in zip(in_fold, best_steps, strict=True):
            beta = sums.free_filters(~is_in, penalty)
            control = sums.moment[is_in][:, :, None] - sums.kept_moment[is_in]
            kept[is_in] = sums.kept[is_in] + torch.einsum("glck,lk->glc", control, beta)
            product = gathered(sums.iterate_product[is_in], steps)
            energy = sums.iterate_energy[is_in][:, steps]
            by_reference[is_in] = 2 * scale * product - scale**2 * energy
        allowed = torch.tensor(list(is_filter))
        best = torch.where(allowed, by_reference.sum(0), -torch.inf).argmax(1)
        best_iterates = [steps.gather(1, best[:, None])[:, 0] for steps, _ in best_steps]
        explained = _with_iterate(sums, in_fold, best_iterates, penalty)
        chosen = by_reference.gather(2, best.expand(len(folds), -1)[..., None])[..., 0]
        energies = torch.cat(
            [sums.energy[..., None], kept, explained[..., None], chosen[..., None]], -1
        )
        parts = torch.cat([-energies.diff(dim=-1), energies[..., -1:]], -1)
        steps, _ = _best_steps(sums, everywhere, sizes)
        offsets = torch.tensor([0, *sizes[:-1]]).cumsum(0)
        replicates = _replicated_filters(sums, weights, penalty)
        iterates = sums.basis.solve(sums.gram.sum(0), sums.iterate_moment.sum(0), penalty)
        scale = sums.iterate_target / sums.iterate_energy.sum(0).clamp(min=1e-300)
        return cls(
            share=_ratio(parts, sums.energy, weights, level),
            ceiling=_ratio(kept[..., -1], sums.energy, weights, level),
            reference_share=_ratio(by_reference, sums.energy, weights, level),
            gap=_ratio(kept[..., -1:] - by_reference, sums.energy, weights, level),
            reference_step=steps - offsets,
            best=best,
            filters=Band.of(sums.free_filters(everywhere, penalty), replicates, level),
            replicates=replicates,
            reference_filters=iterates[steps],
            iterate_filters=iterates * scale[:, None],
        )


def _explained(
    beta: Float[Tensor, "layer knot"],
    gram: Float[Tensor, "group layer knot knot"],
    moment: Float[Tensor, "group layer knot"],
) -> Float[Tensor, "group layer"]:
    """2 E f p - E p^2, summed: the energy of f less that of f - p."""
    square = torch.einsum("lk,glkm,lm->gl", beta, gram, beta)
    return 2 * torch.einsum("glk,lk->gl", moment, beta) - square


def _with_iterate(
    sums: LayerSums,
    in_fold: Sequence[Tensor],
    iterates: Sequence[Int[Tensor, " layer"]],
    penalty: float,
) -> Float[Tensor, "group layer"]:
    """What a free filter and one iterate for each fold and layer explain together."""
    explained = torch.zeros_like(sums.energy)
    for is_in, iterate in zip(in_fold, iterates, strict=True):
        gram, moment = sums.bordered(iterate)
        beta = sums.basis.solve(gram[~is_in].sum(0), moment[~is_in].sum(0)[:, None], penalty)[:, 0]
        explained[is_in] = _explained(beta, gram[is_in], moment[is_in])
    return explained


def _best_penalty(sums: LayerSums, in_fold: Sequence[Tensor]) -> float:
    """The penalty that explains most of all layers on folds that it was not fitted on."""
    n_layers = sums.energy.shape[1]
    gram = sums.gram[:, None].expand(-1, n_layers, -1, -1)

    def held_out(penalty: float) -> float:
        parts = [
            _explained(sums.free_filters(~is_in, penalty), gram[is_in], sums.moment[is_in])
            for is_in in in_fold
        ]
        return (torch.cat(parts).sum(0) / sums.energy.sum(0)).sum().item()

    return max(PENALTIES, key=held_out)


def _best_steps(
    sums: LayerSums, groups: Tensor, sizes: Sequence[int]
) -> tuple[Int[Tensor, "layer reference"], Float[Tensor, "layer reference"]]:
    """Each reference's iterate that explains most up to scale, and that scale."""
    product = sums.iterate_product[groups].sum(0)
    energy = sums.iterate_energy[groups].sum(0)
    scale = torch.where(energy > 0, product / torch.where(energy > 0, energy, 1.0), 0.0)
    gains = (product * scale).split(list(sizes), 1)
    start, steps = 0, []
    for size, gain in zip(sizes, gains, strict=True):
        steps.append(gain.argmax(1) + start)
        start += size
    chosen = torch.stack(steps, 1)
    return chosen, scale.gather(1, chosen)


def _replicated_filters(
    sums: LayerSums, weights: Float[Tensor, "replicate group"], penalty: float
) -> Float[Tensor, "replicate layer knot"]:
    gram = torch.einsum("rg,gkm->rkm", weights, sums.gram)
    moment = torch.einsum("rg,glk->rlk", weights, sums.moment)
    return sums.basis.solve(gram, moment, penalty)


def _ratio(
    parts: Float[Tensor, "group layer *part"],
    energy: Float[Tensor, "group layer"],
    weights: Float[Tensor, "replicate group"],
    level: float,
) -> Band:
    whole = energy.reshape(*energy.shape, *[1] * (parts.ndim - 2))

    def share(groups: Tensor) -> Tensor:
        return torch.einsum("rg,g...->r...", groups, parts) / torch.einsum(
            "rg,g...->r...", groups, whole
        )

    return Band.of(share(torch.ones_like(weights[:1]))[0], share(weights), level)
