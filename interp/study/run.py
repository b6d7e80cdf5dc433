"""A study: cells, each computed once and kept, and what they are joined into."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from interp.jobs import Failure, Pool


@runtime_checkable
class Keyed(Protocol):
    """Anything whose result depends on nothing but what its key says."""

    @property
    def key(self) -> str: ...


Cell = TypeVar("Cell", bound=Keyed)
Result = TypeVar("Result", contravariant=True)
Stored = TypeVar("Stored", covariant=True)
Joined = TypeVar("Joined")


@runtime_checkable
class ResultStore(Protocol[Result, Stored]):
    """Where results are kept by key, each whole or absent; `interp.study.store.Store` is one."""

    def __contains__(self, key: str) -> bool: ...

    def put(self, key: str, result: Result) -> None: ...

    def read(self, key: str) -> Stored: ...


@dataclass(frozen=True)
class Results(Mapping[Cell, Stored | Failure]):
    """What a study's cells gave, by cell; results are read when they are looked up."""

    cells: tuple[Cell, ...]
    store: ResultStore[Any, Stored]
    reasons: Mapping[str, Failure]
    """Of the cells that failed, by key."""

    def __getitem__(self, cell: Cell) -> Stored | Failure:
        return self.reasons.get(cell.key) or self.store.read(cell.key)

    def __iter__(self) -> Iterator[Cell]:
        return iter(self.cells)

    def __len__(self) -> int:
        return len(self.cells)

    @property
    def failures(self) -> tuple[tuple[Cell, Failure], ...]:
        """Cells without a result, and why, in their order."""
        return tuple((c, self.reasons[c.key]) for c in self.cells if c.key in self.reasons)

    @property
    def found(self) -> Iterator[tuple[Cell, Stored]]:
        """Cells with a result, in their order."""
        return ((c, self.store.read(c.key)) for c in self.cells if c.key not in self.reasons)


@dataclass(frozen=True)
class Study(Generic[Cell, Result, Joined]):
    """Cells, what computes one of them, and what joins their results."""

    cells: Sequence[Cell]
    """Of cells with one key, one is run."""
    run: Callable[[Cell], Result]
    """Importable by worker processes."""
    join: Callable[[Results[Cell, Any]], Joined]
    files: Mapping[str, Path] = field(default_factory=dict)
    """Files that workers of a cluster need, by name."""

    def execute(
        self,
        store: ResultStore[Result, Any],
        pool: Pool | None = None,
        *,
        fresh: bool = False,
        finished: Callable[[int, int], None] = lambda done, total: None,
    ) -> Joined:
        """Runs every cell that a store has no result of, keeps each result as it comes, and joins.

        Workers send results back and only this process writes, so a cluster needs no shared disk,
        and a run that is cut off has lost no more than what was being computed. A cell that fails
        stops no other.

        Args:
            store: Where results are kept.
            pool: Where cells run; by default in this process, one by one.
            fresh: Whether to run cells again that the store has a result of.
            finished: Called with the number of cells that are done, and of all.

        Raises:
            ValueError: `dask_address` without the package `distributed`, or a file of the store is
                not one of its results.
            OSError: The store cannot be written, or the cluster not be reached.
        """
        cells = tuple({cell.key: cell for cell in self.cells}.values())
        missing = [cell for cell in cells if fresh or cell.key not in store]
        done, reasons = len(cells) - len(missing), {}
        finished(done, len(cells))
        arguments: list[tuple[Any, ...]] = [(cell,) for cell in missing]
        for index, result in (pool or Pool()).run(self.run, arguments, self.files):
            key = missing[index].key
            if isinstance(result, Failure):
                reasons[key] = result
            else:
                store.put(key, result)
            done += 1
            finished(done, len(cells))
        return self.join(Results(cells, store, reasons))
