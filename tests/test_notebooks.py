"""The notebooks of examples/ as they are committed; `make test` also executes them (nbmake)."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
LARGEST_OUTPUT = 2_000_000
MACHINE_PATH = re.compile(r"/(home|root|tmp|usr|opt|var|work|Users)/")


def read_cells(notebook: Path, kind: str) -> list[dict]:
    return [c for c in json.loads(notebook.read_text())["cells"] if c["cell_type"] == kind]


def test_there_are_eight():
    assert [notebook.name[:2] for notebook in NOTEBOOKS] == [f"0{n}" for n in range(1, 9)]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda notebook: notebook.stem)
class TestNotebook:
    def test_opens_with_what_one_will_learn(self, notebook):
        opening = "".join(read_cells(notebook, "markdown")[0]["source"])
        assert opening.startswith("# ")
        assert "**What you will learn:**" in opening

    def test_was_run_from_top_to_bottom(self, notebook):
        counts = [cell["execution_count"] for cell in read_cells(notebook, "code")]
        assert counts == list(range(1, len(counts) + 1))

    def test_shows_figures_that_need_no_script(self, notebook):
        outputs = [o for cell in read_cells(notebook, "code") for o in cell["outputs"]]
        shown = [kind for output in outputs for kind in output.get("data", {})]
        assert "image/svg+xml" in shown
        assert not any("plotly" in kind or "javascript" in kind for kind in shown)

    def test_outputs_are_small_clean_and_of_no_machine(self, notebook):
        for cell in read_cells(notebook, "code"):
            for output in cell["outputs"]:
                text = json.dumps(output)
                assert len(text) < LARGEST_OUTPUT
                assert output["output_type"] != "error"
                assert "cdn.plot.ly" not in text
                assert output.get("name") != "stderr", text
                assert not MACHINE_PATH.search(text), text[:500]

    def test_links_to_notebooks_that_exist(self, notebook):
        for cell in read_cells(notebook, "markdown"):
            for name in re.findall(r"\]\(([^)#:]+)\)", "".join(cell["source"])):
                assert (notebook.parent / name).is_file(), name


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_of_the_front_pages_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", (ROOT / page).read_text())
    missing = [link for link in links if not (ROOT / link).exists()]
    assert not missing
