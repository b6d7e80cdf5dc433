"""No text and no control of a page covers another, on a desk, on a phone and in the dark."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import fake_cells
import pytest
from chromium import visit
from planted import planted_result
from playwright.sync_api import Browser

from interp.report import write_report
from interp.studies.calibration.page import calibration_page

OVERLAPS = Path(__file__).with_name("overlaps.js").read_text(encoding="utf-8")
PAGES: dict[str, Callable[[Path], None]] = {
    "match": lambda file: write_report(
        planted_result(kinds=("resid_post", "resid_mid", "attn_out", "mlp_out")), file
    ),
    "match, many layers": lambda file: write_report(
        planted_result(retained=("newton", "gd"), dead_layer=3, n_layers=24), file
    ),
    "calibration": lambda file: calibration_page(fake_cells.calibration(), "interp").write(file),
}
"""What writes each page."""


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
