"""Files of weights as people have them: payloads, wrappers, layouts, damage."""

from __future__ import annotations

import argparse
import collections
import copy
import datetime
import json
import random
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import save_file
from torch import nn
from transformers import GPT2Config, GPT2Model

from hooks import CheckpointError, build_model, load_checkpoint, load_fu_run, save_checkpoint
from hooks.checkpoints.fu_task import task_of
from interp.tasks.compatibility import task_of as task_of_model

N_DIMS, N_POSITIONS, WIDTH = 2, 4, 8
CONFIG: dict[str, Any] = {
    "model": {
        "family": "gpt2", "n_dims": N_DIMS, "n_embd": WIDTH, "n_head": 2, "n_layer": 2,
        "n_positions": N_POSITIONS,
    },
    "training": {"task": "linear_regression", "task_kwargs": {}, "data": "gaussian"},
}  # fmt: skip
Weights = dict[str, torch.Tensor]


def author(n_layers: int = 2, spare: int = 0) -> nn.Module:
    """Read-in, Hugging Face's GPT-2 and read-out under the names of Garg et al."""
    torch.manual_seed(0)
    model = nn.Module()
    model._read_in = nn.Linear(N_DIMS, WIDTH)
    model._backbone = GPT2Model(
        GPT2Config(
            n_positions=2 * N_POSITIONS + spare, n_embd=WIDTH, n_layer=n_layers, n_head=2,
            resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, vocab_size=3, bos_token_id=0,
            eos_token_id=0,
        )
    )  # fmt: skip
    model._read_out = nn.Linear(WIDTH, 1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model.eval()


def prompts() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return (
        torch.randn(4, N_POSITIONS, N_DIMS, generator=generator),
        torch.randn(4, N_POSITIONS, generator=generator),
    )


def tokens() -> torch.Tensor:
    xs, ys = prompts()
    made = torch.zeros(4, 2 * N_POSITIONS, N_DIMS)
    made[:, ::2], made[:, 1::2, 0] = xs, ys
    return made


def predictions(model: nn.Module, n_loops: int = 0) -> torch.Tensor:
    """The authors' forward pass; with loops that of Yang et al., z = f(x + z) from z = 0."""
    with torch.no_grad():
        embeds = model._read_in(tokens())
        state = torch.zeros_like(embeds)
        for _ in range(max(1, n_loops)):
            state = model._backbone(inputs_embeds=embeds + state).last_hidden_state
        return model._read_out(state)[:, ::2, 0]


def as_nano_gpt(weights: Weights) -> Weights:
    """nanoGPT's names and layouts of the same weights."""
    return {
        name.replace("_backbone.", "_backbone.transformer."): weight.T.contiguous()
        if name.endswith(("c_attn.weight", "c_proj.weight", "c_fc.weight"))
        else weight
        for name, weight in weights.items()
        if "wte" not in name
    }


def write(file: Path, content: Any, config: dict[str, Any] | None = CONFIG) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    torch.save(content, file)
    if config is not None:
        (file.parent / "config.yaml").write_text(yaml.safe_dump(config))
    return file


def check(path: Path, expected: torch.Tensor, **options: Any) -> Any:
    model = load_fu_run(path, **options) if options else load_checkpoint(path)
    with torch.no_grad():
        torch.testing.assert_close(model(*prompts()), expected, rtol=0, atol=1e-5)
    return model


@pytest.mark.parametrize(
    "prefix", ["", "_orig_mod.", "module.", "model._orig_mod.", "student.net."]
)
@pytest.mark.parametrize(
    "keys", [(), ("model_state_dict",), ("state_dict",), ("model",), ("model", "state_dict")]
)
def test_weights_are_found_wherever_a_training_loop_puts_them(
    prefix: str, keys: tuple[str, ...], tmp_path: Path
) -> None:
    content: Any = {prefix + name: weight for name, weight in author().state_dict().items()}
    for key in reversed(keys):
        content = {key: content, "optimizer": {"state": {}}, "epoch": 3, "loss": torch.ones(())}
    check(write(tmp_path / "last.ckpt", content), predictions(author()))
    check(tmp_path, predictions(author()))


def test_a_compiled_part_and_numpy_arrays(tmp_path: Path) -> None:
    weights = author().state_dict()
    compiled = {n.replace("_backbone.", "_backbone._orig_mod."): w for n, w in weights.items()}
    check(write(tmp_path / "a.pth", compiled), predictions(author()))
    arrays = {"params": {name: weight.numpy() for name, weight in weights.items()}}
    check(write(tmp_path / "b.pt", arrays), predictions(author()))


def test_the_projects_own_names(tmp_path: Path) -> None:
    model = build_model(
        "gpt2", {"n_dims": N_DIMS, "n_points": 4, "n_layers": 2, "n_heads": 2, "d_model": 8}
    )
    with torch.no_grad():
        expected = model(*prompts())
    check(write(tmp_path / "a.pt", model.state_dict(), None), expected, n_heads=2)


class AttributeDict(dict):  # type: ignore[type-arg]
    """As in Lightning, and pickled as from there."""


def test_harmless_types_beside_the_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("pytorch_lightning.utilities.parsing")
    module.AttributeDict = AttributeDict
    for name in ("pytorch_lightning", "pytorch_lightning.utilities", module.__name__):
        monkeypatch.setitem(sys.modules, name, module)
    AttributeDict.__module__ = module.__name__
    content = {
        "state_dict": author().state_dict(),
        "global_step": np.int64(7),
        "loss": np.float32(0.5),
        "history": np.arange(3.0),
        "dtype": np.dtype("float64"),
        "counts": collections.defaultdict(list, {"a": [1]}),
        "out": tmp_path,
        "when": datetime.datetime(2024, 1, 2),
        "kinds": (int, slice(1, 2), frozenset({1})),
        "hyper_parameters": AttributeDict(lr=1e-3, n_head=2),
    }
    model = check(write(tmp_path / "last.ckpt", content, None), predictions(author()))
    assert model.provenance["step"] == 7


@pytest.mark.parametrize(
    "content",
    [
        {"args": argparse.Namespace(n_head=2, n_embd=WIDTH)},
        {"config": CONFIG},
        {"model_args": {"n_head": 2}},
    ],
)
def test_a_config_inside_the_file(content: dict[str, Any], tmp_path: Path) -> None:
    whole = {"model": author().state_dict(), **content}
    check(write(tmp_path / "ckpt.pt", whole, None), predictions(author()))


def test_runs_one_folder_down(tmp_path: Path) -> None:
    write(tmp_path / "task" / "run-1" / "state.pt", {"model_state_dict": author().state_dict()})
    check(tmp_path / "task", predictions(author()))
    write(tmp_path / "task" / "run-2" / "state.pt", {"model_state_dict": author().state_dict()})
    with pytest.raises(CheckpointError, match="holds 2 checkpoints, name one: run-1, run-2"):
        load_checkpoint(tmp_path / "task")


def test_configs_that_inherit(tmp_path: Path) -> None:
    write(tmp_path / "run" / "state.pt", author().state_dict(), None)
    parts = copy.deepcopy(CONFIG)
    small = {"model": {"n_embd": WIDTH, "n_layer": 99, "n_head": 2}}
    for name in small["model"]:
        del parts["model"][name]
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(small))
    (tmp_path / "base.yaml").write_text(yaml.safe_dump(parts | {"inherit": ["small.yaml"]}))
    own = tmp_path / "run" / "config.yaml"
    own.write_text("inherit: [../base.yaml, ../gone.yaml]\nmodel: {n_layer: 2}\n")
    check(tmp_path / "run", predictions(author()))
    own.write_text("inherit: [../gone.yaml]\nmodel: {n_layer: 2}\n")
    with pytest.raises(CheckpointError, match=r"lacks n_dims.*inherits from \['\.\./gone\.yaml'\]"):
        load_checkpoint(tmp_path / "run")
    own.write_text("inherit: config.yaml\n")
    with pytest.raises(CheckpointError, match="inherits from itself"):
        load_checkpoint(tmp_path / "run")


