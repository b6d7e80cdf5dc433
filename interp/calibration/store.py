"""Outcomes on disk, one file a cell."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from hooks.atomic import write_text
from interp.calibration.cell import Cell
from interp.calibration.outcome import Outcome


@dataclass(frozen=True)
class OutcomeStore:
    """A folder of outcomes, each under its cell's key; files are whole or absent."""

    directory: Path

    def path(self, cell: Cell) -> Path:
        return self.directory / f"{cell.key}.json"

    def get(self, cell: Cell) -> Outcome | None:
        """The outcome of a cell, or None if it was not run.

        Raises:
            ValueError: The cell's file holds something else.
        """
        path = self.path(cell)
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        try:
            outcome = Outcome.from_description(json.loads(text))
        except (ValueError, TypeError, KeyError, AttributeError):
            raise ValueError(f"{path} is not the outcome of a calibration cell") from None
        if outcome.cell != cell:
            raise ValueError(f"{path} is the outcome of another cell")
        return outcome

    def put(self, outcome: Outcome) -> None:
        """Writes an outcome.

        Raises:
            OSError: The folder cannot be written.
        """
        write_text(self.path(outcome.cell), json.dumps(outcome.describe(), indent=1))
