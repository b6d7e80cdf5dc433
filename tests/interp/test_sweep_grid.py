"""Which cells a grid asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import tiny, write_recipe

from interp.study.grid import AS_TRAINED, TaskEntry, grid_names, grid_of, read_grid
from interp.tasks import LinearRegression, TwoLayerNetwork

PLAIN: dict[str, Any] = {
    "model": [{"checkpoint": "gpt2-d5"}],
    "analysis": [{"name": "error"}],
}
TRAINED_ON = LinearRegression(n_dims=3, n_points=7)


def test_what_is_left_out_is_the_training_task_and_one_seed():
    grid = grid_of(PLAIN)
    assert [task.label for task in grid.tasks] == [AS_TRAINED]
    assert grid.tasks[0].of(TRAINED_ON) == TRAINED_ON
    assert grid.seeds == (0,)


@given(
    st.lists(st.floats(1, 1e4), min_size=1, max_size=4, unique=True),
    st.lists(st.floats(0, 2), min_size=1, max_size=4, unique=True),
)
def test_lists_of_a_task_are_every_combination(kappas: list[float], noises: list[float]):
    table = {"condition_number": kappas, "noise_std": noises}
    tasks = [task.of(TRAINED_ON) for task in grid_of({**PLAIN, "task": [table]}).tasks]
    assert {(task.condition_number, task.noise_std) for task in tasks} == {
        (kappa, noise) for kappa in kappas for noise in noises
    }
    assert all((task.n_dims, task.n_points) == (3, 7) for task in tasks)


def test_values_that_differ_by_little_have_labels_of_their_own():
    table = {"noise_std": [0.1, 0.10000001]}
    labels = [task.label for task in grid_of({**PLAIN, "task": [table]}).tasks]
    assert labels == ["noise_std=0.1", "noise_std=0.10000001"]


def test_a_label_tells_what_is_varied():
    table = {"condition_number": [1.0, 10.0], "normalisation": "trace"}
    labels = [task.label for task in grid_of({**PLAIN, "task": [table, {"noise_std": 0.5}]}).tasks]
    assert labels == ["condition_number=1", "condition_number=10", "noise_std=0.5"]


def test_a_task_with_a_name_is_a_task_by_itself():
    entry = TaskEntry("", {"name": "two_layer_network", "n_dims": 3, "n_points": 7})
    assert entry.of(TRAINED_ON) == entry.of(None) == TwoLayerNetwork(n_dims=3, n_points=7)


def test_recipes_are_trained_in_every_combination(tmp_path: Path):
    table = {
        "recipe": str(write_recipe(tmp_path, tiny())),
        "seeds": [1, 2],
        "change": {
            "model": {"d_model": [8, 16]},
            "training.n_steps": 5,
            "optimiser.betas": [[0, 0]],
        },
    }
    models = grid_of({**PLAIN, "model": [table]}).models
    assert [model.label for model in models] == [
        f"tiny d_model={width} seed={seed}" for width in (8, 16) for seed in (1, 2)
    ]
    recipes = [model.recipe for model in models]
    assert [(r.model["d_model"], r.seed) for r in recipes] == [(8, 1), (8, 2), (16, 1), (16, 2)]
    for recipe in recipes:
        assert (recipe.training.n_steps, recipe.optimiser.betas) == (5, (0, 0))
        assert recipe.task.describe()["n_points"] == tiny()["task"]["n_points"]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"models": []}, "models is unknown"),
        ({"model": []}, r"no \[\[model\]\]"),
        ({"model": {"checkpoint": "a"}}, r"written \[\[model\]\]"),
        ({"model": [{}]}, "either checkpoint or recipe"),
        ({"model": [{"checkpoint": "a", "recipe": "b"}]}, "either checkpoint or recipe"),
        ({"model": [{"checkpoint": 3}]}, "model.checkpoint must be a string or a list, got 3"),
        ({"model": [{"checkpoint": "a", "seeds": [1]}]}, "model.seeds is unknown"),
        ({"model": [{"checkpoint": ["a", "a"]}]}, "model 'a' is there twice"),
        ({"model": [{"checkpoint": ["a", "b"], "label": "c"}]}, "model.label"),
        ({"model": [{"recipe": "nothing"}]}, "nothing: no such file"),
        ({"model": [{"recipe": "gpt2-d5", "change": {"model.heads": 3}}]}, "model.heads is unk"),
        ({"model": [{"recipe": "gpt2-d5", "change": {"seed.x": 3}}]}, "seed is no table"),
        ({"model": [{"recipe": "gpt2-d5", "change": {"seed": []}}]}, "seed has no values"),
        ({"model": [{"recipe": "gpt2-d5", "change": 3}]}, "model.change must be a table, got 3"),
        ({"analysis": []}, r"no \[\[analysis\]\]"),
        ({"analysis": [{"name": "guess"}]}, "analysis.name must be one of error"),
        ({"analysis": [{"name": "error", "prompts": 3}]}, "analysis error.prompts is unknown"),
        ({"analysis": [{"name": "error", "n_prompts": 1}]}, "n_prompts must be at least 2"),
        ({"analysis": [{"name": "error", "label": "a b"}]}, "analysis.label"),
        ({"analysis": [{"name": "error"}, {"name": "error"}]}, "analysis 'error' is there twice"),
        ({"task": [{}, {}]}, "task 'as trained' is there twice"),
        ({"task": [{"label": "a", "noise_std": [0.0, 1.0]}]}, "task.label 'a' names one task"),
        ({"task": [{"noise_std": []}]}, "noise_std has no values"),
        ({"seeds": []}, "seeds must be whole numbers"),
        ({"seeds": [-1]}, "seeds must be whole numbers"),
        ({"seeds": [1, 1]}, "seeds holds a seed twice"),
    ],
)
def test_grids_that_make_no_sense_are_refused(change: dict[str, Any], complaint: str):
    with pytest.raises(ValueError, match=complaint):
        grid_of({**PLAIN, **change})


def test_changes_that_a_task_does_not_know_are_refused():
    with pytest.raises(ValueError, match=r"task\.kappa is unknown; task takes"):
        TaskEntry("", {"kappa": 3.0}).of(TRAINED_ON)


@pytest.mark.parametrize("text", ["[[model]", "seeds = 'x'", ""])
def test_the_complaint_names_the_file(tmp_path: Path, text: str):
    file = tmp_path / "grid.toml"
    file.write_text(text)
    with pytest.raises(ValueError, match=r"grid\.toml: "):
        read_grid(file)


def test_the_complaint_lists_the_shipped_grids():
    with pytest.raises(ValueError, match=r"nothing: no such file.*kappa, width"):
        read_grid("nothing")


@pytest.mark.parametrize("name", grid_names())
def test_shipped_grids_are_grids(name: str):
    assert read_grid(name).models
