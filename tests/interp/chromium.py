"""Pages as a real browser sees them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--no-first-run",
)

PATIENCE = 300_000
"""Milliseconds that a busy machine may take for what takes a second."""


@dataclass
class Visit:
    page: Page
    console: list[str] = field(default_factory=list)
    """What was written to the console: messages, and errors that nothing caught."""
    requests: list[str] = field(default_factory=list)
    """Addresses that were asked for, but for the page's own."""


def find_chromium() -> str:
    """The browser; without one the test is skipped, or fails in continuous integration."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    if os.environ.get("INTERP_TEST_BROWSER") == "required" or os.environ.get("CI"):
        pytest.fail("no Chromium found, and this environment says that there must be one")
    pytest.skip("no Chromium found")


@contextmanager
def visit(
    browser: Browser, file: Path, width: int = 1280, *, is_phone: bool = False
) -> Iterator[Visit]:
    """Opens a file in a browser without a network.

    Args:
        browser: See the fixture of this name.
        file: An HTML file.
        width: Of the window, in CSS pixels.
        is_phone: Whether the window is a touch screen that follows the page's viewport.
    """
    address = file.resolve().as_uri()
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        has_touch=is_phone,
        is_mobile=is_phone,
        offline=True,
    )
    context.set_default_timeout(PATIENCE)
    seen = Visit(context.new_page())
    seen.page.on("console", lambda message: seen.console.append(message.text))
    seen.page.on("pageerror", lambda error: seen.console.append(error.message))
    seen.page.on("request", lambda request: seen.requests.append(request.url))
    seen.page.goto(address)
    seen.requests.remove(address)
    yield seen
    context.close()
