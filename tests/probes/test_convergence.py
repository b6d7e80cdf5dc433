"""The order of convergence of sequences whose order is known."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from probes.converged_readout import fit_converged_readout
from probes.convergence import convergence_order, order_of_convergence
from probes.references import GD, OLS, Newton, NewtonIdentity, NewtonSchulz, Prefixes


def sequence(first, factor, order, length):
    """Errors with e_{l+1} = factor · e_l ^ order."""
    errors = [first]
    for _ in range(length - 1):
        errors.append(factor * errors[-1] ** order)
    return torch.tensor(errors, dtype=torch.float64)


@given(st.floats(0.1, 10), st.floats(0.05, 0.95), st.integers(3, 20))
def test_linear_convergence_has_order_one(first, factor, length):
    assert convergence_order(sequence(first, factor, 1, length)).item() == pytest.approx(1)


@given(st.floats(0.1, 0.9), st.floats(0.5, 1.0), st.sampled_from([1.5, 2, 3]), st.integers(3, 6))
def test_superlinear_convergence_has_its_order(first, factor, order, length):
    found = convergence_order(sequence(first, factor, order, length))
    assert found.item() == pytest.approx(order)


@given(st.integers(3, 6), st.floats(1e-6, 1e-3))
def test_layers_from_the_first_converged_one_on_do_not_count(length, floor):
    errors = sequence(0.9, 1.0, 2, length).clamp(min=2e-3)
    errors = torch.unique(errors, sorted=True).flip(0)  # a strictly falling start
    tail = torch.tensor([floor / 2, 0.5, 1e-9, -1.0], dtype=torch.float64)
    long = torch.cat([errors, tail])
    assert convergence_order(long, floor).item() == pytest.approx(
        convergence_order(errors, floor).item(), nan_ok=True
    )


def test_too_short_or_too_still_is_nan():
    assert math.isnan(convergence_order(torch.tensor([0.5, 0.25]).double()).item())
    assert math.isnan(convergence_order(torch.tensor([0.5, 0.25, 0.0]).double()).item())
    assert math.isnan(convergence_order(torch.tensor([0.5, 0.25, 0.1]).double(), 0.2).item())
    assert math.isnan(convergence_order(torch.tensor([0.5, 0.5, 0.5]).double()).item())
    assert math.isnan(convergence_order(torch.tensor([0.5, 0.2, math.nan]).double()).item())


def test_batches_equal_singles():
    rows = torch.stack([sequence(0.5, 0.5, 1, 5), sequence(0.5, 1, 2, 5), torch.ones(5).double()])
    found = convergence_order(rows)
    assert found[:2].tolist() == pytest.approx([1, 2])
    assert found[2].isnan()


def regression_prompts(n_prompts: int = 96, seed: int = 0) -> Prefixes:
    generator = torch.Generator().manual_seed(seed)
    xs = torch.randn(n_prompts, 11, 5, dtype=torch.float64, generator=generator)
    weights = torch.randn(n_prompts, 5, 1, dtype=torch.float64, generator=generator)
    return Prefixes(xs, (xs @ weights)[..., 0])


def errors_of(reference, prefixes: Prefixes, steps) -> torch.Tensor:
    limit = OLS().predictions(prefixes)
    return (reference.predictions(prefixes, list(steps)) - limit).abs()[:, :, 1:]


def rounding(errors: torch.Tensor) -> torch.Tensor:
    return torch.full((len(errors),), 1e-13, dtype=torch.float64)


@pytest.mark.parametrize(
    ("reference", "steps", "order"),
    [
        (GD(0.03), range(13), 1),
        (GD(0.03), range(0, 60, 5), 1),
        (Newton(), range(13), 2),
        (Newton(2**-10), range(14), 2),
        (NewtonIdentity(), range(8), 2),
        (NewtonSchulz(order=3), range(9), 3),
        (Newton(), range(0, 16, 2), 4),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_single_predictions_show_the_order_that_their_mean_hides(reference, steps, order):
    errors = errors_of(reference, regression_prompts(), steps)
    found = order_of_convergence(errors, rounding(errors))
    assert found.order == pytest.approx(order, abs=0.02)
    assert found.interval[0] - 1e-9 <= found.order <= found.interval[1] + 1e-9
    assert found.interval[1] - found.interval[0] < 0.05
    assert found.layers is not None
    assert found.reason is None


def test_an_order_is_that_of_the_predictions_and_not_of_their_units():
    errors = errors_of(Newton(), regression_prompts(), range(11))
    scaled = order_of_convergence(1e6 * errors, 1e6 * rounding(errors))
    assert scaled.order == pytest.approx(order_of_convergence(errors, rounding(errors)).order)


@pytest.mark.parametrize(
    ("errors", "reason"),
    [
        (torch.rand(2, 90, 4), "fewer than three layers do something"),
        (torch.ones(5, 90, 4), "0 improve over three layers"),
        (1e-14 * torch.rand(5, 90, 4), "0 improve over three layers"),
        (torch.rand(5, 90, 4, generator=torch.Generator().manual_seed(0)), "do not agree"),
    ],
)
def test_what_has_no_order_says_why(errors, reason):
    errors = errors.double()
    found = order_of_convergence(errors, rounding(errors))
    assert math.isnan(found.order)
    assert all(map(math.isnan, found.interval))
    assert reason in found.reason


def test_errors_at_the_floor_are_not_taken_for_slow_convergence():
    """Rounding at 1e-5 leaves Newton's order what it is, or untold."""
    generator = torch.Generator().manual_seed(1)
    errors = errors_of(Newton(), regression_prompts(192), range(13))
    noise = 1e-5 * torch.randn(errors.shape, dtype=torch.float64, generator=generator).abs()
    floor = torch.full((len(errors),), 1e-5, dtype=torch.float64)
    assert order_of_convergence(errors + noise, floor).order == pytest.approx(2, abs=0.05)


