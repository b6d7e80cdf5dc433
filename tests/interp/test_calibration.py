"""A calibration: its command, and what outcomes add up to."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import fake_cells
import pytest
import xarray
from fake_cells import SMALL, large_sample, result
from hypothesis import given, settings
from hypothesis import strategies as st

from interp.cli import main
from interp.report.page import Page
from interp.studies.calibration.calibration import Calibration, coverage_table, outcome_table
from interp.studies.calibration.cell import NEAREST, WITHHELD, Cell
from interp.studies.calibration.counts import (
    calibration_dataset,
    error_rates,
    grade_of,
    kind_grade_of,
)
from interp.studies.calibration.page import calibration_page, findings

GRID = """
[[block]]
algorithm = "newton"
iterations_per_layer = 1
n_prompts = 128
n_dims = 2
n_layers = 4
control = ["planted", "exchanged prompts", "reference withheld"]

[[block]]
algorithm = "ogd"
iterations_per_layer = 1
n_prompts = 128
n_dims = 2
n_layers = 3
"""
ONLY_VERDICTS = ("--no-protocols", "--no-large-samples")
NOISY = Cell("gd", 1, 128, noise=0.1)

controls = st.sampled_from(["planted", "random weights", "reference withheld"])
cells = st.builds(
    replace,
    st.just(SMALL),
    algorithm=st.sampled_from(["newton", "gd", "gdpp"]),
    n_prompts=st.sampled_from([128, 256]),
    noise=st.sampled_from([0.0, 0.1]),
    control=controls,
)
answers = st.sampled_from(["newton", "gd", "gd++", "cg", "none", "undecided", NEAREST])


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("grid") / "grid.toml"
    file.write_text(GRID)
    return file


@pytest.fixture(scope="module")
def run_of_grid(grid: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the one calibration that is computed."""
    out = tmp_path_factory.mktemp("calibration")
    calibrate(grid, out)
    return out


def calibrate(grid: Path, out: Path, *options: str, code: int = 0) -> None:
    with pytest.raises(SystemExit) as ending:
        main(["calibrate", "--grid", str(grid), *ONLY_VERDICTS, "--out", str(out), *options])
    assert ending.value.code == code


def test_the_command_finds_what_was_planted_and_nothing_else(run_of_grid: Path):
    saved = xarray.load_dataset(run_of_grid / "calibration.nc")
    assert saved.cell_answer_given.values[:2].tolist() == ["newton", "none"]
    assert "newton" not in saved.cell_retained.values[2]
    assert saved.cell_answer_given.values[3] == "ogd"
    assert saved.cell_rate[0] == pytest.approx(1, rel=0.01)
    assert saved.cell_rate.isnull().values[[1, 3]].all()
    assert saved.confusion.sum() == 4
    rates = json.loads((run_of_grid / "rates.json").read_text())
    assert [rates[group][0]["right"] for group in ("planted", "controls")] == [2, 1]
    assert rates["n_cells"] == 4
    assert sum(row["right"] + row["wrong"] for row in rates["kinds"]) == 4


def test_earlier_results_are_kept_unless_all_is_to_be_fresh(
    grid: Path, run_of_grid: Path, tmp_path: Path, monkeypatch, capsys
):
    ran: list[Cell] = []

    def run(cell: Cell) -> dict[str, Any]:
        ran.append(cell)
        return fake_cells.run(cell)

    monkeypatch.setattr("interp.studies.calibration.calibration.run_cell", run)
    monkeypatch.setattr("interp.report.markdown.can_draw", lambda: False)
    document = tmp_path / "docs" / "calibration.md"
    calibrate(grid, run_of_grid, "--document", str(document))
    assert not ran
    for part in ("interp calibrate", "4 runs", "## Controls"):
        assert part in document.read_text()
    calibrate(grid, tmp_path, "--report-only", code=2)
    assert "no result of these cells" in capsys.readouterr().err
    for options in ((), (), ("--report-only",)):
        calibrate(grid, tmp_path, *options)
        assert len(ran) == 4
    calibrate(grid, tmp_path, "--fresh")
    assert len(ran) == 8
    calibrate(grid, tmp_path, "--fresh", "--report-only", code=2)
    assert "--fresh or --report-only, not both" in capsys.readouterr().err


def test_what_has_no_result_is_named_after_the_report_is_written(
    grid: Path, tmp_path: Path, monkeypatch, capsys
):
    def run(cell: Cell) -> dict[str, Any]:
        if cell.algorithm == "ogd":
            raise ValueError("no room")
        if cell.group == "controls":
            raise RuntimeError("a defect")
        return fake_cells.run(cell)

    monkeypatch.setattr("interp.studies.calibration.calibration.run_cell", run)
    calibrate(grid, tmp_path, code=2)
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 1
    for part in ("verdict of newton (", "control exchanged prompts", "a defect", "1 more", "again"):
        assert part in printed.err
    assert "The first 2 of the grid's 4 runs" in printed.out
    assert "1 of 1 right" in printed.out
    assert (tmp_path / "calibration.html").is_file()
    assert "in run\n" in (tmp_path / "cells" / "tracebacks.txt").read_text()


