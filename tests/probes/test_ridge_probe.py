from __future__ import annotations

from collections.abc import Callable, Iterator

import jaxtyping
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from probes.ridge import RELATIVE_STRENGTHS
from probes.ridge_probe import RidgeProbe

Array = NDArray[np.float64]


def draw(
    seed: int, n_samples: int = 200, d: int = 8, n_targets: int = 3, noise: float = 1.0
) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n_samples, d)) @ rng.normal(size=(d, d)) + 5
    targets = features @ rng.normal(size=(d, n_targets))
    return features, targets + noise * rng.normal(size=targets.shape) * targets.std()


@pytest.fixture
def unchecked_types() -> Iterator[None]:
    """Lets wrong types through to the estimator, which scikit-learn's checks hand it on purpose."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.mark.usefixtures("unchecked_types")
@parametrize_with_checks([RidgeProbe(), RidgeProbe(alpha=1.0)])
def test_scikit_learn_accepts_the_estimator(
    estimator: RidgeProbe, check: Callable[[RidgeProbe], None]
) -> None:
    check(estimator)


@given(st.integers(0, 1000), st.sampled_from([0.0, 1e-3, 1.0, 1e3]))
@settings(max_examples=15)
def test_a_given_alpha_is_scikit_learns_ridge(seed: int, alpha: float) -> None:
    features, targets = draw(seed)
    ours = RidgeProbe(alpha=alpha).fit(features, targets)
    oracle = Ridge(alpha=alpha, solver="svd").fit(features, targets)
    assert ours.alpha_ == alpha
    np.testing.assert_allclose(ours.coef_, oracle.coef_, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(ours.intercept_, oracle.intercept_, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(ours.score(features, targets), oracle.score(features, targets))


def test_one_column_of_targets_gives_flat_coefficients() -> None:
    features, targets = draw(0)
    flat = RidgeProbe(alpha=1.0).fit(features, targets[:, 0])
    column = RidgeProbe(alpha=1.0).fit(features, targets[:, :1])
    assert flat.coef_.shape == (8,)
    assert column.coef_.shape == (1, 8)
    assert isinstance(flat.intercept_, float)
    assert flat.predict(features).shape == (200,)
    np.testing.assert_array_equal(flat.predict(features), column.predict(features)[:, 0])


def test_the_chosen_alpha_wins_on_the_samples_held_out() -> None:
    features, targets = draw(1, n_samples=60, d=40, noise=2.0)
    labels = np.arange(60)
    probe = RidgeProbe(held_out_fraction=0.4, random_state=3).fit(features, targets)
    order = np.random.RandomState(3).permutation(60)
    held_out = np.isin(labels, order[:24])
    training = features[~held_out]
    unit = np.trace(np.cov(training.T, bias=True)) * len(training) / 40
    scores = [
        Ridge(alpha=relative * unit, solver="svd")
        .fit(training, targets[~held_out])
        .score(features[held_out], targets[held_out])
        for relative in RELATIVE_STRENGTHS
    ]
    np.testing.assert_allclose(probe.held_out_r2_, scores, rtol=1e-6)
    unit_all = np.trace(np.cov(features.T, bias=True)) * 60 / 40
    best = RELATIVE_STRENGTHS[int(np.argmax(scores))]
    assert best > RELATIVE_STRENGTHS[0]
    np.testing.assert_allclose(probe.alpha_, best * unit_all)
    refit = Ridge(alpha=best * unit_all, solver="svd").fit(features, targets)
    np.testing.assert_allclose(probe.coef_, refit.coef_, rtol=1e-7, atol=1e-9)


def test_groups_are_never_split() -> None:
    """Each group's target is its own; only an unsplit hold-out shows that nothing generalises."""
    rng = np.random.default_rng(0)
    n_groups, per_group = 40, 25
    groups = np.repeat(np.arange(n_groups), per_group)
    features = np.eye(n_groups)[groups] + 0.01 * rng.normal(size=(n_groups * per_group, n_groups))
    targets = rng.normal(size=n_groups)[groups]
    split = RidgeProbe().fit(features, targets)
    unsplit = RidgeProbe().fit(features, targets, groups=[f"prompt {group}" for group in groups])
    assert split.held_out_r2_.max() > 0.9
    assert unsplit.held_out_r2_.max() < 0.3


@pytest.mark.parametrize("fraction", [0.01, 0.99])
def test_some_groups_are_held_out_and_some_are_not(fraction: float) -> None:
    rng = np.random.default_rng(1)
    features, groups = rng.normal(size=(30, 2)), np.repeat([0, 1, 2], 10)
    probe = RidgeProbe(held_out_fraction=fraction).fit(features, features[:, 0], groups=groups)
    assert probe.held_out_r2_.max() > 0.99
    np.testing.assert_allclose(probe.coef_, [1, 0], atol=1e-6)


def test_it_lives_in_pipelines_and_clones() -> None:
    features, targets = draw(2)
    pipeline = make_pipeline(StandardScaler(), clone(RidgeProbe(random_state=1)))
    assert cross_val_score(pipeline, features, targets, cv=3).min() > 0.2


def test_bad_parameters_are_refused_in_words() -> None:
    features, targets = draw(3)
    with pytest.raises(ValueError, match="held_out_fraction must be between 0 and 1"):
        RidgeProbe(held_out_fraction=1.5).fit(features, targets)
    with pytest.raises(ValueError, match="ridge_strengths must be finite and at least 0"):
        RidgeProbe(alpha=-1.0).fit(features, targets)
    with pytest.raises(ValueError, match="number of groups = 1"):
        RidgeProbe().fit(features, targets, groups=np.zeros(200))
