"""Quasi-Newton references with SciPy's line search, against SciPy and against 50 digits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal, localcontext
from fractions import Fraction
from itertools import islice

import exact_iterations as exact
import mpmath as mp
import numpy as np
import pytest
import scipy.optimize
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from prompts import D, hard_prompts, with_singular_values

from probes.references import BFGS, LBFGS, Prefixes
from probes.references.line_search import wolfe_length
from probes.references.many_digits import MANY_DIGITS, Quadratic, accepted_length
from probes.references.quasi_newton import QuasiNewton

BOUND = 1e-8


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


@settings(max_examples=200)
@given(
    ratio=st.one_of(st.floats(1e-6, 1e6), st.floats(1.85, 2.05)),
    minimiser=st.floats(1e-3, 1e3),
    decrease=st.sampled_from([1e-4, 1e-3]),
)
def test_line_search_is_the_same_in_many_digits(ratio, minimiser, decrease) -> None:
    edges = [1.9, 2 * (1 - decrease), *(0.3 / (4**n - 1) for n in range(1, 12))]
    assume(all(abs(ratio / edge - 1) > 1e-12 for edge in edges))
    first = ratio * minimiser
    length = wolfe_length(
        torch.tensor(first, dtype=torch.float64),
        torch.tensor(minimiser, dtype=torch.float64),
        decrease=decrease,
        curvature=0.9,
    )
    with localcontext(MANY_DIGITS):
        exact_length = accepted_length(
            Decimal(first), Decimal(minimiser), decrease=Decimal(str(decrease))
        )
    assert float(exact_length) == pytest.approx(float(length), rel=1e-15)


Loop = Callable[[mp.matrix, mp.matrix], Iterator[mp.matrix]]


def bfgs_loop(gram: mp.matrix, b: mp.matrix) -> Iterator[mp.matrix]:
    """BFGS with SciPy's first trial, as Nocedal and Wright write it."""
    identity = mp.eye(gram.rows)
    weights, gradient, inverse = mp.zeros(gram.rows, 1), -b, identity
    decrease = mp.norm(b) / 2
    while mp.norm(gradient) > mp.norm(b) * mp.mpf(10) ** -30:
        yield weights
        direction = -(inverse * gradient)
        slope = exact.dot(gradient, direction)
        bending = exact.dot(direction, gram * direction)
        first = mp.mpf("2.02") * decrease / -slope
        first = min(mp.mpf(1), first) if first > 0 else mp.mpf(1)
        length = searched(first, -slope / bending, mp.mpf("1e-4"))
        decrease = -length * (slope + length * bending / 2)
        moved = length * direction
        change = gram * moved
        weights, gradient = weights + moved, gradient + change
        rho = 1 / exact.dot(moved, change)
        left = identity - rho * moved * change.T
        inverse = left * inverse * left.T + rho * moved * moved.T
    while True:
        yield weights


def lbfgs_loop(memory: int) -> Loop:
    """L-BFGS with L-BFGS-B's first trial, by the two loops of Nocedal and Wright."""

    def iterates(gram: mp.matrix, b: mp.matrix) -> Iterator[mp.matrix]:
        weights, gradient, history = mp.zeros(gram.rows, 1), -b, []
        while mp.norm(gradient) > mp.norm(b) * mp.mpf(10) ** -30:
            yield weights
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
            best = -exact.dot(gradient, direction) / exact.dot(direction, gram * direction)
            first = mp.mpf(1) if history else 1 / mp.norm(direction)
            moved = searched(first, best, mp.mpf("1e-3")) * direction
            change = gram * moved
            weights, gradient = weights + moved, gradient + change
            history = [*history, (moved, change)][-memory:]
        while True:
            yield weights

    return iterates


def searched(trial: mp.mpf, best: mp.mpf, decrease: mp.mpf) -> mp.mpf:
    """What MINPACK's search returns on a quadratic whose minimiser is at `best`."""
    before = mp.mpf(0)
    while trial < best / 10:
        trial, before = min(best, trial + 4 * (trial - before)), trial
    if trial <= mp.mpf("1.9") * best:
        return trial
    if 2 * (1 - decrease) * best < trial <= 2 * best:
        return (1 - decrease) * best
    return best


def loop_of(reference: QuasiNewton) -> Loop:
    return lbfgs_loop(reference.memory) if isinstance(reference, LBFGS) else bfgs_loop


def relative_errors(
    predicted: torch.Tensor, xs: torch.Tensor, ys: torch.Tensor, point: int, loop: Loop
) -> np.ndarray:
    """Largest error at each of steps 0, 1, …, relative to the prompt's largest |y|."""
    largest = np.zeros(len(predicted))
    with mp.workdps(50):
        for prompt, (x, y) in enumerate(zip(xs.tolist(), ys.tolist(), strict=True)):
            examples, targets = mp.matrix(x[:point]), mp.matrix(y[:point])
            query = mp.matrix(x[point])
            iterates = loop(examples.T * examples, examples.T * targets)
            for step, (weights, value) in enumerate(
                zip(iterates, predicted[:, prompt, point].tolist(), strict=False)
            ):
                error = abs(float(exact.dot(weights, query)) - value) / max(map(abs, y))
                largest[step] = max(largest[step], error)
    return largest