def test_bad_errors_are_refused():
    errors = torch.rand(3, 60, 4).double()
    with pytest.raises(ValueError, match="errors must be finite and at least 0"):
        order_of_convergence(-errors, rounding(errors))
    with pytest.raises(ValueError, match="floor must be finite and at least 0"):
        order_of_convergence(errors, rounding(errors) * math.nan)


def test_a_readout_is_exact_where_the_features_already_hold_the_target():
    """Three in five samples hold it, the others fall short: least squares shrinks them all."""
    generator = torch.Generator().manual_seed(2)
    n_samples = 1500
    features = torch.randn(2, n_samples, 8, dtype=torch.float64, generator=generator)
    truth = torch.randn(8, dtype=torch.float64, generator=generator)
    mixing = torch.randn(8, 8, dtype=torch.float64, generator=generator)
    features[1] = features[0] @ mixing
    goal = features[0] @ truth + 3
    target = goal.clone()
    target[900:] -= 0.7 * goal[900:] * torch.rand(600, dtype=torch.float64, generator=generator)
    readout = fit_converged_readout(features, target)
    assert torch.allclose(readout.weight[0, :, 0], truth, atol=1e-5)
    assert torch.allclose(mixing @ readout.weight[1, :, 0], truth, atol=1e-5)
    assert readout.bias[:, 0].tolist() == pytest.approx([3, 3], abs=1e-5)
    inputs = torch.cat([features[0], torch.ones(n_samples, 1)], 1)
    least_squares = torch.linalg.lstsq(inputs, target[:, None]).solution[:8, 0]
    assert (least_squares - truth).abs().max() > 0.05


def test_features_that_never_vary_do_no_harm():
    generator = torch.Generator().manual_seed(3)
    features = torch.randn(1, 100, 4, dtype=torch.float64, generator=generator)
    features[..., 2], features[..., 3] = 5.0, features[..., 0]
    readout = fit_converged_readout(features, features[0, :, 0] - features[0, :, 1])
    said = readout(features)[0, :, 0]
    assert torch.allclose(said, features[0, :, 0] - features[0, :, 1], atol=1e-5)


def test_a_readout_needs_more_samples_than_unknowns():
    with pytest.raises(ValueError, match="more samples than the 9 unknowns, got 9"):
        fit_converged_readout(torch.rand(1, 9, 8), torch.rand(9))
    with pytest.raises(ValueError, match="targets hold values that are not finite"):
        fit_converged_readout(torch.rand(1, 9, 2), torch.full((9,), math.nan))
