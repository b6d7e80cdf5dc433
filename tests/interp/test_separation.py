"""Planted models on prompts that tell two references apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray
from test_cli import assert_one_sentence, run

from hooks.architectures.planted import build_planted
from interp import plots
from interp.analyses.separation import separate

SIZES = {"n_dims": 3, "n_points": 7, "n_layers": 6, "dtype": "float64"}


@pytest.fixture(scope="module", params=["gd", "newton"])
def planted(request) -> tuple[str, xarray.Dataset]:
    model = build_planted(algorithm=request.param, **SIZES)
    a = "newton-fixed" if request.param == "newton" else "newton"
    return request.param, separate(model, a, "gd", n_prompts=128)


def test_built_prompts_show_many_times_the_margin_of_ordinary_ones(planted):
    algorithm, found = planted
    sign = 1 if algorithm == "newton" else -1
    built, usual = (
        sign * found.margin.sel(prompts=kind).isel(layer=slice(-3, None)).mean()
        for kind in found.prompts
    )
    assert built > 0.1
    assert built > 3 * usual
    separating = found.separation.sel(prompts="separating")
    assert separating.mean() > 5 * found.separation.sel(prompts="ordinary").mean()
    low, high = found.margin_interval.transpose("bound", ...).values
    assert (low <= found.margin).all()
    assert (found.margin <= high).all()


def test_margins_are_differences_of_similarities(planted):
    _, found = planted
    first, second = found.similarity.transpose("reference", ...)
    np.testing.assert_allclose(first - second, found.margin, atol=1e-12)
    panels = plots.separation(found)
    np.testing.assert_array_equal(panels.data[0].y, first.sel(prompts="separating"))


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ("adam", "gd", "reference 'adam' was not compared"),
        ("newton", "ols", "ols has no steps that a layer could match"),
        ("gd", "gd", "cannot be separated: on every prompt they agree"),
    ],
)
def test_bad_input_is_refused(a: str, b: str, message: str):
    with pytest.raises(ValueError, match=message):
        separate(build_planted(algorithm="gd", **SIZES), a, b, n_prompts=64)


def test_the_command_writes_what_it_prints(tmp_path: Path):
    out = tmp_path / "out"
    ending = run(
        "separate", "gd-exact", "newton", "gd", "--prompts", 64, "--out", out, folder=tmp_path
    )
    assert ending.code == 0, ending.stderr
    assert "apart on these prompts" in " ".join(ending.stdout.split())
    with xarray.open_dataset(out / "separation.nc") as saved:
        assert saved.attrs["a"] == "newton"
    assert "plotly" in (out / "separation.html").read_text()


def test_an_unknown_checkpoint_ends_with_one_sentence(tmp_path: Path):
    assert_one_sentence(run("separate", "gd-exakt", folder=tmp_path), "closest: gd-exact")
