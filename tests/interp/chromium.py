"""Pages as a real browser sees them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

CONSOLE_LINE = re.compile(r":CONSOLE[:(]\d+\)?\] \"?(.*?)\"?, source: ", re.DOTALL)


@dataclass(frozen=True)
class Page:
    dom: str
    """The document after its scripts have run."""
    console: list[str]
    """What was written to the console: messages, and errors that nothing caught."""


def find_chromium() -> str:
    """The browser; without one the test is skipped, or fails where INTERP_TEST_BROWSER=required."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    if os.environ.get("INTERP_TEST_BROWSER") == "required":
        pytest.fail("no Chromium found, and INTERP_TEST_BROWSER says that there must be one")
    pytest.skip("no Chromium found")


def open_page(file: Path, profile: Path, width: int = 1280, height: int = 2000) -> Page:
    """Opens a file without a network and lets its scripts run.

    Args:
        file: An HTML file.
        profile: An empty folder for the browser.
        width: Of the window, in CSS pixels.
        height: Of the window, in CSS pixels.
    """
    result = _run(file, profile, width, height, "--dump-dom")
    messages = result.stderr.decode(errors="replace")
    return Page(result.stdout.decode(), CONSOLE_LINE.findall(messages))


def screenshot(
    file: Path, picture: Path, profile: Path, width: int = 1280, height: int = 2000
) -> None:
    """Writes what a window of this size shows to a PNG."""
    _run(file, profile, width, height, f"--screenshot={picture}")


def _run(
    file: Path, profile: Path, width: int, height: int, action: str
) -> subprocess.CompletedProcess[bytes]:
    command = [
        find_chromium(), "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
        "--enable-logging=stderr", "--log-level=0", "--disable-dev-shm-usage", "--no-first-run",
        "--host-resolver-rules=MAP * ~NOTFOUND", "--virtual-time-budget=20000",
        f"--user-data-dir={profile}", f"--window-size={width},{height}", action,
        file.resolve().as_uri(),
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, timeout=120, check=True)
