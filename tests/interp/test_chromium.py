"""The browser harness notices what it is there to notice."""

from __future__ import annotations

from pathlib import Path

import chromium
import pytest
from chromium import find_chromium, visit
from playwright.sync_api import Browser


def test_it_sees_what_scripts_draw_and_every_console_error(browser: Browser, tmp_path: Path):
    file = tmp_path / "page.html"
    file.write_text(
        "<body><script>document.body.append('dr' + 'awn')</script>"
        "<script>undefinedName</script>"
        "<script>console.error('said')</script></body>"
    )
    with visit(browser, file) as seen:
        assert seen.page.inner_text("body") == "drawn"
        assert sorted(seen.console) == ["said", "undefinedName is not defined"]
        assert seen.requests == []


def test_it_sees_requests_and_a_page_too_wide_for_a_phone(browser: Browser, tmp_path: Path):
    file = tmp_path / "page.html"
    file.write_text(
        "<meta name=viewport content='width=device-width, initial-scale=1'>"
        "<img src='https://example.org/a.png'><div style='width: 700px'>wide</div>"
    )
    with visit(browser, file, width=390, is_phone=True) as seen:
        assert seen.requests == ["https://example.org/a.png"]
        assert seen.page.evaluate("document.documentElement.scrollWidth") >= 700


@pytest.mark.parametrize("variable", ["CI", "INTERP_TEST_BROWSER"])
def test_a_missing_browser_fails_where_it_is_required(
    monkeypatch: pytest.MonkeyPatch, variable: str
):
    monkeypatch.setattr(chromium.shutil, "which", lambda name: None)
    monkeypatch.setenv(variable, "required")
    with pytest.raises(pytest.fail.Exception):
        find_chromium()
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("INTERP_TEST_BROWSER", raising=False)
    with pytest.raises(pytest.skip.Exception):
        find_chromium()
