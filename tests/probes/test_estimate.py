"""A number, its interval, and what widens it."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from probes.uncertainty.estimate import Estimate


def test_the_interval_of_replicates_is_the_normal_one():
    generator = torch.Generator().manual_seed(0)
    replicates = 3 + 0.5 * torch.randn(4001, dtype=torch.float64, generator=generator)
    replicates[0] = 3.0
    found = Estimate.of(replicates, 0.95)
    assert found.value == 3.0
    assert (found.low, found.high) == pytest.approx((3 - 0.98, 3 + 0.98), abs=0.03)


@given(st.floats(0, 5), st.floats(0, 5))
def test_an_error_within_a_bound_joins_chance_as_variances_do(chance, bound):
    wider = Estimate(1.0, 1.0 - chance, 1.0 + chance).widened(bound)
    assert wider.value == 1.0
    assert wider.high - 1 == pytest.approx(1 - wider.low)
    assert max(chance, bound) <= wider.high - 1 + 1e-12
    assert wider.high - 1 <= chance + 1.14 * bound + 1e-12


@settings(max_examples=10, deadline=None)
@given(st.floats(0.1, 3.0), st.floats(0.0, 3.0), st.integers(0, 10**6))
def test_the_widened_interval_covers_as_often_as_it_says_and_hardly_more(chance, bound, seed):
    generator = torch.Generator().manual_seed(seed)
    normal = torch.randn(20_000, dtype=torch.float64, generator=generator)
    within = 2 * torch.rand(20_000, dtype=torch.float64, generator=generator) - 1
    wider = Estimate(0.0, -1.96 * chance, 1.96 * chance).widened(bound)
    found = chance * normal + bound * within
    covered = ((found >= wider.low) & (found <= wider.high)).double().mean().item()
    assert covered >= 0.94
    assert covered <= 0.96 or bound > chance
