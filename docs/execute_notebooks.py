"""Runs the notebooks of examples/ and keeps their outputs, figures as SVG, which GitHub shows.

python docs/execute_notebooks.py [NAME…]
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import nbformat
from nbclient import NotebookClient

EXAMPLES = Path(__file__).parents[1] / "examples"
SETUP = (
    "import plotly.io as pio; pio.defaults.default_width, pio.defaults.default_height = 900, 380"
)
"""Run before the first cell: the size of figures that state none."""


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="parts of file names; by default all notebooks")
    names = parser.parse_args().names
    os.environ["PLOTLY_RENDERER"] = "svg"
    for file in sorted(EXAMPLES.glob("*.ipynb")):
        if not names or any(name in file.name for name in names):
            execute(file)
            print(file)


def execute(file: Path) -> None:
    """Runs one notebook from a fresh kernel and writes it back without times and machine names."""
    notebook = nbformat.read(file, as_version=4)
    client = NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(EXAMPLES)}})
    notebook.cells.insert(0, nbformat.v4.new_code_cell(SETUP))
    with client.setup_kernel():
        for index, cell in enumerate(notebook.cells):
            client.execute_cell(cell, index, store_history=index > 0)
            cell.metadata.pop("execution", None)
    del notebook.cells[0]
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    nbformat.write(notebook, file)


if __name__ == "__main__":
    main()
