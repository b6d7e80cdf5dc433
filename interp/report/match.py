"""Writes the report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hooks.atomic import write_text
from interp.report.picture import with_pictures
from interp.report.sections import sections
from interp.report.templating import render_page
from interp.report.wording import checkpoint_of, word
from interp.results.result import MatchResult
from interp.versions import versions_text


def write_report(result: MatchResult, path: str | Path) -> None:
    """Writes one HTML file that opens offline, atomically.

    Raises:
        OSError: The file cannot be written; an existing one is left as it was.
    """
    write_text(path, report_html(result))


def report_html(result: MatchResult) -> str:
    """The report's page."""
    provenance = result.provenance
    return render_page(
        "report.html",
        checkpoint=checkpoint_of(result),
        model=_model(provenance),
        task=_task(provenance),
        wording=word(result),
        sections=with_pictures(sections(result)),
        facts=_facts(provenance),
        recipe=_pretty(provenance.get("recipe")),
        everything=_pretty(provenance),
    )


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
    return f"{name}, d = {dims}, {points} points" if dims and points else name


def _facts(provenance: dict[str, Any]) -> list[tuple[str, str]]:
    trained = provenance.get("trained") or {}
    metrics = trained.get("metrics") or {}
    facts = {
        "Checkpoint": checkpoint_text(provenance),
        "Model": _model(provenance),
        "Trained for": f"{trained['step']:,} steps" if trained.get("step") else None,
        "At the end of training": ", ".join(
            f"{key.replace('_', ' ')} {metrics[key]:.4g}"
            for key in ("loss", "error", "baseline_error", "excess")
            if isinstance(metrics.get(key), int | float)
        ),
        "Task": ", ".join(
            f"{key} = {value}" for key, value in (provenance.get("task") or {}).items()
        ),
        "Prompts": f"{provenance['prompts']:,} to evaluate on, as many to fit read-outs",
        "Seed": str(provenance.get("seed")),
        "Read-outs of iterates": provenance.get("readout"),
        "Final LayerNorm": provenance.get("final_norm"),
        "Sites": ", ".join(provenance.get("sites") or ()),
        "Versions": _versions(provenance.get("versions")),
        "Versions in training": _versions(trained.get("versions")),
        "Command": provenance.get("command"),
    }
    return [(key, str(value)) for key, value in facts.items() if value]


def checkpoint_text(provenance: dict[str, Any]) -> str | None:
    """Where the model came from, if that is known."""
    checkpoint = provenance.get("checkpoint")
    return None if checkpoint is None else str(checkpoint)


def _versions(versions: dict[str, str] | None) -> str:
    return versions_text(versions or {})


def _pretty(value: Any) -> str | None:
    return json.dumps(value, indent=2, ensure_ascii=False) if value else None
