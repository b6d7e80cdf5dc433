"""Run directories of Garg et al. and Fu et al., written here by Hugging Face's own GPT-2."""

from __future__ import annotations

import copy
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from torch import nn
from transformers import GPT2Config, GPT2Model

from hooks import CheckpointError, capture, load_checkpoint, save_checkpoint
from hooks.checkpoints import load_fu_run
from hooks.checkpoints.fu_task import task_of
from interp.tasks import build_task

N_DIMS, N_POSITIONS, N_LAYERS, WIDTH = 3, 8, 3, 16

CONFIG: dict[str, Any] = {
    "model": {
        "family": "gpt2", "n_dims": N_DIMS, "n_embd": WIDTH, "n_head": 4, "n_layer": N_LAYERS,
        "n_positions": N_POSITIONS,
    },
    "out_dir": "../models/x",
    "training": {
        "task": "linear_regression", "task_kwargs": {}, "data": "gaussian", "num_tasks": None,
        "curriculum": {
            "dims": {"start": 1, "end": N_DIMS, "inc": 1, "interval": 100},
            "points": {"start": 3, "end": 6, "inc": 1, "interval": 100},
        },
    },
}  # fmt: skip


class TransformerModel(nn.Module):
    """The codebases' model, restated: names of parameters and the forward pass are theirs."""

    def __init__(self, vocab_size: int = 11) -> None:
        super().__init__()
        self._read_in = nn.Linear(N_DIMS, WIDTH)
        self._backbone = GPT2Model(
            GPT2Config(
                n_positions=2 * N_POSITIONS, n_embd=WIDTH, n_layer=N_LAYERS, n_head=4,
                resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, use_cache=False,
                vocab_size=vocab_size, bos_token_id=0, eos_token_id=0,
            )
        )  # fmt: skip
        self._read_out = nn.Linear(WIDTH, 1)

    def hidden_states(self, xs: torch.Tensor, ys: torch.Tensor) -> tuple[torch.Tensor, ...]:
        tokens = torch.zeros(len(xs), 2 * xs.shape[1], N_DIMS)
        tokens[:, ::2] = xs
        tokens[:, 1::2, 0] = ys
        embeds = self._read_in(tokens)
        return self._backbone(inputs_embeds=embeds, output_hidden_states=True).hidden_states

    def predictions(self, xs: torch.Tensor, ys: torch.Tensor, layer: int) -> torch.Tensor:
        return self._read_out(self.hidden_states(xs, ys)[layer])[:, ::2, 0]


@pytest.fixture(scope="module")
def author() -> TransformerModel:
    torch.manual_seed(0)
    model = TransformerModel().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model


def write_run(
    directory: Path, weights: dict[str, torch.Tensor], config: dict[str, Any] | None = CONFIG
) -> Path:
    directory.mkdir(exist_ok=True)
    state = {"model_state_dict": weights, "optimizer_state_dict": {"state": {}}, "train_step": 70}
    torch.save(state, directory / "state.pt")
    if config is not None:
        (directory / "config.yaml").write_text(yaml.safe_dump(config))
    return directory


def prompts(n_points: int = N_POSITIONS) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    xs = torch.randn(4, n_points, N_DIMS, generator=generator)
    return xs, torch.randn(4, n_points, generator=generator)


def changed(**sizes: Any) -> dict[str, Any]:
    config = copy.deepcopy(CONFIG)
    config["model"] |= sizes
    return config


def test_predictions_and_hidden_states_are_the_authors(
    author: TransformerModel, tmp_path: Path
) -> None:
    model = load_checkpoint(write_run(tmp_path, author.state_dict()))
    xs, ys = prompts()
    [captured] = capture(model, (xs, ys), model.sites(), positions="tokens")
    with torch.no_grad():
        hidden = torch.stack(author.hidden_states(xs, ys))
        predictions = author.predictions(xs, ys, N_LAYERS)
    torch.testing.assert_close(captured.predictions, predictions, rtol=0, atol=1e-5)
    torch.testing.assert_close(captured.activations, hidden, rtol=0, atol=1e-5)
    assert not model.training


