"""The sections of a calibration's page: pictures and tables."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd
from plotly.graph_objects import Figure

from interp.report.section import Section, written_section
from interp.report.table import MISSING, Column, Table
from interp.studies.calibration.calibration import Calibration
from interp.studies.calibration.cell import NEAREST, NOTHING
from interp.studies.calibration.counts import GRADES, grades_by, with_share
from interp.studies.calibration.figures import (
    plot_confusion,
    plot_coverage,
    plot_power,
    plot_protocols,
    plot_step_errors,
)
from probes.verdict import DEFAULT_CRITERIA

COLUMNS = {
    column.key: column
    for column in (
        Column("control", "control"),
        Column("name", "model"),
        Column("kind", "verdict"),
        Column("protocol", "protocol"),
        Column("noise", "noise, %", 0),
        Column("n_dims", "d", 0),
        Column("n_prompts", "prompts", 0),
        Column("runs", "runs", 0),
        *(Column(grade, grade, 0) for grade in GRADES),
        Column("share", "in %", 0, has_interval=True),
        Column("mean_error", "mean error of steps, %", 1),
        Column("largest_error", "largest, %", 1),
        Column("intervals", "intervals", 0),
        Column("held", "that hold the planted steps", 0),
        Column("sample_prompts", "prompts of the large sample", 0),
        Column("sample_rate", "its rate", 3),
        Column("covered", "intervals that hold it", 0),
        Column("covered_planted", "that hold the planted rate", 0),
        Column("nothing", NOTHING, 0),
        Column("nearest", NEAREST, 0),
        Column("named", "named as"),
        Column("mean_misfit", "systematic misfit, %", 2),
        Column("largest_misfit", "largest, %", 2),
        Column("answer", "answer"),
        Column("retained", "retained"),
    )
}
"""Of all tables, by key."""


def calibration_sections(found: Calibration) -> tuple[Section, ...]:
    """Every section that these results have something for."""
    outcomes = found.outcomes.assign(runs=1)
    by_group = {group: outcomes[outcomes.group == group] for group in set(outcomes.group)}
    planted = by_group.get("planted", outcomes[:0])
    sections = []
    if len(found.protocols):
        sections.append(_protocols(found.protocols))
    answers = written_section("calibration", "confusion", [plot_confusion(outcomes)])
    sections += [answers, _kinds(outcomes)]
    if len(planted):
        sections += [_by_model(planted), _by_noise(planted)]
    if len(found.coverage):
        sections.append(_coverage(found.coverage))
    if "controls" in by_group:
        counts = grades_by(by_group["controls"], "control", "name")
        sections.append(_section("controls", "control name runs right undecided wrong", counts))
    if "withheld" in by_group:
        sections.append(_withheld(by_group["withheld"]))
    if planted.misfit.notna().any():
        sections.append(_misfit(planted[planted.misfit.notna()]))
    if (outcomes.grade != "right").any():
        sections.append(_not_right(outcomes[outcomes.grade != "right"]))
    return tuple(sections)


def _section(
    anchor: str, keys: str, table: pd.DataFrame, *pictures: Figure, **values: Any
) -> Section:
    """A section with one table.

    Args:
        anchor: Of the section's text.
        keys: Of the table's columns, separated by blanks.
        table: Has these columns, its noise in standard deviations of the stream.
        pictures: Above the table.
        values: What the text has in braces.
    """
    if "noise" in table:
        table = table.assign(noise=100 * table.noise)
    section = written_section("calibration", anchor, pictures, **values)
    columns = tuple(
        COLUMNS.get(key) or Column(key, key.replace("_", " "), 1) for key in keys.split()
    )
    frame = table[[key for column in columns for key in column.keys]]
    return replace(section, tables=(Table(anchor, section.title, columns, frame),))


def _protocols(protocols: pd.DataFrame) -> Section:
    layers = "layer_" + protocols.layer.astype(str)
    index = ["name", "protocol"]
    wide = protocols.assign(layer=layers).pivot(index=index, columns="layer", values="step")
    order = pd.MultiIndex.from_frame(protocols[index].drop_duplicates())
    table = wide.reindex(index=order, columns=layers.unique()).reset_index()
    return _section("protocols", " ".join(table.columns), table, plot_protocols(protocols))


def _kinds(outcomes: pd.DataFrame) -> Section:
    counts = grades_by(outcomes, "kind", "n_prompts", graded="kind_grade")
    keys = "kind n_prompts runs right share wrong"
    return _section("kinds", keys, with_share(counts, "right"))


def _by_model(planted: pd.DataFrame) -> Section:
    steps, errors = planted.iterations_per_layer, 100 * planted.relative_error
    rows = planted.assign(
        error=errors,
        size=errors.abs(),
        held=planted.low.le(steps) & planted.high.ge(steps) & errors.notna(),
    )
    sums = rows.groupby(["name", "noise"], as_index=False).agg(
        mean_error=("error", "mean"),
        largest_error=("size", "max"),
        intervals=("error", "count"),
        held=("held", "sum"),
    )
    table = grades_by(planted, "name", "noise").merge(sums)
    pictures = [plot_step_errors(planted)] if errors.notna().any() else []
    keys = "name noise runs right undecided wrong mean_error largest_error intervals held"
    return _section("step-errors", keys, table, *pictures)


def _by_noise(planted: pd.DataFrame) -> Section:
    table = with_share(grades_by(planted, "noise", "n_prompts"), "right")
    keys = "noise n_prompts runs right share undecided wrong"
    return _section("power", keys, table, plot_power(planted))


def _coverage(coverage: pd.DataFrame) -> Section:
    counts = ["runs", "covered", "covered_planted"]
    rows = pd.concat([coverage, coverage[counts].sum().to_frame().T.assign(name="all")])
    keys = "name noise n_prompts sample_prompts sample_rate runs covered share covered_planted"
    return _section("coverage", keys, with_share(rows, "covered"), plot_coverage(coverage))


def _withheld(outcomes: pd.DataFrame) -> Section:
    rows = outcomes.assign(
        nothing=outcomes.answer == NOTHING,
        nearest=outcomes.answer == NEAREST,
        undecided=outcomes.grade == "undecided",
        wrong=outcomes.grade == "wrong",
        named=outcomes.answer.where(outcomes.grade == "wrong", ""),
    )
    groups = rows.groupby(["name", "noise"])
    sums = groups[["runs", "nothing", "nearest", "undecided", "wrong"]].sum()
    named = groups.named.agg(lambda names: ", ".join(sorted(set(names) - {""})) or MISSING)
    keys = "name noise runs nothing nearest undecided wrong named"
    return _section("withheld", keys, sums.join(named).reset_index())


def _misfit(planted: pd.DataFrame) -> Section:
    rows = planted.assign(percent=100 * planted.misfit, is_nearest=planted.answer == NEAREST)
    table = rows.groupby(["name", "noise"], as_index=False).agg(
        runs=("runs", "sum"),
        mean_misfit=("percent", "mean"),
        largest_misfit=("percent", "max"),
        nearest=("is_nearest", "sum"),
    )
    largest = f"{100 * DEFAULT_CRITERIA.largest_misfit:.0f}"
    keys = "name noise runs mean_misfit largest_misfit nearest"
    return _section("misfit", keys, table, largest=largest)


def _not_right(outcomes: pd.DataFrame) -> Section:
    keys = ["name", "control", "noise", "n_dims", "n_prompts", "answer", "retained"]
    table = outcomes.groupby(keys, as_index=False).runs.sum()
    return _section("not-right", " ".join([*keys, "runs"]), table)
