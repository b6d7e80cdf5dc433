"""Which law a match curve follows, where it is known."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from probes.verdict.growth_law import growth_law

DEPTH = torch.arange(7, dtype=torch.float64)


@given(st.floats(0.5, 500), st.floats(0.2, 5), st.integers(5, 12))
def test_linear_curves_are_linear(first, relative_rate, n_layers):
    depth = torch.arange(n_layers, dtype=torch.float64)
    rate = first * relative_rate
    found = growth_law(first + rate * depth, depth)
    assert found.law == "linear"
    assert found.evidence_ratio > 1
    assert found.linear_rate == pytest.approx(rate)
    assert found.linear_misfit == pytest.approx(0, abs=1e-6)
    assert found.log_linear_misfit > 1e-3


@given(st.floats(0.5, 50), st.floats(0.4, 3), st.integers(5, 10))
def test_exponential_curves_are_log_linear(first, doublings, n_layers):
    depth = torch.arange(n_layers, dtype=torch.float64)
    found = growth_law(first * 2 ** (doublings * depth), depth)
    assert found.law == "log-linear"
    assert found.evidence_ratio < 1
    assert found.doubling_rate == pytest.approx(doublings)
    assert found.log_linear_misfit == pytest.approx(0, abs=1e-6)


@given(st.integers(0, 2**31))
def test_noise_around_no_growth_is_neither(seed):
    generator = torch.Generator().manual_seed(seed)
    steps = 10 + 3 * torch.randn(12, dtype=torch.float64, generator=generator)
    assert growth_law(steps, torch.arange(12, dtype=torch.float64)).law == "neither"


@given(st.floats(1, 20), st.floats(1, 5), st.floats(1e-3, 1e3))
def test_units_of_depth_and_steps_change_no_law(first, rate, unit):
    plain = growth_law(first + rate * DEPTH, DEPTH)
    stretched = growth_law(first + rate * DEPTH, DEPTH * unit)
    assert stretched.evidence_ratio == pytest.approx(plain.evidence_ratio, rel=1e-6)
    assert stretched.linear_rate == pytest.approx(plain.linear_rate / unit)
    larger = growth_law(10 * (first + rate * DEPTH), DEPTH)
    assert larger.evidence_ratio == pytest.approx(plain.evidence_ratio, rel=1e-6)


def test_more_layers_and_less_noise_are_more_evidence():
    generator = torch.Generator().manual_seed(0)
    wiggle = torch.randn(9, dtype=torch.float64, generator=generator)
    depth = torch.arange(9, dtype=torch.float64)

    def ratio(n_layers, amount):
        line = 2 + 3 * depth + amount * wiggle
        return growth_law(line[:n_layers], depth[:n_layers]).evidence_ratio

    assert ratio(9, 0.0) > ratio(6, 0.0) > ratio(4, 0.0) > 1
    assert ratio(9, 0.0) > ratio(9, 0.3) > ratio(9, 1.0)


def test_a_curve_of_the_paper():
    """Best-matching Newton steps of layers 3 to 9 (Fu et al. 2024, Fig. 3): linear."""
    found = growth_law(torch.tensor([3, 5, 8, 10, 14, 17, 20]).double(), DEPTH)
    assert found.law == "linear"
    assert found.linear_rate == pytest.approx(2.9, abs=0.1)
    assert found.evidence_ratio > 3


def test_needs_three_layers():
    with pytest.raises(ValueError, match="at least 3 layers, got 2"):
        growth_law(DEPTH[:2], DEPTH[:2])
