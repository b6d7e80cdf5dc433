"""`interp calibrate`: how often is the verdict right on models whose algorithm is known?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

REMEDY = "the same command tries again"


def calibrate(
    grid: Annotated[
        str,
        typer.Option(
            help="What to run: quick (minutes), full (an hour of one core) or a TOML file."
        ),
    ] = "quick",
    jobs: Annotated[int, typer.Option(min=1, help="Processes at a time.")] = 1,
    dask: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Scheduler of a Dask cluster to run on.")
    ] = None,
    out: Annotated[
        Path, typer.Option(help="Folder for the outcomes, calibration.nc and the report.")
    ] = Path("out/calibration"),
    document: Annotated[
        Path | None,
        typer.Option(help="Write the Markdown page here, its pictures in images/ beside it."),
    ] = None,
    with_protocols: Annotated[
        bool,
        typer.Option("--protocols/--no-protocols", help="Compare raw, matched and direct steps."),
    ] = True,
    with_large_samples: Annotated[
        bool,
        typer.Option(
            "--large-samples/--no-large-samples",
            help="Take 100 times the prompts of noisy models that are run often, for the coverage "
            "of the intervals.",
        ),
    ] = True,
    fresh: Annotated[
        bool,
        typer.Option(
            "--fresh",
            help="Run all again, also what an earlier run of this version left in the folder.",
        ),
    ] = False,
    report_only: Annotated[
        bool,
        typer.Option(
            "--report-only", help="Run no more cells: report those that an earlier run left."
        ),
    ] = False,
) -> None:
    """Run the verdict on models whose algorithm is known and say how often it is right."""
    import shlex

    from rich.console import Console

    from interp.calibration.grid import read_grid
    from interp.calibration.large_sample import large_samples
    from interp.calibration.protocols import compare_protocols
    from interp.calibration.running import run_cells
    from interp.calibration.store import OutcomeStore
    from interp.calibration.writing import write_calibration
    from interp.jobs.outcome import without_result
    from interp.jobs.pool import Pool
    from interp.progress import prompt_progress

    cells = read_grid(grid).cells
    command = ["interp", "calibrate", "--grid", grid]  # what decides the result, and no more
    if document is not None:
        command += ["--document", str(document)]
    store = OutcomeStore(out / "cells")
    if fresh and report_only:
        raise ValueError("give --fresh or --report-only, not both")
    with prompt_progress(Console(stderr=True)) as progress:
        wanted = tuple(cell for cell in cells if store.get(cell)) if report_only else cells
        if not wanted:
            raise ValueError(f"{store.directory} has no outcome of these cells to report")
        ran = run_cells(
            wanted,
            store,
            Pool(jobs, dask),
            resume=not fresh,
            finished=lambda done, total: progress(f"cell {done} of {total}", done, total),
        )
        if not ran.outcomes:
            raise ValueError(without_result(ran.failures, REMEDY))
        progress("taking large samples", 0, 1)
        samples = (
            tuple(large_samples(out / "large", cells, resume=not fresh))
            if with_large_samples
            else ()
        )
        progress("comparing protocols", 0, 1)
        protocols = compare_protocols(out / "protocols", resume=not fresh) if with_protocols else ()
        progress("writing the report", 0, 1)
        found = write_calibration(
            ran.outcomes,
            out,
            command=shlex.join(command),
            protocols=protocols,
            samples=samples,
            n_planned=len(cells),
            document=document,
        )
    print(*found, sep="\n")
    print(f"report: {out / 'calibration.html'}")
    if ran.failures:
        raise ValueError(without_result(ran.failures, REMEDY))
