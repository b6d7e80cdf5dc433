"""`interp zoo`: the checkpoints that ship with the package."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

WIDE = 110
"""Columns of a terminal from which on a sentence has room beside the numbers."""


def zoo(
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """List the shipped checkpoints, their error against OLS and where they come from."""
    from interp.zoo.catalogue import CONSTRUCTED, entries

    if as_json:
        import json

        print(json.dumps([entry.describe() for entry in entries()], indent=2))
        return
    from rich.console import Console

    console = Console()
    for table in (*_trained(is_wide=console.width >= WIDE), _constructed(CONSTRUCTED)):
        console.print(table)
        console.print()


def _trained(*, is_wide: bool) -> Iterator[Table]:
    """Numbers and words in one table, or one below the other where there is no room for both."""
    from rich.markup import escape

    from interp.zoo.catalogue import entries

    found = entries()
    numbers = _table("Trained by our recipes")
    for column in ("weights", "steps", "error/d", "OLS", "excess"):
        numbers.add_column(column, justify="right", no_wrap=True)
    rows = [
        (
            entry.name,
            f"{entry.n_parameters:,}",
            f"{entry.step:,}" if entry.step else "none",
            *(
                "–" if number is None else f"{number:.4f}"
                for number in (entry.error, entry.baseline_error, entry.excess)
            ),
        )
        for entry in found
    ]
    words = [escape(entry.description) for entry in found]
    if is_wide:
        numbers.add_column("what it is")
        rows = [(*row, text) for row, text in zip(rows, words, strict=True)]
    for row in rows:
        numbers.add_row(*row)
    yield numbers
    if not is_wide:
        meanings = _table("What they are")
        meanings.add_column("")
        for entry, text in zip(found, words, strict=True):
            meanings.add_row(entry.name, text)
        yield meanings


def _constructed(models: dict[str, str]) -> Table:
    table = _table("Built to run a known algorithm, no training")
    table.add_column("what it runs")
    for name, algorithm in models.items():
        table.add_row(name, algorithm)
    return table


def _table(title: str) -> Table:
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column("name", no_wrap=True)
    return table
