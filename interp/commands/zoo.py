"""`interp zoo`: the checkpoints that ship with the package."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table


def zoo(
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """List the shipped checkpoints, their error against OLS and where they come from."""
    from interp.zoo.catalogue import entries
    from interp.zoo.constructed import CONSTRUCTED

    if as_json:
        import json

        print(json.dumps([entry.describe() for entry in entries()], indent=2))
        return
    from rich.console import Console

    console = Console()
    console.print(_trained())
    console.print()
    console.print(_constructed(CONSTRUCTED))


def _trained() -> Table:
    from rich.markup import escape
    from rich.table import Table

    from interp.zoo.catalogue import entries

    table = Table(title="Trained by our recipes", title_justify="left", box=None, pad_edge=False)
    table.add_column("name", no_wrap=True)
    for column in ("weights", "steps", "error/d", "OLS", "excess"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("what it is")
    for entry in entries():
        table.add_row(
            entry.name,
            f"{entry.n_parameters:,}",
            f"{entry.step:,}" if entry.step else "none",
            *(
                "–" if number is None else f"{number:.4f}"
                for number in (entry.error, entry.baseline_error, entry.excess)
            ),
            escape(entry.description),
        )
    return table


def _constructed(models: dict[str, str]) -> Table:
    from rich.table import Table

    table = Table(
        title="Built to run a known algorithm, no training",
        title_justify="left",
        box=None,
        pad_edge=False,
    )
    table.add_column("name", no_wrap=True)
    table.add_column("what it runs")
    for name, algorithm in models.items():
        table.add_row(name, algorithm)
    return table
