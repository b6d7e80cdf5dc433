"""Pairwise tests: under which of two references are the layers likelier?"""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from probes.uncertainty.estimate import Estimate
from probes.verdict import DEFAULT_CRITERIA
from probes.verdict.pairwise_test import PairwiseTest, pairwise_test, read_out

N_LAYERS, N_PROMPTS, N_POINTS = 3, 200, 6


def normal(seed, *shape):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.float64, generator=generator)


def predictors(seed):
    """Targets, and two predictors that are equal on three prompts of four."""
    ys = normal(seed, N_PROMPTS, N_POINTS)
    first = ys + normal(seed + 1, N_LAYERS, N_PROMPTS, N_POINTS)
    second = first.clone()
    n_apart = round(DEFAULT_CRITERIA.disagreeing_share * N_PROMPTS)
    second[:, :n_apart] += 0.7 * normal(seed + 2, N_LAYERS, n_apart, N_POINTS)
    return ys, first, second


@settings(max_examples=10)
@given(st.integers(0, 10**6), st.booleans(), st.floats(0.0, 1.0))
def test_what_the_layers_say_wins(seed, is_first, noise):
    ys, first, second = predictors(seed)
    said = (first if is_first else second) + noise * normal(seed + 3, *first.shape)
    found = pairwise_test(("a", "b"), said, (first, second), ys)
    assert found.loser == ("b" if is_first else "a")
    assert found.winner == ("a" if is_first else "b")
    assert found.n_prompts == round(DEFAULT_CRITERIA.disagreeing_share * N_PROMPTS)
    assert len(found.ahead_by_examples) == N_POINTS - 1


def test_only_prompts_where_they_disagree_are_looked_at():
    ys, first, second = predictors(0)
    said = first + normal(9, *first.shape)
    found = pairwise_test(("a", "b"), said, (first, second), ys)
    n_apart = found.n_prompts
    said[:, n_apart:] = normal(10, N_LAYERS, N_PROMPTS - n_apart, N_POINTS)
    again = pairwise_test(("a", "b"), said, (first, second), ys)
    assert again.ahead.value == pytest.approx(found.ahead.value, abs=1e-12)


def test_twins_and_strangers_part_without_a_loser():
    ys, first, second = predictors(0)
    assert pairwise_test(("a", "b"), first, (second, second), ys).loser is None
    other = ys + normal(30, *first.shape)
    stranger = pairwise_test(("a", "b"), normal(31, *first.shape), (first, other), ys)
    assert (stranger.loser, stranger.winner) == (None, None)


def test_changing_sides_changes_the_sign():
    ys, first, second = predictors(4)
    said = first + normal(5, *first.shape)
    one, other = (
        pairwise_test(names, said, pair, ys)
        for names, pair in ((("a", "b"), (first, second)), (("b", "a"), (second, first)))
    )
    assert one.loser == other.loser == "b"
    assert one.ahead.value == pytest.approx(-other.ahead.value)
    assert one.log_ratio.value == pytest.approx(-other.log_ratio.value)


def test_the_log_ratio_is_that_of_two_normal_likelihoods():
    ys, first, second = predictors(6)
    said = 0.4 + 0.8 * first + 0.5 * normal(7, *first.shape)
    found = pairwise_test(("a", "b"), said, (first, second), ys)
    total = 0.0
    for layer in range(N_LAYERS):
        target = said[layer, :, 1:].flatten()
        misses = []
        for one in (first, second):
            x = one[layer, :, 1:].flatten()
            design = torch.stack([x, torch.ones_like(x)], 1)
            misses.append(target - design @ torch.linalg.lstsq(design, target).solution)
        sd = torch.stack(misses).square().mean().sqrt()
        logs = [torch.distributions.Normal(0.0, sd).log_prob(miss).sum() for miss in misses]
        total += (logs[0] - logs[1]).item()
    assert found.log_ratio.value == pytest.approx(total / N_PROMPTS)


def test_a_small_difference_under_much_noise_is_found():
    ys, first, second = predictors(8)
    close = torch.lerp(first, second, 0.3)
    said = first + 0.5 * normal(30, *first.shape)
    found = pairwise_test(("a", "b"), said, (first, close), ys)
    clarity = [
        look.value / (look.high - look.value)
        for look in (found.log_ratio, found.ahead, *found.ahead_by_examples)
    ]
    assert found.loser == "b"
    assert clarity[0] > max(map(abs, clarity[1:]))


@pytest.mark.parametrize(
    ("low", "high", "loser", "winner"),
    [(-0.1, 0.3, None, None), (0.1, 0.3, "b", "a"), (-0.3, -0.1, "a", "b")],
)
def test_the_loser_is_the_one_under_which_the_layers_are_less_likely(low, high, loser, winner):
    nothing = Estimate(0.0, -0.1, 0.1)
    found = PairwiseTest(("a", "b"), 8, nothing, (nothing,), Estimate((low + high) / 2, low, high))
    assert (found.loser, found.winner) == (loser, winner)
    assert found.bits == pytest.approx(abs(low + high) / 2 / math.log(2))


def test_read_outs_are_least_squares_lines():
    ys = normal(0, 30, 4)
    iterates = torch.stack([normal(1, 30, 4), torch.zeros(30, 4, dtype=torch.float64)])
    fitted = read_out(iterates, ys)
    design = torch.stack([iterates[0].flatten(), torch.ones(120, dtype=torch.float64)], 1)
    expected = design @ torch.linalg.lstsq(design, ys.flatten()[:, None]).solution
    torch.testing.assert_close(fitted[0].flatten(), expected[:, 0])
    torch.testing.assert_close(fitted[1], ys.mean().expand(30, 4))


def test_similarity_by_examples_is_the_difference_of_cosines_at_each_point():
    ys, first, second = predictors(4)
    said = first + normal(9, *first.shape)

    def cosine(iterate, layer, point):
        a, b = (one[layer, :, point] - ys[:, point] for one in (said, iterate))
        return float(a @ b / (a.norm() * b.norm()))

    found = pairwise_test(("a", "b"), said, (first, second), ys)
    for point, estimate in enumerate(found.ahead_by_examples, start=1):
        ahead = [
            cosine(first, layer, point) - cosine(second, layer, point) for layer in range(N_LAYERS)
        ]
        assert estimate.value == pytest.approx(sum(ahead) / N_LAYERS, abs=1e-12)
        assert estimate.low < estimate.value < estimate.high


def test_needs_prompts():
    ys = normal(0, 7, 4)
    with pytest.raises(ValueError, match="at least 8 prompts, got 7"):
        pairwise_test(("a", "b"), ys[None], (ys[None], ys[None]), ys)
