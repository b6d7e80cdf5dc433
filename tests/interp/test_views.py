"""What a match shows on demand, as data, pictures, report and command."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from chromium import visit
from planted import planted_result, steps_of_layers
from playwright.sync_api import Browser
from plotly.graph_objects import Figure

import interp
from hooks import build_model
from hooks.architectures.gd_exact import GDExact, GDExactConfig
from interp import plots
from interp.analyses.views import VIEWS, choose_views, parse_show, shown_kinds
from interp.cli import main
from interp.results.result import MatchResult
from interp.tasks import LinearRegression

TASK = LinearRegression(n_dims=3, n_points=6)


@pytest.fixture(scope="module")
def model() -> GDExact:
    return GDExact(GDExactConfig(n_dims=3, n_points=6, n_layers=3))


@pytest.fixture(scope="module")
def result(model: GDExact) -> MatchResult:
    with pytest.warns(UserWarning, match="runs every query by itself"):
        return interp.match(model, TASK, n_prompts=128, show="all")


def test_views_change_nothing_else(model: GDExact, result: MatchResult):
    plain = interp.match(model, TASK, n_prompts=128)
    assert plain.views == ()
    assert set(result.views) == set(VIEWS)
    assert plain.numbers() == result.numbers()
    first, second = (one.summary()["verdict"]["text"] for one in (plain, result))
    assert first != second, "the anatomy speaks in the verdict"
    with pytest.raises(ValueError, match=r"no view 'heads'; interp\.match"):
        plain.view("heads")


def test_views_are_saved_and_come_back(result: MatchResult, tmp_path: Path):
    result.save(tmp_path / "result.nc")
    again = interp.open_result(tmp_path / "result.nc")
    assert set(again.views) == set(VIEWS)
    for name in VIEWS:
        before, after = result.view(name), again.view(name)
        assert list(before.children) == list(after.children)
        assert before.to_dataset().identical(after.to_dataset())
    assert result.view("heads").layer.values.tolist() == [1, 2, 3]
    assert result.view("weights").point.values.tolist() == [1, 2, 3, 4, 5]


PICTURES: dict[str, Callable[[MatchResult], Figure]] = {
    "weights": lambda r: r.plot.weights(),
    "weights, GD": lambda r: r.plot.weights("gd"),
    "weights by examples": lambda r: plots.weights_by_examples(r.view("weights"), "ols"),
    "span": lambda r: plots.span(r.view("weights")),
    "heads": lambda r: r.plot.heads(),
    "heads, moments": lambda r: r.plot.heads(what="moments"),
    "patterns": lambda r: r.plot.patterns(),
    "patterns of a prompt": lambda r: r.plot.patterns(prompt=1),
    "looked at": lambda r: plots.looked_at(r.view("patterns")),
    "shares": lambda r: r.plot.shares(),
    "filters": lambda r: r.plot.filters(),
    "resolved": lambda r: r.plot.resolved(),
}


@pytest.mark.parametrize("picture", PICTURES)
def test_every_picture_has_data_and_titles(result: MatchResult, picture: str):
    figure = PICTURES[picture](result)
    assert figure.layout.title.text
    for axes in (figure.select_xaxes(), figure.select_yaxes()):
        assert any(axis.title.text for axis in axes)
    for trace in figure.data:
        values = trace.z if trace.type == "heatmap" else trace.y
        assert np.isfinite(np.asarray(values, dtype=float)).any()


def test_the_heatmap_marks_the_best_match(result: MatchResult):
    cells, marks = result.plot.weights("gd").data
    scores = result.view("weights")["gd"]
    np.testing.assert_array_equal(marks.customdata, scores.best_step)
    assert np.asarray(cells.z).shape == (4, scores.sizes["step"])


def test_tiles_hold_the_patterns_and_nothing_between(result: MatchResult):
    table = result.view("patterns").to_dataset()
    [tiles] = result.plot.patterns(prompt=0).data
    n = table.sizes["query"]
    picture = np.asarray(tiles.z, dtype=float)
    expected = table.pattern.sel(prompt=0, layer=2, head=0).values
    found = picture[n + 2 : 2 * n + 2, :n]
    seen = np.isfinite(found)
    np.testing.assert_allclose(found[seen], expected[seen], atol=1e-6)  # GD's are no shares
    assert np.all(expected[~seen] == 0)
    assert np.isnan(picture[n : n + 2]).all()


def test_the_report_shows_them(browser: Browser, result: MatchResult, tmp_path: Path):
    file = tmp_path / "report.html"
    result.write_report(file)
    with visit(browser, file, 390, is_phone=True) as seen:
        seen.page.wait_for_selector("html[data-drawn]")
        assert seen.console == []
        for anchor in ("weights", "heads", "patterns"):
            assert seen.page.locator(f"#{anchor} .plot .main-svg").count() > 0
        width = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert seen.page.evaluate(width) <= 0


@pytest.mark.parametrize("value", ["step", "error"])
def test_halves_of_a_layer_add_up_to_it(value: str):
    """In the planted result nothing changes from the middle of a layer to its end."""
    found = planted_result(kinds=("resid_post", "resid_mid"))
    attention, mlp = plots.halves(found, value, *["newton"] * (value == "step")).data
    stream = steps_of_layers("newton", 5) if value == "step" else -found.layers.mean_error[0]
    np.testing.assert_allclose(attention.y, np.diff(stream))
    np.testing.assert_allclose(mlp.y, 0)
    with pytest.raises(ValueError, match="show='sites' reads them"):
        plots.halves(planted_result(), value)


def test_names_of_views():
    assert parse_show("weights, heads") == ("weights", "heads")
    assert parse_show(["weights", "heads,weights"]) == ("weights", "heads")
    assert parse_show(()) == ()
    with pytest.raises(ValueError, match=r"show must be among sites, anatomy.*, got 'wieghts'"):
        parse_show("wieghts")


def test_models_get_the_views_that_they_can_have(model: GDExact):
    lstm = build_model("lstm", {"n_dims": 3, "n_points": 6, "n_layers": 1, "d_model": 8}, seed=0)
    assert choose_views(("all",), lstm) == ("anatomy", "influence", "weights")
    assert choose_views(("all",), model) == ("anatomy", "influence", "weights", "heads", "patterns")
    assert choose_views(("sites",), lstm) == ()
    with pytest.raises(ValueError, match="show=heads: this LSTM has no attention heads"):
        choose_views(("heads",), lstm)
    with pytest.raises(ValueError, match="needs the model"):
        choose_views(("weights",), "a file")


def test_sites_are_the_halves_of_a_layer():
    kinds = ("resid_post", "resid_mid", "attn_out", "mlp_out", "z")
    assert shown_kinds(("resid_post",), ("heads",), kinds) == ("resid_post",)
    assert shown_kinds(("resid_post",), ("sites",), kinds) == kinds[:4]
    assert shown_kinds(("resid_post",), ("all",), ("resid_post", "attn_out")) == (
        "resid_post",
        "attn_out",
    )


def test_the_command_refuses_what_there_is_not(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ending:
        main(["match", "gd-exact", "--show", "heads", "--show", "wieghts"])
    assert ending.value.code == 2
    assert capsys.readouterr().err == (
        "interp: show must be among sites, anatomy, influence, weights, heads, patterns, all, "
        "none, got 'wieghts'\n"
    )
