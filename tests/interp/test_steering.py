from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import xarray
from typer.testing import CliRunner

from hooks import build_model
from hooks.architectures.gd_exact import GDExact, GDExactConfig
from hooks.architectures.newton_exact import NewtonExact, NewtonExactConfig
from hooks.checkpoints import save_checkpoint
from interp.analyses.steering import SteeringSettings, steer
from interp.analyses.steering.token_positions import token_positions, values_at
from interp.analyses.steering.trial import SteeringTrial
from interp.cli import build_app
from interp.report.interventions import steering_findings
from interp.tasks import LinearRegression
from probes.references import Prefixes, build_reference

SIZES = {"n_dims": 3, "n_points": 7, "dtype": "float64"}
TASK = LinearRegression(n_dims=3, n_points=7)


@pytest.fixture(scope="module")
def gd():
    return steer(GDExact(GDExactConfig(**SIZES, n_layers=4)), TASK, n_prompts=48)


@pytest.fixture(scope="module")
def newton():
    return steer(NewtonExact(NewtonExactConfig(**SIZES, n_layers=6)), TASK, n_prompts=48)


def assert_goes_on(table, layers, jump):
    """Steering these layers lands where the algorithm would, and the controls do not."""
    moved = table.sel(layer=layers, jump=jump)
    by_readout = moved.sel(direction="read-out")
    np.testing.assert_allclose(by_readout.continuation, 1, atol=5e-3)
    assert bool((by_readout.cosine > 0.999).all())
    np.testing.assert_array_equal(by_readout.reached_step, moved.predicted_step)
    np.testing.assert_allclose(moved.predicted_step, moved.final_step + jump)
    controls = moved.drop_sel(direction="read-out")
    # Either control is as large a push; what it lacks is the direction.
    assert bool((controls.cosine < 0.98).all())
    assert bool((abs(controls.sel(direction="random").cosine) < 0.8).all())


@pytest.mark.parametrize(("jump", "layers"), [(-1, [2, 3]), (1, [1, 2, 3])])
def test_gd_goes_on_from_the_step_it_is_moved_to(gd, jump, layers):
    table = gd.sel(reference="gd", target="prediction")
    np.testing.assert_array_equal(table.step, [np.nan, 1, 2, 3, 4])
    assert table.final_step == 4
    assert_goes_on(table, layers, jump)


def test_gd_holds_no_filtered_query_to_be_moved(gd):
    assert bool(gd.sel(target="filtered_query").continuation.isnull().all())


@pytest.mark.parametrize(("jump", "layers"), [(-1, [2, 3, 4, 5]), (1, [1, 2, 3, 4])])
def test_newton_goes_on_from_the_step_it_is_moved_to(newton, jump, layers):
    table = newton.sel(reference="newton-fixed", target="filtered_query")
    np.testing.assert_array_equal(table.step[1:], [0, 1, 2, 3, 4, 4])
    assert table.final_step == 4
    assert_goes_on(table, layers, jump)


def test_newton_does_not_go_on_from_the_prediction_that_it_only_shows(newton):
    """Its prediction slot is overwritten by every layer and read by none before the last."""
    table = newton.sel(reference="newton-fixed", target="prediction")
    moved = table.dropna("layer", subset=["continuation"], how="all").sel(direction="read-out")
    assert moved.sizes["layer"] >= 2
    assert float(abs(moved.continuation).max()) < 0.75
    assert not (moved.reached_step == moved.predicted_step).any()


def test_what_moves_queries_alone_is_carried_and_not_gone_on_from(monkeypatch):
    """Examples decide GD's steps: without them the rest of the way is the one of before."""

    def queries_only(model, n_points):
        return token_positions(model, n_points)[:1]

    monkeypatch.setattr("interp.analyses.steering.steering.token_positions", queries_only)
    model = GDExact(GDExactConfig(**SIZES, n_layers=4))
    table = steer(model, TASK, targets=("prediction",), jumps=(1,), n_prompts=48)
    moved = table.sel(direction="read-out", layer=[1, 2]).squeeze()
    np.testing.assert_allclose(moved.carried, 1, atol=1e-3)
    assert bool((moved.continuation > 1.2).all())


def test_iterates_that_have_converged_tell_no_move_apart(monkeypatch):
    grid = SteeringTrial._grid

    def converged(self, pair):
        return *grid(self, pair)[:2], 60.0

    monkeypatch.setattr(SteeringTrial, "_grid", converged)
    model = NewtonExact(NewtonExactConfig(**SIZES, n_layers=4))
    table = steer(model, TASK, n_prompts=16, targets=("prediction",))
    assert table.step.notnull().sum() > 2
    assert table.continuation.isnull().all()
    assert any("have converged on these 16 prompts" in line for line in steering_findings(table))


