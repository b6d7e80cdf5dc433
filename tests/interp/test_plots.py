from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from html import escape
from pathlib import Path

import numpy as np
import pytest
import xarray
from chromium import visit
from planted import (
    FIRST,
    LAST,
    LINEAR_STEPS,
    POINTS,
    RATES,
    TREATMENTS,
    planted_result,
    steps_of_layers,
)
from playwright.sync_api import Browser
from plotly.colors import get_colorscale, unlabel_rgb
from plotly.graph_objects import Figure, Scatter

from interp import plots
from interp.plots.curve import UNCHANGED
from interp.plots.style import (
    REFERENCE_MARKS,
    SEQUENTIAL,
    SITE_LOOKS,
    ordered_looks,
    reference_look,
)
from interp.results.result import MatchResult
from interp.results.selection import READABLE
from interp.scoring.direct_targets import TARGETS
from probes import verdict
from probes.verdict import DEFAULT_CRITERIA

PICTURES: dict[str, Callable[[MatchResult], Figure]] = {
    "curve": plots.curve,
    "curve of one reference": lambda r: plots.curve(r, ["gd"]),
    "curve by R^2": lambda r: plots.curve(r, measure="prediction"),
    "curve at another site": lambda r: plots.curve(r, site="attn_out"),
    "heatmap of Newton": plots.heatmap,
    "heatmap of GD": lambda r: plots.heatmap(r, "gd"),
    "error": plots.error,
    "error against steps": lambda r: plots.error(r, "step", reference="gd"),
    "direct": plots.direct,
    "sites, step": plots.sites,
    "sites, similarity": lambda r: plots.sites(r, "similarity", "gd"),
    "sites, error": lambda r: plots.sites(r, "error"),
    "controls, error": plots.controls,
    "controls, R^2": lambda r: plots.controls(r, "r2"),
    "points": plots.points,
}


@pytest.fixture(scope="module")
def result() -> MatchResult:
    return planted_result()


def traces(figure: Figure, name: str) -> list[Scatter]:
    return [trace for trace in figure.data if trace.legendgroup == name]


@pytest.mark.parametrize("picture", PICTURES)
def test_every_picture_has_data_a_title_and_a_title_on_every_axis(
    result: MatchResult, picture: str
):
    figure = PICTURES[picture](result)
    plain = figure.to_plotly_json()["layout"]
    axes = {key: value for key, value in plain.items() if key.startswith(("xaxis", "yaxis"))}
    assert len(axes) >= 2
    assert all(axis["title"]["text"] for axis in axes.values())
    assert figure.layout.title.text or len(axes) > 2
    for trace in figure.data:
        assert np.isfinite(np.asarray(trace.x, dtype=float)).any()


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("curve", ()),
        ("heatmap", ("gd",)),
        ("error", ()),
        ("direct", (["gd"],)),
        ("points", ("gd",)),
        ("sites", ("error",)),
        ("controls", ("r2",)),
    ],
)
def test_a_result_draws_its_pictures(result: MatchResult, name: str, values: tuple[object, ...]):
    drawn = getattr(plots, name)(result, *values)
    assert getattr(result.plot, name)(*values) == drawn
    assert name in dir(result.plot)
    with pytest.warns(DeprecationWarning, match=rf"result\.plot\.{name}"):
        assert getattr(result, f"plot_{name}")(*values) == drawn
    with pytest.warns(DeprecationWarning, match=rf"interp\.plots\.{name}"):
        assert getattr(plots, f"plot_{name}")(result, *values) == drawn


def test_a_result_has_no_other_members(result: MatchResult):
    for name in ("plots", "plot_nothing"):
        with pytest.raises(AttributeError, match=name):
            getattr(result, name)
    with pytest.raises(AttributeError, match="no picture 'pie'"):
        result.plot.pie  # noqa: B018


def test_a_verdict_shows_as_a_card(result: MatchResult):
    verdict, lines = result.verdict, result.text.split("\n")
    shown = repr(verdict).split("\n")
    assert shown[:2] == ["planted", lines[0]]
    assert " ".join(" ".join(shown[1:]).split()) == " ".join(lines)
    assert max(map(len, shown)) <= 80
    assert len(shown) < 20
    assert verdict._repr_html_() == result._repr_html_()
    assert str(verdict).startswith("newton")
    assert verdict == replace(verdict)
    assert verdict != replace(verdict, steps_per_layer=3.0)
    assert repr(replace(verdict)).startswith("<Verdict: newton")


def test_a_result_is_a_line_and_a_table(result: MatchResult):
    assert repr(result) == (
        "<MatchResult: planted: newton, 2 steps a layer; 6 layers, 4 references, 128 prompts>"
    )
    table = result.to_dataframe().set_index(["reference", "site", "layer"])
    scores = result.reference("gd").sel(site="attn_out", layer=3)
    row = table.loc["gd", "attn_out", 3]
    assert row.best_step == scores.best_step
    assert row.best_step_high == scores.best_step_interval.sel(bound="high")
    assert row.mean_error == result.layers.mean_error.sel(site="attn_out", layer=3)


