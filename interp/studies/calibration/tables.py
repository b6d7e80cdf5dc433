"""The sections of a calibration's page: pictures and tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas as pd
from plotly.graph_objects import Figure

from interp.report.section import Section, written_section
from interp.report.table import Column, Table
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

NAME = Column("name", "planted")
NOISE = Column("noise", "noise, %", 0)
"""As a share of the stream's."""
N_PROMPTS = Column("n_prompts", "prompts", 0)
RUNS = Column("runs", "runs", 0)
COUNTS = (RUNS, *(Column(grade, grade, 0) for grade in GRADES))
RIGHT_SHARE = Column("share", "right, %", 0, has_interval=True)


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
        columns = (Column("control", "control"), replace(NAME, title="made from"), *COUNTS)
        table = grades_by(by_group["controls"], "control", "name")
        sections.append(_section("controls", columns, table))
    if "withheld" in by_group:
        sections.append(_withheld(by_group["withheld"]))
    if planted.misfit.notna().any():
        sections.append(_misfit(planted[planted.misfit.notna()]))
    if (outcomes.grade != "right").any():
        sections.append(_not_right(outcomes[outcomes.grade != "right"]))
    return tuple(sections)


def _section(
    anchor: str, columns: Sequence[Column], table: pd.DataFrame, *pictures: Figure, **values: Any
) -> Section:
    """A section with one table, whose noise is shown in percent."""
    if "noise" in table:
        table = table.assign(noise=100 * table.noise)
    section = written_section("calibration", anchor, pictures, **values)
    frame = table[[key for column in columns for key in column.keys]]
    return replace(section, tables=(Table(anchor, section.title, tuple(columns), frame),))


def _protocols(protocols: pd.DataFrame) -> Section:
    wide = protocols.pivot(index=["name", "protocol"], columns="layer", values="step")
    order = protocols[["name", "protocol"]].drop_duplicates()
    table = wide.reindex(pd.MultiIndex.from_frame(order)).reset_index()
    table.columns = [f"layer_{key}" if isinstance(key, int) else key for key in table.columns]
    layers = [Column(str(key), str(key).replace("_", " "), 1) for key in table.columns[2:]]
    columns = (NAME, Column("protocol", "protocol"), *layers)
    return _section("protocols", columns, table, plot_protocols(protocols))


def _kinds(outcomes: pd.DataFrame) -> Section:
    counts = grades_by(outcomes, "kind", "n_prompts", graded="kind_grade")
    columns = (Column("kind", "verdict"), N_PROMPTS, RUNS, *COUNTS[1::2], RIGHT_SHARE)
    return _section("kinds", columns, with_share(counts, "right"))


def _by_model(planted: pd.DataFrame) -> Section:
    is_held = planted.low.le(planted.iterations_per_layer) & planted.high.ge(
        planted.iterations_per_layer
    )
    errors = 100 * planted.relative_error
    rows = planted.assign(error=errors, size=errors.abs(), held=is_held & errors.notna())
    keys = ["name", "noise"]
    sums = rows.groupby(keys, as_index=False).agg(
        mean=("error", "mean"),
        largest=("size", "max"),
        intervals=("error", "count"),
        held=("held", "sum"),
    )
    columns = (
        *(NAME, NOISE, *COUNTS),
        Column("mean", "mean error of steps, %", 1),
        Column("largest", "largest, %", 1),
        Column("intervals", "intervals", 0),
        Column("held", "that hold the planted steps", 0),
    )
    pictures = [plot_step_errors(planted)] if errors.notna().any() else []
    return _section("step-errors", columns, grades_by(planted, *keys).merge(sums), *pictures)


def _by_noise(planted: pd.DataFrame) -> Section:
    columns = (NOISE, N_PROMPTS, *COUNTS, RIGHT_SHARE)
    table = with_share(grades_by(planted, "noise", "n_prompts"), "right")
    return _section("power", columns, table, plot_power(planted))


def _coverage(coverage: pd.DataFrame) -> Section:
    counts = ["runs", "covered", "covered_planted"]
    rows = pd.concat([coverage, coverage[counts].sum().to_frame().T.assign(name="all")])
    columns = (
        *(NAME, NOISE, N_PROMPTS),
        Column("sample_prompts", "prompts of the large sample", 0),
        Column("sample_rate", "its rate", 3),
        Column("runs", "intervals", 0),
        Column("covered", "hold that rate", 0),
        Column("share", "in %", 0, has_interval=True),
        Column("covered_planted", "hold the planted rate", 0),
    )
    return _section("coverage", columns, with_share(rows, "covered"), plot_coverage(coverage))


def _withheld(outcomes: pd.DataFrame) -> Section:
    is_wrong = outcomes.grade == "wrong"
    rows = outcomes.assign(
        nothing=outcomes.answer == NOTHING,
        nearest=outcomes.answer == NEAREST,
        undecided=outcomes.grade == "undecided",
        wrong=is_wrong,
        named=outcomes.answer.where(is_wrong),
    )
    counts = ["runs", "nothing", "nearest", "undecided", "wrong"]
    groups = rows.groupby(["name", "noise"])
    named = groups.named.agg(lambda answers: ", ".join(sorted(set(answers.dropna()))) or "–")
    columns = (
        *(NAME, NOISE, RUNS, Column("nothing", NOTHING, 0), Column("nearest", NEAREST, 0)),
        *(Column("undecided", "undecided", 0), Column("wrong", "named", 0), Column("named", "as")),
    )
    return _section("withheld", columns, groups[counts].sum().join(named).reset_index())


def _misfit(planted: pd.DataFrame) -> Section:
    rows = planted.assign(percent=100 * planted.misfit, is_nearest=planted.answer == NEAREST)
    table = rows.groupby(["name", "noise"], as_index=False).agg(
        runs=("runs", "sum"),
        mean=("percent", "mean"),
        largest=("percent", "max"),
        nearest=("is_nearest", "sum"),
    )
    columns = (
        *(NAME, NOISE, RUNS, Column("mean", "systematic misfit, %", 2)),
        *(Column("largest", "largest, %", 2), Column("nearest", NEAREST, 0)),
    )
    largest = f"{100 * DEFAULT_CRITERIA.largest_misfit:.0f}"
    return _section("misfit", columns, table, largest=largest)


def _not_right(outcomes: pd.DataFrame) -> Section:
    columns = (
        *(NAME, Column("control", "control"), NOISE, Column("n_dims", "d", 0), N_PROMPTS),
        *(Column("answer", "answer"), Column("retained", "retained"), RUNS),
    )
    keys = [column.key for column in columns[:-1]]
    return _section("not-right", columns, outcomes.groupby(keys, as_index=False).runs.sum())