@pytest.mark.parametrize(
    "reference", [BFGS(), LBFGS(1), LBFGS(3), LBFGS(10)], ids=lambda reference: reference.name
)
@pytest.mark.parametrize(
    "case", ["tall, kappa 1e12", "square, kappa 1e12", "tall, kappa 1e6", "rank 1"]
)
def test_every_iterate_is_that_of_a_loop_in_50_digits(reference: QuasiNewton, case: str) -> None:
    xs, ys = hard_prompts(case)
    predicted = reference.predictions(Prefixes(xs, ys), range(25))
    for point in sorted({2, D, xs.shape[1] - 1}):
        assert relative_errors(predicted, xs, ys, point, loop_of(reference)).max() < BOUND


@settings(max_examples=30)
@given(
    n_dims=st.integers(2, 5),
    n_more=st.integers(0, 2),
    log_kappa=st.floats(1, 12),
    reference=st.sampled_from([BFGS(), LBFGS(1), LBFGS(2), LBFGS(3), LBFGS(10)]),
    seed=st.integers(0, 2**32),
)
def test_and_on_any_prompt(n_dims, n_more, log_kappa, reference, seed) -> None:
    generator = torch.Generator().manual_seed(seed)
    values = 30 * torch.logspace(0, -log_kappa / 2, n_dims, dtype=torch.float64)
    xs = with_singular_values(values, n_dims + n_more, generator)[None]
    ys = (xs @ torch.randn(n_dims, 1, dtype=torch.float64, generator=generator))[..., 0]
    predicted = reference.predictions(Prefixes(xs, ys), range(16))
    loop = loop_of(reference)
    assert relative_errors(predicted, xs, ys, n_dims + n_more, loop).max() < BOUND


@pytest.mark.parametrize("reference", [BFGS(), LBFGS(1), LBFGS(3)], ids=lambda value: value.name)
def test_singular_and_ill_conditioned_at_once(reference: QuasiNewton) -> None:
    """A repeated example, a dimension that none spans, and kappa(S) = 1e12 of the rest."""
    xs, ys = hard_prompts("tall, kappa 1e12")
    xs = torch.nn.functional.pad(xs[:, [0, 1, 2, 0, 1, 3, 6]], (0, 3))
    ys = ys[:, [0, 1, 2, 0, 1, 3, 6]]
    prefixes = Prefixes(xs, ys)
    assert (prefixes.rank[:, 5:] == torch.tensor([3, 4])).all()
    predicted = reference.predictions(prefixes, range(13))
    for point in (5, 6):
        assert relative_errors(predicted, xs, ys, point, loop_of(reference)).max() < BOUND


@pytest.mark.parametrize("memory", [1, 3, 10])
def test_float64_alone_would_not_do(memory: int) -> None:
    xs, ys = hard_prompts("tall, kappa 1e12")
    prefixes = Prefixes(xs, ys)
    solution, reference = prefixes.decomposition.coefficients, LBFGS(memory)
    runs = reference.errors(prefixes.eigenvalues, solution[None], lambda steps: steps)
    iterates = torch.stack([solution - errors[0] for errors in islice(runs, 24)])
    predicted = (iterates * prefixes.decomposition.queries).sum(-1)
    predicted = torch.cat([torch.zeros_like(predicted[:1]), predicted])
    assert relative_errors(predicted, xs, ys, 6, lbfgs_loop(memory)).max() > 1e-6


def test_few_prefixes_need_many_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which is what makes them affordable: Gaussian prompts of the paper's size."""
    generator = torch.Generator().manual_seed(0)
    xs = torch.randn(16, 41, 20, dtype=torch.float64, generator=generator)
    ys = (xs @ torch.randn(16, 20, 1, dtype=torch.float64, generator=generator))[..., 0]
    prefixes, of_prefix, again = Prefixes(xs, ys), Quadratic.of_prefix, []

    def counted(prefixes: Prefixes, prompt: int, point: int) -> Quadratic:
        again.append((prompt, point))
        return of_prefix(prefixes, prompt, point)

    monkeypatch.setattr(Quadratic, "of_prefix", counted)
    for reference in (BFGS(), LBFGS()):
        again.clear()
        reference.predictions(prefixes, range(1, 41))
        assert len(again) <= 0.01 * ys.numel()


@given(st.integers(0, 2**32))
@settings(max_examples=10)
def test_quadratic_is_exact(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    xs = torch.randn(1, 4, 2, dtype=torch.float64, generator=generator)
    ys = torch.randn(1, 4, dtype=torch.float64, generator=generator)
    with localcontext(MANY_DIGITS):
        quadratic = Quadratic.of_prefix(Prefixes(xs, ys), 0, 3)
    x = [[Fraction(value) for value in row] for row in xs[0, :3].tolist()]
    for i in range(2):
        moment = sum(row[i] * Fraction(y) for row, y in zip(x, ys[0].tolist(), strict=False))
        assert abs(Fraction(quadratic.moment[i]) - moment) < Fraction(1, 10**98)
        for j in range(2):
            product = sum(row[i] * row[j] for row in x)
            assert abs(Fraction(quadratic.hessian[i, j]) - product) < Fraction(1, 10**98)
