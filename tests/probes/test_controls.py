from __future__ import annotations

import math
from collections.abc import Iterator

import jaxtyping
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import bootstrap as scipy_bootstrap
from scipy.stats import false_discovery_control
from torch import Tensor

from probes.controls import (
    benjamini_hochberg,
    control_p_value,
    derangement,
    derangements,
    holm,
    other_task_targets,
    selectivity,
    shuffle_pairs,
    shuffle_targets,
    unique_variance,
)
from probes.readout_fitter import ReadoutFitter, validation_error
from probes.uncertainty import bootstrap_interval, bootstrap_weights, jackknife_weights

seeds = st.integers(0, 10_000)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


@pytest.fixture
def unchecked_types() -> Iterator[None]:
    """Lets wrong shapes through to the functions, as outside of the tests."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


# Shuffled targets, shuffled pairs, targets of another task


@given(seeds, st.integers(2, 40))
def test_a_derangement_moves_everything_and_loses_nothing(seed: int, n: int) -> None:
    order = derangement(n, generator(seed))
    rows = derangements(5, n, generator(seed))
    assert torch.equal(order.sort().values, torch.arange(n))
    assert torch.equal(rows.sort(dim=1).values, torch.arange(n).expand(5, n))
    assert not (order == torch.arange(n)).any()
    assert not (rows == torch.arange(n)).any()


def test_derangements_are_uniform() -> None:
    rows = derangements(9000, 4, generator())
    _, counts = rows.unique(dim=0, return_counts=True)
    assert len(counts) == 9
    assert abs(counts.double() - 1000).max() < 5 * math.sqrt(1000)


@given(seeds, st.integers(2, 12))
def test_shuffled_targets_move_whole_prompts(seed: int, n_prompts: int) -> None:
    targets = torch.arange(n_prompts * 6, dtype=torch.float64).reshape(n_prompts, 3, 2)
    shuffled = shuffle_targets(targets, generator(seed))
    origins = shuffled[:, 0, 0] / 6
    assert torch.equal(shuffled, targets[origins.long()])
    assert torch.equal(origins.sort().values, torch.arange(n_prompts, dtype=torch.float64))
    assert (origins != torch.arange(n_prompts)).all()
    assert torch.equal(shuffled, shuffle_targets(targets, generator(seed)))


@given(seeds, st.integers(2, 12))
def test_shuffled_pairs_keep_a_prompts_ys_and_no_pair(seed: int, n_points: int) -> None:
    ys = torch.arange(4 * n_points, dtype=torch.float64).reshape(4, n_points)
    shuffled = shuffle_pairs(ys, generator(seed))
    assert torch.equal(shuffled.sort(dim=1).values, ys)
    assert (shuffled != ys).all()


def test_controls_leave_a_linear_readout_nothing() -> None:
    n_prompts, n_points, d = 400, 10, 5
    xs, w = normal(0, n_prompts, n_points, d), normal(1, n_prompts, d)
    ys = torch.einsum("npd,nd->np", xs, w)
    activations = torch.cat([xs, ys[..., None]], dim=2).reshape(1, -1, d + 1)
    scores = {}
    for name, targets in {
        "real": ys,
        "targets": shuffle_targets(ys, generator(2)),
        "pairs": shuffle_pairs(ys, generator(2)),
        "other task": other_task_targets(xs, generator(2), like=ys),
    }.items():
        fitter = ReadoutFitter(1, d + 1, 1).update(activations, targets.reshape(-1, 1))
        scores[name] = validation_error(fitter.solve([1e-6]), fitter.statistics).r2.item()
    assert scores.pop("real") > 0.999999
    # In-sample R^2 of nothing is d / n = 0.0015; shuffled pairs correlate by -1 / (points - 1).
    assert all(abs(score) < 0.03 for score in scores.values())


def test_other_task_targets_are_linear_in_xs_and_new_for_every_prompt() -> None:
    xs, ys = normal(0, 50, 8, 5), 3 * normal(1, 50, 8)
    targets = other_task_targets(xs, generator(2), like=ys)
    fits = torch.linalg.lstsq(xs, targets[..., None]).solution
    assert torch.allclose((xs @ fits)[..., 0], targets)
    assert torch.allclose(targets.square().mean(), ys.square().mean())
    ws = torch.linalg.lstsq(xs, other_task_targets(xs, generator(2))[..., None]).solution
    assert 0.8 < ws.std() < 1.2
    assert ws.std(dim=0).min() > 0.5


@pytest.mark.parametrize(
    "call",
    [
        lambda: derangement(1, generator()),
        lambda: derangements(3, 1, generator()),
        lambda: shuffle_targets(torch.zeros(1, 4), generator()),
        lambda: shuffle_pairs(torch.zeros(4, 1), generator()),
    ],
)
def test_one_thing_alone_cannot_be_shuffled(call: object) -> None:
    with pytest.raises(ValueError, match="at least 2"):
        call()  # type: ignore[operator]


# Selectivity


def test_selectivity_and_p_value_against_controls() -> None:
    real, controls = torch.tensor([0.9, 0.2]), torch.tensor([[0.1, 0.3], [0.2, 0.1], [0.0, 0.4]])
    assert torch.allclose(selectivity(real, controls[0]), torch.tensor([0.8, -0.1]))
    assert torch.allclose(control_p_value(real, controls), torch.tensor([1 / 4, 3 / 4]))
    with pytest.raises(ValueError, match="not finite"):
        selectivity(real, torch.tensor([math.nan, 0.0]))
    with pytest.raises(ValueError, match="at least one"):
        control_p_value(real, controls[:0])


@pytest.mark.usefixtures("unchecked_types")
def test_scores_and_controls_of_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"agree in shape, got \[2\] and \[3\]"):
        selectivity(torch.zeros(2), torch.zeros(3))
    with pytest.raises(ValueError, match=r"controls must be \[repeat, 2\]"):
        control_p_value(torch.zeros(2), torch.zeros(5, 3))


def test_p_values_of_permutation_controls_are_uniform_under_the_null() -> None:
    scores = normal(0, 20, 4000)
    p_values = control_p_value(scores[0], scores[1:])
    for level in (0.05, 0.25, 0.5):
        share = (p_values <= level).double().mean().item()
        assert abs(share - level) < 4 * math.sqrt(level * (1 - level) / 4000)


# Several comparisons


def holm_by_definition(p_values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The smallest level at which the step-down test rejects each hypothesis."""
    n, order = len(p_values), np.argsort(p_values)
    adjusted = np.empty(n)
    for rank, index in enumerate(order):
        earlier = [(n - k) * p_values[order[k]] for k in range(rank + 1)]
        adjusted[index] = min(1.0, max(earlier))
    return adjusted


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_adjusted_p_values_equal_their_definitions(values: list[float]) -> None:
    p_values = torch.tensor(values, dtype=torch.float64)
    np.testing.assert_allclose(holm(p_values), holm_by_definition(p_values.numpy()))
    np.testing.assert_allclose(benjamini_hochberg(p_values), false_discovery_control(values))
    twice = torch.stack([p_values, p_values.flip(0)])
    assert torch.equal(holm(twice)[1].flip(0), holm(p_values))
    assert torch.equal(benjamini_hochberg(twice)[1].flip(0), benjamini_hochberg(p_values))


