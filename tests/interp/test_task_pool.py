"""Finite pools of tasks, against Bayes' rule and ridge written out with NumPy and scikit-learn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare, norm
from sklearn.linear_model import Ridge

from hooks.model import SequenceModel
from interp.study import pool
from interp.study.pool import PoolAnalysis
from interp.tasks import LinearRegression, build_task
from interp.training.baseline import baseline_predictions
from interp.zoo import load

TASK = LinearRegression(n_dims=3, n_points=6, n_tasks=4, noise_std=0.5)


def posterior_mean(task: LinearRegression, xs: np.ndarray, ys: np.ndarray) -> np.ndarray:
    """dMMSE of one prompt, by Bayes' rule."""
    said = []
    for t in range(len(xs)):
        mean = xs[:t] @ task.pool().numpy().T * task.y_scale
        prior = norm.pdf(ys[:t, None], mean, task.noise_std * task.y_scale).prod(0)
        said.append(prior @ (task.pool().numpy() @ xs[t]) / prior.sum() * task.y_scale)
    return np.array(said)


def test_every_task_of_a_pool_is_drawn_as_often():
    prompts = TASK.sample(4000, torch.Generator().manual_seed(0))
    is_same = (prompts.weights[:, None] == TASK.pool()).all(-1)
    assert (is_same.sum(1) == 1).all()
    assert chisquare(is_same.sum(0)).pvalue > 1e-3


@given(st.integers(1, 5), st.integers(1, 40), st.integers(1, 40), st.integers(0, 3))
@settings(max_examples=20)
def test_a_pool_of_fewer_dimensions_is_its_first_dimensions(n_tasks, few, many, seed):
    few, many = sorted((few, many))
    one, other = (
        LinearRegression(d, 3, n_tasks=n_tasks, pool_seed=seed).pool() for d in (few, many)
    )
    assert torch.equal(one, other[:, :few])
    assert not torch.equal(one, LinearRegression(few, 3, n_tasks=n_tasks, pool_seed=9).pool())


@pytest.mark.parametrize("y_scale", [1.0, 0.3])
def test_the_best_predictor_of_a_pool_is_its_posterior_mean(y_scale: float):
    task = replace(TASK, y_scale=y_scale)
    xs, ys, *_ = task.sample(5, torch.Generator().manual_seed(1))
    expected = [posterior_mean(task, x, y) for x, y in zip(xs.numpy(), ys.numpy(), strict=True)]
    np.testing.assert_allclose(baseline_predictions(task, xs, ys), expected, rtol=1e-9)


def test_a_task_without_a_pool_is_described_as_ever():
    assert "n_tasks" not in LinearRegression().describe()
    assert build_task(TASK.describe()) == TASK
    with pytest.raises(ValueError, match="n_tasks is 0: every prompt has"):
        LinearRegression().pool()
    with pytest.raises(ValueError, match="n_tasks must be at least 0, got -1"):
        LinearRegression(n_tasks=-1)


def fit_and_predict(task: LinearRegression, xs: np.ndarray, ys: np.ndarray) -> np.ndarray:
    """Ridge of one prompt, by scikit-learn."""
    fit = Ridge(task.noise_std**2, fit_intercept=False)
    said = [fit.fit(xs[:t], ys[:t]).predict(xs[t : t + 1])[0] for t in range(1, len(xs))]
    return np.array([0.0, *said])


@pytest.mark.parametrize(("share", "oracle"), [(0.0, posterior_mean), (1.0, fit_and_predict)])
def test_an_oracle_is_like_itself(share: float, oracle, monkeypatch: pytest.MonkeyPatch):
    def predict(model: SequenceModel, xs: torch.Tensor, ys: torch.Tensor) -> torch.Tensor:
        said = [oracle(TASK, x, y) for x, y in zip(xs.numpy(), ys.numpy(), strict=True)]
        return torch.tensor(np.array(said))

    monkeypatch.setattr(pool, "predict", predict)
    found = PoolAnalysis(64).run(load("newton-exact"), TASK, 0, 0)
    np.testing.assert_allclose(found.ridge_likeness, share, atol=1e-12)
    name = "ridge" if share else "dmmse"
    np.testing.assert_allclose(found.model_error, found[f"{name}_error"])
    assert (found.dmmse_error < found.ridge_error).sel(prompts="pool")
    assert (found.dmmse_error > found.ridge_error).sel(prompts="new")


def test_a_task_without_a_pool_has_nothing_of_it():
    assert not PoolAnalysis(8).run(load("newton-exact"), LinearRegression(), 0, 0).data_vars