def test_halves_need_their_sites(result: MatchResult):
    with pytest.raises(ValueError, match="halves need the sites"):
        result.plot.halves()


def patterns() -> xarray.Dataset:
    weights = np.tril(np.ones((2, 2, 5, 5))) / np.arange(1, 6)[:, None]
    axes = ("layer", "head", "query", "key")
    return xarray.Dataset(
        {"mean_pattern": (axes, weights), "pattern": (("prompt", *axes), weights[None])},
        {
            "layer": [1, 2],
            "head": [0, 1],
            "prompt": [0],
            "query_label": ("query", list("abcde")),
            "key_label": ("key", list("abcde")),
        },
    )


def test_buttons_and_legends_leave_the_title_free(
    result: MatchResult, browser: Browser, tmp_path: Path
):
    figures = [
        plots.heatmap(result).update_layout(width=480),
        plots.patterns(patterns()),
        plots.direct(result).update_layout(width=480),
        plots.error(result, "examples"),
    ]
    parts = [figure.to_html(full_html=False, include_plotlyjs=False) for figure in figures]
    parts[0] = figures[0].to_html(full_html=False)
    (tmp_path / "page.html").write_text("".join(parts))
    with visit(browser, tmp_path / "page.html") as seen:
        seen.page.wait_for_function(
            f"document.querySelectorAll('.gtitle').length == {len(figures)}"
        )
        for plot in seen.page.locator(".js-plotly-plot").all():
            title = plot.locator(".gtitle").bounding_box()
            assert title is not None
            assert title["y"] >= plot.bounding_box()["y"]
            above = [plot.locator(part).first for part in (".updatemenu-container", ".legend")]
            boxes = [part.bounding_box() for part in above if part.count()]
            assert boxes
            assert all(title["y"] + title["height"] <= box["y"] for box in boxes)


@pytest.mark.parametrize("measure", ["similarity", "prediction"])
def test_the_curve_shows_steps_intervals_and_the_layers_of_the_rate(
    result: MatchResult, measure: str
):
    figure = plots.curve(result, measure=measure)
    scores = result.reference("newton").sel(site="resid_post")
    _, filled, hollow = traces(figure, "newton")
    inside = np.arange(FIRST, LAST + 1)
    np.testing.assert_array_equal(filled.x, inside)
    np.testing.assert_allclose(filled.y, scores.best_step.values[inside])
    np.testing.assert_allclose(filled.y + filled.error_y.array, 1.1 * filled.y)
    np.testing.assert_allclose(filled.y - filled.error_y.arrayminus, 0.9 * filled.y)
    assert set(hollow.x) == set(scores.layer.values) - set(inside)
    assert hollow.marker.symbol.endswith("-open")
    assert not filled.marker.symbol.endswith("-open")


def test_the_rate_is_a_line_through_the_middle_of_its_layers(result: MatchResult):
    line, filled, _ = traces(plots.curve(result, ["newton"]), "newton")
    slope = np.diff(line.y) / np.diff(line.x)
    np.testing.assert_allclose(slope, RATES["newton"])
    assert np.interp((FIRST + LAST) / 2, line.x, line.y) == pytest.approx(filled.y.mean())


def test_the_rate_line_is_level_over_a_layer_that_does_nothing():
    figure = plots.curve(planted_result(dead_layer=3), ["newton"])
    line = traces(figure, "newton")[0]
    over = (line.x >= 2) & (line.x <= 3)
    assert np.ptp(line.y[over]) == pytest.approx(0)
    assert np.ptp(line.y[~over]) > 1
    assert {note.text for note in figure.layout.annotations} == {
        "not started",
        "does nothing",
    }


def test_log_axes_hold_zero_below_one(result: MatchResult):
    _, filled, hollow = traces(plots.curve(result, ["gd"]), "gd")
    np.testing.assert_allclose(filled.y, np.log2(steps_of_layers("gd", 5)[FIRST : LAST + 1]))
    assert hollow.y[0] == -1
    axis = plots.curve(result, ["gd"]).layout.yaxis
    assert axis.ticktext[:2] == ("0", "1")
    assert axis.tickvals[:2] == (-1, 0)


def test_steps_that_cannot_be_read_are_not_shown(result: MatchResult):
    by_prediction = plots.curve(result, ["newton"], measure="prediction")
    by_weights = plots.curve(result, ["newton"], measure="weights")
    assert np.isfinite(np.concatenate([trace.y for trace in by_prediction.data])).any()
    assert np.isnan(np.concatenate([trace.y for trace in by_weights.data])).all()


def test_without_evidence_the_curve_has_no_line():
    figure = plots.curve(planted_result(has_evidence=False, retained=()))
    assert {trace.mode for trace in figure.data} == {"markers"}
    assert not figure.layout.shapes


