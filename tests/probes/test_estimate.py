"""A number, its interval, and what widens it."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from probes.estimate import Estimate


def test_the_interval_of_replicates_is_the_normal_one():
    generator = torch.Generator().manual_seed(0)
    replicates = 3 + 0.5 * torch.randn(4001, dtype=torch.float64, generator=generator)
    replicates[0] = 3.0
    found = Estimate.of(replicates, 0.95)
    assert found.value == 3.0
    assert (found.low, found.high) == pytest.approx((3 - 0.98, 3 + 0.98), abs=0.03)


@given(st.floats(0, 5), st.floats(0, 5))
def test_an_error_that_is_no_chance_is_added_to_either_side(chance, error):
    wider = Estimate(1.0, 1.0 - chance, 1.0 + chance).widened(error)
    assert wider.value == 1.0
    assert wider.high - 1 == pytest.approx(chance + error)
    assert 1 - wider.low == pytest.approx(chance + error)
