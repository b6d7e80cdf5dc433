"""Figures as a page holds them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from markupsafe import Markup
from plotly.graph_objects import Figure
from plotly.io.json import to_json_plotly

from interp.report.page import script_json
from interp.report.section import Section


@dataclass(frozen=True)
class Picture:
    """A figure whose title is the page's to write."""

    title: Markup
    figure: Markup
    """JSON, as `script_json` makes it."""
    is_wide: bool
    """Whether it takes a row of its own where there is room for two."""


def picture_of(figure: Figure) -> Picture:
    """Takes the title out of a figure, whose `meta` may say `{"wide": True}`."""
    title = figure.layout.title.text or ""
    plain = figure.to_plotly_json()
    layout = plain["layout"]
    layout.pop("title", None)
    if "margin" in layout:
        layout["margin"]["t"] = min(layout["margin"].get("t", 16), 16)
    is_wide = bool((layout.get("meta") or {}).get("wide"))
    return Picture(Markup(title), script_json(to_json_plotly(plain)), is_wide)


def with_pictures(sections: Iterable[Section]) -> list[tuple[Section, list[Picture]]]:
    """Sections as templates show them: each with its figures drawn."""
    return [(section, [picture_of(figure) for figure in section.pictures]) for section in sections]
