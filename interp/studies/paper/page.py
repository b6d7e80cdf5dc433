"""The reproduction as a page: claims, pictures and tables of every row."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files

from plotly.graph_objects import Figure

from interp.report.page import Lead, Page
from interp.report.section import Section
from interp.report.table import Column, Table
from interp.studies.paper.claims import describe_outcomes
from interp.studies.paper.reproduction import RowResult
from interp.versions import library_versions, versions_text

MARKS = {"agrees": "✓ ", "disagrees": "✗ "}
CLAIM_COLUMNS = (
    Column("claim", "claim"),
    Column("about", "model and prompts", under="claim"),
    Column("published", "published"),
    Column("found", "found"),
    Column("outcome", "outcome"),
    Column("criterion", "rule"),
)
OVERVIEW_COLUMNS = (
    Column("figure", "figure", anchor="key"),
    Column("title", "what it shows"),
    Column("says", "the paper says"),
    Column("outcome", "outcome"),
    Column("command", "command"),
)


def introduction() -> str:
    """What is computed and how it is decided, in Markdown."""
    return (files("interp.studies.paper") / "introduction.md").read_text(encoding="utf-8")


def reproduction_page(results: Sequence[RowResult], command: str, facts: str) -> Page:
    """The page of some rows, in the style of the report on a model.

    Args:
        results: Every row's result.
        command: The command line that made them.
        facts: How many prompts, and their seed.
    """
    outcomes = [claim.outcome for result in results for claim in result.claims]
    return Page(
        title="The paper's figures, computed again",
        kicker="Fu, Chen, Jia and Sharan, NeurIPS 2024",
        heading="The paper's figures, computed again",
        about=facts,
        lead=Lead(
            headline=describe_outcomes(outcomes),
            paragraphs=(
                f"{len(outcomes)} claims in {len(results)} rows, each decided by the computed rule "
                "that stands beside it. A number that the paper prints for d = 20 is shown beside "
                "ours at another scale, and decided only at its own.",
            ),
        ),
        sections=(_overview(results), *_missing(results), *map(_section, results)),
        facts=(
            ("Command", command),
            ("Prompts", facts),
            ("Versions", versions_text(library_versions())),
        ),
    )


def _overview(results: Sequence[RowResult]) -> Section:
    rows = [
        {
            **result.describe(),
            "figure": result.row.label,
            "outcome": MARKS.get(result.outcome, "") + result.outcome,
        }
        for result in results
    ]
    table = Table.of("overview", "All figures", OVERVIEW_COLUMNS, rows)
    return Section("overview", "All figures", tables=(table,))


def _missing(results: Sequence[RowResult]) -> list[Section]:
    """Which rows wait for a checkpoint, if any does."""
    waiting: dict[str, list[str]] = {}
    for result in results:
        for sentence in result.missing:
            waiting.setdefault(sentence, []).append(result.row.label)
    if not waiting:
        return []
    lines = [f"{'; '.join(labels)}: {sentence}." for sentence, labels in waiting.items()]
    note = "A trained one is used as `interp reproduce FIG --checkpoint runs/RECIPE`."
    return [Section("missing", "What waits for a checkpoint", paragraphs=(*lines, note))]


def _section(result: RowResult) -> Section:
    row = result.row
    records = [
        {**claim.describe(), "outcome": MARKS.get(claim.outcome, "") + claim.outcome}
        for claim in result.claims
    ]
    claims = Table.of(f"{row.key}-claims", f"Claims of {row.label}", CLAIM_COLUMNS, records)
    source = "The paper" if row.is_published else "Beside the paper"
    return Section(
        row.key,
        f"{row.label}: {row.title}",
        pictures=tuple(
            Figure(drawing.figure).update_layout(title={"text": drawing.title})
            for drawing in result.drawings
        ),
        captions=tuple(drawing.see for drawing in result.drawings),
        paragraphs=(f"{source}: {row.says} ({row.command})",),
        tables=(claims, *result.tables),
    )
