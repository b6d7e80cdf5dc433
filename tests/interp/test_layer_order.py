"""Layers repeated, swapped and skipped, on models whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import hooks
from hooks import build_model
from hooks.architectures.gd_exact import GDExact, GDExactConfig
from hooks.architectures.newton_exact import NewtonExact, NewtonExactConfig
from interp.analyses.ablation import ablate
from interp.analyses.layer_order import order_after, reorder_layers
from interp.tasks import LinearRegression

TASK = LinearRegression(n_dims=3, n_points=7)
SIZES = {"n_dims": 3, "n_points": 7, "n_layers": 5, "dtype": "float64"}


@pytest.fixture(scope="module")
def gd():
    return reorder_layers(GDExact(GDExactConfig(**SIZES)), TASK, n_prompts=64)


@pytest.fixture(scope="module")
def newton():
    model = NewtonExact(NewtonExactConfig(**SIZES | {"n_layers": 7}))
    return reorder_layers(model, TASK, n_prompts=128)


def test_orders_of_layers():
    assert order_after("repeat", 2, 3) == [1, 2, 2, 3]
    assert order_after("swap", 2, 3) == [1, 3, 2]
    assert order_after("skip", 3, 3) == [1, 2]
    assert order_after("swap", 3, 3) == order_after("skip", 1, 1) == []


def test_gradient_descent_is_a_step_ahead_or_behind_whichever_layer_it_is(gd):
    shift = gd.output_shift.sel(reference="gd")
    for change, steps in (("repeat", 1), ("swap", 0), ("skip", -1)):
        found = shift.sel(change=change).dropna("layer")
        np.testing.assert_allclose(found, steps, atol=0.02)
        low, high = gd.output_shift_interval.sel(reference="gd", change=change).dropna("layer").T
        assert (low <= found + 1e-9).all()
        assert (high >= found - 1e-9).all()
    np.testing.assert_allclose(gd.layer_gain, 1, atol=0.02)
    np.testing.assert_allclose(gd.layer_shift.sel(change="repeat"), 1, atol=0.02)
    assert shift.sel(change="swap").isnull().sum() == 1


def test_the_match_curve_moves_from_the_changed_layer_on(gd):
    curve = gd.step.sel(reference="gd", layer=3) - gd.model_step.sel(reference="gd")
    for change, steps in (("repeat", [0, 0, 0, 1, 1, 1]), ("skip", [0, 0, 0, -1, -1, -1]),
                          ("swap", [0, 0, 0, 1, -1, 0])):  # fmt: skip
        np.testing.assert_allclose(curve.sel(change=change), steps, atol=0.05)


def test_the_resolved_eigenvalue_falls_where_a_layer_is_repeated_and_rises_where_one_is_not(gd):
    ratio, bound = gd.output_resolved_ratio, gd.output_resolved_ratio_interval
    assert (bound.sel(change="repeat", bound="high") < 1).all()
    assert (bound.sel(change="skip", bound="low") > 1).all()
    np.testing.assert_allclose(ratio.sel(change="swap").dropna("layer"), 1, atol=1e-9)
    resolved = gd.resolved_eigenvalue.sel(change="repeat", layer=2, read_layer=4)
    later = gd.model_resolved_eigenvalue.sel(read_layer=5)
    assert resolved.item() == pytest.approx(later.item(), rel=1e-3)


def test_newton_goes_on_by_an_iteration_and_its_ends_are_no_iterations(newton):
    inner = slice(2, 6)
    shift = newton.output_shift.isel(reference=0)
    np.testing.assert_allclose(shift.sel(change="repeat", layer=inner), 1, atol=0.1)
    np.testing.assert_allclose(shift.sel(change="skip", layer=inner), -1, atol=0.1)
    np.testing.assert_allclose(shift.sel(change="swap", layer=slice(2, 5)), 0, atol=1e-6)
    assert newton.effect.sel(change="repeat", layer=7).item() == pytest.approx(0)
    assert shift.sel(change="skip", layer=1) < -2
    gain, own = newton.layer_gain.isel(reference=0), newton.layer_shift.sel(change="repeat")
    np.testing.assert_allclose(own.isel(reference=0).sel(layer=inner), gain.sel(layer=slice(3, 7)),
                               atol=0.15)  # fmt: skip


def test_a_loop_that_is_repeated_is_one_more_loop():
    sizes = {"n_dims": 3, "n_points": 7, "n_layers": 3, "d_model": 8, "n_heads": 2}
    model = build_model("looped", sizes, seed=0).eval()
    found = reorder_layers(model, TASK, references=["gd"], n_prompts=64)
    prompts = task_prompts(64)
    for change, n_loops in (("repeat", 4), ("skip", 2), ("swap", 3)):
        with torch.no_grad():
            said = model.with_loops(n_loops)(*prompts)
        error = (said - prompts[1]).square().mean().item() / 3
        np.testing.assert_allclose(found.error.sel(change=change).dropna("layer"), error, rtol=1e-5)


def task_prompts(n_prompts):
    xs, ys, _ = TASK.sample(n_prompts, torch.Generator().manual_seed(0))
    return xs, ys


def test_skipping_is_what_ablating_by_zero_is():
    model = GDExact(GDExactConfig(**SIZES))
    found = reorder_layers(model, TASK, n_prompts=64)
    skipped = ablate(model, TASK, methods=("zero",), n_prompts=64).sel(part="layer")
    np.testing.assert_allclose(found.error.sel(change="skip"), skipped.error[:, 0], rtol=1e-12)


def test_foreign_modules_are_reordered_and_a_layer_that_breaks_the_model_is_reported():
    class Doubling(nn.Module):
        def forward(self, stream):
            return stream * torch.where(stream.abs() > 1e30, torch.inf, 1e20)

    class Foreign(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList([nn.Linear(4, 4), Doubling(), nn.Linear(4, 4)])

        def forward(self, xs, ys):
            past = torch.nn.functional.pad(ys, (1, 0))[:, :-1].cumsum(1)
            stream = torch.cat([xs, past[..., None]], -1)
            for layer in self.layers:
                stream = layer(stream)
            return 1e-20 * stream.sum(-1)

    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = Foreign().double()
    model = hooks.attach(
        module, lambda m, xs, ys: m(xs, ys), n_dims=3, n_points=7, layers="layers.*",
        points=slice(None),
    )  # fmt: skip
    found = reorder_layers(model, TASK, references=["gd"], n_prompts=64)
    assert found.error.sel(change="repeat", layer=2) > 1e20
    assert np.isfinite(found.effect.sel(change="repeat", layer=[1, 3])).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_prompts": 8}, "n_prompts must be at least 64, got 8"),
        ({"point": 7}, "points must be numbers of examples from 1 to 6, got 7"),
        ({"references": ["ols"]}, "references must have steps, ols has none"),
        ({"references": ["newtonn"]}, "newton"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        reorder_layers(GDExact(GDExactConfig(**SIZES)), TASK, **options)
