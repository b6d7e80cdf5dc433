"""Parameters of references given on the command line."""

from __future__ import annotations

import pytest

from hooks.architectures.planted import build_planted
from interp.analyses.comparisons import fit_parameters
from interp.analyses.match import match
from interp.commands.match import read_parameters
from interp.tasks import LinearRegression

SIZES = {"n_dims": 3, "n_points": 7}


def test_parameters_are_read_by_reference():
    found = read_parameters(["gd.eta=0.01", "gd++.eta=2e-3", "gd++.gamma=1", "rls.lam=.5"])
    assert read_parameters(["gd.eta=fit"]) == {"gd": {"eta": "fit"}}
    assert found == {"gd": {"eta": 0.01}, "gd++": {"eta": 0.002, "gamma": 1}, "rls": {"lam": 0.5}}


@pytest.mark.parametrize(
    "text", ["gd.eta", "eta=1", "gd.eta=fast", "gd.eta=nan", ".eta=1", "gd.=1"]
)
def test_another_form_is_refused(text):
    with pytest.raises(ValueError, match="must be NAME"):
        read_parameters([text])


@pytest.mark.parametrize(("eta", "n_steps"), [(0.01, 10), (0.004, 5)])
def test_a_step_size_is_told_from_the_layers(eta, n_steps):
    model = build_planted(
        algorithm="gd", eta=eta, iterations_per_layer=n_steps, n_layers=4, dtype="float64", **SIZES
    )
    task = LinearRegression(**SIZES)
    _, fitted = fit_parameters(model, task, {"gd": {"eta": "fit"}}, seed=1)
    assert fitted["gd"]["eta"] == pytest.approx(eta, rel=0.05)
    for parameters in ({"ols": {"eta": "fit"}}, {"gd": {"rule": "fit"}}):
        with pytest.raises(ValueError, match="cannot be fitted, give a number"):
            fit_parameters(model, task, parameters, seed=1)


def test_a_verdict_says_that_it_was_fitted():
    model = build_planted(
        algorithm="gd", eta=0.01, iterations_per_layer=10, n_layers=4, dtype="float64", **SIZES
    )
    result = match(
        model, n_prompts=128, site_kinds=("resid_post",), parameters={"gd": {"eta": "fit"}}
    )
    shown = result.summary()["verdict"]
    assert shown["scale"]["eta_times_steps_per_layer"] == pytest.approx(0.1, rel=0.1)
    assert shown["fitted"]["gd"]["eta"] == shown["scale"]["eta"]
    assert "Its eta was fitted to the layers." in result.text
