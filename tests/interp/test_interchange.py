"""Query states taken from other prompts, on models whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import hooks
from hooks import build_model
from hooks.architectures.gd_exact import GDExact, GDExactConfig
from hooks.architectures.newton_exact import NewtonExact, NewtonExactConfig
from interp.analyses.interchange import interchange
from interp.tasks import LinearRegression

TASK = LinearRegression(n_dims=3, n_points=7)
SIZES = {"n_dims": 3, "n_points": 7, "n_layers": 4, "dtype": "float64"}
ATTENTION = {"n_dims": 3, "n_points": 7, "n_layers": 2, "d_model": 8, "n_heads": 2}


@pytest.fixture(scope="module")
def gd():
    return interchange(GDExact(GDExactConfig(**SIZES)), TASK, n_prompts=2048)


def test_gradient_descent_carries_on_the_prediction_that_it_finds(gd):
    np.testing.assert_allclose(gd.step.sel(reference="gd"), [1, 2, 3, 4])
    np.testing.assert_allclose(gd.r2.sel(reference="gd"), 1, atol=1e-9)
    np.testing.assert_allclose(gd.share.sel(subspace="gd"), 1, atol=0.05)
    np.testing.assert_allclose(gd.cosine.sel(subspace="gd"), 1, atol=1e-3)
    low, high = gd.share_interval.sel(subspace="gd").T
    assert (low <= gd.share.sel(subspace="gd") + 1e-9).all()
    assert (high >= gd.share.sel(subspace="gd") - 1e-9).all()


def test_controls_move_the_answer_less_like_their_own_prediction(gd):
    for control in ("newton", "random"):
        assert (gd.cosine.sel(subspace=control) < gd.cosine.sel(subspace="gd") - 1e-3).all()
    assert (gd.share_interval.sel(subspace="random", bound="high") < 0.6).all()


def test_the_answer_of_gradient_descent_is_as_much_of_a_as_it_has_from_a(gd):
    """p_4(B) + p_l(A) - p_l(B), on prompts of the test's own."""
    model = GDExact(GDExactConfig(**SIZES))
    generator = torch.Generator().manual_seed(5)
    (xs, ys, _), (other_xs, other_ys, _) = (TASK.sample(4096, generator) for _ in range(2))
    other_xs[:, -1] = xs[:, -1]

    def said(n_layers, xs, ys):
        return GDExact(GDExactConfig(**SIZES | {"n_layers": n_layers}))(xs, ys)[:, -1].detach()

    a, b = model(xs, ys)[:, -1].detach(), model(other_xs, other_ys)[:, -1].detach()
    for layer in range(1, 4):
        answer = b + said(layer, xs, ys) - said(layer, other_xs, other_ys)
        expected = torch.linalg.lstsq(torch.stack([a, b], 1), answer[:, None]).solution[:, 0]
        bounds = gd.answer_interval.sel(layer=layer).values
        width = np.diff(bounds, axis=1)[:, 0]
        assert (np.abs(gd.answer.sel(layer=layer).values - expected.numpy()) < 1.5 * width).all()
    np.testing.assert_allclose(gd.answer.sel(layer=4), [1, 0], atol=1e-9)


def test_newton_computes_its_prediction_anew_from_the_examples():
    model = NewtonExact(NewtonExactConfig(**SIZES | {"n_layers": 6}))
    found = interchange(model, TASK, n_prompts=512)
    inner, last = slice(3, 5), 6
    np.testing.assert_allclose(found.answer.sel(layer=inner), [[0, 1]] * 3, atol=1e-6)
    np.testing.assert_allclose(found.answer.sel(layer=last), [1, 0], atol=1e-6)
    share = found.share.isel(subspace=0)
    assert (np.abs(share.sel(layer=inner)) < 0.1).all()
    assert share.sel(layer=last) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("name", ["gpt2", "linear-attention", "delta-net", "lstm", "looped"])
def test_the_last_layer_of_any_architecture_answers_for_a(name):
    sizes = {k: v for k, v in ATTENTION.items() if name != "lstm" or k != "n_heads"}
    found = interchange(build_model(name, sizes, seed=0).eval(), TASK, n_prompts=64)
    np.testing.assert_allclose(found.answer.sel(layer=2), [1, 0], atol=1e-3)
    is_held = found.r2.values >= 0.5
    assert (np.isfinite(found.share.isel(subspace=slice(2)).values) == is_held).all()


def test_what_cannot_be_interchanged_is_refused():
    model = GDExact(GDExactConfig(**SIZES))
    with pytest.raises(ValueError, match="n_prompts must be at least 64 for this model"):
        interchange(model, TASK, n_prompts=63)
    with pytest.raises(ValueError, match="from 1 to 6, got 0"):
        interchange(model, TASK, point=0)
    inner = build_model("gpt2", ATTENTION, seed=0)
    attached = hooks.attach(
        inner, lambda module, xs, ys: module(xs, ys), n_dims=3, n_points=7, layers="blocks.*",
        causal=False, points=slice(0, None, 2),
    )  # fmt: skip
    with pytest.raises(ValueError, match="attach it with causal=True"):
        interchange(attached, TASK, n_prompts=64)
