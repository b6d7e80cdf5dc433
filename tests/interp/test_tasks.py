"""Every task: the same seed gives the same prompts however drawn, from the stated distribution."""

from __future__ import annotations

import math
from typing import Any

import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from interp.tasks import TASKS, LinearRegression, Prompts, Task, TwoLayerNetwork, build_task
from interp.tasks.prompts import standard_normal_rows
from probes.references import Prefixes, Ridge

VARIANTS: dict[str, Task] = {name: task() for name, task in TASKS.items()} | {
    "ill-conditioned": LinearRegression(condition_number=100.0),
    "noisy": LinearRegression(noise_std=0.1),
    "pool": LinearRegression(n_tasks=3, noise_std=0.5),
    "scaled": LinearRegression(x_scale=2.0, y_scale=0.5),
    "one dimension": LinearRegression(n_dims=1, n_points=3, condition_number=4.0),
    "noisy tanh network": TwoLayerNetwork(activation="tanh", n_hidden=7, noise_std=0.2),
}
every_variant = pytest.mark.parametrize("task", VARIANTS.values(), ids=VARIANTS.keys())


def draw(task: Task, n_prompts: int, seed: int = 0) -> Prompts:
    return task.sample(n_prompts, torch.Generator().manual_seed(seed))


def joined(batches: list[Prompts]) -> Prompts:
    weights = [batch.weights for batch in batches if batch.weights is not None]
    return Prompts(
        torch.cat([batch.xs for batch in batches]),
        torch.cat([batch.ys for batch in batches]),
        torch.cat(weights) if weights else None,
    )


@every_variant
@settings(max_examples=20)
@given(
    seed=st.integers(0, 2**32 - 1),
    n_prompts=st.integers(1, 70),
    batch_sizes=st.tuples(st.integers(1, 80), st.integers(1, 80)),
)
def test_a_seed_gives_the_same_prompts_on_any_batch_split(
    task: Task, seed: int, n_prompts: int, batch_sizes: tuple[int, int]
) -> None:
    first, second = (
        joined(list(task.stream(n_prompts, seed=seed, batch_size=size))) for size in batch_sizes
    )
    assert len(first.xs) == n_prompts
    for one, other in zip(first, second, strict=True):
        assert one is other is None or torch.equal(one, other)


@every_variant
def test_prompts_are_float64_and_of_the_stated_shape(task: Task) -> None:
    prompts = draw(task, 4)
    assert prompts.xs.shape == (4, task.n_points, task.n_dims)
    assert prompts.ys.shape == (4, task.n_points)
    assert prompts.xs.dtype == prompts.ys.dtype == torch.float64
    assert not torch.equal(prompts.xs[0], prompts.xs[1])


@every_variant
def test_seeds_differ(task: Task) -> None:
    assert not torch.equal(draw(task, 4, seed=0).ys, draw(task, 4, seed=1).ys)


@every_variant
def test_a_description_rebuilds_the_task(task: Task) -> None:
    assert build_task(task.describe()) == task


@settings(max_examples=50)
@given(seed=st.integers(0, 2**31), n_columns=st.integers(1, 50), cut=st.integers(1, 19))
def test_rows_do_not_depend_on_how_many_are_drawn_at_once(
    seed: int, n_columns: int, cut: int
) -> None:
    whole = standard_normal_rows(20, n_columns, torch.Generator().manual_seed(seed))
    generator = torch.Generator().manual_seed(seed)
    parts = [standard_normal_rows(n, n_columns, generator) for n in (cut, 20 - cut)]
    assert torch.equal(torch.cat(parts), whole)


@pytest.mark.parametrize(
    ("normalisation", "expected"),
    [
        ("none", [100, 100, 1, 1, 1]),
        ("trace", [100 / 40.6, 100 / 40.6, 1 / 40.6, 1 / 40.6, 1 / 40.6]),
        ("largest", [1, 1, 0.01, 0.01, 0.01]),
    ],
)
def test_the_covariance_of_a_prompt_has_the_stated_eigenvalues(
    normalisation: Any, expected: list[float]
) -> None:
    task = LinearRegression(
        n_points=20_000, condition_number=100.0, normalisation=normalisation, x_scale=3.0
    )
    torch.testing.assert_close(task.eigenvalues(), torch.tensor(expected, dtype=torch.float64))
    for xs in draw(task, 4).xs:
        measured = torch.linalg.eigvalsh(xs.T @ xs / len(xs)).flip(0)
        torch.testing.assert_close(measured, 9 * task.eigenvalues(), rtol=0.08, atol=0)


def test_the_eigenbasis_is_uniform_and_another_one_in_every_prompt() -> None:
    task = LinearRegression(n_points=1, condition_number=100.0, normalisation="trace")
    xs = draw(task, 40_000).xs[:, 0]
    pooled = xs.T @ xs / len(xs)
    torch.testing.assert_close(pooled, torch.eye(5, dtype=torch.float64), rtol=0, atol=0.05)
    assert xs.square().sum(1).mean().item() == pytest.approx(5, rel=0.02)


def test_condition_numbers_are_uniform_in_their_logarithm() -> None:
    task = LinearRegression(
        n_dims=2, n_points=4_000, condition_number=100.0, condition_draw="log-uniform"
    )
    xs = task.sample(200, torch.Generator().manual_seed(0)).xs
    least, largest = torch.linalg.eigvalsh(xs.mT @ xs).unbind(-1)
    quantiles = (largest / least).log() / math.log(100)
    assert scipy.stats.kstest(quantiles.clamp(0, 1), "uniform").pvalue > 0.01


