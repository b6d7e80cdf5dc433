"""References that all prompts together leave tied are compared where they disagree."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from interp.tasks import LinearRegression
from probes.candidate import Candidate
from probes.references import Prefixes
from probes.uncertainty.estimate import Estimate
from probes.verdict import Evidence, Measure, MeasureFinding, Reason
from probes.verdict.pairwise_test import read_out
from probes.verdict.tie_break import break_ties

STEPS = (2.0, 4.0, 6.0, 8.0)
CANDIDATES = (
    Candidate.of("gd", "gd", "gd", {"eta": 0.05}),
    Candidate.of("gd++", "gd++", "gd++", {"eta": 0.05, "gamma": 0.02}),
)


@pytest.fixture(scope="module")
def prefixes() -> Prefixes:
    task = LinearRegression(n_dims=3, n_points=7)
    prompts = task.sample(256, torch.Generator().manual_seed(0))
    return Prefixes(prompts.xs, prompts.ys)


def evidence(name: str) -> Evidence:
    number = Estimate(0.0, 0.0, 0.0)
    return Evidence(
        name=name,
        family=name,
        constant_rate=number,
        behind=number,
        constraint_loss=number,
        extra_loss=number,
        growth_gain=number,
        rate=Estimate(2.0, 1.9, 2.1),
        first_layer=1,
        last_layer=4,
        law="linear",
        evidence_ratio=9.0,
        reason=Reason.RETAINED,
        layers=(1, 2, 3, 4),
        steps=STEPS if name == "gd" else (1.0, 2.5, 3.5, 4.5),
    )


def without_ties(
    said: torch.Tensor, prefixes: Prefixes, *findings: MeasureFinding
) -> tuple[tuple[MeasureFinding, ...], tuple]:
    finding = MeasureFinding(Measure.SIMILARITY, (evidence("gd"), evidence("gd++")))
    contenders = {item.name: item for item in CANDIDATES}
    return break_ties(findings or (finding,), contenders, said, prefixes)


def noisily_said(index: int, prefixes: Prefixes) -> torch.Tensor:
    """What layers say that run one of the two references."""
    steps = STEPS if index == 0 else (1.0, 3.0, 4.0, 5.0)
    iterates = CANDIDATES[index].reference.predictions(prefixes, steps)
    said = read_out(iterates, prefixes.ys)
    generator = torch.Generator().manual_seed(1)
    return said + 0.1 * torch.randn(said.shape, dtype=torch.float64, generator=generator)


def measured(gd: float, gdpp: float, reach: float = 0.001) -> MeasureFinding:
    """Finds each of the two so far behind the best, give or take."""
    items = zip(("gd", "gd++"), (gd, gdpp), strict=True)
    return MeasureFinding(
        Measure.SIMILARITY,
        tuple(
            replace(evidence(name), behind=Estimate(by, by - reach, by + reach))
            for name, by in items
        ),
    )


@pytest.mark.parametrize("index", [0, 1])
def test_layers_that_say_what_one_says_leave_it_alone(index, prefixes):
    item = CANDIDATES[index]
    said = noisily_said(index, prefixes)
    (finding,), (met,) = without_ties(said, prefixes)
    assert finding.retained == (item.name,)
    assert met.loser == CANDIDATES[1 - index].name
    rejected = next(other for other in finding.evidence if not other.is_retained)
    assert rejected.reason == Reason.LESS_LIKELY


@pytest.mark.parametrize(
    ("found", "retained"),
    [
        ((measured(0.0, 0.0005),), ("gd",)),  # within chance: the test decides
        ((measured(0.01, 0.0),), ("gd++", "gd")),  # the winner is behind
        ((measured(0.01, 0.0), measured(0.0005, 0.0)), ("gd++", "gd")),
        ((measured(0.01, 0.0), measured(0.0, 0.01)), ("gd",)),  # measures contradict each other
    ],
)
def test_a_pairwise_test_does_not_overturn_what_measures_find(found, retained, prefixes):
    findings, (met,) = without_ties(noisily_said(0, prefixes), prefixes, *found)
    assert (met.winner, met.loser) == ("gd", "gd++")
    assert [finding.retained for finding in findings] == [retained] * len(findings)
