"""Noise is no misfit; another algorithm is one."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from probes.uncertainty.estimate import Estimate
from probes.verdict import DEFAULT_CRITERIA, LackOfFit, Verdict
from probes.verdict.lack_of_fit import lack_of_fit

N_LAYERS, N_PROMPTS, N_POINTS = 4, 160, 6
LARGEST = DEFAULT_CRITERIA.largest_misfit


def is_large(found):
    return Verdict(("a",), None, None, lack_of_fit=found).has_large_misfit


def normal(seed, *shape):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.float64, generator=generator)


def iterates_and_ys(seed):
    ys = normal(seed, N_PROMPTS, N_POINTS)
    steps = torch.linspace(0.9, 0.2, N_LAYERS, dtype=torch.float64)[:, None, None]
    return ys + steps * normal(seed + 1, N_PROMPTS, N_POINTS), ys


OTHERS = normal(77, 5, N_PROMPTS, N_POINTS)


@settings(max_examples=10, deadline=None)
@given(st.integers(100, 10**6), st.floats(0.01, 1.0), st.floats(0.2, 3.0))
def test_noise_of_every_layer_is_unshared_but_not_systematic(seed, noise, scale):
    iterates, ys = iterates_and_ys(seed)
    added = noise * normal(seed + 2, *iterates.shape)
    found = lack_of_fit("a", scale * iterates + added, iterates, OTHERS, scale * ys)
    assert not is_large(found)
    errors = (scale * (iterates - ys) + added).square().sum((1, 2))
    expected = (added.square().sum((1, 2)) / errors).mean().item()
    assert found.unshared.value == pytest.approx(expected, rel=0.1)
    assert abs(found.systematic.value) < 0.05 * found.unshared.value + 1e-6


@settings(max_examples=10, deadline=None)
@given(st.integers(100, 10**6), st.floats(0.5, 1.0))
def test_what_layers_hand_on_is_systematic(seed, size):
    iterates, ys = iterates_and_ys(seed)
    other = size * normal(seed + 2, N_PROMPTS, N_POINTS)
    found = lack_of_fit("a", iterates + other, iterates, OTHERS, ys)
    assert is_large(found)
    assert found.systematic_share == pytest.approx(1.0, abs=0.02)


def test_what_another_reference_explains_is_systematic_in_a_single_layer():
    iterates, ys = iterates_and_ys(3)
    found = lack_of_fit("a", iterates[:1] + 0.7 * OTHERS[2], iterates[:1], OTHERS, ys)
    assert found.systematic_share == pytest.approx(1.0, abs=0.02)
    unknown = lack_of_fit("a", iterates[:1] + 0.7 * normal(5, *ys.shape), iterates[:1], OTHERS, ys)
    assert not is_large(unknown)
    assert unknown.systematic_share < 0.05


def test_an_affine_map_of_the_iterate_fits():
    iterates, ys = iterates_and_ys(4)
    found = lack_of_fit("a", 0.3 - 2.0 * iterates, iterates, OTHERS, ys)
    assert found.unshared.value == pytest.approx(0.0, abs=1e-20)
    assert not is_large(found)


def test_the_misfit_is_large_only_beyond_chance():
    whole = Estimate(0.5, 0.4, 0.6)
    sizes = Estimate(0.06, LARGEST - 0.001, 0.1), Estimate(0.06, LARGEST + 0.001, 0.1)
    assert [is_large(LackOfFit("a", whole, size)) for size in sizes] == [False, True]


def test_refuses_what_it_cannot_judge():
    iterates, ys = iterates_and_ys(5)
    with pytest.raises(ValueError, match="at least 8 prompts, got 7"):
        lack_of_fit("a", iterates[:, :7], iterates[:, :7], OTHERS[:, :7], ys[:7])
    broken = iterates.clone()
    broken[1, 2, 3] = torch.nan
    with pytest.raises(ValueError, match="predictions hold NaN"):
        lack_of_fit("a", broken, iterates, OTHERS, ys)
