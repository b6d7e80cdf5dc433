"""Pairwise tests: under which of two references the layers are more likely."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from probes.affine import affine_fit
from probes.similarity import error_directions
from probes.uncertainty.bootstrap import bootstrap_weights
from probes.uncertainty.estimate import LEVEL, Estimate
from probes.verdict.criteria import DEFAULT_CRITERIA


@dataclass(frozen=True)
class PairwiseTest:
    """How much more like the layers one reference is than another, where the two differ."""

    names: tuple[str, str]
    n_prompts: int
    """Prompts, those on which the two disagree most, for …"""
    ahead: Estimate
    """… the similarity of errors with the first less that with the second, mean over layers."""
    ahead_by_examples: tuple[Estimate, ...]
    """The same over all prompts, separately for every number of examples from 1 on."""
    log_ratio: Estimate
    """Log-likelihood of a prompt's layers under the first less that under the second, mean."""

    @property
    def loser(self) -> str | None:
        """The one under which the layers are less likely, beyond chance."""
        if self.log_ratio.low <= 0 <= self.log_ratio.high:
            return None
        return self.names[1 if self.log_ratio.value > 0 else 0]

    @property
    def winner(self) -> str | None:
        """The other one, where there is a loser."""
        return None if self.loser is None else self.names[self.names[0] == self.loser]

    @property
    def bits(self) -> float:
        """Bits a prompt by which the layers are likelier under the winner."""
        return abs(self.log_ratio.value) / math.log(2)


def pairwise_test(
    names: tuple[str, str],
    predictions: Float[Tensor, "layer prompt point"],
    iterates: tuple[Float[Tensor, "layer prompt point"], Float[Tensor, "layer prompt point"]],
    ys: Float[Tensor, "prompt point"],
    *,
    n_replicates: int = 200,
    n_unseen: int = 1,
    seed: int = 0,
    level: float = LEVEL,
    disagreeing_share: float = DEFAULT_CRITERIA.disagreeing_share,
) -> PairwiseTest:
    """Compares two references on the same layers by a likelihood ratio.

    The model of a layer's predictions is an affine map of the reference's iterate plus normal
    noise. In the ratio of two such likelihoods every prompt and point counts by the square of how
    far the two references disagree there, so it finds differences that a mean of cosines buries.
    Beside it stand similarities of errors on the prompts on which the two disagree most, which is
    decided without the layers by the cosine of their errors, and by number of examples, where the
    level holds over all comparisons (Bonferroni).

    Args:
        names: Of the references.
        predictions: Of the layers' read-outs.
        iterates: Of each reference after the steps of each layer, with its own read-out.
        ys: What was to be predicted.
        n_replicates: Bootstrap replicates over prompts.
        n_unseen: Leading points that have seen no pair and are left out.
        seed: Of the replicates.
        level: Confidence level.
        disagreeing_share: See `Criteria`.

    Raises:
        ValueError: No point, fewer than eight prompts, or a prediction that is not finite.
    """
    n_prompts, n_points = ys.shape
    if n_prompts < 8:
        raise ValueError(f"a pairwise test needs at least 8 prompts, got {n_prompts}")
    seen = slice(n_unseen, None)
    # One comparison of all points, and one of each that has seen a pair.
    strict = 1 - (1 - level) / (n_points - n_unseen + 1)
    layers, first, second = (
        error_directions(one, ys, n_unseen=n_unseen) for one in (predictions, *iterates)
    )
    apart = 1 - (first * second).sum(-1).mean(0)
    chosen = apart.topk(round(disagreeing_share * n_prompts)).indices
    ahead = (layers * (first - second)).sum(-1).mean(0)[chosen]
    weights = bootstrap_weights(len(chosen), n_replicates, seed, with_original=True)
    everywhere = bootstrap_weights(n_prompts, n_replicates, seed, with_original=True)
    residuals = [one[..., seen].double() - ys[:, seen] for one in (predictions, *iterates)]
    by_examples = _point_cosines(everywhere, residuals[0], residuals[1]) - _point_cosines(
        everywhere, residuals[0], residuals[2]
    )
    log_ratios = _log_ratios(*(one[..., seen].double() for one in (predictions, *iterates)))
    log_ratio = everywhere @ log_ratios / n_prompts
    return PairwiseTest(
        names=names,
        n_prompts=len(chosen),
        ahead=Estimate.of(weights @ ahead / weights.sum(1), strict),
        ahead_by_examples=tuple(Estimate.of(column, strict) for column in by_examples.unbind(1)),
        log_ratio=Estimate.of(log_ratio, level),
    )


def _log_ratios(
    predictions: Float[Tensor, "layer prompt point"],
    first: Float[Tensor, "layer prompt point"],
    second: Float[Tensor, "layer prompt point"],
) -> Float[Tensor, " prompt"]:
    """Log-likelihood of every prompt's layers under the first reference less under the second."""
    misses = [predictions - affine_fit(one, predictions) for one in (first, second)]
    # One variance for both: with its own, a reference with larger errors would lose less by them.
    variance = torch.stack([miss.square().mean((1, 2)) for miss in misses]).mean(0)
    safe = torch.where(variance > 0, variance, 1.0)[:, None, None]
    return ((misses[1].square() - misses[0].square()) / (2 * safe)).sum((0, 2))


def read_out(
    iterates: Float[Tensor, "layer prompt point"], ys: Float[Tensor, "prompt point"]
) -> Float[Tensor, "layer prompt point"]:
    """Every iterate with the affine map that predicts y best on these prompts."""
    return affine_fit(iterates, ys.expand_as(iterates))


def _point_cosines(
    weights: Float[Tensor, "replicate prompt"],
    a: Float[Tensor, "layer prompt point"],
    b: Float[Tensor, "layer prompt point"],
) -> Float[Tensor, "replicate point"]:
    """Cosine over prompts of the errors at each point, mean over layers, under weights."""
    product, a_square, b_square = (
        torch.einsum("rp,lpt->rlt", weights, values) for values in (a * b, a * a, b * b)
    )
    norm = (a_square * b_square).sqrt()
    return torch.where(norm > 0, product / norm.clamp(min=1e-300), 0.0).mean(1)