@pytest.mark.parametrize("noise_std", [0.0, 0.1, 2.0])
@pytest.mark.parametrize("y_scale", [1.0, 5.0])
def test_what_the_weights_do_not_explain_is_the_noise(noise_std: float, y_scale: float) -> None:
    task = LinearRegression(noise_std=noise_std, y_scale=y_scale, x_scale=2.0)
    prompts = draw(task, 5_000)
    assert prompts.weights is not None
    rest = prompts.ys - (prompts.xs @ prompts.weights[:, :, None])[..., 0]
    assert rest.std().item() == pytest.approx(noise_std * y_scale, rel=0.02, abs=1e-12)
    assert prompts.weights.std().item() == pytest.approx(y_scale, rel=0.02)
    assert prompts.xs.std().item() == pytest.approx(2, rel=0.02)


def test_scaling_changes_nothing_but_the_scale() -> None:
    plain, scaled = (
        draw(LinearRegression(**options), 8) for options in ({}, {"x_scale": 4.0, "y_scale": 0.5})
    )
    assert torch.equal(scaled.xs, 4 * plain.xs)
    torch.testing.assert_close(scaled.ys, 2 * plain.ys)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_networks_have_the_stated_scale_and_noise(activation: Any) -> None:
    quiet = TwoLayerNetwork(activation=activation, n_hidden=30)
    noisy = TwoLayerNetwork(activation=activation, n_hidden=30, noise_std=0.5)
    ys, noisy_ys = draw(quiet, 8_000).ys, draw(noisy, 8_000).ys
    assert (noisy_ys - ys).std().item() == pytest.approx(0.5, rel=0.02)
    # E y^2 = 2 E activation(w·x)^2, and w·x is |x| times a standard normal number.
    generator = torch.Generator().manual_seed(1)
    pre = torch.randn(200_000, 5, generator=generator).norm(dim=1)
    pre = pre * torch.randn(200_000, generator=generator)
    expected = 2 * getattr(pre, activation)().square().mean().item()
    assert ys.square().mean().item() == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("n_hidden", [1, 20])
def test_covariance_of_a_network_is_that_of_its_outputs(activation: Any, n_hidden: int) -> None:
    task = TwoLayerNetwork(n_dims=3, n_points=4, activation=activation)
    xs = draw(task, 1).xs
    generator = torch.Generator().manual_seed(2)
    first = torch.randn(100_000, n_hidden, 3, dtype=torch.float64, generator=generator)
    second = torch.randn(100_000, n_hidden, dtype=torch.float64, generator=generator)
    hidden = getattr(first @ xs[0].T, activation)()  # [network, hidden, point]
    ys = (2 / n_hidden) ** 0.5 * (second[:, :, None] * hidden).sum(1)
    measured, stated = ys.T @ ys / len(ys), task.covariance(xs)[0]
    torch.testing.assert_close(measured, stated, rtol=0.03, atol=0.03 * stated.max().item())


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_no_ridge_beats_the_posterior_mean_of_networks(activation: Any) -> None:
    task = TwoLayerNetwork(activation=activation, noise_std=0.1)
    prompts = draw(task, 1_000)
    best = (task.posterior_mean(prompts.xs, prompts.ys) - prompts.ys).square().mean()
    for strength in (0.3, 1.0, 3.0, 10.0):
        ridge = Ridge(strength).predictions(Prefixes(prompts.xs, prompts.ys), None)[0]
        assert best < (ridge - prompts.ys).square().mean()


def test_a_network_is_a_function_of_x_and_not_a_linear_one() -> None:
    prompts = draw(TwoLayerNetwork(n_points=12), 50)
    weights = torch.linalg.lstsq(prompts.xs, prompts.ys[:, :, None]).solution
    rest = prompts.ys - (prompts.xs @ weights)[..., 0]
    assert rest.square().mean() > 0.05 * prompts.ys.square().mean()
    assert prompts.weights is None


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ({}, "task name must be one of linear_regression, two_layer_network, got None"),
        ({"name": "quadratic"}, "got 'quadratic'"),
        (
            {"name": "linear_regression", "kappa": 2.0},
            "task.kappa is unknown; task takes n_dims, n_points, noise_std",
        ),
        ({"name": "linear_regression", "n_dims": 0}, "n_dims must be at least 1, got 0"),
        ({"name": "linear_regression", "noise_std": -0.1}, "noise_std must be at least 0"),
        (
            {"name": "linear_regression", "condition_number": 0.5},
            "condition_number must be at least 1, got 0.5",
        ),
        ({"name": "linear_regression", "y_scale": 0.0}, "y_scale must be above 0, got 0.0"),
        ({"name": "two_layer_network", "n_hidden": 0}, "n_hidden must be at least 1, got 0"),
        ({"name": "two_layer_network", "noise_std": -1.0}, "noise_std must be at least 0"),
    ],
)
def test_errors_name_the_field_and_its_value(description: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_task(description)


@pytest.mark.parametrize("field", ["n_prompts", "batch_size"])
def test_a_stream_needs_prompts(field: str) -> None:
    sizes = {"n_prompts": 4, "batch_size": 4} | {field: 0}
    with pytest.raises(ValueError, match=f"{field} must be at least 1, got 0"):
        list(LinearRegression().stream(seed=0, **sizes))
