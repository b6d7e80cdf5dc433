"""`interp conditions`: a checkpoint on prompts unlike those of its training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from interp.commands.options import (
    CheckpointArgument,
    JsonOption,
    OpenOption,
    SeedOption,
    TaskOption,
    open_in_browser,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.table import Table

    from interp.conditions.result import ConditionSweep


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
    prompts: Annotated[int, typer.Option(min=256, help="Prompts to evaluate on, each.")] = 512,
    seed: SeedOption = 0,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for report.html, conditions.nc and summary.json."),
    ] = None,
    as_json: JsonOption = False,
    open_report: OpenOption = False,
) -> None:
    """Show where a checkpoint breaks: other condition numbers, noise, scales, longer prompts."""
    import json

    from rich.console import Console

    from interp.commands.output_folder import claim, write_summary
    from interp.commands.progress import prompt_progress

    names = [name.strip() for name in vary.split(",") if name.strip()]
    if values is not None and len(names) != 1:
        raise ValueError("--values needs --vary with a single property")
    out = out or (Path("interp-conditions") if open_report else None)
    if out is not None:
        claim(out)
    with prompt_progress(Console(stderr=True)) as progress:
        progress("loading", 0, 1)
        from interp.conditions.sweeping import conditions as run
        from interp.tasks.reading import read_task
        from interp.zoo.loading import load

        sweep = run(
            load(checkpoint),
            read_task(task) if task else None,
            vary=names,
            values=None if values is None else {names[0]: _numbers(values)},
            n_prompts=prompts,
            seed=seed,
            progress=progress,
        )
        if out is not None:
            progress("writing the report", 0, 1)
            sweep.save(out / "conditions.nc")
            sweep.write_report(out / "report.html")
            write_summary(out, sweep.summary())
    if as_json:
        print(json.dumps(sweep.summary(), indent=2, allow_nan=False))
    else:
        _show(sweep, out)
    if open_report and out is not None:
        open_in_browser(out)


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise ValueError(f"--values must be numbers separated by commas, got {text!r}") from None


def _show(sweep: ConditionSweep, out: Path | None) -> None:
    from rich.console import Console
    from rich.markup import escape

    from interp.conditions.page import law_words

    console = Console()
    for table in _tables(sweep):
        console.print(table, "")
    if laws := "; ".join(map(law_words, sweep.laws())):
        console.print(f"Steps that the references need: {laws}", highlight=False)
    for name, reason in sweep.left_out.items():
        console.print(f"{name}: left out, {reason}", style="dim", highlight=False)
    if out is not None:
        console.print(f"report: {escape(str(out / 'report.html'))}", soft_wrap=True)


def _tables(sweep: ConditionSweep) -> Iterator[Table]:
    """For each property a row a value: errors, and the steps that the last layer is most like."""
    from rich.table import Table

    from interp.conditions.variations import VARIATIONS

    for name in sweep.varied:
        data = sweep.table(name)
        last = data.layer.values[-1]
        shown = Table(
            name,
            title=f"{VARIATIONS[name].title}: error relative to predicting 0,\n"
            f"and the steps most like layer {last} with their SimE",
            box=None,
            pad_edge=False,
        )
        for column in ("model", f"layer {last}", "best", *data.reference.values):
            shown.add_column(str(column), justify="right", no_wrap=True)
        for index, value in enumerate(data.value.values):
            row = data.isel(value=index)
            zero = row.zero_error.item()
            errors = (row.model_error, row.error.sel(layer=last), row.best_error)
            cells = [f"{error.item() / zero:.3g}" for error in errors]
            if row.failure.item():
                cells = ["–"] * 3
            for reference in data.reference.values:
                where = {"reference": reference, "layer": last}
                step = row.best_step.sel(where).item()
                cosine = row.similarity.sel(where).item()
                is_missing = step != step
                cells.append("–" if is_missing else f"{step:,.4g} ({cosine:.2f})")
            shown.add_row(f"{value:,g}", *cells)
        yield shown