def test_holm_keeps_the_family_wise_error_and_finds_what_is_there() -> None:
    null = torch.rand(4000, 10, generator=generator(), dtype=torch.float64)
    null[:, 5:] = null[:, :1]  # dependent comparisons
    is_wrong = (holm(null) <= 0.05).any(dim=1).double().mean()
    assert is_wrong < 0.05 + 4 * math.sqrt(0.05 * 0.95 / 4000)
    assert (null <= 0.05).any(dim=1).double().mean() > 0.15
    null[:, 3] = 1e-6
    assert (holm(null)[:, 3] <= 0.05).all()


def test_p_values_outside_the_unit_interval_are_refused() -> None:
    for bad in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match="between 0 and 1"):
            holm(torch.tensor([0.5, bad]))
        with pytest.raises(ValueError, match="between 0 and 1"):
            benjamini_hochberg(torch.tensor([0.5, bad]))


# Bootstrap


def test_bootstrap_weights_are_multinomial_counts() -> None:
    weights = bootstrap_weights(20, 3000, seed=1)
    assert torch.equal(weights.sum(dim=1), torch.full((3000,), 20.0, dtype=torch.float64))
    assert torch.allclose(weights.mean(dim=0), torch.ones(20, dtype=torch.float64), atol=0.1)
    assert torch.allclose(weights.var(dim=0).mean(), torch.tensor(0.95).double(), atol=0.02)
    covariance = torch.cov(weights.T)
    assert abs(covariance[~torch.eye(20, dtype=torch.bool)].mean() + 1 / 20) < 0.005
    assert torch.equal(weights, bootstrap_weights(20, 3000, seed=1))
    assert not torch.equal(weights, bootstrap_weights(20, 3000, seed=2))
    with_original = bootstrap_weights(20, 3000, seed=1, with_original=True)
    assert torch.equal(with_original[0], torch.ones(20, dtype=torch.float64))
    assert torch.equal(with_original[1:], weights)


