"""Duels: who is nearer to what layers say, where two references disagree."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from probes.duel import DISAGREEING_SHARE, Duel, duel, read_out
from probes.estimate import Estimate

N_LAYERS, N_PROMPTS, N_POINTS = 3, 200, 6


def normal(seed, *shape):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.float64, generator=generator)


def predictors(seed):
    """Targets, and two predictors that are equal on three prompts of four."""
    ys = normal(seed, N_PROMPTS, N_POINTS)
    first = ys + normal(seed + 1, N_LAYERS, N_PROMPTS, N_POINTS)
    second = first.clone()
    n_apart = round(DISAGREEING_SHARE * N_PROMPTS)
    second[:, :n_apart] += 0.7 * normal(seed + 2, N_LAYERS, n_apart, N_POINTS)
    return ys, first, second


@settings(max_examples=10)
@given(st.integers(0, 10**6), st.booleans(), st.floats(0.0, 1.0))
def test_what_the_layers_say_wins(seed, is_first, noise):
    ys, first, second = predictors(seed)
    said = (first if is_first else second) + noise * normal(seed + 3, *first.shape)
    found = duel(("a", "b"), said, (first, second), ys)
    assert found.loser == ("b" if is_first else "a")
    assert f"than under {'a' if is_first else 'b'} (" in found.reason
    assert found.n_prompts == round(DISAGREEING_SHARE * N_PROMPTS)
    assert len(found.ahead_by_examples) == N_POINTS - 1


def test_only_prompts_where_they_disagree_are_looked_at():
    ys, first, second = predictors(0)
    said = first + normal(9, *first.shape)
    found = duel(("a", "b"), said, (first, second), ys)
    n_apart = found.n_prompts
    said[:, n_apart:] = normal(10, N_LAYERS, N_PROMPTS - n_apart, N_POINTS)
    again = duel(("a", "b"), said, (first, second), ys)
    assert again.ahead.value == pytest.approx(found.ahead.value, abs=1e-12)


def test_twins_and_strangers_part_without_a_loser():
    ys, first, second = predictors(0)
    assert duel(("a", "b"), first, (second, second), ys).loser is None
    other = ys + normal(30, *first.shape)
    stranger = duel(("a", "b"), normal(31, *first.shape), (first, other), ys)
    assert (stranger.loser, stranger.reason) == (None, "")


def test_changing_sides_changes_the_sign():
    ys, first, second = predictors(4)
    said = first + normal(5, *first.shape)
    one, other = (
        duel(names, said, pair, ys)
        for names, pair in ((("a", "b"), (first, second)), (("b", "a"), (second, first)))
    )
    assert one.loser == other.loser == "b"
    assert one.ahead.value == pytest.approx(-other.ahead.value)
    assert one.log_ratio.value == pytest.approx(-other.log_ratio.value)


def test_the_log_ratio_is_that_of_two_normal_likelihoods():
    ys, first, second = predictors(6)
    said = 0.4 + 0.8 * first + 0.5 * normal(7, *first.shape)
    found = duel(("a", "b"), said, (first, second), ys)
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
    found = duel(("a", "b"), said, (first, close), ys)
    clarity = [
        look.value / (look.high - look.value)
        for look in (found.log_ratio, found.ahead, *found.ahead_by_examples)
    ]
    assert found.loser == "b"
    assert clarity[0] > max(map(abs, clarity[1:]))


@pytest.mark.parametrize(
    ("low", "high", "loser", "reason"),
    [
        (-0.1, 0.3, None, ""),
        (0.1, 0.3, "b", "what the layers say is less likely under it than under a (0.29 bits"),
        (-0.3, -0.1, "a", "what the layers say is less likely under it than under b (0.29 bits"),
    ],
)
def test_who_makes_the_layers_less_likely_loses(low, high, loser, reason):
    nothing = Estimate(0.0, -0.1, 0.1)
    found = Duel(("a", "b"), 8, nothing, (nothing,), Estimate((low + high) / 2, low, high))
    assert found.loser == loser
    assert found.reason.startswith(reason)


def test_read_outs_are_least_squares_lines():
    ys = normal(0, 30, 4)
    iterates = torch.stack([normal(1, 30, 4), torch.zeros(30, 4, dtype=torch.float64)])
    fitted = read_out(iterates, ys)
    design = torch.stack([iterates[0].flatten(), torch.ones(120, dtype=torch.float64)], 1)
    expected = design @ torch.linalg.lstsq(design, ys.flatten()[:, None]).solution
    torch.testing.assert_close(fitted[0].flatten(), expected[:, 0])
    torch.testing.assert_close(fitted[1], ys.mean().expand(30, 4))


def test_needs_prompts():
    ys = normal(0, 7, 4)
    with pytest.raises(ValueError, match="at least 8 prompts, got 7"):
        duel(("a", "b"), ys[None], (ys[None], ys[None]), ys)
