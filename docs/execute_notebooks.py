"""Runs the notebooks of examples/ and keeps their outputs, figures as SVG, which code hosts show.

python docs/execute_notebooks.py [NAME…]
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import kaleido
import nbformat
from nbclient import NotebookClient
from plotly.graph_objects import Figure

EXAMPLES = Path(__file__).parents[1] / "examples"
PLOTLY = "application/vnd.plotly.v1+json"
WIDTH = 900
"""Of figures that state none, in pixels."""


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="parts of file names; by default all notebooks")
    names = parser.parse_args().names
    os.environ["PLOTLY_RENDERER"] = "plotly_mimetype"
    os.environ["PYTHONWARNINGS"] = "ignore:IProgress not found"  # tqdm's, without ipywidgets
    kaleido.start_sync_server()  # one browser draws all figures
    for file in sorted(EXAMPLES.glob("*.ipynb")):
        if not names or any(name in file.name for name in names):
            execute(file)
            print(file)
    kaleido.stop_sync_server()


def execute(file: Path) -> None:
    """Runs one notebook from a fresh kernel and writes it back without times and machine names."""
    notebook = nbformat.read(file, as_version=4)
    folder = {"metadata": {"path": str(EXAMPLES)}}
    NotebookClient(notebook, timeout=600, resources=folder, coalesce_streams=True).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if "outputs" in cell:
            cell.outputs = [one for one in cell.outputs if shows_something(one)]
        for output in cell.get("outputs", []):
            if PLOTLY in output.get("data", {}):
                output["data"] = {"image/svg+xml": to_svg(output["data"][PLOTLY])}
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    nbformat.write(notebook, file)


def shows_something(output: dict[str, Any]) -> bool:
    """Whether it is no leftover of a progress bar, and not the script that pictures once needed."""
    data = output.get("data", {})
    html = data.get("text/html", "something")
    return PLOTLY in data or (bool(html) and "cdn.plot.ly" not in html)


def to_svg(figure: dict[str, Any]) -> str:
    """Draws a figure in a headless browser."""
    content = Figure(data=figure["data"], layout=figure["layout"])
    return content.to_image("svg", width=content.layout.width or WIDTH).decode()


if __name__ == "__main__":
    main()
