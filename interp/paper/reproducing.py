"""Computes rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from importlib import import_module

from interp.paper.cast import Cast
from interp.paper.catalogue import Row
from interp.paper.finding import Finding

Progress = Callable[[str, int, int], None]
"""Told of a row's label, the rows done and the rows in all."""


def reproduce(
    rows: Sequence[Row], cast: Cast, progress: Progress = lambda stage, done, total: None
) -> Iterator[Finding]:
    """Yields what came out of every row.

    Args:
        rows: See `interp.paper.catalogue.find_rows`.
        cast: The models.
        progress: Told of every row before it starts.
    """
    for done, row in enumerate(rows):
        progress(row.label, done, len(rows))
        module, function = row.function.split(":")
        yield getattr(import_module(module), function)(row, cast)
    progress("finished", len(rows), len(rows))
