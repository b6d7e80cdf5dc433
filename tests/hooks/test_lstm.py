"""The LSTM against torch's stacked one, and what its options start from."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from hooks.architectures.lstm import LSTM, LSTMConfig
from hooks.tokens import make_tokens

CONFIG = LSTMConfig(n_dims=3, n_points=5, n_layers=3, d_model=8)


def test_plain_layers_are_a_stacked_torch_lstm() -> None:
    model = LSTM(CONFIG, torch.Generator().manual_seed(0))
    stacked = nn.LSTM(8, 8, num_layers=3, batch_first=True)
    stacked.load_state_dict(
        {
            name.replace("_l0", f"_l{layer}"): weight
            for layer, block in enumerate(model.blocks)
            for name, weight in block.lstm.state_dict().items()
        }
    )
    xs, ys = torch.randn(4, 5, 3), torch.randn(4, 5)
    hidden, _ = stacked(model.read_in(make_tokens("interleaved", xs, ys)))
    torch.testing.assert_close(model(xs, ys), model.read_out(hidden)[:, ::2, 0])


def test_forget_gates_start_open_and_recurrent_weights_orthogonal() -> None:
    model = LSTM(CONFIG, torch.Generator().manual_seed(0))
    for block in model.blocks:
        _, forget, _, _ = (block.lstm.bias_ih_l0 + block.lstm.bias_hh_l0).chunk(4)
        assert (forget == CONFIG.forget_bias).all()
        for gate in block.lstm.weight_hh_l0.chunk(4):
            torch.testing.assert_close(gate @ gate.T, torch.eye(8))


def test_a_gain_of_three_carries_differences_between_prompts_up_a_deep_stack() -> None:
    def spread(gain: float) -> list[float]:
        sizes = {"n_dims": 5, "n_points": 6, "n_layers": 10, "d_model": 32, "input_gain": gain}
        model = LSTM(LSTMConfig(**sizes), torch.Generator().manual_seed(0))
        generator = torch.Generator().manual_seed(1)
        xs = torch.randn(64, 6, 5, generator=generator)
        _, cache = model.run_with_cache(xs, torch.randn(64, 6, generator=generator))
        streams = [cache[f"blocks.{layer}.hook_resid_post"][:, -2] for layer in range(10)]
        return [stream.std(0).square().mean().sqrt().item() for stream in streams]

    plain, kept = spread(1.0), spread(3.0)
    assert plain[-1] < 0.02 * plain[0]
    assert kept[-1] > 0.5 * kept[0]
    with pytest.raises(ValueError, match="input_gain must be above 0"):
        LSTMConfig(input_gain=0.0)


def test_a_residual_layer_adds_its_hidden_state_to_the_stream() -> None:
    config = LSTMConfig(n_dims=3, n_points=5, n_layers=2, d_model=8, residual=True)
    model = LSTM(config, torch.Generator().manual_seed(0))
    _, cache = model.run_with_cache(torch.randn(4, 5, 3), torch.randn(4, 5))
    for layer in range(2):
        before, hidden, after = (
            cache[f"blocks.{layer}.hook_{name}"] for name in ("resid_pre", "hidden", "resid_post")
        )
        torch.testing.assert_close(before + hidden, after)
