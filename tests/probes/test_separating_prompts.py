"""Prompts that tell two references apart where ordinary ones cannot."""

from __future__ import annotations

import pytest
import torch

from probes.matching import StepGrid
from probes.references import (
    BFGS,
    GD,
    LBFGS,
    OLS,
    Averaging,
    ConjugateGradient,
    NearestNeighbours,
    Newton,
    NewtonIdentity,
    NewtonSchulz,
    OnlineGD,
    Prefixes,
    Reference,
    RidgePath,
)
from probes.separating_prompts import separating_prompts
from probes.similarity import error_directions, similarity_of_errors

FAST = StepGrid.linear(24.0, 0.5).steps
SLOW = StepGrid.log(2.0**14, 4).steps


def test_newton_is_like_no_step_of_gd_on_them():
    """On random prompts SimE with the best step of GD is .97 and more for every step of Newton."""
    a, b, steps = Newton(), GD(0.02), [2, 4, 6, 8, 10]
    found = separating_prompts(a, b, steps_a=steps, steps_b=SLOW)
    assert (found.random_separation < 0.05).all()
    assert (found.separation > 0.4).all()
    assert (found.separation > 15 * found.random_separation).all()
    prefixes = Prefixes(found.xs, found.ys)
    similarity = similarity_of_errors(
        error_directions(a.predictions(prefixes, steps), found.ys),
        error_directions(b.predictions(prefixes, SLOW), found.ys),
    )
    assert torch.allclose(1 - similarity.amax(1), found.separation, atol=1e-6)
    assert [SLOW[index] for index in similarity.argmax(1)] == list(found.best_steps)


@pytest.mark.parametrize(
    ("a", "b", "steps_a", "steps_b", "gain"),
    [
        (GD(0.02), Newton(), [2, 8, 32, 128], FAST, 10),
        (Newton(), GD("inverse_largest"), [4, 6, 8], SLOW, 3),
        (Newton(), NewtonIdentity(), [4, 8], FAST, 3),
        (Newton(), RidgePath(), [4, 8], FAST, 5),
        (ConjugateGradient(), Newton(), [2, 3], FAST, 5),
        (BFGS(), LBFGS(), [2, 3, 4], range(12), 4),
        (OnlineGD(), GD(0.02), [0], SLOW, 1.5),
        (NearestNeighbours(), GD(0.02), [0], SLOW, 1.5),
        (OLS(), Averaging(), [0], [0], 1.2),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_any_two_references(a: Reference, b: Reference, steps_a, steps_b, gain: float):
    found = separating_prompts(a, b, steps_a=steps_a, steps_b=steps_b, n_prompts=64, n_dims=4)
    assert found.separation.mean() > gain * found.random_separation.mean()
    assert len(found.steps) == len(found.best_steps) == len(found.separation)


def test_they_are_no_larger_than_the_prompts_that_step_sizes_are_made_for():
    found = separating_prompts(
        Newton(), GD(0.02), steps_a=[4], steps_b=SLOW, n_prompts=96, largest_condition=50.0
    )
    assert found.xs.shape == (96, 11, 5)
    values = torch.linalg.svdvals(found.xs)
    usual = torch.linalg.svdvals(
        torch.randn(500, 11, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    )
    assert torch.allclose(values[:, 0], usual[:, 0].mean(), rtol=0.05)
    assert torch.allclose(found.ys.square().mean(1), torch.tensor(5.0).double())
    rank = (values > 1e-9).sum(1)
    assert len(rank.unique()) > 1


def test_the_scale_of_y_is_chosen_where_it_matters():
    found = separating_prompts(LBFGS(), GD(0.02), steps_a=[2, 3], steps_b=SLOW, n_prompts=64)
    assert len(found.ys.square().mean(1).log2().round().unique()) > 1


def test_the_same_seed_gives_the_same_prompts():
    first, again, other = (
        separating_prompts(Newton(), GD(0.02), steps_a=[4], steps_b=SLOW, n_prompts=8, seed=seed)
        for seed in (0, 0, 1)
    )
    assert torch.equal(first.xs, again.xs)
    assert torch.equal(first.ys, again.ys)
    assert not torch.equal(first.xs, other.xs)


@pytest.mark.parametrize("same", [Newton(), NewtonSchulz(order=4)])
def test_what_makes_the_same_predictions_cannot_be_separated(same: Reference):
    """Two Newton steps are one of the fourth order, so every even step has its like."""
    with pytest.raises(ValueError, match=r"newton and .* cannot be separated: on every prompt"):
        separating_prompts(Newton(), same, steps_a=[2, 4], steps_b=range(6))


@pytest.mark.filterwarnings("ignore::probes.references.DivergenceWarning")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_prompts": 0}, "n_prompts must be at least 1, got 0"),
        ({"n_points": 1}, "n_points must be at least 2, got 1"),
        ({"n_dims": 0}, "n_dims must be at least 1, got 0"),
        ({"largest_condition": 0.5}, "largest_condition must be at least 1, got 0.5"),
        ({"steps_a": [1.5], "a": ConjugateGradient()}, "steps of cg must be whole"),
        ({"steps_b": []}, "at least one step count"),
        ({"b": GD(50.0)}, "leaves the range of numbers"),
    ],
)
def test_bad_input_is_refused(changes: dict, message: str):
    given = {"a": Newton(), "b": GD(0.02), "steps_a": [4], "steps_b": SLOW} | changes
    with pytest.raises(ValueError, match=message):
        separating_prompts(given.pop("a"), given.pop("b"), **given)
