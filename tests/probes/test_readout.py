from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_squared_error, r2_score
from torch import Tensor

from probes.accumulation import SAMPLES_PER_CHUNK, NonFiniteSampleError
from probes.readout import Readout
from probes.readout_fitter import ReadoutFitter, resampled_error, validation_error
from probes.ridge import relative_strengths

STRENGTHS = (0.0, 1e-6, 1e-2, 1.0, 100.0)

problems = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 10_000),
        "n_sites": st.integers(1, 3),
        "n_samples": st.integers(20, 90),
        "d": st.integers(1, 7),
        "n_targets": st.integers(1, 4),
    }
)


def draw(
    seed: int, n_sites: int, n_samples: int, d: int, n_targets: int, mean: float = 3.0
) -> tuple[Tensor, Tensor]:
    """Correlated features and targets that depend on them, with noise, far from the origin."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    mixing = torch.eye(d) + 0.3 * normal(n_sites, d, d)
    features = normal(n_sites, n_samples, d) @ mixing + mean * normal(n_sites, 1, d)
    targets = features[0] @ normal(d, n_targets) + normal(n_samples, n_targets) + mean
    return features, targets


def fit(features: Tensor, targets: Tensor, **options: int) -> ReadoutFitter:
    n_sites, _, d = features.shape
    fitter = ReadoutFitter(n_sites, d, targets.shape[-1], n_groups=options.get("n_groups", 1))
    n_groups = options.get("n_groups", 1)
    groups = torch.arange(features.shape[1]) % n_groups
    return fitter.update(features, targets, groups)


def relative_error(actual: Tensor | np.ndarray, expected: Tensor | np.ndarray) -> float:
    actual, expected = np.asarray(actual), np.asarray(expected)
    return float(np.abs(actual - expected).max() / max(np.abs(expected).max(), 1e-300))


@given(problems)
@settings(max_examples=25)
def test_equals_scikit_learn_ridge_at_every_site_and_strength(problem: dict[str, int]) -> None:
    features, targets = draw(**problem)
    readouts = fit(features, targets).solve(STRENGTHS)
    for strength, readout in zip(STRENGTHS, readouts, strict=True):
        for site in range(problem["n_sites"]):
            oracle = Ridge(alpha=strength, solver="svd").fit(
                features[site].numpy(), targets.numpy()
            )
            coefficients = oracle.coef_.reshape(problem["n_targets"], problem["d"]).T
            assert relative_error(readout.weight[site], coefficients) < 1e-8
            assert relative_error(readout.bias[site], oracle.intercept_) < 1e-8
            predictions = readout.at(site)(features[site : site + 1])[0]
            expected = oracle.predict(features[site].numpy()).reshape(predictions.shape)
            assert relative_error(predictions, expected) < 1e-8
    assert torch.equal(readouts.ridge[:, 0, 0], torch.tensor(STRENGTHS, dtype=torch.float64))


@given(problems, st.integers(1, 4), st.integers(1, 3))
@settings(max_examples=25)
def test_merge_of_shards_equals_the_whole_in_any_split(
    problem: dict[str, int], n_shards: int, n_groups: int
) -> None:
    features, targets = draw(**problem)
    groups = torch.arange(problem["n_samples"]) % n_groups
    sizes = (problem["n_sites"], problem["d"], problem["n_targets"])
    whole = ReadoutFitter(*sizes, n_groups=n_groups).update(features, targets, groups)
    merged = ReadoutFitter(*sizes, n_groups=n_groups)
    for shard in torch.arange(problem["n_samples"]).tensor_split(n_shards):
        part = ReadoutFitter(*sizes, n_groups=n_groups)
        merged.merge(part.update(features[:, shard], targets[shard], groups[shard]))
    for name in ("count", "feature_mean", "target_mean", "feature_scatter", "cross_scatter"):
        ours, theirs = (getattr(f.statistics, name) for f in (merged, whole))
        assert relative_error(ours, theirs) < 1e-12
    assert relative_error(merged.solve([1e-3]).weight, whole.solve([1e-3]).weight) < 1e-10


def test_chunks_and_updates_leave_no_trace() -> None:
    features, targets = draw(1, n_sites=2, n_samples=2 * SAMPLES_PER_CHUNK + 77, d=5, n_targets=3)
    whole = fit(features, targets).solve([1.0])
    piecewise = ReadoutFitter(2, 5, 3)
    for part in torch.arange(features.shape[1]).tensor_split(13):
        piecewise.update(features[:, part], targets[part])
    centred = features - features.mean(dim=1, keepdim=True)
    direct = torch.linalg.solve(
        centred.mT @ centred + torch.eye(5), centred.mT @ (targets - targets.mean(dim=0))
    )
    assert relative_error(whole.weight[0], direct) < 1e-11
    assert relative_error(piecewise.solve([1.0]).weight, whole.weight) < 1e-12


@pytest.mark.parametrize("mean", [0.0, 1e4, 1e8])
def test_a_mean_large_beside_the_spread_costs_no_more_than_its_own_rounding(mean: float) -> None:
    features, targets = draw(2, n_sites=1, n_samples=1500, d=6, n_targets=2, mean=0.0)
    shift = mean * torch.tensor([1.0, -2.0, 0.5, 3.0, 1.0, -1.0], dtype=torch.float64)
    # What rounding leaves of the samples beside such a mean:
    features, targets = (features + shift) - shift, (targets + mean) - mean
    expected = fit(features, targets).solve([1e-3])
    shifted = fit(features + shift, targets + mean).solve([1e-3])
    # Raw moments would lose (mean / spread)^2 eps, all of it at 1e8.
    assert relative_error(shifted.weight, expected.weight) < 1e-12 + 2.2e-16 * mean


def test_samples_in_any_order_of_groups() -> None:
    features, targets = draw(3, n_sites=2, n_samples=60, d=4, n_targets=2)
    groups = torch.arange(60) % 3
    order = groups.argsort(stable=True)
    mixed = ReadoutFitter(2, 4, 2, n_groups=3).update(features, targets, groups)
    sorted_ = ReadoutFitter(2, 4, 2, n_groups=3).update(
        features[:, order], targets[order], groups[order]
    )
    assert torch.equal(mixed.statistics.cross_scatter, sorted_.statistics.cross_scatter)
    alone = fit(features[:, groups == 1], targets[groups == 1])
    only_one = mixed.statistics.select_groups([1])
    assert relative_error(only_one.feature_scatter, alone.statistics.feature_scatter) < 1e-13


@given(problems, st.integers(2, 5))
@settings(max_examples=20)
def test_resampling_groups_equals_repeating_their_samples(
    problem: dict[str, int], n_groups: int
) -> None:
    features, targets = draw(**{**problem, "n_samples": problem["n_samples"] + 40})
    groups = torch.arange(features.shape[1]) % n_groups
    fitter = fit(features, targets, n_groups=n_groups)
    generator = torch.Generator().manual_seed(problem["seed"])
    weights = torch.randint(0, 3, (4, n_groups), generator=generator).double()
    weights[:, 0] += 1
    ridge = torch.full((problem["n_sites"], problem["n_targets"]), 0.1, dtype=torch.float64)
    per_target = ridge * (1 + torch.arange(problem["n_targets"]))
    shared, by_target = fitter.resample(weights, ridge), fitter.resample(weights, per_target)
    for replicate, row in enumerate(weights):
        repeated = torch.repeat_interleave(torch.arange(len(groups)), row[groups].long())
        refit = fit(features[:, repeated], targets[repeated])
        assert relative_error(shared[replicate].weight, refit.solve([0.1])[0].weight) < 1e-9
        assert relative_error(shared[replicate].bias, refit.solve([0.1])[0].bias) < 1e-9
        last = refit.solve([0.1 * problem["n_targets"]])[0]
        assert relative_error(by_target[replicate].weight[..., -1], last.weight[..., -1]) < 1e-9


def test_resampling_with_ones_is_the_fit_itself() -> None:
    features, targets = draw(4, n_sites=2, n_samples=80, d=5, n_targets=3)
    fitter = fit(features, targets, n_groups=8)
    for ridge in (0.0, 1e-3):
        again = fitter.resample(torch.ones(1, 8, dtype=torch.float64), ridge)
        assert relative_error(again.weight, fitter.solve([ridge]).weight) < 1e-10


@given(problems)
@settings(max_examples=20)
def test_validation_error_from_statistics_equals_that_of_predictions(
    problem: dict[str, int],
) -> None:
    features, targets = draw(**problem)
    n_train = problem["n_samples"] // 2
    readouts = fit(features[:, :n_train], targets[:n_train]).solve(STRENGTHS)
    held_out = fit(features[:, n_train:], targets[n_train:], n_groups=3).statistics
    error = validation_error(readouts, held_out)
    predictions = readouts(features[:, n_train:])
    for variant in range(len(STRENGTHS)):
        for site in range(problem["n_sites"]):
            truth, guess = targets[n_train:].numpy(), predictions[variant, site].numpy()
            mse = mean_squared_error(truth, guess, multioutput="raw_values")
            r2 = r2_score(truth, guess, multioutput="raw_values")
            assert np.allclose(error.mse[variant, site], mse, rtol=1e-8, atol=1e-12)
            assert np.allclose(error.r2[variant, site], r2, rtol=1e-8, atol=1e-10)


def test_resampled_error_equals_the_error_on_repeated_samples() -> None:
    features, targets = draw(5, n_sites=2, n_samples=120, d=4, n_targets=3)
    readout = fit(features[:, :60], targets[:60]).solve([1.0])[0]
    held_out = fit(features[:, 60:], targets[60:], n_groups=6).statistics
    weights = torch.tensor([[1, 1, 1, 1, 1, 1], [0, 3, 1, 0, 0, 2]], dtype=torch.float64)
    error = resampled_error(readout, held_out, weights)
    for replicate, row in enumerate(weights):
        repeated = 60 + torch.repeat_interleave(torch.arange(60), row[torch.arange(60) % 6].long())
        expected = validation_error(
            readout, fit(features[:, repeated], targets[repeated]).statistics
        )
        assert torch.allclose(error.r2[replicate], expected.r2[0], rtol=1e-10)
        assert torch.allclose(error.mse[replicate], expected.mse[0], rtol=1e-10)


def test_selection_takes_the_strength_with_the_best_held_out_r2() -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(2, 400, 20, generator=generator, dtype=torch.float64)
    strong = features[0] @ torch.randn(20, 1, generator=generator, dtype=torch.float64)
    weak = 0.02 * strong + torch.randn(400, 1, generator=generator, dtype=torch.float64)
    targets = torch.cat([strong, weak], dim=1)
    fitter = fit(features[:, :40], targets[:40])
    held_out = fit(features[:, 40:], targets[40:]).statistics
    readouts = fitter.solve(STRENGTHS)
    r2 = validation_error(readouts, held_out).r2
    per_target = fitter.select(held_out, STRENGTHS, per_target=True)
    per_site = fitter.select(held_out, STRENGTHS)
    for site in range(2):
        assert per_site.ridge[site, 0] == STRENGTHS[int(r2[:, site].mean(dim=1).argmax())]
        for target in range(2):
            variant = int(r2[:, site, target].argmax())
            assert per_target.ridge[site, target] == STRENGTHS[variant]
            expected = readouts.weight[variant, site, :, target]
            assert torch.equal(per_target.weight[site, :, target], expected)
    assert per_target.ridge[0, 0] < per_target.ridge[0, 1]
    chosen = fitter.select(held_out).ridge[:, 0]
    assert all(chosen[s] in relative_strengths(fitter.statistics)[:, s] for s in range(2))


def test_strengths_may_differ_between_sites() -> None:
    features, targets = draw(6, n_sites=2, n_samples=50, d=4, n_targets=2)
    fitter = fit(features, targets)
    mixed = fitter.solve(torch.tensor([[0.1, 10.0]], dtype=torch.float64))
    apart = fitter.solve([0.1, 10.0])
    assert torch.equal(mixed.weight[0, 0], apart.weight[0, 0])
    assert torch.equal(mixed.weight[0, 1], apart.weight[1, 1])


@pytest.mark.parametrize("constant", [0.0, 0.1, 1e10, -1e300])
@pytest.mark.parametrize("strength", [0.0, 1e-8])
def test_constant_features_get_weight_zero_and_change_nothing(
    constant: float, strength: float
) -> None:
    features, targets = draw(7, n_sites=1, n_samples=3 * SAMPLES_PER_CHUNK, d=4, n_targets=2)
    with_constant = torch.cat([features, torch.full_like(features[..., :1], constant)], dim=2)
    expected = fit(features, targets).solve([strength])
    readouts = fit(with_constant, targets).solve([strength])
    assert (readouts.weight[0, 0, 4] == 0).all()
    assert relative_error(readouts.weight[0, 0, :4], expected.weight[0, 0]) < 1e-10
    grouped = fit(with_constant, targets, n_groups=7)
    assert (grouped.statistics.pooled().feature_scatter[0, 0, 4] == 0).all()
    weights = torch.rand(1, 7, dtype=torch.float64) + 0.5
    assert (grouped.statistics.resample(weights).feature_scatter[0, 0, 4] == 0).all()


def test_rank_deficient_features_give_the_minimum_norm_solution() -> None:
    features, targets = draw(8, n_sites=1, n_samples=5000, d=6, n_targets=2)
    mixing = torch.randn(6, 11, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    deficient = features @ mixing
    readouts = fit(deficient, targets).solve([0.0, 1e-9])
    centred = (deficient - deficient.mean(dim=1, keepdim=True))[0]
    minimum_norm = np.linalg.lstsq(centred.numpy(), (targets - targets.mean(dim=0)).numpy())[0]
    assert relative_error(readouts.weight[0, 0], minimum_norm) < 1e-8
    assert relative_error(readouts.weight[1, 0], minimum_norm) < 1e-8


def test_all_features_constant_predicts_the_mean() -> None:
    targets = torch.tensor([[1.0], [2.0], [6.0]], dtype=torch.float64)
    fitter = fit(torch.full((1, 3, 2), 5.0, dtype=torch.float64), targets)
    readout = fitter.select(fitter.statistics)
    assert torch.equal(readout.weight, torch.zeros_like(readout.weight))
    assert readout.bias.item() == 3.0


def test_constant_targets_score_one_if_met_and_zero_if_not() -> None:
    features, _ = draw(9, n_sites=1, n_samples=30, d=2, n_targets=1)
    readouts = fit(features, torch.full((30, 1), 4.0, dtype=torch.float64)).solve([1.0])
    held_out = [torch.full((5, 1), value, dtype=torch.float64) for value in (4.0, 4.5)]
    scores = [validation_error(readouts, fit(features[:, :5], t).statistics).r2 for t in held_out]
    assert [score.item() for score in scores] == [1.0, 0.0]


def test_targets_of_their_own_for_every_site() -> None:
    features, targets = draw(10, n_sites=3, n_samples=50, d=4, n_targets=2)
    own = torch.stack([targets, 2 * targets, targets.flip(0)])
    fitter = ReadoutFitter(3, 4, 2, n_groups=5, targets_per_site=True)
    fitter.update(features, own, torch.arange(50) % 5)
    readouts = fitter.solve([0.5])
    error = validation_error(readouts, fitter.statistics)
    replicate = fitter.resample(torch.ones(1, 5, dtype=torch.float64), 0.5)
    for site in range(3):
        single = fit(features[site : site + 1], own[site])
        expected = single.solve([0.5])
        assert relative_error(readouts.weight[0, site], expected.weight[0, 0]) < 1e-10
        assert relative_error(replicate.weight[0, site], expected.weight[0, 0]) < 1e-10
        assert relative_error(readouts.bias[0, site], expected.bias[0, 0]) < 1e-10
        r2 = validation_error(expected, single.statistics).r2
        assert relative_error(error.r2[0, site], r2[0, 0]) < 1e-10


def test_float32_activations_are_summed_in_float64() -> None:
    features, targets = draw(11, n_sites=1, n_samples=2000, d=5, n_targets=1, mean=100.0)
    single = features.float()
    ours = fit(single, targets).solve([1e-3]).weight
    assert relative_error(ours, fit(single.double(), targets).solve([1e-3]).weight) < 1e-13


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_non_finite_activations_name_site_and_sample_and_leave_no_trace(bad: float) -> None:
    features, targets = draw(12, n_sites=3, n_samples=40, d=4, n_targets=2)
    fitter = fit(features, targets)
    before = fitter.solve([1.0]).weight
    broken = features.clone()
    broken[2, 17, 3] = bad
    with pytest.raises(NonFiniteSampleError, match="site 2, sample 17") as caught:
        fitter.update(broken, targets)
    assert (caught.value.site, caught.value.sample) == (2, 17)
    broken_targets = targets.clone()
    broken_targets[31, 1] = bad
    with pytest.raises(NonFiniteSampleError, match="targets at sample 31"):
        fitter.update(features, broken_targets)
    assert torch.equal(fitter.solve([1.0]).weight, before)


def test_opposite_infinities_and_huge_float32_values_are_told_apart() -> None:
    features = torch.full((1, 4, 2), 3e38)
    fitter = ReadoutFitter(1, 2, 1).update(features, torch.zeros(4, 1))
    assert fitter.statistics.feature_mean[0, 0, 0] == features[0, 0, 0].double()
    features[0, 1, 0], features[0, 3, 1] = math.inf, -math.inf
    with pytest.raises(NonFiniteSampleError, match="sample 1"):
        fitter.update(features, torch.zeros(4, 1))


def test_predictions_keep_the_axes_between_site_and_feature() -> None:
    features, targets = draw(13, n_sites=2, n_samples=24, d=3, n_targets=5)
    readout = fit(features, targets).solve([1.0])[0]
    by_prompt = features.reshape(2, 6, 4, 3)
    predictions = readout(by_prompt)
    assert predictions.shape == (2, 6, 4, 5)
    assert torch.equal(predictions, readout(features).reshape(2, 6, 4, 5))
    one = readout.at(-1)
    assert torch.equal(one(by_prompt[1:])[0], predictions[1])
    assert readout.to(dtype=torch.float32)(by_prompt.float()).dtype == torch.float32


def test_the_short_entry_is_least_squares_over_every_axis_of_the_batch() -> None:
    features, targets = draw(17, n_sites=2, n_samples=24, d=3, n_targets=2)
    by_prompt = features.reshape(2, 6, 4, 3)
    readout = Readout.fit(by_prompt, targets.reshape(6, 4, 2))
    columns = torch.cat([features, torch.ones(2, 24, 1).double()], -1)
    for site in range(2):
        expected = np.linalg.lstsq(columns[site].numpy(), targets.numpy())[0]
        found = torch.cat([readout.weight[site], readout.bias[site : site + 1]])
        assert found.numpy() == pytest.approx(expected, rel=1e-9, abs=1e-12)
    one = Readout.fit(by_prompt, targets[:, 0].reshape(6, 4), ridge=2.0)
    streamed = fit(features, targets[:, :1]).solve([2.0])[0]
    assert all(torch.equal(value, vars(streamed)[name]) for name, value in vars(one).items())
    for wrong in (targets[:, 0], targets.reshape(6, 4, 2)[:, :3]):
        with pytest.raises(ValueError, match=r"targets must be \[6, 4\], or"):
            Readout.fit(by_prompt, wrong)


def test_tensors_restore_the_same_readout() -> None:
    features, targets = draw(14, n_sites=2, n_samples=24, d=3, n_targets=2)
    readout = Readout.fit(features, targets, ridge=1.0)
    assert torch.equal(Readout(**vars(readout))(features), readout(features))
    with pytest.raises((ValueError, TypeError), match="ridge"):  # a TypeError of the tests' shapes
        Readout(readout.weight, readout.bias, readout.ridge[:1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((torch.zeros(1, 5, 3), torch.zeros(5, 1)), r"features must be \[2 sites, sample, 3\]"),
        ((torch.zeros(2, 5, 3), torch.zeros(5, 2)), r"targets must be \[5, 1\], got \[5, 2\]"),
        ((torch.zeros(2, 5, 3), torch.zeros(5, 1)), "groups is needed: the statistics have 2"),
        (
            (torch.zeros(2, 5, 3), torch.zeros(5, 1), torch.tensor([0, 0, 1, 1, 2])),
            r"groups must be in 0..1, got 0..2",
        ),
    ],
)
def test_update_says_what_does_not_fit(arguments: tuple[Tensor, ...], message: str) -> None:
    fitter = ReadoutFitter(2, 3, 1, n_groups=2)
    with pytest.raises(ValueError, match=message):
        fitter.update(*arguments)


def test_other_bad_input_is_refused_in_words() -> None:
    features, targets = draw(15, n_sites=2, n_samples=24, d=3, n_targets=2)
    fitter = fit(features, targets, n_groups=2)
    with pytest.raises(ValueError, match="d_features must be at least 1, got 0"):
        ReadoutFitter(2, 0, 1)
    with pytest.raises(ValueError, match="no samples"):
        ReadoutFitter(2, 3, 1).solve([1.0])
    with pytest.raises(ValueError, match="no samples"):
        validation_error(fitter.solve([1.0]), ReadoutFitter(2, 3, 2).statistics)
    for strengths in ([-1.0], [math.nan], []):
        with pytest.raises(ValueError, match="ridge_strengths"):
            fitter.solve(strengths)
    with pytest.raises(ValueError, match="must agree"):
        fitter.merge(ReadoutFitter(2, 3, 1))
    with pytest.raises(ValueError, match="2 groups"):
        fitter.resample(torch.ones(1, 3, dtype=torch.float64), 1.0)
    with pytest.raises(ValueError, match="row 1 leaves no sample"):
        fitter.resample(torch.tensor([[1.0, 1.0], [0.0, 0.0]], dtype=torch.float64), 1.0)
    with pytest.raises(ValueError, match="the read-out is for"):
        validation_error(fitter.solve([1.0]), ReadoutFitter(2, 3, 1).update(
            features, targets[:, :1]).statistics)  # fmt: skip
    with pytest.raises(ValueError, match=r"activations must be \[2 sites"):
        fitter.solve([1.0])[0](features[:1])


@pytest.mark.parametrize("ridge", [torch.ones(3, 2), torch.ones(2, 1), -1.0, math.inf])
def test_resampling_refuses_a_ridge_that_does_not_fit(ridge: float | Tensor) -> None:
    features, targets = draw(18, n_sites=2, n_samples=24, d=3, n_targets=2)
    with pytest.raises(ValueError, match="ridge must be"):
        fit(features, targets).resample(torch.ones(1, 1, dtype=torch.float64), ridge)


def test_memory_does_not_grow_with_the_samples() -> None:
    """Python's and NumPy's allocations are traced; torch's are seen in what the fitter holds."""
    features, targets = draw(16, n_sites=2, n_samples=500, d=6, n_targets=2)

    def held(n_updates: int) -> tuple[int, int]:
        tracemalloc.start()
        fitter = ReadoutFitter(2, 6, 2)
        for _ in range(n_updates):
            fitter.update(features, targets)
        traced = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        tensors = vars(fitter.statistics).values()
        return traced, sum(tensor.untyped_storage().nbytes() for tensor in tensors)

    held(1)
    (few_traced, few), (many_traced, many) = held(2), held(60)
    assert many == few
    assert many_traced < few_traced + 50_000
