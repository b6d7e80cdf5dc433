"""What does a sweep of 1,000 small cells cost beyond its cells, on one process and on a cluster?

Starts a Dask scheduler and workers as processes of their own, and counts CPU seconds of all of
them, so that other work on the machine does not count. Then kills a worker in the middle of a
sweep, and in the middle of another the scheduler; either way every cell ends with the bits that
one process gives.

    python benchmarks/cluster.py [CELLS] [WORKERS]
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import xarray

from hooks import build_model
from hooks.checkpoints import save_checkpoint
from interp.study import Pool, run_sweep
from interp.study.analysis import AnalysisCell, run_cell
from interp.study.checkpoint import Checkpoint
from interp.study.errors import ErrorAnalysis
from interp.study.grid import Grid, ModelEntry
from interp.tasks import LinearRegression

TASK = LinearRegression(n_dims=2, n_points=4)
ANALYSIS = ErrorAnalysis(2)
SIZES = {"n_dims": 2, "n_points": 4, "n_layers": 1, "n_heads": 1, "d_model": 8}


@dataclass
class Cluster:
    address: str
    scheduler: subprocess.Popen[bytes]
    workers: list[subprocess.Popen[bytes]]

    def cpu_seconds(self) -> float:
        return sum(cpu_seconds(one.pid) for one in (self.scheduler, *self.workers))


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def cluster(n_workers: int, folder: Path) -> Iterator[Cluster]:
    file = folder / f"scheduler-{time.time_ns()}.json"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder}
    common = ["--scheduler-file", str(file), "--no-dashboard"]
    scheduler = subprocess.Popen(
        [sys.executable, "-m", "distributed.cli.dask_scheduler", *common, "--port", "0"], **quiet
    )
    options = ["--nthreads", "1", "--nworkers", "1", "--no-nanny"]
    workers = [
        subprocess.Popen(
            [sys.executable, "-m", "distributed.cli.dask_worker", *common, *options], **quiet
        )
        for _ in range(n_workers)
    ]
    try:
        from distributed import Client

        while not file.exists():
            time.sleep(0.1)
        with Client(scheduler_file=str(file), set_as_default=False) as client:
            client.wait_for_workers(n_workers, timeout=600)
            address = client.scheduler.address
        yield Cluster(address, scheduler, workers)
    finally:
        for process in (*workers, scheduler):
            process.kill()
            process.wait()


def grid(source: Path, n_cells: int) -> Grid:
    return Grid(
        (ModelEntry("tiny", str(source)),), {"error": ANALYSIS}, seeds=tuple(range(n_cells))
    )


def kill_when(share: float, victim: subprocess.Popen[bytes]) -> Callable[[str, int, int], None]:
    """A progress callback that kills a process once a share of the cells is done."""

    def progress(stage: str, done: int, total: int) -> None:
        if stage == "cells" and done >= share * total and victim.poll() is None:
            threading.Thread(target=victim.send_signal, args=(signal.SIGKILL,)).start()

    return progress


def main(n_cells: int = 1000, n_workers: int = 3) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        source = folder / "tiny.safetensors"
        save_checkpoint(build_model("gpt2", SIZES), source, {"task": TASK.describe()})
        work = grid(source, n_cells)
        cells = [AnalysisCell(Checkpoint.of(str(source)), TASK, n, ANALYSIS) for n in work.seeds]
        run_sweep(grid(source, 1), folder / "warm")
        run_cell(cells[0])
        started = time.process_time()
        for cell in cells:
            run_cell(cell)
        own = time.process_time() - started
        started = time.process_time()
        one = run_sweep(work, folder / "one").data
        alone = time.process_time() - started
        print(f"{n_cells} cells, CPU ms a cell: work {1e3 * own / n_cells:.2f}")
        print(f"one process: overhead {1e3 * (alone - own) / n_cells:.2f}")
        with cluster(n_workers, folder) as there:
            run_sweep(grid(source, 4 * n_workers), folder / "warm-cluster", Pool(1, there.address))
            before, started = there.cpu_seconds(), time.process_time()
            found = run_sweep(work, folder / "cluster", Pool(1, there.address)).data
            here, away = time.process_time() - started, there.cpu_seconds() - before
            xarray.testing.assert_identical(found, one)
            print(
                f"{n_workers} workers: overhead {1e3 * (here + away - own) / n_cells:.2f}, of it "
                f"{1e3 * (here + away - alone) / n_cells:.2f} for the cluster; bits are equal"
            )
            progress = kill_when(0.3, there.workers[0])
            found = run_sweep(work, folder / "worker", Pool(1, there.address), progress=progress)
            xarray.testing.assert_identical(found.data, one)
            print(f"a worker killed: {len(found.failures)} cells lost; bits are equal")
            progress = kill_when(0.3, there.scheduler)
            try:
                run_sweep(work, folder / "scheduler", Pool(1, there.address), progress=progress)
            except OSError as error:
                n_kept = len(list((folder / "scheduler/cells").iterdir()))
                print(f"the scheduler killed: “{error}”; {n_kept} cells kept")
        found = run_sweep(work, folder / "scheduler")
        xarray.testing.assert_identical(found.data, one)
        print("gone on without it: bits are equal")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