def test_jackknife_weights_leave_one_out() -> None:
    values = normal(0, 7)
    means = jackknife_weights(7) @ values / 6
    assert torch.allclose(means[3], values[torch.arange(7) != 3].mean())
    with pytest.raises(ValueError, match="at least 2"):
        jackknife_weights(1)


def test_intervals_agree_with_scipys_bootstrap_for_many_groups() -> None:
    values = normal(3, 400).exp()
    weights = bootstrap_weights(400, 20_000, seed=0)
    estimate = values.mean()
    replicates = weights @ values / 400
    jackknife = jackknife_weights(400) @ values / 399
    for ours, theirs in (("percentile", "percentile"), ("bca", "BCa")):
        bounds = bootstrap_interval(
            replicates, n_groups=400, method=ours, estimate=estimate, jackknife=jackknife
        )
        oracle = scipy_bootstrap(
            (values.numpy(),), np.mean, n_resamples=20_000, method=theirs, rng=0
        )
        spread = oracle.standard_error
        expected = oracle.confidence_interval
        assert abs(bounds[0].item() - expected.low) < 0.1 * spread
        assert abs(bounds[1].item() - expected.high) < 0.1 * spread


@pytest.mark.parametrize("method", ["percentile", "student", "bca"])
@pytest.mark.parametrize("n_groups", [12, 80])
def test_intervals_cover_as_often_as_they_say(method: str, n_groups: int) -> None:
    """Plain quantiles of 12 groups cover 90.5 % of the time and fail here."""
    n_trials = 1500
    samples = normal(4, n_groups, n_trials)
    weights = bootstrap_weights(n_groups, 400, seed=5)
    bounds = bootstrap_interval(
        weights @ samples / n_groups,
        n_groups=n_groups,
        method=method,
        estimate=samples.mean(dim=0),
        jackknife=jackknife_weights(n_groups) @ samples / (n_groups - 1),
    )
    covered = ((bounds[0] <= 0) & (bounds[1] >= 0)).double().mean().item()
    assert 0.93 < covered < 0.97


def test_bca_counts_half_of_the_replicates_that_equal_the_estimate() -> None:
    """Replicates that lie evenly about the estimate show no bias, however many equal it."""
    replicates = torch.tensor([-1.0, *[0.0] * 8, 1.0], dtype=torch.float64).repeat(20)
    jackknife = torch.tensor([-0.1, 0.1], dtype=torch.float64).repeat(8)
    options = {"n_groups": 16, "estimate": torch.zeros(()).double(), "jackknife": jackknife}
    low, high = bootstrap_interval(replicates, 0.7, method="bca", **options)
    assert low == -high
    low, high = bootstrap_interval(replicates, method="bca", **options)
    assert (low, high) == (-1, 1)


