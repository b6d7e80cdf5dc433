"""Verdicts counted: by whether they are right, by kind, as a dataset and as `rates.json`."""

from __future__ import annotations

import json
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd
import xarray

from interp.results.error_rate import wilson
from interp.studies.calibration.cell import NEAREST, NOTHING, WITHHELD, Cell
from interp.versions import library_versions

FORMAT = "icl-interp-calibration/1"
ANSWERS = ("newton", "gd", "gd++", "ridge", "ogd", NOTHING, NEAREST, "undecided")
GRADES = ("right", "undecided", "wrong")


def grade_of(expected: str, answer: str) -> str:
    """Whether an answer is right, undecided, or wrong: a definite one that is not the expected.

    A reference that is said to be the nearest only is no definite answer. It is the right one
    where the reference that the model runs was withheld.
    """
    if answer == "undecided" or (answer == NEAREST and expected != WITHHELD):
        return "undecided"
    is_right = answer in ((NOTHING, NEAREST) if expected == WITHHELD else (expected,))
    return "right" if is_right else "wrong"


def kind_grade_of(expected: str, kind: str, retained: str) -> str:
    """Whether what a verdict of a kind says is right or wrong, see `interp.results.error_rate`.

    Args:
        expected: The right answer.
        kind: `probes.verdict.Verdict.kind`.
        retained: The families that it retains, joined by ", ".
    """
    is_none = kind in ("nearest", "none")
    truths = (NOTHING, WITHHELD) if is_none else retained.split(", ")
    return "right" if expected in truths else "wrong"


def grades_by(outcomes: pd.DataFrame, *keys: str, graded: str = "grade") -> pd.DataFrame:
    """Counts grades within groups, in increasing order of their keys.

    Args:
        outcomes: See `interp.studies.calibration.calibration.outcome_table`.
        keys: The columns that groups are made by.
        graded: The column of grades.

    Returns:
        A row for each group: its keys, its `runs`, how many are `right`, `undecided` and `wrong`.
    """
    counts = pd.crosstab([outcomes[key] for key in keys], outcomes[graded])
    counts = counts.reindex(columns=GRADES, fill_value=0).rename_axis(columns=None)
    return counts.assign(runs=counts.sum(axis=1)).reset_index()


def with_share(table: pd.DataFrame, count: str) -> pd.DataFrame:
    """Adds the `share` that a count has of the `runs`, in percent, and its interval (Wilson)."""
    pairs = list(zip(table[count], table.runs, strict=True))
    bounds = np.array([wilson(int(some), int(every)) for some, every in pairs])
    share = 100 * table[count] / table.runs
    return table.assign(share=share, share_low=100 * bounds[:, 0], share_high=100 * bounds[:, 1])


def error_rates(outcomes: pd.DataFrame) -> dict[str, Any]:
    """The content of `rates.json`, see `interp.results.error_rate.ErrorRates`."""
    by_noise = ("noise", "n_prompts")
    keys = {"planted": by_noise, "controls": ("control", "n_prompts"), "withheld": by_noise}
    tables = {
        group: grades_by(outcomes[outcomes.group == group], *names) for group, names in keys.items()
    }
    tables["kinds"] = grades_by(outcomes, "kind", "n_prompts", graded="kind_grade")
    return {
        "format": FORMAT,
        "version": version("icl-interp"),
        "n_cells": len(outcomes),
        **{name: table.drop(columns="runs").to_dict("records") for name, table in tables.items()},
    }


def confusion(outcomes: pd.DataFrame) -> pd.DataFrame:
    """Counts answers (columns) by the right answer (rows), withheld references last."""
    answers = [*ANSWERS, *sorted(set(outcomes.answer) - set(ANSWERS))]
    expected = [right for right in (*answers, WITHHELD) if right in set(outcomes.expected)]
    counts = pd.crosstab(outcomes.expected, outcomes.answer)
    return counts.reindex(index=expected, columns=answers, fill_value=0)


def calibration_dataset(outcomes: pd.DataFrame, coverage: pd.DataFrame) -> xarray.Dataset:
    """All verdicts by `cell`, and what they add up to.

    Returns:
        `cell_<field>` for what each cell is and what its verdict says. `confusion` counts answers
        by `expected` and `answer`, runs whose reference was withheld in a row of their own; `power`
        counts grades of planted models by `noise`, `n_prompts` and `grade`; `covered`, of
        `coverage_runs`, counts intervals that hold `large_sample_rate`, by `condition`, which
        `condition_cell` describes.
    """
    names = {
        **{key: key for key in Cell("gd", 1, 128).describe()},
        **{key: key for key in ("rate", "low", "high", "relative_error", "kind", "retained")},
        "expected_answer": "expected",
        "answer_given": "answer",
        "grade_given": "grade",
    }
    counts = confusion(outcomes)
    planted = grades_by(outcomes[outcomes.group == "planted"], "noise", "n_prompts")
    power = planted.set_index(["noise", "n_prompts"])[list(GRADES)].to_xarray()
    data: dict[str, Any] = {
        **{f"cell_{name}": ("cell", outcomes[key].to_numpy()) for name, key in names.items()},
        "confusion": (("expected", "answer"), counts.to_numpy()),
        "power": power.fillna(0).astype(int).to_dataarray("grade"),
        "condition_cell": ("condition", coverage.condition.to_numpy()),
        "large_sample_rate": ("condition", coverage.sample_rate.to_numpy()),
        "coverage_runs": ("condition", coverage.runs.to_numpy()),
        "covered": ("condition", coverage.covered.to_numpy()),
    }
    coords = {"expected": list(counts.index), "answer": list(counts.columns)}
    return xarray.Dataset(data, coords, {"versions": json.dumps(library_versions())})
