"""A figure at the end of a notebook's cell is seen in JupyterLab, VS Code and exported HTML."""

from __future__ import annotations

from pathlib import Path

import nbclient
import nbconvert
import nbformat

CELL = """
import sys
sys.path[:0] = [{tests!r}, {root!r}]
from planted import planted_result
planted_result().plot.curve()
"""


def test_a_cell_shows_its_figure():
    here = Path(__file__).parent
    source = CELL.format(tests=str(here), root=str(here.parents[1]))
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    kinds = {kind for output in notebook.cells[0].outputs for kind in output.get("data", {})}
    assert {"application/vnd.plotly.v1+json", "text/html"} <= kinds
    page, _ = nbconvert.HTMLExporter().from_notebook_node(notebook)
    assert "Plotly.newPlot" in page
