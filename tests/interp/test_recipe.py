from __future__ import annotations

import copy
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hooks.architectures import build_model
from interp.recipes import UnknownRecipeError, find_recipe, recipe_names, shipped_recipes
from interp.training.recipe import Recipe, RecipeError
from interp.training.settings import Curriculum, Optimiser, Ramp, Schedule

MINIMAL = {
    "name": "minimal",
    "model": {"architecture": "gpt2", "n_dims": 2, "n_points": 4, "n_layers": 1, "n_heads": 1,
              "d_model": 8},
    "task": {"name": "linear_regression", "n_dims": 2, "n_points": 4},
    "training": {"n_steps": 10},
}  # fmt: skip


@pytest.mark.parametrize("name", recipe_names())
def test_every_shipped_recipe_is_valid_and_survives_its_description(name: str):
    recipe = Recipe.read(find_recipe(name))
    assert recipe.name == name
    assert recipe.description
    assert Recipe.from_mapping(recipe.describe()) == recipe


def test_the_listing_is_of_the_shipped_recipes():
    assert [recipe["name"] for recipe in shipped_recipes()] == recipe_names()


def test_a_recipe_without_clipping_survives_its_description():
    recipe = Recipe.from_mapping({**MINIMAL, "optimiser": {"clip_norm": "none"}})
    assert recipe.optimiser.clip_norm is None
    assert Recipe.from_mapping(recipe.describe()) == recipe


@pytest.mark.parametrize(
    ("entry", "value", "message"),
    [
        ("name", None, "name is missing"),
        ("name", "../x", "name must be usable as a folder name, got '../x'"),
        ("seed", 2**32 - 1, "seed must be in 0..4294967294, got 4294967295"),
        ("seed", "1", "seed must be a whole number, got '1'"),
        ("sead", 1, "sead is unknown"),
        ("model", 3, "model must be a table, got 3"),
        ("model", None, "model is missing"),
        ("model.architecture", None, "model.architecture is missing"),
        ("model.architecture", "gpt5", "model.architecture must be one of .*gpt2.*, got 'gpt5'"),
        ("model.d_modle", 8, "model.d_modle is unknown; model takes .*d_model"),
        ("model.d_model", 8.5, "model.d_model must be a whole number, got 8.5"),
        ("model.d_model", 0, "model.d_model must be at least 1, got 0"),
        ("model.n_heads", 3, "model.d_model must be a multiple of n_heads, got 8 and 3"),
        ("task.name", "chess", "task.name must be one of .*linear_regression.*, got 'chess'"),
        ("task.n_dims", 3, "task.n_dims is 3, but model.n_dims is 2"),
        ("task.n_points", 5, "task.n_points is 5, but the model takes at most .* = 4"),
        ("task.noise_std", -1.0, "task.noise_std must be at least 0, got -1.0"),
        ("task.noise_std", "much", "task.noise_std must be a number, got 'much'"),
        ("training", None, "training is missing"),
        ("training.n_steps", None, "training.n_steps is missing"),
        ("training.n_steps", 0, "training.n_steps must be at least 1, got 0"),
        ("training.n_steps", True, "training.n_steps must be a whole number, got True"),
        ("training.precision", "fp8", "training.precision must be one of 'float32', .*, got 'fp8'"),
        ("optimiser.name", "sgd", "optimiser.name must be one of 'adam', 'adamw', 'muon', got"),
        ("optimiser.betas", [0.9], r"optimiser.betas must be a list of .*, got \[0.9\]"),
        ("optimiser.betas", [0.9, 1.0], r"optimiser.betas must be in \[0, 1\)"),
        ("optimiser.learning_rate", 0, "optimiser.learning_rate must be above 0"),
        ("optimiser.clip_norm", "no", "optimiser.clip_norm must be a number, got 'no'"),
        ("schedule.warmup_steps", -1, "schedule.warmup_steps must be at least 0, got -1"),
        ("curriculum.dims", {"start": 1, "end": 2, "increment": 1},
         "curriculum.dims.interval is missing"),
        ("curriculum.dims", {"start": 1, "end": 3, "increment": 1, "interval": 1},
         "curriculum.dims.end is 3, must be task.n_dims = 2"),
        ("curriculum.points", {"start": 5, "end": 4, "increment": 1, "interval": 1},
         "curriculum.points.end must be at least start, 5, got 4"),
        ("curriculum.points", 4, "curriculum.points must be a table, got 4"),
    ],
)  # fmt: skip
def test_an_error_names_the_entry(entry: str, value: object, message: str):
    entries = copy.deepcopy(MINIMAL)
    *tables, key = entry.split(".")
    table = entries
    for name in tables:
        table = table.setdefault(name, {})
    if value is None:
        del table[key]
    else:
        table[key] = value
    with pytest.raises(RecipeError, match="^" + message):
        Recipe.from_mapping(entries)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file"),
        (b"name = ", "not a TOML file"),
        (b"\xff\xfe", "not a TOML file"),
        (b"", "is missing"),
    ],
)
def test_a_file_that_is_no_recipe_is_named(tmp_path, content: bytes | None, message: str):
    file = tmp_path / "x.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(RecipeError, match=re.escape(str(file)) + ".*" + message):
        Recipe.read(file)