def test_intervals_keep_the_shape_of_the_score_and_nest() -> None:
    replicates = normal(6, 200, 3, 4)
    wide, narrow = (bootstrap_interval(replicates, level, n_groups=30) for level in (0.99, 0.8))
    assert wide.shape == (2, 3, 4)
    assert (wide[0] < narrow[0]).all()
    assert (narrow[1] < wide[1]).all()


def test_intervals_refuse_what_they_cannot_use() -> None:
    replicates = normal(7, 50)
    with pytest.raises(ValueError, match="level must be between 0 and 1"):
        bootstrap_interval(replicates, 95.0, n_groups=10)
    with pytest.raises(ValueError, match="at least 2 replicates and 2 groups"):
        bootstrap_interval(replicates, n_groups=1)
    with pytest.raises(ValueError, match="not finite"):
        bootstrap_interval(torch.cat([replicates, torch.tensor([math.nan])]), n_groups=10)
    with pytest.raises(ValueError, match="needs the estimate"):
        bootstrap_interval(replicates, n_groups=10, method="student")
    with pytest.raises(ValueError, match="needs the jackknife"):
        bootstrap_interval(replicates, n_groups=10, method="bca", estimate=replicates.mean())


# Unique variance


def r2_by_lstsq(target: Tensor, regressors: Tensor) -> float:
    """R^2 of an affine least-squares fit, sample by sample."""
    design = np.column_stack([np.ones(len(target)), regressors.numpy()])
    left = target.numpy() - design @ np.linalg.lstsq(design, target.numpy())[0]
    return float(1 - (left**2).sum() / ((target - target.mean()) ** 2).sum())


@given(seeds, st.integers(2, 4), st.integers(1, 2))
@settings(max_examples=20)
def test_unique_variance_equals_brute_force_regressions(
    seed: int, n_references: int, reference_layers: int
) -> None:
    references = normal(seed, reference_layers, n_references, 30, 6).cumsum(dim=1) + 2
    mixture = references[0].mean(dim=0)
    predictions = torch.stack([mixture, references[-1, 0]]) + normal(seed + 1, 2, 30, 6)
    result = unique_variance(predictions, references, n_replicates=20)
    for layer in range(2):
        flat = references[min(layer, reference_layers - 1)].flatten(1).T
        target = predictions[layer].flatten()
        full = r2_by_lstsq(target, flat)
        for index in range(n_references):
            others = flat[:, [j for j in range(n_references) if j != index]]
            without = r2_by_lstsq(target, others)
            assert result.share[layer, index].item() == pytest.approx(full - without, abs=1e-9)
            partial = (full - without) / (1 - without)
            assert result.r2[layer, index].item() == pytest.approx(partial, abs=1e-9)


def test_replicates_equal_regressions_on_repeated_prompts() -> None:
    references, noise = normal(0, 1, 2, 8, 5), normal(1, 1, 8, 5)
    predictions = references[:, 0] + noise
    result = unique_variance(predictions, references, n_replicates=2000, seed=3)
    weights = bootstrap_weights(8, 2000, 3)
    partials = []
    for row in weights:
        drawn = torch.repeat_interleave(torch.arange(8), row.long())
        flat, target = references[0][:, drawn].flatten(1).T, predictions[0, drawn].flatten()
        full, without = r2_by_lstsq(target, flat), r2_by_lstsq(target, flat[:, 1:])
        partials.append((full - without) / (1 - without))
    angles = torch.tensor(partials, dtype=torch.float64).sqrt().atanh()  # all correlations > 0
    estimate = result.r2[0, 0].sqrt().atanh()
    expected = bootstrap_interval(angles, n_groups=8, method="student", estimate=estimate)
    assert torch.allclose(result.interval[:, 0, 0], expected.tanh().square(), atol=1e-8)


