"""A reference is added by one file and one line."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

import interp
from hooks import build_model
from interp.tasks import LinearRegression
from probes.references import REFERENCES

FILE = '''
from dataclasses import dataclass
from typing import ClassVar

import torch

from probes.references import SpectralReference


@dataclass(frozen=True)
class Halving(SpectralReference):
    """Every step halves the rest of each direction, whatever its eigenvalue."""

    key: ClassVar[str] = "halving"
    label: ClassVar[str] = "Halving <&>"
    phrase: ClassVar[str] = "halving of the rest"

    @classmethod
    def candidates(cls, largest_eigenvalue):
        return {"halving": {}}

    def filter_factors(self, prefixes):
        is_seen = (prefixes.eigenvalues > 0).double()
        return lambda step: (1 - 0.5**step) * is_seen

    def filter_at_zero(self, prefixes, step):
        return torch.zeros_like(prefixes.ys)
'''


@pytest.fixture
def halving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "halving.py").write_text(FILE, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(REFERENCES, "halving", importlib.import_module("halving").Halving)


@pytest.mark.usefixtures("halving")
def test_match_compare_and_report_know_a_reference_of_one_file_and_one_line(tmp_path: Path) -> None:
    sizes = {"n_dims": 2, "n_points": 5, "n_layers": 3}
    task = LinearRegression(n_dims=2, n_points=5)
    models = {"built": build_model("gd-exact", sizes, seed=0).eval()}
    comparison = interp.compare(models, task, n_prompts=128)
    result = comparison.match("built")
    assert "halving" in result.references
    result.write_report(tmp_path / "match.html")
    comparison.write_report(tmp_path / "compare.html")
    text = (tmp_path / "match.html").read_text(encoding="utf-8")
    assert "Halving &lt;&amp;&gt;" in text
    assert "halving of the rest" in text.lower()
    assert "Halving" in interp.plots.heatmap(result, "halving").layout.title.text
