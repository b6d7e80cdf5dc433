"""`interp conditions`: a checkpoint on prompts unlike those of its training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from interp.commands.options import (
    MOST_PROMPTS,
    BatchSizeOption,
    CheckpointArgument,
    DeviceOption,
    JsonOption,
    OpenOption,
    SeedOption,
    TaskOption,
)

if TYPE_CHECKING:
    from rich.console import Console

    from interp.analyses.condition_sweep import ConditionSweep


def conditions(
    checkpoint: CheckpointArgument,
    vary: Annotated[
        str,
        typer.Option(help="What to vary, comma-separated: kappa, noise, y-scale, x-scale, points."),
    ] = "kappa,noise,y-scale,x-scale,points",
    values: Annotated[
        str | None,
        typer.Option(
            help="Values in place of the defaults, comma-separated; for a single property."
        ),
    ] = None,
    task: TaskOption = None,
    prompts: Annotated[
        int, typer.Option(min=256, max=MOST_PROMPTS, help="Prompts to evaluate on, each.")
    ] = 512,
    seed: SeedOption = 0,
    device: DeviceOption = "cpu",
    batch_size: BatchSizeOption = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for report.html, conditions.nc and summary.json."),
    ] = None,
    as_json: JsonOption = False,
    open_report: OpenOption = False,
) -> None:
    """Show where a checkpoint breaks: other condition numbers, noise, scales, longer prompts."""
    from interp.commands.emit import emit, working, write_files  # here for the speed of start-up

    names = [name.strip() for name in vary.split(",") if name.strip()]
    if values is not None and len(names) != 1:
        raise ValueError("--values needs --vary with a single property")
    out = out or (Path("interp-conditions") if open_report else None)
    with working(out) as progress:
        from interp.analyses.robustness import conditions as run
        from interp.tasks.prompt_file import read_task
        from interp.zoo.loading import load

        sweep = run(
            load(checkpoint, device=device),
            read_task(task) if task else None,
            vary=names,
            values=None if values is None else {names[0]: _numbers(values)},
            n_prompts=prompts,
            seed=seed,
            batch_size=batch_size,
            progress=progress,
        )
        if out is not None:
            progress("writing the report", 0, 1)
            files = {
                "conditions.nc": sweep.save,
                "report.html": sweep.write_report,
                "summary.json": sweep.summary(),
            }
            write_files(out, files)
    emit(
        sweep.summary(),
        lambda console: _show(sweep, console),
        as_json=as_json,
        pages={"report": out and out / "report.html"},
        open_page=open_report,
    )


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise ValueError(f"--values must be numbers separated by commas, got {text!r}") from None


def _show(sweep: ConditionSweep, console: Console) -> None:
    """A table for each property, and where the model breaks."""
    from interp.report.robustness import broken, laws_words, left_out, sweep_tables

    for table in sweep_tables(sweep):
        console.print(table.title, table.to_terminal(), "", sep="\n", markup=False, highlight=False)
    for sentence in (*broken(sweep), laws_words(sweep.laws())):
        if sentence:
            console.print(sentence, markup=False, highlight=False)
    for sentence in left_out(sweep):
        console.print(sentence, style="dim", highlight=False, markup=False)
