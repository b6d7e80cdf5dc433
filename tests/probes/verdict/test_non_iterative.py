"""References without steps are retained only ahead of every reference with steps."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from probes.uncertainty.estimate import Estimate
from probes.verdict import Evidence, LackOfFit, Measure, MeasureFinding, Reason, conclude
from probes.verdict.non_iterative import compare_non_iterative
from probes.verdict.verdict import with_non_iterative

N_LAYERS, N_PROMPTS = 3, 100
NUMBER = Estimate(0.0, 0.0, 0.0)
NEWTON = Evidence(
    name="newton",
    family="newton",
    constant_rate=NUMBER,
    behind=NUMBER,
    constraint_loss=NUMBER,
    extra_loss=NUMBER,
    growth_gain=NUMBER,
    rate=Estimate(2.0, 1.9, 2.1),
    first_layer=1,
    last_layer=3,
    law="linear",
    evidence_ratio=9.0,
    reason=Reason.RETAINED,
)
VERDICT = conclude([MeasureFinding(Measure.SIMILARITY, (NEWTON,))])


def cosines(mean, seed, spread=0.02):
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(N_LAYERS, N_PROMPTS, dtype=torch.float64, generator=generator)
    return mean + spread * noise


def weigh(ogd, newton, **others):
    contenders = {("ogd", "online"): cosines(ogd, 1)} | {
        (name, name): cosines(mean, index) for index, (name, mean) in enumerate(others.items(), 10)
    }
    return compare_non_iterative(contenders, {"gd": cosines(0.5, 2), "newton": cosines(newton, 3)})


def test_one_that_is_ahead_of_all_is_retained():
    found = weigh(0.95, 0.9, knn=0.8)
    assert [(item.name, item.is_retained) for item in found] == [("ogd", True), ("knn", False)]
    assert found[0].rival == "newton"
    assert found[0].ahead.value == pytest.approx(0.05, abs=0.01)


@pytest.mark.parametrize(("ogd", "newton"), [(0.9, 0.95), (0.9, 0.9), (0.65, 0.3)])
def test_one_that_is_behind_level_or_unlike_is_rejected(ogd, newton):
    assert not any(item.is_retained for item in weigh(ogd, newton))


def test_it_must_be_ahead_of_every_rival_and_not_of_the_mean():
    rivals = {"gd": cosines(0.2, 2), "newton": cosines(0.95, 3)}
    (found,) = compare_non_iterative({("ogd", "ogd"): cosines(0.95, 1)}, rivals)
    assert not found.is_retained


def test_needs_references():
    with pytest.raises(ValueError, match="at least one reference"):
        compare_non_iterative({}, {"gd": cosines(0.5, 2)})


def test_one_without_steps_is_retained_alone_and_has_no_rate():
    verdict = with_non_iterative(VERDICT, weigh(0.95, 0.9))
    assert verdict.answer == "online"
    assert verdict.steps_per_layer is None
    assert verdict.interval is None
    assert verdict.quoted is None
    ((_, rejected),) = verdict.rejected
    assert (rejected.family, rejected.reason) == ("newton", Reason.BEHIND_NON_ITERATIVE)


def test_one_that_is_rejected_leaves_the_verdict_alone():
    verdict = with_non_iterative(VERDICT, weigh(0.8, 0.9))
    assert replace(verdict, non_iterative=()) == VERDICT
    assert [item.name for item in verdict.non_iterative] == ["ogd"]


@pytest.mark.parametrize("law", ["neither", "log-linear"])
def test_what_does_not_grow_linearly_is_the_nearest(law):
    finding = MeasureFinding(Measure.SIMILARITY, (replace(NEWTON, law=law),))
    fit = LackOfFit("newton", Estimate(0.1, 0.1, 0.1), Estimate(0.0, 0.0, 0.0))
    verdict = replace(conclude([finding]), lack_of_fit=fit)
    assert verdict.answer == "newton"
    assert verdict.is_nearest_only
    assert not verdict.has_large_misfit


@pytest.mark.parametrize("share", [-0.001, 0.02, 0.2])
def test_only_a_large_misfit_makes_it_the_nearest(share):
    fit = LackOfFit("newton", Estimate(0.4, 0.39, 0.41), Estimate(share, share, share))
    verdict = replace(VERDICT, lack_of_fit=fit)
    assert verdict.answer == "newton"
    assert verdict.steps_per_layer == 2.0
    assert verdict.is_nearest_only == (share > 0.1)