def test_whole_numbers_are_numbers():
    recipe = Recipe.from_mapping(
        {
            **MINIMAL,
            "task": {**MINIMAL["task"], "condition_number": 100},
            "optimiser": {"learning_rate": 1, "betas": [0, 0.5]},
        }
    )
    assert recipe.optimiser == Optimiser("adamw", 1.0, (0.0, 0.5))
    assert isinstance(recipe.task.condition_number, float)


def test_an_unknown_recipe_lists_the_known_ones_and_the_closest():
    with pytest.raises(UnknownRecipeError, match=r"closest: gpt2-d5\).*lstm-d5"):
        find_recipe("gtp2-d5")


def test_a_file_comes_before_a_shipped_recipe_of_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gpt2-d5").touch()
    assert find_recipe("gpt2-d5").resolve() == tmp_path / "gpt2-d5"


@given(
    start=st.integers(1, 30),
    more=st.integers(0, 30),
    increment=st.integers(1, 5),
    interval=st.integers(1, 100),
    step=st.integers(0, 9000),
)
def test_a_ramp_climbs_by_its_increment_and_stops_at_its_end(
    start, more, increment, interval, step
):
    ramp = Ramp(start, start + more, increment, interval)
    assert ramp.at(0) == start
    assert ramp.at(10**9) == start + more
    assert 0 <= ramp.at(step + interval) - ramp.at(step) <= increment


def test_the_papers_curriculum():
    recipe = Recipe.read(find_recipe("gpt2-d20"))
    sizes = [
        (task.n_dims, task.n_points)
        for step in (0, 1999, 2000, 10_000, 29_999, 30_000, 499_999)
        for task in [recipe.curriculum.task_at(recipe.task, step)]
    ]
    assert sizes == [(5, 11), (5, 11), (6, 13), (10, 21), (19, 39), (20, 41), (20, 41)]


def test_no_curriculum_leaves_the_task_alone():
    task = Recipe.from_mapping(MINIMAL).task
    assert Curriculum().task_at(task, 7) == task


@given(st.integers(0, 300), st.integers(1, 3000), st.data())
def test_learning_rates_stay_between_zero_and_full(warmup: int, n_steps: int, data):
    step = data.draw(st.integers(0, n_steps - 1))
    cosine, constant = (Schedule(name, warmup) for name in ("cosine", "constant"))
    assert 0 <= cosine.factor(step, n_steps) <= constant.factor(step, n_steps) <= 1
    if step >= warmup:
        assert constant.factor(step, n_steps) == 1
    if n_steps > warmup:
        assert cosine.factor(n_steps, n_steps) < 1e-6


def test_the_paper_scale_model_has_the_papers_size():
    recipe = Recipe.read(find_recipe("gpt2-d20"))
    model = build_model(recipe.architecture, recipe.model)
    n_parameters = sum(parameter.numel() for parameter in model.parameters())
    assert n_parameters == pytest.approx(9.5e6, rel=0.01)
    assert recipe.optimiser == Optimiser("adam", 1e-4, (0.9, 0.999), 0.0, None)
    assert (recipe.training.n_steps, recipe.training.batch_size) == (500_000, 64)


@pytest.mark.parametrize("name", ["gpt2-d20-ill-conditioned", "gpt2-d20-noisy"])
def test_paper_scale_variants_differ_in_their_task_alone(name: str):
    variant, plain = (Recipe.read(find_recipe(n)) for n in (name, "gpt2-d20"))
    assert variant.task != plain.task
    same = replace(variant, name=plain.name, description=plain.description, task=plain.task)
    assert same == plain
