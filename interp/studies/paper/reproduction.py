"""Computes rows: claims, pictures, tables and data of every figure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import xarray
from plotly.graph_objects import Figure

from interp.report.table import Table
from interp.studies.paper.claims import Claim, describe_outcomes, not_shipped
from interp.studies.paper.models import PaperModels
from interp.studies.paper.rows import Row

Progress = Callable[[str, int, int], None]
"""Receives a row's label, the rows done and the rows in all."""


@dataclass(frozen=True)
class Drawing:
    """A picture with what it shows."""

    name: str
    title: str
    see: str
    figure: Figure


@dataclass(frozen=True)
class RowResult:
    """One row of the paper, computed."""

    row: Row
    claims: tuple[Claim, ...]
    drawings: tuple[Drawing, ...] = ()
    tables: tuple[Table, ...] = ()
    data: xarray.Dataset = field(default_factory=xarray.Dataset)
    """Every number that is drawn."""
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


def without_model(row: Row, sentence: str, *claims: Claim) -> RowResult:
    """A row whose model is not there: its claim, and what could be decided all the same."""
    return RowResult(row, (not_shipped(row.says, sentence), *claims), missing=(sentence,))


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
        module, function = row.function.split(":")
        # Named in rows.toml: a row's imports and work wait until the row is computed.
        yield getattr(import_module(f"interp.studies.paper.figures.{module}"), function)(
            row, models
        )
    progress("finished", len(rows), len(rows))
