"""What stands after all prompts together is settled where the references disagree."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from interp.analyses.comparisons import comparison
from interp.analyses.evaluation import Sample
from interp.analyses.settling import settle
from interp.tasks import LinearRegression
from probes.duel import read_out
from probes.estimate import Estimate
from probes.references import Prefixes
from probes.verdict import Evidence, Finding

STEPS = (2.0, 4.0, 6.0, 8.0)
COMPARISONS = (
    comparison("gd", "gd", "gd", {"eta": 0.05}),
    comparison("gd++", "gd++", "gd++", {"eta": 0.05, "gamma": 0.02}),
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
        growth_gain=number,
        rate=Estimate(2.0, 1.9, 2.1),
        first_layer=1,
        last_layer=4,
        law="linear",
        evidence_ratio=9.0,
        stands=True,
        reason="as good as any",
        layers=(1, 2, 3, 4),
        steps=STEPS if name == "gd" else (1.0, 2.5, 3.5, 4.5),
    )


def settled(
    said: torch.Tensor, prefixes: Prefixes, *juries: Finding
) -> tuple[tuple[Finding, ...], tuple]:
    finding = Finding("SimE", (evidence("gd"), evidence("gd++")))
    nothing = torch.zeros_like(said[:1])
    sample = Sample(prefixes.xs, prefixes.ys, torch.cat([nothing, said]))
    places = {layer: layer for layer in range(1, 5)}
    findings = juries or (finding,)
    return settle(("gd", "gd++"), findings, findings[0], COMPARISONS, sample, places)


def noisily_said(index: int, prefixes: Prefixes) -> torch.Tensor:
    """What layers say that run one of the two references."""
    steps = STEPS if index == 0 else (1.0, 3.0, 4.0, 5.0)
    iterates = COMPARISONS[index].reference.predictions(prefixes, steps)
    said = read_out(iterates, prefixes.ys)
    generator = torch.Generator().manual_seed(1)
    return said + 0.1 * torch.randn(said.shape, dtype=torch.float64, generator=generator)


def jury(gd: float, gdpp: float, reach: float = 0.001) -> Finding:
    """That finds each of the two so far behind the best, give or take."""
    items = zip(("gd", "gd++"), (gd, gdpp), strict=True)
    return Finding(
        "SimE",
        tuple(
            replace(evidence(name), behind=Estimate(by, by - reach, by + reach))
            for name, by in items
        ),
    )


@pytest.mark.parametrize("index", [0, 1])
def test_layers_that_say_what_one_says_leave_it_alone(index, prefixes):
    item = COMPARISONS[index]
    said = noisily_said(index, prefixes)
    (finding,), (met,) = settled(said, prefixes)
    assert finding.standing == (item.name,)
    assert met.loser == COMPARISONS[1 - index].name
    fallen = next(other for other in finding.evidence if not other.stands)
    assert fallen.reason == met.reason


@pytest.mark.parametrize(
    ("juries", "standing"),
    [
        ((jury(0.0, 0.0005),), ("gd",)),  # within chance: the duel decides
        ((jury(0.01, 0.0),), ("gd++", "gd")),  # the duel's winner is behind
        ((jury(0.01, 0.0), jury(0.0005, 0.0)), ("gd++", "gd")),
        ((jury(0.01, 0.0), jury(0.0, 0.01)), ("gd",)),  # juries contradict each other
    ],
)
def test_a_duel_does_not_overturn_what_juries_find(juries, standing, prefixes):
    findings, (met,) = settled(noisily_said(0, prefixes), prefixes, *juries)
    assert (met.winner, met.loser) == ("gd", "gd++")
    assert [finding.standing for finding in findings] == [standing] * len(findings)
