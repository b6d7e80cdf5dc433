from __future__ import annotations

import csv
import json
import random
import shutil
import time
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Literal

import pytest
import torch
from processes import Command, die_before_write, join_group
from safetensors.torch import load as safetensors_load
from safetensors.torch import load_file
from sklearn.linear_model import LinearRegression as SklearnRegression
from sklearn.linear_model import Ridge as SklearnRidge
from tiny import tiny, write_recipe

from hooks.architectures import build_model
from hooks.checkpoints import load_checkpoint, save_checkpoint
from interp.recipes import find_recipe
from interp.tasks import LinearRegression
from interp.training.baseline import baseline_error
from interp.training.optimiser import build_optimiser, optimiser_tensors, restore_optimiser
from interp.training.recipe import Recipe
from interp.training.run_directory import RunDirectory, RunError
from interp.training.settings import Optimiser
from interp.training.train import train
from interp.training.validation import validation_error, validation_prompts

RESULT_FILES = ("model.safetensors", "training.safetensors")


def same_bits(one: Path, other: Path) -> bool:
    """Whether two runs ended with the same weights, optimiser and generator, to the last bit."""
    pairs = [(load_file(one / name), load_file(other / name)) for name in RESULT_FILES]
    return all(
        set(a) == set(b) and all(torch.equal(a[name], b[name]) for name in a) for a, b in pairs
    )


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    recipe = write_recipe(folder, tiny())
    ending = Command("train", recipe, "--out", folder, "--threads", 1, folder=folder).end()
    assert ending.code == 0, ending.stderr
    return folder / "tiny"


