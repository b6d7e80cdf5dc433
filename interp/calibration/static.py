"""Figures as SVG files, drawn by a browser without a window."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from plotly.graph_objects import Figure
from plotly.offline import get_plotlyjs

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")

SCRIPT = """
(async () => {
  for (const { data, layout } of FIGURES) {
    const url = await Plotly.toImage({ data, layout }, { format: "svg" });
    const pre = document.createElement("pre");
    pre.className = "svg";
    pre.textContent = decodeURIComponent(url.slice(url.indexOf(",") + 1));
    document.body.append(pre);
  }
})();
"""


def find_browser() -> str | None:
    """Path of a Chromium, if there is one."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def static_svgs(figures: Sequence[Figure], width: int = 1000) -> list[str]:
    """Each figure as the text of an SVG file, without its title, which the text around it has.

    Raises:
        ValueError: There is no Chromium, or it drew fewer figures than it was given.
    """
    browser = find_browser()
    if browser is None:
        raise ValueError(f"static pictures need a browser, one of {', '.join(BROWSERS)}")
    texts = [Figure(f).update_layout(width=width, title=None).to_json() for f in figures]
    safe = json.dumps([json.loads(text) for text in texts]).replace("<", "\\u003c")
    script = SCRIPT.replace("FIGURES", safe)
    page = (
        "<!doctype html><meta charset=utf-8><body>"
        f"<script>{get_plotlyjs()}</script><script>{script}</script>"
    )
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "figures.html"
        file.write_text(page, encoding="utf-8")
        dom = _document(browser, file, Path(folder) / "profile")
    found = [html.unescape(text) for text in re.findall(r'<pre class="svg">(.*?)</pre>', dom, re.S)]
    if len(found) != len(figures):
        raise ValueError(f"{browser} drew {len(found)} of {len(figures)} figures")
    return found


def _document(browser: str, file: Path, profile: Path) -> str:
    command = [
        browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
        "--no-first-run", "--host-resolver-rules=MAP * ~NOTFOUND", "--virtual-time-budget=60000",
        f"--user-data-dir={profile}", "--dump-dom", file.as_uri(),
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, timeout=300, check=True).stdout.decode()
