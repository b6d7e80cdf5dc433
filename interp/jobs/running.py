"""Runs what a store does not have yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

from interp.jobs.failure import Failure
from interp.jobs.pool import Pool

Result = TypeVar("Result")
Stored = TypeVar("Stored", contravariant=True)


@runtime_checkable
class Keyed(Protocol):
    """Anything whose result depends on nothing but what its key says."""

    @property
    def key(self) -> str: ...


@runtime_checkable
class Store(Protocol[Stored]):
    """Where results are kept by key; each is whole or absent."""

    def __contains__(self, key: str) -> bool: ...

    def put(self, key: str, result: Stored) -> None: ...


Cell = TypeVar("Cell", bound=Keyed)


def run_missing(
    cells: Sequence[Cell],
    work: Callable[[Cell], Result],
    store: Store[Result],
    pool: Pool,
    *,
    files: Mapping[str, Path] | None = None,
    finished: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Failure]:
    """Runs every cell that a store has no result of, and keeps each result as it comes.

    Workers send results back and only this process writes, so a cluster needs no shared disk, and
    a run that is cut off has lost no more than what was being computed.

    Args:
        cells: What to run; of cells with one key, one is run.
        work: What gives a cell's result; importable by worker processes.
        store: Where results are kept.
        pool: Where cells run.
        files: Files that workers of a cluster need, by name.
        finished: Told how many cells are done, of how many.

    Returns:
        Why cells failed, by key; all others are in the store.

    Raises:
        ValueError: `dask_address` without the package `distributed`.
        OSError: The store cannot be written, or the cluster not be reached.
    """
    unique = list({cell.key: cell for cell in cells}.values())
    missing = [cell for cell in unique if cell.key not in store]
    done, failures = len(unique) - len(missing), {}
    finished(done, len(unique))
    arguments: list[tuple[Any, ...]] = [(cell,) for cell in missing]
    for index, result in pool.run(work, arguments, files):
        key = missing[index].key
        if isinstance(result, Failure):
            failures[key] = result
        else:
            store.put(key, result)
        done += 1
        finished(done, len(unique))
    return failures
