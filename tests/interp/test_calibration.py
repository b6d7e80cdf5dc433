"""Calibration: which cells run, where, and what their outcomes add up to."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import get_args
from xml.etree import ElementTree

import fake_cells
import numpy as np
import pytest
import torch
import xarray
from chromium import visit
from fake_cells import MEASURE, outcome
from hypothesis import given
from hypothesis import strategies as st
from playwright.sync_api import Browser
from processes import Command, die_before_write
from scipy.stats import binomtest

from hooks.architectures.standard_prompts import standard_prompts
from interp.analyses.examination import verdict_on
from interp.analyses.match_settings import MatchSettings
from interp.calibration.cell import Cell, Control
from interp.calibration.coverage import Coverage, coverage
from interp.calibration.dataset import calibration_dataset
from interp.calibration.figures import pictures
from interp.calibration.grid import SHIPPED_GRIDS, read_grid
from interp.calibration.large_sample import (
    MIN_RUNS,
    LargeSample,
    conditions,
    large_samples,
    take_large_sample,
)
from interp.calibration.models import build
from interp.calibration.outcome import Outcome, run_cell
from interp.calibration.page import calibration_html
from interp.calibration.protocols import ProtocolSteps, compare_protocols
from interp.calibration.quoting import quoted_error_rate
from interp.calibration.rates import summarise, tally_by
from interp.calibration.running import run_cells
from interp.calibration.static import static_svgs
from interp.calibration.store import OutcomeStore
from interp.calibration.tables import conclusions, tables
from interp.calibration.tally import Tally, wilson
from interp.cli import main
from interp.jobs.pool import Pool

SMALL = Cell("newton", 1, 128, n_dims=2, n_layers=3)
TINY_GRID = """
[[block]]
algorithm = "newton"
iterations_per_layer = 1
n_prompts = 128
n_dims = 3
n_layers = 4
control = ["planted", "exchanged prompts"]
"""

cells = st.builds(
    Cell,
    algorithm=st.sampled_from(["newton", "gd", "gdpp"]),
    iterations_per_layer=st.integers(1, 10),
    n_prompts=st.integers(128, 4096),
    noise=st.sampled_from([0.0, 0.1, 0.3]),
    is_rotated=st.booleans(),
    n_dims=st.integers(1, 9),
    n_layers=st.integers(3, 9),
    control=st.sampled_from(get_args(Control)),
    seed=st.integers(0, 99),
)
answers = st.sampled_from(["newton", "gd", "gd++", "none", "undecided"])
given_answers = st.lists(st.tuples(cells, answers), min_size=1, max_size=30)


@given(cells, cells)
def test_cells_have_one_file_each(a, b):
    assert (a.key == b.key) == (a == b)


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
def test_shipped_grids_ask_what_a_calibration_is_to_answer(name):
    found = read_grid(name).cells
    assert len(set(found)) == len(found)
    planted = [cell for cell in found if cell.control == "planted"]
    for algorithm in ("newton", "gd", "gdpp"):
        rates = {c.iterations_per_layer for c in planted if c.algorithm == algorithm}
        noises = {c.noise for c in planted if c.algorithm == algorithm}
        assert len(rates) == 2
        assert noises == {0.0, 0.1, 0.3}
    assert {cell.control for cell in found if cell.expected == "none"} == {
        "random weights",
        "shuffled pairs",
        "exchanged prompts",
        "reference withheld",
    }


def test_the_full_grid_has_runs_enough_for_coverage_and_power():
    planted = [cell for cell in read_grid("full").cells if cell.control == "planted"]
    assert len({cell.n_prompts for cell in planted}) > 3
    assert len({cell.n_dims for cell in planted}) > 1
    assert {cell.is_rotated for cell in planted} == {True, False}
    sampled = conditions(planted)
    assert {(c.algorithm, c.noise) for c in sampled} == {
        (algorithm, noise) for algorithm in ("newton", "gd", "gdpp") for noise in (0.1, 0.3)
    }
    assert sum(cell.condition in sampled for cell in planted) >= 400
    assert sum(cell.expected == "none" for cell in read_grid("full").cells) >= 200


def test_a_grid_is_every_combination_seed_by_seed(tmp_path):
    file = tmp_path / "grid.toml"
    file.write_text(
        '[[block]]\nalgorithm = ["gd", "newton"]\niterations_per_layer = [1, 2]\n'
        "n_prompts = 128\nn_seeds = 3\n"
    )
    found = read_grid(file).cells
    assert len(found) == 2 * 2 * 3
    assert [cell.seed for cell in found] == [0] * 4 + [1] * 4 + [2] * 4


def test_a_grid_says_where_its_seeds_start(tmp_path):
    file = tmp_path / "grid.toml"
    file.write_text("first_seed = 70\n" + TINY_GRID + "n_seeds = 3\n")
    found = read_grid(file).cells
    assert sorted({cell.seed for cell in found}) == [70, 71, 72]
    file.write_text(TINY_GRID + "n_seeds = 3\n")
    assert [replace(cell, seed=cell.seed + 70) for cell in read_grid(file).cells] == list(found)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", r"no \[\[block\]\]"),
        ("x = 1\n" + TINY_GRID, "found x"),
        (TINY_GRID + "speed = 1\n", "speed"),
        (TINY_GRID + "n_seeds = 0\n", "n_seeds must be a whole number of at least 1, got 0"),
        (TINY_GRID + "n_seeds = true\n", "n_seeds"),
        ("first_seed = -1\n" + TINY_GRID, "first_seed must be a whole number of at least 0"),
        ("first_seed = 1.5\n" + TINY_GRID, "first_seed"),
        (TINY_GRID + "noise = []\n", "noise has no values"),
        ("[[block]]\nalgorithm = 'gd'\nn_prompts = 128\n", "iterations_per_layer"),
        ("[[block]]\nalgorithm = 'gd'\niterations_per_layer = 0\nn_prompts = 128\n", "at least 1"),
        ("[[block", "grid.toml"),
    ],
)
def test_grids_that_make_no_sense_are_refused_by_name(tmp_path, text, complaint):
    file = tmp_path / "grid.toml"
    file.write_text(text)
    with pytest.raises(ValueError, match=complaint) as caught:
        read_grid(file)
    assert str(file) in str(caught.value)


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


@given(given_answers)
def test_outcomes_survive_the_disk(pairs):
    for item in (outcome(*pair) for pair in pairs):
        assert Outcome.from_description(json.loads(json.dumps(item.describe()))) == item


def test_a_file_of_something_else_is_not_taken_for_an_outcome(tmp_path):
    store = OutcomeStore(tmp_path)
    assert store.get(SMALL) is None
    for text in ("{", "[]", "{}", '{"cell": 1}'):
        store.path(SMALL).write_text(text)
        with pytest.raises(ValueError, match=SMALL.key):
            store.get(SMALL)
    store.put(outcome(SMALL))
    store.path(SMALL).rename(store.path(replace(SMALL, seed=1)))
    with pytest.raises(ValueError, match="another cell"):
        store.get(replace(SMALL, seed=1))


def many(n: int) -> tuple[Cell, ...]:
    return tuple(replace(SMALL, seed=seed) for seed in range(n))


def test_what_the_store_has_is_not_run_again(tmp_path):
    store, ran = OutcomeStore(tmp_path), []

    def run(cell: Cell) -> Outcome:
        ran.append(cell.seed)
        if cell.seed == 3 and ran.count(3) == 1:
            raise KeyboardInterrupt
        return fake_cells.run(cell)

    with pytest.raises(KeyboardInterrupt):
        run_cells(many(6), store, run=run)
    assert ran == [0, 1, 2, 3]
    ticks = []
    found = run_cells(many(6), store, run=run, finished=lambda *tick: ticks.append(tick))
    assert ran == [0, 1, 2, 3, 3, 4, 5]
    assert ticks == [(3, 6), (4, 6), (5, 6), (6, 6)]
    assert found.outcomes == tuple(map(fake_cells.run, many(6)))
    run_cells(many(2), store, run=run, resume=False)
    assert ran[-2:] == [0, 1]


def test_a_cell_that_fails_stops_no_other_and_is_tried_again(tmp_path):
    store, failing = OutcomeStore(tmp_path), [2]

    def run(cell: Cell) -> Outcome:
        if cell.seed in failing:
            raise RuntimeError("a defect")
        return fake_cells.run(cell)

    found = run_cells(many(4), store, run=run)
    assert [item.cell.seed for item in found.outcomes] == [0, 1, 3]
    (reason,) = found.failures
    assert "seed 2" in reason
    assert reason.endswith("RuntimeError: a defect")
    assert "in run\n" in (tmp_path / "tracebacks.txt").read_text()
    failing.clear()
    assert run_cells(many(4), store, run=run).outcomes == tuple(map(fake_cells.run, many(4)))
    assert not (tmp_path / "tracebacks.txt").exists()


def test_a_dask_worker_that_dies_costs_nothing(tmp_path, cluster):
    mark, wanted = tmp_path / "mark", many(12)
    run = partial(fake_cells.run_and_die_once, mark=mark, deadly_seed=5)
    store = OutcomeStore(tmp_path / "cells")
    found = run_cells(wanted, store, Pool(dask_address=cluster), run=run)
    assert mark.exists(), "no worker was killed"
    assert not found.failures
    assert found.outcomes == tuple(map(fake_cells.run, wanted))
    assert [store.get(cell) for cell in wanted] == list(found.outcomes)


@pytest.fixture(scope="module")
def grid_file(tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("grid") / "grid.toml"
    file.write_text(TINY_GRID)
    return file


@pytest.fixture(scope="module")
def tiny(grid_file) -> tuple[Outcome, ...]:
    """The tiny grid's outcomes, computed in this process."""
    return tuple(map(run_cell, read_grid(grid_file).cells))


