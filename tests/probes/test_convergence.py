"""The order of convergence of sequences whose order is known."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from probes.convergence import convergence_order


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
