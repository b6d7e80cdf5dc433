"""Steps that errors need, and the laws by which they grow with the condition number."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from probes.references import GD, ConjugateGradient, Newton, NewtonIdentity, Prefixes, Reference
from probes.steps_to_reach import steps_to_reach


@given(
    rate=st.floats(0.05, 0.9),
    target=st.floats(1e-6, 0.9),
    spacing=st.integers(1, 5),
)
def test_between_grid_steps_a_geometric_error_is_exact(rate: float, target: float, spacing: int):
    steps = range(0, 400, spacing)
    errors = torch.tensor([rate**step for step in steps], dtype=torch.float64)
    expected = math.log(target) / math.log(rate)
    found = steps_to_reach(errors, list(map(float, steps)), target).item()
    assert found == pytest.approx(expected, rel=1e-6) or expected > 395


def test_the_first_time_counts_and_never_is_nan():
    errors = torch.tensor(
        [[1.0, 0.1, 1.0, 0.01], [1.0, 0.9, 0.8, 0.7], [0.05, 1.0, 1.0, 1.0]], dtype=torch.float64
    )
    found = steps_to_reach(errors, [0.0, 1.0, 2.0, 3.0], 0.1)
    assert found[0] == 1
    assert found[1].isnan()
    assert found[2] == 0


@pytest.mark.parametrize(
    ("errors", "steps", "target", "message"),
    [
        (torch.ones(2), [0.0, 0.0], 0.1, "steps must be 2 rising step counts"),
        (torch.ones(2), [0.0], 0.1, "steps must be 2 rising"),
        (-torch.ones(2), [0.0, 1.0], 0.1, "errors must be numbers of at least 0"),
        (torch.ones(2), [0.0, 1.0], 0.0, "target must be above 0"),
    ],
)
def test_bad_input_is_refused(errors, steps, target, message):
    with pytest.raises(ValueError, match=message):
        steps_to_reach(errors, steps, target)


KAPPAS = (10.0, 100.0, 1000.0)


def steps_by_condition(reference: Reference, steps: list[float]) -> np.ndarray:
    """Steps to an error of 1e-3 where the eigenvalues of S are spread evenly from 1/kappa to 1."""
    generator = torch.Generator().manual_seed(0)
    n_dims = 120
    found = []
    for kappa in KAPPAS:
        basis = torch.linalg.qr(torch.randn(n_dims, n_dims, generator=generator).double())[0]
        # Chebyshev's points, where conjugate gradients have no gap to use
        nodes = torch.cos(torch.pi * (torch.arange(n_dims) + 0.5) / n_dims).double()
        values = (1 + 1 / kappa) / 2 + nodes * (1 - 1 / kappa) / 2
        queries = torch.randn(n_dims, n_dims, generator=generator).double()
        xs = torch.cat([basis * values.sqrt()[:, None], queries])[None]
        weights = torch.randn(n_dims, generator=generator).double()
        prefixes = Prefixes(xs, xs @ weights)
        iterates = reference.weights(_only(prefixes, n_dims), steps)[:, 0, 0]
        error = (iterates - weights).square().sum(-1) / weights.square().sum()
        found.append(steps_to_reach(error.sqrt(), steps, 1e-3).item())
    return np.array(found)


def _only(prefixes: Prefixes, point: int) -> Prefixes:
    """One prompt of which only the prefix at a point is decomposed, in the place of point 0."""
    left, values, right = torch.linalg.svd(prefixes.xs[0, :point], full_matrices=False)
    alone = Prefixes(prefixes.xs[:, :1], prefixes.ys[:, :1])
    fields: dict[str, Any] = {
        "singular_values": values[None, None],
        "right_vectors": right[None, None],
        "coefficients": ((left.T @ prefixes.ys[0, :point]) / values)[None, None],
        "queries": (right @ prefixes.xs[0, point])[None, None],
    }
    alone.__dict__["decomposition"] = replace(alone.decomposition, **fields)
    return alone


def test_steps_of_gd_grow_with_the_condition_number_and_of_cg_with_its_root():
    log_kappa = np.log(KAPPAS)
    gd = steps_by_condition(
        GD(1.0), [float(k) for k in np.unique(np.geomspace(1, 2e4, 400).round())]
    )
    assert np.polyfit(log_kappa, np.log(gd), 1)[0] == pytest.approx(1, abs=0.05)
    cg = steps_by_condition(ConjugateGradient(), [float(k) for k in range(120)])
    assert np.polyfit(log_kappa, np.log(cg), 1)[0] == pytest.approx(0.5, abs=0.1)
    assert (cg < gd).all()


@pytest.mark.parametrize(("reference", "a_doubling"), [(Newton(), 2), (NewtonIdentity(), 1)])
def test_steps_of_newton_grow_with_the_logarithm(reference: Reference, a_doubling: float):
    """alpha l^2 >= 1 / kappa^2 from alpha S, and 1 / kappa from the identity, double each step."""
    steps = steps_by_condition(reference, [0.25 * k for k in range(160)])
    slopes = np.diff(steps) / np.diff(np.log2(KAPPAS))
    assert slopes == pytest.approx(a_doubling, abs=0.15)
