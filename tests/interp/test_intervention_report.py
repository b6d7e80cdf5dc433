"""Pictures and the report of interventions, on a model of known answer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray
from chromium import visit
from playwright.sync_api import Browser

from hooks.architectures.gd_exact import GDExact, GDExactConfig
from interp import plots
from interp.analyses.ablation import ablate
from interp.analyses.interchange import interchange
from interp.analyses.layer_order import reorder_layers
from interp.analyses.steering import steer
from interp.plots.ablation import preferred_method
from interp.plots.steering import steered_pairs
from interp.report.causal import interchange_finding, layer_order_finding
from interp.report.interventions import intervention_page
from interp.tasks import LinearRegression

TASK = LinearRegression(n_dims=3, n_points=6)
HOSTILE = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def model() -> GDExact:
    return GDExact(GDExactConfig(n_dims=3, n_points=6, n_layers=4, dtype="float64"))


@pytest.fixture(scope="module")
def ablation(model: GDExact) -> xarray.Dataset:
    return ablate(model, TASK, methods=("zero", "resample"), n_prompts=32, batch_size=32)


@pytest.fixture(scope="module")
def steering(model: GDExact) -> xarray.Dataset:
    return steer(model, TASK, n_prompts=32)


@pytest.fixture(scope="module")
def reordered(model: GDExact) -> xarray.Dataset:
    return reorder_layers(model, TASK, n_prompts=64)


@pytest.fixture(scope="module")
def interchanged(model: GDExact) -> xarray.Dataset:
    return interchange(model, TASK, n_prompts=256)


def test_pictures_and_words_of_reordered_layers(reordered: xarray.Dataset):
    expected, repeated, swapped, skipped = plots.layer_order(reordered).data
    np.testing.assert_allclose(repeated.y, expected.y, atol=0.1)
    np.testing.assert_allclose(skipped.y, np.negative(expected.y), atol=0.1)
    assert len(swapped.x) == len(expected.x) - 1
    whole, *_ = plots.layer_order(reordered, value="error").data
    assert set(whole.y) == {reordered.model_error.item()}
    assert "goes on by a layer's steps" in layer_order_finding(reordered)
    backwards = reordered.assign(output_shift=-reordered.output_shift)
    assert "does not go on as one that iterates would" in layer_order_finding(backwards)
    with pytest.raises(ValueError, match="reference must be one of gd, got 'newton'"):
        plots.layer_order(reordered, "newton")


def test_pictures_and_words_of_states_from_other_prompts(interchanged: xarray.Dataset):
    _, gd, _, random = plots.interchange(interchanged).data
    np.testing.assert_allclose(gd.y, 1, atol=0.1)
    assert np.less(random.customdata, gd.customdata).all()
    _, of_a, of_b = plots.interchange(interchanged, value="answer").data
    assert (np.diff(of_a.y) > 0).all()
    assert of_b.y[-1] == pytest.approx(0, abs=1e-9)
    assert "one direction of it, the answer makes" in interchange_finding(interchanged)


def test_the_gentlest_way_of_replacing_is_shown_first(ablation: xarray.Dataset):
    """Skipping a layer of GD leaves GD; another prompt's step leaves nothing of use."""
    assert preferred_method(ablation) == "zero"
    assert preferred_method(ablation.sel(ablation=["resample"])) == "resample"


def test_the_shift_is_the_step_that_was_skipped(ablation: xarray.Dataset):
    [cells] = plots.shift(ablation).data
    rows = dict(zip(cells.y, np.asarray(cells.customdata), strict=True))
    after, before = rows["layer 2"][:, 0], rows["layer 2"][:, 1]
    np.testing.assert_allclose(after - before, [0, 0, -1, -1, -1], atol=0.1)
    assert "MLP 2" not in rows  # GD has none
    texts = dict(zip(cells.y, cells.text, strict=True))
    assert texts["layer 4"][4] == "−1"
    assert texts["layer 4"][0] == ""


def test_steering_shows_the_goal_reached_and_controls_beside_it(steering: xarray.Dataset):
    [pair] = steered_pairs(steering)
    assert pair == ("gd", "prediction")
    goal, along, *controls = plots.steering(steering, *pair).data
    np.testing.assert_allclose(along.y, 1, atol=0.01)
    assert set(goal.y) == {1}
    assert [trace.marker.symbol for trace in (along, *controls)] == ["circle", "x", "square"]
    assert all(np.nanmin(trace.y) < 0.98 for trace in controls)


@pytest.mark.parametrize("what", ["parts", "heads"])
def test_unknown_names_are_refused(ablation: xarray.Dataset, steering: xarray.Dataset, what: str):
    with pytest.raises(ValueError, match="method must be one of zero, resample, got 'mean'"):
        plots.shift(ablation, method="mean", what=what)
    with pytest.raises(ValueError, match="reference 'newton' was not compared"):
        plots.shift(ablation, "newton", what=what)
    with pytest.raises(ValueError, match="moved was gd as prediction"):
        plots.steering(steering, "gd", "filtered_query")


def test_the_report_opens_without_errors_or_requests(
    browser: Browser,
    ablation: xarray.Dataset,
    steering: xarray.Dataset,
    reordered: xarray.Dataset,
    interchanged: xarray.Dataset,
    tmp_path: Path,
):
    file = tmp_path / "report.html"
    facts = {"checkpoint": HOSTILE, "seed": 0}
    intervention_page(ablation, steering, facts, reordered, interchanged).write(file)
    n_figures = file.read_text().count('<script type="application/json">')
    with visit(browser, file, 390, is_phone=True) as seen:
        seen.page.wait_for_selector("html[data-drawn]")
        assert seen.page.locator(".plot > .plot-container").count() == n_figures >= 13
        width = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert seen.page.evaluate(width) <= 0
        assert seen.console == []
        assert seen.requests == []
        assert seen.page.inner_text("h1") == HOSTILE
        assert "the model goes on from there:" in seen.page.inner_text("#verdict")
