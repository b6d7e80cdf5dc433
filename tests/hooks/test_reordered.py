from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn
from transformers import GPT2Config as HuggingFaceConfig
from transformers import GPT2Model

import hooks
from hooks import Site, build_model, capture, check_wiring
from hooks.architectures.gd_exact import GDExact, GDExactConfig
from hooks.architectures.newton_exact import NewtonExact, NewtonExactConfig
from hooks.architectures.standard_prompts import standard_prompts
from hooks.interventions import Ablate, AblateLayer, intervene
from hooks.reordered import Reordered

SIZES = {"n_dims": 3, "n_points": 5, "n_layers": 3, "d_model": 8, "n_heads": 2}
ARCHITECTURES = {
    "gpt2": SIZES,
    "lstm": {key: SIZES[key] for key in ("n_dims", "n_points", "n_layers", "d_model")},
    "linear-attention": SIZES,
    "delta-net": SIZES,
}
IN_ORDER = [1, 2, 3]
ORDERS = ([1, 2, 2, 3], [1, 3, 2], [2, 3], [1, 2], [3, 1, 1, 2], [2])


def built(name, **sizes):
    model = build_model(name, ARCHITECTURES.get(name, SIZES) | sizes, seed=0)
    with torch.no_grad():
        for parameter in model.parameters():  # so that no layer is negligible
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=torch.manual_seed(1)))
    return model.eval().requires_grad_(False).double()


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_it_says_what_a_model_says_whose_blocks_stand_in_that_order(name, order):
    model = built(name)
    xs, ys = standard_prompts(model.config, 6)
    reordered = Reordered(model, order)
    [seen] = capture(reordered, (xs, ys), reordered.sites())
    before = model(xs, ys)
    blocks = list(model.blocks)
    model.blocks = nn.ModuleList([blocks[layer - 1] for layer in order])
    torch.testing.assert_close(seen.predictions, model(xs, ys), rtol=0, atol=1e-12)
    assert (seen.predictions - before).abs().max() > 1e-3
    assert seen.activations.shape[0] == len(order) + 1


def attached(causal):
    inner = built("gpt2")
    return hooks.attach(
        inner, lambda module, xs, ys: module(xs, ys), n_dims=3, n_points=5, layers="blocks.*",
        causal=causal, points=slice(0, None, 2),
    )  # fmt: skip


def from_huggingface():
    config = HuggingFaceConfig(n_embd=8, n_layer=3, n_head=2, n_positions=16, vocab_size=7)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return hooks.wrap_huggingface(GPT2Model(config).eval(), n_dims=3, n_points=5)


@pytest.mark.parametrize("causal", [True, False])
def test_attached_modules_are_reordered_like_our_own(causal):
    model, own = attached(causal), built("gpt2")
    xs, ys = standard_prompts(own.config, 6)
    for order in ORDERS:
        torch.testing.assert_close(
            Reordered(model, order)(xs, ys), Reordered(own, order)(xs, ys), rtol=0, atol=1e-10
        )


def test_huggingface_models_are_reordered():
    model = from_huggingface()
    xs, ys = (values.float() for values in standard_prompts(model.config, 6))
    with intervene(model, AblateLayer(2)):
        skipped = model(xs, ys)
    torch.testing.assert_close(Reordered(model, [1, 3])(xs, ys), skipped)
    twice = Reordered(model, [1, 1, 2, 3])
    stream = model.bridge.blocks[0].original_component
    assert not torch.allclose(twice(xs, ys), model(xs, ys), atol=1e-4)
    [seen] = capture(twice, (xs, ys), twice.sites())
    [plain] = capture(model, (xs, ys), model.sites())
    torch.testing.assert_close(seen.activations[:2], plain.activations[:2])
    assert stream is model.bridge.blocks[0].original_component


@pytest.mark.parametrize("norm_in_loop", [False, True])
@pytest.mark.parametrize("input_injection", [False, True])
def test_a_loop_that_runs_again_is_one_loop_more(norm_in_loop, input_injection):
    model = built("looped", norm_in_loop=norm_in_loop, input_injection=input_injection)
    xs, ys = standard_prompts(model.config, 6)
    for order in ([1, 1, 2, 3], [1, 2, 2, 3], [1, 2, 3, 3], [2, 3], [1, 3], [1, 2], [2, 1, 3]):
        expected = model.with_loops(len(order))(xs, ys)
        torch.testing.assert_close(Reordered(model, order)(xs, ys), expected, rtol=0, atol=1e-12)


def test_gradient_descent_goes_on_wherever_a_layer_is_repeated():
    config = GDExactConfig(n_layers=4, dtype="float64")
    model = GDExact(config)
    xs, ys = standard_prompts(config, 5)
    for layer in range(1, 5):
        longer = sorted([*range(1, 5), layer])
        expected = GDExact(replace(config, n_layers=5))(xs, ys)
        torch.testing.assert_close(Reordered(model, longer)(xs, ys), expected, rtol=0, atol=1e-12)


def test_newton_goes_on_where_an_iteration_is_repeated_and_not_where_its_ends_are():
    config = NewtonExactConfig(n_layers=6, dtype="float64")
    model, longer = NewtonExact(config), NewtonExact(replace(config, n_layers=7))
    xs, ys = standard_prompts(config, 5)
    expected = longer(xs, ys)
    for layer in range(2, 6):
        said = Reordered(model, sorted([*range(1, 7), layer]))(xs, ys)
        torch.testing.assert_close(said, expected, rtol=0, atol=1e-12)
    again = Reordered(model, [1, 2, 3, 4, 5, 6, 6])(xs, ys)
    torch.testing.assert_close(again, model(xs, ys), rtol=0, atol=1e-12)
    assert (Reordered(model, [1, 1, 2, 3, 4, 5, 6])(xs, ys) - expected).abs().max() > 1e-3


def test_the_model_stays_as_it_is_and_can_be_changed_meanwhile():
    model = built("gpt2")
    xs, ys = standard_prompts(model.config, 6)
    before, names = model(xs, ys), list(model.hook_dict)
    reordered = Reordered(model, [1, 2, 2, 3])
    said = reordered(xs, ys)
    with intervene(model, Ablate(Site(2, "attn_out"))):  # wherever layer 2 runs
        assert (reordered(xs, ys) - said).abs().max() > 1e-3
    torch.testing.assert_close(reordered(xs, ys), said)
    torch.testing.assert_close(model(xs, ys), before)
    assert list(model.hook_dict) == names
    assert not any(point.fwd_hooks for point in model.hook_dict.values())
    check_wiring(reordered)
    gradient = torch.autograd.grad(reordered(xs.requires_grad_(), ys).sum(), xs)[0]
    assert gradient.abs().max() > 0


def test_hooks_see_every_place_of_the_order_once():
    model = built("linear-attention")
    reordered = Reordered(model, [1, 1, 3])
    assert reordered.sites() == tuple(map(Site, range(4)))
    xs, ys = standard_prompts(model.config, 6)
    with intervene(reordered, AblateLayer(2)):
        torch.testing.assert_close(reordered(xs, ys), Reordered(model, [1, 3])(xs, ys))


@pytest.mark.parametrize("order", [[], [0], [1, 4], [-1]])
def test_an_order_of_layers_that_are_not_there_is_refused(order):
    with pytest.raises(ValueError, match="order must name one or more layers from 1 to 3"):
        Reordered(built("gpt2"), order)
