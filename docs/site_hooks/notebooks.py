"""The notebooks of `examples/`, with the outputs they were committed with, as tutorial pages."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

EXAMPLES = Path(__file__).parents[2] / "examples"
LINK = re.compile(r"\]\((?:\.\./)*(?:examples/)?(\d\d-[\w-]+)\.ipynb\)")
ANSI = re.compile(r"\x1b\[[0-9;]*m")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds a page, and a picture for every figure, for each notebook."""
    for notebook in sorted(EXAMPLES.glob("*.ipynb")):
        page, pictures = to_markdown(notebook)
        files.append(File.generated(config, f"tutorial/{notebook.stem}.md", content=page))
        for name, content in pictures.items():
            files.append(File.generated(config, f"tutorial/{name}", content=content))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Turns links to notebooks, which work on a code host too, into links to these pages."""
    to_root = "../" * page.file.src_uri.count("/")
    return LINK.sub(rf"]({to_root}tutorial/\1.md)", markdown)


def to_markdown(notebook: Path) -> tuple[str, dict[str, bytes]]:
    """A notebook as Markdown, and its pictures by file name."""
    pictures: dict[str, bytes] = {}
    parts = []
    for cell in json.loads(notebook.read_text())["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source.replace("](../docs/", "](../"))
            continue
        parts.append(f"```python\n{source}\n```")
        for output in cell["outputs"]:
            name = f"{notebook.stem}-{len(pictures) + 1}"
            parts.append(_output(output, name, pictures))
    lead = f"*This page is the notebook `examples/{notebook.name}`.*"
    title, _, rest = "\n\n".join(parts).partition("\n")
    return f"{title}\n\n{lead}\n{rest}\n", pictures


def _output(output: dict[str, Any], name: str, pictures: dict[str, bytes]) -> str:
    if output["output_type"] == "stream":
        return _text("".join(output["text"]))
    data = output.get("data", {})
    for kind, ending in (("image/svg+xml", "svg"), ("image/png", "png")):
        if kind in data:
            content = "".join(data[kind])
            is_text = ending == "svg"
            pictures[f"{name}.{ending}"] = (
                content.encode() if is_text else base64.b64decode(content)
            )
            return f"![Figure]({name}.{ending}){{ .figure }}"
    if "text/html" in data:
        html = "".join(data["text/html"])
        lines = re.sub(r"<style.*?</style>", "", html, flags=re.DOTALL).splitlines()
        return "\n".join(line.strip() for line in lines if line.strip())
    return _text("".join(data.get("text/plain", "")))


def _text(text: str) -> str:
    return f"```text {{ .output }}\n{ANSI.sub('', text).rstrip()}\n```"
