"""From scores of a model's layers to a verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from probes.candidate import Candidate
from probes.references import Prefixes
from probes.verdict.constant_rates import Contender, compare_constant_rates
from probes.verdict.criteria import DEFAULT_CRITERIA, Criteria
from probes.verdict.evidence import TARGETS, Measure, MeasureFinding
from probes.verdict.readings import Readings
from probes.verdict.tie_break import break_ties
from probes.verdict.verdict import Verdict, conclude, with_non_iterative

DirectScores = Mapping[tuple[str, str], Float[Tensor, "replicate layer _step"]]
"""Held-out R^2 by name of the candidate and target, see `TARGETS`."""


@dataclass(frozen=True)
class LayerScores:
    """All that a verdict on a model's layers needs: one kind of site, in ascending order of layer.

    Replicates are the scores of all prompts first, then those of bootstrap replicates of them.
    """

    layers: Sequence[int]
    similarity: Mapping[str, Float[Tensor, "replicate layer _step"]]
    """Of errors (SimE), by name of the candidate, on its `grid`."""
    direct: DirectScores
    """On the candidate's `grid_of(target)`."""
    error: Float[Tensor, " layer"]
    """Mean squared error of each layer's read-out of y."""
    change: Float[Tensor, " layer"]
    """Largest relative change of the residual stream from the layer before."""
    predictions: Float[Tensor, "layer prompt point"]
    """Of each layer's read-out on some prompts, kept one by one …"""
    prefixes: Prefixes
    """… and these prompts."""


def judge(
    scores: LayerScores,
    candidates: Sequence[Candidate],
    *,
    readout: Literal["matched", "raw"] = "matched",
    control: DirectScores | None = None,
    without: Sequence[str] = (),
    criteria: Criteria = DEFAULT_CRITERIA,
) -> Verdict:
    """The verdict: which references the layers run, at how many steps a layer.

    Two measures look for one constant number of steps a layer: similarity of errors, and R^2 of the
    iterates. Families that both retain are compared once more where they disagree. References
    without steps, which have no growth with depth, and the lack of fit of what is retained are
    measured on single prompts.

    Args:
        scores: Of the model.
        candidates: The references compared; those without steps are left out.
        readout: Whether `scores.similarity` is of matched or raw iterates.
        control: R^2 of `best_read_target` of a random-initialised control at the same layers, which
            must be exceeded.
        without: Families left out of the references without steps.
        criteria: The thresholds.
    """
    contenders = [item for item in candidates if item.has_steps]
    started = _first(scores.error < criteria.started * scores.error[0])
    depth = (scores.change > criteria.dead).cumsum(0).double() - 1
    by_similarity = _find(
        Measure.SIMILARITY,
        {item: scores.similarity[item.name] for item in contenders},
        scores.layers,
        depth,
        started,
        criteria,
    )
    findings: tuple[MeasureFinding, ...] = (
        _find_direct(scores, contenders, depth, control, criteria),
        by_similarity,
    )
    verdict = conclude(findings, readout=readout, criteria=criteria)
    if started == len(scores.layers):
        return verdict
    predictions = scores.predictions[started:]
    if len(verdict.retained) > 1 and {item.family for item in by_similarity.evidence}.issuperset(
        verdict.retained
    ):
        named = {item.name: item for item in contenders}
        tied = {
            family: named[by_similarity.representative(family).name] for family in verdict.retained
        }
        findings, tests = break_ties(
            findings, tied, predictions, scores.prefixes, depth[started:], criteria
        )
        verdict = replace(
            conclude(findings, readout=readout, criteria=criteria), pairwise_tests=tests
        )
    similarity = {name: table[0, started:] for name, table in scores.similarity.items()}
    readings = Readings.of(predictions, scores.prefixes, contenders, similarity, without)
    verdict = with_non_iterative(verdict, readings.compare_non_iterative(criteria))
    if not verdict.retained:
        return verdict
    return replace(verdict, lack_of_fit=readings.lack_of_fit(verdict.retained[0]))


def best_read_target(
    scores: LayerScores, candidates: Sequence[Candidate], criteria: Criteria = DEFAULT_CRITERIA
) -> Measure:
    """What of the iterates most layers' activations hold, beyond what those of the first do.

    The filtered query is the examples' x and the query under an iteration that no y enters. A model
    that carries it may solve the task by it, or another task, or none; so it counts only where some
    layer's read-out of y is better than the first's.
    """
    reads_y = bool((scores.error < criteria.started * scores.error[0]).any())
    n_read: dict[Measure, int] = {}
    for target in TARGETS if reads_y else [t for t in TARGETS if t != Measure.FILTERED_QUERY]:
        best = _best_r2(scores, candidates, target, criteria)
        if best is not None:
            n_read[target] = int((best > criteria.well_read).sum())
    return max(n_read, key=lambda name: n_read[name])


def _best_r2(
    scores: LayerScores, candidates: Sequence[Candidate], target: Measure, criteria: Criteria
) -> Float[Tensor, " layer"] | None:
    """The highest R^2 of any candidate with steps at any step, beyond the first layer's."""
    tables = [
        beyond_first(scores.direct[item.name, target][:1], criteria.min_left)[0].amax(-1)
        for item in candidates
        if item.has_steps and (item.name, target) in scores.direct
    ]
    return torch.stack(tables).amax(0) if tables else None


def _find_direct(
    scores: LayerScores,
    contenders: Sequence[Candidate],
    depth: Float[Tensor, " layer"],
    control: DirectScores | None,
    criteria: Criteria,
) -> MeasureFinding:
    """What R^2 of the target that is read best finds, beyond what the first layer holds."""
    target = best_read_target(scores, contenders, criteria)
    best = _best_r2(scores, contenders, target, criteria)
    assert best is not None
    started = _first(best > criteria.min_direct_r2)
    tables = {
        replace(item, grid=item.grid_of(target)): beyond_first(
            scores.direct[item.name, target], criteria.min_left
        )
        for item in contenders
        if (item.name, target) in scores.direct
    }
    reached = 0.0
    if control is not None:
        rows = [beyond_first(control[item.name, target], criteria.min_left) for item in tables]
        reached = max(table[0, started:].amax(-1).mean().item() for table in rows)
    return _find(target, tables, scores.layers, depth, started, criteria, reached)


def beyond_first(
    r2: Float[Tensor, "replicate layer step"], min_left: float = DEFAULT_CRITERIA.min_left
) -> Float[Tensor, "replicate layer step"]:
    """Share of what the first layer leaves unexplained that later layers explain, at least 0.

    What x alone determines, such as the first step of a filtered query, is no work of the layers: a
    target of which the first layer leaves no more than `min_left` counts as explained by none.
    """
    left = 1 - r2[:, :1]
    gain = 1 - (1 - r2) / left.clamp(min=1e-12)
    return torch.where(left > min_left, gain, 0.0).clamp(min=0)


def _find(
    measure: Measure,
    tables: Mapping[Candidate, Float[Tensor, "replicate layer step"]],
    layers: Sequence[int],
    depth: Float[Tensor, " layer"],
    started: int,
    criteria: Criteria,
    control: float = 0.0,
) -> MeasureFinding:
    """What one measure finds from the first layer on that has begun."""
    rows = [
        Contender(item.name, item.family, item.grid, table[:, started:], item.scale)
        for item, table in tables.items()
    ]
    return compare_constant_rates(
        measure, rows, layers[started:], depth[started:], control=control, criteria=criteria
    )


def _first(mask: Tensor) -> int:
    """Index of the first true entry, or the length if there is none."""
    return int(mask.nonzero()[0]) if mask.any() else len(mask)
