"""References along the points, Garg's baselines and the Bayesian ones, against other libraries."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.linear_model
import sklearn.neighbors
import torch
from prompts import hard_prompts

from probes.references import (
    OLS,
    Averaging,
    Bayes,
    DiscretePrior,
    Lasso,
    NearestNeighbours,
    OnlineGD,
    Prefixes,
    RecursiveLeastSquares,
    Ridge,
    build_reference,
)

LIBRARY = (sklearn.linear_model.Lasso, sklearn.linear_model.Ridge)


@pytest.fixture
def prompts() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(11)
    xs = torch.randn(3, 9, 4, dtype=torch.float64, generator=generator)
    xs[0, 2] = 0
    return xs, torch.randn(3, 9, dtype=torch.float64, generator=generator)


@pytest.mark.parametrize("eta", ["normalised", 0.01, 0.3])
def test_online_gd_equals_its_loop(prompts, eta) -> None:
    xs, ys = prompts
    weights = OnlineGD(eta).weights(Prefixes(xs, ys))[0].numpy()
    for prompt in range(3):
        w = np.zeros(4)
        for t in range(9):
            np.testing.assert_allclose(weights[prompt, t], w, atol=1e-12)
            x, y = xs[prompt, t].numpy(), ys[prompt, t].numpy()
            size = (1 / (x @ x) if x.any() else 0.0) if eta == "normalised" else eta
            w = w - size * (w @ x - y) * x


def test_normalised_online_gd_has_no_error_on_the_newest_example() -> None:
    for case in ("gaussian", "tall, kappa 1e12"):
        xs, ys = hard_prompts(case)
        weights = OnlineGD().weights(Prefixes(xs, ys))[0]
        newest = (weights[:, 1:] * xs[:, :-1]).sum(-1)
        assert ((newest - ys[:, :-1]).abs() < 1e-12 * ys.abs().max()).all()


@pytest.mark.parametrize("lam", [1e-3, 2.0])
def test_recursive_least_squares_without_forgetting_is_ridge(prompts, lam: float) -> None:
    prefixes = Prefixes(*prompts)
    recursive = RecursiveLeastSquares(lam).weights(prefixes)
    torch.testing.assert_close(recursive, Ridge(lam).weights(prefixes), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("case", ["tall, kappa 1e12", "duplicates and zeros"])
def test_recursive_least_squares_keeps_its_digits(case: str) -> None:
    xs, ys = hard_prompts(case)
    prefixes = Prefixes(xs, ys)
    recursive = RecursiveLeastSquares(1e-9).predictions(prefixes)[0]
    error = (recursive - Ridge(1e-9).predictions(prefixes)[0]).abs()
    assert (error / ys.abs().amax(-1, keepdim=True)).max() < 1e-8


def test_forgetting_weights_the_examples(prompts) -> None:
    xs, ys = prompts
    weights = RecursiveLeastSquares(0.5, 0.8).weights(Prefixes(xs, ys))[0].numpy()
    for t in range(1, 9):
        x, y = xs[1, :t].numpy(), ys[1, :t].numpy()
        weight = 0.8 ** np.arange(t - 1, -1, -1.0)
        matrix = (x.T * weight) @ x + 0.8**t * 0.5 * np.eye(4)
        np.testing.assert_allclose(weights[1, t], np.linalg.solve(matrix, (x.T * weight) @ y))


def test_averaging(prompts) -> None:
    xs, ys = prompts
    weights = Averaging().weights(Prefixes(xs, ys))[0]
    for t in range(1, 9):
        expected = (xs[:, :t] * ys[:, :t, None]).mean(1)
        torch.testing.assert_close(weights[:, t], expected)


@pytest.mark.parametrize("k", [1, 3, 20])
def test_nearest_neighbours_equal_scikit_learn(prompts, k: int) -> None:
    xs, ys = prompts
    predicted = NearestNeighbours(k).predictions(Prefixes(xs, ys))[0]
    for prompt in range(3):
        for t in range(1, 9):
            model = sklearn.neighbors.KNeighborsRegressor(min(k, t)).fit(
                xs[prompt, :t], ys[prompt, :t]
            )
            expected = model.predict(xs[prompt, t, None])[0]
            assert abs(predicted[prompt, t] - expected) < 1e-12


def test_equally_near_examples_count_in_their_order() -> None:
    xs = torch.zeros(1, 6, 2, dtype=torch.float64)
    ys = torch.tensor([[1.0, 2.0, 4.0, 100.0, 100.0, 0.0]])
    assert NearestNeighbours(3).predictions(Prefixes(xs, ys))[0, 0, 5] == 7 / 3


def test_nearest_neighbours_have_no_weights(prompts) -> None:
    with pytest.raises(ValueError, match="knn has no weights"):
        NearestNeighbours().weights(Prefixes(*prompts))


@pytest.mark.parametrize("alpha", [0.01, 0.3])
def test_lasso_meets_its_optimality_conditions(prompts, alpha: float) -> None:
    xs, ys = prompts
    weights = Lasso(alpha, tolerance=1e-14).weights(Prefixes(xs, ys))[0].numpy()
    for prompt in range(3):
        for t in range(1, 9):
            x, y, w = xs[prompt, :t].numpy(), ys[prompt, :t].numpy(), weights[prompt, t]
            correlation = x.T @ (y - x @ w) / t
            assert (np.abs(correlation) <= alpha + 1e-6).all()
            active = w != 0
            np.testing.assert_allclose(correlation[active], alpha * np.sign(w[active]), atol=1e-6)


def test_lasso_equals_scikit_learn_at_its_own_tolerance(prompts) -> None:
    xs, ys = prompts
    weights = Lasso(0.05, tolerance=1e-12).weights(Prefixes(xs, ys))[0]
    model = sklearn.linear_model.Lasso(0.05, fit_intercept=False, tol=1e-12, max_iter=10**6)
    model.fit(xs[1, :8], ys[1, :8])
    np.testing.assert_allclose(weights[1, 8], model.coef_, atol=1e-8)


def test_defaults_are_those_of_scikit_learn(prompts) -> None:
    lasso, ridge = (kind(fit_intercept=False) for kind in LIBRARY)
    assert Lasso().tolerance == lasso.tol
    assert Ridge().lam == ridge.alpha
    assert Lasso() == build_reference("lasso")
    xs, ys = prompts
    near, exact = (
        Lasso(0.05, *tolerance).weights(Prefixes(xs, ys)) for tolerance in ((), (1e-14,))
    )
    torch.testing.assert_close(near, exact, rtol=0, atol=0.02)


def test_bayes_is_ridge_with_noise_and_ols_without(prompts) -> None:
    prefixes = Prefixes(*prompts)
    with_noise = Bayes(noise_std=0.6, prior_std=2.0)
    torch.testing.assert_close(with_noise.weights(prefixes), Ridge(0.09).weights(prefixes))
    torch.testing.assert_close(Bayes().weights(prefixes), OLS().weights(prefixes))


def test_bayes_is_the_mean_of_the_gaussian_posterior(prompts) -> None:
    xs, ys = prompts
    x, y = xs[1, :6].numpy(), ys[1, :6].numpy()
    covariance_of_y = 4.0 * x @ x.T + 0.36 * np.eye(6)
    expected = 4.0 * x.T @ np.linalg.solve(covariance_of_y, y)
    weights = Bayes(noise_std=0.6, prior_std=2.0).weights(Prefixes(xs, ys))
    np.testing.assert_allclose(weights[0, 1, 6], expected, atol=1e-12)


def test_discrete_prior_equals_bayes_rule(prompts) -> None:
    xs, ys = prompts
    tasks = torch.randn(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    weights = DiscretePrior(tasks, noise_std=0.8).weights(Prefixes(xs, ys))[0]
    for t in range(9):
        likelihood = [
            np.prod(np.exp(-((ys[2, :t] - xs[2, :t] @ w).numpy() ** 2) / (2 * 0.64))) for w in tasks
        ]
        expected = (np.array(likelihood) / np.sum(likelihood)) @ tasks.numpy()
        np.testing.assert_allclose(weights[2, t], expected, atol=1e-12)


def test_discrete_prior_without_noise_picks_the_task_that_fits() -> None:
    generator = torch.Generator().manual_seed(1)
    tasks = torch.randn(50, 4, dtype=torch.float64, generator=generator)
    xs = torch.randn(2, 5, 4, dtype=torch.float64, generator=generator)
    ys = (xs @ tasks[[7, 31], :, None])[..., 0]
    weights = DiscretePrior(tasks).weights(Prefixes(xs, ys))[0]
    torch.testing.assert_close(weights[:, 0], tasks.mean(0).expand(2, -1))
    torch.testing.assert_close(weights[:, 1:], tasks[[7, 31], None].expand(-1, 4, -1))


def test_discrete_prior_says_what_it_needs(prompts) -> None:
    prefixes = Prefixes(*prompts)
    with pytest.raises(ValueError, match="needs the tasks of its prior"):
        build_reference("dmmse").predictions(prefixes)
    with pytest.raises(ValueError, match="tasks have 3 dims, the prompts 4"):
        DiscretePrior(torch.zeros(2, 3)).predictions(prefixes)
