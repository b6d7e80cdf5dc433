"""Runs the cells of a calibration and joins what they give into tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from interp.jobs.outcome import keep_tracebacks, sentences, without_result
from interp.jobs.pool import Pool
from interp.studies.calibration.cell import WITHHELD, Cell
from interp.studies.calibration.counts import grade_of, kind_grade_of
from interp.studies.calibration.run import run_cell
from interp.study.run import Results, Study
from interp.study.store import Store

REMEDY = "the same command tries again"
COVERAGE = (
    "name", "noise", "n_prompts", "condition", "sample_prompts", "sample_rate", "runs", "covered",
    "covered_planted",
)  # fmt: skip
Found = Iterable[tuple[Cell, dict[str, Any]]]
"""Cells, and the results of `run_cell`."""


@dataclass(frozen=True)
class Calibration:
    """Everything that the cells of a calibration found."""

    outcomes: pd.DataFrame
    """A row for each verdict, see `outcome_table`."""
    coverage: pd.DataFrame
    """A row for each large sample, see `coverage_table`."""
    protocols: pd.DataFrame
    """A row for each planted model, protocol and layer: its best-matching step."""
    n_planned: int
    """Verdicts that the grid has."""
    failures: tuple[str, ...] = ()
    """The cells that failed and why, a sentence each."""

    @classmethod
    def of(cls, found: Found, n_planned: int, failures: tuple[str, ...] = ()) -> Calibration:
        """Joins the results of cells, at least one of which is a verdict."""
        by_question: dict[str, list[tuple[Cell, dict[str, Any]]]] = {}
        for cell, result in found:
            by_question.setdefault(cell.question, []).append((cell, result))
        outcomes = outcome_table(by_question["verdict"])
        coverage = coverage_table(outcomes, by_question.get("large sample", ()))
        curves = [
            pd.DataFrame(result)
            .melt("layer", var_name="protocol", value_name="step")
            .assign(name=cell.name)
            for cell, result in by_question.get("protocols", ())
        ]
        protocols = pd.concat(curves, ignore_index=True) if curves else pd.DataFrame()
        return cls(outcomes, coverage, protocols, n_planned, failures)


def calibrate(
    cells: Sequence[Cell],
    out: Path,
    pool: Pool | None = None,
    *,
    fresh: bool = False,
    report_only: bool = False,
    finished: Callable[[int, int], None] = lambda done, total: None,
) -> Calibration:
    """Runs the cells that have no result yet, keeps each result as it comes, and joins all.

    Results do not depend on where or in what order cells run. A cell that fails stops no other;
    where it was a defect, `cells/tracebacks.txt` says where it happened.

    Args:
        cells: What to run.
        out: Folder of `cells`, where results are kept.
        pool: Where cells run; by default in this process, one by one.
        fresh: Whether to run cells again that have a result.
        report_only: Whether to run none, and join the results that there are.
        finished: Called with the number of cells that are done, and of all.

    Raises:
        ValueError: No verdict has a result; a result cannot be read; or a Dask cluster without the
            package `distributed`.
        OSError: The folder cannot be written, or the cluster not be reached.
    """
    store = Store[dict[str, Any]](out / "cells", dict)
    wanted = [cell for cell in cells if cell.key in store] if report_only else list(cells)
    n_planned = sum(cell.question == "verdict" for cell in cells)

    def join(results: Results[Cell, dict[str, Any]]) -> Calibration:
        named = [(_named(cell), failure) for cell, failure in results.failures]
        keep_tracebacks(store.directory / "tracebacks.txt", named)
        failures, found = sentences(named), list(results.found)
        if any(cell.question == "verdict" for cell, _ in found):
            return Calibration.of(found, n_planned, failures)
        if failures:
            raise ValueError(without_result(failures, REMEDY))
        raise ValueError(f"{store.directory} has no result of these cells to report")

    study = Study(wanted, run_cell, join)
    return study.execute(store, pool, fresh=fresh, finished=finished)


def _named(cell: Cell) -> str:
    """A cell in words, for a person who looks for what failed."""
    values = (f"{key} {value}" for key, value in cell.describe().items() if key != "algorithm")
    return f"{cell.question} of {cell.algorithm} ({', '.join(values)})"


def outcome_table(found: Found) -> pd.DataFrame:
    """A row for each verdict.

    Args:
        found: Cells whose question is the verdict, and their results.

    Returns:
        The fields of the cell; its `name` in words, its `group` and its `condition` as JSON;
        `expected`, the right answer; what `run_cell` gives, numbers that are missing as NaN;
        `grade`, whether the answer is right; `kind_grade`, whether what such a kind of verdict says
        is; `relative_error`, steps per layer over those planted, less 1, where these are found.
    """
    rows = [
        {
            **cell.describe(),
            "name": cell.name,
            "group": cell.group,
            "condition": cell.condition_text,
            "expected": cell.expected,
            "measure": "",
            "first_layer": np.nan,
            "last_layer": np.nan,
            **result,
        }
        for cell, result in found
    ]
    table = pd.DataFrame(rows).astype(dict.fromkeys(("rate", "low", "high", "misfit"), float))
    table["grade"] = [grade_of(*pair) for pair in zip(table.expected, table.answer, strict=True)]
    said = zip(table.expected, table.kind, table.retained, strict=True)
    table["kind_grade"] = [kind_grade_of(*entries) for entries in said]
    is_found = (table.grade == "right") & (table.expected != WITHHELD)
    table["relative_error"] = (table.rate / table.iterations_per_layer - 1).where(is_found)
    return table


def coverage_table(outcomes: pd.DataFrame, samples: Found) -> pd.DataFrame:
    """Counts the intervals of the steps per layer that hold what a large sample gives.

    Without noise every sample gives the planted rate, so there is nothing to cover or to miss.

    Args:
        outcomes: See `outcome_table`.
        samples: Cells whose question is the large sample, and their results.

    Returns:
        For each sample whose condition has a right answer with an interval: `name`, `noise`,
        `n_prompts` and `condition` of the runs; `sample_prompts` and `sample_rate`, the steps per
        layer over the layers of each interval, on average; the `runs`, those whose interval has
        `covered` the sample's rate, and those whose has `covered_planted`.
    """
    rows = []
    for cell, sample in samples:
        is_same = outcomes.condition == cell.condition_text
        runs = outcomes[
            is_same & (outcomes.grade == "right") & outcomes.measure.isin(list(sample["steps"]))
        ]
        if runs.empty:
            continue
        rates = np.array([_slope(sample["steps"], run) for run in runs.itertuples()])
        held = [
            int((runs.low.le(rate) & runs.high.ge(rate)).sum())
            for rate in (rates, cell.iterations_per_layer)
        ]
        condition = (cell.name, cell.noise, cell.n_prompts, cell.condition_text)
        rows.append((*condition, sample["n_prompts"], rates.mean(), len(runs), *held))
    return pd.DataFrame(rows, columns=list(COVERAGE))


def _slope(steps: dict[str, list[float]], run: Any) -> float:
    """A large sample's steps per layer, by the measure and over the layers of one verdict."""
    first, last = int(run.first_layer), int(run.last_layer)
    layers = np.arange(first, last + 1)
    return float(np.polyfit(layers, steps[run.measure][first : last + 1], 1)[0])
