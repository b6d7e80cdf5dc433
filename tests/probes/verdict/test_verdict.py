"""Verdicts on layers whose algorithm is known, and on layers that run none."""

from __future__ import annotations

from functools import cache

import pytest
import torch

from probes.matching import StepGrid
from probes.references import Prefixes, build_reference
from probes.similarity import error_directions, group_similarity
from probes.uncertainty.bootstrap import bootstrap_weights
from probes.uncertainty.estimate import Estimate
from probes.verdict import Evidence, Measure, MeasureFinding, Reason, conclude
from probes.verdict.constant_rates import Contender, compare_constant_rates

SIM, R2 = Measure.SIMILARITY, Measure.PREDICTION
N_PROMPTS, N_GROUPS, N_LAYERS = 384, 48, 7
N_DIMS, N_POINTS = 4, 9

REFERENCES = {
    "newton": ("newton", "newton", {}, StepGrid.linear(32.0)),
    "gd": ("gd", "gd", {"eta": 1 / 30}, StepGrid.log(2.0**13)),
    "gd-adaptive": ("gd", "gd-adaptive", {}, StepGrid.log(2.0**13)),
    "ridge": ("ridge", "ridge-path", {"start": 30.0}, StepGrid.linear(32.0)),
}


@cache
def prefixes():
    generator = torch.Generator().manual_seed(0)
    xs, w = (
        torch.randn(*shape, dtype=torch.float64, generator=generator)
        for shape in ((N_PROMPTS, N_POINTS, N_DIMS), (N_PROMPTS, N_DIMS, 1))
    )
    return Prefixes(xs, (xs @ w)[..., 0])


def predictions(name, steps):
    _, key, parameters, _ = REFERENCES[name]
    return build_reference(key, **parameters).predictions(prefixes(), list(map(float, steps)))


def read_out(said):
    """The affine map from what is said to y that fits best, as layers and iterates both get."""
    ys = prefixes().ys.flatten()
    rows = []
    for one in said:
        design = torch.stack([one.flatten(), torch.ones_like(ys)], -1)
        fit = torch.linalg.lstsq(design, ys[:, None], driver="gelsd").solution
        rows.append((design @ fit)[:, 0].unflatten(0, one.shape))
    return torch.stack(rows)


@cache
def iterates(name):
    said = read_out(predictions(name, REFERENCES[name][3].steps))
    return error_directions(said, prefixes().ys)


def contenders(layers, names=tuple(REFERENCES)):
    """Similarity tables of what layers say, with bootstrap replicates."""
    weights = bootstrap_weights(N_GROUPS, 50, 1, with_original=True) / N_GROUPS
    said = error_directions(read_out(layers), prefixes().ys)
    return [
        Contender(
            name,
            REFERENCES[name][0],
            REFERENCES[name][3],
            torch.einsum("rg,gls->rls", weights, group_similarity(said, iterates(name), N_GROUPS)),
        )
        for name in names
    ]


def judged(layers, names=tuple(REFERENCES)):
    depth = torch.arange(len(layers), dtype=torch.float64)
    places = list(range(1, len(layers) + 1))
    return compare_constant_rates(SIM, contenders(layers, names), places, depth)


def noisy(said, seed, amount=0.1):
    generator = torch.Generator().manual_seed(seed)
    return said + amount * torch.randn(said.shape, dtype=torch.float64, generator=generator)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(("name", "rate"), [("newton", 1), ("newton", 3), ("gd", 1), ("gd", 50)])
def test_what_was_planted_is_retained_alone_at_its_rate(name, rate, seed):
    steps = [rate * layer for layer in range(1, N_LAYERS + 1)]
    verdict = conclude([judged(noisy(predictions(name, steps), seed))])
    assert verdict.answer == name, str(verdict)
    assert verdict.steps_per_layer == pytest.approx(rate, rel=0.15)
    low, high = verdict.interval
    assert 0 < high - low < rate / 2
    evidence = verdict.findings[0].representative(name)
    assert evidence.law == "linear"
    assert evidence.evidence_ratio > 1


