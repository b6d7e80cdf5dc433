"""Tables of numbers with intervals: on a page, in the terminal, as CSV, LaTeX and Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd
import xarray

from interp.report.latex import MISSING as MISSING
from interp.report.latex import escape_latex, latex_cell
from interp.results.selection import AT_LEAST

if TYPE_CHECKING:
    from rich.table import Table as TerminalTable

FORMULA = "=+-@\t\r"
"""What a formula begins with in a spreadsheet."""


@dataclass(frozen=True)
class Column:
    """A column of a table's frame, and how people see it."""

    key: str
    """Name in the frame, in CSV and in JSON."""
    title: str
    digits: int | None = None
    """Decimal places of numbers, None for text; numbers from 1000 on have none."""
    has_interval: bool = False
    """Whether the frame has `<key>_low` and `<key>_high` too."""
    may_be_last: bool = False
    """Whether the frame has `<key>_is_last` too: steps that are the last compared get a sign."""
    anchor: str | None = None
    """Key of what a page links the cell to: names of sections."""
    under: str | None = None
    """Key of the column under whose cells a page writes these, to save a column."""

    @property
    def keys(self) -> list[str]:
        """Columns of the frame: the value, and the bounds of its interval."""
        bounds = [f"{self.key}_low", f"{self.key}_high"] if self.has_interval else []
        return [self.key, *bounds, *([f"{self.key}_is_last"] if self.may_be_last else [])]

    def value(self, row: Mapping[str, Any]) -> str:
        """The cell of one row for people, without its interval."""
        if self.digits is None:
            return str(row[self.key])
        is_last = self.may_be_last and row[f"{self.key}_is_last"] is True
        number = format_number(_number(row[self.key]), self.digits)
        return f"{AT_LEAST} {number}" if is_last else number

    def interval(self, row: Mapping[str, Any], between: str = " to ") -> str:
        """The interval of one row for people, empty where there is none."""
        bounds = [_number(row[key]) for key in self.keys[1:3]] if self.has_interval else []
        if not bounds or not all(map(math.isfinite, bounds)):
            return ""
        return between.join(format_number(bound, self.digits or 0) for bound in bounds)


