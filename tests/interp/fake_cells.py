"""Outcomes that cost nothing, for tests of how cells are run; importable by worker processes."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from interp.calibration.cell import Cell
from interp.calibration.outcome import Outcome, Reading

MEASURE = "R^2 of what is fake"


def outcome(cell: Cell, answer: str | None = None, rate: float | None = None) -> Outcome:
    """What a verdict that is right, or gives another answer, would leave of a cell."""
    answer = cell.expected if answer is None else answer
    if answer == "none":
        return Outcome(cell, "none", (), None, None, None, (), "None.")
    standing = ("gd", "newton") if answer == "undecided" else (answer,)
    rate = float(cell.iterations_per_layer) if rate is None else rate
    bounds = rate - 0.1, rate + 0.1
    reading = Reading(MEASURE, standing[0], True, "fake", rate, *bounds, 1, cell.n_layers)
    return Outcome(cell, answer, standing, rate, *bounds, (reading,), answer)


def run(cell: Cell) -> Outcome:
    """An outcome that shows which cell it is of."""
    return outcome(cell, rate=cell.seed + cell.n_prompts / 1000)


def run_and_die_once(cell: Cell, mark: Path, deadly_seed: int) -> Outcome:
    """As `run`, but the first process that meets a certain cell is killed by it."""
    time.sleep(0.05)
    if cell.seed == deadly_seed and not mark.exists():
        mark.write_text(str(os.getpid()))
        os.kill(os.getpid(), signal.SIGKILL)
    return run(cell)
