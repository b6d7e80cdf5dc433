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


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10**6), st.booleans(), st.floats(0.0, 1.0))
def test_what_the_layers_say_wins(seed, is_first, noise):
    ys, first, second = predictors(seed)
    said = (first if is_first else second) + noise * normal(seed + 3, *first.shape)
    found = duel(("a", "b"), said, (first, second), ys)
    assert found.loser == ("b" if is_first else "a")
    assert f"behind {'a' if is_first else 'b'}" in found.reason
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


def looks(*values):
    return tuple(Estimate(value, value - 0.1, value + 0.1) for value in values)


@pytest.mark.parametrize(
    ("by_examples", "loser", "reason"),
    [
        ((0.0, 0.0), None, ""),
        ((0.0, 0.2), "b", "stays 0.2000 behind a after 2 examples"),
        ((-0.3, 0.0), "a", "stays 0.3000 behind b after 1 examples"),
        ((-0.3, 0.2), None, ""),
    ],
)
def test_who_is_behind_somewhere_and_ahead_nowhere_loses(by_examples, loser, reason):
    found = Duel(("a", "b"), 8, looks(0.0)[0], looks(*by_examples))
    assert (found.loser, found.reason) == (loser, reason)


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
