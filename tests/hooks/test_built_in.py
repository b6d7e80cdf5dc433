from __future__ import annotations

import pytest
import torch

from hooks.architectures.built_in import BUILT_IN
from hooks.architectures.standard_prompts import standard_prompts
from hooks.checkpoints import load_checkpoint, save_checkpoint


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_models_are_named_run_and_survive_a_checkpoint(name, tmp_path):
    model = BUILT_IN[name]()
    assert not model.training
    assert model.provenance["built_in"] == name
    assert model.provenance["task"]["n_points"] == 11
    save_checkpoint(model, tmp_path / "m.safetensors", model.provenance)
    loaded = load_checkpoint(tmp_path / "m.safetensors")
    xs, ys = standard_prompts(model.config, 8)
    assert torch.equal(loaded(xs, ys), model(xs, ys))
    assert (model(xs, ys)[:, -1] - ys[:, -1]).square().mean() < ys[:, -1].square().mean() / 2


def test_double_precision_survives_a_checkpoint(tmp_path):
    model = BUILT_IN["newton-exact"]().double()
    save_checkpoint(model, tmp_path / "m.safetensors")
    assert load_checkpoint(tmp_path / "m.safetensors").dtype == torch.float64


def test_looped_models_store_one_layer():
    looped, separate = BUILT_IN["gd-exact-looped"](), BUILT_IN["gd-exact"]()
    assert sum(p.numel() for p in looped.parameters()) * 3 < sum(
        p.numel() for p in separate.parameters()
    )
