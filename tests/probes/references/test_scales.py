"""Prompts of any scale: refused, right, or said to diverge."""

from __future__ import annotations

import warnings

import pytest
import torch

from probes.references import (
    REFERENCES,
    Averaging,
    DivergenceWarning,
    OnlineGD,
    PreconditionedGD,
    Prefixes,
    Reference,
    build_reference,
)

NAMES = sorted(set(REFERENCES) - {"dmmse"})
INVARIANT = {
    "newton", "newton-spectral", "newton-identity", "newton-schulz", "gd-adaptive", "gd-optimal",
    "heavy-ball", "nesterov", "chebyshev", "gd++", "cg", "ols", "ogd", "knn", "bayes",
}  # fmt: skip
"""Those whose predictions scale with y and do not change with the unit of x."""
STEPS = (0, 1, 2, 5)


def prompts() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    xs = torch.randn(3, 8, 4, generator=generator, dtype=torch.float64)
    return xs, (xs * torch.randn(3, 1, 4, generator=generator, dtype=torch.float64)).sum(-1)


def predicted(reference: Reference, x_scale: float, y_scale: float) -> tuple[torch.Tensor, bool]:
    """Predictions in units of y, and whether they were said to diverge."""
    xs, ys = prompts()
    prefixes = Prefixes(xs * x_scale, ys * y_scale)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = reference.predictions(prefixes, STEPS if reference.is_iterative else None)
    return found / y_scale, any(item.category is DivergenceWarning for item in caught)


@pytest.mark.parametrize("scale", [1e-310, 1e-170, 1e-60, 1e60, 1e160, 1e300])
def test_an_example_out_of_range_is_refused(scale: float) -> None:
    xs, ys = prompts()
    one = xs.clone()
    one[1, 2] *= scale
    for changed in (xs * scale, one):
        with pytest.raises(ValueError, match=r"has an x of size .* rescale"):
            Prefixes(changed, ys)
    with pytest.raises(ValueError, match=r"has a largest \|y\| of size .* rescale"):
        Prefixes(xs, ys * scale)


@pytest.mark.parametrize("name", NAMES)
def test_within_the_range_a_scale_is_right_or_said_to_diverge(name: str) -> None:
    reference = build_reference(name)
    expected, _ = predicted(reference, 1, 1)
    for x_scale, y_scale in ((1e-39, 1), (1e-39, 1e-39), (1e39, 1), (1e39, 1e39), (1, 1e-39)):
        found, is_diverging = predicted(reference, x_scale, y_scale)
        assert is_diverging or found.isfinite().all()
        if name in INVARIANT:
            torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(
    ("reference", "x_scale", "y_scale"),
    [
        (OnlineGD(eta=0.01), 1e20, 1),
        (OnlineGD(eta=0.01), 1e39, 1),
        (Averaging(), 1e39, 1e39),
        (PreconditionedGD(eta=2.5, damping=1e-3), 1, 1),
    ],
)
def test_a_divergence_is_said(reference: Reference, x_scale: float, y_scale: float) -> None:
    assert predicted(reference, x_scale, y_scale)[1]
    assert not predicted(OnlineGD(), x_scale, y_scale)[1]
