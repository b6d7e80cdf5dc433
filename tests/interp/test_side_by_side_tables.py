"""Tables of a comparison as spreadsheets and papers read them."""

from __future__ import annotations

import csv
import io
import math
import re

import pytest
from assessments import assessment, comparison
from hypothesis import given, settings
from hypothesis import strategies as st

from interp.side_by_side.table import Column, Number, Table, escape_latex

NUMBERS = st.floats(-1e6, 1e6)


def table_of(*rows: tuple[str, Number, Number]) -> Table:
    columns = (
        Column("model", "Model"),
        Column("error", "Error / d", 4, has_interval=True),
        Column("n_parameters", "Parameters", 0),
    )
    return Table("models", "Models", columns, rows, "A note.")


@settings(max_examples=50)
@given(name=st.text(), value=NUMBERS, reach=st.floats(0, 1e3), count=st.integers(0, 10**12))
def test_csv_gives_back_every_number(name: str, value: float, reach: float, count: int) -> None:
    number = Number(value, value - reach, value + reach)
    text = table_of((name, number, Number(float(count)))).to_csv()
    [row] = csv.DictReader(io.StringIO(text, newline=""))
    assert row["model"] == name
    read = [float(row[key]) for key in ("error", "error_low", "error_high")]
    assert read == [number.value, number.low, number.high]
    assert row["n_parameters"] == str(count)


def test_missing_numbers_are_empty_or_a_dash() -> None:
    table = table_of(("a", Number(math.nan), Number(math.nan)))
    assert table.to_csv().splitlines()[1] == "a,,,,"
    assert table.records() == [
        {"model": "a", "error": None, "error_low": None, "error_high": None, "n_parameters": None}
    ]
    assert "a & -- & -- \\\\" in table.to_latex()


def read_latex(text: str) -> str:
    """Undoes the escapes, as LaTeX would print them."""
    for command, character in (("textasciitilde", "~"), ("textasciicircum", "^")):
        text = text.replace(f"\\{command}{{}}", character)
    text = text.replace("\\textbackslash{}", "\0")
    return re.sub(r"\\([{}$&#_%])", r"\1", text).replace("\0", "\\")


@settings(max_examples=50)
@given(text=st.text(st.characters(codec="ascii", exclude_categories=("Cc",))))
def test_latex_prints_the_text(text: str) -> None:
    escaped = escape_latex(text)
    assert read_latex(escaped) == text
    assert not re.search(r"(?<!\\)[&%$#_]", escaped)


@settings(max_examples=50)
@given(value=NUMBERS)
def test_latex_has_a_cell_for_every_column(value: float) -> None:
    text = table_of(("a & b_c", Number(value, value, value), Number(12345.0))).to_latex()
    [row] = [line for line in text.splitlines() if line.startswith("a \\& b\\_c")]
    assert len(re.findall(r"(?<!\\)&", row)) == 2
    assert row.endswith("$12{,}345$ \\\\")
    assert text.count("{") == text.count("}")
    assert "\\begin{tabular}{lrr}" in text


@pytest.mark.parametrize(
    ("value", "digits", "expected"),
    [(0.28671, 4, "0.2867"), (-0.00001, 3, "0.000"), (-0.5, 1, "-0.5"), (9673.6, 1, "9,674")],
)
def test_numbers_for_people(value: float, digits: int, expected: str) -> None:
    assert Column("x", "X", digits).write(Number(value)) == expected


def test_every_table_of_a_comparison() -> None:
    models = [
        assessment("one", n_layers=5),
        assessment("two", standing=(), n_layers=3, seed=1),
        assessment("three", standing=("newton", "gd"), seed=2),
    ]
    tables = comparison(*models).tables
    names = ["models", "similarity", "differences", "layers", "forgetting", "kappa"]
    assert list(tables) == names
    assert [record["verdict"] for record in tables["models"].records()] == [
        "Iterative Newton",
        "none",
        "undecided: Iterative Newton or gradient descent",
    ]
    assert len(tables["layers"].rows) == 6 + 4 + 6
    assert len(tables["differences"].rows) == 3
    assert len(tables["forgetting"].rows) == 3 * 3
    for table in tables.values():
        keys = table.to_csv().splitlines()[0].split(",")
        assert len(set(keys)) == len(keys)
        assert all(list(record) == keys for record in table.records())
        assert all(len(row) == len(table.columns) for row in table.rows)
