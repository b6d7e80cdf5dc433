from __future__ import annotations

import pytest
import torch
from algorithm_loops import gd_by_loop, streams

from hooks.architectures.gd_exact import GDExact, GDExactConfig
from hooks.architectures.gdpp_exact import GDPPExact, GDPPExactConfig
from hooks.architectures.standard_prompts import standard_prompts

SIZES = [(5, 11, 24), (20, 41, 3)]


@pytest.mark.parametrize(("d", "n_points", "n_prompts"), SIZES)
@pytest.mark.parametrize("looped", [False, True])
@pytest.mark.parametrize("algorithm", ["gd", "gdpp"])
def test_every_layer_equals_the_loop(algorithm, looped, d, n_points, n_prompts):
    config_class, model_class = {
        "gd": (GDExactConfig, GDExact),
        "gdpp": (GDPPExactConfig, GDPPExact),
    }[algorithm]
    sizes = {"n_dims": d, "n_points": n_points, "n_layers": 12, "looped": looped}
    config = config_class(**sizes, dtype="float64")
    xs, ys = standard_prompts(config, n_prompts)
    expected = gd_by_loop(xs, ys, 12, config.eta, getattr(config, "gamma", 0.0))
    model = model_class(config)
    torch.testing.assert_close(model(xs, ys), expected[12], rtol=0, atol=1e-8)
    residual = config.slots()["residual"]
    for held, k in zip(streams(model, xs, ys), model.steps_done(), strict=True):
        minus_prediction = held[..., residual][..., 0]
        torch.testing.assert_close(-minus_prediction, expected[int(k)], rtol=0, atol=1e-8)
    single = model_class(config_class(**sizes))
    assert (single(xs, ys) - expected[12]).abs().max() < 1e-3


def test_gd_steps_are_the_textbook_ones():
    config = GDExactConfig(n_layers=3, eta=0.01, dtype="float64")
    xs, ys = standard_prompts(config, 8)
    X, y = xs[:, :-1], ys[:, :-1, None]  # noqa: N806
    w = torch.zeros(8, 5, 1, dtype=torch.float64)
    for _ in range(3):
        w = w - 0.01 * (X.mT @ (X @ w - y))
    expected = (xs[:, -1:] @ w)[:, 0, 0]
    torch.testing.assert_close(GDExact(config)(xs, ys)[:, -1], expected)


def test_gdpp_gets_closer_than_gd_in_as_many_layers():
    xs, ys = standard_prompts(GDExactConfig(), 256)
    with torch.no_grad():
        gd, gdpp = (
            (model(xs, ys)[:, -1] - ys[:, -1]).square().mean()
            for model in (GDExact(GDExactConfig()), GDPPExact(GDPPExactConfig(eta=1 / 16)))
        )
    assert gdpp < gd


@pytest.mark.parametrize(
    ("config_class", "fields"),
    [(GDExactConfig, {"eta": -0.1}), (GDPPExactConfig, {"gamma": float("inf")})],
)
def test_step_sizes_that_make_no_sense_are_refused(config_class, fields):
    with pytest.raises(ValueError, match=next(iter(fields))):
        config_class(**fields)
