"""Induced weights: shared prefixes give what one query at a time gives."""

from __future__ import annotations

import re
import warnings
from typing import Any

import numpy as np
import pytest
import torch

from hooks import (
    NonFiniteError,
    SequenceModel,
    Site,
    attach,
    build_model,
    capture,
    induce_weights,
)

N_DIMS, N_POINTS = 3, 5
SIZES = {"n_dims": N_DIMS, "n_points": N_POINTS, "n_layers": 2, "n_heads": 2, "d_model": 8}


def random_model(architecture: str = "gpt2", **options: Any) -> SequenceModel:
    sizes = SIZES if architecture != "lstm" else {k: v for k, v in SIZES.items() if k != "n_heads"}
    model = build_model(architecture, sizes | options, seed=0).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.2)
    return model


def attached(model: SequenceModel) -> SequenceModel:
    return attach(
        model,
        lambda module, xs, ys: module(xs, ys),
        n_dims=N_DIMS,
        n_points=N_POINTS,
        layers="blocks.*",
        points=model.prediction_tokens(N_POINTS),
        final_norm="ln_final",
    )


def prompts(n: int = 4, n_points: int = N_POINTS) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    xs = torch.randn(n, n_points, N_DIMS, generator=generator, dtype=torch.float64)
    return xs, torch.randn(n, n_points, generator=generator, dtype=torch.float64)


