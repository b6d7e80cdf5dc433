"""What appears over a training: every checkpoint is analysed once, as it would be by itself."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray
from tiny import tiny

import interp
from hooks.architectures import build_model
from hooks.checkpoints import save_checkpoint
from interp.analyses.match_settings import MatchSettings
from interp.cli import main
from interp.report.emergence import emergence_page, emergence_table, finding
from interp.study import emergence
from interp.study.snapshots import find_snapshots
from interp.tasks.compatibility import task_of

STEPS = [2, 4]
N_PROMPTS = 128


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training of a few steps with two of its snapshots."""
    folder = tmp_path_factory.mktemp("run")
    interp.train(interp.Recipe.from_mapping(tiny(keep="log", n_steps=4)), folder)
    for step in (1, 3):
        (folder / f"snapshots/step_{step}.safetensors").unlink()
    return folder


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("out")


@pytest.fixture(scope="module")
def found(run: Path, out: Path) -> xarray.Dataset:
    return interp.emerge(run, n_prompts=N_PROMPTS, out=out)


def test_a_step_has_the_numbers_of_its_checkpoint_alone(run: Path, found: xarray.Dataset):
    assert found.step.values.tolist() == STEPS
    model = interp.load(run / "snapshots/step_2.safetensors")
    result = interp.match(model, settings=MatchSettings(("resid_post",), n_prompts=N_PROMPTS))
    at_2 = found.sel(step=2)
    np.testing.assert_array_equal(at_2.match_layer_error, result.layers.mean_error[0])
    for name in ("newton", "gd"):
        alone, here = result.reference(name).isel(site=0), at_2.sel(reference=name)
        np.testing.assert_array_equal(here.match_best_step, alone.best_step)
        np.testing.assert_array_equal(here.match_best_similarity, alone.best_similarity)
    prompts = task_of(model).sample(N_PROMPTS, torch.Generator().manual_seed(0))
    errors = (model(prompts.xs, prompts.ys) - prompts.ys).square().mean() / 2
    assert at_2.error_mean.item() == pytest.approx(errors.item(), rel=1e-5)
    assert found.zero_error.item() == pytest.approx(prompts.ys.square().mean().item() / 2, rel=1e-5)


def test_what_is_done_is_not_done_again(run: Path, found: xarray.Dataset, out: Path, monkeypatch):
    def fail(cell: object) -> None:
        raise AssertionError(cell)

    monkeypatch.setattr(emergence, "run_cell", fail)
    xarray.testing.assert_identical(interp.emerge(run, n_prompts=N_PROMPTS, out=out), found)
    renamed = {step: run / f"snapshots/step_{step}.safetensors" for step in STEPS[::-1]}
    xarray.testing.assert_identical(interp.emerge(renamed, n_prompts=N_PROMPTS, out=out), found)


def test_a_truncated_file_costs_its_step_and_is_named(
    run: Path, found: xarray.Dataset, out: Path, tmp_path: Path, monkeypatch, capsys
):
    shutil.copytree(run / "snapshots", tmp_path / "run")
    whole = (tmp_path / "run/step_4.safetensors").read_bytes()
    (tmp_path / "run/step_4.safetensors").write_bytes(whole[: len(whole) // 2])
    shutil.copytree(out / "cells", tmp_path / "out/cells")
    options = ["--prompts", N_PROMPTS, "--out", tmp_path / "out"]
    with pytest.raises(SystemExit) as ending:
        main([str(part) for part in ("emerge", tmp_path / "run", *options)])
    assert ending.value.code == 2
    printed = capsys.readouterr()
    assert "without result: step 4: " in printed.err
    assert "The verdict after 2 steps is" in printed.out
    saved = xarray.load_dataset(tmp_path / "out/result.nc")
    xarray.testing.assert_equal(saved.drop_attrs(), found.sel(step=[2]).drop_attrs())
    summary = json.loads((tmp_path / "out/summary.json").read_text())
    assert [row["step"] for row in summary["steps"]] == [2]
    assert "step 4: " in summary["without_result"][0]
    assert "plotly" in (tmp_path / "out/report.html").read_text()


@pytest.mark.parametrize(
    "names",
    [
        ("model_{}.pt", "state.pt", "config.yaml"),
        ("checkpoint-{}/config.json", "trainer_state.json"),
        ("checkpoints/epoch=7-step={}.ckpt", "hparams.yaml"),
        ("step_{}.safetensors", "model.safetensors", "model-00001-of-00002.safetensors"),
    ],
)
def test_steps_are_read_from_the_names_that_training_loops_give(names, tmp_path: Path):
    for name in (names[0].format(900), names[0].format(1000), *names[1:]):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert {step for step, _ in find_snapshots(tmp_path)} == {900, 1000}


def test_steps_are_read_from_metadata_where_names_have_none(
    run: Path, found: xarray.Dataset, out: Path, tmp_path: Path
):
    for step, name in zip(STEPS, "ba", strict=True):
        shutil.copy(run / f"snapshots/step_{step}.safetensors", tmp_path / f"{name}.safetensors")
    xarray.testing.assert_identical(interp.emerge(tmp_path, n_prompts=N_PROMPTS, out=out), found)


def test_models_in_memory_are_taken_apart_too(run: Path, found: xarray.Dataset):
    model = interp.load(run)
    anatomy = interp.anatomy(model, points=[2], n_prompts=512).table
    one = interp.emerge({0: model}, n_prompts=N_PROMPTS, anatomy=True)
    np.testing.assert_array_equal(one.anatomy_share[0], anatomy.share[:, 0])
    assert one.error_mean.item() == found.error_mean.sel(step=4).item()
    pictures = [figure for part in emergence_page(one, "run").sections for figure in part.pictures]
    assert len(pictures) == 4
    assert {axis.type for figure in pictures for axis in figure.select_xaxes()} == {"linear"}


def test_the_finding_says_since_when_the_last_verdict_stands(found: xarray.Dataset):
    said = found.assign(match_verdict=("step", np.array(["gd", ""], object)))
    assert finding(said) == "The verdict after 4 steps is “no result”, since step 4"
    assert [row["verdict"] for row in emergence_table(said).records] == ["gd", "no result"]


def test_bad_folders_are_refused(run: Path, tmp_path: Path):
    with pytest.raises(ValueError, match="no folder with checkpoints; expected"):
        interp.emerge(tmp_path)
    shutil.copy(run / "model.safetensors", tmp_path / "step_4.safetensors")
    shutil.copy(run / "model.safetensors", tmp_path / "step_04.safetensors")
    with pytest.raises(ValueError, match="are both of step 4; keep one of them"):
        interp.emerge(tmp_path)
    (tmp_path / "step_04.safetensors").unlink()
    sizes = {key: value for key, value in tiny()["model"].items() if key != "architecture"}
    wider = build_model("gpt2", {**sizes, "d_model": 4})
    save_checkpoint(wider, tmp_path / "step_5.safetensors")
    with pytest.raises(ValueError, match=r"step 4 has 1 layers and .* step 5 has 1 layers and"):
        interp.emerge(tmp_path)
