"""References without steps that describe the layers better than any other at any step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from probes.uncertainty.bootstrap import bootstrap_weights
from probes.uncertainty.estimate import LEVEL, Estimate
from probes.verdict.criteria import DEFAULT_CRITERIA, Criteria


@dataclass(frozen=True)
class NonIterativeFit:
    """How well a reference that has no steps explains the layers."""

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
    is_retained: bool


def compare_non_iterative(
    cosines: Mapping[tuple[str, str], Float[Tensor, "layer prompt"]],
    rivals: Mapping[str, Float[Tensor, "layer prompt"]],
    *,
    n_replicates: int = 200,
    seed: int = 0,
    level: float = LEVEL,
    criteria: Criteria = DEFAULT_CRITERIA,
) -> tuple[NonIterativeFit, ...]:
    """Retains references without steps that are ahead of all that have some.

    Nothing grows from layer to layer in their predictions, so there is no rate. One is retained if
    its similarity is ahead of every rival's by more than chance and the margin, although the
    rivals choose a step for every layer, and if it is not behind another without steps.

    Args:
        cosines: Of the errors of layers and references without steps, by name and family.
        rivals: Of the errors of layers and references with steps, at their best steps.
        n_replicates: Bootstrap replicates over prompts.
        seed: Of the replicates.
        level: Confidence level, kept over all comparisons together (Bonferroni).
        criteria: The thresholds.

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
        margin = criteria.margin_below(score[0].item())
        behind = Estimate.of(best - score, strict)
        is_retained = (
            score[0].item() >= criteria.min_similarity
            and behind.low <= margin
            and all(Estimate.of(score - other, strict).low > margin for other in others.values())
        )
        ahead = Estimate.of(score - others[rival], strict)
        found.append(
            NonIterativeFit(
                name, family, Estimate.of(score, strict), ahead, behind, rival, is_retained
            )
        )
    return tuple(sorted(found, key=lambda item: item.behind.value))