def test_two_processes_find_what_one_does(grid_file, tiny, tmp_path):
    found = run_cells(read_grid(grid_file).cells, OutcomeStore(tmp_path), Pool(n_jobs=2))
    assert found.outcomes == tiny


def test_a_killed_calibration_goes_on_where_it_was(grid_file, tiny, tmp_path):
    arguments = ("calibrate", "--grid", grid_file, "--no-protocols", "--out")
    writes_of_a_cell = 3  # sync the file, move it, sync the folder
    killed = Command(
        *arguments, tmp_path / "out", folder=tmp_path, prepare=die_before_write,
        prepare_with=(writes_of_a_cell + 2,),
    ).end()  # fmt: skip
    assert killed.code == -9
    store = OutcomeStore(tmp_path / "out" / "cells")
    done = [cell for cell in read_grid(grid_file).cells if store.get(cell)]
    assert len(done) == 1
    file = store.path(done[0])
    before = file.stat().st_mtime_ns, file.stat().st_ino

    document = tmp_path / "docs" / "calibration.md"
    ending = Command(
        *arguments, tmp_path / "out", "--document", document, folder=tmp_path
    ).end()  # fmt: skip
    assert ending.code == 0, ending.stderr
    assert (file.stat().st_mtime_ns, file.stat().st_ino) == before
    assert tuple(store.get(item.cell) for item in tiny) == tiny
    assert "2 runs" in ending.stdout

    saved = xarray.load_dataset(tmp_path / "out" / "calibration.nc")
    for name in ("newton", "none"):
        assert saved.confusion.sel(expected=name, answer=name) == 1
    assert saved.confusion.sum() == 2
    assert json.loads((tmp_path / "out" / "rates.json").read_text())["n_cells"] == 2
    text = document.read_text()
    assert "interp calibrate" in text
    for picture in document.parent.glob("images/*"):
        assert f"(images/{picture.name})" in text


