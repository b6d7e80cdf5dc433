"""`interp algorithms`: one reference algorithm against another."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from interp.commands.emit import emit, working, write_files

if TYPE_CHECKING:
    import xarray
    from rich.console import Console
    from rich.table import Table


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
        int | None, typer.Option(min=1, help="Dimension of x; 20 by default.", show_default=False)
    ] = None,
    points: Annotated[
        int | None,
        typer.Option(
            min=2,
            help="Points of a prompt, one more than its examples; 41 by default.",
            show_default=False,
        ),
    ] = None,
    prompts: Annotated[int, typer.Option(min=1, help="Prompts to average over.")] = 256,
    seed: Annotated[int, typer.Option(help="Seed of the prompts.")] = 0,
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
        from interp.tasks.reading import read_task

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
            from interp.plots.algorithms import plot_algorithms

            progress("writing the heatmap", 0, 1)
            page = plot_algorithms(comparison).to_html(include_plotlyjs=True)
            files = {"algorithms.nc": comparison, "heatmap.html": page, "summary.json": summary}
            write_files(out, files)
    pages = {"heatmap": out and out / "heatmap.html"}
    emit(summary, lambda console: _show(comparison, console), as_json=as_json, pages=pages)


def _show(comparison: xarray.Dataset, console: Console) -> None:
    from interp.analyses.algorithms import describe_growth

    a, b, n_prompts = (comparison.attrs[name] for name in ("a", "b", "prompts"))
    console.print(f"Every step of {a}, its best-matching step of {b} and their SimE on ", end="")
    console.print(f"{n_prompts:,} prompts", highlight=False)
    console.print(_table(comparison))
    console.print(describe_growth(comparison), highlight=False)


def _table(comparison: xarray.Dataset) -> Table:
    from rich.table import Table

    a, b = comparison.attrs["a"], comparison.attrs["b"]
    table = Table(box=None, pad_edge=False)
    for column in (a, b, "95 % interval", "SimE"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in range(comparison.sizes["step_a"]):
        item = comparison.isel(step_a=row)
        low, high = (_steps(bound) for bound in item.best_step_interval.values)
        table.add_row(
            f"{item.step_a.item():,.0f}",
            _steps(item.best_step.item()),
            f"{low} – {high}",
            f"{item.best_similarity.item():.3f}",
        )
    return table


def _steps(count: float) -> str:
    return f"{count:,.1f}" if count < 100 else f"{count:,.0f}"
