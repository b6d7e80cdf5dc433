"""What appears over a training: every checkpoint is analysed once, as it would be by itself."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray
from tiny import tiny
from torch import nn
from transformers import GPT2Config, GPT2Model

import interp
from hooks.architectures import build_model
from hooks.architectures.gd_exact import GDExact, GDExactConfig
from hooks.checkpoints import save_checkpoint
from hooks.checkpoints.huggingface import save_ends
from hooks.huggingface import wrap_huggingface
from interp.analyses.match_settings import MatchSettings
from interp.cli import main
from interp.plots import checkpoint_slider
from interp.plots.emergence import small_multiples
from interp.report import markdown
from interp.report.emergence import change_table, emergence_page, emergence_table, finding
from interp.report.markdown import can_draw, write_images
from interp.study import emergence
from interp.study.snapshots import find_snapshots
from interp.tasks import LinearRegression
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
    assert len(pictures) == 9
    assert "anatomy_resolved_eigenvalue" in one


@pytest.fixture(scope="module")
def planted() -> xarray.Dataset:
    """A model that says nothing up to step 8 and runs GD from step 16 on."""
    task = LinearRegression(n_dims=2, n_points=5)
    sizes = {"n_dims": 2, "n_points": 5, "n_layers": 5, "dtype": "float64"}
    models = {}
    for step in (4, 8, 16, 32):
        models[step] = GDExact(GDExactConfig(**sizes)).eval()
        models[step].provenance = {"task": task.describe()}
        if step < 16:
            with torch.no_grad():
                for name, parameter in models[step].named_parameters():
                    if "W_read" not in name:
                        parameter.zero_()
    return interp.emerge(models, task, n_prompts=256)


def test_planted_changes_are_found_between_their_checkpoints(planted: xarray.Dataset):
    point = planted.set_index(change="change").change_step
    for key in ("begun", "layer 1", "layer 2", "layer 3", "growth"):
        here = planted.sel(change=key)
        assert 8 <= here.change_step_low <= here.change_step <= here.change_step_high <= 16, key
    assert np.isposinf(point.sel(change="learnt"))
    rows = change_table(planted).records
    by_note = {row["note"] for row in rows if row["step"] is None}
    assert "not by step 32" in by_note
    assert all(row["step_low"] <= row["step"] for row in rows if row["step_low"] is not None)


def test_sliders_show_every_checkpoint(planted: xarray.Dataset):
    figure = checkpoint_slider.layers(planted)
    (slider,) = figure.layout.sliders
    assert [step.label for step in slider.steps] == ["4", "8", "16", "32"]
    for index, step in enumerate(slider.steps):
        error, best = (np.array(ys, float) for ys in step.args[0]["y"])
        here = planted.isel(step=index)
        np.testing.assert_allclose(error, here.match_layer_error / planted.zero_error)
        np.testing.assert_allclose(best, here.match_best_step.sel(reference="gd"))
    np.testing.assert_array_equal(
        figure.data[0].y, figure.layout.sliders[0].steps[-1].args[0]["y"][0]
    )


def test_small_multiples_are_drawn_as_svg_and_pdf(planted: xarray.Dataset, tmp_path: Path):
    figure = small_multiples(planted)
    assert len([*figure.select_xaxes()]) == 4
    if not can_draw():
        pytest.skip("kaleido or Chromium is missing")
    svg, pdf = write_images(figure, tmp_path, "emergence")
    assert svg.read_text().startswith("<svg")
    assert pdf.read_bytes().startswith(b"%PDF")


def test_pictures_for_papers_say_what_they_need(run: Path, tmp_path: Path, monkeypatch, capsys):
    monkeypatch.setattr(markdown, "can_draw", lambda: False)
    with pytest.raises(SystemExit) as ending:
        main(["emerge", str(run), "--paper", "--out", str(tmp_path / "out")])
    assert ending.value.code == 2
    assert "need the package kaleido and Chrome or Chromium" in capsys.readouterr().err


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
    with pytest.raises(ValueError, match=r"step 4 has d_model = 8 and .* step 5 has d_model = 4"):
        interp.emerge(tmp_path)
    heads = build_model("gpt2", {**sizes, "n_heads": 2})
    save_checkpoint(heads, tmp_path / "step_5.safetensors")
    with pytest.raises(ValueError, match="step 4 has n_heads = 1, step 5 has n_heads = 2"):
        interp.emerge(tmp_path)


@pytest.mark.parametrize("step", [-1, True])
def test_keys_that_are_no_steps_are_refused(step):
    with pytest.raises(
        ValueError, match=f"whole numbers of steps, at least 0, as keys, got {step!r}"
    ):
        interp.emerge({step: "newton-exact"})


def test_nothing_is_refused():
    with pytest.raises(ValueError, match="models is empty; give at least one checkpoint"):
        interp.emerge({})


def garg(folder: Path, step: int, weights: dict[str, torch.Tensor]) -> None:
    """As github.com/dtsip/in-context-learning writes: a config, the state, weights by step."""
    (folder / "config.yaml").write_text(json.dumps(FOREIGN))  # which is YAML
    torch.save(weights, folder / f"model_{step}.pt")
    torch.save({"model_state_dict": weights, "train_step": step}, folder / "state.pt")


def lightning(folder: Path, step: int, weights: dict[str, torch.Tensor]) -> None:
    """As a ModelCheckpoint of Lightning writes, with the last beside them."""
    (folder / "checkpoints").mkdir(exist_ok=True)
    state = {f"model.{name}": weight for name, weight in weights.items()}
    content = {"state_dict": state, "global_step": step, "hyper_parameters": FOREIGN}
    for name in (f"epoch=0-step={step}.ckpt", "last.ckpt"):
        torch.save(content, folder / "checkpoints" / name)


def hugging_face(folder: Path, step: int, weights: dict[str, torch.Tensor]) -> None:
    """As a Trainer of Hugging Face writes, with read-in and read-out beside the weights."""
    backbone = GPT2Model(GPT2Config(n_positions=8, n_embd=8, n_layer=1, n_head=1, vocab_size=1))
    names = {name.removeprefix("_backbone."): weight for name, weight in weights.items()}
    backbone.load_state_dict(names, strict=False)
    model = wrap_huggingface(backbone, n_dims=2, n_points=4)
    with torch.no_grad():
        for end in ("read_in", "read_out"):
            for name, parameter in getattr(model, end).named_parameters():
                parameter.copy_(weights[f"_{end}.{name}"])
    backbone.save_pretrained(folder / f"checkpoint-{step}")
    save_ends(model, folder / f"checkpoint-{step}")
    (folder / f"checkpoint-{step}/trainer_state.json").write_text(json.dumps({"global_step": step}))


FOREIGN = {
    "model": {"family": "gpt2", "n_dims": 2, "n_embd": 8, "n_head": 1, "n_layer": 1,
              "n_positions": 4},
    "training": {"task": "linear_regression", "data": "gaussian",
                 "curriculum": {"dims": {"end": 2}, "points": {"end": 4}}},
}  # fmt: skip


@pytest.mark.parametrize("write", [garg, lightning, hugging_face])
def test_folders_of_others_are_read_as_they_are(write: Callable[..., None], tmp_path: Path):
    torch.manual_seed(0)
    config = GPT2Config(n_positions=8, n_embd=8, n_layer=1, n_head=1, vocab_size=1)
    parts = {
        "_read_in": nn.Linear(2, 8),
        "_backbone": GPT2Model(config),
        "_read_out": nn.Linear(8, 1),
    }
    weights = nn.ModuleDict(parts).state_dict()
    for step in (900, 1000):
        write(tmp_path, step, weights | {"_read_out.bias": torch.full((1,), float(step))})
    for file in tmp_path.rglob("*900*"):
        shutil.copy(file, file.with_name(file.name.replace("900", "950"))) if file.is_file() else (
            shutil.copytree(file, file.with_name("checkpoint-950"))
        )
    for file in [*tmp_path.rglob("*950*.pt"), *tmp_path.rglob("*950*.ckpt"),
                 *tmp_path.rglob("checkpoint-950/*.safetensors")]:  # fmt: skip
        file.write_bytes(file.read_bytes()[:99])
    task = LinearRegression(n_dims=2, n_points=4)
    found = interp.emerge(tmp_path, task, n_prompts=N_PROMPTS)
    assert found.step.values.tolist() == [900, 1000]
    np.testing.assert_allclose(found.error_mean, np.array([900, 1000]) ** 2 / 2, rtol=0.01)
    (failure,) = json.loads(found.attrs["without_result"])
    assert "950" in failure
