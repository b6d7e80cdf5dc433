"""The rows of the reproduction and the models that they require, which stand in `rows.toml`.

A new row is one entry there and the function that it names. Nothing slow is imported.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

import msgspec

PAPER_DIMS = 20
"""Dimension of x in every experiment of the paper."""


@dataclass(frozen=True)
class Row:
    """One figure of the paper, or several that show the same thing."""

    key: str
    """Name on the command line."""
    label: str
    """As the paper counts it."""
    title: str
    says: str
    """What the paper reports."""
    of_model: str | None = None
    """`module:function` in `figures`, which takes the one model needed."""
    function: str | None = None
    """`module:function` in `figures`, which takes those of the models needed that are there."""
    figures: tuple[int, ...] = ()
    """Numbers of the paper's figures, each of which names this row as well."""
    needs: tuple[str, ...] = ()
    """Roles of the trained models that it is about, keys of `ROLES`."""
    is_published: bool = True
    """Whether the paper shows it; otherwise it is set beside what the paper shows."""

    @property
    def command(self) -> str:
        return f"interp reproduce {self.key}"


@dataclass(frozen=True)
class RequiredModel:
    """A trained model that a figure is about."""

    name: str
    """In words, as tables call it."""
    small: str
    """Recipe at d = 5, and the name in the zoo once its checkpoint ships."""
    large: str | None = None
    """Recipe at the paper's scale, where one ships."""

    def recipe(self, n_dims: int) -> str | None:
        """The recipe for models of this dimension."""
        return self.large if n_dims == PAPER_DIMS else self.small


_CONTENT = tomllib.loads((files("interp.studies.paper") / "rows.toml").read_text(encoding="utf-8"))
ROWS = msgspec.convert(_CONTENT["row"], tuple[Row, ...])
ROLES = msgspec.convert(_CONTENT["model"], dict[str, RequiredModel])
"""Required models by the part that they play."""


def how_to_get(role: str, n_dims: int) -> str:
    """One sentence on the checkpoint that a role lacks."""
    recipe = ROLES[role].recipe(n_dims)
    if recipe is None:
        return (
            f"needs a checkpoint that is not shipped: a {ROLES[role].name} at d = {n_dims}, for "
            "which no recipe ships either; give one with --checkpoint"
        )
    return f"needs a checkpoint that is not shipped: interp train {recipe}"


class UnknownFigureError(ValueError):
    """No row of that name; the message lists what there is."""


def find_rows(names: Sequence[str]) -> tuple[Row, ...]:
    """The rows that these names stand for, in the paper's order; all of them for no names.

    A row goes by its key and by each of its figures: "fig8", "8", "Fig. 8", "table 1".

    Raises:
        UnknownFigureError: A name stands for none.
    """
    if not names:
        return ROWS
    chosen = {_find(name).key for name in names}
    return tuple(row for row in ROWS if row.key in chosen)


def _find(name: str) -> Row:
    plain = re.sub(r"[^a-z0-9]", "", name.lower())
    plain = re.sub(r"^(?:figure|fig)?0*(\d+)$", r"fig\1", plain)
    names = _names()
    if plain not in names:
        close = difflib.get_close_matches(plain, names, n=1)
        hint = f" (closest: {close[0]})" if close else ""
        known = ", ".join(row.key for row in ROWS)
        raise UnknownFigureError(
            f"{name}: no such figure{hint}; there are 2 to 27, and by row {known}"
        )
    return names[plain]


def _names() -> dict[str, Row]:
    names = {f"fig{number}": row for row in ROWS for number in row.figures}
    return names | {row.key: row for row in ROWS}
