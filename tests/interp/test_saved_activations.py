"""Matching activations that somebody saved is matching the model that they are from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray
from processes import Command
from test_cli import assert_one_sentence, run

from hooks import capture, open_activations, write_activations
from hooks.architectures.planted import build_planted
from interp.analyses.match import match
from interp.tasks import LinearRegression

SIZES = {"n_dims": 2, "n_points": 5}
N_PROMPTS = 600
MODEL = build_planted(
    algorithm="newton", iterations_per_layer=2, n_layers=5, dtype="float64", **SIZES
)
TASK = LinearRegression(**SIZES)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "activations.npz"
    stream = TASK.stream(N_PROMPTS, seed=1)
    write_activations(path, capture(MODEL, stream, MODEL.sites()), N_PROMPTS)
    return path


@pytest.fixture(scope="module")
def printed(path: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    folder = tmp_path_factory.mktemp("match")
    arguments = ("match", "--activations", path, "--json", "--out", folder / "out")
    ending = Command(*arguments, folder=folder).end()
    assert ending.code == 0, ending.stderr
    return ending.stdout, folder / "out"


def test_the_algorithm_is_found_without_the_model(printed: tuple[str, Path], path: Path):
    summary = json.loads(printed[0])
    assert summary["checkpoint"] == str(path)
    assert summary["task"] == {
        "name": "saved_prompts", **SIZES, "path": str(path),
    }  # fmt: skip
    assert summary["prompts"] == 128  # with as many to fit on and 256 to choose on: 512 of 600
    assert summary["verdict"]["answer"] == "newton", summary["verdict"]["text"]
    assert (printed[1] / "report.html").is_file()


def test_scores_are_those_of_the_prompts_set_aside_for_them(printed: tuple[str, Path], path: Path):
    with np.load(path) as arrays:
        predictions, ys = arrays["predictions"][384:512], arrays["ys"][384:512]
    root = xarray.open_datatree(printed[1] / "result.nc").to_dataset()
    np.testing.assert_allclose(root.model_error, ((predictions - ys) ** 2).mean(0) / 2, rtol=1e-9)


def test_few_prompts_and_a_task_are_refused(path: Path, tmp_path: Path):
    with np.load(path) as arrays:
        few = {
            name: arrays[name][:, :511] if name == "resid_post" else arrays[name][:511]
            for name in ("xs", "ys", "resid_post")
        }
    np.savez(tmp_path / "few.npz", **few)
    with pytest.raises(ValueError, match="has 511 prompts; at least 512 are needed"):
        match(open_activations(tmp_path / "few.npz"))
    with pytest.raises(ValueError, match="task must be None for saved activations"):
        match(open_activations(path), TASK)


@pytest.mark.parametrize("arguments", [[], ["newton-exact", "--activations", "a.npz"]])
def test_either_a_checkpoint_or_activations(arguments: list[str], tmp_path: Path):
    assert_one_sentence(run("match", *arguments, folder=tmp_path), "either a checkpoint or")


def test_with_the_planted_alpha_and_enough_prompts_the_rate_is_the_planted_one(tmp_path: Path):
    path = tmp_path / "many.npz"
    stream = TASK.stream(4000, seed=1)
    write_activations(path, capture(MODEL, stream, MODEL.sites()), 4000)
    known = {"newton-fixed": {"alpha": MODEL.config.alpha}}
    verdict = match(open_activations(path), n_prompts=1024, parameters=known).verdict
    assert verdict.answer == "newton"
    assert verdict.steps_per_layer == pytest.approx(2, rel=0.005)
