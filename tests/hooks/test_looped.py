"""The looped transformer against a GPT-2 whose layers are equal."""

from __future__ import annotations

import pytest
import torch

from hooks.architectures.gpt2 import GPT2, GPT2Config
from hooks.architectures.looped import LoopedConfig, LoopedTransformer

SIZES = {"n_dims": 3, "n_points": 5, "n_layers": 3, "d_model": 8, "n_heads": 2}
XS, YS = torch.randn(4, 5, 3), torch.randn(4, 5)


def looped(**options: bool) -> LoopedTransformer:
    return LoopedTransformer(LoopedConfig(**SIZES, **options), torch.Generator().manual_seed(0))


def test_without_injection_it_is_a_gpt2_of_equal_layers() -> None:
    model = looped(input_injection=False)
    gpt2 = GPT2(GPT2Config(**SIZES))
    weights = {}
    for name, weight in model.state_dict().items():
        layers = range(3) if name.startswith("shared_block.") else range(1)
        for layer in layers:
            weights[name.replace("shared_block", f"blocks.{layer}")] = weight
    gpt2.load_state_dict(weights)
    torch.testing.assert_close(model(XS, YS), gpt2(XS, YS))


def test_injection_adds_the_embedding_before_every_later_loop() -> None:
    model = looped()
    _, cache = model.run_with_cache(XS, YS)
    embedding = cache["blocks.0.hook_resid_pre"]
    torch.testing.assert_close(embedding, cache["hook_embed"] + cache["hook_pos_embed"])
    for loop in range(1, 3):
        before = cache[f"blocks.{loop - 1}.hook_resid_post"]
        torch.testing.assert_close(cache[f"blocks.{loop}.hook_resid_pre"], before + embedding)


@pytest.mark.parametrize("n_loops", [1, 2, 7])
def test_another_number_of_loops_continues_the_same_iteration(n_loops: int) -> None:
    model = looped()
    other = model.with_loops(n_loops)
    assert other.n_layers == n_loops
    _, cache = model.run_with_cache(XS, YS)
    _, other_cache = other.run_with_cache(XS, YS)
    for loop in range(min(3, n_loops)):
        name = f"blocks.{loop}.hook_resid_post"
        assert torch.equal(other_cache[name], cache[name])


def test_less_than_one_loop_is_refused() -> None:
    with pytest.raises(ValueError, match="n_loops must be at least 1, got 0"):
        looped().with_loops(0)
