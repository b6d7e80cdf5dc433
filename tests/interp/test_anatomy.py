"""Anatomy of models whose algorithm is known, its files, pictures and refusals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray

import hooks
import interp
from interp import plots
from interp.analyses.anatomy import anatomy, default_points
from interp.report.anatomy_text import mixture_text
from interp.results.anatomy import Anatomy, open_anatomy
from interp.tasks import LinearRegression, TwoLayerNetwork
from probes.anatomy import PARTS


@pytest.fixture(scope="module")
def newton() -> Anatomy:
    return anatomy(interp.load("newton-exact"), points=[3, 8], n_prompts=512)


def test_newton_is_the_reference_and_nothing_else(newton: Anatomy):
    table = newton.table
    assert table.share.dims == ("layer", "point", "part")
    np.testing.assert_allclose(table.share.sum("part"), 1, atol=1e-9)
    later = table.sel(layer=slice(9, None), point=8)
    assert float(later.share.sel(part="reference").min()) > 0.99
    assert float(abs(later.ceiling - 1).max()) < 0.01
    assert set(table.reference.values[later.best_reference.values.astype(int)]) == {"newton-fixed"}
    steps = table.reference_step.sel(reference="newton-fixed", point=8).values
    assert np.diff(steps[3:]).tolist() == [1.0] * (len(steps) - 4)
    falls = np.diff(np.log(later.resolved_eigenvalue.values[:-1]))
    np.testing.assert_allclose(falls, -np.log(2) / 2, atol=0.1)  # Newton from alpha S
    at = table.sel(point=8)
    assert float(at.steps_per_layer.sel(reference="newton-fixed")) == pytest.approx(1, abs=0.05)
    assert float(at.geometric_evidence) > 3
    assert float(later.gap_high.sel(reference="newton-fixed").max()) < table.attrs["equivalence"]


def test_gradient_descent_falls_like_one_over_depth():
    at = anatomy(interp.load("gd-exact"), points=[8], n_prompts=512).table.sel(point=8)
    assert float(at.geometric_evidence) < 1 / 3
    assert float(at.harmonic_misfit) < 0.1 < float(at.geometric_misfit)
    last = at.isel(layer=-1)
    assert (
        float(last.gap_high.sel(reference="gd"))
        < 0.01
        < float(last.gap_low.sel(reference="newton"))
    )


def test_an_online_algorithm_depends_on_order():
    found = anatomy(interp.load("ogd-exact"), points=[8], n_prompts=512).table.isel(layer=-1)
    assert float(found.share_low.sel(part="order", point=8)) > 0.01
    assert float(found.ceiling_high.sel(point=8)) < 1


def test_a_saved_anatomy_is_the_same(newton: Anatomy, tmp_path: Path):
    newton.save(tmp_path / "anatomy.nc")
    again = open_anatomy(tmp_path / "anatomy.nc")
    xarray.testing.assert_identical(again.table, newton.table)
    frame = again.to_dataframe()
    assert {"layer", "point", "ceiling", *PARTS} <= set(frame.columns)
    assert "newton-exact" in repr(again)


def test_pictures_show_every_layer(newton: Anatomy):
    n_layers = newton.table.sizes["layer"]
    bars = [trace for trace in plots.shares(newton, 8).data if trace.type == "bar"]
    assert {len(bar.x) for bar in bars} == {n_layers}
    np.testing.assert_allclose(sum(np.asarray(bar.y) for bar in bars), 1, atol=0.05)
    assert len(plots.filters(newton).layout.annotations) >= n_layers
    assert [trace.name for trace in plots.resolved(newton).data] == ["3 examples", "8 examples"]
    with pytest.raises(ValueError, match="point must be one of 3, 8, got 4"):
        plots.shares(newton, 4)


def test_tasks_whose_prompts_cannot_be_changed_say_so():
    model = interp.load("ogd-exact")
    task = TwoLayerNetwork(n_dims=model.config.n_dims, n_points=model.config.n_points)
    found = anatomy(model, task, points=[4], n_prompts=512).table
    assert "can only be permuted" in found.attrs["missing"]
    assert bool(found.ceiling.isnull().all())
    for part in PARTS:
        is_known = part in ("order", "other_filter", "reference")
        assert bool(found.share.sel(part=part).notnull().all()) == is_known, part
    assert float(found.share_low.sel(part="order").isel(layer=-1, point=0)) > 0  # an online one


def test_default_points_lie_around_the_dimension():
    assert default_points(LinearRegression()) == (3, 5, 8, 10)
    assert default_points(replace(LinearRegression(), n_points=4)) == (3,)


def test_saved_activations_give_filter_and_references(newton: Anatomy, tmp_path: Path):
    model = interp.load("newton-exact")
    prompts = LinearRegression().sample(1280, torch.Generator().manual_seed(0))
    for name, n in (("enough", 1280), ("few", 1000)):
        captured = hooks.capture(model, (prompts.xs[:n], prompts.ys[:n]), model.sites())
        hooks.write_activations(tmp_path / f"{name}.npz", captured, n)
    found = anatomy(hooks.open_activations(tmp_path / "enough.npz"), points=[8]).table
    assert "interp.anatomy(model)" in found.attrs["missing"]
    assert bool(found.ceiling.isnull().all())
    ours, theirs = (one.resolved_eigenvalue.sel(point=8).values for one in (found, newton.table))
    np.testing.assert_allclose(ours[9:-1], theirs[9:-1], rtol=0.1)
    later = found.sel(layer=slice(9, None), point=8)
    assert float(later.reference_share.sel(reference="newton-fixed").min()) > 0.99
    with pytest.raises(ValueError, match="has 1000 prompts; at least 1024 are needed"):
        anatomy(hooks.open_activations(tmp_path / "few.npz"))


def test_a_model_that_sees_its_answers_is_refused():
    class Leaky(type(interp.load("newton-exact"))):
        def forward(self, xs, ys):
            return super().forward(xs, ys) + ys

    model = interp.load("newton-exact")
    model.__class__ = Leaky
    for analysis in (anatomy, interp.influence):
        with pytest.raises(hooks.WiringError, match="answer"):
            analysis(model)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"points": [11]}, "points must be numbers of examples from 1 to 10, got 11"),
        ({"points": [0]}, "from 1 to 10, got 0"),
        ({"points": [5, 5]}, "points must be one or more different numbers"),
        ({"n_prompts": 100}, "n_prompts must be at least 512, got 100"),
    ],
)
def test_bad_options_are_named(options: dict[str, object], message: str):
    with pytest.raises(ValueError, match=message):
        anatomy(interp.load("newton-exact"), **options)  # type: ignore[arg-type]


def test_three_questions_are_answered_in_words(newton: Anatomy):
    kind, which, pace = newton.text.splitlines()
    assert kind.startswith("After 3 examples no algorithm")
    assert "Iterative Newton explains all but 1 %" in which
    assert "a constant factor" in pace
    assert "steps of Newton a layer" in pace


def test_a_model_of_one_algorithm_is_no_mixture(newton: Anatomy):
    table = newton.table.isel(point=-1)
    table = table.isel(layer=np.flatnonzero(table.energy > 0.01))
    best = table.reference_share.max("reference")  # the read-outs of 512 prompts have some noise
    np.testing.assert_allclose(table.mixture_share, best, atol=0.002)
    np.testing.assert_allclose(table.mixture_gain, 0, atol=0.002)
    is_in = table.mixture_weight > 0
    assert (np.isfinite(table.mixture_step) == is_in).all()
    own = table.mixture_step.sel(reference="newton-fixed").dropna("layer")
    np.testing.assert_allclose(own, own.layer - 2, atol=0.25)
    assert len(own) > len(table.layer) / 2
    assert "No layer is explained better by a mixture" in mixture_text(newton.table)
    assert {trace.type for trace in plots.mixtures(newton).data} == {"bar"}
    better = newton.table.assign(mixture_gain_low=newton.table.mixture_gain_low + 0.1)
    assert "Better than by the best reference alone a mixture explains" in mixture_text(better)
