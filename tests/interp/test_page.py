"""Pages and tables that every report is made of."""

from __future__ import annotations

import csv
import io
import math
import re
from pathlib import Path

import pytest
import xarray
from chromium import visit
from hypothesis import given, settings
from hypothesis import strategies as st
from playwright.sync_api import Browser
from plotly.graph_objects import Figure

from interp.report.latex import escape_latex
from interp.report.markdown import write_markdown
from interp.report.page import Lead, Page
from interp.report.section import Section
from interp.report.table import Column, Table, format_number, scores

NUMBERS = st.floats(-1e6, 1e6)
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)> \"'&amp;"
COLUMNS = (
    Column("model", "Model"),
    Column("error", "Error / d", 4, has_interval=True),
    Column("n_parameters", "Parameters", 0),
    Column("family", "Family", under="model"),
)


def table_of(name: str, value: float, reach: float = 0.0, count: float = 1.0) -> Table:
    row = {
        "model": name,
        "error": value,
        "error_low": value - reach,
        "error_high": value + reach,
        "n_parameters": count,
        "family": "GPT",
    }
    return Table.of("models", "Models", COLUMNS, [row], "A note.")


def page_of(*sections: Section, heading: str = "Heading") -> Page:
    return Page("Tab", "Question?", heading, Lead("Found", paragraphs=("Why.",)), sections)


@settings(max_examples=50)
@given(name=st.text(), value=NUMBERS, reach=st.floats(0, 1e3), count=st.integers(0, 10**12))
def test_csv_gives_back_every_number(name: str, value: float, reach: float, count: int) -> None:
    text = table_of(name, value, reach, count).to_csv()
    [row] = csv.DictReader(io.StringIO(text, newline=""))
    assert row["model"] == name
    read = [float(row[key]) for key in ("error", "error_low", "error_high")]
    assert read == [value, value - reach, value + reach]
    assert row["n_parameters"] == str(count)


def test_missing_numbers_are_empty_or_a_dash() -> None:
    table = table_of("a", math.nan, count=math.nan)
    assert table.to_csv().splitlines()[1] == "a,,,,,GPT"
    missing = dict.fromkeys(("error", "error_low", "error_high", "n_parameters"))
    assert table.records == [{"model": "a", **missing, "family": "GPT"}]
    assert "a & -- & -- & GPT \\\\" in table.to_latex()
    assert "| a | – | – | GPT |" in table.to_markdown()


def test_cells_link_to_sections_on_pages_alone() -> None:
    columns = (Column("figure", "figure", anchor="key"),)
    table = Table.of("all", "All", columns, [{"figure": "<b>", "key": "fig2"}])
    page = page_of(Section("all", "All", tables=(table,))).html()
    assert '<a href="#fig2">&lt;b&gt;</a>' in page
    assert table.to_csv() == "figure\r\n<b>\r\n"
    steps = (Column("step", "Step", 1, may_be_last=True),)
    rows = [{"step": 8, "step_is_last": True}, {"step": 7, "step_is_last": False}]
    assert "≥ 8.0 |\n| 7.0" in Table.of("steps", "Steps", steps, rows).to_markdown()


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
    text = table_of("a & b_c", value, 0.0, 12345.0).to_latex()
    [row] = [line for line in text.splitlines() if line.startswith("a \\& b\\_c")]
    assert len(re.findall(r"(?<!\\)&", row)) == 3
    assert row.endswith("$12{,}345$ & GPT \\\\")
    assert text.count("{") == text.count("}")
    assert "\\begin{tabular}{lrrl}" in text


@pytest.mark.parametrize(
    ("value", "digits", "expected"),
    [(0.28671, 4, "0.2867"), (-0.00001, 3, "0.000"), (-0.5, 1, "-0.5"), (9673.6, 1, "9,674")],
)
def test_numbers_for_people(value: float, digits: int, expected: str) -> None:
    assert format_number(value, digits) == expected


def test_a_score_of_a_data_set_becomes_cells() -> None:
    data = xarray.Dataset({"error": 0.5, "error_interval": ("bound", [0.4, 0.7]), "n": 3})
    assert scores(data, "error", "e") == {"e": 0.5, "e_low": 0.4, "e_high": 0.7}
    assert scores(data, "n") == {"n": 3}


def test_a_page_escapes_names_draws_pictures_and_sorts_tables(
    browser: Browser, tmp_path: Path
) -> None:
    figure = Figure().add_scatter(y=[1, 2]).update_layout(title="A line", height=300)
    rows = [
        {"model": name, "error": value, "error_low": 0, "error_high": 9, "n_parameters": 1}
        for name, value in ((HOSTILE, 10.0), ("two", 9.0), ("none", math.nan))
    ]
    table = Table.of("models", "Models", COLUMNS[:3], rows)
    section = Section("one", "One", (figure,), "See.", "Means.", tables=(table,))
    file = tmp_path / "page.html"
    page_of(section, heading=HOSTILE).write(file)
    with visit(browser, file, 390, is_phone=True) as seen:
        seen.page.wait_for_selector("html[data-drawn='1']")
        assert seen.page.inner_text("h1") == HOSTILE
        assert seen.page.inner_text("figcaption") == "A line"
        cells = "[...document.querySelectorAll('#one tbody th')].map(cell => cell.innerText)"
        assert seen.page.evaluate(cells) == [HOSTILE, "two", "none"]
        column = seen.page.locator("button.sort", has_text="Error")
        column.click()
        assert seen.page.evaluate(cells) == ["two", HOSTILE, "none"]
        column.click()
        assert seen.page.evaluate(cells) == [HOSTILE, "two", "none"]
        overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert seen.page.evaluate(overflow) <= 0
        assert seen.console == []
        assert seen.requests == []


def test_markdown_holds_what_the_page_holds(tmp_path: Path) -> None:
    table = table_of("a", 0.5, reach=0.25)
    section = Section("one", "One", see="See.", means="Means.", tables=(table,))
    file = tmp_path / "page.md"
    write_markdown(page_of(section), file, "test", "Introduction.")
    text = file.read_text()
    for part in (
        "# Heading",
        "Introduction.",
        "- Why.",
        "## One",
        "See.",
        "| a | 0.5000 (0.2500 to 0.7500) | 1 |",
    ):
        assert part in text
