"""Orders of convergence of planted models, and what is beyond controls and rivals."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray
from planted import planted_result

from hooks.architectures import build_model
from hooks.architectures.planted import build_planted
from interp import plots
from interp.analyses.comparisons import default_comparisons
from interp.analyses.convergence import measure_order
from interp.analyses.uniqueness import Rivals, disagreement_variables, unique_variables
from interp.report.match_sections import match_sections, order_note
from interp.results.result import MatchResult
from interp.scoring.scores import Sample
from interp.scoring.tables import Arrangement
from interp.tasks import LinearRegression, TwoLayerNetwork
from probes.candidate import Candidate
from probes.references import Prefixes

SIZES = {"n_dims": 3, "n_points": 7}
TASK = LinearRegression(**SIZES)
BEYOND = ("rivals", "selectivity")


@pytest.mark.parametrize(("algorithm", "n_layers", "order"), [("newton", 12, 2), ("gd", 12, 1)])
def test_planted_models_converge_in_the_order_of_their_algorithm(algorithm, n_layers, order):
    model = build_planted(algorithm=algorithm, n_layers=n_layers, dtype="float64", **SIZES)
    found = measure_order(model, TASK, list(model.sites()), n_prompts=1024)
    assert found.found.order == pytest.approx(order, abs=0.1)
    assert len(found.layers) == 3
    assert max(found.layers) <= n_layers


def test_an_order_that_cannot_be_told_says_why():
    model = build_model("gpt2", {**SIZES, "n_layers": 3, "n_heads": 1, "d_model": 8}, seed=0).eval()
    sites = list(model.sites())
    cases = {
        "fewer than three layers": (TASK, sites[:2], 1024),
        "needs 4 samples each": (TASK, sites, 8),
        "what the layers of a model of two_layer_network": (TwoLayerNetwork(**SIZES), sites, 1024),
        "improve over three layers|do not agree": (TASK, sites, 512),
    }
    for reason, (task, some, n_prompts) in cases.items():
        found = measure_order(model, task, some, n_prompts=n_prompts)
        assert np.isnan(found.found.order)
        assert any(part in str(found.found.reason) for part in reason.split("|")), reason
        assert found.variables(["resid_post"])["convergence_order"].attrs["reason"]


@pytest.fixture(scope="module")
def comparisons() -> tuple[Candidate, ...]:
    return default_comparisons(TASK)


@pytest.fixture(scope="module")
def rivals(comparisons) -> Rivals:
    """Layers that hold GD's iterates, with a little noise."""
    [prompts] = TASK.stream(512, seed=0)
    prefixes = Prefixes(prompts.xs, prompts.ys)
    gd = next(item for item in comparisons if item.name == "gd")
    layers = gd.reference.predictions(prefixes, [2.0, 6.0, 18.0])
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(layers.shape, generator=generator, dtype=torch.float64)
    said = layers + 0.05 * noise
    best = {"gd": [2.0, 6.0, 18.0], "ridge": [3.0, 5.0, 7.0]}
    tables = {
        item.name: xarray.Dataset(
            {
                "best_step": (("site", "layer"), [best.get(item.family, [2.0, 3.0, 4.0])]),
                "whole_best_step": (("site", "layer"), [best.get(item.family, [2.0, 3.0, 4.0])]),
                "best_similarity": (("site", "layer"), [[0.9 - 0.1 * len(item.name) / 20] * 3]),
            },
            {"site": ["resid_post"], "layer": [1, 2, 3]},
        )
        for item in comparisons
    }
    sample = Sample(prefixes, said)
    return Rivals.of(sample, comparisons, tables, "raw", ("gd",))


def test_the_family_that_stands_comes_first_and_each_family_once(rivals: Rivals):
    assert rivals.names[0] == "gd"
    assert len(rivals.names) == 3
    assert rivals.predictions.shape == (3, 3, 512, 7)


def test_only_the_planted_family_explains_what_the_others_leave(rivals: Rivals):
    model = build_planted(algorithm="gd", n_layers=2, **SIZES)
    variables = unique_variables(rivals, Arrangement(model.sites()))
    planted = variables["gd"]["unique_r2"][1][0]
    assert (planted[1:] > 0.3).all()
    for name in rivals.names[1:]:
        assert (variables[name]["unique_r2"][1][0] < 0.1 * planted).all()
        low, high = variables["gd"]["unique_r2_interval"][1][0].T
        assert (low <= planted).all()
        assert (planted <= high).all()


def test_the_margin_is_the_planted_familys_and_largest_where_they_disagree(rivals: Rivals):
    layers = xarray.Dataset(coords={"layer": [1, 2, 3], "point": np.arange(7)})
    variables = disagreement_variables(rivals, layers)
    margin = variables["rival_margin"].values
    assert (margin > 0).all()
    assert (np.diff(margin, axis=1) > 0).all()


@pytest.fixture(scope="module")
def shown() -> MatchResult:
    """A result made by hand, with the scores of this page."""
    result = planted_result()
    tree = result.data.copy()
    n_layers = tree.sizes["layer"]
    margin = np.linspace(0, 0.1, 4 * n_layers).reshape(n_layers, 4)
    root = result.layers.assign(
        rival_margin=(("layer", "part"), margin),
        rival_margin_interval=(("bound", "layer", "part"), np.stack([margin - 1, margin + 1])),
    ).assign_coords(part=[f"{k} of 4" for k in range(1, 5)], rival=["newton", "gd"])
    root["convergence_order"].attrs = {"layers": [3, 4, 5], "reason": ""}
    tree.dataset = root
    for name in ("newton", "gd"):
        scores = result.reference(name)
        value = scores.best_similarity
        bounds = scores.best_similarity_interval
        tree[f"references/{name}"].dataset = scores.assign(
            unique_r2=value, unique_r2_interval=bounds,
            selectivity=value, selectivity_interval=bounds,
            prediction_selectivity=value, prediction_selectivity_interval=bounds,
        )  # fmt: skip
    return MatchResult(tree)


def test_the_report_shows_what_the_result_holds(shown: MatchResult):
    sections = [part for part in match_sections(shown) if part.anchor in BEYOND]
    assert [section.anchor for section in sections] == ["rivals", "selectivity"]
    assert [len(section.pictures) for section in sections] == [2, 2]
    np.testing.assert_array_equal(
        plots.disagreement(shown).data[3].y, shown.layers.rival_margin[:, 3]
    )
    assert len(plots.unique_variance(shown).data) == 2
    values = shown.reference("gd").selectivity.isel(site=0)
    np.testing.assert_array_equal(plots.selectivity(shown).data[1].y, values)
    note = order_note(shown)
    assert note is not None
    assert "1.50 (95 % interval 1.25 to 1.75), from single predictions at layers 3 to 5" in note


def test_a_result_without_them_has_no_such_sections():
    bare = planted_result()
    assert not [part for part in match_sections(bare) if part.anchor in BEYOND]
    for plot in (plots.disagreement, plots.unique_variance, plots.selectivity):
        with pytest.raises(ValueError, match="the result holds no"):
            plot(bare)
