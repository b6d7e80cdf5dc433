"""The report of a match: its verdict, the evidence, and the page."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any

from interp.points import points_words
from interp.report.error_text import error_text
from interp.report.evidence_text import measure_text, reason_text, unit_text
from interp.report.match_sections import last_steps_note, match_sections
from interp.report.page import Lead, Page, card_html
from interp.report.section import Section, written_section
from interp.report.table import Column, Table
from interp.report.verdict_text import VerdictText, verdict_text
from interp.results.match_verdict import MatchVerdict
from interp.results.result import MatchResult
from interp.results.selection import leading_measure
from interp.versions import versions_text
from probes.references import legend_of
from probes.uncertainty.estimate import Estimate
from probes.verdict import Evidence, MeasureFinding, Verdict

EVIDENCE = (
    Column("reference", "Reference"),
    Column("verdict", "Verdict"),
    Column("rate", "Steps per layer", 2, has_interval=True),
    Column("unit", "Unit", under="rate"),
    Column("layers", "Layers", under="rate"),
    Column("growth", "Growth of the step"),
    Column("ratio", "Likelihood ratio", under="growth"),
    Column("score", "Similarity at a constant rate", 3, has_interval=True),
    Column("behind", "Behind the best", 4, has_interval=True),
    Column("loss", "Cost of a constant rate", 4, has_interval=True),
    Column("gain", "Gain by growth", 4, has_interval=True),
)


def write_report(result: MatchResult, path: str | Path) -> None:
    """Writes one HTML file that opens offline, atomically.

    Raises:
        OSError: The file cannot be written; an existing one is left as it was.
    """
    match_page(result).write(path)


def match_page(result: MatchResult) -> Page:
    """The page of a match."""
    provenance = result.provenance
    checkpoint = checkpoint_of(result)
    curve, *rest = match_sections(result)
    sections = (curve, _evidence(result.verdict), *rest)
    if curve.anchor != "curve":
        sections = (_evidence(result.verdict), curve, *rest)
    return Page(
        title=f"{checkpoint}: which algorithm do its layers run?",
        kicker="Which algorithm do its layers run?",
        heading=checkpoint,
        about=f"{_model(provenance)} · {_task(provenance)}",
        lead=_lead(verdict_text(result), error_text(result)),
        sections=sections,
        facts=_facts(provenance),
        details=(
            ("Recipe the checkpoint was trained with", _pretty(provenance.get("recipe"))),
            ("Everything, as stored", _pretty(provenance)),
        ),
    )


def verdict_html(result: MatchResult) -> str:
    """The verdict as a fragment of HTML, for notebooks."""
    text = verdict_text(result)
    return card_html(
        kicker=checkpoint_of(result),
        headline=text.headline,
        number=(text.rate, f"steps per layer {text.rate_of}", text.interval),
        paragraphs=text.paragraphs,
        points=[f"Rejected: {name} ({reason})" for name, reason in text.rejected],
        notes=(text.error_rate, last_steps_note(result, (leading_measure(result),))),
    )


def card_of_verdict(verdict: MatchVerdict) -> str:
    """`verdict_html` of the result that a verdict is of."""
    return verdict_html(verdict.result)


def text_of_verdict(verdict: MatchVerdict) -> str:
    """A verdict's lines, in 80 columns: what, how fast, how well it fits, what was rejected."""
    lines = (checkpoint_of(verdict.result), *verdict_text(verdict.result).lines)
    return "\n".join(textwrap.fill(line, 80, subsequent_indent="  ") for line in lines)


def checkpoint_of(result: MatchResult) -> str:
    """What the report calls the model."""
    return str(result.provenance.get("checkpoint") or "unnamed model")


def _lead(text: VerdictText, errors: str | None) -> Lead:
    interval = f"95 % interval {text.interval}" if text.interval else ""
    return Lead(
        headline=text.headline,
        number=(text.rate, f"steps per layer {text.rate_of}", interval) if text.rate else None,
        paragraphs=(*text.paragraphs, *([errors] if errors else [])),
        points=("Rejected", text.rejected),
        notes=(("How often such verdicts are right", text.error_rate),),
        is_open=text.is_open,
    )


