"""What came out of one row: claims decided by stated criteria, pictures and data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import xarray
from plotly.graph_objects import Figure

from interp.paper.catalogue import Row
from interp.report.text_table import TextTable

Outcome = Literal["agrees", "disagrees", "cannot be told"]


@dataclass(frozen=True)
class Check:
    """One claim of the paper, what we find, and the rule that decides between them."""

    claim: str
    found: str
    criterion: str
    """When it agrees and when it disagrees; between the two it cannot be told."""
    outcome: Outcome
    published: str = "–"
    """The number that the paper prints."""
    about: str = ""
    """Which model and prompts, or "model-free" at which d."""


@dataclass(frozen=True)
class Drawing:
    """A picture with what it shows."""

    name: str
    title: str
    see: str
    figure: Figure


@dataclass(frozen=True)
class Finding:
    """One row of the paper, computed."""

    row: Row
    checks: tuple[Check, ...]
    drawings: tuple[Drawing, ...] = ()
    tables: tuple[TextTable, ...] = ()
    data: xarray.Dataset = field(default_factory=xarray.Dataset)
    """Every number that is drawn."""
    missing: tuple[str, ...] = ()
    """Sentences on checkpoints that are not there."""

    @property
    def outcome(self) -> str:
        """In one word where all claims came out alike, else how many came out how."""
        return describe_outcomes([check.outcome for check in self.checks])


def describe_outcomes(outcomes: Sequence[Outcome]) -> str:
    """One word where all came out alike, else how many came out how: "agrees 2, disagrees 1"."""
    known: tuple[Outcome, ...] = ("agrees", "disagrees", "cannot be told")
    counts = {name: outcomes.count(name) for name in known if name in outcomes}
    if len(counts) == 1:
        return next(iter(counts))
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "cannot be told"


def not_shipped(claim: str, sentence: str, published: str = "–") -> Check:
    """A claim about a model that is not there."""
    return Check(
        claim, sentence, "decided once the checkpoint is there", "cannot be told", published
    )


def without_model(row: Row, sentence: str, *checks: Check) -> Finding:
    """A row whose model is not there: its claim, and what could be checked all the same."""
    return Finding(row, (not_shipped(row.says, sentence), *checks), missing=(sentence,))
