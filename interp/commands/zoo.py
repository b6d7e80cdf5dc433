"""`interp zoo`: the checkpoints that ship with the package."""

from __future__ import annotations

from typing import Annotated

import typer


def zoo(
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """List the shipped checkpoints, their error against OLS and where they come from."""
    from interp.zoo.catalogue import entries

    if as_json:
        import json

        print(json.dumps([entry.describe() for entry in entries()], indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("name", "what it is", box=None, pad_edge=False)
    for column in ("parameters", "steps", "error / d", "OLS", "excess", "trained with"):
        table.add_column(column, justify="left" if column == "trained with" else "right")
    for entry in entries():
        torch_version = entry.versions.get("torch", "?").partition("+")[0]
        table.add_row(
            entry.name,
            entry.description,
            f"{entry.n_parameters:,}",
            f"{entry.step:,}",
            *(
                "–" if number is None else f"{number:.4f}"
                for number in (entry.error, entry.baseline_error, entry.excess)
            ),
            f"torch {torch_version}, seed {entry.seed}" if entry.step else "random weights",
        )
    Console().print(table)
