"""Decides between references that explain the layers equally well on the whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

from jaxtyping import Float
from torch import Tensor

from probes.affine import affine_r2
from probes.candidate import Candidate
from probes.references import Prefixes
from probes.verdict.constant_rate_refinement import best_constant_rate
from probes.verdict.criteria import DEFAULT_CRITERIA, Criteria
from probes.verdict.evidence import MeasureFinding, Reason
from probes.verdict.pairwise_test import PairwiseTest, pairwise_test, read_out
from probes.verdict.verdict import without


def break_ties(
    findings: Sequence[MeasureFinding],
    contenders: Mapping[str, Candidate],
    predictions: Float[Tensor, "layer prompt point"],
    prefixes: Prefixes,
    depth: Float[Tensor, " layer"] | None = None,
    criteria: Criteria = DEFAULT_CRITERIA,
) -> tuple[tuple[MeasureFinding, ...], tuple[PairwiseTest, ...]]:
    """Compares families where they disagree, and rejects those that lose.

    A loser is kept where some measure has it ahead of the winner beyond chance and none has the
    winner ahead: a pairwise test breaks ties and does not overturn the findings on all prompts.

    Args:
        findings: Of all measures.
        contenders: One candidate of each retained family, by family; two or more.
        predictions: Of the layers' read-outs.
        prefixes: The prompts.
        depth: Depth of each layer; by default 0, 1, 2, …
        criteria: The thresholds.

    Returns:
        The findings without the losers, and the tests.
    """
    iterates = {
        family: read_out(_likeliest(predictions, item, prefixes, depth), prefixes.ys)
        for family, item in contenders.items()
    }
    family_of = {item.name: family for family, item in contenders.items()}
    tests = tuple(
        pairwise_test(
            (a.name, b.name),
            predictions,
            (iterates[family_of[a.name]], iterates[family_of[b.name]]),
            prefixes.ys,
            n_unseen=prefixes.n_unseen,
            disagreeing_share=criteria.disagreeing_share,
        )
        for a, b in combinations(contenders.values(), 2)
    )
    lost = {
        family_of[test.loser]: Reason.LESS_LIKELY
        for test in tests
        if test.winner is not None
        and test.loser is not None
        and not _is_overruled(family_of[test.loser], family_of[test.winner], findings)
    }
    if len(lost) == len(contenders):
        return tuple(findings), tests
    return tuple(without(finding, lost) for finding in findings), tests


def _is_overruled(loser: str, winner: str, findings: Sequence[MeasureFinding]) -> bool:
    """Whether some measure has the loser ahead of the winner, and none has the winner ahead."""
    members = [
        (finding.best(loser).behind, finding.best(winner).behind)
        for finding in findings
        if {loser, winner} <= {item.family for item in finding.evidence}
    ]
    for_loser = any(losing.high < winning.low for losing, winning in members)
    for_winner = any(winning.high < losing.low for losing, winning in members)
    return for_loser and not for_winner


def _likeliest(
    predictions: Float[Tensor, "layer prompt point"],
    item: Candidate,
    prefixes: Prefixes,
    depth: Float[Tensor, " layer"] | None,
) -> Float[Tensor, "layer prompt point"]:
    """A reference at the constant rate at which it explains most of the layers' predictions."""
    seen = slice(prefixes.n_unseen, None)
    table = affine_r2(item.iterates(prefixes)[..., seen], predictions[..., seen])[None]
    fit = best_constant_rate(table, item.grid, depth)
    return item.at_steps(prefixes, fit.steps[0].tolist())
