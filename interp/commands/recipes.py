"""`interp recipes`: the recipes that ship with the package."""

from __future__ import annotations

from typing import Annotated

import typer


def recipes(
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """List the shipped recipes, for `interp train`."""
    from interp.recipes import shipped_recipes

    if as_json:
        import json

        print(json.dumps(shipped_recipes(), indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("name", "what it trains", box=None, pad_edge=False)
    table.add_column("steps", justify="right")
    for recipe in shipped_recipes():
        table.add_row(
            recipe["name"], recipe.get("description", ""), f"{recipe['training']['n_steps']:,}"
        )
    Console().print(table)
