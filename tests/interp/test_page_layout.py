"""No text and no control of a page covers another, on a desk, on a phone and in the dark."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import fake_cells
import pytest
import xarray
from assessments import assessment, comparison
from chromium import visit
from planted import planted_result
from playwright.sync_api import Browser

from hooks.architectures.gd_exact import GDExact, GDExactConfig
from interp.analyses.ablation import ablate
from interp.analyses.algorithms import compare_algorithms
from interp.analyses.interchange import interchange
from interp.analyses.layer_order import reorder_layers
from interp.analyses.robustness import conditions
from interp.analyses.separation import separate
from interp.analyses.steering import steer
from interp.report import write_report
from interp.report.algorithms import algorithms_page, separation_page
from interp.report.emergence import emergence_page
from interp.report.interventions import intervention_page
from interp.studies.calibration.page import calibration_page
from interp.studies.paper.models import PaperModels
from interp.studies.paper.page import reproduction_page
from interp.studies.paper.paper_setup import Settings
from interp.studies.paper.reproduction import reproduce
from interp.studies.paper.rows import ROWS
from interp.study.emergence import emerge
from interp.tasks import LinearRegression

TASK = LinearRegression(n_dims=2, n_points=5)
OVERLAPS = Path(__file__).with_name("overlaps.js").read_text(encoding="utf-8")
PAGES: dict[str, Callable[[Path], None]] = {
    "match": lambda file: write_report(
        planted_result(kinds=("resid_post", "resid_mid", "attn_out", "mlp_out")), file
    ),
    "match, many layers": lambda file: write_report(
        planted_result(retained=("newton", "gd"), dead_layer=3, n_layers=24), file
    ),
    "calibration": lambda file: calibration_page(fake_cells.calibration(), "interp").write(file),
    "compare": lambda file: comparison(
        *(assessment(name, seed=seed) for seed, name in enumerate(("gpt2-d5-noisy", "b", "c")))
    ).write_report(file),
    "conditions": lambda file: conditions(
        _gd(), TASK, vary=["y-scale"], values={"y-scale": [0.1, 1.0]}, n_prompts=256
    ).write_report(file),
    "intervene": lambda file: intervention_page(
        ablate(_gd(), TASK, methods=("zero",), n_prompts=16, n_fit_prompts=64),
        steer(_gd(), TASK, n_prompts=16),
        {"checkpoint": "gd"},
        reorder_layers(_gd(), TASK, n_prompts=64),
        interchange(_gd(), TASK, n_prompts=64),
    ).write(file),
    "separate": lambda file: separation_page(
        separate(_gd(), "newton", "gd", TASK, n_prompts=16), "gd"
    ).write(file),
    "emerge": lambda file: emergence_page(_emerged(), "runs/gd").write(file),
    "algorithms": lambda file: algorithms_page(
        compare_algorithms("newton", "gd", TASK, n_prompts=16)
    ).write(file),
    "reproduce": lambda file: reproduction_page(
        [
            *reproduce(
                [row for row in ROWS if row.key in ("fig2", "fig27")],
                PaperModels({}, settings=Settings(n_prompts=32)),
            )
        ],
        "interp reproduce",
        "32 prompts",
    ).write(file),
}
"""What writes each page."""


@cache
def _emerged() -> xarray.Dataset:
    return emerge({1: _gd(), 10: _gd()}, TASK, n_prompts=128, anatomy=True)


def _gd() -> GDExact:
    return GDExact(GDExactConfig(n_dims=2, n_points=5, n_layers=3, dtype="float64"))


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("page", PAGES)
def test_nothing_covers_anything(browser: Browser, tmp_path: Path, page: str, width: int):
    PAGES[page](tmp_path / "page.html")
    with visit(browser, tmp_path / "page.html", width) as seen:
        seen.page.wait_for_selector("html[data-drawn]")
        assert seen.page.evaluate(OVERLAPS) == []


def test_the_search_finds_what_covers_something(browser: Browser, tmp_path: Path):
    file = tmp_path / "page.html"
    file.write_text(
        "<p style='margin: 0'>a caption</p><button style='position: absolute; top: 8px'>on</button>"
        "<p>and a text that has its own place</p>"
    )
    with visit(browser, file) as seen:
        pairs = {frozenset(pair[:2]) for pair in seen.page.evaluate(OVERLAPS)}
        assert pairs == {frozenset(("a caption", "on"))}


def test_a_dark_page_has_dark_pictures_whose_heatmaps_keep_their_colours(
    browser: Browser, tmp_path: Path
):
    PAGES["match"](tmp_path / "page.html")
    with visit(browser, tmp_path / "page.html") as seen:
        seen.page.wait_for_selector("html[data-drawn]")
        brightness = "getComputedStyle(document.body).backgroundColor"
        filters = """['.plot', '.plot .heatmaplayer'].map(
            part => getComputedStyle(document.querySelector(part)).filter)"""
        assert seen.page.evaluate(brightness) == "rgb(255, 255, 255)"
        assert seen.page.evaluate(filters) == ["none", "none"]
        seen.page.emulate_media(color_scheme="dark")
        assert seen.page.evaluate(brightness) == "rgb(18, 18, 18)"
        assert all("invert" in one for one in seen.page.evaluate(filters))
