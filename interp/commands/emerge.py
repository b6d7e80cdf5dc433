"""`interp emerge`: which algorithm appears at which step of a training?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from interp.commands.emit import emit, working, write_files
from interp.commands.options import (
    MOST_JOBS,
    MOST_PROMPTS,
    DeviceOption,
    JsonOption,
    OpenOption,
    SeedOption,
    TaskOption,
)

if TYPE_CHECKING:
    import xarray
    from rich.console import Console


def emerge(
    run: Annotated[
        Path,
        typer.Argument(
            metavar="RUN",
            help="Folder of a training with its checkpoints: snapshots/, step_8.safetensors, "
            "model_8.pt, checkpoint-8/ or step=8.ckpt.",
            show_default=False,
        ),
    ],
    task: TaskOption = None,
    prompts: Annotated[
        int, typer.Option(min=1, max=MOST_PROMPTS, help="Prompts to evaluate each checkpoint on.")
    ] = 512,
    seed: SeedOption = 0,
    anatomy: Annotated[
        bool, typer.Option("--anatomy", help="Take layers apart too, which takes longer.")
    ] = False,
    paper: Annotated[
        bool,
        typer.Option("--paper", help="Also small multiples as emergence.svg and emergence.pdf."),
    ] = False,
    device: DeviceOption = "cpu",
    jobs: Annotated[int, typer.Option(min=1, max=MOST_JOBS, help="Processes at a time.")] = 1,
    dask: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Scheduler of a Dask cluster to run on.")
    ] = None,
    out: Annotated[
        Path,
        typer.Option(help="Folder for report.html, result.nc and summary.json, and what is done."),
    ] = Path("out/emerge"),
    as_json: JsonOption = False,
    open_report: OpenOption = False,
) -> None:
    """Show which algorithm appears at which step of a training, from its checkpoints."""
    with working(out) as progress:
        from interp.jobs.pool import Pool
        from interp.plots.emergence import small_multiples
        from interp.report.emergence import emergence_page, summary, without_result
        from interp.report.markdown import require_drawing, write_images
        from interp.study.emergence import emerge as analyse
        from interp.tasks.prompt_file import read_task

        if paper:
            require_drawing()
        found = analyse(
            run,
            read_task(task) if task else None,
            n_prompts=prompts,
            seed=seed,
            anatomy=anatomy,
            out=out,
            pool=Pool(jobs, dask, device),
            progress=progress,
        )
        progress("writing the report", 0, 1)
        page = emergence_page(found, str(run))
        files = {"result.nc": found, "report.html": page.write, "summary.json": summary(found)}
        write_files(out, files)
        images = write_images(small_multiples(found), out, "emergence") if paper else []
    emit(
        summary(found),
        lambda console: _show(found, console),
        as_json=as_json,
        pages={"report": out / "report.html"} | {file.suffix[1:]: file for file in images},
        open_page=open_report,
    )
    if failures := without_result(found):
        from interp.jobs.outcome import without_result as sentence

        raise ValueError(sentence(failures, "all else is in the report"))


def _show(found: xarray.Dataset, console: Console) -> None:
    from interp.report.emergence import change_table, emergence_table, errors_words, finding

    table = emergence_table(found)
    console.print(table.to_terminal({c.key: c.title for c in table.columns if not c.under}))
    console.print(change_table(found).to_terminal(intervals="to"))
    for words in (f"{finding(found)}.", errors_words(found)):
        console.print(words, highlight=False, markup=False)