@pytest.mark.parametrize("layer", [1, 2, 3, 12])
def test_probing_runs_read_their_layer_raw(
    author: TransformerModel, tmp_path: Path, layer: int
) -> None:
    run = write_run(tmp_path, author.state_dict(), changed(use_first_n_layer=layer))
    model = load_checkpoint(run)
    xs, ys = prompts()
    [captured] = capture(model, (xs, ys), model.sites(), positions="tokens")
    with torch.no_grad():
        expected = author.predictions(xs, ys, min(layer, N_LAYERS))
        hidden = torch.stack(author.hidden_states(xs, ys))
    torch.testing.assert_close(captured.predictions, expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(captured.activations, hidden, rtol=0, atol=1e-5)


def test_a_loaded_run_can_be_saved_in_our_format(author: TransformerModel, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", author.state_dict(), changed(use_first_n_layer=2))
    model = load_checkpoint(run)
    save_checkpoint(model, tmp_path / "model.safetensors", model.provenance)
    again = load_checkpoint(tmp_path / "model.safetensors")
    with torch.no_grad():
        assert torch.equal(again(*prompts()), model(*prompts()))
    assert again.provenance["task"] == model.provenance["task"]


def test_older_transformers_buffers_are_tolerated(author: TransformerModel, tmp_path: Path) -> None:
    weights = dict(author.state_dict())
    for layer in range(N_LAYERS):
        weights[f"_backbone.h.{layer}.attn.bias"] = torch.ones(1, 1, 16, 16).tril().bool()
        weights[f"_backbone.h.{layer}.attn.masked_bias"] = torch.tensor(-1e4)
    model = load_checkpoint(write_run(tmp_path, weights))
    with torch.no_grad():
        expected = author.predictions(*prompts(), N_LAYERS)
        torch.testing.assert_close(model(*prompts()), expected, rtol=0, atol=1e-5)


def test_provenance(author: TransformerModel, tmp_path: Path) -> None:
    model = load_checkpoint(write_run(tmp_path, author.state_dict()))
    assert model.provenance["step"] == 70
    assert model.provenance["path"] == str(tmp_path)
    task = build_task(model.provenance["task"])
    assert task.describe()["name"] == "linear_regression"
    assert (task.n_dims, task.n_points) == (N_DIMS, 6)
    assert model.config.n_points == N_POSITIONS


def test_bare_state_dicts_by_step(author: TransformerModel, tmp_path: Path) -> None:
    weights = author.state_dict()
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    for step, shift in ((9, 1.0), (100, 0.0)):
        moved = weights | {"_read_out.bias": weights["_read_out.bias"] + shift}
        torch.save(moved, tmp_path / f"model_{step}.pt")
    newest = load_checkpoint(tmp_path)
    older = load_checkpoint(tmp_path / "model_9.pt")
    assert (newest.provenance["step"], older.provenance["step"]) == (100, 9)
    with torch.no_grad():
        expected = author.predictions(*prompts(), N_LAYERS)
        torch.testing.assert_close(newest(*prompts()), expected, rtol=0, atol=1e-5)
        torch.testing.assert_close(older(*prompts()), expected + 1, rtol=0, atol=1e-5)


def test_a_file_without_config_needs_the_number_of_heads(
    author: TransformerModel, tmp_path: Path
) -> None:
    file = tmp_path / "model_5.pt"
    torch.save(author.state_dict(), file)
    with pytest.raises(CheckpointError, match=r"model_5\.pt: no config\.yaml beside it.*n_heads"):
        load_checkpoint(file)
    model = load_fu_run(file, n_heads=4)
    with torch.no_grad():
        expected = author.predictions(*prompts(), N_LAYERS)
        torch.testing.assert_close(model(*prompts()), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"family": "lstm"}, r"config\.yaml: model\.family is 'lstm'"),
        ({"n_head": 5}, r"config\.yaml: .*d_model must be a multiple of n_heads"),
        ({"n_positions": 9}, r"state\.pt: W_pos\.weight is \(16, 16\), .* needs \(18, 16\)"),
        ({"n_layer": 4}, r"state\.pt: lacks blocks\.3\."),
        ({"n_layer": 2}, r"state\.pt: has unknown blocks\.2\."),
        ({"n_dims": "many"}, r"config\.yaml: its sizes make no model"),
    ],
)
def test_a_config_that_contradicts_the_weights(
    author: TransformerModel, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(write_run(tmp_path, author.state_dict(), changed(**change)))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("_backbone.h.0.attn.rotary", "has unknown .*attn.rotary"),
        ("lm_head.weight", "has unknown lm_head.weight"),
    ],
)
def test_unknown_weights_are_named(
    author: TransformerModel, tmp_path: Path, name: str, message: str
) -> None:
    run = write_run(tmp_path, author.state_dict() | {name: torch.zeros(2)})
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(run)


def test_missing_and_non_finite_weights_are_named(author: TransformerModel, tmp_path: Path) -> None:
    weights = dict(author.state_dict())
    del weights["_backbone.h.1.mlp.c_fc.bias"]
    with pytest.raises(CheckpointError, match=r"lacks blocks\.1\.mlp\.W_in\.bias"):
        load_checkpoint(write_run(tmp_path, weights))
    weights = dict(author.state_dict())
    weights["_read_out.bias"] = torch.tensor([torch.nan])
    with pytest.raises(CheckpointError, match=r"read_out\.bias holds NaN"):
        load_checkpoint(write_run(tmp_path, weights))


class Payload:
    def __reduce__(self) -> Any:
        return os.mkdir, (os.environ["PAYLOAD_TARGET"],)


