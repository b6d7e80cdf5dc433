"""Runs the cells of a grid, here or on a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from interp.calibration.cell import Cell
from interp.calibration.outcome import Outcome, run_cell
from interp.calibration.store import OutcomeStore


def run_cells(
    cells: Sequence[Cell],
    store: OutcomeStore,
    *,
    n_jobs: int = 1,
    dask_address: str | None = None,
    resume: bool = True,
    run: Callable[[Cell], Outcome] = run_cell,
    finished: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Outcome, ...]:
    """Runs cells and writes each outcome as it arrives, so that a killed run loses no more.

    Outcomes do not depend on where or in what order cells run. Workers send them back and only
    this process writes, so a cluster needs no shared disk; cells of a worker that dies are run
    again by another.

    Args:
        cells: What to run.
        store: Where outcomes are kept.
        n_jobs: Processes at a time on this machine.
        dask_address: Of the scheduler of a Dask cluster to run on instead.
        resume: Whether outcomes that the store has are taken from it.
        run: What gives a cell's outcome.
        finished: Told how many cells are done, of how many.

    Returns:
        The outcomes, in the order of the cells.

    Raises:
        ValueError: `dask_address` without the package `distributed`.
        OSError: The store cannot be written, or the cluster not be reached.
    """
    found = {cell: store.get(cell) for cell in cells} if resume else {}
    outcomes = {cell: outcome for cell, outcome in found.items() if outcome is not None}
    missing = [cell for cell in cells if cell not in outcomes]
    finished(len(outcomes), len(cells))
    for outcome in _run_missing(missing, n_jobs, dask_address, run):
        store.put(outcome)
        outcomes[outcome.cell] = outcome
        finished(len(outcomes), len(cells))
    return tuple(outcomes[cell] for cell in cells)


def _run_missing(
    cells: Sequence[Cell],
    n_jobs: int,
    dask_address: str | None,
    run: Callable[[Cell], Outcome],
) -> Iterator[Outcome]:
    from joblib import Parallel, delayed

    if not cells:
        return
    if dask_address is None:
        parallel = Parallel(n_jobs=n_jobs, batch_size=1, return_as="generator_unordered")
        yield from parallel(delayed(run)(cell) for cell in cells)
        return
    with _dask_backend(dask_address):
        parallel = Parallel(batch_size=1, pre_dispatch="all", return_as="generator_unordered")
        yield from parallel(delayed(run)(cell) for cell in cells)


@contextmanager
def _dask_backend(address: str) -> Iterator[None]:
    from joblib import parallel_config

    try:
        from distributed import Client
    except ImportError:
        raise ValueError(
            "running on Dask needs the package distributed: pip install 'icl-interp[dask]'"
        ) from None
    with Client(address, set_as_default=False) as client, parallel_config("dask", client=client):
        yield