@pytest.mark.parametrize("name", ["newton", "gd"])
def test_heatmaps_hold_the_table_and_mark_the_best_step(result: MatchResult, name: str):
    figure = plots.heatmap(result, name)
    cells, marks = figure.data
    scores = result.reference(name).sel(site="resid_post")
    np.testing.assert_array_equal(cells.z, scores.similarity.sel(treatment="matched/paper"))
    np.testing.assert_array_equal(marks.customdata, scores.best_step)
    best_cell = np.abs(np.asarray(cells.x)[None] - np.asarray(marks.x)[:, None]).argmin(1)
    np.testing.assert_array_equal(best_cell, np.asarray(cells.z).argmax(1))


def test_buttons_switch_cells_and_marks_together(result: MatchResult):
    figure = plots.heatmap(result)
    scores = result.reference("newton").sel(site="resid_post")
    buttons = figure.layout.updatemenus[0].buttons
    assert len(buttons) == len(TREATMENTS)
    for button, treatment in zip(buttons, TREATMENTS, strict=True):
        change = button.args[0]
        np.testing.assert_array_equal(change["z"][0], scores.similarity.sel(treatment=treatment))
        best = scores.best_step_by_treatment.sel(treatment=treatment)
        np.testing.assert_array_equal(change["x"][1], best)
        assert len(change["x"]) == len(change["customdata"]) == len(figure.data)


def test_exact_references_leave_the_error_axis_below(result: MatchResult):
    figure = plots.error(result, "examples")
    low, high = figure.layout.yaxis.range
    assert figure.layout.yaxis.type == "log"
    errors = result.layers.error.sel(site="resid_post").values
    assert 10**low < errors.min()
    assert errors.max() < 10**high
    (newton,) = (trace for trace in figure.data if trace.name.startswith("Newton"))
    assert 0 < newton.y[-1] < 10**low, "an error of exactly 0 belongs below the picture"


def test_error_against_layers_picks_points_of_the_table(result: MatchResult):
    figure = plots.error(result, "layer")
    errors = result.layers.error.sel(site="resid_post").values
    for trace in figure.data:
        np.testing.assert_array_equal(trace.y, errors[:, int(trace.name.split()[0])])
    assert figure.data[-1].name == f"{POINTS[-1]} examples"


def test_points_show_the_similarity_at_the_best_step(result: MatchResult):
    scores = result.reference("newton").sel(site="resid_post")
    (cells,) = plots.points(result, "newton").data
    for layer, step in enumerate(scores.best_step.values):
        index = int(np.flatnonzero(step == LINEAR_STEPS)[0])
        np.testing.assert_array_equal(cells.z[layer], scores.point_similarity[layer, index])


def test_controls_that_were_not_measured_are_left_out(result: MatchResult):
    names = [trace.name for trace in plots.controls(result, "r2").data]
    assert names == ["trained model", "random weights"]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda r: plots.heatmap(r, "ols"), "no steps"),
        (lambda r: plots.heatmap(r, "bfgs"), "was not compared"),
        (lambda r: plots.heatmap(r, treatment="fried"), "treatment must be"),
        (lambda r: plots.curve(r, ["bfgs"]), "was not compared"),
        (lambda r: plots.curve(r, []), "nothing of what was asked"),
        (lambda r: plots.curve(r, site="mlp_out"), "was not read"),
        (lambda r: plots.points(r, "ols"), "no steps"),
    ],
)
def test_what_the_result_does_not_hold_is_refused_by_name(
    result: MatchResult, call: Callable[[MatchResult], Figure], words: str
):
    with pytest.raises(ValueError, match=words):
        call(result)


def test_names_of_unknown_references_are_escaped():
    name = "<b onclick=alert(1)>"
    figure = plots.curve(planted_result(names=(name,), retained=()))
    assert all(name not in trace.name for trace in figure.data)
    assert any(escape(name) in trace.name for trace in figure.data)


def test_series_differ_in_black_and_white():
    references = [reference_look(name) for name in REFERENCE_MARKS]
    for looks in (references, SITE_LOOKS.values(), ordered_looks("abcdef")):
        marks = [(look.symbol, look.dash) for look in looks]
        assert len({symbol for symbol, _ in marks}) == len(marks)


def test_the_sequential_scale_rises_evenly_in_grey():
    colours = [
        unlabel_rgb(colour) if colour.startswith("rgb") else _from_hex(colour)
        for _, colour in get_colorscale(SEQUENTIAL)
    ]
    grey = [0.2126 * r + 0.7152 * g + 0.0722 * b for r, g, b in colours]
    assert np.all(np.diff(grey) > 0)


def _from_hex(colour: str) -> tuple[int, ...]:
    return tuple(int(colour[index : index + 2], 16) for index in (1, 3, 5))


def test_words_and_thresholds_are_those_of_the_analysis():
    assert tuple(TARGETS) == verdict.TARGETS
    assert DEFAULT_CRITERIA.dead == UNCHANGED
    assert DEFAULT_CRITERIA.min_direct_r2 == READABLE
