"""`interp algorithms`: one reference algorithm against another."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import xarray
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
    import json

    from rich.console import Console

    if task is not None and not (dims is None and points is None):
        raise ValueError("--dims and --points cannot be given with --task, which has its own")
    from interp.commands.output_folder import claim, write_summary
    from interp.commands.progress import prompt_progress

    if out is not None:
        claim(out)
    with prompt_progress(Console(stderr=True)) as progress:
        progress("loading", 0, 1)
        from dataclasses import replace

        from interp.analyses.algorithms import PAPER_TASK, compare_algorithms, summarise
        from interp.tasks.reading import read_task

        default = replace(
            PAPER_TASK,
            n_dims=PAPER_TASK.n_dims if dims is None else dims,
            n_points=PAPER_TASK.n_points if points is None else points,
        )
        comparison = compare_algorithms(
            a,
            b,
            read_task(task) if task else default,
            n_prompts=prompts,
            seed=seed,
            progress=progress,
        )
        if out is not None:
            progress("writing the heatmap", 0, 1)
            _write(comparison, out)
            write_summary(out, summarise(comparison))
    if as_json:
        print(json.dumps(summarise(comparison), indent=2))
    else:
        _show(comparison, out)


def _write(comparison: xarray.Dataset, out: Path) -> None:
    from hooks.atomic import write_text
    from interp.plots.algorithms import plot_algorithms
    from interp.saved_result import save_netcdf

    save_netcdf(comparison, out / "algorithms.nc")
    page = plot_algorithms(comparison).to_html(include_plotlyjs=True)
    write_text(out / "heatmap.html", page)


def _show(comparison: xarray.Dataset, out: Path | None) -> None:
    from rich.console import Console
    from rich.markup import escape

    from interp.analyses.algorithms import describe_growth

    console = Console()
    a, b, n_prompts = (comparison.attrs[name] for name in ("a", "b", "prompts"))
    console.print(f"Every step of {a}, its best-matching step of {b} and their SimE on ", end="")
    console.print(f"{n_prompts:,} prompts", highlight=False)
    console.print(_table(comparison))
    console.print(describe_growth(comparison), highlight=False)
    if out is not None:
        console.print(f"heatmap: {escape(str(out / 'heatmap.html'))}", soft_wrap=True)


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
