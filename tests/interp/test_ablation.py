from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from hooks import Site, build_model
from hooks.architectures.built_in import BUILT_IN
from hooks.architectures.gd_exact import GDExact, GDExactConfig
from hooks.finite import NonFiniteError
from hooks.interventions import Ablate, intervene
from interp.analyses.ablation import AblationSettings, ablate
from interp.tasks import LinearRegression

TASK = LinearRegression(n_dims=3, n_points=5)
SIZES = {"n_dims": 3, "n_points": 5, "n_layers": 2, "d_model": 8, "n_heads": 2}


@pytest.fixture(scope="module")
def gpt2():
    model = build_model("gpt2", SIZES, seed=0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=torch.manual_seed(1)))
    return model


def error_of(model, n_prompts, seed=0):
    xs, ys, _ = TASK.sample(n_prompts, torch.Generator().manual_seed(seed))
    with torch.no_grad():
        return ((model(xs, ys) - ys).square().mean() / TASK.n_dims).item()


def test_every_number_is_the_error_with_that_part_away(gpt2):
    result = ablate(gpt2, TASK, n_prompts=10, batch_size=10, seed=4)
    assert result.model_error.item() == pytest.approx(error_of(gpt2, 10, 4))
    for method in ("zero", "mean", "resample"):
        for intervention, cell in (
            (Ablate(Site(2, "attn_out"), method, seed=4), {"part": "attention", "layer": 2}),
            (Ablate(Site(1, "mlp_out"), method, seed=4), {"part": "mlp", "layer": 1}),
            (Ablate(Site(2, "z"), method, 1, seed=4), {"head": 1, "layer": 2}),
        ):
            prefix = "head_" if "head" in cell else ""
            with intervene(gpt2, intervention):
                expected = error_of(gpt2, 10, 4)
            found = result[f"{prefix}error"].sel(ablation=method, **cell).item()
            assert found == pytest.approx(expected)
            effect = result[f"{prefix}effect"].sel(ablation=method, **cell).item()
            assert effect == pytest.approx(expected - result.model_error.item())
    assert not result.isnull().any().to_array().any()


def test_intervals_hold_the_effects_and_shrink_with_more_prompts(gpt2):
    few, many = (
        ablate(gpt2, TASK, methods=("zero",), n_prompts=n, batch_size=64) for n in (16, 256)
    )
    for result in (few, many):
        for name in ("effect", "head_effect"):
            low, high = (result[f"{name}_interval"].sel(bound=bound) for bound in ("low", "high"))
            assert bool(((low <= result[name]) & (result[name] <= high)).all())
    width = [r.effect_interval.sel(bound="high") - r.effect_interval.sel(bound="low")
             for r in (few, many)]  # fmt: skip
    assert float(width[1].mean()) < 0.6 * float(width[0].mean())


def test_skipping_layers_of_gd_leaves_one_step_fewer():
    config = GDExactConfig(n_dims=3, n_points=5, n_layers=3, dtype="float64")
    result = ablate(GDExact(config), TASK, methods=("zero",), n_prompts=8, batch_size=8)
    shorter = error_of(GDExact(replace(config, n_layers=2)), 8)
    np.testing.assert_allclose(result.error.sel(part="layer", ablation="zero"), shorter)
    # The layers are attention with one head and nothing else.
    np.testing.assert_allclose(result.error.sel(part="attention"), result.error.sel(part="layer"))
    np.testing.assert_allclose(
        result.head_error.sel(head=0), result.error.sel(part="layer"), rtol=1e-12
    )
    assert bool(result.error.sel(part="mlp").isnull().all())


def test_a_model_without_heads_has_no_head_table():
    model = build_model("lstm", {"n_dims": 3, "n_points": 5, "n_layers": 2, "d_model": 8}, seed=0)
    result = ablate(model, TASK, methods=("mean",), n_prompts=4, batch_size=4)
    assert "head_effect" not in result
    assert not result.effect.sel(part="layer").isnull().any()


def test_same_seed_same_result_and_every_pass_is_told(gpt2):
    told = []
    arguments = {"methods": ("resample",), "n_prompts": 12, "batch_size": 8, "seed": 1}
    first = ablate(gpt2, TASK, progress=lambda *event: told.append(event), **arguments)
    assert first.identical(ablate(gpt2, TASK, **arguments))
    total = 2 * (1 + 2 * (3 + 2))
    assert told[-total:] == [("ablating", done, total) for done in range(1, total + 1)]
    assert {stage for stage, _, _ in told[:-total]} == {"fitting read-outs"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"methods": ()}, "methods must name at least one"),
        ({"n_prompts": 1}, "n_prompts must be at least 2"),
        ({"n_prompts": 257}, "leave a batch of one prompt"),
        ({"level": 1.0}, "level must be between"),
        ({"n_fit_prompts": 0}, "n_fit_prompts must be at least 2"),
    ],
)
def test_settings_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        AblationSettings(**options)


def test_a_task_that_does_not_fit_and_a_model_that_breaks(gpt2):
    with pytest.raises(ValueError, match="n_dims = 5, the model was built for 3"):
        ablate(gpt2, LinearRegression())
    broken = build_model("gpt2", SIZES, seed=0)
    with torch.no_grad():
        broken.read_out.bias.fill_(torch.nan)
    with pytest.raises(NonFiniteError, match="predictions"):
        ablate(broken, TASK, n_prompts=4, batch_size=4)


def test_a_model_that_diverges_without_a_part_has_infinite_error_there():
    model = BUILT_IN["newton-exact"]()  # without its set-up Newton starts from anywhere
    result = ablate(model, methods=("mean",), n_prompts=16, batch_size=16, n_fit_prompts=64)
    assert np.isfinite(result.model_error)
    without_set_up = result.sel(part="layer", layer=1)
    assert bool(np.isposinf(without_set_up.effect).all())
    assert bool(np.isposinf(without_set_up.effect_interval).all())
    assert bool(without_set_up.step.isnull().all())


def test_skipping_a_layer_of_gd_costs_later_layers_one_step():
    config = GDExactConfig(n_dims=3, n_points=5, n_layers=4, dtype="float64")
    result = ablate(GDExact(config), TASK, methods=("zero",), n_prompts=64, batch_size=64)
    np.testing.assert_allclose(result.model_step.squeeze(), range(5), atol=0.1)
    for layer in (1, 2, 3, 4):
        steps = result.step.sel(part="layer", layer=layer).squeeze()
        expected = [read if read < layer else read - 1 for read in range(5)]
        np.testing.assert_allclose(steps, expected, atol=0.1)
        np.testing.assert_allclose(result.similarity.sel(part="layer", layer=layer), 1, atol=0.03)
        here = result.sel(part="layer", layer=layer, reference="gd").squeeze()
        low, high = here.final_shift_interval.values
        assert low <= here.final_shift <= high
        np.testing.assert_allclose(here.final_shift, -1, atol=0.05)
    np.testing.assert_allclose(
        result.head_step.sel(head=0), result.step.sel(part="layer"), atol=1e-6
    )