def test_intervals_hold_what_they_are_of(gd):
    low, high = (gd.continuation_interval.sel(bound=bound) for bound in ("low", "high"))
    measured = gd.continuation.notnull()
    slack = 1e-9
    assert bool((low - slack <= gd.continuation).where(measured, True).all())
    assert bool((gd.continuation <= high + slack).where(measured, True).all())
    assert bool(measured.any())


def test_values_at_queries_and_examples_are_the_textbook_ones():
    xs, ys, _ = TASK.sample(3, torch.Generator().manual_seed(0))
    reference, prefixes = build_reference("gd", eta=0.05), Prefixes(xs, ys)
    for model in (
        GDExact(GDExactConfig(**SIZES, n_layers=2)),
        build_model("gpt2", {"n_dims": 3, "n_points": 7, "d_model": 8, "n_heads": 1}, seed=0),
    ):
        for role in token_positions(model, 7):
            held = values_at(role, "prediction", reference, prefixes, [0.0, 2.0])
            filtered = values_at(role, "filtered_query", reference, prefixes, [2.0])
            for place in range(len(role.tokens)):
                size, point = int(role.prefixes[place]), int(role.points[place])
                for prompt in range(3):
                    X, y, x = xs[prompt, :size], ys[prompt, :size], xs[prompt, point]  # noqa: N806
                    S = X.T @ X  # noqa: N806
                    phi = 0.05 * (2 * torch.eye(3, dtype=torch.float64) - 0.05 * S)
                    prediction = x @ phi @ X.T @ y
                    own = ys[prompt, point] if role.name == "example" else 0
                    sign = -1 if role.name == "example" else 1
                    torch.testing.assert_close(held[1, prompt, place, 0], own + sign * prediction)
                    torch.testing.assert_close(filtered[0, prompt, place], phi @ x)


@pytest.mark.parametrize("layout", ["interleaved", "joined"])
def test_roles_of_causal_models_are_their_tokens(layout):
    config = {"n_dims": 3, "n_points": 4, "d_model": 8, "n_heads": 1, "tokens": layout}
    roles = token_positions(build_model("gpt2", config, seed=0), 4)
    tokens = [role.tokens.tolist() for role in roles]
    assert tokens == ([[2, 4, 6], [1, 3, 5]] if layout == "interleaved" else [[1, 2, 3]])
    assert [role.prefixes.tolist() for role in roles] == [[1, 2, 3]] * len(roles)
    if layout == "interleaved":
        assert roles[1].points.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"targets": ("weights",)}, "targets must be among prediction, filtered_query"),
        ({"targets": ()}, "targets must name at least one"),
        ({"references": ()}, "references must name at least one"),
        ({"jumps": (0,)}, "jumps must be one or more layers"),
        ({"n_prompts": 8}, "n_prompts must be at least 16"),
        ({"min_r2": 1.0}, "min_r2 must be between"),
    ],
)
def test_settings_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        SteeringSettings(**options)


@pytest.mark.parametrize(
    ("n_layers", "references", "message"),
    [(1, None, "at least 2 layers"), (2, ("ols",), "ols has none"), (2, ("sgd",), "'sgd'")],
)
def test_models_and_references_that_cannot_be_steered(n_layers, references, message):
    model = GDExact(GDExactConfig(**SIZES, n_layers=n_layers))
    with pytest.raises(ValueError, match=message):
        steer(model, TASK, references=references, n_prompts=16)


def test_the_command_writes_what_it_shows(tmp_path):
    model = GDExact(GDExactConfig(n_dims=3, n_points=5, n_layers=3))
    save_checkpoint(model, tmp_path / "model.safetensors", {"task": model.config.task()})
    arguments = ["intervene", str(tmp_path / "model.safetensors"), "--prompts", "16"]
    arguments += ["--out", str(tmp_path / "found")]
    shown = CliRunner().invoke(build_app(), [*arguments, "--json"], catch_exceptions=False)
    summary = json.loads(shown.stdout)
    assert summary == json.loads((tmp_path / "found" / "summary.json").read_text())
    assert sorted(path.name for path in (tmp_path / "found").glob("[!.]*")) == [
        "ablation.nc", "interchange.nc", "layer_order.nc", "report.html", "steering.nc",
        "summary.json",
    ]  # fmt: skip
    ablation = xarray.open_dataset(tmp_path / "found" / "ablation.nc")
    skipped = [r for r in summary["ablation"] if r.get("part") == "layer" and r["layer"] == 2]
    assert {r["ablation"] for r in skipped} == {"zero", "mean", "resample"}
    for record in skipped:
        cell = ablation.effect.sel(part="layer", layer=2, ablation=record["ablation"])
        assert record["effect"] == pytest.approx(cell.item())
    steered = [r for r in summary["steering"] if r["direction"] == "read-out"]
    assert steered
    assert all(r["reached_step"] == r["predicted_step"] for r in steered)
    table = CliRunner().invoke(build_app(), arguments, catch_exceptions=False).stdout
    assert "whole layer" in table
    assert "shuffled" in table
