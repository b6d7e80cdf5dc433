"""Several trainings, a few at a time, each in a process of its own."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from interp.errors import EXPECTED_ERRORS
from interp.training.metrics import Metrics
from interp.training.monitoring import Monitoring
from interp.training.recipe import Recipe
from interp.training.run_directory import RunDirectory, RunError

REPORT_EVERY_SECONDS = 0.25
SECONDS_TO_END = 10.0
"""How long a worker that was told to stop may take before it is killed."""


@dataclass(frozen=True)
class Job:
    """A recipe and the folder its training writes."""

    recipe: Recipe
    directory: Path
    monitoring: Monitoring = field(default_factory=Monitoring)


@runtime_checkable
class Watcher(Protocol):
    """Whoever is told how the jobs fare, by their index."""

    def started(self, index: int) -> None: ...

    def progressed(self, index: int, step: int, numbers: Metrics) -> None: ...

    def finished(self, index: int) -> None: ...

    def failed(self, index: int, reason: str) -> None: ...


@dataclass(frozen=True)
class Message:
    """What a worker tells the queue."""

    kind: Literal["progressed", "finished", "failed"]
    step: int = 0
    numbers: Metrics | None = None
    reason: str = ""


def run_here(job: Job, watcher: Watcher, *, n_threads: int, stop_after: int | None = None) -> None:
    """Trains a single job in this process, and raises whatever `train` raises."""
    import torch

    from interp.training.train import train

    torch.set_num_threads(n_threads)
    watcher.started(0)
    train(
        job.recipe,
        job.directory,
        stop_after=stop_after,
        progress=lambda step, numbers: watcher.progressed(0, step, numbers),
        monitoring=job.monitoring,
    )
    watcher.finished(0)


def run_queue(
    jobs: Sequence[Job],
    watcher: Watcher,
    *,
    n_workers: int,
    n_threads: int,
    stop_after: int | None = None,
) -> dict[int, str]:
    """Trains every job, `n_workers` at a time, in the order given.

    What was cut off before goes on from its last checkpoint; what is finished stays as it is. One
    job's failure does not stop the others.

    Args:
        jobs: What to train, each in a folder of its own.
        watcher: Told of every start, progress and end.
        n_workers: Processes at a time.
        n_threads: Threads of each of them.
        stop_after: As for `train`.

    Returns:
        For each job that failed, by index, why.

    Raises:
        ValueError: Two jobs share a folder, or a count is below 1.
    """
    for name, value in (("n_workers", n_workers), ("n_threads", n_threads)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    folders = [job.directory.resolve() for job in jobs]
    for index, folder in enumerate(folders):
        if folder in folders[:index]:
            raise ValueError(f"{jobs[index].directory}: two trainings would write to this folder")
    waiting = list(range(len(jobs)))[::-1]
    running: dict[int, _Worker] = {}
    failures: dict[int, str] = {}
    try:
        while waiting or running:
            while waiting and len(running) < n_workers:
                index = waiting.pop()
                running[index] = _Worker(jobs[index], n_threads, stop_after)
                watcher.started(index)
            wait([worker.connection for worker in running.values()])
            for index, worker in list(running.items()):
                for message in worker.messages():
                    if message.kind == "progressed":
                        watcher.progressed(index, message.step, message.numbers or {})
                        continue
                    if message.kind == "finished":
                        watcher.finished(index)
                    else:
                        failures[index] = message.reason
                        watcher.failed(index, message.reason)
                    running.pop(index).join()
    finally:
        for worker in running.values():
            worker.process.terminate()
        for index, worker in running.items():
            worker.join()
            _clear(jobs[index].directory)
    return failures


def _clear(directory: Path) -> None:
    """Clears what an ended worker left half-written, unless another process trains there."""
    if directory.is_dir():
        with suppress(RunError), RunDirectory(directory).lock():
            pass


class _Worker:
    """The process of one job, seen from the queue."""

    def __init__(self, job: Job, n_threads: int, stop_after: int | None) -> None:
        # All workers are forked from one server that has imported torch once, and with it what
        # every optimiser imports when it is built.
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["interp.training.train", "torch._dynamo"])
        self.connection, theirs = context.Pipe(duplex=False)
        self.process = context.Process(target=_work, args=(job, n_threads, stop_after, theirs))
        # Ctrl-C reaches every process of a terminal, but only the queue answers it.
        outside = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self.process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, outside)
        theirs.close()

    def messages(self) -> list[Message]:
        """What has arrived; a process that died without a word counts as failed."""
        arrived: list[Message] = []
        try:
            while self.connection.poll():
                arrived.append(self.connection.recv())
        except (EOFError, OSError):
            if not arrived or arrived[-1].kind == "progressed":
                self.process.join()
                code = self.process.exitcode or 0
                how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
                arrived.append(Message("failed", reason=f"its process ended by {how}"))
        return arrived

    def join(self) -> None:
        self.process.join(SECONDS_TO_END)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.connection.close()


def _work(job: Job, n_threads: int, stop_after: int | None, connection: Connection) -> None:
    # The queue ends a worker by SIGTERM, which acts as Ctrl-C would: files being written go.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        try:
            _train(job, n_threads, stop_after, connection)
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it has ended already


def _train(job: Job, n_threads: int, stop_after: int | None, connection: Connection) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    last_report = 0.0
    latest = Message("progressed")

    def report(step: int, numbers: Metrics) -> None:
        nonlocal last_report, latest
        latest = Message("progressed", step, numbers)
        if time.monotonic() - last_report > REPORT_EVERY_SECONDS:
            last_report = time.monotonic()
            connection.send(latest)

    try:
        import torch

        from interp.training.train import train

        torch.set_num_threads(n_threads)
        train(
            job.recipe,
            job.directory,
            stop_after=stop_after,
            progress=report,
            monitoring=job.monitoring,
        )
        connection.send(latest)
        connection.send(Message("finished"))
    except EXPECTED_ERRORS as error:
        _send_failure(connection, str(error))
    except Exception as error:  # a defect: its traceback goes to the log of the run
        with suppress(OSError):
            (job.directory / "traceback.txt").write_text(traceback.format_exc(), encoding="utf-8")
        _send_failure(connection, f"{type(error).__name__}: {error}")


def _send_failure(connection: Connection, reason: str) -> None:
    with suppress(OSError):
        connection.send(Message("failed", reason=reason))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
