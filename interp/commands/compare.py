"""`interp compare`: several models beside each other."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from interp.commands.options import (
    JsonOption,
    OpenOption,
    Readout,
    ReadoutOption,
    SeedOption,
    open_in_browser,
)

if TYPE_CHECKING:
    from rich.table import Table as RichTable

    from interp.side_by_side.result import ModelComparison


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
    readout: ReadoutOption = Readout.matched,
    prompts: Annotated[int, typer.Option(help="Prompts to evaluate each model on.")] = 1024,
    seed: SeedOption = 0,
    jobs: Annotated[
        int | None,
        typer.Option(
            min=1,
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
    import json

    from rich.console import Console

    from interp.commands.output_folder import claim

    out = out or (Path("interp-comparison") if open_report else None)
    if out is not None:
        claim(out)
    from interp.commands.progress import prompt_progress

    with prompt_progress(Console(stderr=True)) as progress:
        progress("loading", 0, 1)
        import joblib

        from interp.side_by_side.comparing import compare as run
        from interp.tasks.reading import read_task

        comparison = run(
            models,
            read_task(task) if task else None,
            n_jobs=jobs or joblib.cpu_count(),
            progress=progress,
            n_prompts=prompts,
            seed=seed,
            readout=readout.value,
        )
        if out is not None:
            progress("writing the report", 0, 1)
            _write(comparison, out)
    if as_json:
        print(json.dumps(comparison.describe(), indent=2))
    else:
        _show(comparison, out)
    if open_report and out is not None:
        open_in_browser(out)


def _write(comparison: ModelComparison, out: Path) -> None:
    from hooks.atomic import write_text
    from interp.commands.output_folder import write_summary

    comparison.save(out / "comparison.nc")
    comparison.write_report(out / "report.html")
    for name, table in comparison.tables.items():
        for ending, text in (("csv", table.to_csv()), ("tex", table.to_latex())):
            write_text(out / "tables" / f"{name}.{ending}", text)
    write_summary(out, comparison.describe())


def _show(comparison: ModelComparison, out: Path | None) -> None:
    from rich.console import Console
    from rich.markup import escape

    from interp.side_by_side.wording import calibration_words, prompts_words

    console = Console()
    console.print(_table(comparison))
    console.print(prompts_words(comparison), style="dim", highlight=False)
    console.print(calibration_words(comparison), style="dim", highlight=False)
    if out is not None:
        console.print(f"report: {escape(str(out / 'report.html'))}", soft_wrap=True)


def _table(comparison: ModelComparison) -> RichTable:
    """The table of models without its widest columns; intervals stand below their numbers."""
    from rich.markup import escape
    from rich.table import Table as RichTable

    source = comparison.tables["models"]
    shown = {
        "model": "model",
        "error": "error/d",
        "excess": "excess",
        "verdict": "verdict",
        "steps_per_layer": "steps\na layer",
        "sime_newton": "SimE\nNewton",
        "sime_gd": "SimE\nGD",
        "sime_ogd": "SimE\nOGD",
        "n_parameters": "weights",
    }
    table = RichTable(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    columns = [(index, item) for index, item in enumerate(source.columns) if item.key in shown]
    for _, column in columns:
        is_text = column.digits is None
        table.add_column(
            shown[column.key],
            justify="left" if is_text else "right",
            no_wrap=not is_text,
            overflow="fold",
        )
    for row in source.rows:
        table.add_row(*(escape(column.write(row[index])) for index, column in columns))
    return table