@pytest.mark.parametrize(
    ("expected", "answer", "grade"),
    [
        ("newton", "newton", "right"),
        ("newton", "undecided", "undecided"),
        ("newton", NEAREST, "undecided"),
        ("newton", "none", "wrong"),
        ("newton", "gd", "wrong"),
        ("none", "none", "right"),
        ("none", "gd", "wrong"),
        (WITHHELD, "none", "right"),
        (WITHHELD, NEAREST, "right"),
        (WITHHELD, "undecided", "undecided"),
        (WITHHELD, "gd", "wrong"),
    ],
)
def test_the_grade_of_an_answer(expected: str, answer: str, grade: str):
    assert grade_of(expected, answer) == grade


@pytest.mark.parametrize(
    ("kind", "retained", "right", "wrong"),
    [
        ("retained", "gd", ["gd"], ["newton", "none", WITHHELD]),
        ("undecided", "gd, gd++", ["gd", "gd++"], ["newton", "none", WITHHELD]),
        ("nearest", "gd", ["none", WITHHELD], ["gd", "newton"]),
        ("none", "", ["none", WITHHELD], ["gd"]),
    ],
)
def test_what_a_kind_of_verdict_says_is_right_or_wrong(kind, retained, right, wrong):
    assert {kind_grade_of(expected, kind, retained) for expected in right} == {"right"}
    assert {kind_grade_of(expected, kind, retained) for expected in wrong} == {"wrong"}


@settings(max_examples=15)
@given(st.lists(st.tuples(cells, answers), min_size=1, max_size=20))
def test_every_outcome_is_counted_once(pairs: list[tuple[Cell, str]]):
    found = [(cell, result(cell, answer)) for cell, answer in pairs]
    outcomes = outcome_table(found)
    data = calibration_dataset(outcomes, coverage_table(outcomes, []))
    assert data.confusion.sum() == len(pairs)
    for cell, answer in pairs:
        assert data.confusion.sel(expected=cell.expected, answer=answer) > 0
    assert data.power.sum() == sum(cell.group == "planted" for cell, _ in pairs)
    rates = error_rates(outcomes)
    for group in ("planted", "controls", "withheld"):
        for grade in ("right", "undecided", "wrong"):
            assert sum(row[grade] for row in rates[group]) == sum(
                cell.group == group and grade_of(cell.expected, answer) == grade
                for cell, answer in pairs
            )
    assert sum(row["right"] + row["wrong"] for row in rates["kinds"]) == len(pairs)


def test_the_error_of_the_steps_is_relative_to_what_was_planted():
    cell = replace(SMALL, iterations_per_layer=4)
    withheld = replace(cell, control="reference withheld")
    outcomes = outcome_table(
        [
            (cell, result(cell, rate=5.0)),
            (cell, result(cell, "gd")),
            (withheld, result(cell, NEAREST)),
        ]
    )
    assert outcomes.relative_error[0] == pytest.approx(0.25)
    assert outcomes.relative_error[1:].isna().all()


def test_coverage_counts_intervals_around_the_large_sample():
    rates = [1.0, 1.05, 1.3, 0.85, 0.95]
    found = [(replace(NOISY, seed=i), result(NOISY, rate=rate)) for i, rate in enumerate(rates)]
    outcomes = outcome_table([*found, (NOISY, result(NOISY, "undecided"))])
    (row,) = coverage_table(outcomes, [large_sample(NOISY, 1.04)]).to_dict("records")
    assert (row["runs"], row["covered"], row["covered_planted"]) == (5, 3, 3)
    assert row["sample_rate"] == pytest.approx(1.04)
    assert row["sample_prompts"] == 12800
    for other in (large_sample(NOISY, 1.0, "weights"), large_sample(replace(NOISY, noise=0.3), 1)):
        assert coverage_table(outcomes, [other]).empty


def test_findings_count_grades_and_covering_intervals():
    first, *more, last = findings(fake_cells.calibration())
    assert first == "The first 7 of the grid's 9 runs."
    assert "With noise in the stream: 3 of 3 right" in more[0]
    assert "Where there is nothing to find: 1 of 2 right, 0 undecided, 1 wrong." in more
    assert last.startswith("Of 3 intervals")
    assert "2 (66.7 %)" in last


def test_the_page_has_a_picture_or_table_of_everything():
    page = calibration_page(fake_cells.calibration(), "interp calibrate")
    sections = {section.anchor: section for section in page.sections}
    assert list(sections) == [
        *("protocols", "confusion", "kinds", "step-errors", "power", "coverage", "controls"),
        *("withheld", "misfit", "not-right"),
    ]
    (withheld,) = frames(page, "withheld")
    assert withheld.to_dict("records") == [
        {"name": "Newton, 1 a layer", "noise": 0.0, "runs": 2, "nothing": 1, "nearest": 0,
         "undecided": 0, "wrong": 1, "named": "gd"}
    ]  # fmt: skip
    (coverage,) = frames(page, "coverage")
    assert coverage.name.tolist() == ["Newton, 1 a layer", "all"]
    assert coverage.noise[:1].tolist() == [10]
    assert coverage.share.tolist() == pytest.approx([200 / 3] * 2)


def frames(page: Page, anchor: str) -> list[Any]:
    (section,) = (section for section in page.sections if section.anchor == anchor)
    return [table.frame for table in section.tables]


@pytest.mark.parametrize("control", ["random weights", "reference withheld"])
def test_a_grid_without_planted_models_has_a_page(control: str):
    cell = replace(SMALL, control=control)
    found = Calibration.of([(cell, result(cell))], 1)
    assert calibration_dataset(found.outcomes, found.coverage).power.size == 0
    anchors = [section.anchor for section in calibration_page(found, "interp").sections]
    assert anchors[:2] == ["confusion", "kinds"]
