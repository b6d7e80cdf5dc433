"""Attention patterns are the model's own."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hooks import build_model
from hooks.architectures.built_in import BUILT_IN
from interp.analyses.patterns import PatternSettings, attention_patterns
from interp.tasks import LinearRegression

TASK = LinearRegression(n_dims=3, n_points=4)
SIZES = {"n_dims": 3, "n_points": 4, "n_layers": 2, "d_model": 8, "n_heads": 2}


def test_patterns_are_those_of_the_cache_and_their_mean():
    model = build_model("gpt2", SIZES, seed=0)
    found = attention_patterns(model, TASK, n_prompts=70, prompts=(0, 66), seed=3)
    xs, ys, _ = TASK.sample(70, torch.Generator().manual_seed(3))
    with torch.no_grad():
        _, cache = model.run_with_cache(xs, ys)
    for layer in (1, 2):
        expected = cache[f"blocks.{layer - 1}.attn.hook_pattern"].numpy()
        np.testing.assert_allclose(found.pattern.sel(layer=layer), expected[[0, 66]], atol=1e-6)
        np.testing.assert_allclose(found.mean_pattern.sel(layer=layer), expected.mean(0), atol=1e-6)
        at_x = expected.mean(0)[:, 2::2]  # queries that have seen a pair: x2, x3, x4
        y_before = at_x[:, :, 1::2].sum(-1).mean(-1)
        looked_at = found.looked_at.sel(layer=layer)
        np.testing.assert_allclose(looked_at.sel(kind="y before"), y_before, atol=1e-6)
    np.testing.assert_allclose(found.looked_at.sum("kind"), 1, atol=1e-6)
    assert found.query_label.values.tolist() == ["x1", "y1", "x2", "y2", "x3", "y3", "x4", "y4"]


def test_a_constructed_model_looks_within_each_prefix():
    found = attention_patterns(BUILT_IN["newton-exact"](), n_prompts=4)
    mean = found.mean_pattern.sel(layer=2, head=0).values
    assert found.query_label.values[:3].tolist() == ["query x1", "x1", "query x2"]
    assert np.all(mean[0, 1:] == 0)
    assert np.all(mean[1:3, [0, *range(3, 66)]] == 0)
    assert bool(found.mean_pattern.sel(layer=14, head=3).isnull().all())  # it has two heads


def test_models_without_patterns_and_settings_out_of_range():
    lstm = build_model("lstm", {"n_dims": 3, "n_points": 4, "n_layers": 1, "d_model": 8}, seed=0)
    with pytest.raises(ValueError, match="this LSTM has no attention patterns"):
        attention_patterns(lstm, TASK)
    with pytest.raises(ValueError, match=r"prompts must be in 0\.\.127, got 128"):
        PatternSettings(prompts=(128,))
