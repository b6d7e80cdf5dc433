"""The Python of the how-to pages runs as it stands there."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import hooks
import interp
from hooks.checkpoints import save_checkpoint
from interp.study.grid import read_grid
from interp.tasks import LinearRegression
from probes import build_reference

PAGES = Path(__file__).parents[1] / "docs" / "how-to"
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
SIZES = {"n_layers": 2, "n_heads": 2, "d_model": 8}


def run_blocks(page: str, namespace: dict[str, Any], *numbers: int, **replaced: str) -> None:
    """Executes blocks of a page, all or those at `numbers`, after replacing words in them."""
    blocks = BLOCK.findall((PAGES / f"{page}.md").read_text())
    for block in [blocks[number] for number in numbers] if numbers else blocks:
        for old, new in replaced.items():
            assert old in block
            block = block.replace(old, new)
        exec(block, namespace)


@pytest.fixture
def model():
    return hooks.build_model("gpt2", SIZES).eval()


class Backbone(nn.Module):
    """What the page calls `module`: layers of which each has a part named attn."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Module()
        self.backbone.h = nn.ModuleList(nn.Sequential() for _ in range(2))
        for layer in self.backbone.h:
            layer.add_module("attn", nn.Linear(5, 5))

    def forward(self, xs, ys):
        stream = torch.stack([xs, ys[..., None].expand_as(xs)], 2).flatten(1, 2)
        for layer in self.backbone.h:
            stream = layer(stream)
        return stream[:, ::2, 0]


def test_my_model_is_not_in_the_list():
    namespace: dict[str, Any] = {"module": Backbone()}
    run_blocks("my-model-is-not-in-the-list", namespace, 0, **{"interp.match(model, task)": "pass"})
    assert namespace["model"].site_kinds == ("resid_post", "attn_out")


def test_a_state_space_model_of_hugging_face(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace = {"hooks": hooks, "task": LinearRegression()}
    small = {"hidden_size=64": "hidden_size=16", "num_hidden_layers=8": "num_hidden_layers=2"}
    run_blocks("my-model-is-not-in-the-list", namespace, 4, **small)
    mamba = interp.load("my-mamba")
    assert mamba.provenance["task"] == LinearRegression().describe()
    prompts = LinearRegression().sample(3, torch.Generator().manual_seed(0))
    read = next(hooks.capture(mamba, prompts, "mixer_out")).activations
    assert read.shape == (2, 3, 11, 16)


def test_only_activations(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    task = LinearRegression()
    xs, ys, _ = task.sample(520, torch.Generator().manual_seed(0))
    activations = next(hooks.capture(model, (xs, ys), model.sites())).activations
    run_blocks("only-activations", {"xs": xs, "ys": ys, "activations": activations.numpy()})
    result = interp.match(hooks.open_activations("mine.npz"))
    assert result.layers.layer.values.tolist() == [0, 1, 2]


def test_activations_do_not_fit(model):
    namespace = {"model": model, "task": LinearRegression()}
    run_blocks("activations-do-not-fit", namespace, **{"1_000_000": "100", "=64": "=8"})
    assert namespace["readouts"].weight.shape == (3, 3, 8, 1)


def test_not_linear_regression():
    namespace: dict[str, Any] = {}
    run_blocks("not-linear-regression", namespace, 1)
    cubic = namespace["Cubic"](n_dims=5, n_points=11)
    prompts = cubic.sample(50, torch.Generator().manual_seed(0))
    assert prompts.xs.shape == (50, 11, 5)
    xs, ys = prompts.xs[0].numpy(), prompts.ys[0].numpy()
    weights = np.linalg.solve(xs[:5], np.cbrt(ys[:5] * 5))  # five pairs tell w
    np.testing.assert_allclose((xs @ weights) ** 3 / 5, ys, atol=1e-8)


def test_add_a_reference():
    namespace: dict[str, Any] = {"task": LinearRegression()}
    run_blocks("add-a-reference", namespace)
    half, ols = namespace["HalvingResidual"](), build_reference("ols")
    prefixes = namespace["prefixes"]
    torch.testing.assert_close(half.predictions(prefixes, [1])[0], ols.predictions(prefixes)[0] / 2)


def toml_of(page: str) -> str:
    text = (PAGES / f"{page}.md").read_text()
    [block] = re.findall(r"^```toml\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return block


def test_train_your_own():
    recipe = interp.Recipe.from_mapping(tomllib.loads(toml_of("train-your-own")))
    assert recipe.name == "mine"


def test_many_at_once(model, tmp_path, capsys):
    save_checkpoint(model, tmp_path / "a.safetensors", {"task": LinearRegression().describe()})
    namespace: dict[str, Any] = {"paths": [tmp_path / "a.safetensors"]}
    quick = {"n_jobs=8": "", "seed=seed": "seed=seed, n_prompts=128", "range(3)": "range(1)"}
    run_blocks("many-at-once", namespace, **quick)
    (line,) = capsys.readouterr().out.splitlines()
    assert "'answer'" in line
    file = tmp_path / "grid.toml"
    file.write_text(toml_of("many-at-once"))
    grid = read_grid(file)
    assert grid.seeds == (0, 1)
