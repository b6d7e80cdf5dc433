"""Models of known algorithm away from their training."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray
from test_cli import assert_one_sentence, run

from hooks.architectures import build_model
from hooks.architectures.planted import build_planted
from interp.analyses.condition_sweep import ConditionSweep, open_conditions
from interp.analyses.robustness import conditions
from interp.report.robustness import sweep_page
from interp.results.seal import ResultError
from interp.tasks import LinearRegression, TwoLayerNetwork

SIZES = {"n_dims": 3, "n_points": 7}
KAPPAS = [1.0, 10.0, 100.0, 1000.0]
N_PROMPTS = 256


def sweep_of(algorithm: str, **options) -> ConditionSweep:
    model = build_planted(algorithm=algorithm, n_layers=6, dtype="float64", **SIZES)
    return conditions(model, n_prompts=N_PROMPTS, **options)


@pytest.fixture(scope="module")
def newton() -> ConditionSweep:
    values = {
        "kappa": KAPPAS,
        "y-scale": [0.1, 1.0, 10.0],
        "x-scale": [1.0, 30.0],
        "points": [1.0, 2.0],
    }
    return sweep_of("newton", vary=list(values), values=values)


def last_step(table: xarray.Dataset, reference: str) -> np.ndarray:
    return table.best_step.sel(reference=reference).isel(layer=-1).values


def test_planted_newton_is_matched_at_its_step_under_every_condition(newton: ConditionSweep):
    for name in ("kappa", "y-scale", "points"):
        table = newton.table(name)
        assert last_step(table, "newton") == pytest.approx(6, abs=0.5), name
        assert (table.similarity.sel(reference="newton").isel(layer=-1) > 0.95).all()
        assert (last_step(table, "gd") < 6).all()  # in units of a step size for these prompts


def test_planted_gd_is_matched_at_its_step_whatever_the_condition():
    table = sweep_of("gd", vary=["kappa"], values={"kappa": [1.0, 100.0]}).table("kappa")
    assert last_step(table, "gd") == pytest.approx([6, 6], abs=1)


def test_the_references_themselves_obey_their_laws(newton: ConditionSweep):
    laws = {law.reference: law for law in newton.laws()}
    assert laws["gd"].exponent == pytest.approx(1, abs=0.15)
    assert laws["newton"].per_doubling == pytest.approx(2, abs=0.25)
    needed = newton.table("kappa").steps_needed.sel(reference="cg")
    assert (needed <= SIZES["n_dims"]).all()


def test_ill_conditioned_prompts_are_harder_and_the_scale_of_y_changes_nothing(newton):
    kappa, scale = newton.table("kappa"), newton.table("y-scale")
    excess = (kappa.error.isel(layer=-1) - kappa.best_error) / kappa.zero_error
    assert excess[1] > excess[0]
    relative = (scale.error / scale.zero_error).isel(value=1)
    assert (scale.error / scale.zero_error).values == pytest.approx(
        np.tile(relative, (3, 1)), rel=1e-3
    )
    assert (kappa.error_interval.sel(bound="low") <= kappa.error).all()


def test_it_says_where_the_model_breaks(newton: ConditionSweep):
    """Six steps of Newton solve prompts up to some condition number, whatever the scale of y."""
    assert newton.breaks("y-scale") == ()
    assert newton.breaks("x-scale") == (30.0,)
    assert set(newton.breaks("kappa")) <= set(KAPPAS[1:])
    assert "Scale of x: the model breaks at 30." in sweep_page(newton).html()
    assert "Scale of x: the model breaks at 30." in newton.text
    assert "the model breaks at 30." in newton._repr_html_()


def test_a_condition_that_the_model_cannot_survive_is_told_and_not_averaged(newton):
    """At 30 times the x alpha lambda^2 exceeds 2 by far and the iteration blows up."""
    table = newton.table("x-scale")
    broken = table.sel(value=30.0)
    assert "NaN or infinite values at prompt" in broken.failure.item()
    assert np.isnan(broken.error).all()
    assert table.sel(value=1.0).failure.item() == ""
    assert "at 30 it leaves the range of numbers" in sweep_page(newton).html()


def test_a_sweep_is_saved_and_reopened_whole(newton: ConditionSweep, tmp_path: Path):
    newton.save(tmp_path / "sweep.nc")
    again = open_conditions(tmp_path / "sweep.nc")
    assert again.varied == newton.varied
    for name in newton.varied:
        xarray.testing.assert_identical(again.table(name), newton.table(name))
    assert json.dumps(again.summary(), allow_nan=False) == json.dumps(newton.summary())


def test_the_page_has_a_section_for_every_property(newton: ConditionSweep):
    page = sweep_page(newton).html()
    for name in newton.varied:
        assert f'<section id="{name}">' in page
    assert "http://" not in page.split("<script>")[0]


def test_noise_on_networks_and_what_cannot_be_varied():
    task = TwoLayerNetwork(n_hidden=4, **SIZES)
    model = build_model("gpt2", {**SIZES, "n_layers": 2, "n_heads": 1, "d_model": 8}, seed=0)
    table = conditions(
        model, task, vary=["kappa", "noise"], values={"noise": [0.0, 1.0]}, n_prompts=N_PROMPTS
    )
    assert table.varied == ("noise",)
    assert table.left_out == {"kappa": "the task two_layer_network has no condition_number"}
    assert (
        "left out, the task two_layer_network has no condition_number." in sweep_page(table).html()
    )
    with pytest.raises(ValueError, match="the task two_layer_network has no condition_number"):
        conditions(model, task, vary=["kappa"])
    with pytest.raises(ValueError, match="no longer prompts than the 7 points it was built for"):
        conditions(model, task, vary=["points"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vary": []}, "vary must name at least one of kappa"),
        ({"vary": ["colour"]}, "vary must be among kappa, .*got 'colour'"),
        ({"vary": ["kappa"], "values": {"kappa": [0.5]}}, "values of kappa: condition_number must"),
        ({"vary": ["kappa"], "values": {"kappa": []}}, "values of kappa must hold at least one"),
        ({"vary": ["kappa"], "values": {"noise": [1.0]}}, "values are for noise, which vary does"),
        ({"vary": ["points"], "values": {"points": [0.1, 2.0]}}, "must leave at least 2 points"),
        ({"n_prompts": 64}, "n_prompts must be at least 256, got 64"),
        ({"task": LinearRegression(n_dims=9, n_points=7)}, "task has n_dims = 9"),
    ],
)
def test_bad_input_is_refused(options: dict, message: str):
    with pytest.raises(ValueError, match=message):
        conditions(build_planted(algorithm="gd", n_layers=2, **SIZES), **options)


def test_what_is_no_sweep_is_refused(tmp_path: Path):
    (tmp_path / "empty.nc").touch()
    xarray.Dataset().to_netcdf(tmp_path / "other.nc")
    for name, reason in (
        ("none", "no such file"),
        ("empty", "not a readable"),
        ("other", "format"),
    ):
        with pytest.raises(ResultError, match=reason):
            open_conditions(tmp_path / f"{name}.nc")


def test_the_command_writes_what_it_prints(tmp_path: Path):
    ending = run(
        "conditions", "gd-exact", "--vary", "y-scale", "--values", "1,2", "--prompts", 256,
        "--out", tmp_path / "out", "--json", folder=tmp_path,
    )  # fmt: skip
    assert ending.code == 0, ending.stderr
    summary = json.loads(ending.stdout)
    assert summary == json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["varied"]["y-scale"]["values"] == [1, 2]
    assert open_conditions(tmp_path / "out" / "conditions.nc").varied == ("y-scale",)
    assert "plotly" in (tmp_path / "out" / "report.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("gd-exact", "--values", "1,2"), "--values needs --vary with a single property"),
        (("gd-exact", "--vary", "noise", "--values", "a"), "--values must be numbers"),
    ],
)
def test_the_command_ends_with_one_sentence(tmp_path: Path, arguments, message):
    assert_one_sentence(run("conditions", *arguments, folder=tmp_path), message)
