"""Every row at its smallest: shapes, outcomes, missing models, and models of known algorithm."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import xarray
from chromium import visit
from playwright.sync_api import Browser

from hooks.architectures import build_model
from interp.commands.emit import write_files
from interp.report.markdown import write_markdown
from interp.studies.paper.models import PaperModel, PaperModels
from interp.studies.paper.page import reproduction_page
from interp.studies.paper.paper_setup import Settings
from interp.studies.paper.reproduction import RowResult, reproduce
from interp.studies.paper.rows import ROLES, ROWS, find_rows
from interp.tasks import LinearRegression, Task, TwoLayerNetwork
from interp.zoo.loading import load

SETTINGS = Settings(n_prompts=32)
D5 = LinearRegression(n_dims=5, n_points=11)
TASKS: dict[str, Task] = {
    "ill-conditioned": LinearRegression(5, 11, condition_number=100.0, normalisation="trace"),
    "noisy": LinearRegression(5, 11, noise_std=0.1),
    "relu-network": TwoLayerNetwork(5, 11, n_hidden=4),
    "tanh-network": TwoLayerNetwork(5, 11, n_hidden=4, activation="tanh"),
}
"""A trained model stands in for those trained on other prompts."""


def untrained(role: str, architecture: str, **config: int) -> PaperModel:
    sizes = {"n_layers": 2, "d_model": 8, **config}
    model = build_model(architecture, sizes, seed=0).eval()
    return PaperModel(role, model, D5, SETTINGS)


def model_of(role: str) -> PaperModel:
    if role == "lstm":
        return untrained(role, "lstm")
    if role.startswith("width-"):
        return untrained(role, "gpt2", n_heads=1, d_model=int(role.removeprefix("width-")))
    return PaperModel(role, load("gpt2-d5"), TASKS.get(role, D5), SETTINGS)


@pytest.fixture(scope="module")
def findings() -> dict[str, RowResult]:
    models = PaperModels({role: model_of(role) for role in ROLES}, settings=SETTINGS)
    found = reproduce(ROWS, models)
    return {finding.row.key: finding for finding in found}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.key)
def test_a_row_with_all_its_models(findings: dict[str, RowResult], row: object):
    finding = findings[row.key]
    assert finding.row is row
    assert finding.missing == ()
    assert len(finding.claims) > 0
    for check in finding.claims:
        assert check.outcome in ("agrees", "disagrees", "undecided")
        assert check.claim
        assert check.found
        assert check.rule.text
        assert "not shipped" not in check.found
    assert len(finding.drawings) > 0
    for drawing in finding.drawings:
        assert len(drawing.figure.data) > 0
        assert drawing.see
    assert len(finding.data.data_vars) > 0
    for name, values in finding.data.data_vars.items():
        assert np.isfinite(values).all(), name
    for table in finding.tables:
        assert table.frame.notna().all(axis=None)


def test_heatmaps_have_a_row_a_layer_and_mark_the_best_step(findings: dict[str, RowResult]):
    finding = findings["fig3"]
    data = finding.data
    assert data.newton_similarity.shape == (9, len(data.newton_step))
    newton, mark, gd, gd_mark = finding.drawings[0].figure.data
    np.testing.assert_array_equal(newton.z, data.newton_similarity)
    np.testing.assert_array_equal(mark.x, data.newton_best_step)
    nearest = data.newton_step.values[data.newton_similarity.argmax("newton_step")]
    np.testing.assert_allclose(mark.x, nearest, atol=0.25)
    assert gd.x[-1] == 1300
    assert all(mark <= 1300 for mark in gd_mark.x)


def test_the_error_at_layer_0_is_that_of_saying_0(findings: dict[str, RowResult]):
    error = findings["fig2"].data
    assert error.layer_error.shape == (9, 11)
    np.testing.assert_allclose(error.newton_error[0, 0], error.gd_error[0, 0])
    assert error.layer_error[8].mean() < 0.5 * error.layer_error[0].mean()


def test_an_untrained_lstm_forgets_nothing_as_it_knows_nothing(findings: dict[str, RowResult]):
    data = findings["fig5"].data
    assert data.ogd_error[0] == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(data.d20_ols_error, 0, atol=1e-12)
    assert (np.diff(data.d20_ogd_error) > -0.05).all()
    assert data.lstm_error.mean() > 0.5
    assert data.transformer_error.mean() < 0.05


def test_the_span_holds_all_from_d_examples_on(findings: dict[str, RowResult]):
    data = findings["fig27"].data
    np.testing.assert_allclose(data.in_span.sel(point=slice(5, None)), 1, atol=1e-6)
    np.testing.assert_allclose(data.random_in_span, np.minimum(np.arange(1, 11), 5) / 5)
    assert data.in_span[-1, 1] > 0.9


def test_numbers_printed_for_d_20_are_not_decided_at_d_5(findings: dict[str, RowResult]):
    checks = [check for finding in findings.values() for check in finding.claims]
    of_ours = [check for check in checks if not check.about.startswith("model-free")]
    outcomes = [check.outcome for check in of_ours if "published number" in check.rule.text]
    assert outcomes
    assert set(outcomes) == {"undecided"}


def test_report_and_page_hold_every_claim(
    findings: dict[str, RowResult], tmp_path: Path, browser: Browser
):
    parts = [findings[key] for key in ("fig3", "fig5", "table1", "zero")]
    report = reproduction_page(parts, "interp reproduce <x>", "32 prompts").html()
    data = {f"{finding.row.key}.nc": finding.data for finding in parts}
    write_files(tmp_path, {"report.html": report, **data})
    page_of_one = reproduction_page(parts[1:2], "interp", "32 prompts")
    write_markdown(page_of_one, tmp_path / "page.md", "reproduction")
    page = (tmp_path / "page.md").read_text()
    for finding in parts[1:2]:
        assert f"## {finding.row.label}: {finding.row.title}" in page
        assert all(check.found in page for check in finding.claims)
    assert (tmp_path / "images" / "reproduction-fig5.svg").read_text().startswith("<svg")
    for finding in parts:
        with xarray.open_dataset(tmp_path / f"{finding.row.key}.nc") as saved:
            assert set(saved.data_vars) == set(finding.data.data_vars)
    json.dumps([finding.describe() for finding in findings.values()], allow_nan=False)
    with visit(browser, tmp_path / "report.html") as seen:
        seen.page.wait_for_selector("html[data-drawn]")
        n_drawn = seen.page.evaluate("document.documentElement.dataset.drawn")
        assert int(n_drawn) == sum(len(finding.drawings) for finding in parts)
        assert seen.console == []
        assert seen.requests == []
        claims = seen.page.locator("[aria-label^='Claims of'] tbody th").all_inner_texts()
        assert len(claims) == sum(len(finding.claims) for finding in parts)


def test_what_has_no_checkpoint_says_so_and_claims_nothing():
    rows = [row for row in ROWS if row.needs and row.key not in ("fig4", "fig10", "fig11")]
    for finding in reproduce(rows, PaperModels({}, n_dims=20, settings=SETTINGS)):
        needs = finding.row.needs
        assert len(finding.missing) == len(needs), finding.row.key
        assert all("needs a checkpoint that is not shipped" in text for text in finding.missing)
        told = [check for check in finding.claims if not check.about.startswith("model-free")]
        assert len(told) > 0
        for check in told:
            assert check.outcome == "undecided"
            assert "not shipped" in check.found


@pytest.fixture(scope="module")
def known() -> Iterator[dict[str, RowResult]]:
    [row] = find_rows(["fig3"])
    found = {}
    for name in ("newton-exact", "gd-exact"):
        models = PaperModels.of([name], SETTINGS)
        [found[name]] = reproduce([row], models)
    return found


def test_a_transformer_that_runs_newton_matches_it_linearly(known: dict[str, RowResult]):
    linear, exponential = known["newton-exact"].claims[:2]
    assert linear.outcome == "agrees"
    assert exponential.outcome == "agrees"


def test_a_transformer_that_runs_gd_does_not_match_it_exponentially(known: dict[str, RowResult]):
    exponential = known["gd-exact"].claims[1]
    assert exponential.claim == "GD's matching steps grow exponentially"
    assert exponential.outcome == "disagrees"
