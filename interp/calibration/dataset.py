"""Outcomes as labelled tables."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import xarray

from interp.calibration.cell import Cell
from interp.calibration.coverage import Coverage
from interp.calibration.outcome import Outcome
from interp.calibration.rates import tally_by
from interp.versions import library_versions

ANSWERS = ("newton", "gd", "gd++", "ridge", "ogd", "none", "nearest only", "undecided")
WITHHELD = "none of these"
"""The right answer where the reference that the model runs was withheld."""
GRADES = ("right", "undecided", "wrong")


def calibration_dataset(
    outcomes: Sequence[Outcome], covered: Sequence[Coverage] = ()
) -> xarray.Dataset:
    """All outcomes by `cell`, and what they add up to.

    `confusion` counts answers by `expected` and `answer`, runs whose reference was withheld in a
    row of their own; `power` counts grades of planted models
    by `noise`, `n_prompts` and `grade`; `covered`, of `coverage_runs`, counts intervals that hold
    `large_sample_rate`, by `condition`, which `condition_cell` describes.

    Raises:
        ValueError: No outcomes.
    """
    if not outcomes:
        raise ValueError("outcomes is empty: run at least one cell")
    data: dict[str, Any] = {
        **{
            entry.name: ("cell", [getattr(o.cell, entry.name) for o in outcomes])
            for entry in fields(Cell)
        },
        "expected_answer": ("cell", [o.cell.expected for o in outcomes]),
        "answer_given": ("cell", [o.answer for o in outcomes]),
        "grade_given": ("cell", [o.grade for o in outcomes]),
        **{
            name: ("cell", _numbers([getattr(o, name) for o in outcomes]))
            for name in ("rate", "low", "high", "relative_error")
        },
    }
    data = {f"cell_{name}": value for name, value in data.items()}
    confusion, coords = _confusion(outcomes)
    data["confusion"] = (("expected", "answer"), confusion)
    power, power_coords = _power(outcomes)
    data["power"] = (("noise", "n_prompts", "grade"), power)
    described = [json.dumps(vars(row.condition), sort_keys=True) for row in covered]
    data |= {
        "condition_cell": ("condition", np.array(described, dtype=object)),
        "large_sample_rate": ("condition", np.array([row.large_sample_rate for row in covered])),
        "coverage_runs": ("condition", np.array([row.n for row in covered], dtype=int)),
        "covered": ("condition", np.array([row.covered for row in covered], dtype=int)),
    }
    attrs = {"versions": json.dumps(library_versions())}
    return xarray.Dataset(
        data, coords={**coords, **power_coords, "grade": list(GRADES)}, attrs=attrs
    )


def _numbers(values: Sequence[float | None]) -> np.ndarray:
    return np.array([np.nan if value is None else value for value in values])


def _confusion(outcomes: Sequence[Outcome]) -> tuple[np.ndarray, dict[str, Any]]:
    pairs = [
        (_expected(o.cell), "nearest only" if o.is_nearest_only else o.answer) for o in outcomes
    ]
    rights, given = ({pair[side] for pair in pairs} for side in (0, 1))
    answers = [*ANSWERS, *sorted(given - set(ANSWERS))]
    expected = [right for right in (*answers, WITHHELD) if right in rights]
    counts = np.zeros((len(expected), len(answers)), dtype=int)
    for right, answer in pairs:
        counts[expected.index(right), answers.index(answer)] += 1
    return counts, {"expected": expected, "answer": answers}


def _expected(cell: Cell) -> str:
    return WITHHELD if cell.withheld else cell.expected


def _power(outcomes: Sequence[Outcome]) -> tuple[np.ndarray, dict[str, Any]]:
    planted = [o for o in outcomes if o.cell.expected != "none"]
    noises = sorted({o.cell.noise for o in planted})
    sizes = sorted({o.cell.n_prompts for o in planted})
    counts = np.zeros((len(noises), len(sizes), len(GRADES)), dtype=int)
    tallies = tally_by(planted, lambda o: o.cell.noise, lambda o: o.cell.n_prompts)
    for (noise, n_prompts), tally in tallies.items():
        counts[noises.index(noise), sizes.index(n_prompts)] = [
            getattr(tally, grade) for grade in GRADES
        ]
    return counts, {"noise": noises, "n_prompts": sizes}
