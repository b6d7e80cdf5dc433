"""Runs the cells of a grid, here or on a cluster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from interp.calibration.cell import Cell
from interp.calibration.outcome import Outcome, run_cell
from interp.calibration.store import OutcomeStore
from interp.jobs.failure import keep_tracebacks, sentences
from interp.jobs.pool import Pool
from interp.jobs.running import run_missing


@dataclass(frozen=True)
class CellsRun:
    """What running some cells gave."""

    outcomes: tuple[Outcome, ...]
    """In the order of the cells; of those that failed there is none."""
    failures: tuple[str, ...]
    """What has no outcome and why, a sentence each."""


def run_cells(
    cells: Sequence[Cell],
    store: OutcomeStore,
    pool: Pool | None = None,
    *,
    resume: bool = True,
    run: Callable[[Cell], Outcome] = run_cell,
    finished: Callable[[int, int], None] = lambda done, total: None,
) -> CellsRun:
    """Runs cells and writes each outcome as it arrives, so that a killed run loses no more.

    Outcomes do not depend on where or in what order cells run. Cells of a process or worker that
    dies are run again. A cell that fails stops no other; where it was a defect, the store's
    `tracebacks.txt` says where it happened.

    Args:
        cells: What to run.
        store: Where outcomes are kept.
        pool: Where cells run; by default in this process, one by one.
        resume: Whether outcomes that the store has are taken from it.
        run: What gives a cell's outcome; importable by worker processes.
        finished: Told how many cells are done, of how many.

    Raises:
        ValueError: The store holds something else, or a Dask cluster without the package
            `distributed`.
        OSError: The store cannot be written, or the cluster not be reached.
    """
    by_key = {cell.key: cell for cell in cells}
    failures = run_missing(
        cells, run, _ByKey(store, by_key, resume), pool or Pool(), finished=finished
    )
    found = (store.get(cell) for cell in cells if cell.key not in failures)
    named = [(_named(by_key[key]), failure) for key, failure in failures.items()]
    keep_tracebacks(store.directory / "tracebacks.txt", named)
    return CellsRun(tuple(outcome for outcome in found if outcome is not None), sentences(named))


def _named(cell: Cell) -> str:
    """A cell in words, for a person who looks for what failed."""
    values = (f"{name} {value}" for name, value in asdict(cell).items() if name != "algorithm")
    return f"{cell.algorithm} ({', '.join(values)})"


@dataclass(frozen=True)
class _ByKey:
    """A store of outcomes, asked by key."""

    store: OutcomeStore
    cells: dict[str, Cell]
    has_earlier: bool
    """Whether outcomes of an earlier run count."""

    def __contains__(self, key: str) -> bool:
        return self.has_earlier and self.store.get(self.cells[key]) is not None

    def put(self, key: str, result: Outcome) -> None:
        self.store.put(result)
