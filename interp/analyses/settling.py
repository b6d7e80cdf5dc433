"""Settling between references that explain the layers equally well on the whole."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations

import torch
from jaxtyping import Float
from torch import Tensor

from interp.analyses.comparisons import Comparison, select
from interp.analyses.evaluation import Sample
from probes.affine import affine_r2
from probes.duel import Duel, duel, read_out
from probes.growth import end_step_spacing, fit_ramp
from probes.ramp_refinement import refine_ramp
from probes.references import Prefixes, Reference
from probes.verdict import Finding


def settle(
    standing: Sequence[str],
    findings: Sequence[Finding],
    by_similarity: Finding,
    comparisons: Sequence[Comparison],
    sample: Sample,
    site_of_layer: Mapping[int, int],
    depth: Float[Tensor, " layer"] | None = None,
) -> tuple[tuple[Finding, ...], tuple[Duel, ...]]:
    """Compares the families left standing where they disagree, and lets those fall that lose.

    A loser stays where juries speak for it and none for the winner, beyond chance: a duel breaks
    ties, it does not overturn what was found on all prompts together.

    Args:
        standing: The families, two or more.
        findings: What all juries found.
        by_similarity: What the similarity of errors found.
        comparisons: The references.
        sample: Prompts and what every site says on them.
        site_of_layer: Index of the site that was judged, by layer.
        depth: Depth of each layer that was judged; by default 0, 1, 2, …

    Returns:
        The findings with the losers fallen, and the duels.
    """
    contenders = [by_similarity.representative(family) for family in standing]
    prefixes = sample.prefixes
    said = sample.said[[site_of_layer[layer] for layer in contenders[0].layers]]
    iterates = {
        item.name: read_out(
            _likeliest(said, select(comparisons, item.name), prefixes, depth), sample.ys
        )
        for item in contenders
    }
    duels = tuple(
        duel((a.name, b.name), said, (iterates[a.name], iterates[b.name]), sample.ys)
        for a, b in combinations(contenders, 2)
    )
    family = {item.name: item.family for item in contenders}
    reasons = {
        family[met.loser]: met.reason
        for met in duels
        if met.winner is not None
        and met.loser is not None
        and not _is_overruled(family[met.loser], family[met.winner], findings)
    }
    if len(reasons) == len(contenders):
        return tuple(findings), duels
    return tuple(_without(finding, reasons) for finding in findings), duels


def _is_overruled(loser: str, winner: str, findings: Sequence[Finding]) -> bool:
    """Whether some jury has a duel's loser ahead of its winner, and none has the winner ahead."""
    members = [
        (finding.best(loser).behind, finding.best(winner).behind)
        for finding in findings
        if {loser, winner} <= {item.family for item in finding.evidence}
    ]
    for_loser = any(losing.high < winning.low for losing, winning in members)
    for_winner = any(winning.high < losing.low for losing, winning in members)
    return for_loser and not for_winner


def _likeliest(
    said: Float[Tensor, "layer prompt point"],
    item: Comparison,
    prefixes: Prefixes,
    depth: Float[Tensor, " layer"] | None,
) -> Float[Tensor, "layer prompt point"]:
    """A reference at the constant rate at which it explains most of what the layers say."""
    iterates = item.iterates(prefixes)[..., 1:]
    table = affine_r2(iterates, said[..., 1:])[None]
    ramp = fit_ramp(table, item.grid, depth=depth)
    ramp = refine_ramp(ramp, table, item.grid, reach=end_step_spacing(item.grid))
    return at_steps(item.reference, prefixes, ramp.steps[0].tolist())


def at_steps(
    reference: Reference, prefixes: Prefixes, steps: Sequence[float]
) -> Float[Tensor, "layer prompt point"]:
    """Predictions after real numbers of steps, between whole ones on a line where need be."""
    if reference.takes_real_steps:
        return reference.predictions(prefixes, list(steps))
    below = [float(math.floor(step)) for step in steps]
    share = torch.tensor([step - low for step, low in zip(steps, below, strict=True)])
    low = reference.predictions(prefixes, below)
    high = reference.predictions(prefixes, [step + 1 for step in below])
    return torch.lerp(low, high, share.to(low)[:, None, None])


def _without(finding: Finding, reasons: Mapping[str, str]) -> Finding:
    evidence = [
        replace(item, stands=False, reason=reasons[item.family])
        if item.stands and item.family in reasons
        else item
        for item in finding.evidence
    ]
    return replace(finding, evidence=tuple(evidence))
