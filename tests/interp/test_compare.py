"""Numbers of a comparison: paired on shared prompts, labelled, saved whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from assessments import TASK, assessment, comparison
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from hooks.architectures import build_model
from hooks.model import ModelConfig, SequenceModel
from interp.analyses.assessment import count_parameters, milliseconds_per_prompt
from interp.analyses.benchmark_prompts import N_GROUPS, IllConditioned, Recall, TaskPrompts, predict
from interp.analyses.compare import _named as compare_names
from interp.analyses.compare import compare
from interp.analyses.comparison_result import open_comparison
from interp.results.seal import ResultError
from interp.tasks import LinearRegression, TwoLayerNetwork
from probes.references import OLS, Newton, OnlineGD, Prefixes

Says = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


class Saying(SequenceModel):
    """A model that predicts what a function says."""

    def __init__(self, says: Says, task: LinearRegression = TASK) -> None:
        super().__init__(ModelConfig(task.n_dims, task.n_points, n_layers=1, d_model=1))
        self.says = says
        self.unused = nn.Parameter(torch.zeros(3, dtype=torch.float64))
        self.setup()

    def forward(self, xs: torch.Tensor, ys: torch.Tensor) -> torch.Tensor:
        return self.says(xs, ys)


def online_gd(xs: torch.Tensor, ys: torch.Tensor) -> torch.Tensor:
    return OnlineGD().predictions(Prefixes(xs, ys), None)[0]


@pytest.fixture(scope="module")
def prompts() -> TaskPrompts:
    return TaskPrompts.of(TASK, 2 * N_GROUPS, 0)


@pytest.mark.parametrize("step", [1, 4.5])
def test_predictions_of_newton_are_most_similar_to_newton_at_that_step(
    prompts: TaskPrompts, step: float
) -> None:
    said = Newton().predictions(Prefixes(prompts.xs, prompts.ys), [step])[0]
    similarity = prompts.similarity(said)
    mean = similarity["newton"].mean(0)
    assert prompts.candidates["newton"].grid.steps[int(mean.argmax())] == step
    assert mean.max() == pytest.approx(1)
    assert similarity["ogd"].mean() < 0.99


def test_errors_are_squares_over_dimensions(prompts: TaskPrompts) -> None:
    model = Saying(lambda xs, ys: ys + 3)
    error = prompts.error(predict(model, prompts.xs, prompts.ys))
    assert error.numpy() == pytest.approx(np.full((N_GROUPS, TASK.n_points), 9 / TASK.n_dims))
    xs, ys = prompts.xs.numpy(), prompts.ys.numpy()
    residuals = [
        ys[p, t] - xs[p, t] @ np.linalg.lstsq(xs[p, :t], ys[p, :t], rcond=None)[0]
        for p in range(len(xs))
        for t in range(1, TASK.n_points)
    ]
    expected = np.square(residuals).reshape(len(xs), -1).mean(0) / TASK.n_dims
    assert prompts.baseline_error.mean(0)[1:].numpy() == pytest.approx(expected, abs=1e-12)


def test_online_gd_forgets_and_least_squares_does_not() -> None:
    recall = Recall.of(TASK, N_GROUPS, seed=0)
    n = recall.n_examples
    assert n == TASK.n_dims
    assert recall.gaps.tolist() == list(range(n))
    references = recall.of_references()
    assert references["ols"].max() < 1e-20
    ogd = references["ogd"].mean(0)
    assert ogd[0] < 1e-20
    assert (ogd.diff() > 0).all()
    by_hand = []
    for gap in range(n):
        w = np.zeros((N_GROUPS, TASK.n_dims))
        xs, ys = recall.xs[gap].numpy(), recall.ys[gap].numpy()
        for t in range(n):
            error = (w * xs[:, t]).sum(1) - ys[:, t]
            w -= (error / np.square(xs[:, t]).sum(1))[:, None] * xs[:, t]
        again = n - 1 - gap
        assert np.array_equal(xs[:, n], xs[:, again])
        assert np.array_equal(ys[:, n], ys[:, again])
        by_hand.append(np.square((w * xs[:, n]).sum(1) - ys[:, n]).mean() / TASK.n_dims)
    assert ogd.numpy() == pytest.approx(by_hand, abs=1e-12)
    assert recall.of_model(Saying(online_gd)).mean(0) == pytest.approx(ogd, abs=1e-12)


def test_the_excess_over_least_squares_is_paired_by_prompts() -> None:
    one = assessment("one")
    shifted = one.scores.assign(kappa_baseline_error=one.scores.kappa_error - 0.05)
    shifted = replace(one, name="two", scores=shifted)
    found = comparison(one, shifted).summary
    excess = found.kappa_error - found.kappa_baseline_error
    assert found.kappa_excess.values == pytest.approx(excess.values)
    assert found.kappa_excess_interval.sel(model="two").values == pytest.approx(0.05)


def test_least_squares_is_as_good_at_any_condition_number() -> None:
    prompts = IllConditioned.of(TASK, N_GROUPS, seed=0)
    assert prompts.kappas[0] == 1
    squares = prompts.xs.square().mean((1, 2, 3)).numpy()
    largest, others = TASK.n_dims // 2, TASK.n_dims - TASK.n_dims // 2
    expected = (largest + others / np.array(prompts.kappas)) / TASK.n_dims
    assert squares == pytest.approx(expected, rel=0.15)
    ols = prompts.of_model(Saying(lambda xs, ys: OLS().predictions(Prefixes(xs, ys), None)[0]))
    assert ols.numpy() == pytest.approx(prompts.baseline_error.numpy())
    broken = prompts.of_model(Saying(lambda xs, ys: torch.where(xs[..., 0] > 3, torch.inf, ys)))
    is_hit = (prompts.xs[..., 0] > 3).flatten(1).any(1)
    assert 0 < is_hit.sum() < len(is_hit)
    assert torch.equal(broken.isnan().all(0), is_hit)
    assert (broken[:, ~is_hit] == 0).all()
    network = IllConditioned.of(TwoLayerNetwork(3, 6), N_GROUPS, seed=0)
    assert network.kappas == ()
    assert network.of_model(Saying(online_gd)).shape == (N_GROUPS, 0)


@settings(max_examples=25)
@given(n_dims=st.integers(1, 30), n_points=st.integers(2, 45))
def test_gaps_are_distinct_from_the_newest_to_the_oldest(n_dims: int, n_points: int) -> None:
    recall = Recall.of(LinearRegression(n_dims, n_points), N_GROUPS, seed=1)
    gaps = recall.gaps.tolist()
    assert sorted(set(gaps)) == gaps
    assert (gaps[0], gaps[-1]) == (0, min(n_dims, n_points - 1) - 1)
    assert recall.xs.shape[2] <= n_points


def test_parameters_that_layers_share_count_once() -> None:
    sizes = {"n_dims": 2, "n_points": 4, "d_model": 8, "n_heads": 1}
    two, many = (build_model("looped", sizes | {"n_layers": n}) for n in (2, 9))
    assert count_parameters(two) == count_parameters(many)
    assert count_parameters(Saying(online_gd)) == 3
    xs, ys = torch.randn(4, 4, 2), torch.randn(4, 4)
    assert 0 < milliseconds_per_prompt(two, xs, ys) < 1e4


def test_differences_are_paired() -> None:
    """Prompts differ far more than the two models do; shared draws take that out."""
    found = comparison(
        assessment("first", similarity=0.80), assessment("second", similarity=0.79)
    ).summary
    low, high = found.similarity_interval.sel(model="first", reference="newton").values
    assert high - low > 0.02
    pair = found.sel(model="first", other="second", reference="newton")
    assert pair.similarity_difference.item() == pytest.approx(0.01, abs=1e-3)
    low, high = pair.similarity_difference_interval.values
    assert 0.008 < low < high < 0.012
    back = found.similarity_difference.sel(model="second", other="first")
    forth = found.similarity_difference.sel(model="first", other="second")
    assert back.values == pytest.approx(-forth.values)
    own = found.sel(model="first", other="first")
    assert (own.similarity_difference_interval == 0).all()


def test_models_of_other_tasks_are_not_paired() -> None:
    other = assessment("elsewhere", task=replace(TASK, noise_std=0.5))
    found = comparison(assessment("here"), other)
    apart = found.summary.sel(model="here", other="elsewhere")
    assert apart.similarity_difference.isnull().all()
    assert apart.similarity_difference_interval.isnull().all()
    assert "differences" not in found.tables
    tasks = [record["task"] for record in found.tables["models"].records]
    assert "noise std 0.5" in tasks[1]
    assert "noise" not in tasks[0]


def test_numbers_lie_in_their_intervals() -> None:
    summary = comparison(assessment("one", seed=1), assessment("two", seed=2)).summary
    for name in ("error", "excess", "similarity", "forgetting", "similarity_difference"):
        low, high = summary[f"{name}_interval"].transpose("bound", ...).values
        assert (low <= summary[name].values + 1e-12).all(), name
        assert (summary[name].values <= high + 1e-12).all(), name
        assert (high > low).any(), name


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    found = comparison(assessment("a/b c"), assessment("Ω", seed=3))
    found.save(tmp_path / "comparison.nc")
    again = open_comparison(tmp_path / "comparison.nc")
    assert again.summary.identical(found.summary)
    assert again.names == ("a/b c", "Ω")
    assert again.describe() == found.describe()
    for name in found.names:
        assert again.match(name).data.identical(found.match(name).data)


def test_files_that_are_no_comparison(tmp_path: Path) -> None:
    with pytest.raises(ResultError, match="no such file"):
        open_comparison(tmp_path / "nowhere.nc")
    (tmp_path / "text.nc").write_text("text")
    with pytest.raises(ResultError, match="not a readable netCDF file"):
        open_comparison(tmp_path / "text.nc")
    assessment("a").match.save(tmp_path / "match.nc")
    with pytest.raises(ResultError, match="its format is 'icl-interp-match"):
        open_comparison(tmp_path / "match.nc")


@pytest.mark.parametrize(
    ("models", "options", "message"),
    [
        ([], {}, "models is empty"),
        ("gpt2-d5", {}, "models must be several"),
        (["gpt2-d5", "gpt2-d5"], {}, "models names gpt2-d5 more than once"),
        (["gpt2-d55"], {}, "gpt2-d55: no such file"),
        ({"mine": Saying(online_gd)}, {}, "mine: the model does not say what task"),
        (
            {"mine": Saying(online_gd)},
            {"task": replace(TASK, n_dims=7)},
            "mine: task has n_dims = 7",
        ),
        (["gpt2-d5"], {"n_prompts": 5}, "n_prompts must be at least 128, got 5"),
        (["gpt2-d5"], {"n_jobs": 0}, "n_jobs must be at least 1, got 0"),
    ],
)
def test_bad_input_is_refused_before_anything_is_measured(
    models: object, options: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        compare(models, **options)


def test_unknown_models_are_named() -> None:
    with pytest.raises(ValueError, match="model 'two' was not compared"):
        comparison(assessment("one")).match("two")


def test_models_in_memory_are_named_by_class_and_number() -> None:
    names = compare_names([Saying(online_gd), "gpt2-d5", Saying(online_gd)])
    assert list(names) == ["Saying", "gpt2-d5", "Saying (3)"]


def test_an_undecided_rate_says_of_what_it_is() -> None:
    table = comparison(assessment("open", retained=("newton", "gd"))).tables["models"]
    [row] = table.records
    assert row["rate_of"] == "if Newton"


def test_a_comparison_shows_as_a_card() -> None:
    found = comparison(assessment("<one>"))
    assert found.text == "Iterative Newton: <one>."
    assert "Iterative Newton: &lt;one&gt;." in found._repr_html_()
    assert len(found._repr_html_()) < 3000


def test_every_table_of_a_comparison() -> None:
    models = [
        assessment("one", n_layers=5),
        assessment("two", retained=(), n_layers=3, seed=1),
        assessment("three", retained=("newton", "gd"), seed=2),
    ]
    tables = comparison(*models).tables
    names = ["models", "similarity", "differences", "layers", "forgetting", "kappa"]
    assert list(tables) == names
    assert [record["verdict"] for record in tables["models"].records] == [
        "Iterative Newton",
        "none",
        "undecided: Iterative Newton or gradient descent",
    ]
    assert len(tables["layers"].frame) == 6 + 4 + 6
    assert len(tables["differences"].frame) == 3
    assert len(tables["forgetting"].frame) == 3 * 3
    for table in tables.values():
        keys = table.to_csv().splitlines()[0].split(",")
        assert len(set(keys)) == len(keys)
        assert all(list(record) == keys for record in table.records)
