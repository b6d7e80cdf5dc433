"""Linear self-attention against gradient descent."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hooks.architectures.linear_attention import LinearAttention, LinearAttentionConfig


@settings(max_examples=20)
@given(seed=st.integers(0, 2**31), n_dims=st.integers(1, 5), eta=st.floats(1e-3, 1.0))
def test_one_layer_with_von_oswalds_weights_is_one_gradient_step(
    seed: int, n_dims: int, eta: float
) -> None:
    n_points = 7
    config = LinearAttentionConfig(
        n_dims=n_dims, n_points=n_points, n_layers=1, d_model=n_dims + 1, n_heads=1, clip=1e6
    )
    model = LinearAttention(config).double()
    x_slots, y_slot = torch.zeros(2, n_dims + 1, n_dims + 1).double()
    x_slots[:n_dims, :n_dims] = torch.eye(n_dims)
    y_slot[n_dims, n_dims] = 1
    with torch.no_grad():
        model.read_in.weight.copy_(torch.eye(n_dims + 1))
        model.blocks[0].attn.W_QKV.weight.copy_(torch.cat((x_slots, x_slots, y_slot)))
        model.blocks[0].attn.W_O.weight.copy_(eta * n_points * torch.eye(n_dims + 1))
        model.read_out.weight.copy_(y_slot[-1:])
    generator = torch.Generator().manual_seed(seed)
    xs = torch.randn(3, n_points, n_dims, dtype=torch.float64, generator=generator)
    ys = torch.randn(3, n_points, dtype=torch.float64, generator=generator)
    predictions = model(xs, ys)
    for prompt in range(3):
        for point in range(n_points):
            weights = eta * xs[prompt, :point].T @ ys[prompt, :point]
            torch.testing.assert_close(predictions[prompt, point], weights @ xs[prompt, point])


def test_clipping_bounds_the_stream_and_leaves_typical_prompts_alone() -> None:
    config = LinearAttentionConfig(n_dims=3, n_points=5, n_layers=2, d_model=8, n_heads=2)
    clipped = LinearAttention(config, torch.Generator().manual_seed(0))
    _, cache = clipped.run_with_cache(100 * torch.ones(1, 5, 3), 100 * torch.ones(1, 5))
    assert cache["blocks.1.hook_resid_post"].abs().max() == config.clip
    resid, attn_out, after = (
        clipped.run_with_cache(0.1 * torch.ones(1, 5, 3), torch.ones(1, 5))[1][f"blocks.0.{name}"]
        for name in ("hook_resid_pre", "hook_attn_out", "hook_resid_post")
    )
    torch.testing.assert_close(resid + attn_out, after)
