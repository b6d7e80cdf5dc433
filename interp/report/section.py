"""A part of a report: pictures that answer one question."""

from __future__ import annotations

from dataclasses import dataclass

from plotly.graph_objects import Figure


@dataclass(frozen=True)
class Section:
    """Pictures that answer one question, and how to read them."""

    anchor: str
    title: str
    pictures: tuple[Figure, ...]
    see: str
    """What you see."""
    means: str
    """What it means."""
    note: str | None = None
    """A number that the pictures do not show."""