def _evidence(verdict: Verdict) -> Section:
    """The evidence, one table for each measure that found anything."""
    tables = [
        Table.of(
            f"evidence_{number}",
            f"By {measure_text(verdict, finding)}",
            EVIDENCE,
            [_row(verdict, finding, item) for item in finding.evidence],
            highlight="is_retained",
        )
        for number, finding in enumerate(verdict.findings, 1)
        if finding.evidence
    ]
    if tables:
        return written_section("match", "evidence", tables=tables)
    nothing = "Nothing was compared: too few layers predict the targets better than the first."
    return Section("evidence", "The evidence, reference by reference", paragraphs=(nothing,))


def _row(verdict: Verdict, finding: MeasureFinding, item: Evidence) -> dict[str, Any]:
    mark = "✓ retained" if item.is_retained else "✗ rejected"
    growth, ratio = _growth(item)
    return {
        "reference": legend_of(item.name),
        "verdict": f"{mark}: {reason_text(verdict, finding, item)}",
        "unit": unit_text(item),
        "layers": f"layers {item.first_layer} to {item.last_layer}",
        "growth": growth,
        "ratio": ratio,
        "is_retained": item.is_retained,
        **_cells("rate", item.rate),
        **_cells("score", item.constant_rate),
        **_cells("behind", item.behind),
        **_cells("loss", item.constraint_loss),
        **_cells("gain", item.growth_gain),
    }


def _growth(item: Evidence) -> tuple[str, str]:
    """Which law the matching step follows, and how much likelier it is than the other."""
    is_linear = item.evidence_ratio >= 1
    nearer = "linear" if is_linear else "exponential"
    if item.law == "neither":
        return "uneven", f"nearer to {nearer}"
    ratio = item.evidence_ratio if is_linear else 1 / max(item.evidence_ratio, 1e-300)
    return nearer, f"{ratio:.2g} : 1" if ratio < 100 else "over 100 : 1"


def _cells(key: str, estimate: Estimate) -> dict[str, float]:
    found = {key: estimate.value}
    if estimate.low < estimate.high:
        found |= {f"{key}_low": estimate.low, f"{key}_high": estimate.high}
    return found


def _model(provenance: dict[str, Any]) -> str:
    config = provenance.get("config") or {}
    parts = [str(provenance.get("architecture") or "model")]
    for key, unit in (("n_layers", "layer"), ("n_heads", "head")):
        if key in config:
            parts.append(f"{config[key]} {unit}{'' if config[key] == 1 else 's'}")
    if "d_model" in config:
        parts.append(f"width {config['d_model']}")
    return ", ".join(parts)


def _task(provenance: dict[str, Any]) -> str:
    task = dict(provenance.get("task") or {})
    name = str(task.pop("name", "unknown task")).replace("_", " ")
    dims, points = task.get("n_dims"), task.get("n_points")
    if not (dims and points):
        return name
    read = points_words(provenance.get("points"), points)
    return f"{name}, d = {dims}, {points} points{read and f', read at {read}'}"


def _facts(provenance: dict[str, Any]) -> list[tuple[str, Any]]:
    trained = provenance.get("trained") or {}
    metrics = trained.get("metrics") or {}
    task = provenance.get("task") or {}
    facts = {
        "Checkpoint": provenance.get("checkpoint"),
        "Model": _model(provenance),
        "Trained for": f"{trained['step']:,} steps" if trained.get("step") else None,
        "At the end of training": ", ".join(
            f"{key.replace('_', ' ')} {metrics[key]:.4g}"
            for key in ("loss", "error", "baseline_error", "excess")
            if isinstance(metrics.get(key), int | float)
        ),
        "Task": ", ".join(f"{key} = {value}" for key, value in task.items()),
        "Points": points_words(provenance.get("points"), (task.get("n_points") or 0)),
        "Prompts": f"{provenance['prompts']:,} to evaluate on, as many to fit read-outs",
        "Seed": str(provenance.get("seed")),
        "Read-outs of iterates": provenance.get("readout"),
        "Final LayerNorm": provenance.get("final_norm"),
        "Sites": ", ".join(provenance.get("sites") or ()),
        "Versions": versions_text(provenance.get("versions") or {}),
        "Versions in training": versions_text(trained.get("versions") or {}),
        "Command": provenance.get("command"),
    }
    return list(facts.items())


def _pretty(value: Any) -> str | None:
    return json.dumps(value, indent=2, ensure_ascii=False) if value else None
