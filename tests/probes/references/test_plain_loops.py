"""Spectral references are the iterations they are named after."""

from __future__ import annotations

import warnings

import numpy as np
import plain_loops as loops
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from probes.references import (
    GD,
    Chebyshev,
    DivergenceWarning,
    GDPlusPlus,
    HeavyBall,
    Nesterov,
    Newton,
    NewtonSchulz,
    PreconditionedGD,
    Prefixes,
    Reference,
    Ridge,
)

PAIRS: list[tuple[Reference, loops.Loop]] = [
    (GD(0.01), loops.gd(0.01)),
    (GD("inverse_largest"), loops.gd("inverse_largest")),
    (GD("optimal"), loops.gd("optimal")),
    (Newton(), loops.newton("frobenius")),
    (Newton(alpha=1e-4), loops.newton(1e-4)),
    (Newton(ridge=0.3), loops.newton("frobenius", 0.3)),
    (NewtonSchulz(), loops.newton("frobenius", order=3)),
    (NewtonSchulz(ridge=0.5, order=5), loops.newton("frobenius", 0.5, 5)),
    (HeavyBall(), loops.heavy_ball(None, None)),
    (HeavyBall(eta=0.01, beta=0.9), loops.heavy_ball(0.01, 0.9)),
    (HeavyBall(eta=0.01, beta=0.0), loops.heavy_ball(0.01, 0.0)),
    (HeavyBall(eta=0.01, beta="optimal"), loops.heavy_ball(0.01, None)),
    (Nesterov(), loops.nesterov(None, None)),
    (Nesterov(eta=0.015, beta=0.8), loops.nesterov(0.015, 0.8)),
    (Nesterov(beta="convex"), loops.nesterov(None, "convex")),
    (Chebyshev(), loops.chebyshev(None)),
    (Chebyshev(0.5, 8.0), loops.chebyshev((0.5, 8.0))),
    (PreconditionedGD(), loops.preconditioned_gd(1.0, 1.0)),
    (PreconditionedGD(eta=1.7, damping=0.2), loops.preconditioned_gd(1.7, 0.2)),
]

STEPS = [0, 1, 2, 3, 7, 12]


@st.composite
def prompts(draw) -> tuple[torch.Tensor, torch.Tensor]:
    """Noisy prompts of any small shape; some examples repeated or zero."""
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    n_prompts, n_points, n_dims = draw(st.tuples(*[st.integers(1, n) for n in (2, 7, 5)]))
    xs = torch.randn(n_prompts, n_points, n_dims, dtype=torch.float64, generator=generator)
    ys = torch.randn(n_prompts, n_points, dtype=torch.float64, generator=generator)
    for t in range(1, n_points):
        kind = draw(st.sampled_from(["new", "new", "new", "repeated", "zero"]))
        if kind == "repeated":
            xs[:, t] = xs[:, t - 1]
        elif kind == "zero":
            xs[:, t] = 0
    return xs, ys


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair[0].name)
@settings(max_examples=8)
@given(drawn=prompts())
def test_equal_to_the_plain_loop(pair, drawn) -> None:
    reference, loop = pair
    xs, ys = drawn
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DivergenceWarning)
        weights = reference.weights(Prefixes(xs, ys), STEPS).numpy()
    assert not weights[:, :, 0].any()
    for prompt in range(xs.shape[0]):
        for t in range(1, xs.shape[1]):
            x, y = xs[prompt, :t].numpy(), ys[prompt, :t].numpy()
            if not x.any():
                assert not weights[:, prompt, t].any()
                continue
            for values, step in zip(weights[:, prompt, t], STEPS, strict=True):
                expected = loop(x, y, step)
                scale = max(1.0, np.abs(expected).max(), np.abs(np.linalg.pinv(x) @ y).max())
                assert np.abs(values - expected).max() < 1e-8 * scale


@pytest.mark.parametrize(
    ("eta", "gamma"), [("inverse_largest", "monotone"), (0.01, 0.004), (0.01, 0.0)]
)
@settings(max_examples=8)
@given(drawn=prompts())
def test_gdpp_equals_the_transformed_tokens(eta, gamma, drawn) -> None:
    xs, ys = drawn
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DivergenceWarning)
        predicted = GDPlusPlus(eta, gamma).predictions(Prefixes(xs, ys), STEPS).numpy()
    for prompt in range(xs.shape[0]):
        for t in range(1, xs.shape[1]):
            x, y, query = xs[prompt, :t].numpy(), ys[prompt, :t].numpy(), xs[prompt, t].numpy()
            if not x.any():
                continue
            scale = max(1.0, np.abs(np.linalg.pinv(x) @ y).max())
            for values, step in zip(predicted[:, prompt, t], STEPS, strict=True):
                expected = loops.gdpp_prediction(x, y, query, step, eta, gamma)
                assert abs(values - expected) < 1e-8 * max(scale, abs(expected))


def test_gdpp_without_contraction_is_gd() -> None:
    prefixes = gaussian_prefixes()
    gd = GD(0.01).predictions(prefixes, STEPS)
    torch.testing.assert_close(GDPlusPlus(0.01, 0.0).predictions(prefixes, STEPS), gd)


