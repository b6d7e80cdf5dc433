"""Computes rows: claims, pictures, tables and data of every figure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import xarray
from plotly.graph_objects import Figure

from interp.report.table import Table
from interp.studies.paper.claims import DECLARED, Claim, describe_outcomes, not_shipped
from interp.studies.paper.models import PaperModels
from interp.studies.paper.rows import ROLES, Row

Progress = Callable[[str, int, int], None]
"""Receives a row's label, the rows done and the rows in all."""


@dataclass(frozen=True)
class Drawing:
    """A picture with what it shows."""

    title: str
    see: str
    figure: Figure

    @classmethod
    def of(cls, key: str, figure: Figure, **words: object) -> Drawing:
        """A picture with its title and text from `claims.toml`, where `words` are filled in."""
        texts = DECLARED["drawing"][key]
        return cls(texts["title"].format(**words), texts["see"].format(**words), figure)


@dataclass(frozen=True)
class Part:
    """What is computed about a model, or about algorithms alone."""

    claims: tuple[Claim, ...] = ()
    drawings: tuple[Drawing, ...] = ()
    tables: tuple[Table, ...] = ()
    data: xarray.Dataset = field(default_factory=xarray.Dataset)
    """Every number that is drawn."""

    def __add__(self, other: Part) -> Part:
        """Both parts, this one first."""
        return Part(
            self.claims + other.claims,
            self.drawings + other.drawings,
            self.tables + other.tables,
            self.data.merge(other.data),
        )


@dataclass(frozen=True, kw_only=True)
class RowResult(Part):
    """One row of the paper, computed."""

    row: Row
    missing: tuple[str, ...] = ()
    """Sentences on checkpoints that are not there."""

    @property
    def outcome(self) -> str:
        """In one word where all claims came out alike, else how many came out how."""
        return describe_outcomes([claim.outcome for claim in self.claims])

    def describe(self) -> dict[str, Any]:
        """The row in plain values, as `--json` prints it."""
        return {
            "key": self.row.key,
            "figure": self.row.label,
            "title": self.row.title,
            "says": self.row.says,
            "outcome": self.outcome,
            "checks": [claim.describe() for claim in self.claims],
            "missing": list(self.missing),
            "command": self.row.command,
        }


def reproduce(
    rows: Sequence[Row],
    models: PaperModels,
    progress: Progress = lambda stage, done, total: None,
) -> Iterator[RowResult]:
    """Yields the result of every row.

    Args:
        rows: See `interp.studies.paper.rows.find_rows`.
        models: The models that the rows are about.
        progress: Called before every row.
    """
    for done, row in enumerate(rows):
        progress(row.label, done, len(rows))
        yield _compute(row, models)
    progress("finished", len(rows), len(rows))


def _compute(row: Row, models: PaperModels) -> RowResult:
    """A row's claims about its models, those about checkpoints that are not there, and the rest."""
    found = models.among(row.needs)
    missing = {role: models.lacks(role) for role in row.needs if role not in found.given}
    part = Part()
    if row.of_model and row.needs[0] in found.given:
        part += _function(row.of_model)(found.given[row.needs[0]])
    for role, sentence in missing.items():
        claim = row.says if len(row.needs) == 1 else f"{ROLES[role].name}: {row.says}"
        part += Part((not_shipped(claim, sentence),))
    if row.function:
        part += _function(row.function)(found)
    return RowResult(row=row, missing=tuple(missing.values()), **vars(part))


def _function(name: str) -> Callable[..., Part]:
    """A function named in rows.toml; a row's imports wait until the row is computed."""
    module, function = name.split(":")
    found: Callable[..., Part] = getattr(
        import_module(f"interp.studies.paper.figures.{module}"), function
    )
    return found
