"""What sentences and tables do with text that somebody else wrote."""

from __future__ import annotations

import csv
import io
import unicodedata

import pandas
from hypothesis import given
from hypothesis import strategies as st

from interp.errors import LONGEST, describe_error
from interp.report.table import Column, Table


@given(st.text(max_size=1000))
def test_a_sentence_is_short_and_holds_nothing_that_a_terminal_obeys(text: str) -> None:
    sentence = describe_error(ValueError(text)).partition("\n\n")[0]
    assert len(sentence) <= LONGEST
    assert not any(unicodedata.category(sign) in ("Cc", "Cf") for sign in sentence)


@given(st.text(max_size=20), st.floats(allow_nan=False))
def test_text_in_csv_is_no_formula_and_numbers_are_numbers(text: str, number: float) -> None:
    columns = (Column("name", "name"), Column("number", "number", digits=3))
    frame = pandas.DataFrame({"name": [f"={text}"], "number": [number]})
    table = Table("t", "t", columns, frame)
    [row] = csv.DictReader(io.StringIO(table.to_csv(), newline=""))
    assert row["name"].startswith("'=")
    assert float(row["number"]) == number
