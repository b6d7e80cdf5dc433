"""Runs the cells of a grid, here or on a cluster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from interp.calibration.cell import Cell
from interp.calibration.outcome import Outcome, run_cell
from interp.calibration.store import OutcomeStore
from interp.jobs.outcome import keep_tracebacks, sentences
from interp.jobs.pool import Pool
from interp.study.run import Results, Study


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

    def join(results: Results[Cell, Outcome]) -> CellsRun:
        named = [(_named(cell), failure) for cell, failure in results.failures]
        keep_tracebacks(store.directory / "tracebacks.txt", named)
        return CellsRun(tuple(outcome for _, outcome in results.found), sentences(named))

    study = Study(cells, run, join)
    return study.execute(_ByKey(store, by_key), pool, fresh=not resume, finished=finished)


def _named(cell: Cell) -> str:
    """A cell in words, for a person who looks for what failed."""
    values = (f"{name} {value}" for name, value in asdict(cell).items() if name != "algorithm")
    return f"{cell.algorithm} ({', '.join(values)})"


@dataclass(frozen=True)
class _ByKey:
    """A store of outcomes, asked by key."""

    store: OutcomeStore
    cells: dict[str, Cell]

    def __contains__(self, key: str) -> bool:
        return self.store.get(self.cells[key]) is not None

    def read(self, key: str) -> Outcome:
        outcome = self.store.get(self.cells[key])
        assert outcome is not None
        return outcome

    def put(self, key: str, result: Outcome) -> None:
        self.store.put(result)
