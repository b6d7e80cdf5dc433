"""Ramps between the steps of a grid: planted ones are found to a fraction of its spacing."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from probes.matching import StepGrid
from probes.verdict.constant_rate_fit import ConstantRateFit, end_step_spacing, fit_constant_rate
from probes.verdict.constant_rate_refinement import refine_constant_rate

GRIDS = {"linear": StepGrid.linear(40.0, 1.0), "log": StepGrid.log(2.0**10)}
N_LAYERS = 6


def table(grid, steps, width=6.0):
    """Every layer's similarity is highest at its step and falls smoothly, without end effects."""
    peaks = torch.tensor(steps, dtype=torch.float64)
    if grid.spacing == "log":
        peaks = peaks.log2()
    return 0.95 * torch.exp(-((grid.coordinates() - peaks[:, None]) ** 2) / width**2)[None]


def refined(similarity, grid):
    ramp = fit_constant_rate(similarity, grid)
    return ramp, refine_constant_rate(ramp, similarity, grid, reach=end_step_spacing(grid))


@settings(max_examples=10)
@given(
    st.sampled_from(sorted(GRIDS)),
    st.floats(2.5, 4.0),
    st.floats(1.0, 5.0),
    st.tuples(st.floats(-0.9, 0.9), st.floats(-0.9, 0.9)),
)
def test_finds_planted_ends_between_grid_steps(spacing, first, rate, away):
    grid = GRIDS[spacing]
    steps = torch.tensor([first + rate * layer for layer in range(N_LAYERS)], dtype=torch.float64)
    similarity = table(grid, steps.tolist())
    reach = end_step_spacing(grid)
    ends = steps[[0, -1]]
    ends = ends if spacing == "linear" else ends.log2()
    ends = grid.at(ends + reach * torch.tensor(away, dtype=torch.float64))
    zero = torch.zeros(1, dtype=torch.float64)
    ramp = ConstantRateFit(
        zero, zero, zero + N_LAYERS - 1, ends[:1], ends[1:], torch.arange(N_LAYERS).double()
    )
    found = refine_constant_rate(ramp, similarity, grid, reach=reach)
    assert found.score.item() == pytest.approx(0.95, abs=5e-4)
    assert found.rate.item() == pytest.approx(rate, rel=0.02)
    assert found.steps[0].tolist() == pytest.approx(steps.tolist(), rel=0.02)


@settings(max_examples=10)
@given(st.sampled_from(sorted(GRIDS)), st.lists(st.floats(1.5, 30.0), min_size=4, max_size=6))
def test_never_loses_similarity_on_smooth_tables(spacing, steps):
    grid = GRIDS[spacing]
    ramp, found = refined(table(grid, steps), grid)
    assert found.score.item() >= ramp.score.item() - 3e-3
    assert (found.first_layer, found.last_layer) == (ramp.first_layer, ramp.last_layer)
    assert found.first_step.item() < found.last_step.item()


def test_nothing_is_read_off_a_curve_between_no_step_and_the_first():
    """A similarity that jumps after 0 steps must not look higher between 1 and 2."""
    grid = StepGrid(tuple(map(float, range(9))))
    similarity = torch.full((1, 4, 9), 0.5, dtype=torch.float64)
    similarity[..., 0] = 0.0
    similarity[:, torch.arange(4), torch.arange(1, 5)] = 0.52
    ramp, found = refined(similarity, grid)
    assert ramp.score.item() == pytest.approx(0.52)
    assert found.score.item() == pytest.approx(0.52, abs=2e-3)


@pytest.mark.parametrize("spacing", GRIDS)
def test_a_growth_may_end_at_the_last_step_of_the_grid(spacing):
    grid = GRIDS[spacing]
    last = grid.steps[-1]
    _, found = refined(table(grid, [last * (1 + layer) / 4 for layer in range(4)]), grid)
    assert found.last_step.item() == pytest.approx(last, rel=0.02)
    assert found.last_step.item() <= last


def test_refuses_to_move_by_nothing():
    similarity = table(GRIDS["linear"], [2.0, 4.0, 6.0])
    ramp = fit_constant_rate(similarity, GRIDS["linear"])
    with pytest.raises(ValueError, match="reach"):
        refine_constant_rate(ramp, similarity, GRIDS["linear"], reach=0.0)
