"""Parts of a page: pictures and tables that answer one question, and how to read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from plotly.graph_objects import Figure

from interp.report.table import Column, Table


@dataclass(frozen=True)
class Section:
    """Pictures and tables that answer one question."""

    anchor: str
    title: str
    pictures: tuple[Figure, ...] = ()
    see: str = ""
    """What you see."""
    means: str = ""
    """What it means."""
    note: str | None = None
    """A number that the pictures do not show."""
    tables: tuple[Table, ...] = ()
    paragraphs: tuple[str, ...] = ()
    """Sentences above the pictures."""
    captions: tuple[str, ...] = ()
    """A sentence below each picture, for those that are read one by one."""


def written_section(
    text: str,
    anchor: str,
    pictures: Sequence[Figure] = (),
    *,
    name: str | None = None,
    tables: Sequence[Table] = (),
    note: str | None = None,
    **values: Any,
) -> Section:
    """A section whose title and guide stand in `interp/report/text/<text>.md`.

    The file has a part for each anchor: a line `## anchor: title`, a paragraph on what you see
    and one on what it means. Words in braces are replaced by `values`; `name` replaces the anchor.
    """
    title, see, means = (part.format(**values) for part in _parts(text)[anchor])
    return Section(name or anchor, title, tuple(pictures), see, means, note, tuple(tables))


def written_table(
    text: str, name: str, columns: Sequence[Column], rows: Sequence[Mapping[str, Any]]
) -> Table:
    """A table whose title and note stand in `interp/report/text/<text>.md`, as of a section."""
    title, note, _ = _parts(text)[name]
    return Table.of(name, title, columns, rows, note)


@cache
def _parts(text: str) -> dict[str, tuple[str, str, str]]:
    content = (files("interp.report") / "text" / f"{text}.md").read_text(encoding="utf-8")
    found = {}
    for part in content.split("\n## ")[1:]:
        head, *paragraphs = (" ".join(lines.split()) for lines in part.strip().split("\n\n"))
        anchor, title = head.split(": ", 1)
        see, means = (*paragraphs, "")[:2]
        found[anchor] = (title, see, means)
    return found