LOOPED = copy.deepcopy(CONFIG)
LOOPED["model"] |= {"family": "gpt2_loop", "n_layer": 1}
LOOPED["training"] = {
    "task_name": "linear_regression",
    "curriculum": {
        "dims": {"end": N_DIMS}, "points": {"end": N_POSITIONS}, "loops": {"start": 1, "end": 3},
    },
}  # fmt: skip


def test_looped_transformers_of_yang_et_al(tmp_path: Path) -> None:
    theirs = author(1, spare=1)
    weights = as_nano_gpt(theirs.state_dict())
    write(tmp_path / "state.pt", {"model_state_dict": weights, "train_step": 9}, LOOPED)
    model = check(tmp_path, predictions(theirs, n_loops=3))
    assert model.provenance["task"] == {
        "name": "linear_regression", "n_dims": N_DIMS, "n_points": N_POSITIONS
    }  # fmt: skip
    with torch.no_grad():
        other = model.with_loops(5)(*prompts())
    torch.testing.assert_close(other, predictions(theirs, n_loops=5), rtol=0, atol=1e-5)
    save_checkpoint(model, tmp_path / "model.safetensors")
    check(tmp_path / "model.safetensors", predictions(theirs, n_loops=3))


def test_their_plain_transformer(tmp_path: Path) -> None:
    theirs = author(spare=1)
    content = {"model": {"_orig_mod." + n: w for n, w in as_nano_gpt(theirs.state_dict()).items()}}
    check(write(tmp_path / "model_40.pt", content), predictions(theirs))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"loop_func": "z=f(x*z)"}, r"loop_func is 'z=f\(x\*z\)'"),
        ({"n_layer": 2}, "n_layer is 2, only loops of 1 layer"),
        ({"family": "gpt2_tying"}, "family is 'gpt2_tying'.*hooks.attach"),
        ({"pred_type": "classification"}, "pred_type is 'classification'"),
    ],
)
def test_looped_models_that_are_another_function(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    config = copy.deepcopy(LOOPED)
    config["model"] |= change
    weights = as_nano_gpt(author(1, spare=1).state_dict())
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(write(tmp_path / "state.pt", weights, config))


def test_tasks_under_task_name_and_tasks_that_are_not_ours(tmp_path: Path) -> None:
    noisy = {"model": CONFIG["model"], "training": {"task_name": "noisy_linear_regression"}}
    assert (task_of(noisy) or {})["noise_std"] == 0.1
    trees = CONFIG | {"training": {"task": "decision_tree", "task_kwargs": {"depth": 4}}}
    model = load_checkpoint(write(tmp_path / "state.pt", author().state_dict(), trees))
    with pytest.raises(
        ValueError, match=r"trained on task: 'decision_tree', .*'depth': 4.*none of"
    ):
        task_of_model(model)


@pytest.mark.parametrize(
    "training", [{"task": ["x"]}, {"task": "linear_regression", "curriculum": 3}]
)
def test_words_of_a_config_that_are_not_theirs(training: Any, tmp_path: Path) -> None:
    config = CONFIG | {"training": training}
    model = load_checkpoint(write(tmp_path / "state.pt", author().state_dict(), config))
    assert "task" not in model.provenance


def test_another_architecture_is_described_and_can_be_attached_to(tmp_path: Path) -> None:
    net = nn.ModuleDict({"enc": nn.Sequential(*(nn.Linear(3, 3) for _ in range(4)))})
    expected = r'8 weights, .*enc\.0\.weight \(3, 3\)(.|\n)*hooks\.attach\((.|\n)*layers="enc\.\*"'
    torch.save({"state_dict": net.state_dict()}, tmp_path / "net.ckpt")
    save_file(net.state_dict(), tmp_path / "net.safetensors")
    for name in ("net.ckpt", "net.safetensors"):
        with pytest.raises(CheckpointError, match=expected):
            load_checkpoint(tmp_path / name)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"optimizer": {"lr": 1}, 3: 4}, "holds no weights; it has optimizer, 3"),
        ({}, "holds no weights; it has nothing"),
        (
            {p + n: w for p in ("a.", "ema.") for n, w in author().state_dict().items()},
            "several models, under 'a.' and 'ema.'",
        ),
        (author().state_dict() | {"_read_out.bias": torch.ones(1).long()}, "is torch.int64"),
        ({"model": author().state_dict(), "step": "x"}, "step is a str, expected a whole number"),
    ],
)
def test_contents_that_are_no_model(content: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(write(tmp_path / "a.pt", content))


@pytest.mark.parametrize("value", [10**9, 0, 2.0, True, "2"])
@pytest.mark.parametrize("name", ["n_layer", "n_embd", "n_positions"])
def test_sizes_are_bounded_by_the_weights(name: str, value: Any, tmp_path: Path) -> None:
    config = copy.deepcopy(CONFIG)
    config["model"][name] = value
    with pytest.raises(CheckpointError, match=rf"config\.yaml: .*{name} is "):
        load_checkpoint(write(tmp_path / "a.pt", author().state_dict(), config))


@pytest.mark.parametrize("kind", ["run", "native"])
@pytest.mark.parametrize("damage", ["a bit flipped", "cut short", "zeros at the end"])
def test_a_damaged_file_never_gives_other_predictions(
    kind: str, damage: str, tmp_path: Path
) -> None:
    source = write(tmp_path / "state.pt", {"model_state_dict": author().state_dict()})
    if kind == "native":
        source = tmp_path / "model.safetensors"
        save_checkpoint(load_checkpoint(tmp_path / "state.pt"), source, {"step": 1})
    whole, dice, n_refused = source.read_bytes(), random.Random(0), 0
    for _ in range(12):
        place = dice.randrange(len(whole))
        content = bytearray(whole)
        if damage == "a bit flipped":
            content[place] ^= 1 << dice.randrange(8)
        elif damage == "cut short":
            del content[place:]
        else:
            content[place:] = bytes(len(whole) - place)
        source.write_bytes(content)
        try:
            check(source, predictions(author()))
        except CheckpointError:
            n_refused += 1
    assert n_refused > 5


@pytest.mark.parametrize(
    "config",
    [{"n_layers": 10**9}, {"d_model": 10**9}, {"n_points": 10**9}, {"n_dims": float("nan")}, 3],
)
def test_sizes_in_a_files_own_metadata_are_bounded(config: Any, tmp_path: Path) -> None:
    metadata = {
        "format": "icl-interp/1", "architecture": "gpt2", "config": json.dumps(config),
        "provenance": "{}",
    }  # fmt: skip
    save_file({"read_in.weight": torch.ones(2, 2)}, tmp_path / "model.safetensors", metadata)
    with pytest.raises(CheckpointError, match=r"does not describe a model \(config"):
        load_checkpoint(tmp_path / "model.safetensors")
