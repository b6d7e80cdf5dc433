"""`interp calibrate`: how often is the verdict right on models whose algorithm is known?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from interp.commands.emit import emit, working, write_files
from interp.commands.options import MOST_JOBS, DeviceOption


def calibrate(
    grid: Annotated[
        str,
        typer.Option(
            help="What to run: quick (minutes), full (an hour of one core) or a TOML file."
        ),
    ] = "quick",
    device: DeviceOption = "cpu",
    jobs: Annotated[int, typer.Option(min=1, max=MOST_JOBS, help="Processes at a time.")] = 1,
    dask: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Scheduler of a Dask cluster to run on.")
    ] = None,
    out: Annotated[
        Path, typer.Option(help="Folder for the results, calibration.nc and the report.")
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
            "--fresh", help="Run all again, also what an earlier run of this code has results of."
        ),
    ] = False,
    report_only: Annotated[
        bool,
        typer.Option("--report-only", help="Run no more cells: report the results that there are."),
    ] = False,
) -> None:
    """Run the verdict on models whose algorithm is known and say how often it is right."""
    import shlex  # for the speed of start-up, as all below

    from interp.studies.calibration.grid import PROTOCOL_CELLS, large_samples, read_grid

    if fresh and report_only:
        raise ValueError("give --fresh or --report-only, not both")
    cells = read_grid(grid)
    cells += large_samples(cells) if with_large_samples else ()
    cells += PROTOCOL_CELLS if with_protocols else ()
    command = ["interp", "calibrate", "--grid", grid]  # what decides the result, and no more
    if document is not None:
        command += ["--document", str(document)]
    with working(out, document and document.parent) as progress:
        from interp.jobs.outcome import without_result
        from interp.jobs.pool import Pool
        from interp.report.markdown import write_markdown
        from interp.studies.calibration.calibration import REMEDY
        from interp.studies.calibration.calibration import calibrate as run
        from interp.studies.calibration.counts import calibration_dataset, error_rates
        from interp.studies.calibration.page import calibration_page, findings, introduction

        found = run(
            cells,
            out,
            Pool(jobs, dask, device),
            fresh=fresh,
            report_only=report_only,
            finished=lambda done, total: progress(f"cell {done} of {total}", done, total),
        )
        progress("writing the report", 0, 1)
        page = calibration_page(found, shlex.join(command))
        files = {
            "calibration.nc": calibration_dataset(found.outcomes, found.coverage),
            "rates.json": error_rates(found.outcomes),
            "calibration.html": page.write,
        }
        write_files(out, files)
        if document is not None:
            write_markdown(page, document, "calibration", introduction())
    sentences = findings(found)
    pages = {"report": out / "calibration.html", "page": document}
    emit(
        list(sentences),
        lambda console: console.print(
            *sentences, sep="\n", soft_wrap=True, highlight=False, markup=False
        ),
        pages=pages,
    )
    if found.failures:
        raise ValueError(without_result(found.failures, REMEDY))
