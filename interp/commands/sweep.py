"""`interp sweep`: models × tasks × seeds × analyses."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from interp.commands.emit import emit, working
from interp.commands.options import MOST_JOBS, DeviceOption


def sweep(
    grid: Annotated[
        str,
        typer.Argument(
            metavar="GRID", help="TOML file, or name of a shipped grid.", show_default=False
        ),
    ],
    device: DeviceOption = "cpu",
    jobs: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=MOST_JOBS,
            help="Processes at a time, one thread each; by default one a core.",
        ),
    ] = None,
    dask: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Scheduler of a Dask cluster to run on.")
    ] = None,
    out: Annotated[
        Path, typer.Option(help="Folder for sweep.nc, and for the cells that are done.")
    ] = Path("out/sweep"),
) -> None:
    """Run every combination of models, tasks, seeds and analyses that was not run before."""
    with working(out) as progress:
        from joblib import cpu_count

        from interp.jobs.pool import Pool
        from interp.study.grid import read_grid
        from interp.study.sweep import run_sweep

        pool = Pool(jobs or (cpu_count() if device == "cpu" else 1), dask, device)
        result = run_sweep(
            read_grid(grid),
            out,
            pool,
            progress=lambda stage, done, total: progress(f"{stage} {done}/{total}", done, total),
        )
    from interp.study.table import sweep_table

    pages = {"results": out / "sweep.nc"}
    emit(None, lambda console: console.print(sweep_table(result.data)), pages=pages)
    if result.failures:
        from interp.jobs.outcome import without_result

        raise ValueError(without_result(result.failures, "the same command tries again"))
