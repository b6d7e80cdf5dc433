"""From scores to a verdict: which layers each jury looks at, and what it is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from hooks.sites import Site
from interp.analyses.beyond_growth import Readings
from interp.analyses.comparisons import LABELS, Comparison
from interp.analyses.direct import TARGETS
from interp.analyses.scores import Scores
from interp.analyses.settling import settle
from probes.conclusion import conclude, conclude_misfit, conclude_stepless
from probes.verdict import Finding, Verdict
from probes.weighing import Contender, weigh

STARTED = 0.95
"""A layer has begun once its read-out's error is below this share of the first layer's …"""
MIN_DIRECT_R2 = 0.1
"""… or, for the direct protocol, once some iterate's R^2 is above this."""
WELL_READ = 0.7
"""The direct protocol looks at the target that most layers hold with a higher R^2 than this."""
DEAD = 1e-4
"""A layer that changes the residual stream by less, relatively, does nothing."""


def judge(
    scores: Scores,
    sites: Sequence[Site],
    comparisons: Sequence[Comparison],
    readout: Literal["matched", "raw"] = "matched",
    twin: Scores | None = None,
    without: Sequence[str] = (),
) -> Verdict:
    """Lets both juries look at the sites of the first kind.

    References that both leave standing are compared once more where they disagree, see
    `interp.analyses.settling`. References without steps, which no growth can speak for, and the
    lack of fit of what stands are looked at in `interp.analyses.beyond_growth`.

    Args:
        scores: The model's.
        sites: Its sites, those of the first kind first.
        comparisons: The references compared.
        readout: Whether SimE is taken with matched or raw iterates.
        twin: Scores of a random-initialised control at the sites of the first kind, which the
            direct protocol must beat.
        without: Families left out of the references without steps.
    """
    chosen = [index for index, site in enumerate(sites) if site.kind == sites[0].kind]
    contenders = [item for item in comparisons if item.has_steps]
    error = scores.layer_error[0, chosen].mean(-1)
    started = _first(error < STARTED * error[0])
    verdict = _verdict_on_growth(scores, sites, contenders, chosen, started, readout, twin)
    if started == len(chosen):
        return verdict
    similarity = {
        item.name: scores.similarity[item.name, readout, "paper"][0] for item in contenders
    }
    readings = Readings.of(scores.sample, chosen[started:], contenders, similarity, without)
    verdict = conclude_stepless(verdict, readings.weigh_stepless(), LABELS)
    if not verdict.standing:
        return verdict
    return conclude_misfit(verdict, readings.misfit(verdict.standing[0]), LABELS)


def _verdict_on_growth(
    scores: Scores,
    sites: Sequence[Site],
    contenders: Sequence[Comparison],
    chosen: Sequence[int],
    started: int,
    readout: Literal["matched", "raw"],
    twin: Scores | None,
) -> Verdict:
    """What both juries say, and the duels where they cannot tell references apart."""
    layers = [sites[index].layer for index in chosen]
    live = scores.change[chosen] > DEAD
    depth = live.cumsum(0).double() - 1
    by_similarity = _weigh_from(
        started,
        f"similarity of errors ({readout} read-outs)",
        {item: scores.similarity[item.name, readout, "paper"][:, chosen] for item in contenders},
        layers,
        depth,
    )
    direct = _direct_finding(scores, contenders, chosen, layers, depth, twin)
    findings = (direct, by_similarity)
    verdict = conclude(findings, LABELS)
    seen = {item.family for item in by_similarity.evidence}
    if len(verdict.standing) < 2 or not seen.issuperset(verdict.standing):
        return verdict
    places = {sites[index].layer: index for index in chosen}
    settled, duels = settle(
        verdict.standing,
        findings,
        by_similarity,
        contenders,
        scores.sample,
        places,
        depth[started:],
    )
    return replace(conclude(settled, LABELS), duels=duels)


def _direct_finding(
    scores: Scores,
    contenders: Sequence[Comparison],
    chosen: Sequence[int],
    layers: Sequence[int],
    depth: Float[Tensor, " layer"],
    twin: Scores | None,
) -> Finding:
    """The direct protocol on the target that is read best, beyond what the first layer knows.

    The filtered query is the examples' x and the query seen through an iteration that no y enters.
    A model that carries it may solve the task by it, or another task, or none; it is looked at
    only where some layer's read-out of y is better than the first's.
    """
    error = scores.layer_error[0, chosen].mean(-1)
    reads_y = bool((error < STARTED * error[0]).any())
    targets = [target for target in TARGETS if reads_y or target != "filtered_query"]
    tables: dict[str, dict[Comparison, Tensor]] = {target: {} for target in targets}
    for target, item in product(targets, contenders):
        if (item.name, target) in scores.direct:
            table = beyond_first(scores.direct[item.name, target][:, chosen])
            tables[target][replace(item, grid=item.grid_of(target))] = table
    best = {
        target: torch.stack([table[0].amax(-1) for table in rows.values()]).amax(0)
        for target, rows in tables.items()
    }
    target = max(targets, key=lambda name: (best[name] > WELL_READ).sum().item())
    started = _first(best[target] > MIN_DIRECT_R2)
    control = 0.0
    if twin is not None:
        rows = [beyond_first(twin.direct[item.name, target]) for item in tables[target]]
        control = max(table[0, started:].amax(-1).mean().item() for table in rows)
    measure = f"R^2 of {TARGETS[target]}"
    return _weigh_from(started, measure, tables[target], layers, depth, control)


def beyond_first(
    r2: Float[Tensor, "replicate layer step"],
) -> Float[Tensor, "replicate layer step"]:
    """Share of what the first layer leaves unexplained that later layers explain, at least 0.

    What x alone determines, such as the first step of a filtered query, is no work of the layers:
    a target of which the first layer explains all but 2 % counts as explained by none.
    """
    left = 1 - r2[:, :1]
    gain = 1 - (1 - r2) / left.clamp(min=1e-12)
    return torch.where(left > 0.02, gain, 0.0).clamp(min=0)


def _weigh_from(
    started: int,
    measure: str,
    tables: Mapping[Comparison, Float[Tensor, "replicate layer step"]],
    layers: Sequence[int],
    depth: Float[Tensor, " layer"],
    control: float = 0.0,
) -> Finding:
    rows = [
        Contender(item.name, item.family, item.grid, table[:, started:])
        for item, table in tables.items()
    ]
    return weigh(measure, rows, layers[started:], depth[started:], control=control)


def _first(mask: Tensor) -> int:
    """Index of the first true entry, or the length if there is none."""
    return int(mask.nonzero()[0]) if mask.any() else len(mask)
