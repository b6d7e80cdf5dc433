"""The promise on noiseless prompts: 1e-8 of the prompt's largest |y|, against 50 digits."""

from __future__ import annotations

import exact_iterations as exact
import pytest
from prompts import HARD, D, hard_prompts

from probes.references import GD, OLS, ConjugateGradient, Newton, NewtonSchulz, Prefixes, Reference

BOUND = 1e-8

NEWTON_ALPHAS = {"frobenius": exact.frobenius, "spectral": exact.spectral}
GD_ETAS = {"inverse_largest": exact.inverse_largest, "optimal": exact.optimal}


def points(xs) -> list[int]:
    """The last prefix shorter than d, the one as long as d, and the longest."""
    return sorted({2, D, xs.shape[1] - 1})


def check(reference: Reference, iterations: dict[int, exact.Iteration], case: str) -> None:
    xs, ys = hard_prompts(case)
    predicted = reference.predictions(Prefixes(xs, ys), list(iterations))
    for values, (step, iteration) in zip(predicted, iterations.items(), strict=True):
        for point in points(xs):
            error = exact.relative_error(values, xs, ys, point, iteration)
            assert error < BOUND, f"step {step}, point {point}: {error:.1e}"


@pytest.mark.parametrize("case", HARD)
def test_ols(case: str) -> None:
    check(OLS(), {0: exact.ols}, case)


@pytest.mark.parametrize("alpha", ["frobenius", "spectral", 1e-7])
@pytest.mark.parametrize("case", HARD)
def test_newton_to_60_steps(case: str, alpha) -> None:
    exact_alpha = NEWTON_ALPHAS.get(alpha, alpha)
    check(Newton(alpha), {k: exact.newton(exact_alpha, k) for k in (0, 1, 2, 17, 60)}, case)


@pytest.mark.parametrize("ridge", [1e-6, 2.0])
@pytest.mark.parametrize("case", HARD)
def test_newton_on_s_plus_ridge(case: str, ridge: float) -> None:
    iterations = {k: exact.newton(exact.frobenius, k, ridge) for k in (0, 3, 40)}
    check(Newton(ridge=ridge), iterations, case)


@pytest.mark.parametrize("order", [3, 4, 7])
@pytest.mark.parametrize("alpha", ["frobenius", "spectral"])
@pytest.mark.parametrize("case", ["gaussian", "tall, kappa 1e12"])
def test_newton_schulz(case: str, alpha, order: int) -> None:
    iterations = {k: exact.newton(NEWTON_ALPHAS[alpha], k, 0.0, order) for k in (0, 1, 9)}
    check(NewtonSchulz(alpha, order=order), iterations, case)


@pytest.mark.parametrize("eta", ["inverse_largest", "optimal", 1e-3])
@pytest.mark.parametrize("case", HARD)
def test_gd_to_a_million_steps(case: str, eta) -> None:
    exact_eta = GD_ETAS.get(eta, eta)
    check(GD(eta), {k: exact.gd(exact_eta, k) for k in (0, 1, 2, 99, 10**6)}, case)


@pytest.mark.parametrize("case", HARD)
def test_conjugate_gradients(case: str) -> None:
    check(ConjugateGradient(), {k: exact.conjugate_gradients(k) for k in range(7)}, case)


def test_steps_of_newton_beyond_any_exponent_reach_ols() -> None:
    prefixes = Prefixes(*hard_prompts("gaussian"))
    far, ols = Newton().predictions(prefixes, [5000.0]), OLS().predictions(prefixes)
    assert (far - ols).abs().max() < 1e-12
