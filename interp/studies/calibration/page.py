"""A calibration as a page, and what a reader should take away."""

from __future__ import annotations

from importlib.resources import files

import pandas as pd

from interp.report.page import Lead, Page
from interp.studies.calibration.calibration import Calibration
from interp.studies.calibration.run import TIMES
from interp.studies.calibration.tables import calibration_sections
from interp.versions import library_versions, versions_text


def introduction() -> str:
    """What is computed, in Markdown."""
    return (files("interp.studies.calibration") / "introduction.md").read_text(encoding="utf-8")


def calibration_page(found: Calibration, command: str) -> Page:
    """The page, in the style of the report on a model.

    Args:
        found: What the cells found.
        command: The command line that decides it.
    """
    return Page(
        title="How often is the verdict right?",
        kicker="How often is the verdict right?",
        heading="Calibration",
        lead=Lead(paragraphs=findings(found)),
        sections=calibration_sections(found),
        facts=(("Command", command), ("Versions", versions_text(library_versions()))),
    )


def findings(found: Calibration) -> tuple[str, ...]:
    """What a reader should take away, in sentences."""
    outcomes, coverage, n_planned = found.outcomes, found.coverage, found.n_planned
    n = len(outcomes)
    runs = f"{n} runs" if n >= n_planned else f"The first {n} of the grid's {n_planned} runs"
    is_planted, is_noisy = outcomes.group == "planted", outcomes.noise > 0
    groups = {
        "Models of known algorithm without noise": is_planted & ~is_noisy,
        "With noise in the stream": is_planted & is_noisy,
        "Where there is nothing to find": outcomes.group == "controls",
        "Where the algorithm was withheld": outcomes.group == "withheld",
    }
    graded = [_graded(label, outcomes[chosen]) for label, chosen in groups.items() if chosen.any()]
    parts = [runs, *graded]
    if len(coverage):
        n_intervals, n_covered = coverage.runs.sum(), coverage.covered.sum()
        parts.append(
            f"Of {n_intervals} intervals of the steps per layer, said to be 95 %, {n_covered} "
            f"({100 * n_covered / n_intervals:.1f} %) hold the rate found with {TIMES} times the "
            "prompts"
        )
    return tuple(f"{part}." for part in parts)


def _graded(label: str, outcomes: pd.DataFrame) -> str:
    grades = outcomes.grade.value_counts()
    right, undecided, wrong = (grades.get(key, 0) for key in ("right", "undecided", "wrong"))
    errors = outcomes.relative_error.abs().dropna()
    typical = (
        f" (steps per layer off by {100 * errors.median():.1f} % in the median)"
        if len(errors)
        else ""
    )
    counts = f"{right} of {len(outcomes)} right, {undecided} undecided, {wrong} wrong"
    return f"{label}: {counts}{typical}"
