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


def test_a_checkpoint_becomes_a_table_a_report_and_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "gd.safetensors"
    save_checkpoint(build_model("gd-exact", SIZES), path, {"task": TASK})
    out = tmp_path / "out"
    assert end(path, "--prompts", 128, "--jobs", 1, "--out", out) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "128 prompts for each model, the same for all, of linear regression, d = 2" in shown
    assert "this verdict was right in" in shown
    tables = {file.name for file in (out / "tables").iterdir()}
    names = ("models", "similarity", "layers", "forgetting", "kappa")
    assert tables == {f"{name}.{ending}" for name in names for ending in ("csv", "tex")}
    with (out / "tables" / "models.csv").open(newline="") as file:
        [row] = csv.DictReader(file)
    assert row["model"] == str(path)
    assert "gradient descent" in row["verdict"]
    assert float(row["sime_gd"]) > 0.999 > float(row["sime_newton"])
    found = interp.open_comparison(out / "comparison.nc")
    summary = json.loads((out / "summary.json").read_text())
    assert summary == json.loads(json.dumps(found.describe()))
    assert "1 model side by side" in (out / "report.html").read_text()


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