def test_what_has_no_outcome_is_named_after_the_report_is_written(
    grid_file, tmp_path, monkeypatch, capsys
):
    def run(cell: Cell) -> Outcome:
        if cell.control != "planted":
            raise ValueError("no room")
        return fake_cells.run(cell)

    monkeypatch.setattr("interp.calibration.running.run_cells", partial(run_cells, run=run))
    options = ["--no-protocols", "--no-large-samples", "--out", str(tmp_path)]
    with pytest.raises(SystemExit) as ending:
        main(["calibrate", "--grid", str(grid_file), *options])
    assert ending.value.code == 2
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 1
    for part in (
        "newton (",
        "control exchanged prompts",
        "no room",
        "the same command tries again",
    ):
        assert part in printed.err
    assert "1 of 1 right" in printed.out
    assert (tmp_path / "calibration.html").is_file()


def test_earlier_cells_are_kept_unless_all_is_to_be_fresh(grid_file, tmp_path, monkeypatch, capsys):
    ran: list[Cell] = []

    def run(cell: Cell) -> Outcome:
        ran.append(cell)
        return fake_cells.run(cell)

    monkeypatch.setattr("interp.calibration.running.run_cells", partial(run_cells, run=run))
    command = ["calibrate", "--grid", str(grid_file), "--no-protocols", "--no-large-samples"]
    counts = []
    for option in ((), (), ("--fresh",)):
        with pytest.raises(SystemExit) as ending:
            main([*command, "--out", str(tmp_path), *option])
        assert ending.value.code == 0
        counts.append(len(ran))
    assert counts == [2, 2, 4]
    with pytest.raises(SystemExit):
        main([*command, "--out", str(tmp_path), "--fresh", "--report-only"])
    assert "--fresh or --report-only, not both" in capsys.readouterr().err


