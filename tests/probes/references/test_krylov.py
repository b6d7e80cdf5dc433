"""Krylov and quasi-Newton references against SciPy and against 50 digits."""

from __future__ import annotations

import exact_iterations as exact
import numpy as np
import pytest
import scipy.optimize
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from prompts import D, hard_prompts

from probes.references import BFGS, LBFGS, OLS, ConjugateGradient, Prefixes
from probes.references.line_search import wolfe_length


def scipy_weights(method: str, x: np.ndarray, y: np.ndarray, step: int, **options) -> np.ndarray:
    return scipy.optimize.minimize(
        lambda w: 0.5 * np.sum((x @ w - y) ** 2),
        np.zeros(x.shape[1]),
        jac=lambda w: x.T @ (x @ w - y),
        method=method,
        options={"maxiter": step, "gtol": 0.0, **options},
    ).x


@pytest.mark.parametrize(
    ("reference", "method", "options"),
    [
        (BFGS(), "BFGS", {}),
        (LBFGS(), "L-BFGS-B", {"ftol": 0.0}),
        (LBFGS(memory=1), "L-BFGS-B", {"ftol": 0.0, "maxcor": 1}),
        (LBFGS(memory=3), "L-BFGS-B", {"ftol": 0.0, "maxcor": 3}),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
@pytest.mark.parametrize("scale", [0.05, 1.0, 20.0])
def test_equal_to_scipy_at_every_step(reference, method: str, options: dict, scale: float) -> None:
    generator = torch.Generator().manual_seed(5)
    xs = scale * torch.randn(2, 9, 5, dtype=torch.float64, generator=generator)
    xs[:, 3] = xs[:, 2]
    ys = torch.randn(2, 9, dtype=torch.float64, generator=generator)
    steps = range(1, 11)
    weights = reference.weights(Prefixes(xs, ys), steps).numpy()
    for prompt in range(2):
        for t in (1, 4, 5, 8):
            x, y = xs[prompt, :t].numpy(), ys[prompt, :t].numpy()
            size = np.abs(np.linalg.pinv(x) @ y).max()
            for values, step in zip(weights[:, prompt, t], steps, strict=True):
                expected = scipy_weights(method, x, y, step, **options)
                # SciPy's own iterates lose digits close to convergence
                assert np.abs(values - expected).max() < 1e-7 * size


@settings(max_examples=200)
@given(
    first=st.floats(1e-6, 1e6),
    minimiser=st.floats(1e-6, 1e6),
    decrease=st.sampled_from([1e-4, 1e-3]),
)
def test_line_search_meets_the_strong_wolfe_conditions(first, minimiser, decrease) -> None:
    length = wolfe_length(
        torch.tensor(first, dtype=torch.float64),
        torch.tensor(minimiser, dtype=torch.float64),
        decrease=decrease,
        curvature=0.9,
    )
    ratio = float(length) / minimiser  # value r^2 / 2 - r and slope r - 1 where a = 1
    assert ratio**2 / 2 - ratio <= -decrease * ratio + 1e-12
    assert abs(ratio - 1) <= 0.9 + 1e-12
    if abs(first / minimiser - 1) < 0.9:
        assert length == first


@pytest.mark.parametrize("case", ["gaussian", "duplicates and zeros", "tall, kappa 1e6"])
def test_exact_line_search_makes_bfgs_conjugate_gradients(case: str) -> None:
    """The theorem, on BFGS's own update of the inverse Hessian in exact arithmetic."""
    xs, ys = hard_prompts(case)
    for reference in (BFGS("exact"), LBFGS(line_search="exact"), LBFGS(2, "exact")):
        predicted = reference.predictions(Prefixes(xs, ys), range(6))
        for step, values in enumerate(predicted):
            iteration = exact.bfgs_with_exact_line_search(step)
            for point in (2, D, xs.shape[1] - 1):
                assert exact.relative_error(values, xs, ys, point, iteration) < 1e-8


@pytest.mark.parametrize("case", ["tall, kappa 1e12", "square, kappa 1e12", "rank 1"])
def test_bfgs_keeps_its_digits_where_scipy_loses_them(case: str) -> None:
    xs, ys = hard_prompts(case)
    predicted = BFGS().predictions(Prefixes(xs, ys), range(25))
    for step in (1, 3, 8, 24):
        for point in (2, D, xs.shape[1] - 1):
            iteration = exact_bfgs(step)
            assert exact.relative_error(predicted[step], xs, ys, point, iteration) < 1e-8


def exact_bfgs(step: int) -> exact.Iteration:
    """BFGS with SciPy's first trial and MINPACK's search, at 50 digits."""

    def iterate(gram, b):
        mp = exact.mp
        identity = mp.eye(gram.rows)
        weights, gradient, inverse = mp.zeros(gram.rows, 1), -b, identity
        decrease = mp.sqrt(exact.dot(b, b)) / 2
        for _ in range(step):
            if exact.dot(gradient, gradient) <= exact.dot(b, b) * mp.mpf(10) ** -60:
                break
            direction = -(inverse * gradient)
            slope = exact.dot(gradient, direction)
            bending = exact.dot(direction, gram * direction)
            best = -slope / bending
            trial, before = min(mp.mpf(1), mp.mpf("2.02") * decrease / -slope), mp.mpf(0)
            while trial < best / 10:
                trial, before = min(best, trial + 4 * (trial - before)), trial
            if trial > mp.mpf("1.9") * best:
                trial = best
            decrease = -trial * (slope + trial * bending / 2)
            moved = trial * direction
            change = gram * moved
            weights, gradient = weights + moved, gradient + change
            rho = 1 / exact.dot(moved, change)
            left = identity - rho * moved * change.T
            inverse = left * inverse * left.T + rho * moved * moved.T
        return weights

    return iterate


def test_conjugate_gradients_need_as_many_steps_as_the_rank() -> None:
    generator = torch.Generator().manual_seed(2)
    xs = torch.randn(3, 12, 6, dtype=torch.float64, generator=generator)
    xs[:, 2] = 2 * xs[:, 0]
    prefixes = Prefixes(xs, torch.randn(3, 12, dtype=torch.float64, generator=generator))
    ols = OLS().predictions(prefixes)[0]
    predicted = ConjugateGradient().predictions(prefixes, range(8))
    for step, values in enumerate(predicted):
        reached = prefixes.rank <= step
        assert ((values - ols).abs()[reached] < 1e-9).all()
        assert ((values - ols).abs()[~reached] > 1e-9).all()


@pytest.mark.parametrize("reference", [ConjugateGradient(), BFGS(), LBFGS(), LBFGS(3)])
@pytest.mark.parametrize("case", ["gaussian", "duplicates and zeros", "rank 1"])
def test_many_steps_reach_ols_and_stay(reference, case: str) -> None:
    xs, ys = hard_prompts(case)
    prefixes = Prefixes(xs, ys)
    ols = OLS().predictions(prefixes)[0]
    for values in reference.predictions(prefixes, [70, 90]):
        assert (values - ols).abs().max() < 1e-9


@pytest.mark.parametrize("reference", [ConjugateGradient(), BFGS("exact"), LBFGS(4, "exact")])
def test_error_falls_as_chebyshev_bounds_it(reference) -> None:
    """2 ((sqrt(kappa) - 1) / (sqrt(kappa) + 1))^k in the norm of S."""
    xs, ys = hard_prompts("tall, kappa 1e2")
    prefixes = Prefixes(xs, ys)
    values = prefixes.eigenvalues[:, -1]
    root = (values[:, 0] / values[:, -1]).sqrt()
    solution = OLS().weights(prefixes)[0, :, -1]
    examples = xs[:, :-1]

    def norm(weights: torch.Tensor) -> torch.Tensor:
        return (examples @ weights[..., None])[..., 0].norm(dim=-1)

    for step, weights in reference.stream_weights(prefixes, range(4)):
        bound = 2 * ((root - 1) / (root + 1)) ** step * norm(solution)
        assert (norm(weights[:, -1] - solution) <= bound).all()


@pytest.mark.parametrize(
    ("case", "memory", "last"),
    [
        ("tall, kappa 1e2", 2, 24),
        ("square, kappa 1e2", 2, 24),
        ("tall, kappa 1e6", 10, 24),
        ("square, kappa 1e6", 10, 24),
    ],
)
def test_lbfgs_keeps_its_digits_as_far_as_it_says(case: str, memory: int, last: int) -> None:
    xs, ys = hard_prompts(case)
    predicted = LBFGS(memory).predictions(Prefixes(xs, ys), range(last + 1))
    for step in sorted({1, 3, 5, last}):
        for point in (2, D, xs.shape[1] - 1):
            iteration = exact_lbfgs(step, memory)
            assert exact.relative_error(predicted[step], xs, ys, point, iteration) < 1e-8


def exact_lbfgs(step: int, memory: int) -> exact.Iteration:
    """L-BFGS with L-BFGS-B's first trial and MINPACK's search, at 50 digits."""

    def iterate(gram, b):
        mp = exact.mp
        weights, gradient = mp.zeros(gram.rows, 1), -b
        history = []
        for k in range(step):
            if exact.dot(gradient, gradient) <= exact.dot(b, b) * mp.mpf(10) ** -60:
                break
            direction, along = -gradient, []
            for moved, change in reversed(history):
                along.append(exact.dot(moved, direction) / exact.dot(moved, change))
                direction = direction - along[-1] * change
            if history:
                moved, change = history[-1]
                direction = direction * exact.dot(moved, change) / exact.dot(change, change)
            for (moved, change), before in zip(history, reversed(along), strict=True):
                rest = before - exact.dot(change, direction) / exact.dot(moved, change)
                direction = direction + rest * moved
            slope = exact.dot(gradient, direction)
            best = -slope / exact.dot(direction, gram * direction)
            trial = 1 / mp.sqrt(exact.dot(direction, direction)) if k == 0 else mp.mpf(1)
            before = mp.mpf(0)
            while trial < best / 10:
                trial, before = min(best, trial + 4 * (trial - before)), trial
            if trial > mp.mpf("1.9") * best:
                trial = best
            moved = trial * direction
            change = gram * moved
            weights, gradient = weights + moved, gradient + change
            history = [*history, (moved, change)][-memory:]
        return weights

    return iterate


def lbfgs_in_float64(x: np.ndarray, y: np.ndarray, step: int, memory: int) -> np.ndarray:
    """The same iteration as a plain loop in the arithmetic of the references."""
    gram, b = x.T @ x, x.T @ y
    weights, gradient, history = np.zeros(len(b)), -b, []
    for k in range(step):
        if gradient @ gradient <= 1e-60 * (b @ b):
            break
        direction, along = -gradient, []
        for moved, change in reversed(history):
            along.append((moved @ direction) / (moved @ change))
            direction = direction - along[-1] * change
        if history:
            moved, change = history[-1]
            direction = direction * (moved @ change) / (change @ change)
        for (moved, change), before in zip(history, reversed(along), strict=True):
            direction = direction + (before - (change @ direction) / (moved @ change)) * moved
        best = -(gradient @ direction) / (direction @ gram @ direction)
        trial, before = (1 / np.sqrt(direction @ direction) if k == 0 else 1.0), 0.0
        while trial < best / 10:
            trial, before = min(best, trial + 4 * (trial - before)), trial
        moved = (best if trial > 1.9 * best else trial) * direction
        change = gram @ moved
        weights, gradient = weights + moved, gradient + change
        history = [*history, (moved, change)][-memory:]
    return weights


@pytest.mark.parametrize("case", ["tall, kappa 1e12", "square, kappa 1e12"])
@pytest.mark.parametrize("memory", [1, 2, 10])
def test_where_lbfgs_loses_digits_so_does_a_plain_loop(case: str, memory: int) -> None:
    """And not because the iterates depend so much on the prompt: rounding grows on its way."""
    xs, ys = hard_prompts(case)
    point, size = xs.shape[1] - 1, ys.abs().amax(-1).numpy()
    predicted = LBFGS(memory).predictions(Prefixes(xs, ys), range(13))
    nearby = xs * (1 + 2**-52)
    for step in (2, 5, 8, 12):
        iteration = exact_lbfgs(step, memory)
        truth = exact.predictions(xs, ys, point, iteration)
        looped = [
            lbfgs_in_float64(x[:point].numpy(), y[:point].numpy(), step, memory) @ x[point].numpy()
            for x, y in zip(xs, ys, strict=True)
        ]
        ours = (np.abs(predicted[step][:, point].numpy() - truth) / size).max()
        plain = (np.abs(np.array(looped) - truth) / size).max()
        moved = (np.abs(exact.predictions(nearby, ys, point, iteration) - truth) / size).max()
        assert ours < max(1e-8, 10 * plain)
        assert moved < 1e-10
