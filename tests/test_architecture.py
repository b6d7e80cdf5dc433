"""The arrows between the packages, and what may be imported when."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from probes.similarity import error_directions

ROOT = Path(__file__).parent.parent


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_the_packages_keep_their_contracts():
    result = lint_imports(ROOT)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("hooks/broken.py", "import probes"),
        ("probes/broken.py", "from hooks.sites import Site"),
        ("probes/broken.py", "import interp"),
        ("hooks/broken.py", "import sklearn"),
        ("probes/broken.py", "import plotly"),
    ],
)
def test_a_broken_contract_is_noticed(tmp_path: Path, module: str, line: str):
    for package in ("interp", "hooks", "probes"):
        for file in (ROOT / package).rglob("*.py"):
            copy = tmp_path / file.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.touch()
    (tmp_path / "hooks" / "sites.py").write_text("Site = int\n")
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    (tmp_path / module).write_text(line + "\n")
    result = lint_imports(tmp_path)
    assert result.returncode == 1, result.stdout
    assert "1 broken" in result.stdout


def test_shapes_are_checked_while_tests_run():
    with pytest.raises(TypeError, match="type"):
        error_directions(torch.zeros(3), torch.zeros(2))


def test_no_public_class_name_is_used_twice():
    places: dict[str, list[str]] = {}
    for package in ("interp", "hooks", "probes"):
        for file in (ROOT / package).rglob("*.py"):
            for node in ast.parse(file.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    places.setdefault(node.name, []).append(str(file.relative_to(ROOT)))
    assert {name: files for name, files in places.items() if len(files) > 1} == {}


def test_studies_use_public_names():
    private = [
        f"{file.relative_to(ROOT)}: {node.module}.{alias.name}"
        for file in (ROOT / "interp" / "studies").rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module != "__future__"
        for alias in node.names
        if any(part.startswith("_") for part in (*str(node.module).split("."), alias.name))
    ]
    assert private == []


@pytest.mark.parametrize(
    "statement",
    [
        "import interp",
        "import interp.cli; interp.cli.build_app()",
        "import interp.zoo; interp.zoo.names()",
    ],
)
def test_importing_is_fast_because_it_imports_nothing_slow(statement: str):
    slow = ("torch", "transformer_lens", "transformers", "numpy", "xarray", "plotly", "sklearn")
    code = f"{statement}\nimport sys\nprint([name for name in {slow!r} if name in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
