"""`interp algorithms`: one reference algorithm against another."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from interp.commands.emit import emit, working, write_files
from interp.commands.options import MOST_PROMPTS, MOST_SEED

if TYPE_CHECKING:
    import xarray
    from rich.console import Console


def algorithms(
    a: Annotated[
        str,
        typer.Argument(metavar="A", help="Reference whose steps are matched …", show_default=False),
    ],
    b: Annotated[
        str, typer.Argument(metavar="B", help="… with those of this one.", show_default=False)
    ],
    task: Annotated[
        Path | None,
        typer.Option(
            help="TOML file with a table named task, such as a recipe; by default the paper's task."
        ),
    ] = None,
    dims: Annotated[
        int | None,
        typer.Option(min=1, max=1000, help="Dimension of x; 20 by default.", show_default=False),
    ] = None,
    points: Annotated[
        int | None,
        typer.Option(
            min=2,
            max=10_000,
            help="Points of a prompt, one more than its examples; 41 by default.",
            show_default=False,
        ),
    ] = None,
    prompts: Annotated[
        int, typer.Option(min=1, max=MOST_PROMPTS, help="Prompts to average over.")
    ] = 256,
    seed: Annotated[int, typer.Option(min=0, max=MOST_SEED, help="Seed of the prompts.")] = 0,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for heatmap.html, algorithms.nc and summary.json."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the matches as JSON.")] = False,
) -> None:
    """Find for every step of one reference algorithm the most similar step of another."""
    if task is not None and not (dims is None and points is None):
        raise ValueError("--dims and --points cannot be given with --task, which has its own")
    with working(out) as progress:
        from dataclasses import replace

        from interp.analyses.algorithms import PAPER_TASK, compare_algorithms, summarise
        from interp.tasks.prompt_file import read_task

        default = replace(
            PAPER_TASK,
            n_dims=PAPER_TASK.n_dims if dims is None else dims,
            n_points=PAPER_TASK.n_points if points is None else points,
        )
        chosen = read_task(task) if task else default
        comparison = compare_algorithms(
            a, b, chosen, n_prompts=prompts, seed=seed, progress=progress
        )
        summary = summarise(comparison)
        if out is not None:
            from interp.report.algorithms import algorithms_page

            progress("writing the report", 0, 1)
            page = algorithms_page(comparison).html()
            files = {"algorithms.nc": comparison, "heatmap.html": page, "summary.json": summary}
            write_files(out, files)
    pages = {"report": out and out / "heatmap.html"}
    emit(summary, lambda console: _show(comparison, console), as_json=as_json, pages=pages)


def _show(comparison: xarray.Dataset, console: Console) -> None:
    from interp.analyses.algorithms import describe_growth
    from interp.report.algorithms import algorithms_table

    table, n_prompts = algorithms_table(comparison), comparison.attrs["prompts"]
    console.print(f"{table.title} on {n_prompts:,} prompts", markup=False, highlight=False)
    console.print(table.to_terminal(intervals="to"))
    console.print(describe_growth(comparison), markup=False, highlight=False)