PROTOCOLS = ProtocolSteps(
    Cell("gd", 1, 512), (1, 2), (1.0, 2.0), (14.0, 15.0), (1.0, 2.1), (1.0, 2.0)
)


def test_protocols_are_compared_once(tmp_path):
    ran = []

    def run(cell: Cell) -> ProtocolSteps:
        ran.append(cell)
        return PROTOCOLS

    for _ in range(2):
        assert compare_protocols(tmp_path, [PROTOCOLS.cell], run=run) == (PROTOCOLS,)
    assert ran == [PROTOCOLS.cell]


NOISY = Cell("gd", 1, 128, noise=0.1)


def noisy(rates: list[float]) -> list[Outcome]:
    return [outcome(replace(NOISY, seed=i), rate=rate) for i, rate in enumerate(rates)]


def straight(rate: float, measure: str = MEASURE) -> LargeSample:
    """A large sample whose match curve is a line."""
    return LargeSample(NOISY, 12800, {measure: tuple(rate * layer for layer in range(9))})


def test_conclusions_count_grades_and_covering_intervals():
    found = [outcome(replace(SMALL, seed=seed)) for seed in range(3)]
    rows = [Coverage(SMALL, 12_800, 1.0, n=20, covered=n, planted_covered=0) for n in (19, 18)]
    first, *more, last = conclusions(found, rows, n_planned=9)
    assert first == "The first 3 of the grid's 9 runs."
    assert any("3 of 3 right, 0 undecided, 0 wrong" in sentence for sentence in more)
    assert "Of 40 intervals" in last
    assert "37 (92.5 %)" in last


def test_pages_and_pictures_are_drawn_by_a_browser(browser: Browser, tmp_path):
    found = [*noisy([1.0, 1.05, 1.3]), outcome(replace(SMALL, control="exchanged prompts"))]
    covered = coverage(found, [straight(1.02)])
    drawn = pictures(found, [PROTOCOLS], covered)
    assert [picture.name for picture in drawn] == [
        "protocols", "confusion", "step-errors", "power", "coverage"
    ]  # fmt: skip
    file = tmp_path / "page.html"
    file.write_text(
        calibration_html(
            conclusions=["<b>"],
            command="interp",
            tables=tables(found, [PROTOCOLS], covered),
            pictures=drawn,
        )
    )
    with visit(browser, file) as seen:
        seen.page.wait_for_selector(f'html[data-drawn="{len(drawn)}"]')
        assert seen.page.locator("#summary").inner_text() == "<b>"
        assert not seen.console
        assert not seen.requests
    svgs = static_svgs([drawn[0].figure, drawn[3].figure])
    for svg, label in zip(svgs, ("best-matching step", "prompts"), strict=True):
        root = ElementTree.fromstring(svg)
        assert root.tag.endswith("svg")
        assert label in "".join(root.itertext())


@given(given_answers)
def test_every_outcome_is_counted_once(pairs):
    found = [outcome(*pair) for pair in pairs]
    data = calibration_dataset(found)
    assert data.confusion.sum() == len(found)
    planted = [item for item in found if item.cell.expected != "none"]
    assert data.power.sum() == len(planted)
    right = sum(item.grade == "right" for item in found if not item.cell.withheld)
    diagonal = sum(
        data.confusion.sel(expected=name, answer=name).item()
        for name in data.expected.values
        if name != "none of these"
    )
    assert diagonal == right
    by_seed = tally_by(found, lambda item: item.cell.seed)
    assert sum(by_seed.values(), Tally()) == Tally.of(outcome.grade for outcome in found)


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_intervals_agree_with_scipy(count_and_n):
    expected = binomtest(*count_and_n).proportion_ci(method="wilson")
    assert wilson(*count_and_n) == pytest.approx((expected.low, expected.high), abs=1e-12)


