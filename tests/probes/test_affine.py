"""An affine map from one prediction to another, against scikit-learn's."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression

from probes.affine import affine_fit, affine_r2


def normal(seed: int, *shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.float64, generator=generator)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.floats(-3, 3), st.floats(1e-3, 1e3))
def test_fit_and_share_are_those_of_a_linear_regression(seed, slope, noise):
    predictions = normal(seed, 3, 20, 4)
    targets = slope * predictions[:2] + noise * normal(seed + 1, 2, 20, 4) + 5
    r2 = affine_r2(predictions, targets)
    assert r2.shape == (2, 3)
    for layer, target in enumerate(targets):
        for step, prediction in enumerate(predictions):
            x, y = prediction.reshape(-1, 1).numpy(), target.flatten().numpy()
            oracle = LinearRegression().fit(x, y)
            assert r2[layer, step].item() == pytest.approx(oracle.score(x, y), abs=1e-12)
            fitted = affine_fit(prediction[None], target[None]).flatten().numpy()
            assert fitted == pytest.approx(oracle.predict(x), rel=1e-9, abs=1e-9 * noise)


def test_what_never_varies_explains_nothing_and_is_explained_by_nothing():
    constant, varying = torch.full((1, 5, 3), 0.1, dtype=torch.float64), normal(0, 1, 5, 3)
    assert affine_r2(constant, varying).item() == 0
    assert affine_r2(varying, constant).item() == 0
    assert affine_fit(constant, varying).allclose(varying.mean())


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_stays_so(value):
    broken, whole = normal(0, 1, 5, 3), normal(1, 1, 5, 3)
    broken[0, 2, 1] = value
    assert affine_r2(broken, whole).isnan().all()
    assert affine_r2(whole, broken).isnan().all()
    assert affine_fit(broken, whole).isnan().all()
    assert not affine_fit(whole, broken).isfinite().any()
