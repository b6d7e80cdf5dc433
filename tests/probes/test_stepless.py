"""References without steps stand only ahead of every reference with steps."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from probes.conclusion import conclude_misfit, conclude_stepless
from probes.estimate import Estimate
from probes.misfit import Misfit
from probes.stepless import weigh_stepless
from probes.verdict import Evidence, Finding, Verdict

N_LAYERS, N_PROMPTS = 3, 100
NUMBER = Estimate(0.0, 0.0, 0.0)
NEWTON = Evidence(
    name="newton",
    family="newton",
    constant_rate=NUMBER,
    behind=NUMBER,
    constraint_loss=NUMBER,
    growth_gain=NUMBER,
    rate=Estimate(2.0, 1.9, 2.1),
    first_layer=1,
    last_layer=3,
    law="linear",
    evidence_ratio=9.0,
    stands=True,
    reason="as good as any",
)
VERDICT = Verdict(("newton",), 2.0, (1.9, 2.1), "Newton.", (Finding("SimE", (NEWTON,)),))


def cosines(mean, seed, spread=0.02):
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(N_LAYERS, N_PROMPTS, dtype=torch.float64, generator=generator)
    return mean + spread * noise


def weigh(ogd, newton, **others):
    contenders = {("ogd", "online"): cosines(ogd, 1)} | {
        (name, name): cosines(mean, index) for index, (name, mean) in enumerate(others.items(), 10)
    }
    return weigh_stepless(contenders, {"gd": cosines(0.5, 2), "newton": cosines(newton, 3)})


def test_one_that_is_ahead_of_all_stands():
    found = weigh(0.95, 0.9, knn=0.8)
    assert [(item.name, item.stands) for item in found] == [("ogd", True), ("knn", False)]
    assert found[0].rival == "newton"
    assert found[0].ahead.value == pytest.approx(0.05, abs=0.01)


@pytest.mark.parametrize(("ogd", "newton"), [(0.9, 0.95), (0.9, 0.9), (0.65, 0.3)])
def test_one_that_is_behind_level_or_unlike_falls(ogd, newton):
    assert not any(item.stands for item in weigh(ogd, newton))


def test_it_must_be_ahead_of_every_rival_and_not_of_the_mean():
    rivals = {"gd": cosines(0.2, 2), "newton": cosines(0.95, 3)}
    (found,) = weigh_stepless({("ogd", "ogd"): cosines(0.95, 1)}, rivals)
    assert not found.stands


def test_needs_references():
    with pytest.raises(ValueError, match="at least one reference"):
        weigh_stepless({}, {"gd": cosines(0.5, 2)})


def test_what_stands_without_steps_stands_alone_and_has_no_rate():
    found = weigh(0.95, 0.9)
    verdict = conclude_stepless(VERDICT, found, {"online": "online gradient descent"})
    assert verdict.answer == "online"
    assert verdict.steps_per_layer is None
    assert verdict.interval is None
    assert verdict.quoted is None
    assert verdict.text.startswith("Online gradient descent, which has no steps")
    (fallen,) = verdict.ruled_out
    assert fallen.family == "newton"
    assert "behind ogd" in fallen.reason


def test_what_falls_without_steps_leaves_the_verdict_alone():
    verdict = conclude_stepless(VERDICT, weigh(0.8, 0.9))
    assert (verdict.answer, verdict.text) == ("newton", "Newton.")
    assert [item.name for item in verdict.stepless] == ["ogd"]


@pytest.mark.parametrize(("law", "how"), [("neither", "unevenly"), ("log-linear", "exponentially")])
def test_what_does_not_grow_linearly_is_the_nearest(law, how):
    finding = Finding("SimE", (replace(NEWTON, law=law),))
    found = Misfit("newton", Estimate(0.1, 0.1, 0.1), Estimate(0.0, 0.0, 0.0))
    verdict = conclude_misfit(
        replace(VERDICT, findings=(finding,)), found, {"newton": "Iterative Newton"}
    )
    assert verdict.answer == "newton"
    assert verdict.is_nearest_only
    assert f"the steps of Iterative Newton grow {how}" in verdict.text
    assert "systematic" not in verdict.text


@pytest.mark.parametrize("share", [-0.001, 0.02, 0.2])
def test_only_a_large_misfit_makes_it_the_nearest(share):
    found = Misfit("newton", Estimate(0.4, 0.39, 0.41), Estimate(share, share, share))
    verdict = conclude_misfit(VERDICT, found, {"newton": "Iterative Newton"})
    assert verdict.answer == "newton"
    assert verdict.steps_per_layer == 2.0
    assert verdict.is_nearest_only == (share > 0.1)
    if verdict.is_nearest_only:
        assert "40 % is beyond Iterative Newton" in verdict.text
        assert "50 % of that is systematic" in verdict.text
        assert verdict.text.endswith("Newton.")
    else:
        said = f"leaves {100 * max(0.0, share):.1f} % of the layers' squared errors"
        assert verdict.text.startswith(f"Newton. It {said} systematically unexplained")