def test_a_run_leaves_model_metrics_log_and_recipe(undisturbed: Path):
    assert {path.name for path in undisturbed.iterdir()} == {
        ".lock", "model.safetensors", "training.safetensors", "metrics.csv", "recipe.json",
        "training.log",
    }  # fmt: skip
    model = load_checkpoint(undisturbed / "model.safetensors")
    recipe = Recipe.from_mapping(tiny())
    assert Recipe.from_mapping(model.provenance["recipe"]) == recipe
    assert model.provenance["step"] == 12
    assert "torch" in model.provenance["versions"]
    with (undisturbed / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == [6, 12]
    last = model.provenance["metrics"]
    assert float(rows[-1]["error"]) == last["error"]
    assert last["excess"] == last["error"] - last["baseline_error"]
    prompts = validation_prompts(recipe.task, 64)
    assert validation_error(model, prompts) / 2 == pytest.approx(last["error"], rel=1e-6)
    log = (undisturbed / "training.log").read_text().splitlines()
    assert [line.split("  ", 1)[1].split(":")[0] for line in log] == [
        "started", "step  6 of 12", "step 12 of 12", "finished"
    ]  # fmt: skip


def test_killed_at_every_write_it_ends_with_the_same_bits(tmp_path: Path, undisturbed: Path):
    recipe = write_recipe(tmp_path, tiny())
    for n in count(1):
        folder = tmp_path / f"{n}"
        arguments = ("train", recipe, "--out", folder, "--threads", 1)
        if (
            Command(*arguments, folder=tmp_path, prepare=die_before_write, prepare_with=(n,))
            .end()
            .code
            == 0
        ):
            break
        model = folder / "tiny" / "model.safetensors"
        if model.exists():
            load_checkpoint(model)
        ending = Command(*arguments, folder=tmp_path).end()
        assert ending.code == 0, ending.stderr
        assert same_bits(folder / "tiny", undisturbed), f"killed before write {n}"
        assert not list((folder / "tiny").glob(".*.part"))
    assert n > 20


def test_killed_at_random_instants_it_ends_with_the_same_bits(tmp_path: Path):
    recipe = write_recipe(tmp_path, tiny(n_steps=300, checkpoint_every=7))
    undisturbed = tmp_path / "undisturbed"
    command = ("train", recipe, "--threads", 1, "--out")
    warm = tmp_path / "warm"  # processes are forked from a server, which the first one starts
    assert Command(*command, warm, folder=tmp_path).end().code == 0
    started = time.monotonic()
    assert Command(*command, undisturbed, folder=tmp_path).end().code == 0
    longest = (time.monotonic() - started) / 2
    killed, n_kills = tmp_path / "killed", 0
    while n_kills < 2:  # where the machine has become faster than it was, kills come too late
        shutil.rmtree(killed, ignore_errors=True)
        n_kills = kill_until_it_ends((*command, killed), tmp_path, longest)
        longest /= 2
        assert same_bits(undisturbed / "tiny", killed / "tiny")


def kill_until_it_ends(arguments: tuple[object, ...], folder: Path, longest: float) -> int:
    """Starts a command again and again, kills it after up to some seconds, and counts the kills."""
    for n_kills in range(60):
        run = Command(*arguments, folder=folder)
        run.process.join(random.uniform(0, longest))
        run.process.kill()
        code = run.end().code
        if code == 0:
            return n_kills
        assert code == -9
    assert Command(*arguments, folder=folder).end().code == 0
    return 60


@pytest.mark.parametrize("optimiser", ["adamw", "muon"])
def test_stopping_early_and_going_on_changes_nothing(tmp_path: Path, optimiser: str):
    recipe = replace(Recipe.from_mapping(tiny()), optimiser=Optimiser(name=optimiser))
    train(recipe, tmp_path / "whole")
    partial = train(recipe, tmp_path / "parts", stop_after=5)
    assert partial.provenance == {}
    assert load_checkpoint(tmp_path / "parts" / "model.safetensors").provenance["step"] == 5
    model = train(recipe, tmp_path / "parts")
    assert same_bits(tmp_path / "whole", tmp_path / "parts")
    stored = load_file(tmp_path / "whole" / "model.safetensors")
    assert all(torch.equal(stored[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("keep", "steps"), [("log", {1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12}), (5, {5, 10, 12})]
)
def test_snapshots_are_the_models_of_their_steps(
    tmp_path: Path, keep: Literal["log"] | int, steps: set[int]
):
    recipe = Recipe.from_mapping(tiny())
    recipe = replace(recipe, training=replace(recipe.training, keep=keep))
    train(recipe, tmp_path, stop_after=5)
    stopped = (tmp_path / "model.safetensors").read_bytes()
    train(recipe, tmp_path)
    kept = {load_checkpoint(path).provenance["step"]: path for path in tmp_path.glob("snapshots/*")}
    assert set(kept) == steps
    assert load_file(kept[5]).keys() == safetensors_load(stopped).keys()
    assert all(
        torch.equal(value, load_file(kept[5])[name])
        for name, value in safetensors_load(stopped).items()
    )


def test_a_finished_run_is_left_as_it_is(tmp_path: Path):
    recipe = Recipe.from_mapping(tiny())
    train(recipe, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    train(recipe, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_another_seed_gives_another_model(tmp_path: Path):
    for seed in (0, 1):
        train(Recipe.from_mapping({**tiny(n_steps=2), "seed": seed}), tmp_path / str(seed))
    assert not same_bits(tmp_path / "0", tmp_path / "1")


def test_progress_is_told_of_every_step(tmp_path: Path):
    told: list[tuple[int, dict[str, float]]] = []
    train(Recipe.from_mapping(tiny()), tmp_path, progress=lambda *update: told.append(update))
    assert [step for step, _ in told] == list(range(13))
    assert all("step_loss" in numbers for step, numbers in told if step)
    assert all(numbers["step"] == step // 6 * 6 for step, numbers in told if step >= 6)


def test_the_loop_is_the_one_a_page_of_torch_would_be(tmp_path: Path):
    recipe = Recipe.from_mapping({**tiny(), "curriculum": {}})
    model = build_model("gpt2", recipe.model, seed=recipe.seed)
    optimiser = torch.optim.AdamW(model.parameters(), 1e-3, (0.9, 0.98), weight_decay=0.0)
    warmup = torch.optim.lr_scheduler.LinearLR(optimiser, 1 / 3, 1.0, total_iters=2)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 9)
    schedule = torch.optim.lr_scheduler.SequentialLR(optimiser, [warmup, decay], [3])
    generator = torch.Generator().manual_seed(recipe.seed)
    for _ in range(12):
        prompts = recipe.task.sample(8, generator)
        (model(prompts.xs, prompts.ys) - prompts.ys.float()).square().mean().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        schedule.step()
    trained = train(recipe, tmp_path)
    for ours, plain in zip(trained.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("precision", ["float32", "tf32", "bf16"])
def test_a_curriculum_below_full_size_ignores_the_other_dimensions(tmp_path: Path, precision: str):
    recipe = tiny(n_steps=3, precision=precision)
    recipe["optimiser"] = {"weight_decay": 0.0}
    recipe["curriculum"] = {"dims": {"start": 1, "end": 2, "increment": 1, "interval": 3}}
    recipe = Recipe.from_mapping(recipe)
    start = build_model(recipe.architecture, recipe.model, seed=recipe.seed).read_in.weight
    end = train(recipe, tmp_path).read_in.weight
    assert end.dtype == torch.float32
    assert torch.equal(start[:, 1], end[:, 1])
    assert not torch.equal(start[:, 0], end[:, 0])


def test_it_starts_from_another_checkpoint_of_the_same_shape(tmp_path: Path):
    recipe = Recipe.from_mapping(tiny(n_steps=1))
    first = build_model("gpt2", recipe.model, seed=7)
    save_checkpoint(first, tmp_path / "first.safetensors")
    settings = replace(recipe.training, initial_checkpoint=str(tmp_path / "first.safetensors"))
    still = replace(recipe.optimiser, learning_rate=1e-30, weight_decay=0.0)
    model = train(replace(recipe, training=settings, optimiser=still), tmp_path / "run")
    for ours, given in zip(model.parameters(), first.parameters(), strict=True):
        torch.testing.assert_close(ours, given, rtol=0, atol=1e-25)


def test_it_refuses_to_start_from_a_checkpoint_of_another_shape(tmp_path: Path):
    recipe = Recipe.from_mapping(tiny())
    other = build_model("gpt2", {**recipe.model, "d_model": 16})
    save_checkpoint(other, tmp_path / "other.safetensors")
    settings = replace(recipe.training, initial_checkpoint=str(tmp_path / "other.safetensors"))
    with pytest.raises(ValueError, match=r"initial_checkpoint .*other.* 16.* 8"):
        train(replace(recipe, training=settings), tmp_path / "run")


def test_a_diverging_training_says_so_and_keeps_its_last_good_state(tmp_path: Path):
    recipe = {**tiny(n_steps=40), "optimiser": {"learning_rate": 1e25, "clip_norm": "none"}}
    with pytest.raises(FloatingPointError, match=r"the (loss|error .*) became (nan|inf) at step"):
        train(Recipe.from_mapping(recipe), tmp_path)
    state = RunDirectory(tmp_path).read_state()
    assert state is None or all(t.isfinite().all() for t in state.tensors.values())
    assert "became" in (tmp_path / "training.log").read_text()


def test_a_folder_of_another_recipe_is_refused(tmp_path: Path):
    train(Recipe.from_mapping(tiny(n_steps=1)), tmp_path)
    with pytest.raises(RunError, match=r"recipe.training.n_steps: 1 there, 2 here"):
        train(Recipe.from_mapping(tiny(n_steps=2)), tmp_path)


def test_a_recipe_written_before_an_entry_existed_is_still_the_same(tmp_path: Path):
    recipe = Recipe.from_mapping(tiny(n_validation_prompts=4096, n_steps=1))
    train(recipe, tmp_path)
    stored = json.loads((tmp_path / "recipe.json").read_text())
    del stored["training"]["n_validation_prompts"]
    (tmp_path / "recipe.json").write_text(json.dumps(stored))
    train(recipe, tmp_path)


@pytest.mark.parametrize("content", [b"", b"{", b"x" * 100])
@pytest.mark.parametrize("name", ["training.safetensors", "recipe.json"])
def test_a_damaged_folder_is_named(tmp_path: Path, name: str, content: bytes):
    recipe = Recipe.from_mapping(tiny(n_steps=1))
    train(recipe, tmp_path)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RunError, match=name):
        train(recipe, tmp_path)


def test_a_folder_in_use_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("interp.training.run_directory.LOCK_PATIENCE_SECONDS", 0.1)
    with (
        RunDirectory(tmp_path).lock(),
        pytest.raises(RunError, match="another process is training in it"),
    ):
        train(Recipe.from_mapping(tiny()), tmp_path)


def test_a_missing_log_is_written_from_the_metrics(tmp_path: Path):
    recipe = Recipe.from_mapping(tiny())
    train(recipe, tmp_path)
    (tmp_path / "training.log").unlink()
    train(recipe, tmp_path)
    assert (tmp_path / "training.log").read_text().count("of 12: loss") == 2


@pytest.mark.parametrize("stop_after", [0, -3])
def test_it_refuses_to_stop_before_it_starts(tmp_path: Path, stop_after: int):
    with pytest.raises(ValueError, match="stop_after must be at least 1"):
        train(Recipe.from_mapping(tiny()), tmp_path, stop_after=stop_after)


@pytest.mark.parametrize(
    ("name", "n_steps"),
    [("gpt2-d20", 20), ("gpt2-d20-ill-conditioned", 2), ("gpt2-d20-noisy", 2)],
)
def test_the_first_steps_at_paper_scale(tmp_path: Path, name: str, n_steps: int):
    recipe = Recipe.read(find_recipe(name))
    smaller = replace(recipe.training, batch_size=2, n_validation_prompts=2)
    told: list[int] = []
    train(
        replace(recipe, training=smaller),
        tmp_path,
        stop_after=n_steps,
        progress=lambda step, numbers: told.append(step),
    )
    assert told == list(range(n_steps + 1))
    assert load_checkpoint(tmp_path / "model.safetensors").provenance["step"] == n_steps


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_an_optimisers_state_survives_its_tensors(name: str):
    def model_and_optimiser() -> tuple[torch.nn.Module, torch.optim.Optimizer]:
        torch.manual_seed(0)
        model = torch.nn.Linear(3, 2)
        return model, build_optimiser(model, Optimiser(name=name))

    def step(model: torch.nn.Module, optimiser: torch.optim.Optimizer) -> None:
        model(torch.ones(1, 3)).square().sum().backward()
        optimiser.step()
        optimiser.zero_grad()

    model, optimiser = model_and_optimiser()
    step(model, optimiser)
    twin, twin_optimiser = model_and_optimiser()
    twin.load_state_dict(model.state_dict())
    tensors = {key: value.clone() for key, value in optimiser_tensors(optimiser).items()}
    restore_optimiser(twin_optimiser, tensors)
    for pair in ((model, optimiser), (twin, twin_optimiser)):
        step(*pair)
    assert torch.equal(model.weight, twin.weight)


@pytest.mark.parametrize("noise_std", [0.0, 0.3])
def test_the_baseline_is_scikit_learns(noise_std: float):
    task = LinearRegression(n_dims=3, n_points=7, noise_std=noise_std)
    prompts = task.sample(5, torch.Generator().manual_seed(0))
    xs, ys = prompts.xs.numpy(), prompts.ys.numpy()
    model = (
        SklearnRidge(noise_std**2, fit_intercept=False, solver="svd")
        if noise_std
        else SklearnRegression(fit_intercept=False)
    )
    total = (ys[:, 0] ** 2).sum()
    for x, y in zip(xs, ys, strict=True):
        for t in range(1, 7):
            total += (model.fit(x[:t], y[:t]).predict(x[t : t + 1])[0] - y[t]) ** 2
    assert baseline_error(task, prompts, batch_size=2) == pytest.approx(total / ys.size / 3)


def test_two_processes_train_the_model_that_one_does(tmp_path: Path, free_port: int):
    recipe = write_recipe(tmp_path, tiny())
    folders = {n: tmp_path / f"{n}" for n in (1, 2)}
    for n, folder in folders.items():
        group = []
        for rank in range(n):
            (tmp_path / f"{n}-{rank}").mkdir()
            group.append(
                Command(
                    "train", recipe, "--out", folder, "--threads", 1,
                    folder=tmp_path / f"{n}-{rank}",
                    prepare=join_group if n > 1 else None,
                    prepare_with=(rank, n, free_port) if n > 1 else (),
                )
            )  # fmt: skip
        endings = [command.end() for command in group]
        assert [ending.code for ending in endings] == [0] * n, endings
        assert [bool(ending.stdout) for ending in endings] == [True] + [False] * (n - 1)
    one, two = (load_file(folder / "tiny" / "model.safetensors") for folder in folders.values())
    for name, weights in one.items():
        torch.testing.assert_close(weights, two[name], rtol=1e-4, atol=1e-5)
    metrics = [
        load_checkpoint(folder / "tiny" / "model.safetensors").provenance["metrics"]
        for folder in folders.values()
    ]
    assert metrics[0]["loss"] == pytest.approx(metrics[1]["loss"], rel=1e-4)


def test_a_batch_that_two_processes_cannot_share_is_refused(tmp_path: Path, free_port: int):
    recipe = write_recipe(tmp_path, tiny(batch_size=7))
    group = []
    for rank in range(2):
        (tmp_path / str(rank)).mkdir()
        group.append(
            Command(
                "train", recipe, "--out", tmp_path, folder=tmp_path / str(rank),
                prepare=join_group, prepare_with=(rank, 2, free_port),
            )
        )  # fmt: skip
    for ending in [command.end() for command in group]:
        assert ending.code == 2
        assert "batch_size must be a multiple of the 2 processes, got 7" in ending.stderr


@pytest.fixture
def free_port() -> int:
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def test_a_folder_that_is_deleted_under_way_ends_the_training(tmp_path: Path):
    def delete(step: int, numbers: dict[str, float]) -> None:
        del numbers
        if step == 7:
            shutil.rmtree(tmp_path / "tiny")

    with pytest.raises(RunError, match="was deleted while a training wrote to it"):
        train(Recipe.from_mapping(tiny()), tmp_path / "tiny", progress=delete)
    assert not (tmp_path / "tiny").exists()
