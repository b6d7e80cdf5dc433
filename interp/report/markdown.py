"""A report's page as Markdown, with pictures beside it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from importlib.util import find_spec
from pathlib import Path

from plotly.graph_objects import Figure

from hooks.atomic import atomic_write, write_text
from interp.report.page import Page
from interp.report.section import Section

BROWSERS = ("google-chrome", "google-chrome-stable", "chromium", "chromium-browser", "chrome")
WIDTH = 1000
"""Of pictures, in pixels."""


def write_markdown(page: Page, path: str | Path, prefix: str, introduction: str = "") -> None:
    """Writes a page as Markdown, and `images/<prefix>-<anchor>.svg` where a browser can draw.

    Args:
        page: The same that is written as HTML.
        path: Of the Markdown file.
        prefix: Of the pictures' names.
        introduction: Paragraphs between heading and findings.

    Raises:
        OSError: A file cannot be written.
    """
    path = Path(path)
    command = dict(page.facts).get("Command")
    parts = [
        f"# {page.heading}",
        introduction,
        page.lead.headline,
        "\n".join(f"- {sentence}" for sentence in page.lead.paragraphs),
        f"```sh\n{command}\n```" if command else "",
    ]
    is_drawn = can_draw() and any(section.pictures for section in page.sections)
    with _browser() if is_drawn else nullcontext():
        for section in page.sections:
            parts += [f'<a id="{section.anchor}"></a>\n\n## {section.title}', *section.paragraphs]
            if is_drawn:
                parts += _pictures(section, path.parent, prefix)
            parts += [section.see, section.means, section.note or ""]
            for table in section.tables:
                parts += [f"**{table.title}**" if table.title != section.title else ""]
                parts += [table.to_markdown(), table.note]
    write_text(path, "\n\n".join(part.strip() for part in parts if part) + "\n")


def write_images(figure: Figure, folder: str | Path, name: str) -> list[Path]:
    """Draws a figure as SVG and as PDF, and returns the files, `<name>.svg` and `<name>.pdf`.

    Raises:
        ValueError: kaleido or a browser for it is missing.
        OSError: A file cannot be written.
    """
    require_drawing()
    import kaleido  # optional

    files = [Path(folder) / f"{name}.{ending}" for ending in ("svg", "pdf")]
    size = {"width": figure.layout.width or WIDTH, "height": figure.layout.height}
    with _browser():
        for file in files:
            options = {"format": file.suffix[1:], **size}
            content = kaleido.calc_fig_sync(figure, opts=options)
            with atomic_write(file) as temporary:
                temporary.write_bytes(content)
    return files


def require_drawing() -> None:
    """Raises a `ValueError` where no pictures can be drawn to files."""
    if not can_draw():
        raise ValueError(
            "pictures as SVG and PDF need the package kaleido and Chrome or Chromium; "
            "install both, or leave --paper out"
        )


def can_draw() -> bool:
    """Whether kaleido and a browser for it are installed."""
    return find_spec("kaleido") is not None and any(map(shutil.which, BROWSERS))


@contextmanager
def _browser() -> Iterator[None]:
    """Keeps one browser for all pictures of a page: to start one takes seconds."""
    import kaleido  # optional

    kaleido.start_sync_server(silence_warnings=True)
    try:
        yield
    finally:
        kaleido.stop_sync_server(silence_warnings=True)


def _pictures(section: Section, folder: Path, prefix: str) -> list[str]:
    """Draws a section's figures; each is followed by its caption."""
    import kaleido  # optional

    parts = []
    captions = (*section.captions, *[""] * len(section.pictures))
    for number, figure in enumerate(section.pictures):
        name = f"images/{prefix}-{section.anchor}{f'-{number + 1}' if number else ''}.svg"
        title = figure.layout.title.text or section.title
        plain = Figure(figure).update_layout(title=None)
        options = {"format": "svg", "width": figure.layout.width or WIDTH}
        svg = kaleido.calc_fig_sync(plain, opts=options).decode()
        write_text(folder / name, f"{svg}\n")
        parts += [f"![{title}]({name})", captions[number]]
    return parts
