"""`interp separate`: a checkpoint on prompts built to tell two references apart."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from interp.commands.emit import emit, working, write_files
from interp.commands.options import (
    MOST_PROMPTS,
    BatchSizeOption,
    CheckpointArgument,
    DeviceOption,
    SeedOption,
    TaskOption,
)

if TYPE_CHECKING:
    from rich.console import Console


def separate(
    checkpoint: CheckpointArgument,
    a: Annotated[
        str, typer.Argument(metavar="A", help="A reference that `interp match` compares …")
    ] = "newton",
    b: Annotated[str, typer.Argument(metavar="B", help="… and the one to tell it from.")] = "gd",
    task: TaskOption = None,
    condition: Annotated[
        float, typer.Option(help="Largest condition number of the built prompts.")
    ] = 100.0,
    prompts: Annotated[
        int, typer.Option(min=16, max=MOST_PROMPTS, help="Prompts of each kind.")
    ] = 512,
    seed: SeedOption = 0,
    device: DeviceOption = "cpu",
    batch_size: BatchSizeOption = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for separation.html and separation.nc.")
    ] = None,
) -> None:
    """Match a checkpoint's layers on prompts that separate two references."""
    with working(out) as progress:
        from interp.analyses.separation import separate as run
        from interp.tasks.prompt_file import read_task
        from interp.zoo.loading import load

        found = run(
            load(checkpoint, device=device),
            a,
            b,
            read_task(task) if task else None,
            n_prompts=prompts,
            largest_condition=condition,
            seed=seed,
            batch_size=batch_size,
        )
        if out is not None:
            from interp.report.algorithms import separation_page

            progress("writing the report", 0, 1)
            page = separation_page(found, checkpoint).html()
            write_files(out, {"separation.nc": found, "separation.html": page})

    def show(console: Console) -> None:
        from interp.report.algorithms import context, finding, separation_table

        table = separation_table(found)
        console.print(table.title, highlight=False, markup=False)
        console.print(table.to_terminal(intervals="±"))
        console.print(f"{finding(found)}.", markup=False, highlight=False)
        console.print(context(found), markup=False, highlight=False)

    emit(None, show, pages={"report": out and out / "separation.html"})