@dataclass(frozen=True)
class Table:
    """A data frame, and how its columns are written.

    `frame` has one column for each key of `columns`; missing numbers are NaN.
    """

    name: str
    """Of its files."""
    title: str
    columns: tuple[Column, ...]
    frame: pd.DataFrame = field(repr=False)
    note: str = ""
    highlight: str | None = None
    """Key of a column of booleans: rows with True are emphasised, those with False dimmed."""

    @classmethod
    def of(
        cls,
        name: str,
        title: str,
        columns: Sequence[Column],
        rows: Sequence[Mapping[str, Any]],
        note: str = "",
        highlight: str | None = None,
    ) -> Table:
        """The table of some records, which may lack bounds of intervals."""
        keys = [key for column in columns for key in column.keys]
        marks = [key for key in (highlight, *(column.anchor for column in columns)) if key]
        frame = pd.DataFrame(list(rows), columns=[*keys, *marks])
        return cls(name, title, tuple(columns), frame, note, highlight)

    @classmethod
    def of_text(
        cls, name: str, title: str, header: Sequence[str], rows: Sequence[Sequence[str]], note: str
    ) -> Table:
        """The table of cells that are text already."""
        columns = [Column(f"column_{place}", words) for place, words in enumerate(header)]
        records = [
            {column.key: cell for column, cell in zip(columns, row, strict=True)} for row in rows
        ]
        return cls.of(name, title, columns, records, note)

    @property
    def records(self) -> list[dict[str, Any]]:
        """One dictionary for each row, in plain values; what is missing is None."""
        return [
            {key: _plain(row[key], column.digits) for column in self.columns for key in column.keys}
            for row in self._rows()
        ]

    def to_csv(self) -> str:
        """Comma-separated values in full precision, intervals in columns of their own.

        Text that a spreadsheet would take for a formula has an apostrophe before it.
        """
        keys = [key for column in self.columns for key in column.keys]
        frame = pd.DataFrame(self.records, columns=keys, dtype=object).map(_no_formula)
        return frame.to_csv(index=False, lineterminator="\r\n")

    def to_latex(self) -> str:
        """A `tabular` in the style of the package booktabs, intervals in brackets."""
        cells = [
            [latex_cell(c.value(row), c.interval(row, ";"), c.digits) for c in self.columns]
            for row in self._rows()
        ]
        frame = pd.DataFrame(cells, columns=[escape_latex(c.title) for c in self.columns])
        align = "".join("l" if column.digits is None else "r" for column in self.columns)
        head = f"% {self.title}. Needs \\usepackage{{booktabs}}.\n"
        return head + frame.to_latex(index=False, escape=False, column_format=align)

    def to_markdown(self) -> str:
        """The table in GitHub's Markdown, intervals in brackets; numbers are right-aligned."""
        lines = [
            [column.title for column in self.columns],
            [":--" if column.digits is None else "--:" for column in self.columns],
            *([c.value(row) + _beside(c, row, "to") for c in self.columns] for row in self._rows()),
        ]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)

    def to_terminal(
        self, titles: Mapping[str, str] | None = None, intervals: Literal["", "to", "±"] = ""
    ) -> TerminalTable:
        """The table for a terminal.

        Args:
            titles: Keys of the columns to show with their titles there; by default all.
            intervals: Whether intervals stand beside their numbers as bounds, as half their
                width, or not at all.
        """
        from rich.markup import escape  # for the speed of start-up: pages have no terminal
        from rich.table import Table as TerminalTable

        titles = {c.key: c.title for c in self.columns} if titles is None else titles
        shown = [column for column in self.columns if column.key in titles and not column.under]
        below = [column for column in self.columns if column.key in titles and column.under]
        table = TerminalTable(box=None, pad_edge=False, padding=(0, 1, 0, 0))
        for column in shown:
            is_text = column.digits is None
            table.add_column(
                titles[column.key],
                justify="left" if is_text else "right",
                no_wrap=not is_text,
                overflow="fold" if is_text else "ellipsis",
            )
        for row in self._rows():
            cells = {c.key: [c.value(row) + _beside(c, row, intervals)] for c in shown}
            for column in below:
                cells[str(column.under)] += filter(None, column.value(row).split(", "))
            table.add_row(*(escape("\n".join(lines)) for lines in cells.values()))
        return table

    def _rows(self) -> Iterator[dict[str, Any]]:
        yield from ({str(k): v for k, v in row.items()} for row in self.frame.to_dict("records"))


def _no_formula(cell: object) -> object:
    if not isinstance(cell, str) or not cell.startswith(tuple(FORMULA)):
        return cell
    try:
        float(cell)
    except ValueError:
        return f"'{cell}"
    return cell


def _beside(column: Column, row: Mapping[str, Any], form: str) -> str:
    """The interval of a cell as it stands beside the number."""
    interval = column.interval(row) if form else ""
    if not interval:
        return ""
    if form == "to":
        return f" ({interval})"
    low, high = (_number(row[key]) for key in column.keys[1:3])
    return f" ± {format_number((high - low) / 2, column.digits or 0)}"


def scores(table: xarray.Dataset, name: str, key: str | None = None) -> dict[str, float]:
    """One score of a data set and the bounds of its interval, as cells of a row.

    Args:
        table: Has the score `name` as a single number, and perhaps `<name>_interval` over `bound`.
        name: Of the score.
        key: Of the column; by default `name`.
    """
    key = key or name
    cells = {key: float(table[name])}
    if f"{name}_interval" in table:
        low, high = table[f"{name}_interval"].values
        cells |= {f"{key}_low": float(low), f"{key}_high": float(high)}
    return cells


def format_number(value: float, digits: int) -> str:
    """A number for people: NaN is a dash, and none from 1000 on has decimal places."""
    if math.isnan(value):
        return MISSING
    text = f"{value:,.{0 if abs(value) >= 1000 else digits}f}"
    return text.removeprefix("-") if float(text.replace(",", "")) == 0 else text


def _number(cell: Any) -> float:
    return math.nan if cell is None else float(cell)


def _plain(cell: Any, digits: int | None) -> Any:
    """A cell as JSON and CSV have it: counts are whole, and what is missing is None."""
    if digits is None:
        return None if cell is None else str(cell)
    number = _number(cell)
    if isinstance(cell, bool) or math.isnan(number):
        return cell if isinstance(cell, bool) else None
    return int(number) if digits == 0 and number.is_integer() else number
