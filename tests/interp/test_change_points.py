"""Change points where the truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interp.study.change_points import Curve, crossing

STEPS = np.array([0, 1, 2, 4, 8, 16, 32, 64, 128, 256])
VALUES = st.lists(st.floats(0, 1), min_size=len(STEPS), max_size=len(STEPS)).map(np.array)


def test_a_straight_line_on_the_log_of_the_step_is_crossed_where_it_is():
    places = np.log2(np.maximum(STEPS, 0.5))
    assert crossing(STEPS, places / 8, 0.55) == pytest.approx(2**4.4)
    assert crossing(STEPS, places / 8, -0.125) == -np.inf
    assert crossing(STEPS, places / 8, -0.0625) == pytest.approx(2**-0.5)
    assert crossing(STEPS, places / 8, 1.01) == np.inf


def test_what_falls_back_has_not_changed_yet():
    values = np.array([0.0, 0, 1, 1, 0, 0, 1, 1, 1, 1])
    assert crossing(STEPS, values, 0.5) == pytest.approx(2**4.5)
    assert crossing(STEPS, values[::-1], 0.5) == np.inf


@given(VALUES, st.floats(0, 1))
def test_before_a_change_point_a_value_is_below_and_from_it_on_none(values, level):
    point = crossing(STEPS, values, level)
    assert (values[np.maximum(STEPS, 0.5) > point * (1 + 1e-9)] >= level).all()
    if np.isfinite(point):
        assert values[np.maximum(STEPS, 0.5) <= point * (1 + 1e-9)][-1] <= level
    else:
        assert (values >= level).all() if point < 0 else values[-1] < level


@given(VALUES, VALUES, VALUES, st.floats(0.1, 0.9), st.booleans())
def test_an_interval_holds_its_change_point(values, down, up, level, rises):
    point, low, high = Curve("", values, values - down, values + up, level, rises).change_point(
        STEPS
    )
    assert low <= point <= high
    falls = Curve("", -values, -values - up, -values + down, -level, not rises)
    assert falls.change_point(STEPS) == (point, low, high)


def test_checkpoints_without_a_value_are_left_out():
    values = np.array([0.0, np.nan, 0, np.nan, 1, 1, 1, 1, 1, np.nan])
    point, low, high = Curve("", values, values, values, 0.5).change_point(STEPS)
    assert point == low == high == pytest.approx(4)  # between steps 2 and 8
    nothing = np.full(len(STEPS), np.nan)
    assert np.isnan(Curve("", nothing, nothing, nothing, 0.5).change_point(STEPS)).all()


@pytest.mark.parametrize("rises", [True, False])
@pytest.mark.parametrize("shared", [0.0, 1.0])
def test_intervals_cover_the_planted_change_point(rises: bool, shared: float):
    """As often as the bands do where checkpoints have their errors in common, else more often."""
    generator = np.random.default_rng(0)
    n, spread = 2000, 0.05
    truth = np.interp(np.log2(np.maximum(STEPS, 0.5)), [2, 6], [0.1, 0.9])
    truth = truth if rises else 1 - truth
    planted = crossing(STEPS, truth if rises else -truth, 0.55 if rises else -0.55)
    noise = generator.normal(size=(n, len(STEPS))) * np.sqrt(1 - shared)
    noise += generator.normal(size=(n, 1)) * np.sqrt(shared)
    seen = truth + spread * noise
    reach = 1.96 * spread
    curves = [Curve("", row, row - reach, row + reach, 0.55, rises) for row in seen]
    ends = np.array([curve.change_point(STEPS) for curve in curves])
    covered = np.mean((ends[:, 1] <= planted) & (planted <= ends[:, 2]))
    assert 0.94 < covered < (0.96 if shared else 1)
    assert np.median(ends[:, 0]) == pytest.approx(planted, rel=0.05)
