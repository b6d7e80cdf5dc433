"""The report of a comparison: one HTML file that opens offline."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

from plotly.graph_objects import Figure

from hooks.atomic import write_text
from interp.report.picture import picture_of
from interp.report.section import Section
from interp.report.templating import render_page
from interp.side_by_side.looks import model_looks, swatch
from interp.side_by_side.plots import (
    plot_conditioned_excess,
    plot_conditioning,
    plot_differences,
    plot_examples,
    plot_forgetting,
    plot_layer_errors,
    plot_match_curves,
    plot_similarities,
)
from interp.side_by_side.result import ModelComparison
from interp.side_by_side.table import Cell, Column, Number, Table
from interp.side_by_side.tables import task_words
from interp.side_by_side.wording import calibration_words, headline, prompts_words

LONG = 12
"""Tables of more rows are folded."""


@dataclass(frozen=True)
class ShownCell:
    """A cell as the page has it."""

    text: str
    interval: str
    """Or what else stands below the text."""
    sort: str
    """What the column is sorted by: a number, or the text itself."""


@dataclass(frozen=True)
class ShownTable:
    """A table as the page has it, with its files."""

    table: Table
    columns: tuple[Column, ...]
    rows: tuple[tuple[ShownCell, ...], ...]
    models: tuple[tuple[str, ...], ...]
    """The models that each row is about."""
    downloads: tuple[tuple[str, str, str], ...]
    """Words, file name and address."""
    is_long: bool


def write_report(comparison: ModelComparison, path: str | Path) -> None:
    """Writes one HTML file that opens offline, atomically.

    Raises:
        OSError: The file cannot be written; an existing one is left as it was.
    """
    write_text(path, report_html(comparison))


def report_html(comparison: ModelComparison) -> str:
    """The report's page."""
    looks = model_looks(comparison.names)
    tables = {name: _shown(table) for name, table in comparison.tables.items()}
    return render_page(
        "compare.html",
        "interp.side_by_side",
        headline=headline(comparison),
        calibration=calibration_words(comparison),
        about=prompts_words(comparison),
        models=[(name, swatch(look)) for name, look in looks.items()],
        tables=tables,
        sections=[
            (section, [picture_of(_without_legend(figure)) for figure in section.pictures], names)
            for section, names in sections(comparison)
        ],
        facts=_facts(comparison),
        everything=json.dumps(comparison.provenance, indent=2, ensure_ascii=False),
    )


def sections(comparison: ModelComparison) -> tuple[tuple[Section, tuple[str, ...]], ...]:
    """The pictures, how to read them, and the tables that hold their numbers."""
    has_pairs = "differences" in comparison.tables
    shown = (
        (
            Section(
                anchor="curves",
                title="How the matching step grows from layer to layer",
                pictures=(
                    plot_match_curves(comparison, "newton"),
                    plot_match_curves(comparison, "gd"),
                ),
                see=(
                    "For every layer of every model, the number of iterations of Newton (linear "
                    "axis) and of gradient descent (logarithmic axis) after which it is most like "
                    "the layer, by similarity of errors, with 95 % bootstrap intervals."
                ),
                means=(
                    "Straight on the left is a steady number of Newton iterations a layer; "
                    "straight on the right is a number of gradient steps that multiplies from "
                    "layer to layer. A flat line is a model whose depth does not iterate."
                ),
            ),
            ("layers",),
        ),
        (
            Section(
                anchor="similarity",
                title="Which algorithm the predictions resemble",
                pictures=(
                    plot_similarities(comparison),
                    *([plot_differences(comparison)] if has_pairs else []),
                ),
                see=(
                    "The mean cosine of the errors of each model's own predictions with those of "
                    "Newton and GD at the step that is most like it, and of online gradient "
                    "descent (OGD), which sees every example once. Differences are paired: the "
                    "same prompts and the same bootstrap draws for both models."
                ),
                means=(
                    "Newton and GD both end at least squares, so a model that has learned it is "
                    "like either at some step: look at how many. A model that keeps a running "
                    "state, as an LSTM, is more like OGD than a transformer is."
                ),
            ),
            ("similarity", "differences"),
        ),
        (
            Section(
                anchor="errors",
                title="Error against depth and against examples",
                pictures=(plot_layer_errors(comparison), plot_examples(comparison)),
                see=(
                    "Squared error / d of each layer's read-out, and of the model's own "
                    "predictions by the number of examples in the prompt. Least squares is exact "
                    "once it has d examples without noise, and leaves the picture there."
                ),
                means=(
                    "Where depth is iteration the error falls from layer to layer. In the paper "
                    "it does so for transformers and not for LSTMs."
                ),
            ),
            (),
        ),
        (
            Section(
                anchor="forgetting",
                title="Forgetting",
                pictures=(plot_forgetting(comparison),),
                see=(
                    "After as many examples as there are dimensions, the x of one of them is asked "
                    "again: the error on it, by the number of examples that followed it."
                ),
                means=(
                    "Least squares fits all examples exactly, whatever their age, so its line lies "
                    "below the picture. OGD fits the newest and forgets the older ones. A line "
                    "that rises is a model that forgets."
                ),
            ),
            ("forgetting",),
        ),
        (
            Section(
                anchor="kappa",
                title="Ill-conditioned prompts",
                pictures=(
                    (plot_conditioning(comparison), plot_conditioned_excess(comparison))
                    if "kappa" in comparison.tables
                    else ()
                ),
                see=(
                    "Error of the predictions on prompts whose covariance has another condition "
                    "number, at the same largest eigenvalue, and what of it is above that of least "
                    "squares on the same prompts. Nothing is fitted or trained anew."
                ),
                means=(
                    "Small eigenvalues make y small, so all errors fall. Least squares does not "
                    "mind the condition number: on the right a model that does as well stays low. "
                    "One that stops after few iterations, or that has only seen round clouds of x, "
                    "does not."
                ),
            ),
            ("kappa",),
        ),
    )
    return tuple((section, names) for section, names in shown if section.pictures)


