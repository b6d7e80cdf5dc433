"""A best step that is the last of its grid is shown as "at least" wherever it is shown."""

from __future__ import annotations

import io
import json
import re
from dataclasses import asdict, replace

import numpy as np
import pytest
from assessments import assessment, comparison
from planted import LOG_STEPS, planted_result
from rich.console import Console

from interp import plots
from interp.commands.match import _layer_table
from interp.report import verdict_html
from interp.report.match_sections import match_sections
from interp.report.verdict_text import verdict_text
from interp.results.result import MatchResult
from interp.results.selection import is_last_step

LAST = f"{LOG_STEPS[-1]:.0f}"


def with_steps_of_gd(last_layer: float) -> MatchResult:
    """A planted result with another best step of GD at the last layer of the residual stream."""
    tree = planted_result(n_layers=5, retained=("gd",)).data.copy(deep=True)
    for name in ("best_step", "best_step_by_treatment", "prediction_best_step"):
        tree["references/gd"][name].values[0, -1] = last_layer
    return MatchResult(tree)


@pytest.fixture(scope="module")
def at_end() -> MatchResult:
    return with_steps_of_gd(LOG_STEPS[-1])


@pytest.fixture(scope="module")
def inside() -> MatchResult:
    return with_steps_of_gd(0.99 * LOG_STEPS[-1])


def printed(result: MatchResult) -> str:
    text = io.StringIO()
    Console(file=text, width=80).print(_layer_table(result))
    return text.getvalue()


@pytest.mark.parametrize("variable", ["best_step", "prediction_best_step"])
def test_only_the_last_of_the_grid_is_the_last(
    at_end: MatchResult, inside: MatchResult, variable: str
):
    found = is_last_step(at_end.reference("gd"), variable)
    assert np.argwhere(found).tolist() == [[0, 5]]
    assert not is_last_step(inside.reference("gd"), variable).any()


def test_the_terminal_marks_it_and_says_what_the_mark_means(
    at_end: MatchResult, inside: MatchResult
):
    lines = printed(at_end).splitlines()
    assert [line for line in lines if "≥" in line] == lines[-2:]
    assert f"≥{LAST} .95" in lines[-2]
    assert "last step" in lines[-1]
    table = [line for line in lines if re.match(r"[0-5] ", line)]
    assert len({line.index(" .95") for line in table}) == 1, "columns are aligned"
    assert "≥" not in printed(inside)


def test_reports_and_notebooks_name_reference_layer_and_step(
    at_end: MatchResult, inside: MatchResult
):
    words = "GD, one step size (layer 5: ≥ 1,024 steps)"
    curve = next(section for section in match_sections(at_end) if section.anchor == "curve")
    assert curve.note is not None
    assert curve.note.count(words) == 2, "by similarity and by regression"
    assert words in verdict_html(at_end)
    curve = next(section for section in match_sections(inside) if section.anchor == "curve")
    assert curve.note is None
    assert "at least" not in verdict_html(inside)


def test_tables_of_comparisons_and_rates_have_the_sign(at_end: MatchResult, inside: MatchResult):
    for result, sign in ((at_end, "≥ "), (inside, "")):
        compared = comparison(replace(assessment("one"), match=result))
        *_, last = compared.tables["layers"].frame.to_dict("records")
        [column] = (c for c in compared.tables["layers"].columns if c.key == "gd_step")
        assert column.value(last).startswith(sign or "1,014")
        [finding, *others] = result.verdict.findings
        evidence = tuple(replace(item, last_layer=5) for item in finding.evidence)
        findings = (replace(finding, evidence=evidence), *others)
        tree = result.data.copy()
        tree.attrs["verdict"] = json.dumps(asdict(replace(result.verdict, findings=findings)))
        text = verdict_text(MatchResult(tree))
        assert text.rate == f"{sign}90.00"
        assert f"takes {sign}90.00 steps a layer" in text.pace


def test_pictures_say_it_when_pointed_at(at_end: MatchResult, inside: MatchResult):
    for result, sign in ((at_end, "≥ "), (inside, "")):
        _, filled, hollow = (
            trace for trace in plots.curve(result, ["gd"]).data if trace.legendgroup == "gd"
        )
        assert hollow.text[-1] == sign
        assert {*filled.text, *hollow.text[:-1]} == {""}
        assert "%{text}%{customdata" in hollow.hovertemplate
        _, marks = plots.heatmap(result, "gd").data
        assert marks.text.tolist() == [""] * 5 + [sign]
        for button in plots.heatmap(result, "gd").layout.updatemenus[0].buttons:
            cells, signs = button.args[0]["text"]
            assert cells is None
            assert list(signs) == [""] * 5 + [sign]
