"""Sweeps: what is computed, what is kept, and what it adds up to."""

from __future__ import annotations

import io
import os
import re
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray
from hypothesis import given, settings
from hypothesis import strategies as st
from processes import Command, die_before_write
from rich.console import Console
from sweep_deadly import DeadlyOnce
from tiny import tiny

from hooks.architectures import build_model
from hooks.capture import capture
from hooks.checkpoints import save_checkpoint
from interp.analyses.match import match
from interp.analyses.robustness import conditions
from interp.study import Grid, Pool, run_sweep
from interp.study.analyses import ConditionsAnalysis, ErrorAnalysis, MatchAnalysis
from interp.study.analysis import AnalysisCell
from interp.study.checkpoint import Checkpoint
from interp.study.grid import ModelEntry, TaskEntry
from interp.study.readouts import ReadoutAnalysis
from interp.study.store import Store
from interp.study.table import sweep_table
from interp.tasks import LinearRegression
from interp.training.recipe import Recipe
from interp.training.train import train
from interp.zoo.loading import load
from probes.readout_fitter import ReadoutFitter

TASK = LinearRegression(n_dims=2, n_points=5)
ERROR = ErrorAnalysis(n_prompts=64)
READOUTS = ReadoutAnalysis(n_prompts=300, n_shards=3, references=("gd",))
CONFIG = {"n_dims": 2, "n_points": 5, "n_layers": 2, "n_heads": 1, "d_model": 8}