def queries(n: int = 20) -> torch.Tensor:
    generator = torch.Generator().manual_seed(2)
    return torch.randn(n, N_DIMS, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"tokens": "joined"},
        {"attn_only": True},
        {"n_heads": 1, "n_layers": 3},
        {"architecture": "looped"},
        {"architecture": "looped", "tokens": "joined", "norm_in_loop": True},
        {"architecture": "looped", "input_injection": False},
    ],
)
@pytest.mark.parametrize("n_points", [1, N_POINTS])
def test_shared_prefixes_give_the_definition(options: dict[str, Any], n_points: int) -> None:
    """One query at a time, one least squares at a time, by NumPy."""
    model = random_model(**options)
    xs, ys = prompts(2, n_points)
    asking = queries(7)
    sites = [site for kind in model.site_kinds for site in model.sites(kind)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        [induced] = induce_weights(model, (xs, ys), asking, sites)
    for prompt in range(len(xs)):
        for point in range(n_points):
            asked = []
            for query in asking:
                prefix = xs[prompt : prompt + 1, : point + 1].clone()
                prefix[0, point] = query
                [captured] = capture(model, (prefix, ys[prompt : prompt + 1, : point + 1]), sites)
                last = captured.activations[:, 0, -1].flatten()
                asked.append(torch.cat((captured.predictions[0, -1:], last)))
            expected, *_ = np.linalg.lstsq(asking.numpy(), torch.stack(asked).double().numpy())
            weights, maps = expected[:, 0], expected[:, 1:].reshape(N_DIMS, len(sites), -1)
            np.testing.assert_allclose(induced.weights[prompt, point], weights, atol=1e-5)
            found = induced.maps[:, prompt, point].transpose(0, 1)
            np.testing.assert_allclose(found, maps, atol=1e-5)


def test_hooks_on_a_model_reach_the_queries() -> None:
    model = random_model()
    [expected] = induce_weights(model, prompts(), queries())

    def double(activation: torch.Tensor, *, hook: Any) -> torch.Tensor:
        return 2 * activation

    with (
        model.hooks(fwd_hooks=[("blocks.1.hook_mlp_out", double)]),
        pytest.warns(UserWarning, match="by itself"),
    ):
        [changed] = induce_weights(model, prompts(), queries())
    assert (changed.weights - expected.weights).abs().max() > 1e-3


@pytest.mark.parametrize("architecture", ["lstm", "linear-attention", "early-exit", "attached"])
def test_other_models_take_the_slow_path_and_say_so(architecture: str) -> None:
    if architecture == "attached":
        ours = random_model()
        model = attached(ours)
        [expected] = induce_weights(ours, prompts(), queries(), ours.sites())
    else:
        model = random_model(architecture)
    with pytest.warns(UserWarning, match=r"runs every query by itself: 20 forward passes a point"):
        [induced] = induce_weights(model, prompts(), queries(), model.sites())
    assert induced.maps.shape == (model.n_layers + 1, 4, N_POINTS, N_DIMS, 8)
    if architecture == "attached":
        torch.testing.assert_close(induced.weights, expected.weights, rtol=0, atol=1e-5)
        torch.testing.assert_close(induced.maps, expected.maps, rtol=0, atol=1e-5)


def test_a_read_out_of_a_map_is_the_map_of_a_read_out() -> None:
    model = random_model()
    with torch.no_grad():
        model.read_out.bias.fill_(0.7)
    [induced] = induce_weights(model, prompts(), queries(), model.sites())
    read_out = model.read_out
    weights = induced.maps[-1] @ read_out.weight[0] + read_out.bias * induced.constant
    torch.testing.assert_close(weights, induced.weights)


def test_a_linear_model_induces_its_weights() -> None:
    module = torch.nn.ModuleDict({"layers": torch.nn.ModuleList([torch.nn.Identity()])})

    def predict(module: Any, xs: torch.Tensor, ys: torch.Tensor) -> torch.Tensor:
        weights = (xs * ys[..., None]).cumsum(1) - xs * ys[..., None]
        return (module["layers"][0](weights) * xs).sum(-1)

    model = attach(
        module, predict, n_dims=N_DIMS, n_points=N_POINTS, layers="layers.*", points=slice(None)
    )
    xs, ys = prompts()
    with pytest.warns(UserWarning, match="by itself"):
        [induced] = induce_weights(model, (xs, ys), queries())
    expected = (xs * ys[..., None]).cumsum(1) - xs * ys[..., None]
    torch.testing.assert_close(induced.weights.double(), expected, rtol=0, atol=1e-5)
    assert induced.maps.shape[0] == 0


def test_batches_and_groups_join_to_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    model = random_model()
    xs, ys = prompts(7)
    [whole] = induce_weights(model, (xs, ys), queries(), model.sites())
    monkeypatch.setattr("hooks.induced_weights.MAX_NUMBERS", 2000)
    batches = zip(xs.split(4), ys.split(4), strict=True)
    parts = list(induce_weights(model, batches, queries(), model.sites()))
    torch.testing.assert_close(torch.cat([part.weights for part in parts]), whole.weights)
    torch.testing.assert_close(torch.cat([part.maps for part in parts], 1), whole.maps)


def test_leaves_the_model_as_it_was() -> None:
    model = random_model().train()
    [induced] = induce_weights(model, prompts(), queries(), model.sites())
    assert model.training
    assert not any(point.fwd_hooks for point in model.hook_dict.values())
    assert not induced.weights.is_inference()
    assert not induced.weights.requires_grad


@pytest.mark.parametrize(
    ("asked", "sites", "message"),
    [
        (torch.zeros(9, 4), [], "queries has 4 dims, the model takes 3"),
        (queries(3), [], "queries holds 3 inputs, not enough to span 3 dims"),
        (queries(9) * torch.tensor([1.0, 0, 1]), [], "not enough to span 3 dims"),
        (queries(), [Site(7)], r"resid_post\[7\]: layer must be in 0\.\.2"),
    ],
)
def test_wrong_arguments(asked: torch.Tensor, sites: list[Site], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        induce_weights(random_model(), prompts(), asked, sites)


def test_non_finite_values_are_named() -> None:
    model = random_model()
    with pytest.raises(NonFiniteError, match=re.escape("queries: NaN")):
        induce_weights(model, prompts(), queries() * torch.nan)
    with torch.no_grad():
        model.blocks[1].mlp.W_out.bias[0] = torch.inf
    with pytest.raises(NonFiniteError, match=r"site resid_post\[2\]: NaN .* prompt 0"):
        list(induce_weights(model, prompts(), queries(), [Site(1), Site(2)]))
