"""Shares of functions whose parts are known, and filters that are known."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from probes.anatomy import (
    KEPT,
    PARTS,
    FilterBasis,
    LayerSums,
    Shares,
    draw_variants,
    exponent,
    kept_parts,
    resolved_eigenvalue,
)
from probes.references import Prefixes
from probes.uncertainty import bootstrap_weights

D, T, PENALTY, N_GROUPS = 3, 6, 2.0, 64
Part = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


def draw(n: int, seed: int) -> tuple[Tensor, Tensor]:
    """Changed prompts; y is linear in x."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    xs = normal(n, T + 1, D)
    ys, fresh = (torch.einsum("ptd,pd->pt", xs, normal(n, D)) for _ in range(2))
    return draw_variants(xs, ys, fresh, normal(n, D), generator)


def ridge(xs: Tensor, ys: Tensor) -> tuple[Tensor, Tensor]:
    """Predictions of ridge regression, and their variance over weights."""
    pairs, query = xs[..., :-1, :], xs[..., -1, :]
    gram = pairs.mT @ pairs
    penalised = gram + PENALTY * torch.eye(D, dtype=torch.float64)
    filtered = torch.linalg.solve(penalised, query)
    moment = torch.einsum("...td,...t->...d", pairs, ys[..., :-1])
    variance = torch.einsum("...d,...de,...e->...", filtered, gram @ gram, filtered)
    return (filtered * moment).sum(-1), variance


def order(xs: Tensor, ys: Tensor, said: Tensor, variance: Tensor) -> Tensor:
    del said, variance
    first, second = (ys[..., i] * (xs[..., i, :] * xs[..., -1, :]).sum(-1) for i in (0, 1))
    return 0.1 * (first - second)


def direction(xs: Tensor, ys: Tensor, said: Tensor, variance: Tensor) -> Tensor:
    del said, variance
    products = torch.einsum("...td,...t->...d", xs[..., :-1, :], ys[..., :-1]) * xs[..., -1, :]
    return 0.1 * (products[..., 0] - products.mean(-1))


def y_nonlinear(xs: Tensor, ys: Tensor, said: Tensor, variance: Tensor) -> Tensor:
    """Of degree 3 in y alone (Hermite)."""
    del xs, ys
    return 0.2 * (said**3 - 3 * variance * said) / variance


def query_nonlinear(xs: Tensor, ys: Tensor, said: Tensor, variance: Tensor) -> Tensor:
    """Of degree 3 in the query alone."""
    del ys, variance
    return 0.2 * said * (xs[..., -1, :].square().sum(-1) - (D + 2))


def solve(seed: int, n: int, *parts: Part) -> tuple[Shares, Tensor, FilterBasis]:
    """The shares of ridge regression plus some parts, and these parts' true energies."""
    xs, ys = draw(n, seed)
    said, variance = ridge(xs, ys)
    extra = [part(xs, ys, said, variance) for part in parts]
    function = sum(extra, said)
    prefixes = Prefixes(xs[0], ys[0]).at_points([T])
    eigenvalues = prefixes.eigenvalues[:, 0]
    basis = FilterBasis.of(eigenvalues)
    sums = LayerSums(basis, 1, 2, N_GROUPS)
    sums.update(
        0,
        ys[0, :, -1].unflatten(0, (N_GROUPS, -1)),
        function[:1].unflatten(1, (N_GROUPS, -1)),
        basis.features(eigenvalues, prefixes.terms[:, 0]).unflatten(0, (N_GROUPS, -1)),
        torch.stack([0 * said[0], said[0]]).unflatten(1, (N_GROUPS, -1)),
        kept_parts(function.T)[None].unflatten(1, (N_GROUPS, -1)),
    )
    shares = Shares.of(sums, [2], [True], bootstrap_weights(N_GROUPS, 300, seed))
    energies = torch.tensor([part[0].square().mean().item() for part in extra]).double()
    return shares, energies / function[0].square().mean(), basis


