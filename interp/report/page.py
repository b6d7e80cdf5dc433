"""A report's page: one HTML file that opens offline."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.graph_objects import Figure
from plotly.io.json import to_json_plotly
from plotly.offline import get_plotlyjs

from hooks.atomic import write_text
from interp.report.section import Section
from interp.report.table import Column, Table

LONG_TABLE = 12
"""Tables of more rows are folded."""
WIDE_TEXT = 40
"""Cells of more letters are broken into lines."""


@dataclass(frozen=True)
class Lead:
    """The first thing on a page: what was found."""

    headline: str = ""
    number: tuple[str, str, str] | None = None
    """A number, what it counts, and its interval."""
    paragraphs: tuple[str, ...] = ()
    points: tuple[str, tuple[tuple[str, str], ...]] | None = None
    """A heading, and what is listed below it: names, each with a reason."""
    notes: tuple[tuple[str, str], ...] = ()
    """Headings and what else should be known."""
    is_open: bool = False
    """Whether the question is left open."""


@dataclass(frozen=True)
class Page:
    """Everything on a page; values are escaped when it is written."""

    title: str
    """Of the browser's tab."""
    kicker: str
    """The question, above the heading."""
    heading: str
    lead: Lead
    sections: tuple[Section, ...]
    facts: Sequence[tuple[str, Any]] = ()
    """Where it comes from; empty values are left out."""
    about: str = ""
    """Below the heading."""
    details: Sequence[tuple[str, str | None]] = ()
    """Titles and long texts that are folded."""
    models: Sequence[tuple[str, Markup]] = ()
    """Models and their marks, the legend of all pictures, where each can be hidden; traces of one
    say so in `meta["model"]`, and columns `model` and `other` of tables name them."""

    def html(self) -> str:
        """One HTML file that opens offline."""
        templates = files("interp.report") / "templates"

        def static(name: str) -> Markup:
            return Markup((templates / name).read_text(encoding="utf-8"))

        return environment().get_template("page.html").render(
            page=self,
            facts=[(key, str(value)) for key, value in self.facts if value not in (None, "")],
            style=static("page.css"),
            script=static("page.js"),
            plotly=Markup(get_plotlyjs()),
            long_table=LONG_TABLE,
        )  # fmt: skip

    def write(self, path: str | Path) -> None:
        """Writes the HTML file, atomically.

        Raises:
            OSError: The file cannot be written; an existing one is left as it was.
        """
        write_text(path, self.html())


def card_html(
    *,
    kicker: str,
    headline: str,
    number: tuple[str | None, str, str | None] = (None, "", None),
    paragraphs: Sequence[str] = (),
    points: Sequence[str] = (),
    notes: Sequence[str | None] = (),
) -> str:
    """A finding as a fragment of HTML for notebooks; its number with unit and interval."""
    card = environment().get_template("card.html")
    texts = {"kicker": kicker, "headline": headline, "number": number, "notes": notes}
    return card.render(**texts, paragraphs=paragraphs, points=points)


@cache
def environment() -> Environment:
    """Jinja2 over `interp/report/templates`, escaping all that is not marked safe."""
    found = Environment(
        loader=PackageLoader("interp.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.globals |= {"drawn": drawn, "shown": shown, "downloads": downloads}
    return found


def drawn(figure: Figure, is_keyed: bool = False) -> dict[str, Any]:
    """A figure as a page holds it, its title apart.

    Args:
        figure: Its `meta` may say `{"wide": True}`: it takes a row of its own, and how many pixels
            its captions need above the panels, `{"top": 64}`; where a title was, 16 are left.
        is_keyed: Whether the page names the models, whose traces then need no entry in a legend.
    """
    plain = figure.to_plotly_json()
    layout = plain["layout"]
    title = (layout.pop("title", None) or {}).get("text") or ""
    meta = layout.get("meta") or {}
    if "margin" in layout:
        layout["margin"]["t"] = meta.get("top", min(layout["margin"].get("t", 16), 16))
    if is_keyed:
        plain["data"] = [
            {**trace, "showlegend": not (trace.get("meta") or {}).get("model")}
            for trace in plain["data"]
        ]
    json = script_json(to_json_plotly(plain))
    return {"title": Markup(title), "json": json, "is_wide": bool(meta.get("wide"))}


def script_json(text: str) -> Markup:
    """JSON that no HTML parser sees an end of its element in."""
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def shown(table: Table) -> dict[str, Any]:
    """A table's columns and rows as a page shows them."""
    columns = [column for column in table.columns if column.under is None]
    below = {
        column.key: [other for other in table.columns if other.under == column.key]
        for column in columns
    }
    rows = []
    for row in table.frame.to_dict("records"):
        cells = [_cell(column, below[column.key], row) for column in columns]
        names = [str(row[key]) for key in ("model", "other") if key in row]
        mark = None if table.highlight is None else bool(row[table.highlight])
        rows.append({"cells": cells, "models": names, "is_marked": mark})
    return {"columns": columns, "rows": rows}


def _cell(column: Column, below: Iterable[Column], row: Any) -> dict[str, Any]:
    text = column.value(row)
    if column.anchor is not None:
        text = Markup('<a href="#{}">{}</a>').format(row[column.anchor], text)
    parts = [column.interval(row), ", ".join(filter(None, (other.value(row) for other in below)))]
    return {
        "text": text,
        "below": [part for part in parts if part],
        "sort": str(row[column.key]),
        "is_number": column.digits is not None,
        "is_wide": len(text) > WIDE_TEXT,
        "outcome": {"✓": "good", "✗": "bad"}.get(text[:1], ""),
    }


def downloads(table: Table) -> list[tuple[str, str, str]]:
    """Words, file name and address of every form in which a table can be had from the page."""
    return [
        ("CSV", f"{table.name}.csv", f"data:text/csv;charset=utf-8,{quote(table.to_csv())}"),
        (
            "LaTeX",
            f"{table.name}.tex",
            f"data:application/x-tex;charset=utf-8,{quote(table.to_latex())}",
        ),
    ]