@pytest.mark.parametrize("distance", [1e-3, 1e-5, 1e-9, 0.0])
def test_references_that_are_nearly_alike_share_their_variance(distance: float) -> None:
    """Only down to `RESOLUTION` can two be told apart; the third is untouched by them."""
    first, other, third = normal(2, 3, 200, 5)
    references = torch.stack([first, first + distance * other, third])[None]
    predictions = (first + third + 0.1 * normal(3, 200, 5))[None]
    result = unique_variance(predictions, references, n_replicates=50)
    assert (result.r2[0, :2] < 0.02).all()
    alone = unique_variance(predictions, references[:, [0, 2]], n_replicates=50)
    assert torch.allclose(result.r2[0, 2], alone.r2[0, 1], rtol=2e-2)
    if distance < 1e-6:
        assert (result.r2[0, :2] == 0).all()
        assert (result.interval[:, 0, :2] == 0).all()
        assert torch.allclose(result.r2[0, 2], alone.r2[0, 1], rtol=1e-9)


@pytest.mark.parametrize("strength", [0.0, 0.3])
def test_the_interval_covers_the_partial_r2_also_where_it_is_zero(strength: float) -> None:
    n_trials, n_prompts, n_points = 300, 40, 4
    # Points of a prompt share their scale.
    scale = (0.5 * normal(8, n_trials, n_prompts, 1)).exp()
    common = normal(4, n_trials, n_prompts, n_points)
    own = normal(5, n_trials, n_prompts, n_points)
    noise = normal(6, n_trials, n_prompts, n_points)
    references = torch.stack([common, common + own], dim=1)
    predictions = common + strength * own + scale * noise
    mean_square = math.exp(0.5)
    truth = strength**2 / (strength**2 + mean_square)
    low, high = unique_variance(predictions, references, n_replicates=200).interval[:, :, 1]
    covered = ((low <= truth) & (truth <= high)).double().mean().item()
    assert covered > 0.91
    if strength == 0:
        assert covered < 0.985


def test_groups_of_prompts_widen_what_prompts_alone_would_say() -> None:
    """Ten copies of every prompt hold no more than one copy, if groups say so."""
    base = normal(9, 3, 30, 4)
    references, predictions = base[None, :2], base[None, 0] + base[None, 2]
    once = unique_variance(predictions, references, seed=1)
    copies = {"references": references.repeat(1, 1, 10, 1), "groups": torch.arange(300) % 30}
    grouped = unique_variance(predictions.repeat(1, 10, 1), **copies, seed=1)
    assert torch.allclose(grouped.interval, once.interval, atol=1e-9)
    naive = unique_variance(
        predictions.repeat(1, 10, 1), references.repeat(1, 1, 10, 1), seed=1
    ).interval
    assert (naive[1] - naive[0] < (once.interval[1] - once.interval[0]) / 2)[0, 0]


def test_constant_predictions_and_references_explain_nothing() -> None:
    references = normal(10, 1, 2, 20, 3)
    references[0, 1] = 4.0
    predictions = torch.stack([normal(11, 20, 3), torch.full((20, 3), 2.0, dtype=torch.float64)])
    result = unique_variance(predictions, references, n_replicates=20)
    assert (result.r2[:, 1] == 0).all()
    assert (result.r2[1] == 0).all()
    assert result.r2[0, 0] > 0


def test_unique_variance_refuses_what_does_not_fit() -> None:
    predictions, references = normal(0, 2, 10, 3), normal(1, 1, 2, 10, 3)
    with pytest.raises(ValueError, match=r"references must be \[1 or 2 layers"):
        unique_variance(predictions, references.expand(3, -1, -1, -1))
    broken = predictions.clone()
    broken[1, 4, 2] = math.nan
    with pytest.raises(ValueError, match="predictions of layer 1 are not finite"):
        unique_variance(broken, references)
    with pytest.raises(ValueError, match="2 groups"):
        unique_variance(predictions, references, groups=torch.zeros(10, dtype=torch.long))