def test_gdpp_needs_logarithmically_many_steps_in_the_condition_number() -> None:
    """What makes it second order: three decades of kappa cost a constant number of steps each."""
    needed = []
    for kappa in (1e2, 1e5, 1e8):
        xs = torch.diag(torch.tensor([1.0, kappa**-0.5], dtype=torch.float64))
        xs = torch.cat([xs, torch.ones(1, 2, dtype=torch.float64)])[None]
        prefixes = Prefixes(xs, xs.sum(-1))
        errors = (GDPlusPlus().predictions(prefixes, range(80))[:, 0, 2] - 2).abs()
        needed.append(int((errors < 1e-6).nonzero()[0]))
    increments = np.diff(needed)
    assert increments[0] > 3
    assert abs(increments[1] - increments[0]) <= 1


@pytest.mark.parametrize(
    "make",
    [
        lambda size: GD(2 * size),
        lambda size: HeavyBall(eta=2 * 1.5 * size, beta=0.5),
        lambda size: Nesterov(eta=2 * 1.5 / 2 * size, beta=0.5),
        lambda size: Newton(alpha=2 * size**2),
        lambda size: GDPlusPlus(eta=2 * size, gamma=0.0),
    ],
    ids=["gd", "heavy-ball", "nesterov", "newton", "gd++"],
)
def test_divergence_is_named_on_the_right_side_of_its_boundary(make) -> None:
    prefixes = gaussian_prefixes()
    inverse_largest = 1 / float(prefixes.eigenvalues.max())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        list(make(inverse_largest * 0.99).stream_predictions(prefixes, [3]))
    reference = make(inverse_largest * 1.01)
    with pytest.warns(DivergenceWarning, match=r"diverges on \d+ of 32 prefixes") as caught:
        predicted = reference.predictions(
            prefixes, [10, 2_000 if "newton" not in reference.name else 40]
        )
    assert reference.name in str(caught[0].message)
    assert predicted[1].abs().max() > 1e3 * predicted[0].abs().max()


def test_diverging_values_are_those_of_the_loop() -> None:
    prefixes = gaussian_prefixes()
    eta = 3 / float(prefixes.eigenvalues.max())
    with pytest.warns(DivergenceWarning):
        weights = GD(eta).weights(prefixes, [25])
    x, y = prefixes.xs[0, :7].numpy(), prefixes.ys[0, :7].numpy()
    np.testing.assert_allclose(weights[0, 0, 7], loops.gd(eta)(x, y, 25), rtol=1e-9)


def test_overflow_is_infinite_or_nan_and_leaves_other_prompts_alone() -> None:
    xs = torch.stack([torch.eye(3), 0.1 * torch.eye(3)]).to(torch.float64)
    ys = torch.ones(2, 3, dtype=torch.float64)
    ys[0, 1] = 0  # point 2 sees a growing direction and one that y has no part in
    with pytest.warns(DivergenceWarning, match="on 2 of 6"):
        weights = GD(3.0).weights(Prefixes(xs, ys), [10_000])[0]
    with pytest.warns(DivergenceWarning):
        predictions = GD(3.0).predictions(Prefixes(xs, ys), [10_000])[0]
    assert weights[0, 2, 0].isinf()
    assert predictions[0, 2] == 0
    assert weights[1].isfinite().all()


@pytest.mark.parametrize("order", [2, 3, 4])
def test_largest_direction_under_the_alpha_of_the_paper(order: int) -> None:
    """Alpha l^2 = 2: twice the solution at step 0; then never learnt, or stuck for odd orders."""
    xs = torch.tensor([[[2.0, 0.0], [0.0, 1.0], [1.0, 1.0]]], dtype=torch.float64)
    ys = torch.tensor([[2.0, 1.0, 0.0]], dtype=torch.float64)
    weights = NewtonSchulz("spectral", order=order).weights(Prefixes(xs, ys), range(9))[:, 0, 2]
    assert weights[0, 0] == 2
    assert (weights[1:, 0] == (2 if order % 2 else 0)).all()
    assert abs(weights[-1, 1] - 1) < 1e-6


@pytest.mark.parametrize("reference", [GD(0.3), Newton("spectral"), Newton(), Chebyshev(0.5, 4.0)])
def test_real_steps_continue_the_whole_ones(reference: Reference) -> None:
    """Continuous everywhere: no jump next to a whole step although factors are negative."""
    prefixes = gaussian_prefixes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DivergenceWarning)
        for whole in (0, 1, 2, 3):
            near = [max(0.0, whole - 1e-7), whole, whole + 1e-7]
            below, at, above = reference.predictions(prefixes, near)
            scale = at.abs().max() + 1
            assert (below - at).abs().max() < 1e-3 * scale
            assert (above - at).abs().max() < 1e-3 * scale


def test_half_a_step_of_gd_composes_to_a_whole_one() -> None:
    """Where 0 < eta l < 1, the residual factor of two half steps is that of one."""
    xs = torch.tensor([[[0.5], [1.0]]], dtype=torch.float64)
    half, whole = GD(1.0).weights(Prefixes(xs, torch.ones(1, 2)), [0.5, 1])[:, 0, 1, 0] / 2
    assert abs((1 - half) ** 2 - (1 - whole)) < 1e-15


def test_one_step_of_preconditioned_gd_is_ridge() -> None:
    prefixes = gaussian_prefixes()
    step = PreconditionedGD(damping=0.7).predictions(prefixes, [1])
    torch.testing.assert_close(step, Ridge(0.7).predictions(prefixes))


def gaussian_prefixes() -> Prefixes:
    generator = torch.Generator().manual_seed(3)
    xs = torch.randn(4, 8, 3, dtype=torch.float64, generator=generator)
    return Prefixes(xs, torch.randn(4, 8, dtype=torch.float64, generator=generator))
