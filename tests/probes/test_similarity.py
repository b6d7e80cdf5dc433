"""Similarity of errors against a loop over prompts, and at the edges of the number range."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from probes.similarity import (
    error_cosines,
    error_directions,
    group_similarity,
    point_similarity,
    similarity_of_errors,
    weight_cosines,
)

SEEDS = st.integers(0, 2**32 - 1)
CONVENTIONS = st.sampled_from(["paper", "official"])


def draw(seed, n_a=3, n_b=2, n_prompts=4, n_points=5):
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, dtype=torch.float64, generator=generator)

    return (
        normal(n_a, n_prompts, n_points),
        normal(n_b, n_prompts, n_points),
        normal(n_prompts, n_points),
    )


def by_loop(a, b, ys, first):
    """SimE as the paper writes it: one pair of predictors and one prompt after the other."""
    a, b, ys = a.numpy(), b.numpy(), ys.numpy()
    table = np.zeros((len(a), len(b)))
    for i in range(len(a)):
        for j in range(len(b)):
            cosines = []
            for prompt in range(len(ys)):
                u = a[i, prompt, first:] - ys[prompt, first:]
                v = b[j, prompt, first:] - ys[prompt, first:]
                cosines.append(u @ v / math.sqrt((u @ u) * (v @ v)))
            table[i, j] = np.mean(cosines)
    return table


@settings(max_examples=20)
@given(SEEDS, CONVENTIONS, st.integers(2, 6))
def test_equals_a_loop_over_prompts(seed, convention, n_points):
    a, b, ys = draw(seed, n_points=n_points)
    u, v = (error_directions(p, ys, convention) for p in (a, b))
    expected = by_loop(a, b, ys, {"paper": 1, "official": 0}[convention])
    np.testing.assert_allclose(similarity_of_errors(u, v).numpy(), expected, atol=1e-12)
    np.testing.assert_allclose(error_cosines(u, v).mean(-1).numpy(), expected, atol=1e-12)


@settings(max_examples=20)
@given(SEEDS, st.floats(1e-100, 1e100))
def test_only_the_direction_of_errors_counts(seed, scale):
    a, _, _ = draw(seed)
    ys = torch.zeros_like(a[0])  # so that predictions are errors
    u = error_directions(a, ys)
    assert torch.allclose(error_directions(scale * a, ys), u, atol=1e-14)
    own = similarity_of_errors(u, u).diagonal()
    assert torch.allclose(own, torch.ones_like(own))
    opposite = similarity_of_errors(u, error_directions(-a, ys)).diagonal()
    assert torch.allclose(opposite, -torch.ones_like(own))


@pytest.mark.parametrize("scale", [1e-200, 1e-310, 1e200, 1e307])
def test_squares_may_leave_the_number_range(scale):
    a, b, _ = draw(0)
    ys = torch.zeros_like(a[0])
    plain = similarity_of_errors(error_directions(a, ys), error_directions(b, ys))
    a[0, 1] *= scale  # one prompt of one predictor, its neighbours being ordinary
    scaled = similarity_of_errors(error_directions(a, ys), error_directions(b, ys))
    assert torch.allclose(scaled, plain, atol=1e-9)


def test_no_error_is_similar_to_nothing():
    a, b, ys = draw(1)
    a[1, 2] = ys[2]
    cosines = error_cosines(error_directions(a, ys), error_directions(b, ys))
    assert (cosines[1, :, 2] == 0).all()
    assert (cosines[0] != 0).all()


def test_the_first_point_counts_in_the_official_convention_only():
    a, _, ys = draw(2)
    changed = a.clone()
    changed[..., 0] += 3
    for convention, is_same in (("paper", True), ("official", False)):
        before, after = (error_directions(p, ys, convention) for p in (a, changed))
        assert torch.equal(before, after) is is_same


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_named_with_its_place(bad):
    a, _, ys = draw(3)
    a[2, 1, 4] = bad
    with pytest.raises(ValueError, match=r"NaN or infinity, first at .*prompt\] \[2, 1\]"):
        error_directions(a, ys)
    with pytest.raises(ValueError, match=r"first at \[predictor, point\] \[2, 4\]"):
        point_similarity(a, a, ys)
    with pytest.raises(ValueError, match=r"weights hold .* \[2, 1\]"):
        weight_cosines(a, a)


def test_bad_arguments():
    a, _, ys = draw(4)
    with pytest.raises(ValueError, match="convention must be one of paper, official"):
        error_directions.__wrapped__(a, ys, "theirs")
    with pytest.raises(ValueError, match="prompts of 1 point"):
        error_directions(a[..., :1], ys[:, :1])
    u = error_directions(a, ys)
    for n_groups in (0, 3, 8):
        with pytest.raises(ValueError, match="n_groups must divide the 4 prompts"):
            group_similarity(u, u, n_groups)


@settings(max_examples=15)
@given(SEEDS, st.sampled_from([1, 2, 3, 6, 12]))
def test_groups_average_to_the_whole_and_are_their_own_prompts(seed, n_groups):
    a, b, ys = draw(seed, n_prompts=12)
    u, v = error_directions(a, ys), error_directions(b, ys)
    groups = group_similarity(u, v, n_groups)
    assert torch.allclose(groups.mean(0), similarity_of_errors(u, v))
    size = 12 // n_groups
    last = similarity_of_errors(u[:, -size:], v[:, -size:])
    assert torch.allclose(groups[-1], last)


def test_point_similarity_by_hand():
    ys = torch.zeros(2, 3, dtype=torch.float64)
    a = torch.tensor([[[3.0, 1.0, 1e-200], [4.0, 0.0, 0.0]]], dtype=torch.float64)
    b = torch.tensor([[[4.0, 0.0, -1e-200], [3.0, 1.0, 0.0]]], dtype=torch.float64)
    expected = torch.tensor([[24 / 25, 0.0, -1.0]], dtype=torch.float64)
    assert torch.allclose(point_similarity(a, b, ys), expected)
    assert torch.allclose(point_similarity(a + 1, b + 1, ys + 1)[:, :2], expected[:, :2])


def test_weight_cosines_by_hand():
    a = torch.tensor([[3.0, 4.0], [0.0, 0.0], [1e200, 0.0], [1.0, 1.0]], dtype=torch.float64)
    b = torch.tensor([[4.0, 3.0], [1.0, 0.0], [-1e-200, 0.0], [1.0, 0.0]], dtype=torch.float64)
    expected = torch.tensor([24 / 25, 0.0, -1.0, math.sqrt(0.5)], dtype=torch.float64)
    assert torch.allclose(weight_cosines(a, b), expected)
