"""Makes the README's picture, the top of a report, from a saved result.

python docs/make_picture.py demo-report/result.nc docs/images/report.png
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from interp.results.result import open_result

WIDTH = 1180


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("result", type=Path, help="result.nc as `interp match --out` writes it")
    parser.add_argument("picture", type=Path, help="PNG to write")
    arguments = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        parser.error("Chromium is needed; on Debian and Ubuntu: apt-get install chromium")
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.html"
        open_result(arguments.result).write_report(report)
        photograph(report, arguments.picture, chromium)


def photograph(report: Path, picture: Path, chromium: str) -> None:
    """Takes the page from its top to the end of the first row of pictures, without the contents."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": 900})
        page.goto(report.resolve().as_uri())
        page.wait_for_selector("html[data-drawn]")
        page.add_style_tag(content="nav { display: none !important } section { margin-top: 32px }")
        figure = page.locator("figure").first.bounding_box()
        assert figure is not None
        height = figure["y"] + figure["height"] + 8
        clip = {"x": 0, "y": 0, "width": WIDTH, "height": height}
        picture.parent.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=picture, clip=clip, full_page=True)
        browser.close()


if __name__ == "__main__":
    main()
