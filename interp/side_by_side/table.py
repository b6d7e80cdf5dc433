"""A table of numbers with intervals, for people, for spreadsheets and for papers."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Number:
    """A number and, where it has one, its 95 % interval; NaN is a missing number."""

    value: float
    low: float = math.nan
    high: float = math.nan

    @property
    def is_missing(self) -> bool:
        return math.isnan(self.value)

    @property
    def has_interval(self) -> bool:
        return math.isfinite(self.low) and math.isfinite(self.high)


Cell = str | Number


@dataclass(frozen=True)
class Column:
    """What the cells of a column are."""

    key: str
    """Name in CSV and JSON, where an interval takes `key_low` and `key_high` beside it."""
    title: str
    """Name for people."""
    digits: int | None = None
    """Decimal places of numbers, None for text; large numbers lose theirs."""
    has_interval: bool = False

    def write(self, cell: Cell) -> str:
        """A cell for people, without its interval."""
        return cell if isinstance(cell, str) else self._number(cell.value)

    def write_interval(self, cell: Cell, between: str = " to ") -> str:
        """The interval of a cell for people, empty where there is none."""
        if isinstance(cell, str) or not cell.has_interval:
            return ""
        return f"{self._number(cell.low)}{between}{self._number(cell.high)}"

    def _number(self, value: float) -> str:
        if math.isnan(value):
            return "–"
        digits = 0 if abs(value) >= 1000 else self.digits or 0
        text = f"{value:,.{digits}f}"
        return text.removeprefix("-") if float(text.replace(",", "")) == 0 else text


@dataclass(frozen=True)
class Table:
    """Rows of cells; the first columns, up to the first of numbers, say what a row is about."""

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str

    def to_csv(self) -> str:
        """Comma-separated values in full precision, intervals in columns of their own."""
        lines = io.StringIO()
        writer = csv.writer(lines)
        records = self.records()
        writer.writerow(self._keys())
        for record in records:
            writer.writerow(["" if value is None else value for value in record.values()])
        return lines.getvalue()

    def to_latex(self) -> str:
        """A `tabular` in the style of the package booktabs, intervals in brackets."""
        align = "".join("l" if column.digits is None else "r" for column in self.columns)
        header = " & ".join(escape_latex(column.title) for column in self.columns)
        body = [
            " & ".join(
                _latex_cell(column, cell) for column, cell in zip(self.columns, row, strict=True)
            )
            for row in self.rows
        ]
        lines = [
            f"% {self.title}. Needs \\usepackage{{booktabs}}.",
            f"\\begin{{tabular}}{{{align}}}",
            "\\toprule",
            f"{header} \\\\",
            "\\midrule",
            *(f"{row} \\\\" for row in body),
            "\\bottomrule",
            "\\end{tabular}",
        ]
        return "\n".join(lines) + "\n"

    def records(self) -> list[dict[str, Any]]:
        """One dictionary a row, in plain values; what is missing is None."""
        return [dict(zip(self._keys(), self._values(row), strict=True)) for row in self.rows]

    def _keys(self) -> list[str]:
        keys = []
        for column in self.columns:
            keys.append(column.key)
            if column.has_interval:
                keys += [f"{column.key}_low", f"{column.key}_high"]
        return keys

    def _values(self, row: Sequence[Cell]) -> list[str | int | float | None]:
        values: list[str | int | float | None] = []
        for column, cell in zip(self.columns, row, strict=True):
            if isinstance(cell, str):
                values += [cell, *([None, None] if column.has_interval else [])]
                continue
            numbers = (cell.value, cell.low, cell.high) if column.has_interval else (cell.value,)
            values += [_plain(number, column.digits) for number in numbers]
        return values


def _plain(number: float, digits: int | None) -> int | float | None:
    """A number as JSON and CSV have it: counts are whole, and what is missing is None."""
    if math.isnan(number):
        return None
    return int(number) if digits == 0 and number == int(number) else number


LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "–": "--",
    **{character: f"\\{character}" for character in "{}$&#_%"},
}


def escape_latex(text: str) -> str:
    """Text as LaTeX prints it."""
    return "".join(LATEX.get(character, character) for character in text)


def _latex_cell(column: Column, cell: Cell) -> str:
    text = escape_latex(column.write(cell))
    if isinstance(cell, str) or cell.is_missing:
        return text
    bounds = column.write_interval(cell, ";").replace(",", "{,}").replace(";", ", ")
    return f"${text.replace(',', '{,}')}$" + (f" $[{bounds}]$" if bounds else "")
