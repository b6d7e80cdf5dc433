"""Every recipe that ships can be trained as written."""

from __future__ import annotations

from pathlib import Path

import pytest

import interp.recipes
from hooks.architectures import build_model
from interp.training.recipe import Recipe

PATHS = sorted(Path(interp.recipes.__file__).parent.glob("*.toml"))


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_recipe_builds_a_model_that_takes_its_prompts(path: Path) -> None:
    recipe = Recipe.read(path)
    assert recipe.name == path.stem
    assert recipe.description
    model = build_model(recipe.architecture, recipe.model, seed=recipe.seed)
    prompts = next(recipe.task.stream(2, seed=0))
    assert model(prompts.xs, prompts.ys).shape == prompts.ys.shape


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_what_a_recipe_starts_from_is_a_recipe_of_the_same_model(path: Path) -> None:
    recipe = Recipe.read(path)
    if (source := recipe.training.initial_checkpoint) is not None:
        start = Recipe.read(path.with_name(f"{Path(source).name}.toml"))
        assert (start.architecture, start.model) == (recipe.architecture, recipe.model)
