"""References without steps: does one describe the layers better than any other at any step?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from probes.controls.bootstrap import bootstrap_weights
from probes.estimate import LEVEL, Estimate
from probes.margins import MIN_SIMILARITY, margin_below


@dataclass(frozen=True)
class Stepless:
    """What the layers have of a reference that has no steps, such as online gradient descent."""

    name: str
    family: str
    similarity: Estimate
    """Of errors, mean over layers."""
    ahead: Estimate
    """Of the most similar reference with steps, at its best step for every layer."""
    behind: Estimate
    """Behind the most similar of those without steps."""
    rival: str
    """The most similar reference with steps."""
    stands: bool


def weigh_stepless(
    cosines: Mapping[tuple[str, str], Float[Tensor, "layer prompt"]],
    rivals: Mapping[str, Float[Tensor, "layer prompt"]],
    *,
    n_replicates: int = 200,
    seed: int = 0,
    level: float = LEVEL,
) -> tuple[Stepless, ...]:
    """Lets references without steps stand that are ahead of all that have some.

    Nothing grows from layer to layer in what they say, so there is no rate to judge: one stands if
    its similarity is ahead of every rival's by more than chance and the margin of `probes.margins`
    although the rivals choose a step for every layer, and not behind another without steps.

    Args:
        cosines: Of the errors of layers and references without steps, by name and family.
        rivals: Of the errors of layers and references with steps, at their best steps.
        n_replicates: Bootstrap replicates over prompts.
        seed: Of the replicates.
        level: Confidence level, kept over all comparisons together (Bonferroni).

    Raises:
        ValueError: No references or no rivals.
    """
    if not cosines or not rivals:
        raise ValueError("cosines and rivals must each name at least one reference")
    n_prompts = next(iter(cosines.values())).shape[1]
    weights = bootstrap_weights(n_prompts, n_replicates, seed, with_original=True) / n_prompts
    scores = {key: weights @ table.mean(0) for key, table in cosines.items()}
    others = {name: weights @ table.mean(0) for name, table in rivals.items()}
    strict = 1 - (1 - level) / (len(scores) * (len(others) + len(scores) - 1))
    best = max(scores.values(), key=lambda score: score[0].item())
    rival = max(others, key=lambda name: others[name][0].item())
    found = []
    for (name, family), score in scores.items():
        margin = margin_below(score[0].item())
        behind = Estimate.of(best - score, strict)
        stands = (
            score[0].item() >= MIN_SIMILARITY
            and behind.low <= margin
            and all(Estimate.of(score - other, strict).low > margin for other in others.values())
        )
        ahead = Estimate.of(score - others[rival], strict)
        found.append(
            Stepless(name, family, Estimate.of(score, strict), ahead, behind, rival, stands)
        )
    return tuple(sorted(found, key=lambda item: item.behind.value))
