"""The reports of two references against each other, and of layers on prompts that separate them."""

from __future__ import annotations

import json
from typing import Any

import xarray

from interp import plots
from interp.analyses.algorithms import describe_growth
from interp.report.page import Lead, Page
from interp.report.section import written_section
from interp.report.table import Column, Table, scores
from interp.versions import command_line, library_versions, versions_text
from probes.references import legend_of


def algorithms_page(comparison: xarray.Dataset) -> Page:
    """The page on what `interp.analyses.algorithms.compare_algorithms` found."""
    attrs = comparison.attrs
    a, b = (legend_of(attrs[name]) for name in ("a", "b"))
    return Page(
        title=f"{a} against {b}",
        kicker="Which step of the one is most like which of the other?",
        heading=f"{a} against {b}",
        lead=Lead(headline=describe_growth(comparison).removesuffix(".")),
        sections=(
            written_section(
                "separation",
                "algorithms",
                (plots.algorithms(comparison),),
                tables=(algorithms_table(comparison),),
                a=a,
                b=b,
            ),
        ),
        facts=(
            ("Task", ", ".join(f"{k} = {v}" for k, v in json.loads(attrs["task"]).items())),
            ("Prompts", f"{attrs['prompts']:,}"),
            ("Seed", attrs["seed"]),
            ("Command", command_line()),
            ("Versions", versions_text(library_versions())),
        ),
    )


def algorithms_table(comparison: xarray.Dataset) -> Table:
    """Every step of A, its best-matching step of B and their SimE."""
    a, b = comparison.attrs["a"], comparison.attrs["b"]
    columns = [
        Column("step", a, 0),
        Column("best_step", b, 1, has_interval=True),
        Column("similarity", "SimE", 3),
    ]
    rows = []
    for index in range(comparison.sizes["step_a"]):
        item = comparison.isel(step_a=index)
        cells = {"step": item.step_a.item(), "similarity": item.best_similarity.item()}
        rows.append(cells | scores(item, "best_step"))
    title = f"Every step of {a}, its best-matching step of {b} and their SimE"
    return Table.of("algorithms", title, columns, rows)


def separation_page(found: xarray.Dataset, checkpoint: str) -> Page:
    """The page on what `interp.separate` found."""
    attrs = found.attrs
    a, b = (legend_of(attrs[name]) for name in ("a", "b"))
    return Page(
        title=f"{checkpoint}: {a} or {b}?",
        kicker=f"{a} or {b}?",
        heading=checkpoint,
        lead=Lead(headline=finding(found), paragraphs=(context(found),)),
        sections=(
            written_section(
                "separation",
                "layers",
                (plots.separation(found),),
                tables=(separation_table(found),),
                a=a,
                b=b,
            ),
        ),
        facts=(
            ("Checkpoint", checkpoint),
            ("Task", ", ".join(f"{k} = {v}" for k, v in json.loads(attrs["task"]).items())),
            ("Prompts", f"{attrs['n_prompts']:,} of each kind"),
            ("Seed", attrs["seed"]),
            ("Command", command_line()),
            ("Versions", versions_text(json.loads(attrs["versions"]))),
        ),
    )


def finding(found: xarray.Dataset) -> str:
    """Which reference the layers resemble more where the two separate, in a sentence."""
    row = found.sel(prompts="separating")
    bounds = row.margin_interval
    nearer = {
        "a": row.layer.values[(bounds.sel(bound="low") > 0).values],
        "b": row.layer.values[(bounds.sel(bound="high") < 0).values],
    }
    parts = [
        f"layer{'s' if len(layers) > 1 else ''} {', '.join(map(str, layers))} "
        f"{'are' if len(layers) > 1 else 'is'} more like "
        f"{legend_of(found.attrs[key])}"
        for key, layers in nearer.items()
        if len(layers)
    ]
    if not parts:
        return "Where the two separate, no layer is more like one of them beyond chance"
    return f"Where the two separate, {' and '.join(parts)}"


def context(found: xarray.Dataset) -> str:
    """How far apart the references are, and the model's error beside two others."""
    a, b = found.attrs["a"], found.attrs["b"]
    built, usual = (found.separation.sel(prompts=kind).mean().item() for kind in found.prompts)
    row = found.sel(prompts="separating")
    return (
        f"The references themselves, {a} and the most similar step of {b}, are {built:.2f} apart "
        f"on these prompts and {usual:.3f} on ordinary ones (1 - SimE). The model's error there is "
        f"{row.model_error.item():.3g} of that of predicting 0, that of OLS "
        f"{row.best_error.item():.3g}."
    )


def separation_table(found: xarray.Dataset) -> Table:
    """SimE of every layer with both references and its margin, by kind of prompts."""
    a, b = found.attrs["a"], found.attrs["b"]
    columns = [Column("layer", "layer", 0)]
    for kind in found.prompts.values:
        columns += [Column(f"{kind}_{name}", f"{kind}\n{name}", 3) for name in (a, b)]
        columns.append(Column(f"{kind}_margin", f"{kind}\nmargin", 3, has_interval=True))
    rows = []
    for layer in found.layer.values:
        cells: dict[str, Any] = {"layer": int(layer)}
        for kind in found.prompts.values:
            row = found.sel(layer=layer, prompts=kind)
            for name in (a, b):
                cells[f"{kind}_{name}"] = row.similarity.sel(reference=name).item()
            cells |= scores(row, "margin", f"{kind}_margin")
        rows.append(cells)
    title = "SimE with the best step of each reference, and its margin"
    return Table.of("separation", title, columns, rows)