@pytest.mark.parametrize(("count", "n"), [(-1, 3), (4, 3), (0, 0)])
def test_shares_of_nothing_have_no_interval(count, n):
    with pytest.raises(ValueError, match="count"):
        wilson(count, n)


def test_the_grade_of_an_answer():
    assert outcome(SMALL).grade == "right"
    assert outcome(SMALL, "undecided").grade == "undecided"
    assert outcome(SMALL, "none").grade == "wrong"
    assert outcome(SMALL, "gd").grade == "wrong"
    control = replace(SMALL, algorithm="gd", control="shuffled pairs")
    assert outcome(control, "none").grade == "right"
    assert outcome(control, "gd").grade == "wrong"
    assert outcome(replace(control, algorithm="newton"), "newton").grade == "wrong"
    assert replace(outcome(SMALL), is_nearest_only=True).grade == "undecided"
    assert replace(outcome(SMALL, "gd"), is_nearest_only=True).grade == "undecided"


def test_without_its_own_reference_a_model_is_none_of_the_others_or_nearest_to_one():
    withheld = replace(SMALL, control="reference withheld")
    assert outcome(withheld, "none").grade == "right"
    assert outcome(withheld, "undecided").grade == "undecided"
    assert outcome(withheld, "gd").grade == "wrong"
    nearest = replace(outcome(withheld, "gd"), is_nearest_only=True)
    assert nearest.grade == "right"
    assert nearest.relative_error is None
    found = [nearest, outcome(replace(withheld, seed=1), "gd"), outcome(withheld, "none")]
    (table,) = (table for table in tables(found) if "withheld" in table.title)
    (row,) = table.rows
    assert row[2:] == ("3", "1", "1", "0", "1", "gd")
    data = calibration_dataset(found).confusion
    assert data.expected.values.tolist() == ["none of these"]
    assert [data.sel(answer=name).item() for name in ("none", "nearest only", "gd")] == [1, 1, 1]


def test_a_withheld_reference_is_not_among_the_evidence():
    cell = Cell("gd", 1, 128, n_dims=3, n_layers=3, seed=1000, control="reference withheld")
    settings = MatchSettings(("resid_post",), n_prompts=128)
    verdict = verdict_on(build(cell, 0), settings, cell.withheld)
    families = {item.family for finding in verdict.findings for item in finding.evidence}
    assert "gd" not in families
    assert "newton" in families
    online = Cell("ogd", 1, 128, n_dims=3, n_layers=3, seed=1000, control="reference withheld")
    verdict = verdict_on(build(online, 0), settings, online.withheld)
    assert "ogd" not in {item.family for item in verdict.non_iterative}


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_online_gradient_descent_is_named_and_has_no_steps(noise):
    found = run_cell(Cell("ogd", 1, 128, noise=noise, n_dims=3, n_layers=3, seed=1000))
    assert (found.answer, found.grade) == ("ogd", "right")
    assert found.rate is None
    assert found.relative_error is None
    assert found.misfit is not None
    assert found.misfit < 0.03
    assert any("Online GD" in row for table in tables([found]) for row in table.rows)
    assert conditions([found.cell] * MIN_RUNS) == ()


def test_the_error_of_the_steps_is_relative_to_what_was_planted():
    cell = replace(SMALL, iterations_per_layer=4)
    assert outcome(cell, rate=5.0).relative_error == pytest.approx(0.25)
    assert outcome(cell, "gd", rate=5.0).relative_error is None
    assert outcome(replace(cell, control="exchanged prompts")).relative_error is None


def test_coverage_counts_intervals_around_the_large_sample():
    found = noisy([1.0, 1.05, 1.3, 0.85, 0.95])
    (row,) = coverage(found, [straight(1.04)])
    assert (row.n, row.covered, row.planted_covered) == (5, 3, 3)
    assert row.large_sample_rate == pytest.approx(1.04)
    assert row.large_sample_prompts == 12800
    assert coverage(found, [straight(1.0, "another measure")]) == ()
    elsewhere = [replace(item, cell=replace(item.cell, noise=0.3)) for item in found]
    assert coverage(elsewhere, [straight(1.04)]) == ()