def test_newton_is_linear_and_gradient_descent_imitating_it_exponential():
    finding = judged(noisy(predictions("newton", range(3, 3 + N_LAYERS)), 3))
    laws = {item.name: item for item in finding.evidence}
    assert laws["newton"].law == "linear"
    assert laws["gd-adaptive"].law == "log-linear"
    assert laws["gd-adaptive"].evidence_ratio < 1 < laws["newton"].evidence_ratio


def test_layers_that_all_say_the_same_run_nothing():
    same = predictions("newton", [4.0]).expand(N_LAYERS, -1, -1)
    verdict = conclude([judged(noisy(same, 0, 0.05))])
    assert verdict.answer == "none"
    assert (verdict.steps_per_layer, verdict.interval) == (None, None)
    assert verdict.closest[1].reason == Reason.NO_GROWTH


def test_layers_that_say_noise_run_nothing():
    nothing = torch.zeros(N_LAYERS, N_PROMPTS, N_POINTS, dtype=torch.float64)
    verdict = conclude([judged(noisy(nothing, 0, 1.0))])
    assert verdict.answer == "none"


def test_twins_of_two_families_leave_it_undecided():
    layers = noisy(predictions("newton", range(1, N_LAYERS + 1)), 0)
    newton = contenders(layers, ("newton",))[0]
    twin = Contender("other", "other", newton.grid, newton.similarity)
    depth = torch.arange(N_LAYERS, dtype=torch.float64)
    finding = compare_constant_rates(SIM, [newton, twin], list(range(N_LAYERS)), depth)
    verdict = conclude([finding])
    assert verdict.answer == "undecided"
    assert set(verdict.retained) == {"newton", "other"}
    assert not verdict.is_contradictory


def test_members_of_one_family_do_not_make_it_undecided():
    layers = noisy(predictions("newton", range(1, N_LAYERS + 1)), 0)
    newton = contenders(layers, ("newton",))[0]
    brother = Contender("newton-brother", "newton", newton.grid, newton.similarity)
    depth = torch.arange(N_LAYERS, dtype=torch.float64)
    finding = compare_constant_rates(SIM, [brother, newton], list(range(N_LAYERS)), depth)
    assert conclude([finding]).answer == "newton"
    assert finding.representative("newton").name == "newton"


def test_dead_layers_share_a_depth():
    steps = [2.0, 4.0, 4.0, 6.0, 8.0, 8.0, 10.0]
    depth = torch.tensor([0, 1, 1, 2, 3, 3, 4], dtype=torch.float64)
    rows = contenders(noisy(predictions("newton", steps), 0))
    verdict = conclude([compare_constant_rates(SIM, rows, list(range(1, 8)), depth)])
    assert verdict.answer == "newton"
    assert verdict.steps_per_layer == pytest.approx(2, rel=0.15)


def test_what_a_control_reaches_as_well_is_no_evidence():
    layers = noisy(predictions("newton", range(1, N_LAYERS + 1)), 0)
    depth = torch.arange(N_LAYERS, dtype=torch.float64)
    rows, places = contenders(layers), list(range(N_LAYERS))
    finding = compare_constant_rates(SIM, rows, places, depth, control=0.999)
    assert conclude([finding]).answer == "none"
    assert finding.control == 0.999
    assert {item.reason for item in finding.evidence} <= {Reason.LIKE_CONTROL, Reason.UNLIKE}


@pytest.mark.parametrize("n_layers", [0, 1, 2])
def test_too_few_layers_are_silent(n_layers):
    layers = predictions("newton", range(1, 4))
    rows = [
        Contender(c.name, c.family, c.grid, c.similarity[:, :n_layers]) for c in contenders(layers)
    ]
    depth = torch.arange(n_layers, dtype=torch.float64)
    finding = compare_constant_rates(SIM, rows, list(range(n_layers)), depth)
    assert finding == MeasureFinding(SIM, ())
    assert conclude([finding]).answer == "none"


def test_needs_contenders():
    with pytest.raises(ValueError, match="contenders is empty"):
        compare_constant_rates(SIM, [], [1, 2, 3], torch.arange(3).double())


