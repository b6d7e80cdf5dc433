"""Online gradient descent in hand-set weights of a delta-rule layer."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from algorithm_loops import streams

from hooks.architectures.ogd_exact import OGDExact, OGDExactConfig
from hooks.architectures.planted import build_planted
from hooks.architectures.prefix_delta_rule import PrefixDeltaRule
from hooks.architectures.standard_prompts import standard_prompts


def ogd_by_loop(xs, ys):
    """Predictions at every point after one pass over the examples before it."""
    xs, ys = xs.numpy(), ys.numpy()
    predictions = np.zeros_like(ys)
    for p in range(len(xs)):
        w = np.zeros(xs.shape[2])
        for t, (x, y) in enumerate(zip(xs[p], ys[p], strict=True)):
            predictions[p, t] = x @ w
            w = w - (w @ x - y) / (x @ x) * x
    return torch.from_numpy(predictions)


@pytest.mark.parametrize(("d", "n_points", "n_prompts"), [(5, 11, 24), (20, 41, 3)])
@pytest.mark.parametrize("looped", [False, True])
def test_every_layer_holds_what_one_pass_predicts(looped, d, n_points, n_prompts):
    sizes = {"n_dims": d, "n_points": n_points, "n_layers": 3, "looped": looped}
    config = OGDExactConfig(**sizes, dtype="float64")
    xs, ys = standard_prompts(config, n_prompts)
    expected = ogd_by_loop(xs, ys)
    model = OGDExact(config)
    torch.testing.assert_close(model(xs, ys), expected, rtol=0, atol=1e-8)
    held = streams(model, xs, ys)[..., config.slots()["residual"]][..., 0]
    for layer, passes in zip(held, model.steps_done(), strict=True):
        torch.testing.assert_close(-layer, passes * expected, rtol=0, atol=1e-8)
    single = OGDExact(OGDExactConfig(**sizes))
    assert (single(xs, ys) - expected).abs().max() < 1e-3


def test_the_order_of_the_examples_matters_and_the_future_does_not():
    model = OGDExact(OGDExactConfig(dtype="float64"))
    xs, ys = standard_prompts(model.config, 8)
    swapped = xs.clone(), ys.clone()
    for ours, theirs in zip(swapped, (xs, ys), strict=True):
        ours[:, [2, 3]] = theirs[:, [3, 2]]
    there, here = model(*swapped), model(xs, ys)
    assert torch.equal(there[:, :2], here[:, :2])
    assert (there[:, 4] - here[:, 4]).abs().max() > 1e-3


def test_turned_streams_compute_the_same():
    turned = build_planted(algorithm="ogd", n_layers=4, rotation_seed=3, dtype="float64")
    xs, ys = standard_prompts(turned.config, 32)
    torch.testing.assert_close(turned(xs, ys), ogd_by_loop(xs, ys), rtol=0, atol=1e-8)
    assert turned.steps_done().tolist() == [0, 1, 1, 1, 1]


def test_the_pattern_that_hooks_see_is_what_is_applied():
    model = OGDExact(OGDExactConfig(dtype="float64", n_layers=2))
    xs, ys = standard_prompts(model.config, 4)
    seen = []

    def see(value, hook):
        seen.append(value)

    said = model.run_with_hooks(xs, ys, fwd_hooks=[("blocks.0.attn.hook_pattern", see)])
    torch.testing.assert_close(said, model(xs, ys))
    assert seen[0].triu(1).abs().max() == 0


def test_a_key_of_nothing_writes_nothing():
    layer = PrefixDeltaRule(2, n_heads=1, d_head=2, d_value=1, n_points=3)
    keys = torch.tensor([[[[1.0, 0.0], [0.0, 0.0], [3.0, 4.0]]]], dtype=torch.float64)
    queries = torch.ones_like(keys)
    pattern = layer._pattern(
        *(part.permute(1, 3, 2, 0) for part in (queries, keys))
    )  # [head, query, key, prompt]
    assert pattern[:, :, 1].abs().max() == 0
    assert pattern[0, 2, 2, 0] == pytest.approx(7 / 25)
