"""Every recipe that ships can be trained as written."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

import interp.recipes
from hooks.architectures import build_model
from interp.training.optimiser import build_optimiser
from interp.training.recipe import Recipe
from interp.training.validation import squared_error

PATHS = sorted(Path(interp.recipes.__file__).parent.glob("*.toml"))


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_recipe_builds_a_model_that_its_first_step_makes_better(path: Path) -> None:
    recipe = Recipe.read(path)
    assert recipe.name == path.stem
    assert recipe.description
    model = build_model(recipe.architecture, recipe.model, seed=recipe.seed).double()
    task = recipe.curriculum.task_at(recipe.task, 0)
    xs, ys, _ = next(task.stream(2, seed=0))
    xs, ys = F.pad(xs, (0, recipe.task.n_dims - task.n_dims))[:, :6], ys[:, :6]
    optimiser = build_optimiser(model, recipe.optimiser)
    for group in optimiser.param_groups:
        group["lr"] *= 1e-3  # Adam's first step without a warm-up goes far beyond the gradient
    loss = squared_error(model(xs, ys), ys).mean()
    loss.backward()
    optimiser.step()
    with torch.no_grad():
        assert squared_error(model(xs, ys), ys).mean() < loss


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_what_a_recipe_starts_from_is_a_recipe_of_the_same_model(path: Path) -> None:
    recipe = Recipe.read(path)
    if (source := recipe.training.initial_checkpoint) is not None:
        start = Recipe.read(path.with_name(f"{Path(source).name}.toml"))
        assert (start.architecture, start.model) == (recipe.architecture, recipe.model)