def test_pickles_that_carry_code_are_refused_and_not_run(
    author: TransformerModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "was-here"
    monkeypatch.setenv("PAYLOAD_TARGET", str(target))
    run = write_run(tmp_path / "run", author.state_dict())
    torch.save({"model_state_dict": author.state_dict(), "extra": Payload()}, run / "state.pt")
    with pytest.raises(CheckpointError, match=r"state\.pt: refused, because it asks for .*mkdir"):
        load_checkpoint(run)
    (run / "state.pt").write_bytes(pickle.dumps({"a": Payload()}, protocol=2))
    with pytest.raises(CheckpointError, match=r"refused|not a file of torch"):
        load_checkpoint(run)
    torch.save(nn.Linear(2, 2), run / "state.pt")
    with pytest.raises(CheckpointError, match=r"refused, because it asks for .*Linear"):
        load_checkpoint(run)
    assert not target.exists()


@pytest.mark.parametrize("damage", ["truncated", "empty", "text", "disks", "list"])
def test_damaged_files(author: TransformerModel, tmp_path: Path, damage: str) -> None:
    file = write_run(tmp_path, author.state_dict()) / "state.pt"
    whole = file.read_bytes()
    if damage == "list":
        torch.save([1, 2], file)
    else:
        disks = bytearray(whole)  # an archive that says it is one of several
        disks[whole.rindex(b"PK\x06\x07") + 16] = 7
        content = {
            "disks": bytes(disks),
            "truncated": whole[: len(whole) // 2],
            "empty": b"",
            "text": b"hello " * 50,
        }
        file.write_bytes(content[damage])
    with pytest.raises(CheckpointError, match=rf"{file.name}: (not a file|refused|holds a list)"):
        load_checkpoint(tmp_path)


def test_a_folder_without_weights(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"holds neither state\.pt nor model_<step>\.pt"):
        load_fu_run(tmp_path)


@pytest.mark.parametrize("text", ["model: [", "just text", "model: 3", "training: {}"])
def test_damaged_configs(author: TransformerModel, tmp_path: Path, text: str) -> None:
    run = write_run(tmp_path, author.state_dict())
    (run / "config.yaml").write_text(text)
    with pytest.raises(CheckpointError, match=r"config\.yaml: (not readable|has no section)"):
        load_checkpoint(run)


@pytest.mark.parametrize(
    ("training", "expected"),
    [
        ({"task": "linear_regression"}, {"name": "linear_regression"}),
        (
            {"task": "linear_regression", "data": "skew"},
            {"name": "linear_regression", "condition_number": 100, "normalisation": "trace"},
        ),
        (
            {"task": "noisy_linear_regression", "task_kwargs": {"noise_std": 0.2, "scale": 2}},
            {"name": "linear_regression", "noise_std": 0.1, "y_scale": 2},
        ),
        (
            {"task": "relu_2nn_regression", "task_kwargs": {"hidden_layer_size": 100}},
            {"name": "two_layer_network", "activation": "relu", "n_hidden": 100},
        ),
        ({"task": "relu_2nn_regression", "data": "skew"}, None),
        ({"task": "decision_tree", "task_kwargs": {"depth": 4}}, None),
        ({"task": "noisy_linear_regression", "task_kwargs": {"renormalize_ys": True}}, None),
        ({"task": "linear_regression", "data": "sphere"}, None),
        ({"task": "linear_regression", "curriculum": {"dims": {"end": 2}}}, None),
        (None, None),
    ],
)
def test_tasks_in_our_words(training: dict[str, Any] | None, expected: Any) -> None:
    task = task_of({"model": CONFIG["model"], "training": training})
    if expected is None:
        assert task is None
    else:
        assert task == expected | {"n_dims": N_DIMS, "n_points": N_POSITIONS}
        build_task(task)


SAMPLE = Path(__file__).parents[3] / "shared/checkpoints/fu-format-d5"


@pytest.mark.skipif(not SAMPLE.is_dir(), reason="the sample run is not part of the repository")
def test_the_sample_run() -> None:
    model = load_checkpoint(SAMPLE)
    expected = np.load(SAMPLE / "expected.npz")
    xs, ys = torch.from_numpy(expected["xs"]), torch.from_numpy(expected["ys"])
    [captured] = capture(model, (xs, ys), model.sites(), positions="tokens")
    predictions = torch.from_numpy(expected["predictions"])
    hidden = torch.from_numpy(expected["hidden_states"])
    torch.testing.assert_close(captured.predictions, predictions, rtol=0, atol=1e-5)
    torch.testing.assert_close(captured.activations, hidden, rtol=0, atol=1e-5)
    task = {"name": "linear_regression", "n_dims": 5, "n_points": 11}
    assert model.provenance["task"] == task


def test_a_folder_without_weights_is_refused(tmp_path: Path):
    with pytest.raises(CheckpointError, match=r"neither state\.pt nor model_<step>\.pt"):
        load_fu_run(tmp_path)