def test_a_filter_is_kept_whole_by_every_change() -> None:
    xs, ys = draw(50, 0)
    said = ridge(xs, ys)[0]
    kept = kept_parts(said.T)
    assert kept.shape == (50, len(KEPT))
    torch.testing.assert_close(kept, said[0][:, None].expand_as(kept))


def test_changed_prompts_are_distributed_as_the_given_ones() -> None:
    xs, ys = draw(20_000, 0)
    scale = ys[0].square().mean()
    for changed_xs, changed_ys in zip(xs, ys, strict=True):
        covariance = torch.einsum("pti,ptj->tij", changed_xs, changed_xs) / len(changed_xs)
        torch.testing.assert_close(
            covariance, torch.eye(D, dtype=torch.float64).expand(T + 1, D, D), atol=0.05, rtol=0
        )
        assert changed_ys[:, :-1].square().mean().item() == pytest.approx(scale.item(), rel=0.03)


@pytest.mark.parametrize("part", [order, direction, y_nonlinear, query_nonlinear])
def test_a_known_part_is_found_whole_and_nothing_else(part: Part) -> None:
    shares, truth, _ = solve(1, 8192, part)
    value, low, high = (one[0] for one in shares.share)
    assert value.sum().item() == pytest.approx(1, abs=1e-9)
    expected = torch.zeros(len(PARTS), dtype=torch.float64)
    expected[PARTS.index(part.__name__)] = truth.item()
    expected[PARTS.index("reference")] = 1 - truth.item()
    assert truth > 0.02
    assert ((value - expected).abs() <= (high - low) + 1e-9).all(), (value, expected)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    held = 0
    for seed in range(30):
        shares, truth, _ = solve(seed, 1024, order)
        low, high = (bound[0, PARTS.index("order")] for bound in shares.share[1:])
        held += int(low <= truth.item() <= high)
    assert held >= 24  # of 30 at 95 %: fewer in 1 of 5,000 cases


def test_the_filter_of_ridge_regression_is_measured() -> None:
    shares, _, basis = solve(2, 4096)
    expected = basis.knots / (basis.knots + PENALTY)
    # Below the second knot the curve bends most, and g is drawn as a straight line.
    torch.testing.assert_close(shares.filters.value[0, 1:], expected[1:], atol=0.02, rtol=0)
    assert resolved_eigenvalue(basis, expected).item() == pytest.approx(PENALTY, rel=0.05)
    low, high = shares.interval_of(lambda g: resolved_eigenvalue(basis, g))[1:]
    assert 0.9 * PENALTY < low.item() <= high.item() < 1.1 * PENALTY
    assert shares.reference_step.item() == 1
    torch.testing.assert_close(shares.reference_filters[0, 0], shares.filters.value[0])


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_exponents_and_crossings_of_powers(power: float) -> None:
    basis = FilterBasis(torch.logspace(-2, 2, 25, dtype=torch.float64))
    filters = (basis.knots / 10) ** power / 2
    assert exponent(basis, filters).item() == pytest.approx(power)
    assert resolved_eigenvalue(basis, filters).item() == pytest.approx(10, rel=0.01)
    assert resolved_eigenvalue(basis, 0.1 * torch.ones(25).double()).item() == torch.inf
    assert exponent(basis, torch.ones(25).double()).isnan()


def test_hat_functions_add_up_and_vanish_at_zero() -> None:
    basis = FilterBasis(torch.tensor([1.0, 2.0, 8.0], dtype=torch.float64))
    values = basis(torch.tensor([0.0, 0.5, 1.0, 4.0, 100.0], dtype=torch.float64))
    assert values.sum(-1).tolist() == pytest.approx([0, 0.5, 1, 1, 1])
    assert values[3].tolist() == pytest.approx([0, 0.5, 0.5])
    with pytest.raises(ValueError, match="two values above 0"):
        FilterBasis.of(torch.zeros(4))
