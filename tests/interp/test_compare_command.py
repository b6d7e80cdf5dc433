"""`interp compare` from models to files."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

import interp
from hooks.architectures import build_model
from hooks.checkpoints import save_checkpoint
from interp.cli import main

SIZES = {"n_dims": 2, "n_points": 4, "n_layers": 3}
TASK = {"name": "linear_regression", "n_dims": 2, "n_points": 4}


def end(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ending:
        main(["compare", *map(str, arguments)])
    code = ending.value.code
    assert isinstance(code, int)
    return code


def test_checkpoints_become_a_table_a_report_and_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = {}
    for name in ("gd-exact", "newton-exact"):
        paths[name] = tmp_path / f"{name}.safetensors"
        save_checkpoint(build_model(name, SIZES | {"n_layers": 6}), paths[name], {"task": TASK})
    out = tmp_path / "out"
    assert end(*paths.values(), "--prompts", 128, "--jobs", 1, "--out", out) == 0
    shown = capsys.readouterr()
    assert "128 prompts each, on the same prompts of linear regression, d = 2" in shown.out
    assert "this verdict was right in" in " ".join(shown.out.split())
    tables = {path.name for path in (out / "tables").iterdir()}
    names = ("models", "similarity", "differences", "layers", "forgetting", "kappa")
    assert tables == {f"{name}.{ending}" for name in names for ending in ("csv", "tex")}
    with (out / "tables" / "models.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["model"] for row in rows] == [str(path) for path in paths.values()]
    assert rows[0]["verdict"] == "gradient descent"
    assert float(rows[0]["sime_gd"]) > 0.999
    assert float(rows[0]["sime_newton"]) < 0.999
    found = interp.open_comparison(out / "comparison.nc")
    summary = json.loads((out / "summary.json").read_text())
    assert summary == json.loads(json.dumps(found.describe()))
    assert "2 models side by side" in (out / "report.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "interp: nowhere: no such file"),
        (["gd-exact", "gd-exact"], "interp: models names gd-exact more than once"),
        (["gd-exact", "--prompts", 3], "interp: n_prompts must be at least 128, got 3"),
        (["gd-exact", "--task", "no.toml"], "interp: no.toml: No such file"),
    ],
)
def test_bad_input_ends_with_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[object], message: str
) -> None:
    assert end(*arguments, "--out", tmp_path / "out") == 2
    seen = capsys.readouterr()
    assert seen.err.startswith(message)
    assert seen.err.count("\n") == 1
    assert not (tmp_path / "out").exists()