def _without_legend(figure: Figure) -> Figure:
    """The list of models above is the legend; lines that are no model's keep their entries."""
    figure.for_each_trace(lambda trace: trace.update(showlegend=not trace.meta))
    return figure


def _shown(table: Table) -> ShownTable:
    keys = [column.key for column in table.columns]
    about = [index for index, key in enumerate(keys) if key in ("model", "other")]
    downloads = (
        ("CSV", f"{table.name}.csv", f"data:text/csv;charset=utf-8,{quote(table.to_csv())}"),
        (
            "LaTeX",
            f"{table.name}.tex",
            f"data:application/x-tex;charset=utf-8,{quote(table.to_latex())}",
        ),
    )
    rows = [
        [_cell(column, cell) for column, cell in zip(table.columns, row, strict=True)]
        for row in table.rows
    ]
    if below := [keys.index(key) for key in ("architecture", "task") if key in keys]:
        rows = [
            [
                replace(row[0], interval=", ".join(row[place].text for place in below)),
                *(cell for place, cell in enumerate(row[1:], 1) if place not in below),
            ]
            for row in _with_numbered_tasks(rows, keys)
        ]
        keys = [key for place, key in enumerate(keys) if place not in below]
    return ShownTable(
        table=table,
        columns=tuple(column for column in table.columns if column.key in keys),
        rows=tuple(map(tuple, rows)),
        models=tuple(tuple(str(row[index]) for index in about) for row in table.rows),
        downloads=downloads,
        is_long=len(table.rows) > LONG,
    )


def _with_numbered_tasks(
    rows: Sequence[Sequence[ShownCell]], keys: Sequence[str]
) -> list[list[ShownCell]]:
    """The tasks' numbers in place of their words, which would make the widest column."""
    if "task" not in keys:
        return [list(row) for row in rows]
    place = keys.index("task")
    tasks = list(dict.fromkeys(row[place].text for row in rows))

    def numbered(cell: ShownCell) -> ShownCell:
        return replace(cell, text=f"task {tasks.index(cell.text) + 1}")

    return [[*row[:place], numbered(row[place]), *row[place + 1 :]] for row in rows]


def _cell(column: Column, cell: Cell) -> ShownCell:
    sort = str(cell.value) if isinstance(cell, Number) else cell
    return ShownCell(column.write(cell), column.write_interval(cell), sort)


def _facts(comparison: ModelComparison) -> Sequence[tuple[str, str]]:
    provenance = comparison.provenance
    tasks = range(len(provenance["tasks"]))
    versions = provenance["versions"].items()
    facts = {
        "Tasks": "; ".join(task_words(comparison, number) for number in tasks),
        "Prompts": f"{provenance['prompts']:,} to evaluate on, as many to fit read-outs",
        "Seed": str(provenance["seed"]),
        "Read-outs of iterates": provenance["readout"],
        "Versions": ", ".join(f"{name} {number}" for name, number in versions),
        "Command": provenance["command"],
    }
    return [(key, value) for key, value in facts.items() if value]
