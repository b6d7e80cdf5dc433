"""Models that a function in a user's own file makes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from hooks import AttachedModel, CheckpointError, build_model, open_activations, save_checkpoint
from hooks.foreign import attach_lines, likely_layers, own_model
from interp.cli import main
from interp.errors import describe_error
from interp.study.checkpoint import Checkpoint
from interp.zoo import load

NET = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.read_in = nn.Linear(2, 8)
        self.layers = nn.ModuleList(nn.Linear(8, 8) for _ in range(2))
        self.read_out = nn.Linear(8, 1)

    def forward(self, xs, ys):
        pairs = (ys[..., None] * xs).cumsum(1)
        past = torch.cat((torch.zeros_like(pairs[:, :1]), pairs[:, :-1]), dim=1)
        hidden = self.read_in(xs + past)
        for layer in self.layers:
            hidden = hidden + layer(hidden).tanh()
        return self.read_out(hidden)[..., 0]
"""
MODEL = """
import hooks
import torch
from net import Net

def build(seed=0):
    torch.manual_seed(seed)
    model = hooks.attach(
        Net(), lambda net, xs, ys: net(xs, ys), n_dims=2, n_points=4, layers="layers.*",
        points=slice(None),
    )
    model.provenance["task"] = {"name": "linear_regression", "n_dims": 2, "n_points": 4}
    return model

def needs(x):
    return x

def module():
    return Net()

def nothing():
    return None

def fails():
    raise KeyError("weights")

def loaded():
    return hooks.build_model("looped", dict(n_dims=2, n_points=4, n_layers=3, n_heads=1, d_model=8))
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "net.py").write_text(NET)
    (tmp_path / "my_model.py").write_text(MODEL)
    return tmp_path / "my_model.py"


def test_a_function_makes_the_model(file: Path) -> None:
    before = list(sys.path)
    model = load(f"{file}:build")
    assert isinstance(model, AttachedModel)
    assert not model.training
    assert model.n_layers == 2
    assert model.provenance["name"] == f"{file}:build"
    assert sys.path == before


def test_loops_are_asked_for_behind_the_function(file: Path) -> None:
    assert load(f"{file}:loaded@5").n_layers == 5


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("bild", r"has no function 'bild'; it has build, fails, loaded, module, needs, nothing"),
        ("", r"has no function ''"),
        ("hooks", r"has no function 'hooks'"),
        ("needs", r"needs needs x, expected a function that can be called without arguments"),
        ("nothing", r"nothing returned a NoneType, expected a model"),
        ("module", r'returned a Net, .*\n.*\n    model = hooks.attach\((.|\n)*layers="layers.\*"'),
        ("fails", r"raised KeyError in line 25: 'weights'"),
    ],
)
def test_functions_that_make_none(file: Path, function: str, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        load(f"{file}:{function}")


def test_files_that_cannot_be_run(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"there is no file .*nothing\.py"):
        load(f"{tmp_path / 'nothing.py'}:build")
    (tmp_path / "broken.py").write_text("def build(:\n")
    with pytest.raises(CheckpointError, match="raised SyntaxError"):
        load(f"{tmp_path / 'broken.py'}:build")


def test_the_command_line_takes_a_function(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ending:
        main(["match", f"{file}:build", "--prompts", "128"])
    assert not ending.value.code
    assert "error/d" in capsys.readouterr().out
    with pytest.raises(SystemExit) as ending:
        main(["match", f"{file}:module"])
    assert ending.value.code == 2
    printed = capsys.readouterr().err
    assert "\n    model = hooks.attach(\n" in printed


def test_a_sweep_knows_such_a_model_by_its_weights(file: Path) -> None:
    one = Checkpoint.of(f"{file}:build")
    assert one == Checkpoint.of(f"{file}:build")
    assert one != Checkpoint.of(f"{file}:loaded")
    assert one.load().n_layers == 2
    (file.parent / "net.py").write_text(NET.replace("(2, 8)", "(2, 8, bias=False)"))
    sys.modules.pop("net")
    assert one != Checkpoint.of(f"{file}:build")


def test_a_module_as_it_is_gets_the_lines_to_type() -> None:
    code = "import interp, torch; interp.match(torch.nn.Sequential(torch.nn.Linear(2, 2)))"
    ended = subprocess.run(  # without the type checks of these tests
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert "TypeError: model is a Sequential, whose layers nothing names yet" in ended.stderr
    assert "interp.match(model, interp.tasks.LinearRegression(" in ended.stderr
    with pytest.raises(TypeError, match=r"model is a str, expected what interp\.load"):
        own_model("gpt2-d5")
    net = torch.nn.ModuleDict({"enc": torch.nn.ModuleList(torch.nn.Linear(2, 2) for _ in "abc")})
    with pytest.raises(TypeError, match=r'layers="enc\.\*"'):
        own_model(net)


def test_layers_are_guessed_from_the_longest_numbered_list() -> None:
    assert likely_layers(["a.0.x", "a.1.x", "net.h.0.b.0.w", "net.h.1.w", "net.h.2.w"]) == "net.h.*"
    assert likely_layers(["weight"]) == "layers.*"


def test_lines_of_code_survive_the_command_line() -> None:
    said = describe_error(ValueError(f"one\nsentence; {attach_lines()}"))
    assert said.startswith("one sentence; hooks.attach")
    assert attach_lines().partition("\n\n")[2] in said


def test_an_attached_model_is_not_saved_but_named(file: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"torch\.save.*my_model\.py:build"):
        save_checkpoint(load(f"{file}:build"), tmp_path / "model.safetensors")
    assert not (tmp_path / "model.safetensors").exists()


def test_home_folders_are_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    model = build_model("gpt2", {"n_layers": 1, "d_model": 8, "n_heads": 1})
    save_checkpoint(model, "~/model.safetensors")
    assert (tmp_path / "model.safetensors").is_file()
    assert not (tmp_path / "~").exists()
    assert load("~/model.safetensors").n_layers == 1
    assert Checkpoint.of("~/model.safetensors").load().n_layers == 1
    np.savez(tmp_path / "prompts.npz", xs=np.ones((3, 4, 5)), ys=np.ones((3, 4)))
    options = ["--prompts", "~/prompts.npz", "--out=~/acts.npz"]
    with pytest.raises(SystemExit) as ending:
        main(["capture", "~/model.safetensors", *options])
    assert not ending.value.code
    assert open_activations("~/acts.npz").path == tmp_path / "acts.npz"
