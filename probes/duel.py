"""Two references side by side, on the prompts where they disagree and by number of examples."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from probes.controls.bootstrap import bootstrap_weights
from probes.estimate import LEVEL, Estimate
from probes.similarity import error_directions

DISAGREEING_SHARE = 0.25
"""Share of the prompts, those on which two references disagree most, that they are compared on."""


@dataclass(frozen=True)
class Duel:
    """How much more like the layers one reference is than another, where the two differ."""

    names: tuple[str, str]
    n_prompts: int
    """Prompts, those on which the two disagree most, for …"""
    ahead: Estimate
    """… the similarity of errors with the first less that with the second, mean over layers."""
    ahead_by_examples: tuple[Estimate, ...]
    """The same over all prompts, separately for every number of examples from 1 on."""

    @property
    def loser(self) -> str | None:
        """The one that is behind somewhere and ahead nowhere, chance aside."""
        looks = (self.ahead, *self.ahead_by_examples)
        first_wins = any(look.low > 0 for look in looks)
        second_wins = any(look.high < 0 for look in looks)
        if first_wins == second_wins:
            return None
        return self.names[1 if first_wins else 0]

    @property
    def reason(self) -> str:
        """In words, why the loser lost; empty if nobody did."""
        if self.loser is None:
            return ""
        winner = self.names[self.names[0] == self.loser]
        if self.ahead.low > 0 or self.ahead.high < 0:
            return (
                f"stays {abs(self.ahead.value):.4f} behind {winner} on the {self.n_prompts} "
                "prompts where the two disagree most"
            )
        clear = [look for look in self.ahead_by_examples if look.low > 0 or look.high < 0]
        most = max(clear, key=lambda look: abs(look.value))
        n_examples = 1 + self.ahead_by_examples.index(most)
        return f"stays {abs(most.value):.4f} behind {winner} after {n_examples} examples"


def duel(
    names: tuple[str, str],
    said: Float[Tensor, "layer prompt point"],
    iterates: tuple[Float[Tensor, "layer prompt point"], Float[Tensor, "layer prompt point"]],
    ys: Float[Tensor, "prompt point"],
    *,
    n_replicates: int = 200,
    seed: int = 0,
    level: float = LEVEL,
) -> Duel:
    """Compares two references with the same layers.

    Which prompts they disagree on is decided without the layers, by the cosine of their errors.
    The level holds over all looks together (Bonferroni).

    Args:
        names: Of the references.
        said: What the layers say.
        iterates: What each reference says after the steps of each layer, with its own read-out.
        ys: What was to be predicted.
        n_replicates: Bootstrap replicates over prompts.
        seed: Of the replicates.
        level: Confidence level.

    Raises:
        ValueError: Fewer than two points or eight prompts, or a prediction that is not finite.
    """
    n_prompts, n_points = ys.shape
    if n_prompts < 8:
        raise ValueError(f"a duel needs at least 8 prompts, got {n_prompts}")
    strict = 1 - (1 - level) / n_points  # one look at all points, and one at each but the first
    layers, first, second = (error_directions(one, ys) for one in (said, *iterates))
    apart = 1 - (first * second).sum(-1).mean(0)
    chosen = apart.topk(round(DISAGREEING_SHARE * n_prompts)).indices
    ahead = (layers * (first - second)).sum(-1).mean(0)[chosen]
    weights = bootstrap_weights(len(chosen), n_replicates, seed, with_original=True)
    everywhere = bootstrap_weights(n_prompts, n_replicates, seed, with_original=True)
    residuals = [one[..., 1:].double() - ys[:, 1:] for one in (said, *iterates)]
    by_examples = _point_cosines(everywhere, residuals[0], residuals[1]) - _point_cosines(
        everywhere, residuals[0], residuals[2]
    )
    return Duel(
        names=names,
        n_prompts=len(chosen),
        ahead=Estimate.of(weights @ ahead / weights.sum(1), strict),
        ahead_by_examples=tuple(Estimate.of(column, strict) for column in by_examples.unbind(1)),
    )


def read_out(
    iterates: Float[Tensor, "layer prompt point"], ys: Float[Tensor, "prompt point"]
) -> Float[Tensor, "layer prompt point"]:
    """Every iterate with the affine map that predicts y best on these prompts."""
    rows = []
    for one in iterates:
        centred = one - one.mean()
        scale = centred.square().sum()
        slope = (centred * ys).sum() / torch.where(scale > 0, scale, 1.0)
        rows.append(ys.mean() + slope * centred)
    return torch.stack(rows)


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
