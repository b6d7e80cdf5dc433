"""Similarity of induced weights, on models whose weights are known."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

from hooks import attach, build_model
from hooks.architectures.gd_exact import GDExact, GDExactConfig
from interp.analyses.induced_weights import InducedWeightSettings, compare_induced_weights
from interp.tasks import LinearRegression
from probes.readout import Readout

TASK = LinearRegression(n_dims=3, n_points=6)
SIZES = {"n_dims": 3, "n_points": 6, "n_layers": 2, "d_model": 8, "n_heads": 2}
FEW = {"n_prompts": 6, "n_queries": 12, "n_fit_prompts": 64}


@pytest.fixture(scope="module")
def gd():
    """Read by what is known to hold the prediction, minus the residual of a query."""
    model = GDExact(GDExactConfig(n_dims=3, n_points=6, n_layers=4, dtype="float64"))
    weight = model.W_read_out.detach().expand(5, -1)[..., None].clone()
    readout = Readout(weight, torch.zeros(5, 1).double(), torch.zeros(5, 1).double())
    with pytest.warns(UserWarning, match="GDExact runs every query by itself"):
        return compare_induced_weights(model, TASK, readout=readout, **FEW)


def test_gd_induces_the_weights_of_its_steps(gd):
    np.testing.assert_allclose(gd["gd"].best_step[1:], [1, 2, 3, 4], atol=0.05)
    np.testing.assert_allclose(gd["gd"].best_similarity[1:], 1, atol=1e-6)
    for layer in range(1, 5):
        at_step = gd["gd"].point_similarity.sel(layer=layer, step=layer)
        np.testing.assert_allclose(at_step, 1, atol=1e-6)
    assert gd["newton"].best_similarity.sel(layer=4) < 1 - 1e-4


def test_what_gd_induces_lies_in_the_span_of_the_examples(gd):
    root = gd.to_dataset()
    np.testing.assert_allclose(root.in_span.sel(layer=[1, 2, 3, 4]), 1, atol=1e-9)
    np.testing.assert_allclose(root.random_in_span, [1 / 3, 2 / 3, 1, 1, 1])
    assert gd.attrs["shared_prefix"] == 0
    low, high = (root.in_span_interval.sel(bound=bound) for bound in ("low", "high"))
    assert bool((low - 1e-9 <= root.in_span).all() & (root.in_span <= high + 1e-9).all())


def test_untrained_weights_are_spanned_no_more_than_random_directions():
    model = build_model("gpt2", SIZES, seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # the fast path has nothing to warn of
        found = compare_induced_weights(model, TASK, n_prompts=64, n_fit_prompts=256)
    root = found.to_dataset()
    assert found.attrs["shared_prefix"] == 1
    np.testing.assert_allclose(root.in_span.mean("layer"), root.random_in_span, atol=0.12)
    assert float(abs(found["ols"].best_similarity).max()) < 0.3


def test_a_model_and_itself_attached_give_the_same():
    ours = build_model("gpt2", SIZES, seed=0)
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=torch.manual_seed(1)))
    theirs = attach(
        ours, lambda module, xs, ys: module(xs, ys), n_dims=3, n_points=6, layers="blocks.*",
        points=slice(0, None, 2), final_norm="ln_final",
    )  # fmt: skip
    fast = compare_induced_weights(ours, TASK, **FEW)
    with pytest.warns(UserWarning, match="AttachedModel runs every query by itself"):
        slow = compare_induced_weights(theirs, TASK, **FEW)
    for name in ("newton", "gd", "ols"):
        np.testing.assert_allclose(slow[name].similarity, fast[name].similarity, atol=1e-3)
    np.testing.assert_allclose(slow.in_span, fast.in_span, atol=1e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_prompts": 1}, "n_prompts must be at least 2"),
        ({"level": 0.0}, "level must be between"),
    ],
)
def test_settings_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        InducedWeightSettings(**options)


def test_a_task_that_does_not_fit():
    with pytest.raises(ValueError, match="n_dims = 5, the model was built for 3"):
        compare_induced_weights(build_model("gpt2", SIZES, seed=0), LinearRegression())
