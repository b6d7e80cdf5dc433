"""Recipes that ship with the package, one TOML a training."""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import Any

RECIPE_DIRECTORY = Path(__file__).parent


class UnknownRecipeError(ValueError):
    """Neither a shipped recipe nor a file; the message lists what there is."""


def recipe_names() -> list[str]:
    """Names of the shipped recipes, sorted."""
    return sorted(path.stem for path in RECIPE_DIRECTORY.glob("*.toml"))


def shipped_recipes() -> list[dict[str, Any]]:
    """Every shipped recipe as the plain values of its TOML, sorted by name."""
    return [
        tomllib.loads((RECIPE_DIRECTORY / f"{name}.toml").read_text(encoding="utf-8"))
        for name in recipe_names()
    ]


def find_recipe(name_or_path: str | Path) -> Path:
    """The file of a recipe given by name, or by path where a file of that name exists.

    Raises:
        UnknownRecipeError: There is neither.
    """
    path = Path(name_or_path)
    if path.is_file():
        return path
    names = recipe_names()
    if str(name_or_path) in names:
        return RECIPE_DIRECTORY / f"{name_or_path}.toml"
    close = difflib.get_close_matches(str(name_or_path), names, n=1)
    hint = f" (closest: {close[0]})" if close else ""
    raise UnknownRecipeError(
        f"{name_or_path}: no such file, and no recipe of that name{hint}; "
        f"shipped recipes: {', '.join(names)}"
    )
