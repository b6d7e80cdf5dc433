"""Where independent work runs: processes of this machine, or the workers of a Dask cluster."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

from interp.jobs.outcome import Failure, outcome_of
from interp.zoo.catalogue import DEVICES

SECONDS_BETWEEN_LOOKS = 0.5
"""Of a worker, for whether the process that started it is still there."""


@dataclass(frozen=True)
class Pool:
    """Does pieces of work, a few at a time; an error or a dead process costs only its own piece."""

    n_jobs: int = 1
    """Processes at a time on this machine; 1 is this process itself."""
    dask_address: str | None = None
    """Of the scheduler of a Dask cluster to run on instead."""
    device: str | None = None
    """Where models that the work loads run, see `interp.load`; by default where they were made."""

    def __post_init__(self) -> None:
        if self.n_jobs < 1:
            raise ValueError(f"n_jobs must be at least 1, got {self.n_jobs}")
        if self.device is not None and not re.fullmatch(DEVICES, self.device):
            raise ValueError(f"device must be auto, cpu, cuda, cuda:N or mps, got {self.device!r}")

    @property
    def is_remote(self) -> bool:
        """Whether work runs on machines that need not see this one's files."""
        return self.dask_address is not None

    def run(
        self,
        work: Callable[..., Any],
        arguments: Sequence[tuple[Any, ...]],
        files: Mapping[str, Path] | None = None,
    ) -> Iterator[tuple[int, Any]]:
        """Does work for every tuple of arguments and yields index and result as they come.

        What a process was at when it died is tried again; what kills its processes again and again
        fails.

        Args:
            work: A function that worker processes can import.
            arguments: What it is called with, one call a piece.
            files: Files that workers of a cluster need, by name; see
                `interp.jobs.cluster.shipped_file`.

        Yields:
            The index of the arguments and what `work` returned, or a `Failure`.

        Raises:
            ValueError: `dask_address` without the package `distributed`.
            OSError: The cluster cannot be reached, or was lost.
        """
        if not arguments:
            return
        if self.device is not None:
            work = partial(_run_on, self.device, work)
        if self.dask_address is not None:
            from interp.jobs.cluster import run_on_dask

            yield from run_on_dask(self.dask_address, work, arguments, files or {})
        elif self.n_jobs == 1:
            for index, values in enumerate(arguments):
                yield outcome_of(index, work, *values)
        else:
            yield from _run_on_loky(self.n_jobs, work, arguments)


def _run_on(device: str, work: Callable[..., Any], *arguments: Any) -> Any:
    from interp.zoo.loading import running_on

    with running_on(device):
        return work(*arguments)


def _outcome_from_worker(index: int, work: Callable[..., Any], *arguments: Any) -> tuple[int, Any]:
    """As `outcome_of`, in a process that leaves Ctrl-C to its parent, and ends with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _watch_parent()
    return outcome_of(index, work, *arguments)


@cache
def _watch_parent() -> None:
    """Starts, once a process, what ends it soon after the process that started it was killed."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(SECONDS_BETWEEN_LOOKS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@dataclass
class _Attempt:
    """One go at what is waiting, until it is done or a process dies."""

    waiting: Sequence[int]
    begun: list[int] = field(default_factory=list)
    done: set[int] = field(default_factory=set)

    def calls(
        self, work: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]
    ) -> Iterator[Any]:
        from joblib import delayed

        for index in self.waiting:
            self.begun.append(index)
            yield delayed(_outcome_from_worker)(index, work, *arguments[index])

    @property
    def lost(self) -> list[int]:
        """What was at work, or next to be, when a process died."""
        return [index for index in self.begun if index not in self.done]

    @property
    def untouched(self) -> list[int]:
        return list(self.waiting[len(self.begun) :])


def _run_on_loky(
    n_jobs: int, work: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]
) -> Iterator[tuple[int, Any]]:
    """Yields as `Pool.run` does.

    joblib gives up when a process dies. What may have killed it is tried again after everything
    else, and once it has stopped all others, one piece at a time; it fails if it is the last one
    begun twice.
    """
    from joblib import Parallel
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    # loky replaces a process whose memory has grown, and no work is lost by it.
    warnings.filterwarnings("ignore", message="A worker stopped while some jobs were given")
    # After Ctrl-C joblib warns of the work that was under way; there is nothing to mend.
    warnings.filterwarnings("ignore", message=".*tasks which were still being processed")
    attempt = _Attempt(range(len(arguments)))
    in_flight: int | str = "2 * n_jobs"
    deaths: Counter[int] = Counter()
    while attempt.waiting:
        parallel = Parallel(
            n_jobs=n_jobs, batch_size=1, pre_dispatch=in_flight, return_as="generator_unordered"
        )
        try:
            for index, result in parallel(attempt.calls(work, arguments)):
                attempt.done.add(index)
                yield index, result
            return
        except TerminatedWorkerError:
            lost = attempt.lost
            if in_flight == 1 and lost:  # results of those before may be lost with the process
                deaths[lost[-1]] += 1
                if deaths[lost[-1]] > 1:
                    yield lost.pop(), Failure("its process was killed; was there memory enough?")
            elif not attempt.done:
                in_flight = 1
            attempt = _Attempt([*attempt.untouched, *lost])
