"""The browser harness notices what it is there to notice."""

from __future__ import annotations

from pathlib import Path

from chromium import open_page, screenshot


def test_it_sees_what_scripts_draw_and_every_console_error(tmp_path: Path):
    file = tmp_path / "page.html"
    file.write_text(
        "<body><script>document.body.append('dr' + 'awn')</script>"
        "<script>undefinedName</script>"
        "<script>console.error('said')</script></body>"
    )
    page = open_page(file, tmp_path / "profile")
    assert "drawn" in page.dom
    assert page.console == ["Uncaught ReferenceError: undefinedName is not defined", "said"]


def test_a_quiet_page_has_an_empty_console(tmp_path: Path):
    file = tmp_path / "page.html"
    file.write_text("<p>quiet</p>")
    assert open_page(file, tmp_path / "profile").console == []


def test_it_takes_pictures(tmp_path: Path):
    file, picture = tmp_path / "page.html", tmp_path / "page.png"
    file.write_text("<body style='background: red'></body>")
    screenshot(file, picture, tmp_path / "profile", width=300, height=200)
    assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
