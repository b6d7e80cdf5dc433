"""Momentum and Chebyshev at kappa(S) = 1e12, direction by direction, against 50 digits."""

from __future__ import annotations

from collections.abc import Callable

import mpmath as mp
import pytest
import torch

from probes.references import Chebyshev, HeavyBall, Nesterov, Prefixes, SpectralReference

STEPS = [0, 1, 2, 3, 10, 101, 1500]


@pytest.fixture(scope="module")
def prefixes() -> Prefixes:
    """Last prefix: eigenvalues 50 to 5e-11 of S, in geometric progression."""
    values = torch.logspace(0, -12, 6, dtype=torch.float64) * 50
    xs = torch.cat([values.sqrt().diag(), torch.ones(1, 6, dtype=torch.float64)])[None]
    return Prefixes(xs, torch.ones(1, 7, dtype=torch.float64))


def check(
    reference: SpectralReference, prefixes: Prefixes, exact: Callable[[mp.mpf], dict[int, mp.mpf]]
) -> None:
    """Compares filter factors, relative to the largest on the way (momentum overshoots)."""
    filter_factors = reference.filter_factors(prefixes)
    learnt = {step: filter_factors(float(step))[0, 6] for step in STEPS}
    for direction, value in enumerate(prefixes.eigenvalues[0, 6].tolist()):
        for step, expected in exact(mp.mpf(value)).items():
            error = abs(float(learnt[step][direction] - float(expected)))
            assert error < 1e-10 * max(1.0, abs(float(expected)))


def ends(prefixes: Prefixes) -> tuple[mp.mpf, mp.mpf]:
    values = prefixes.eigenvalues[0, 6].tolist()
    return mp.mpf(values[0]), mp.mpf(values[-1])


@mp.workdps(50)
@pytest.mark.parametrize(
    ("eta", "beta"), [("optimal", "optimal"), (0.02, 0.9), (0.039, 0.0), (0.03, "optimal")]
)
def test_heavy_ball(eta, beta, prefixes: Prefixes) -> None:
    largest, smallest = ends(prefixes)
    size = 4 / (mp.sqrt(largest) + mp.sqrt(smallest)) ** 2 if eta == "optimal" else mp.mpf(eta)
    momentum = (1 - mp.sqrt(size * smallest)) ** 2 if beta == "optimal" else mp.mpf(beta)

    def exact(value: mp.mpf) -> dict[int, mp.mpf]:
        learnt = velocity = mp.mpf(0)
        found = {}
        for step in range(STEPS[-1] + 1):
            found[step] = learnt
            velocity = momentum * velocity + size * value * (1 - learnt)
            learnt += velocity
        return {step: found[step] for step in STEPS}

    check(HeavyBall(eta, beta), prefixes, exact)


@mp.workdps(50)
@pytest.mark.parametrize(
    ("eta", "beta"),
    [("inverse_largest", "optimal"), ("inverse_largest", "convex"), (0.025, 0.9), (0.02, 0.0)],
)
def test_nesterov(eta, beta, prefixes: Prefixes) -> None:
    largest, smallest = ends(prefixes)
    size = 1 / largest if eta == "inverse_largest" else mp.mpf(eta)
    root = mp.sqrt(size * smallest)

    def exact(value: mp.mpf) -> dict[int, mp.mpf]:
        learnt = velocity = mp.mpf(0)
        found = {}
        for step in range(STEPS[-1] + 1):
            found[step] = learnt
            schedule = {"optimal": (1 - root) / (1 + root), "convex": mp.mpf(step) / (step + 3)}
            momentum = schedule.get(beta, beta)
            ahead = learnt + momentum * velocity
            velocity = momentum * velocity + size * value * (1 - ahead)
            learnt += velocity
        return {step: found[step] for step in STEPS}

    check(Nesterov(eta, beta), prefixes, exact)


@mp.workdps(50)
@pytest.mark.parametrize("interval", ["prefix", (1.0, 49.5)])
def test_chebyshev(interval, prefixes: Prefixes) -> None:
    largest, smallest = ends(prefixes)
    reference = Chebyshev()
    if interval != "prefix":
        reference = Chebyshev(*interval)
        smallest, largest = (mp.mpf(end) for end in interval)
    width = largest - smallest

    def exact(value: mp.mpf) -> dict[int, mp.mpf]:
        at, at_zero = (largest + smallest - 2 * value) / width, (largest + smallest) / width
        return {k: 1 - mp.chebyt(k, at) / mp.chebyt(k, at_zero) for k in STEPS[:-1]}

    check(reference, prefixes, exact)


def test_a_billion_steps_are_no_loop_and_reach_least_squares(prefixes: Prefixes) -> None:
    for reference in (HeavyBall(), Nesterov(), Chebyshev()):
        learnt = reference.filter_factors(prefixes)(1e9)
        assert (learnt[0, 6] - 1).abs().max() < 1e-6