def evidence(name, *, is_retained, family=None, behind=0.0, rate=1.0):
    nothing = Estimate(0.0, 0.0, 0.0)
    return Evidence(
        name=name,
        family=family or name,
        constant_rate=Estimate(0.9 - behind, 0.9, 0.9),
        behind=Estimate(behind, behind, behind),
        constraint_loss=nothing,
        extra_loss=nothing,
        growth_gain=nothing,
        rate=Estimate(rate, rate - 0.1, rate + 0.1),
        first_layer=1,
        last_layer=5,
        law="linear",
        evidence_ratio=40.0,
        reason=Reason.RETAINED if is_retained else Reason.BEHIND,
    )


def finding(measure, *, retained, rejected=(), rate=1.0):
    kept = [
        evidence(name, is_retained=True, behind=0.001 * rank, rate=rate)
        for rank, name in enumerate(retained)
    ]
    others = [evidence(name, is_retained=False, behind=0.1) for name in rejected]
    return MeasureFinding(measure, (*kept, *others))


class TestConclude:
    def test_measures_that_agree_answer_with_the_first_ones_rate(self):
        verdict = conclude(
            [
                finding(R2, retained=["newton"], rejected=["gd"], rate=3.0),
                finding(SIM, retained=["newton", "gd"], rate=2.0),
            ]
        )
        assert verdict.answer == "newton"
        assert verdict.steps_per_layer == 3.0
        assert verdict.interval == pytest.approx((2.9, 3.1))
        assert [item.name for _, item in verdict.rejected] == ["gd"]
        assert str(verdict) == (
            "newton, newton: 3 steps a layer (2.9 to 3.1), layers 1 to 5, by prediction"
        )

    def test_the_namesake_is_quoted_before_a_variant_that_fits_better(self):
        variant = evidence("newton-fixed", family="newton", is_retained=True, rate=2.0)
        namesake = evidence("newton", is_retained=True, behind=0.001, rate=3.0)
        rejected = evidence("newton", is_retained=False, behind=0.1)
        by_r2 = MeasureFinding(R2, (variant, rejected))
        by_similarity = MeasureFinding(SIM, (variant, namesake))
        verdict = conclude([by_r2, by_similarity])
        assert verdict.steps_per_layer == 3.0
        assert verdict.quoted == (by_similarity, namesake)
        alone = conclude([by_r2])
        assert alone.steps_per_layer == 2.0
        assert alone.quoted == (by_r2, variant)
        assert alone.rejected == ()

    def test_measures_that_contradict_each_other_leave_both_retained(self):
        verdict = conclude(
            [finding(R2, retained=["newton"]), finding(SIM, retained=["gd"], rate=9.0)]
        )
        assert verdict.answer == "undecided"
        assert verdict.retained == ("newton", "gd")
        assert verdict.is_contradictory

    def test_a_measure_that_rejects_all_does_not_count(self):
        silent = finding(R2, retained=[], rejected=["newton", "gd"])
        verdict = conclude([silent, finding(SIM, retained=["gd"], rate=9.0)])
        assert verdict.answer == "gd"
        assert verdict.steps_per_layer == 9.0
        assert verdict.quoted[0].measure == SIM
        assert not verdict.is_contradictory

    def test_nothing_retained_is_none_and_has_what_came_closest(self):
        verdict = conclude([finding(R2, retained=[], rejected=["newton"])])
        assert verdict.answer == "none"
        assert verdict.closest[1].name == "newton"
        assert conclude([MeasureFinding(R2, ())]).closest is None
        assert conclude([]).answer == "none"

    def test_an_estimate_is_the_first_replicate_with_the_spread_of_the_others(self):
        generator = torch.Generator().manual_seed(0)
        spread = 2 * torch.randn(4000, dtype=torch.float64, generator=generator)
        found = Estimate.of(torch.cat([torch.tensor([5.0]).double(), 7 + spread]), 0.95)
        assert found.value == 5.0
        assert (found.low, found.high) == pytest.approx((5 - 3.92, 5 + 3.92), rel=0.05)
        alone = Estimate.of(torch.tensor([5.0]).double())
        assert (alone.low, alone.high) == (5.0, 5.0)
