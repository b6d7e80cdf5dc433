"""Cells of a calibration: which there are, their models, and what they find."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
import torch
from fake_cells import SMALL
from hypothesis import given
from hypothesis import strategies as st

from hooks.architectures.standard_prompts import standard_prompts
from interp.studies.calibration import run
from interp.studies.calibration.cell import Cell, Control, Question, build
from interp.studies.calibration.grid import MIN_RUNS, SHIPPED_GRIDS, large_samples, read_grid

BLOCK = """
[[block]]
algorithm = ["gd", "newton"]
iterations_per_layer = [1, 2]
n_prompts = 128
"""

cells = st.builds(
    Cell,
    algorithm=st.sampled_from(["newton", "gd", "gdpp"]),
    iterations_per_layer=st.integers(1, 10),
    n_prompts=st.integers(128, 4096),
    noise=st.sampled_from([0.0, 0.1, 0.3]),
    is_rotated=st.booleans(),
    control=st.sampled_from(get_args(Control)),
    seed=st.integers(0, 99),
    question=st.sampled_from(get_args(Question)),
)


@given(cells, cells)
def test_cells_share_a_result_only_if_they_are_the_same(a, b):
    assert (a.key == b.key) == (a == b)


def test_a_result_is_forgotten_when_the_code_of_the_verdict_changes(monkeypatch):
    before = SMALL.key
    monkeypatch.setattr(
        "interp.studies.calibration.cell.code_digest", lambda *packages: " ".join(packages)
    )
    assert replace(SMALL).key != before


@given(cells)
def test_the_seed_and_the_number_of_prompts_leave_the_planted_model_alone(cell):
    other = replace(cell, seed=cell.seed + 1, n_prompts=cell.n_prompts + 1)
    assert other.model_seed == cell.model_seed
    assert replace(cell, noise=cell.noise + 0.5).model_seed != cell.model_seed


@pytest.mark.parametrize(
    "change",
    [{"algorithm": "adam"}, {"control": "x"}, {"n_prompts": 127}, {"noise": -1.0}, {"seed": -1}],
)
def test_impossible_cells_are_refused(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        replace(SMALL, **change)


@pytest.mark.parametrize("name", SHIPPED_GRIDS)
def test_shipped_grids_have_every_algorithm_at_every_noise_and_every_control(name):
    found = read_grid(name)
    assert len(set(found)) == len(found)
    planted = [cell for cell in found if cell.group == "planted"]
    for algorithm in ("newton", "gd", "gdpp"):
        some = [cell for cell in planted if cell.algorithm == algorithm]
        assert len({cell.iterations_per_layer for cell in some}) == 2
        assert {cell.noise for cell in some} == {0.0, 0.1, 0.3}
    assert {cell.control for cell in found} == set(get_args(Control))


def test_the_full_grid_has_runs_enough_for_coverage_and_power():
    found = read_grid("full")
    planted = [cell for cell in found if cell.group == "planted"]
    assert len({cell.n_prompts for cell in planted}) > 3
    assert len({cell.n_dims for cell in planted}) > 1
    assert {cell.is_rotated for cell in planted} == {True, False}
    sampled = {cell.condition for cell in large_samples(found)}
    assert {(cell.algorithm, cell.noise) for cell in sampled} == {
        (algorithm, noise) for algorithm in ("newton", "gd", "gdpp") for noise in (0.1, 0.3)
    }
    assert sum(cell.condition in sampled for cell in planted) >= 400
    assert len(found) - len(planted) >= 200


def test_a_grid_is_every_combination_seed_by_seed(tmp_path):
    file = tmp_path / "grid.toml"
    file.write_text(BLOCK + "n_seeds = 3\n")
    found = read_grid(file)
    assert [cell.seed for cell in found] == [0] * 4 + [1] * 4 + [2] * 4
    assert len(set(found)) == 2 * 2 * 3
    file.write_text("first_seed = 70\n" + BLOCK + "n_seeds = 3\n")
    assert [replace(cell, seed=cell.seed - 70) for cell in read_grid(file)] == list(found)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "block is missing"),
        ("block = []", r"\[\[block\]\]"),
        ("x = 1\n" + BLOCK, "x is unknown"),
        (BLOCK + "speed = 1\n", "block.speed is unknown"),
        (BLOCK + "seed = 1\n", "block.seed is unknown"),
        (BLOCK + "n_seeds = 0\n", r"block.n_seeds must be a whole number in 1\.\.10,000, got 0"),
        (BLOCK + "n_seeds = true\n", "n_seeds"),
        ("first_seed = -1\n" + BLOCK, "first_seed must be at least 0, got -1"),
        ("first_seed = 1.5\n" + BLOCK, "first_seed must be a whole number, got 1.5"),
        (BLOCK + "noise = []\n", "noise has no values"),
        (BLOCK + "n_dims = 0\n", "n_dims must be a whole number of at least 1, got 0"),
        ("[[block]]\nalgorithm = 'gd'\nn_prompts = 128\n", "iterations_per_layer is missing"),
        ("[[block", "grid.toml"),
    ],
)
def test_grids_that_make_no_sense_are_refused_by_name(tmp_path, text, complaint):
    file = tmp_path / "grid.toml"
    file.write_text(text)
    with pytest.raises(ValueError, match=complaint) as caught:
        read_grid(file)
    assert str(file) in str(caught.value)


def test_a_grid_that_is_not_there_is_named_with_those_that_are(tmp_path):
    with pytest.raises(ValueError, match="no grid of that name; shipped grids: quick, full"):
        read_grid(tmp_path / "quck")


def test_large_samples_are_of_noisy_models_run_often_at_their_fewest_prompts():
    noisy = Cell("gd", 1, 128, noise=0.1)
    often = [replace(noisy, seed=seed) for seed in range(MIN_RUNS)]
    found = large_samples(
        [
            *(replace(cell, n_prompts=256) for cell in often),
            *often,
            *(replace(cell, noise=0.0) for cell in often),
            *(replace(cell, control="random weights") for cell in often),
            *(replace(cell, algorithm="ogd") for cell in often),
            *(replace(cell, noise=0.3) for cell in often[1:]),
        ]
    )
    assert found == (replace(noisy, question="large sample"),)


@pytest.mark.parametrize("control", ["shuffled pairs", "exchanged prompts"])
def test_reordering_controls_compute_on_reordered_prompts_only(control):
    plain = build(SMALL, 3)
    model = build(replace(SMALL, control=control), 3)
    xs, ys = standard_prompts(plain.config, 40)
    seen = []
    model.register_forward_hook(lambda module, args, output: seen.append(args))
    prediction = model(xs, ys)
    read_xs, read_ys = seen[0]
    torch.testing.assert_close(prediction, plain(read_xs, read_ys))
    assert not (read_ys == ys).any()
    if control == "shuffled pairs":
        assert torch.equal(read_xs, xs)
        assert torch.equal(read_ys.sort(dim=1).values, ys.sort(dim=1).values)
    else:
        places = [int((xs == row).all(dim=(1, 2)).nonzero()) for row in read_xs]
        assert sorted(places) == list(range(40))
        assert torch.equal(read_ys, ys[places])


def test_a_large_sample_of_a_noisy_model_comes_near_what_was_planted(monkeypatch):
    monkeypatch.setattr(run, "TIMES", 4)
    cell = Cell("gd", 1, 128, noise=0.1, n_dims=3, n_layers=4, question="large sample")
    found = run.run_cell(cell)
    assert found["n_prompts"] == 512
    assert found["steps"]["prediction"] == pytest.approx([0, 1, 2, 3, 4], rel=0.1)


def test_protocols_with_read_outs_find_what_was_planted_and_the_raw_one_is_too_far():
    found = run.run_cell(Cell("gd", 2, 128, n_dims=2, n_layers=3, question="protocols"))
    assert found["layer"] == [1, 2, 3]
    assert found["planted"] == pytest.approx([2, 4, 6])
    for name in ("matched", "direct"):
        assert found[name] == pytest.approx(found["planted"], rel=0.1)
    assert (np.array(found["raw"]) > found["planted"]).all()
