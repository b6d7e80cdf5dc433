"""The report of one reference algorithm against another."""

from __future__ import annotations

import json

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
