"""Muon for the layers' matrices, AdamW for the rest."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from interp.training.optimiser import MuonWithAdamW, build_optimiser, is_in_layer
from interp.training.settings import Optimiser

SETTINGS = Optimiser(name="muon", learning_rate=1e-2, weight_decay=0.1)


def two_layers() -> nn.Module:
    torch.manual_seed(0)
    model = nn.Module()
    model.read_in = nn.Linear(3, 4)
    model.blocks = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 6)])
    return model


def with_gradients(model: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(1)
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)
    return model


def test_matrices_of_layers_move_by_muon_and_the_rest_by_adamw(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.float)  # of PyTorch's Muon
    mixed, by_muon, by_adamw = (with_gradients(two_layers()) for _ in range(3))
    build_optimiser(mixed, SETTINGS).step()
    matrices = [layer.weight for layer in by_muon.blocks]
    torch.optim.Muon(matrices, lr=1e-2, weight_decay=0.1, adjust_lr_fn="match_rms_adamw").step()
    build_optimiser(by_adamw, Optimiser(learning_rate=1e-2, weight_decay=0.1)).step()
    for name, parameter in mixed.named_parameters():
        is_by_muon = name in ("blocks.0.weight", "blocks.1.weight")
        oracle = (by_muon if is_by_muon else by_adamw).get_parameter(name)
        torch.testing.assert_close(parameter, oracle, rtol=0, atol=1e-6)


def test_muon_moves_a_matrix_equally_along_all_its_singular_directions() -> None:
    model = with_gradients(two_layers())
    before = model.blocks[0].weight.detach().clone()
    settings = Optimiser(name="muon", learning_rate=1e-2, weight_decay=0.0)
    build_optimiser(model, settings).step()
    moved = torch.linalg.svdvals(before - model.blocks[0].weight.detach())
    gradient = torch.linalg.svdvals(model.blocks[0].weight.grad)
    assert moved.max() / moved.min() < 2.5 < gradient.max() / gradient.min()


def test_a_learning_rate_set_from_outside_reaches_both_parts() -> None:
    model = with_gradients(two_layers())
    before = [parameter.detach().clone() for parameter in model.parameters()]
    optimiser = build_optimiser(model, SETTINGS)
    for group in optimiser.param_groups:
        group["lr"] = 0.0
    optimiser.step()
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_a_model_whose_layers_have_no_matrices_is_refused() -> None:
    with pytest.raises(ValueError, match="'muon', but the model's layers have no matrices"):
        MuonWithAdamW(nn.Linear(3, 2), SETTINGS)


@pytest.mark.parametrize(
    ("name", "answer"),
    [("blocks.3.attn.W_O.weight", True), ("shared_block.mlp.W_in.weight", True),
     ("read_in.weight", False), ("W_pos.weight", False)],
)  # fmt: skip
def test_layers_are_told_by_their_name(name: str, answer: bool) -> None:
    assert is_in_layer(name) is answer
