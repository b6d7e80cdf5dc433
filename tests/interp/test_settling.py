"""What stands after all prompts together is settled where the references disagree."""

from __future__ import annotations

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


def settled(said: torch.Tensor, prefixes: Prefixes) -> tuple[tuple[Finding, ...], tuple]:
    finding = Finding("SimE", (evidence("gd"), evidence("gd++")))
    nothing = torch.zeros_like(said[:1])
    sample = Sample(prefixes.xs, prefixes.ys, torch.cat([nothing, said]))
    places = {layer: layer for layer in range(1, 5)}
    return settle(("gd", "gd++"), (finding,), finding, COMPARISONS, sample, places)


@pytest.mark.parametrize("index", [0, 1])
def test_layers_that_say_what_one_says_leave_it_alone(index, prefixes):
    item = COMPARISONS[index]
    steps = STEPS if index == 0 else (1.0, 3.0, 4.0, 5.0)
    said = read_out(item.reference.predictions(prefixes, steps), prefixes.ys)
    generator = torch.Generator().manual_seed(1)
    said = said + 0.1 * torch.randn(said.shape, dtype=torch.float64, generator=generator)
    (finding,), (met,) = settled(said, prefixes)
    assert finding.standing == (item.name,)
    assert met.loser == COMPARISONS[1 - index].name
    fallen = next(other for other in finding.evidence if not other.stands)
    assert fallen.reason == met.reason
