"""The report of a training: what appears at which step."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import xarray

from interp.plots import checkpoint_slider as slider
from interp.plots import emergence as plots
from interp.report.page import Lead, Page
from interp.report.section import written_section
from interp.report.table import Column, Table
from interp.versions import command_line, versions_text
from probes.references import legend_of

NO_RESULT = "no result"
CHANGES = {
    "begun": ("learning begins", "{level:.0%} of what can be learnt is learnt"),
    "learnt": ("learnt", "{level:.0%} of what can be learnt is learnt"),
    "layer": ("", "removes {level:.0%} of the error that the layer before leaves"),
    "growth": ("linear growth", "steps of {reference} grow with depth: SimE gains {level}"),
    "alike": ("alike", "SimE of the last layer and {reference} is {level}"),
    "general": ("general", "three times nearer to ridge than to dMMSE on new tasks"),
    "memorised": ("memorised", "three times nearer to dMMSE than to ridge on new tasks"),
    "order": (
        "order-free",
        "{level:.0%} of the last layer at most depends on the order of examples",
    ),
    "explained": ("explained", "filters could explain {level:.0%} of the last layer"),
}
"""Name and condition of change points, by the first word of their keys."""


def emergence_page(found: xarray.Dataset, source: str) -> Page:
    """The page on what `interp.emerge` found in a training that people call `source`."""
    attrs = found.attrs
    changes = written_section(
        "emergence",
        "changes",
        (plots.changes(found, [name for name, _ in change_labels(found)]),),
        tables=(change_table(found),),
    )
    pictures = {
        "errors": (plots.errors,),
        "layers": (plots.explained, slider.layers),
        "steps": (plots.steps,),
        "similarity": (plots.similarity,),
    }
    if "pool_ridge_likeness" in found:
        pictures["pool"] = (plots.pool,)
    if "anatomy_share" in found:
        pictures["shares"] = (slider.shares, plots.shares_over_steps)
        pictures["resolved"] = (plots.resolved,)
    sections = [
        written_section(
            "emergence", name, [draw(found) for draw in drawn], baseline=attrs["baseline"]
        )
        for name, drawn in pictures.items()
    ]
    tables = (emergence_table(found),)
    return Page(
        title=f"{source}: what appears when",
        kicker="Which algorithm appears at which training step?",
        heading=source,
        lead=Lead(
            headline=finding(found),
            paragraphs=(errors_words(found),),
            notes=tuple(("Without result", text) for text in without_result(found)),
        ),
        sections=(
            changes,
            *sections,
            written_section("emergence", "table", tables=tables, baseline=attrs["baseline"]),
        ),
        facts=(
            ("Training", source),
            ("Task", ", ".join(f"{k} = {v}" for k, v in json.loads(attrs["task"]).items())),
            ("Prompts", f"{attrs['n_prompts']:,}"),
            ("Seed", attrs["seed"]),
            ("Command", command_line()),
            ("Versions", versions_text(json.loads(attrs["versions"]))),
        ),
    )


def finding(found: xarray.Dataset) -> str:
    """The last verdict and since when it stands, in a sentence."""
    verdicts = [text or NO_RESULT for text in found.match_verdict.values.tolist()]
    others = [index for index, text in enumerate(verdicts) if text != verdicts[-1]]
    steps = found.step.values
    since = f"since step {steps[others[-1] + 1]:,}" if others else "as at every step"
    return f"The verdict after {steps[-1]:,} steps is “{verdicts[-1]}”, {since}"


def errors_words(found: xarray.Dataset) -> str:
    """The last error beside the others, in a sentence."""
    last = found.isel(step=-1)
    return (
        f"Error / d after {last.step.item():,} steps: {last.error_mean:.4f}; "
        f"{found.attrs['baseline']} {found.error_baseline.max():.4f}, "
        f"predicting 0 {found.zero_error:.4f}."
    )


def without_result(found: xarray.Dataset) -> list[str]:
    """What has no result and why, a sentence each."""
    sentences: list[str] = json.loads(found.attrs["without_result"])
    return sentences


def change_labels(found: xarray.Dataset) -> list[tuple[str, str]]:
    """Of every change point a name, and what is so from it on."""
    reference = legend_of(found.attrs["reference"])
    labels = []
    for key, level in zip(found.change.values.tolist(), found.change_level.values, strict=True):
        name, words = CHANGES[key.split()[0]]
        labels.append((name or key, words.format(level=level.item(), reference=reference)))
    return labels


def change_table(found: xarray.Dataset) -> Table:
    """The step of every change with its interval; "note" where checkpoints do not enclose it."""
    columns = (
        Column("change", "change"),
        Column("condition", "from when on"),
        Column("step", "step", 0, has_interval=True),
        Column("note", "note"),
    )
    first, last = (f"{found.step.values[end]:,}" for end in (0, -1))
    outside = {
        -np.inf: f"at or before step {first}",
        np.inf: f"not by step {last}",
    }
    rows = []
    for (name, words), point in zip(change_labels(found), found.change.values, strict=True):
        here = found.sel(change=point)
        step, low, high = (here[f"change_step{end}"].item() for end in ("", "_low", "_high"))
        notes = [outside[step]] if np.isinf(step) else []
        notes += [f"perhaps {outside[end]}" for end in (low, high) if np.isinf(end) and end != step]
        if np.isinf(step) and np.isfinite(low if step > 0 else high):
            notes.append(f"perhaps from step {low if step > 0 else high:,.0f} on")
        ends = {"step": step, "step_low": low, "step_high": high}
        numbers = {key: end if np.isfinite(end) else np.nan for key, end in ends.items()}
        rows.append({"change": name, "condition": words, "note": ", ".join(notes), **numbers})
    return Table.of("changes", "Change points", columns, rows)


def emergence_table(found: xarray.Dataset) -> Table:
    """Error and verdict of every checkpoint."""
    columns = (
        Column("step", "step", 0),
        Column("error", "error / d", 4),
        Column("excess", "excess", 4),
        Column("verdict", "verdict"),
        Column("steps_per_layer", "steps a layer", 2, has_interval=True),
        Column("rate_of", "of", under="steps_per_layer"),
    )
    of = {column: f"match_{column}" for column in ("verdict", "rate_of")}
    of |= {"step": "step", "error": "error_mean", "excess": "error_excess"}
    of |= {key: f"match_{key}" for key in columns[4].keys}
    rows = [
        {column: found[name].values[index] for column, name in of.items()}
        for index in range(found.sizes["step"])
    ]
    for row in rows:
        row["verdict"] = row["verdict"] or NO_RESULT
    return Table.of("emergence", "Every checkpoint", columns, rows)


def summary(found: xarray.Dataset) -> dict[str, Any]:
    """The content of `summary.json`, in plain values."""
    baseline = found.attrs["baseline"].replace(" ", "_")
    return {
        "finding": finding(found),
        "task": json.loads(found.attrs["task"]),
        "n_prompts": found.attrs["n_prompts"],
        "seed": found.attrs["seed"],
        "errors": {"zero": found.zero_error.item(), baseline: found.error_baseline.max().item()},
        "changes": change_table(found).records,
        "steps": emergence_table(found).records,
        "without_result": without_result(found),
    }