@given(
    st.lists(st.floats(0, 99), min_size=9, max_size=9),
    st.integers(0, 5),
    st.integers(3, 8),
)
def test_the_rate_of_a_large_sample_is_its_slope_over_the_layers_asked_for(steps, first, last):
    layers = range(first, last + 1)
    if len(layers) < 2:
        return
    sample = LargeSample(NOISY, 12800, {MEASURE: tuple(steps)})
    slope = np.polyfit(layers, steps[first : last + 1], 1)[0]
    assert sample.rate(MEASURE, first, last) == pytest.approx(slope, abs=1e-9)


def test_large_samples_are_taken_once_of_noisy_models_run_often(tmp_path):
    often = [replace(NOISY, seed=seed) for seed in range(MIN_RUNS)]
    cells = [
        *often,
        *(replace(cell, n_prompts=256) for cell in often),
        *(replace(cell, noise=0.0) for cell in often),
        *(replace(cell, control="random weights") for cell in often),
        *(replace(cell, noise=0.3) for cell in often[1:]),
    ]
    taken = []

    def take(cell: Cell) -> LargeSample:
        taken.append(cell)
        return straight(1.0)

    for _ in range(2):
        assert tuple(large_samples(tmp_path, cells, take=take)) == (straight(1.0),)
    assert taken == [NOISY]


def test_a_large_sample_of_a_noisy_model_comes_near_what_was_planted(monkeypatch):
    monkeypatch.setattr("interp.calibration.large_sample.TIMES", 4)
    (measure,) = (found := take_large_sample(Cell("gd", 1, 128, noise=0.1, n_dims=3))).steps
    assert found.n_prompts == 512
    assert found.rate(measure, 1, 8) == pytest.approx(1, rel=0.1)


def make_rates() -> dict:
    base = Cell("newton", 1, 128)
    withheld = replace(base, control="reference withheld")
    found = [
        *(outcome(replace(base, seed=i)) for i in range(16)),
        *(outcome(replace(base, seed=i), "undecided") for i in range(16, 19)),
        outcome(replace(base, seed=19), "gd"),
        *(outcome(replace(base, n_prompts=512, seed=i)) for i in range(8)),
        *(outcome(replace(base, noise=0.3, n_prompts=512, seed=i), "none") for i in range(2)),
        *(outcome(replace(base, control="random weights", seed=i)) for i in range(10)),
        *(outcome(replace(withheld, seed=i), "none") for i in range(3)),
        outcome(replace(withheld, seed=3), "gd"),
    ]
    return summarise(found)


def test_the_quoted_rate_is_that_of_the_prompts_at_hand():
    rates = make_rates()
    few, more = quoted_error_rate(511, rates=rates), quoted_error_rate(9999, rates=rates)
    assert "On 20 runs" in few
    assert "right in 80 %, undecided in 15 % and wrong in 5 %" in few
    low, high = wilson(1, 20)
    assert f"95 % interval {100 * low:.2g} to {100 * high:.2g} %" in few
    assert "on 10 runs where there was nothing to find it did not say so in 0 %" in few
    assert "on 4 whose algorithm was withheld from the references it named another" in few
    assert "as if it were the one in 25 %" in few
    assert "On 30 runs" in more
    assert "128 to 512 prompts" in more
    assert "wrong in 10 %" in more
    assert "wrong in 3.57 %" in quoted_error_rate(9999, noise=0.0, rates=rates)
    assert "wrong in 100 %" in quoted_error_rate(9999, noise=0.2, rates=rates)


def test_what_was_not_calibrated_is_not_quoted():
    rates = make_rates()
    assert "not calibrated for as few as 127 prompts" in quoted_error_rate(127, rates=rates)
    assert "not calibrated for noise of 40 %" in quoted_error_rate(512, noise=0.4, rates=rates)
    for bad in (
        {"n_prompts": 0},
        {"n_prompts": 5, "noise": -1.0},
        {"n_prompts": 5, "noise": math.nan},
    ):
        with pytest.raises(ValueError, match="must be at least"):
            quoted_error_rate(**bad, rates=rates)


def test_the_shipped_rates_can_be_quoted():
    assert "runs over models of known algorithm" in quoted_error_rate(4096)
