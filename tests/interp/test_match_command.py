"""`interp match` as a shell sees it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from processes import Command, Ending, limit_file_size

ROOT = Path(__file__).parent.parent.parent
MODEL = "newton-exact"


def run(*arguments: object, folder: Path, **keywords: object) -> Ending:
    return Command("match", *arguments, folder=folder, **keywords).end()


PROGRESS = re.compile(r"\d+ s: ")
"""How a line of progress begins, which slow machines print."""


def assert_one_sentence(ending: Ending, *parts: str) -> None:
    """The process ended with code 2 and a single line on stderr that says these things."""
    assert ending.code == 2, ending
    (sentence,) = (line for line in ending.stderr.splitlines() if not PROGRESS.match(line))
    assert sentence.startswith("interp: ")
    assert ending.stdout == ""
    for part in parts:
        assert part in sentence


def test_a_model_built_to_run_newton_in_a_fresh_process():
    result = subprocess.run(
        [sys.executable, "-m", "interp.cli", "match", MODEL, "--prompts", "128", "--json"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    summary = json.loads(result.stdout)
    assert summary["checkpoint"] == MODEL
    assert (summary["prompts"], summary["seed"]) == (128, 0)
    verdict = summary["verdict"]
    assert verdict["standing"] == ["newton"], verdict["text"]
    low, high = verdict["interval"]
    assert low - 0.01 <= 1 <= high + 0.01
    assert len(summary["references"]["newton"]["best_step"]) == len(summary["layers"])


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["newton-exakt"], ["newton-exakt: no such file", "closest: newton-exact"]),
        ([MODEL, "--task", "nowhere.toml"], ["nowhere.toml: No such file"]),
        ([MODEL, "--task", "wrong.toml"], ["task has n_dims = 99"]),
        ([MODEL, "--task", "empty.toml"], ["empty.toml: has no [task] table"]),
        ([MODEL, "--task", "broken.toml"], ["broken.toml: "]),
        ([MODEL, "--sites", "nowhere"], ["nowhere"]),
        (["empty.safetensors"], ["empty.safetensors"]),
    ],
)
def test_bad_input_ends_with_one_sentence_and_no_file(
    tmp_path: Path, arguments: list[str], parts: list[str]
):
    files = {
        "wrong.toml": '[task]\nname = "linear_regression"\nn_dims = 99\nn_points = 7\n',
        "empty.toml": "",
        "broken.toml": "[task\n",
        "empty.safetensors": "",
    }
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    out = tmp_path / "new" / "out"
    given = [tmp_path / item if item.endswith((".toml", ".safetensors")) else item
             for item in arguments]  # fmt: skip
    assert_one_sentence(run(*given, "--out", out, folder=tmp_path), *parts)
    assert not out.parent.exists()


def test_what_an_earlier_run_wrote_survives_a_failure(tmp_path: Path):
    (tmp_path / "summary.json").write_text("{}")
    assert run("nothing", "--out", tmp_path, folder=tmp_path).code == 2
    assert (tmp_path / "summary.json").read_text() == "{}"


def test_an_output_folder_that_is_a_file(tmp_path: Path):
    (tmp_path / "out").touch()
    ending = run(MODEL, "--out", tmp_path / "out", folder=tmp_path)
    assert_one_sentence(ending, str(tmp_path / "out"), "not a directory")
    assert (tmp_path / "out").read_bytes() == b""


def test_a_disk_that_fills_up_while_the_result_is_written(tmp_path: Path):
    out = tmp_path / "out"
    ending = run(
        MODEL, "--prompts", "128", "--sites", "resid_post", "--out", out,
        folder=tmp_path, prepare=limit_file_size, prepare_with=(20_000,),
    )  # fmt: skip
    assert_one_sentence(ending, str(out / "result.nc"))
    assert not list(tmp_path.glob("out*")) + list(tmp_path.glob(".out*"))
