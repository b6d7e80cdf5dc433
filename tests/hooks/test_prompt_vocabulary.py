"""Our GPT-2 behind TransformerLens's analysis tools."""

from __future__ import annotations

import pytest
import torch
from transformer_lens.patching import get_act_patch_direct_path
from transformer_lens.tools.analysis import attribution_patch

from hooks import bridge_prompts, build_model
from hooks.interventions import Patch, intervene, record
from hooks.model import SequenceModel
from hooks.sites import Site

N_DIMS, N_POINTS = 3, 4


@pytest.fixture(scope="module")
def model() -> SequenceModel:
    sizes = {"n_layers": 2, "n_heads": 2, "d_model": 8, "n_dims": N_DIMS, "n_points": N_POINTS}
    model = build_model("gpt2", sizes).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.2 * torch.randn(weight.shape, generator=generator))
    return model


@pytest.fixture(scope="module")
def prompts() -> tuple[torch.Tensor, torch.Tensor]:
    """One prompt and another one with the same xs."""
    generator = torch.Generator().manual_seed(1)
    xs = torch.randn(1, N_POINTS, N_DIMS, generator=generator)
    return xs.expand(2, -1, -1), torch.randn(2, N_POINTS, generator=generator)


def test_predictions_are_those_of_the_model(model, prompts):
    bridged = bridge_prompts(model, *prompts)
    with torch.no_grad():
        expected = model(*prompts)
        found = bridged.predictions(bridged.bridge(bridged.tokens))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_attribution_is_the_gradient_along_the_difference(model, prompts):
    bridged = bridge_prompts(model, *prompts)
    clean, corrupt = bridged.tokens[:1], bridged.tokens[1:]
    scores = attribution_patch(
        bridged.bridge, clean, corrupt, lambda logits: bridged.predictions(logits)[0, -1]
    ).node_scores

    xs, ys = prompts
    site = Site(1, "mlp_out")
    before, after = (record(model, xs[:1], y, [site])[site] for y in (ys[1:], ys[:1]))
    before.requires_grad_()
    with intervene(model, Patch(site, before)):
        (gradient,) = torch.autograd.grad(model(xs[:1], ys[1:])[0, -1], before)
    expected = ((after - before) * gradient).sum(-1)[0]
    found = [
        score
        for node, score in scores.items()
        if (node.kind, node.layer) == ("mlp_out", site.layer - 1)
    ]
    assert expected.abs().max() > 1e-3
    torch.testing.assert_close(torch.tensor(found), expected.detach(), rtol=1e-3, atol=1e-5)


def test_path_patching_runs(model, prompts):
    bridged = bridge_prompts(model, *prompts)
    clean, corrupt = bridged.tokens[:1], bridged.tokens[1:]
    caches = [bridged.bridge.run_with_cache(tokens)[1] for tokens in (clean, corrupt)]

    def metric(logits: torch.Tensor) -> torch.Tensor:
        return bridged.predictions(logits)[0, -1]

    effect = get_act_patch_direct_path(
        bridged.bridge, corrupt, *caches, metric, src_layer=0, src_head=1, component="v",
        verbose=False,
    )  # fmt: skip
    unpatched = metric(bridged.bridge(corrupt)).item()
    assert effect.shape == (2, 2)
    assert (effect[1] - unpatched).abs().max() > 1e-4


def test_refuses_what_the_bridge_would_compute_otherwise(prompts):
    sizes = {"n_layers": 1, "n_heads": 2, "d_model": 8, "n_dims": N_DIMS, "n_points": N_POINTS}
    for changed in ({"attn_only": True}, {"attention": "relu"}, {"tokens": "joined"}):
        with pytest.raises(ValueError, match="must have softmax attention"):
            bridge_prompts(build_model("gpt2", sizes | changed), *prompts)
    lstm = build_model(
        "lstm", {"n_layers": 1, "d_model": 8, "n_dims": N_DIMS, "n_points": N_POINTS}
    )
    with pytest.raises(ValueError, match="must be a GPT2, got LSTM"):
        bridge_prompts(lstm, *prompts)
