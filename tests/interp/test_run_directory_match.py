"""`interp match` on a run directory of the official code, its task and sizes from its config."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from test_cli import assert_one_sentence, run
from transformers import GPT2Config, GPT2Model

from interp.tasks import LinearRegression

N_DIMS, N_POINTS, N_LAYERS, WIDTH = 2, 5, 2, 8
CURRICULUM = {
    "dims": {"start": N_DIMS, "end": N_DIMS, "inc": 1, "interval": 100},
    "points": {"start": N_POINTS, "end": N_POINTS, "inc": 2, "interval": 100},
}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """What the official code leaves after a training, written by Hugging Face's own GPT-2."""
    torch.manual_seed(0)
    backbone = GPT2Model(
        GPT2Config(
            n_positions=2 * N_POINTS, n_embd=WIDTH, n_layer=N_LAYERS, n_head=2, vocab_size=3,
            bos_token_id=0, eos_token_id=0,
        )
    )  # fmt: skip
    model = torch.nn.ModuleDict(
        {
            "_read_in": torch.nn.Linear(N_DIMS, WIDTH),
            "_backbone": backbone,
            "_read_out": torch.nn.Linear(WIDTH, 1),
        }
    )
    state = {"model_state_dict": model.state_dict(), "optimizer_state_dict": {}, "train_step": 7}
    torch.save(state, tmp_path / "state.pt")
    write_config(tmp_path, task="noisy_linear_regression", task_kwargs={"noise_std": 0.1})
    return tmp_path


def write_config(directory: Path, **training: object) -> None:
    config = {
        "model": {
            "family": "gpt2", "n_dims": N_DIMS, "n_positions": N_POINTS, "n_embd": WIDTH,
            "n_layer": N_LAYERS, "n_head": 2,
        },
        "training": {"data": "gaussian", "curriculum": CURRICULUM, **training},
    }  # fmt: skip
    (directory / "config.yaml").write_text(yaml.safe_dump(config))


def test_match_takes_task_and_sizes_from_the_config(directory: Path):
    ending = run(
        "match", directory, "--prompts", 128, "--sites", "resid_post", "--json", folder=directory
    )
    assert ending.code == 0, ending.stderr
    summary = json.loads(ending.stdout)
    task = LinearRegression(n_dims=N_DIMS, n_points=N_POINTS, noise_std=0.1)
    assert summary["task"] == task.describe()
    assert summary["checkpoint"] == str(directory)
    assert summary["layers"] == list(range(N_LAYERS + 1))
    assert np.isfinite(summary["references"]["newton"]["similarity"]).all()
    assert summary["verdict"]["answer"] == "none"  # it was never trained


def test_a_task_that_is_not_known_must_be_given(directory: Path):
    write_config(directory, task="decision_tree", task_kwargs={})
    ending = run("match", directory, "--prompts", 128, folder=directory)
    assert_one_sentence(ending, "decision_tree", "none of the tasks here")
