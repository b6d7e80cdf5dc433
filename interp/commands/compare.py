"""`interp compare`: several models beside each other."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from interp.commands.options import (
    MOST_JOBS,
    MOST_PROMPTS,
    BatchSizeOption,
    DeviceOption,
    JsonOption,
    OpenOption,
    PointsOption,
    ReadoutKind,
    ReadoutOption,
    SeedOption,
)

if TYPE_CHECKING:
    from rich.console import Console

    from interp.analyses.comparison_result import ModelComparison

COLUMNS = {
    "model": "model",
    "error": "error/d",
    "excess": "excess",
    "zero_error": "pred. 0",
    "verdict": "verdict",
    "steps_per_layer": "steps\na layer",
    "sime_newton": "SimE\nNewton",
    "sime_gd": "SimE\nGD",
    "sime_ogd": "SimE\nOGD",
    "n_parameters": "weights",
}
"""Of the table of models, with their titles in a terminal."""


def compare(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL",
            help="Names from `interp zoo`, files, or run directories; NAME@12 runs a looped one "
            "for 12 loops.",
            show_default=False,
        ),
    ],
    task: Annotated[
        Path | None,
        typer.Option(
            help="TOML file with a table named task, such as a recipe, to measure all models "
            "on; by default each is measured on its training task."
        ),
    ] = None,
    readout: ReadoutOption = ReadoutKind.matched,
    prompts: Annotated[
        int, typer.Option(min=1, max=MOST_PROMPTS, help="Prompts to evaluate each model on.")
    ] = 1024,
    points: PointsOption = None,
    seed: SeedOption = 0,
    device: DeviceOption = "cpu",
    batch_size: BatchSizeOption = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=MOST_JOBS,
            help="Models at a time, each in a process; by default one for each core.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for report.html, comparison.nc, summary.json and tables/."),
    ] = None,
    as_json: JsonOption = False,
    open_report: OpenOption = False,
) -> None:
    """Put models side by side: which algorithm each runs, how fast, and how well."""
    from interp.commands.emit import emit, working, write_files  # here for the speed of start-up

    out = out or (Path("interp-comparison") if open_report else None)
    with working(out) as progress:
        import joblib

        from interp.analyses.compare import compare as run
        from interp.tasks.prompt_file import read_task

        comparison = run(
            models,
            read_task(task) if task else None,
            n_jobs=jobs or (joblib.cpu_count() if device == "cpu" else 1),
            device=device,
            batch_size=batch_size,
            progress=progress,
            n_prompts=prompts,
            points=points,
            seed=seed,
            readout=readout.value,
        )
        if out is not None:
            progress("writing the report", 0, 1)
            files: dict[str, Any] = {
                "comparison.nc": comparison.save,
                "report.html": comparison.write_report,
            }
            for name, table in comparison.tables.items():
                files[f"tables/{name}.csv"] = table.to_csv()
                files[f"tables/{name}.tex"] = table.to_latex()
            write_files(out, {**files, "summary.json": comparison.describe()})
    emit(
        comparison.describe(),
        lambda console: _show(comparison, console),
        as_json=as_json,
        pages={"report": out and out / "report.html"},
        open_page=open_report,
    )


def _show(comparison: ModelComparison, console: Console) -> None:
    """The table of models without its widest columns, and what it was measured on."""
    from interp.report.compare import calibration_words, headline, prompts_words

    console.print(comparison.tables["models"].to_terminal(COLUMNS))
    console.print(headline(comparison), highlight=False, markup=False)
    rows = comparison.tables["models"].records
    rates = [f"{row['model']} {row['rate_of']}" for row in rows if row["rate_of"]]
    if rates:
        console.print(f"Steps a layer: {'; '.join(rates)}.", highlight=False, markup=False)
    for words in (prompts_words(comparison), calibration_words(comparison)):
        console.print(words, style="dim", highlight=False, markup=False)
