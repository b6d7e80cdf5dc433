"""Best-matching steps: peaks known in advance, and the same polynomial by NumPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from probes.matching import BEFORE_FIRST, StepGrid, best_match, interpolation_error

LINEAR = StepGrid.linear(40.0)
LOG = StepGrid.log(2.0**14)
GRIDS = {"linear": LINEAR, "whole": StepGrid.linear(20.0, 1.0), "log": LOG}
grids = st.sampled_from(sorted(GRIDS)).map(GRIDS.__getitem__)


def noise(seed, *shape):
    return torch.rand(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def hill(coordinates, centre, width):
    """Smooth, higher to the left of its peak at `centre` than to the right: 0.97 at most."""
    u = (coordinates - centre) / width
    return 0.97 * torch.exp(-(torch.exp(u) - 1 - u))


class TestStepGrid:
    @given(st.floats(0.5, 50), st.sampled_from([0.25, 0.5, 1.0]))
    def test_linear_is_evenly_spaced_from_zero(self, largest, spacing):
        grid = StepGrid.linear(largest, spacing)
        assert grid.steps[0] == 0
        assert np.diff(grid.steps) == pytest.approx(spacing)
        assert abs(grid.steps[-1] - largest) <= spacing / 2

    @given(st.integers(1, 20), st.integers(1, 12))
    def test_log_holds_small_whole_steps_and_powers_of_two(self, octaves, per_octave):
        grid = StepGrid.log(2.0**octaves, per_octave)
        wanted = {0.0, *range(1, min(17, 2**octaves + 1)), *(2.0**k for k in range(octaves + 1))}
        assert wanted <= set(grid.steps)
        assert grid.steps[-1] == 2.0**octaves
        beyond = [step for step in grid.steps if step >= 16]
        assert np.diff(np.log2(beyond)) == pytest.approx(1 / per_octave)

    @given(grids)
    def test_at_undoes_coordinates(self, grid):
        coordinates = grid.coordinates()
        assert (coordinates.diff() > 0).all()
        assert torch.allclose(grid.at(coordinates), grid.tensor())

    @given(grids)
    def test_whole_finds_what_has_no_fraction(self, grid):
        chosen = [grid.steps[index] for index in grid.whole().tolist()]
        assert chosen == [step for step in grid.steps if step == int(step)]

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda: StepGrid(()), "at least one"),
            (lambda: StepGrid((0.0, 2.0, 2.0)), "increase"),
            (lambda: StepGrid((-1.0, 2.0)), "at least 0"),
            (lambda: StepGrid((0.0, math.nan)), "finite"),
            (lambda: StepGrid((0.0, math.inf)), "finite"),
            (lambda: StepGrid((0.0, 0.5, 1.0), "log"), "log grid"),
            (lambda: StepGrid.linear(3.0, 0.0), "spacing must be above 0"),
            (lambda: StepGrid.linear(-3.0), "at least one"),
            (lambda: StepGrid.log(64.0, 0), "per_octave"),
            (lambda: StepGrid.log(math.inf), "largest"),
        ],
    )
    def test_refuses(self, make, message):
        with pytest.raises(ValueError, match=message):
            make()


class TestBestMatch:
    @settings(max_examples=40)
    @given(st.floats(0.75, 39.25), st.floats(1.0, 10.0))
    def test_finds_a_real_valued_peak_on_a_linear_grid(self, centre, width):
        found = best_match(hill(LINEAR.coordinates(), centre, width)[None], LINEAR)
        assert found.step.item() == pytest.approx(centre, abs=0.01 * 0.25)
        assert found.similarity.item() == pytest.approx(0.97, abs=2e-4)
        assert found.whole_step.item() in (math.floor(centre), math.ceil(centre))

    @settings(max_examples=40)
    @given(st.floats(1.5, 13.5), st.floats(1.5, 8.0))
    def test_finds_a_real_valued_peak_on_a_log_grid(self, centre, width):
        found = best_match(hill(LOG.coordinates(), centre, width)[None], LOG)
        spacing = 1 / 8 if centre > 4 else math.log2(1 + 2**-centre)
        assert math.log2(found.step.item()) == pytest.approx(centre, abs=0.02 * max(spacing, 0.1))
        assert found.similarity.item() == pytest.approx(0.97, abs=5e-4)

    @settings(max_examples=40)
    @given(st.integers(0, 2**31), grids)
    def test_is_the_peak_of_the_quartic_that_numpy_draws(self, seed, grid):
        values = noise(seed, 1, len(grid.steps))
        best = values.argmax().item()
        found = best_match(values, grid)
        if best in (0, len(grid.steps) - 1):
            assert found.step.item() == grid.steps[best]
            return
        still = int(grid.steps[0] == 0)  # the step that no polynomial goes through
        x, start = grid.coordinates().numpy(), min(max(best - 2, still), len(grid.steps) - 5)
        part = slice(start, start + 5)
        quartic = np.polynomial.Polynomial.fit(x[part], values[0, part].numpy(), 4)
        is_first = still == 1 and best == 1  # a peak may lie a quarter of the gap before it
        lowest = x[1] - BEFORE_FIRST * (x[2] - x[1]) if is_first else x[max(best - 1, still)]
        heights = quartic(np.linspace(lowest, x[best + 1], 20001))
        if is_first and heights.argmax() == 0:  # no peak, but a curve that rises out of sight
            assert found.step.item() == grid.steps[best]
            return
        assert found.similarity.item() == pytest.approx(min(1, heights.max()), abs=1e-6)
        position = grid.coordinates()[best - 1 : best + 2]
        low, high = grid.at(position[0]).item(), grid.at(position[2]).item()
        assert low <= found.step.item() <= high

    @settings(max_examples=25)
    @given(st.integers(1, 30), st.floats(2.0, 8.0))
    def test_what_is_perfect_at_a_grid_step_is_found_there(self, step, width):
        """No similarity exceeds 1, so a skewed curve that reaches it on the grid peaks there."""
        grid = StepGrid.linear(40.0, 1.0)
        x = grid.coordinates() - step
        similarity = (1 - (x / width).tanh().square() * (1 + 0.3 * (x / width).tanh()))[None]
        assert best_match(similarity, grid).step.item() == step
        assert interpolation_error(similarity, grid).item() == 0

    @pytest.mark.parametrize("centre", [-0.03, -0.015, 0.02])
    def test_a_peak_just_before_the_first_step_is_found_where_it_is(self, centre):
        similarity = hill(LOG.coordinates(), centre, 4.0)[None]
        found = best_match(similarity, LOG).step.item()
        assert math.log2(found) == pytest.approx(centre, abs=0.002)

    def test_a_curve_that_rises_towards_no_step_matches_the_first(self):
        similarity = hill(LOG.coordinates(), -0.6, 4.0)[None]
        similarity[:, 0] = 0
        assert best_match(similarity, LOG).step.item() == 1

    def test_no_peak_lies_between_no_step_and_the_first(self):
        grid = StepGrid(tuple(map(float, range(8))))
        jump = torch.tensor([[0.0, 0.9, 0.88, 0.8, 0.7, 0.6, 0.5, 0.4]]).double()
        found = best_match(jump, grid)
        assert 1 <= found.step.item() < 1.5
        assert found.similarity.item() < 0.91
        still = torch.tensor([[0.95, 0.9, 0.88, 0.8, 0.7, 0.6, 0.5, 0.4]]).double()
        assert best_match(still, grid).step.item() == 0

    @settings(max_examples=25)
    @given(st.floats(9.0, 30.0), st.floats(4.0, 10.0))
    def test_the_interpolation_error_is_of_the_size_of_what_is_off_on_a_coarse_grid(
        self, centre, width
    ):
        grid = StepGrid.linear(40.0, 2.0)
        x = (grid.coordinates() - centre) / width
        similarity = (0.9 * (-x.square()).exp() * (1 + 0.1 * x))[None]
        fine = torch.linspace(centre - 3, centre + 3, 60001, dtype=torch.float64)
        z = (fine - centre) / width
        truth = fine[(0.9 * (-z.square()).exp() * (1 + 0.1 * z)).argmax()].item()
        off = abs(best_match(similarity, grid).step.item() - truth)
        error = interpolation_error(similarity, grid).item()
        assert off <= 3 * error + 2e-3
        assert error <= 3 * off + 2e-3

    @pytest.mark.parametrize("name", sorted(GRIDS))
    @pytest.mark.parametrize("end", [0, -1])
    def test_an_end_of_the_grid_is_taken_as_it_is(self, name, end):
        grid = GRIDS[name]
        x = grid.coordinates()
        found = best_match((-(x - x[end]).abs() / 100)[None], grid)
        assert found.step.item() == found.whole_step.item() == grid.steps[end]
        assert found.similarity.item() == 0

    @settings(max_examples=25)
    @given(st.integers(0, 2**31), grids)
    def test_batches_equal_singles_and_never_exceed_one(self, seed, grid):
        table = 1 - noise(seed, 2, 3, len(grid.steps)) * 1e-3
        together = best_match(table, grid)
        assert (together.similarity <= 1).all()
        assert (together.similarity >= table.amax(-1)).all()
        for i in range(2):
            for j in range(3):
                alone = best_match(table[i, j][None], grid)
                for name in ("step", "whole_step", "similarity"):
                    assert torch.allclose(
                        getattr(together, name)[i, j], getattr(alone, name), rtol=1e-9
                    )

    @given(st.integers(0, 2**31), st.integers(1, 4))
    def test_short_grids(self, seed, n_steps):
        grid = StepGrid(tuple(map(float, range(n_steps))))
        values = noise(seed, 1, n_steps)
        found = best_match(values, grid)
        assert found.whole_step.item() == values.argmax().item()
        assert abs(found.step.item() - found.whole_step.item()) <= 1

    def test_without_whole_steps_the_nearest_thing_is_the_best_of_all(self):
        grid = StepGrid((0.25, 0.75, 1.25))
        assert best_match(torch.tensor([[0.1, 0.3, 0.2]]).double(), grid).whole_step.item() == 0.75

    def test_refuses(self):
        with pytest.raises(ValueError, match="similarity has 3 steps on its last axis"):
            best_match(torch.zeros(2, 3).double(), LINEAR)
        table = torch.zeros(2, 3, 161).double()
        table[1, 2, 7] = math.nan
        with pytest.raises(ValueError, match=r"NaN, first at \[1, 2, 7\]"):
            best_match(table, LINEAR)


class TestLocate:
    @settings(max_examples=50)
    @given(grids, st.lists(st.floats(0, 1), min_size=1, max_size=5), st.floats(-3, 3))
    def test_is_exact_on_lines(self, grid, shares, slope):
        x = grid.coordinates()
        where = x[0] + torch.tensor(shares, dtype=torch.float64) * (x[-1] - x[0])
        below, fraction = grid.locate(grid.at(where))
        line = 2 + slope * x
        read = (1 - fraction) * line[below] + fraction * line[below + 1]
        assert ((fraction >= 0) & (fraction <= 1)).all()
        assert torch.allclose(read, 2 + slope * where, atol=1e-9)

    def test_moves_what_lies_outside_to_the_end(self):
        below, fraction = LINEAR.locate([-5.0, 41.0])
        assert (below + fraction).tolist() == [0, len(LINEAR.steps) - 1]
        below, fraction = StepGrid((3.0,)).locate([0.0, 7.0])
        assert below.tolist() == fraction.tolist() == [0, 0]
