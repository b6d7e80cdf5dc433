from __future__ import annotations

import pytest
import torch
from algorithm_loops import newton_by_loop, streams

from hooks.architectures.newton_exact import NewtonExact, NewtonExactConfig
from hooks.architectures.prefix_segments import prefix_segments
from hooks.architectures.standard_prompts import standard_prompts
from hooks.sites import Site

SIZES = [(5, 11, 24), (20, 41, 3)]


@pytest.mark.parametrize(("d", "n_points", "n_prompts"), SIZES)
@pytest.mark.parametrize("looped", [False, True])
def test_twelve_iterations_equal_the_loop(d, n_points, n_prompts, looped):
    config = NewtonExactConfig(n_dims=d, n_points=n_points, looped=looped, dtype="float64")
    assert config.n_layers == 12 + 2
    xs, ys = standard_prompts(config, n_prompts)
    expected, _ = newton_by_loop(xs, ys, config.alpha, 12)
    with torch.no_grad():
        torch.testing.assert_close(NewtonExact(config)(xs, ys), expected[12], rtol=0, atol=1e-8)
        single = NewtonExact(NewtonExactConfig(n_dims=d, n_points=n_points, looped=looped))
        error = (single(xs, ys) - expected[12]).abs().max()
    assert error < 1e-3


@pytest.mark.parametrize("alpha", [1e-5, 3.3e-4])
def test_every_layer_holds_the_iterate_it_says(alpha):
    config = NewtonExactConfig(n_layers=8, alpha=alpha, dtype="float64")
    model, (xs, ys) = NewtonExact(config), standard_prompts(config, 16)
    predictions, queries = newton_by_loop(xs, ys, alpha, 6)
    seen = streams(model, xs, ys)
    slots = config.slots()
    for layer, (k, k_query) in enumerate(
        zip(model.steps_done(), model.steps_done("filtered_query"), strict=True)
    ):
        if not k.isnan():
            torch.testing.assert_close(
                seen[layer, ..., slots["prediction"]][..., 0],
                predictions[int(k)],
                rtol=0,
                atol=1e-9,
            )
        if not k_query.isnan():
            expected = config.n_points * queries[int(k_query)]
            torch.testing.assert_close(seen[layer, ..., slots["m"]], expected, rtol=0, atol=1e-9)
    assert model.steps_done()[2:].tolist() == list(range(7))
    assert model.steps_done("filtered_query")[1:].tolist() == [*range(7), 6]


def linear_r2(features, target):
    """Held-out R^2 of least squares with an intercept; features [sample, d]."""
    features = torch.cat([features, torch.ones(len(features), 1, dtype=features.dtype)], 1)
    half = len(features) // 2
    weights = torch.linalg.lstsq(features[:half], target[:half], driver="gelsd").solution
    residual = target[half:] - features[half:] @ weights
    return 1 - residual.square().mean() / target[half:].square().mean()


def test_silent_stream_predicts_nothing_before_the_end_but_holds_filtered_queries():
    config = NewtonExactConfig(n_layers=8, readable=False, dtype="float64")
    model, (xs, ys) = NewtonExact(config), standard_prompts(config, 1600)
    seen = streams(model, xs, ys)[:, :, -1]  # [layer, prompt, d_model]
    scores = [linear_r2(layer, ys[:, -1:]) for layer in seen]
    assert max(scores[:-1]) < 0.03
    assert scores[-1] > 0.5
    _, queries = newton_by_loop(xs[:100], ys[:100], config.alpha, 6)
    for layer, k in enumerate(model.steps_done("filtered_query")[1:], start=1):
        assert linear_r2(seen[layer, :100], queries[int(k), :, -1]) > 1 - 1e-9
    assert model.steps_done().isnan().tolist() == [True] * 8 + [False]


def test_looped_model_runs_any_number_of_loops_on_the_same_weights():
    model = NewtonExact(NewtonExactConfig(n_layers=5, looped=True, dtype="float64"))
    longer = model.with_loops(9)
    separate = NewtonExact(NewtonExactConfig(n_layers=11, dtype="float64"))
    xs, ys = standard_prompts(model.config, 8)
    assert longer.n_layers == 11
    assert model.state_dict().keys() == longer.state_dict().keys()
    torch.testing.assert_close(longer(xs, ys), separate(xs, ys))
    with pytest.raises(ValueError, match="looped"):
        separate.with_loops(3)


def test_prompts_shorter_than_built_for_are_prefixes():
    model = NewtonExact(NewtonExactConfig(n_layers=6, dtype="float64"))
    xs, ys = standard_prompts(model.config, 8)
    torch.testing.assert_close(model(xs[:, :6], ys[:, :6]), model(xs, ys)[:, :6])


def test_gradients_flow_after_a_run_in_inference_mode():
    model = NewtonExact(NewtonExactConfig(n_layers=6, n_points=9, dtype="float64"))
    xs, ys = standard_prompts(model.config, 2)
    prefix_segments.cache_clear()
    with torch.inference_mode():
        model(xs, ys)
    model(xs.requires_grad_(), ys).sum().backward()
    assert xs.grad.abs().max() > 0


def test_predictions_ignore_the_future_the_batch_and_the_order_of_examples():
    model = NewtonExact(NewtonExactConfig(n_layers=8, dtype="float64"))
    xs, ys = standard_prompts(model.config, 8)
    predictions = model(xs, ys)
    changed_xs, changed_ys = xs.clone(), ys.clone()
    changed_ys[:, 6:] = 100.0
    changed_xs[:, 7:] = -3.0
    torch.testing.assert_close(model(changed_xs, changed_ys)[:, :7], predictions[:, :7])
    torch.testing.assert_close(model(xs[2:3], ys[2:3]), predictions[2:3])
    order = torch.cat([torch.randperm(10), torch.tensor([10])])
    torch.testing.assert_close(model(xs[:, order], ys[:, order])[:, -1], predictions[:, -1])


def test_only_prompts_beyond_alpha_diverge():
    model = NewtonExact(NewtonExactConfig(n_layers=30))
    xs, ys = standard_prompts(model.config, 4)
    xs[1] *= 4
    with torch.no_grad():
        finite = model(xs, ys).isfinite().all(dim=1)
    assert finite.tolist() == [True, False, True, True]


def test_pattern_and_patches_go_through_the_hooks():
    model = NewtonExact(NewtonExactConfig(n_layers=5, dtype="float64"))
    xs, ys = standard_prompts(model.config, 4)
    predictions, cache = model.run_with_cache(xs, ys)
    torch.testing.assert_close(predictions, model(xs, ys), rtol=0, atol=1e-12)
    pattern = cache["blocks.1.attn.hook_pattern"]
    assert pattern.shape == (4, 4, 66, 66)
    assert (pattern >= 0).all()
    assert (pattern[:, :, :, model.prediction_tokens(11)] == 0).all()
    assert cache["blocks.1.attn.hook_z"].shape == (4, 66, 4, 6)

    def silence(activations, *, hook):
        return torch.zeros_like(activations)

    name = model.hook_name(Site(5, "attn_out"))
    silenced = model.run_with_hooks(xs, ys, fwd_hooks=[(name, silence)])
    assert (silenced == 0).all()


@pytest.mark.parametrize(
    "fields", [{"alpha": -1.0}, {"n_layers": 1}, {"d_model": 5}, {"dtype": "float16"}]
)
def test_configurations_that_make_no_sense_are_refused(fields):
    with pytest.raises(ValueError, match=next(iter(fields))):
        NewtonExactConfig(**fields)