def save_model(file: Path, seed: int = 0, n_layers: int = 2) -> str:
    model = build_model("gpt2", {**CONFIG, "n_layers": n_layers}, seed=seed)
    save_checkpoint(model, file, {"task": TASK.describe()})
    return str(file)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """As cells have, so that what is computed beside them has the same digits."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


@pytest.fixture
def source(tmp_path: Path) -> str:
    return save_model(tmp_path / "model.safetensors")


def small_grid(*sources: str, **more: object) -> Grid:
    models = tuple(ModelEntry(Path(source).stem, source) for source in sources)
    return Grid(models, {"error": ERROR, "readouts": READOUTS}, **more)


def computed(sweep_folder: Path) -> dict[str, int]:
    """The cells that are there, and when they were written."""
    return {f.name: f.stat().st_mtime_ns for f in (sweep_folder / "cells").glob("*.msgpack")}


def test_every_combination_is_there_under_its_labels(tmp_path: Path):
    deep, flat = (save_model(tmp_path / f"{n}.safetensors", n_layers=n) for n in (3, 1))
    tasks = (TaskEntry("plain", {}), TaskEntry("noisy", {"noise_std": 0.5}))
    grid = small_grid(deep, flat, tasks=tasks, seeds=(3, 4))
    one_part = {"whole": ReadoutAnalysis(n_prompts=100, references=("gd",))}
    grid = replace(grid, analyses={**grid.analyses, **one_part})
    data = run_sweep(grid, tmp_path / "out").data
    assert data.error_mean.dims == ("model", "task", "seed")
    assert data.error_mean.notnull().all()
    by_hand = ERROR.run(Checkpoint.of(flat).load(), tasks[1].of(TASK), 4, 0)
    found = data.sel(model="1", task="noisy", seed=4)
    assert found.error_mean == by_hand["mean"]
    np.testing.assert_array_equal(found.error_by_point, by_hand.by_point)
    assert data.readouts_error.sizes["layer"] == 4
    assert found.readouts_error.notnull().values.tolist() == [True, True, False, False]
    assert found.whole_error.notnull().values.tolist() == [True, True, False, False]
    assert data.whole_error.dims == data.readouts_error.dims
    xarray.testing.assert_identical(data, xarray.load_dataset(tmp_path / "out" / "sweep.nc"))


def test_only_what_is_new_is_computed(tmp_path: Path, source: str):
    out = tmp_path / "out"
    first = run_sweep(small_grid(source), out).data
    before = computed(out)
    ticks = []
    again = run_sweep(small_grid(source), out, progress=lambda *tick: ticks.append(tick)).data
    xarray.testing.assert_identical(again, first)
    assert computed(out) == before
    assert ticks[0] == ("cells", 4, 4)
    moved = shutil.move(source, tmp_path / "moved.safetensors")
    run_sweep(small_grid(str(moved), seeds=(0, 1)), out)
    after = computed(out)
    assert len(after) == 2 * len(before)
    assert before.items() <= after.items()


cells = st.builds(
    AnalysisCell,
    checkpoint=st.builds(Checkpoint, st.sampled_from(["a", "b"]), st.sampled_from(["x", "y"])),
    task=st.builds(LinearRegression, noise_std=st.sampled_from([0.0, 0.1])),
    seed=st.integers(0, 2),
    analysis=st.one_of(
        st.builds(ErrorAnalysis, n_prompts=st.integers(2, 3)),
        st.builds(ReadoutAnalysis, n_prompts=st.sampled_from([2048, 10_000])),
    ),
    part=st.integers(0, 1),
)


@given(cells, cells)
def test_cells_share_a_result_only_if_they_are_the_same(a: AnalysisCell, b: AnalysisCell):
    assert (a.key == b.key) == (a == b)


def test_a_checkpoint_is_its_content(tmp_path: Path, source: str):
    run_directory = tmp_path / "run"
    run_directory.mkdir()
    shutil.copy(source, run_directory / "model.safetensors")
    other = save_model(tmp_path / "other.safetensors", seed=1)
    assert Checkpoint.of(str(run_directory)) == Checkpoint.of(source) != Checkpoint.of(other)
    assert Checkpoint.of("gpt2-d5") != Checkpoint.of("gpt2-d5-random")
    assert Checkpoint.of("gd-exact") != Checkpoint.of("newton-exact")


def test_two_workers_of_which_one_is_killed_give_the_bits_of_one_process(
    tmp_path: Path, source: str, cluster: str
):
    mark = tmp_path / "mark"
    deadly = {"deadly": DeadlyOnce(str(mark), deadly_seed=2)}
    grid = replace(small_grid(source, seeds=(0, 1, 2, 3)), analyses={"readouts": READOUTS} | deadly)
    found = run_sweep(grid, tmp_path / "two", Pool(dask_address=cluster))
    assert mark.exists(), "no worker was killed"
    assert not found.failures
    xarray.testing.assert_identical(found.data, run_sweep(grid, tmp_path / "one").data)


@settings(max_examples=5)
@given(st.integers(1, 6), st.integers(0, 5))
def test_shards_add_up_to_one_fit_on_all_their_prompts(n_shards: int, seed: int):
    analysis = ReadoutAnalysis(n_prompts=120, n_shards=n_shards, references=())
    model = build_model("gpt2", CONFIG, seed=0)
    parts = [analysis.gather(model, TASK, seed, part) for part in range(n_shards)]
    whole = ReadoutFitter(3, 8, 1)
    for part in range(n_shards):
        first, _ = analysis.seeds(seed, part)
        n_fit, n_held_out = analysis.sizes(part)
        assert n_fit > n_held_out
        for batch in capture(model, TASK.stream(n_fit, seed=first), model.sites()):
            whole.update(batch.activations.flatten(1, 2), batch.ys.flatten()[:, None])
    merged = parts[0]
    for part in parts[1:]:
        merged = merged.merge(part)
    n_samples = merged.y["fit"].count + merged.y["held_out"].count
    assert n_samples.item() == 120 * TASK.n_points
    for name in ("count", "feature_mean", "feature_scatter", "cross_scatter", "target_scatter"):
        torch.testing.assert_close(
            getattr(merged.y["fit"], name),
            getattr(whole.statistics, name),
            rtol=1e-10,
            atol=1e-10,
        )


def test_a_match_keeps_its_verdict(tmp_path: Path):
    analysis = MatchAnalysis(n_prompts=128)
    grid = Grid((ModelEntry("a", "gd-exact"),), {"match": analysis})
    data = run_sweep(grid, tmp_path).data.isel(model=0, task=0, seed=0)
    result = match(load("gd-exact"), settings=analysis.settings(0))
    assert data.match_answer == result.verdict.answer
    [unit] = data.match_rate_of.values.flat
    assert re.fullmatch(r"of GD, one step size, eta = [\d.]+, eta × steps = [\d.]+ a layer", unit)
    shown = io.StringIO()
    Console(file=shown, width=100).print(sweep_table(data.expand_dims(("model", "task", "seed"))))
    assert all(part in shown.getvalue() for part in unit.split(", "))
    assert data.match_steps_per_layer == result.verdict.steps_per_layer
    found = data.match_best_step.sel(reference="gd")
    np.testing.assert_array_equal(found, result.reference("gd").best_step.isel(site=0))


def test_a_result_that_fails_leaves_a_gap_and_stops_no_other(tmp_path: Path, source: str):
    weights = build_model("gpt2", CONFIG, seed=0)
    with torch.no_grad():
        next(weights.parameters()).mul_(1e30)
    save_checkpoint(weights, tmp_path / "huge.safetensors", {"task": TASK.describe()})
    found = run_sweep(small_grid(source, str(tmp_path / "huge.safetensors")), tmp_path / "out")
    assert len(found.failures) == 2
    assert all("of huge, as trained, seed 0: " in failure for failure in found.failures)
    assert found.data.error_mean.notnull().values.ravel().tolist() == [True, False]
    text = io.StringIO()
    Console(file=text, width=100).print(sweep_table(found.data))
    good, bad = text.getvalue().splitlines()[-2:]
    assert f"{found.data.error_mean.values[0].item():.4g}" in good
    assert bad.split()[-3:] == ["–", "–", "–"]


def test_conditions_are_those_of_the_command(tmp_path: Path, source: str):
    built = build_model("gd-exact", {"n_dims": 2, "n_points": 5, "looped": True, "n_layers": 3})
    save_checkpoint(built, tmp_path / "gd.safetensors", {"task": TASK.describe()})
    models = (ModelEntry("trained", source), ModelEntry("built", f"{tmp_path}/gd.safetensors@1"))
    tasks = (
        TaskEntry("linear", {"noise_std": 0.0}),
        TaskEntry("network", {"name": "two_layer_network", "n_dims": 2, "n_points": 5}),
    )
    analyses = {
        "readouts": READOUTS,
        "kappa": ConditionsAnalysis(vary=("kappa",), values=(1.0, 100.0), n_prompts=256),
        "others": ConditionsAnalysis(vary=("y-scale", "points"), n_prompts=256),
    }
    data = run_sweep(Grid(models, analyses, tasks), tmp_path / "out").data.isel(seed=0)
    linear, network = (data.sel(task=label) for label in ("linear", "network"))
    by_hand = conditions(
        load(source), TASK, vary=["kappa"], values={"kappa": [1.0, 100.0]}, n_prompts=256
    ).table("kappa")
    found = linear.sel(model="trained", reference=by_hand.reference, layer=by_hand.layer)
    assert found.kappa_kappa_model_error.values == pytest.approx(by_hand.model_error.values)
    steps = found.kappa_kappa_best_step.transpose("kappa", "reference", "layer")
    assert steps.values == pytest.approx(by_hand.best_step.values, nan_ok=True)
    assert set(data.reference.values) == {"newton", "gd", "cg"}  # of all analyses together
    assert data.readouts_iterate_best_r2.sel(reference="gd", layer=[0, 1]).notnull().all()
    assert network.kappa_kappa_model_error.isnull().all()  # it has no condition number
    assert linear.others_y_scale_model_error.notnull().all()
    lengths = linear.others_points_model_error
    assert lengths.sel(model="trained").isnull().all()  # its positions are learned
    assert lengths.sel(model="built").notnull().all()
    assert linear.kappa_kappa_layer_error.sel(model="built", layer=[0, 1]).notnull().all()
    assert linear.kappa_kappa_layer_error.sel(model="built", layer=2).isnull().all()  # one loop


def test_trainings_are_those_of_their_recipes(tmp_path: Path):
    recipes = [Recipe.from_mapping({**tiny(), "seed": seed}) for seed in (0, 1)]
    models = tuple(ModelEntry(str(recipe.seed), recipe=recipe) for recipe in recipes)
    grid = Grid(models, {"error": ERROR})
    train(recipes[0], tmp_path / "alone")
    data = run_sweep(grid, tmp_path / "out").data
    files = sorted((tmp_path / "out" / "trainings").glob("*/model.safetensors"))
    assert len(files) == 2
    alone = load(tmp_path / "alone")
    assert ERROR.run(alone, recipes[0].task, 0, 0)["mean"] == data.error_mean.sel(model="0").item()
    written = [file.stat().st_mtime_ns for file in files]
    xarray.testing.assert_identical(run_sweep(grid, tmp_path / "out").data, data)
    assert [file.stat().st_mtime_ns for file in files] == written


def test_a_training_on_a_worker_that_sees_no_folder_of_ours(tmp_path: Path, cluster: str):
    grid = Grid((ModelEntry("a", recipe=Recipe.from_mapping(tiny())),), {"error": ERROR})
    there = run_sweep(grid, tmp_path / "there", Pool(dask_address=cluster))
    assert not there.failures
    assert there.data.error_mean == run_sweep(grid, tmp_path / "here").data.error_mean


GRID = """
[[model]]
checkpoint = {source!r}
[[analysis]]
name = "error"
n_prompts = 64
[[analysis]]
name = "readouts"
n_prompts = 300
n_shards = 3
references = []
"""


def write_grid(folder: Path, source: str) -> Path:
    file = folder / "grid.toml"
    file.write_text(GRID.format(source=source))
    return file


def test_a_killed_sweep_goes_on_where_it_was(tmp_path: Path, source: str):
    arguments = ("sweep", write_grid(tmp_path, source), "--jobs", 1, "--out", tmp_path / "out")
    writes_of_a_cell = 3  # sync the file, move it, sync the folder
    killed = Command(
        *arguments, folder=tmp_path, prepare=die_before_write,
        prepare_with=(2 * writes_of_a_cell + 2,),
    ).end()  # fmt: skip
    assert killed.code == -signal.SIGKILL
    before = computed(tmp_path / "out")
    assert len(before) == 2
    ending = Command(*arguments, folder=tmp_path).end()
    assert ending.code == 0, ending.stderr
    assert before.items() <= computed(tmp_path / "out").items()
    data = xarray.load_dataset(tmp_path / "out" / "sweep.nc")
    assert f"{data.error_mean.item():.4g}" in ending.stdout
    assert "sweep.nc" in ending.stdout


MANY_CELLS = """
seeds = {seeds}
[[model]]
checkpoint = {source!r}
[[analysis]]
name = "error"
n_prompts = 16384
"""


def test_ctrl_c_keeps_what_is_done_and_nothing_by_halves(tmp_path: Path, source: str):
    n_cells = 24
    grid, out = tmp_path / "grid.toml", tmp_path / "out"
    grid.write_text(MANY_CELLS.format(seeds=list(range(n_cells)), source=source))
    command = Command("sweep", grid, "--jobs", 2, "--out", out, folder=tmp_path, prepare=os.setsid)
    group = command.process.pid
    assert group is not None
    while not computed(out):
        assert command.process.is_alive()
        time.sleep(0.005)
    os.killpg(group, signal.SIGINT)  # as a terminal does: to the command and to its workers
    ending = command.end()
    assert (ending.code, ending.stderr) == (130, "interp: interrupted\n")
    before = computed(out)
    assert 0 < len(before) < n_cells
    assert {path for path in out.rglob("*") if path.is_file()} == {
        out / "cells" / name for name in before
    }
    for name in before:
        assert np.isfinite(Store(out / "cells", xarray.Dataset).read(Path(name).stem)["mean"])
    assert is_gone(group, within=20)
    again = Command("sweep", grid, "--jobs", 1, "--out", out, folder=tmp_path).end()
    assert again.code == 0, again.stderr
    assert before.items() <= computed(out).items()
    assert xarray.load_dataset(out / "sweep.nc").error_mean.notnull().sum() == n_cells


def is_gone(group: int, within: float) -> bool:
    """Whether the last process of a group ends within some seconds."""
    end = time.monotonic() + within
    while time.monotonic() < end:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (("checkpoint", "checkpiont"), "says either checkpoint or recipe, got checkpiont"),
        (("[[model]]", "[[modle]]"), "modle is unknown"),
        (("n_shards = 3", "n_shards = 300"), "n_shards must be at most"),
        (("model.safetensors", "nothing.safetensors"), "nothing.safetensors: no such file"),
        (("[[analysis]]", "[[task]]\nn_dims = 3\n[[analysis]]"), "the model was built for 2"),
    ],
)
def test_a_grid_that_is_wrong(tmp_path: Path, source: str, change: tuple[str, str], part: str):
    grid = write_grid(tmp_path, source)
    grid.write_text(grid.read_text().replace(*change, 1))
    ending = Command("sweep", grid, "--out", tmp_path / "out", folder=tmp_path).end()
    assert (ending.code, ending.stderr.count("\n")) == (2, 1)
    assert part in ending.stderr
    assert not (tmp_path / "out").exists()


def test_an_output_folder_that_cannot_be(tmp_path: Path, source: str):
    grid = write_grid(tmp_path, source)
    ending = Command("sweep", grid, "--out", grid, folder=tmp_path).end()
    assert (ending.code, ending.stderr.count("\n")) == (2, 1)
    assert str(grid) in ending.stderr
