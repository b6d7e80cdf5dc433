"""The report of a comparison of models: its sentences, tables and page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from markupsafe import Markup

from interp.analyses.comparison_result import ModelComparison
from interp.plots.compare import (
    plot_conditioned_excess,
    plot_conditioning,
    plot_differences,
    plot_examples,
    plot_forgetting,
    plot_layer_errors,
    plot_match_curves,
    plot_similarities,
)
from interp.plots.style import DASHES, SYMBOLS, Look, model_looks
from interp.report.compare_tables import comparison_tables, task_words
from interp.report.error_rate_text import error_rate
from interp.report.evidence_text import capital
from interp.report.page import Lead, Page, card_html
from interp.report.section import Section, written_section
from interp.report.verdict_text import short_answer
from interp.versions import versions_text

DASH_ARRAYS = dict(zip(DASHES, ("", "6 3", "2 2", "9 3", "6 2 2 2", "9 2 2 2"), strict=True))
CHARACTERS = dict(zip(SYMBOLS, "●■◆▲✚✖▼★", strict=True))
"""SVG's dashes and characters for the lines and markers of the pictures."""


def write_report(comparison: ModelComparison, path: str | Path) -> None:
    """Writes the page, one HTML file that opens offline, atomically.

    Raises:
        OSError: The file cannot be written; an existing one is left as it was.
    """
    comparison_page(comparison).write(path)


def describe(comparison: ModelComparison) -> dict[str, Any]:
    """The content of `summary.json`: what was compared, and every table in plain values."""
    return {
        **comparison.provenance,
        "models": list(comparison.names),
        "tables": {name: table.records for name, table in comparison_tables(comparison).items()},
    }


def card(comparison: ModelComparison) -> str:
    """What runs what, as a fragment of HTML for notebooks."""
    return card_html(
        kicker=f"{len(comparison.names)} models side by side",
        headline=headline(comparison),
        notes=(prompts_words(comparison), calibration_words(comparison)),
    )


def comparison_page(comparison: ModelComparison) -> Page:
    """The page of a comparison."""
    n = len(comparison.names)
    heading = f"{n} model{'' if n == 1 else 's'} side by side"
    provenance = comparison.provenance
    return Page(
        title=heading,
        kicker="Which algorithm does each model run, and how fast?",
        heading=heading,
        lead=Lead(
            paragraphs=(headline(comparison), prompts_words(comparison)),
            notes=(("How often such verdicts are right", calibration_words(comparison)),),
        ),
        sections=_sections(comparison),
        facts=(
            ("Tasks", "; ".join(map(task_words, provenance["tasks"]))),
            ("Prompts", f"{provenance['prompts']:,} to evaluate on, as many to fit read-outs"),
            ("Seed", provenance["seed"]),
            ("Read-outs of iterates", provenance["readout"]),
            ("Versions", versions_text(provenance["versions"])),
            ("Command", provenance["command"]),
        ),
        details=(("Everything, as stored", json.dumps(provenance, indent=2, ensure_ascii=False)),),
        models=[(name, _swatch(look)) for name, look in model_looks(comparison.names).items()],
    )


def _sections(comparison: ModelComparison) -> tuple[Section, ...]:
    tables = comparison_tables(comparison)
    pictures = {
        "curves": [plot_match_curves(comparison, name) for name in ("newton", "gd")],
        "similarity": [plot_similarities(comparison)],
        "errors": [plot_layer_errors(comparison), plot_examples(comparison)],
        "forgetting": [plot_forgetting(comparison)],
    }
    if "differences" in tables:
        pictures["similarity"].append(plot_differences(comparison))
    if "kappa" in tables:
        pictures["kappa"] = [plot_conditioning(comparison), plot_conditioned_excess(comparison)]
    below = {"curves": ("layers",), "similarity": ("similarity", "differences"), "errors": ()}
    return (
        Section("models", tables["models"].title, tables=(tables["models"],)),
        *(
            written_section(
                "compare",
                anchor,
                figures,
                tables=[tables[n] for n in below.get(anchor, (anchor,)) if n in tables],
            )
            for anchor, figures in pictures.items()
        ),
    )


def headline(comparison: ModelComparison) -> str:
    """Which models run what, the commonest answer first."""
    by_verdict: dict[str, list[str]] = {}
    for name in comparison.names:
        by_verdict.setdefault(short_answer(comparison.match(name).verdict), []).append(name)
    groups = sorted(by_verdict.items(), key=lambda group: -len(group[1]))
    text = "; ".join(f"{_subject(verdict)}: {', '.join(names)}" for verdict, names in groups)
    return f"{capital(text)}."


def _subject(verdict: str) -> str:
    if verdict == "none":
        return "none of the references"
    return verdict.replace("nearest: ", "nearest to ")


def prompts_words(comparison: ModelComparison) -> str:
    """What the models were measured on."""
    tasks = comparison.provenance["tasks"]
    if len(tasks) == 1:
        where = f"the same for all, of {task_words(tasks[0])}"
    else:
        numbered = (f"({number}) {task_words(task)}" for number, task in enumerate(tasks, 1))
        where = f"of the task it was trained on: {'; '.join(numbered)}"
    points = comparison.provenance.get("points")
    if isinstance(points, list):
        points = ", ".join(map(str, points))
    return (
        f"{comparison.provenance['prompts']:,} prompts for each model, {where}. Errors are of the "
        f"models' own predictions{(points and f' at points {points}') or ''}."
    )


def calibration_words(comparison: ModelComparison) -> str:
    """How often such verdicts are right where the truth is known, as the verdicts quote it."""
    results = map(comparison.match, comparison.names)
    sentences = (
        error_rate(one.verdict, one.provenance["readout"], one.provenance["prompts"])
        for one in results
    )
    return " ".join(dict.fromkeys(sentences))


def _swatch(look: Look) -> Markup:
    """A line and a marker as they are in the pictures, as inline SVG."""
    return Markup(
        '<svg class="swatch" viewBox="-17 -8 34 16" width="34" height="16" aria-hidden="true">'
        f'<path d="M-17 0H17" stroke="{look.colour}" stroke-width="2" '
        f'stroke-dasharray="{DASH_ARRAYS[look.dash]}"/><text fill="{look.colour}" font-size="12" '
        f'text-anchor="middle" dominant-baseline="central">{CHARACTERS[look.symbol]}</text></svg>'
    )
