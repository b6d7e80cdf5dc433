"""`interp separate`: a checkpoint on prompts built to tell two references apart."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from interp.commands.emit import emit, working, write_files
from interp.commands.options import CheckpointArgument, SeedOption, TaskOption

if TYPE_CHECKING:
    import xarray
    from rich.console import Console
    from rich.table import Table


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
    prompts: Annotated[int, typer.Option(min=16, help="Prompts of each kind.")] = 512,
    seed: SeedOption = 0,
    out: Annotated[
        Path | None, typer.Option(help="Folder for separation.html and separation.nc.")
    ] = None,
) -> None:
    """Match a checkpoint's layers on prompts that separate two references."""
    with working(out) as progress:
        from interp.analyses.separation import separate as run
        from interp.tasks.reading import read_task
        from interp.zoo.loading import load

        found = run(
            load(checkpoint),
            a,
            b,
            read_task(task) if task else None,
            n_prompts=prompts,
            largest_condition=condition,
            seed=seed,
        )
        if out is not None:
            from interp.plots.separation import plot_separation

            progress("writing the picture", 0, 1)
            page = plot_separation(found).to_html(include_plotlyjs=True)
            write_files(out, {"separation.nc": found, "separation.html": page})

    def show(console: Console) -> None:
        console.print(_table(found))
        console.print(_words(found), highlight=False)

    emit(None, show, pages={"picture": out and out / "separation.html"})


def _table(found: xarray.Dataset) -> Table:
    from rich.table import Table

    a, b = found.attrs["a"], found.attrs["b"]
    table = Table(
        title="SimE with the best step of each reference, and its margin",
        box=None,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    table.add_column("layer", no_wrap=True)
    for kind in found.prompts.values:
        for column in (a, b, "margin"):
            table.add_column(f"{kind}\n{column}", justify="right", no_wrap=True)
    for layer in found.layer.values:
        cells = []
        for kind in found.prompts.values:
            row = found.sel(layer=layer, prompts=kind)
            cells += [f"{row.similarity.sel(reference=name).item():.3f}" for name in (a, b)]
            low, high = row.margin_interval.values
            cells.append(f"{row.margin.item():+.3f}±{(high - low) / 2:.3f}")
        table.add_row(str(layer), *cells)
    return table


def _words(found: xarray.Dataset) -> str:
    a, b = found.attrs["a"], found.attrs["b"]
    built, usual = (found.separation.sel(prompts=kind).mean().item() for kind in found.prompts)
    row = found.sel(prompts="separating")
    return (
        f"The references themselves, {a} and the most similar step of {b}, are {built:.2f} apart "
        f"on these prompts and {usual:.3f} on ordinary ones (1 - SimE). The model's error there is "
        f"{row.model_error.item():.3g} of that of predicting 0, that of OLS "
        f"{row.best_error.item():.3g}."
    )
