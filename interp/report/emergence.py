"""The report of a training: what appears at which step."""

from __future__ import annotations

import json
from typing import Any

import xarray

from interp.plots import emergence as plots
from interp.report.page import Lead, Page
from interp.report.section import written_section
from interp.report.table import Column, Table
from interp.versions import command_line, versions_text

NO_RESULT = "no result"


def emergence_page(found: xarray.Dataset, source: str) -> Page:
    """The page on what `interp.emerge` found in a training that people call `source`."""
    attrs = found.attrs
    pictures = {"errors": plots.errors, "steps": plots.steps, "similarity": plots.similarity}
    if "anatomy_share" in found:
        pictures["shares"] = plots.shares
    sections = [
        written_section("emergence", name, (draw(found),), baseline=attrs["baseline"])
        for name, draw in pictures.items()
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
        "steps": emergence_table(found).records,
        "without_result": without_result(found),
    }
