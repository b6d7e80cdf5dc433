"""Krylov references, and quasi-Newton ones with an exact line search, which are the same."""

from __future__ import annotations

import exact_iterations as exact
import pytest
import torch
from prompts import D, hard_prompts

from probes.references import BFGS, LBFGS, OLS, ConjugateGradient, Prefixes


@pytest.mark.parametrize("case", ["gaussian", "duplicates and zeros", "tall, kappa 1e6"])
def test_exact_line_search_makes_bfgs_conjugate_gradients(case: str) -> None:
    """The theorem, on BFGS's own update of the inverse Hessian in exact arithmetic."""
    xs, ys = hard_prompts(case)
    for reference in (BFGS("exact"), LBFGS(line_search="exact"), LBFGS(2, "exact")):
        predicted = reference.predictions(Prefixes(xs, ys), range(6))
        for step, values in enumerate(predicted):
            iteration = exact.bfgs_with_exact_line_search(step)
            for point in (2, D, xs.shape[1] - 1):
                assert exact.relative_error(values, xs, ys, point, iteration) < 1e-8


def test_conjugate_gradients_need_as_many_steps_as_the_rank() -> None:
    generator = torch.Generator().manual_seed(2)
    xs = torch.randn(3, 12, 6, dtype=torch.float64, generator=generator)
    xs[:, 2] = 2 * xs[:, 0]
    prefixes = Prefixes(xs, torch.randn(3, 12, dtype=torch.float64, generator=generator))
    ols = OLS().predictions(prefixes)[0]
    predicted = ConjugateGradient().predictions(prefixes, range(8))
    for step, values in enumerate(predicted):
        reached = prefixes.rank <= step
        assert ((values - ols).abs()[reached] < 1e-9).all()
        assert ((values - ols).abs()[~reached] > 1e-9).all()


@pytest.mark.parametrize("reference", [ConjugateGradient(), BFGS(), LBFGS(), LBFGS(3)])
@pytest.mark.parametrize("case", ["gaussian", "duplicates and zeros", "rank 1"])
def test_many_steps_reach_ols_and_stay(reference, case: str) -> None:
    xs, ys = hard_prompts(case)
    prefixes = Prefixes(xs, ys)
    ols = OLS().predictions(prefixes)[0]
    for values in reference.predictions(prefixes, [70, 90]):
        assert (values - ols).abs().max() < 1e-9


@pytest.mark.parametrize("reference", [ConjugateGradient(), BFGS("exact"), LBFGS(4, "exact")])
def test_error_falls_as_chebyshev_bounds_it(reference) -> None:
    """2 ((sqrt(kappa) - 1) / (sqrt(kappa) + 1))^k in the norm of S."""
    xs, ys = hard_prompts("tall, kappa 1e2")
    prefixes = Prefixes(xs, ys)
    values = prefixes.eigenvalues[:, -1]
    root = (values[:, 0] / values[:, -1]).sqrt()
    solution = OLS().weights(prefixes)[0, :, -1]
    examples = xs[:, :-1]

    def norm(weights: torch.Tensor) -> torch.Tensor:
        return (examples @ weights[..., None])[..., 0].norm(dim=-1)

    for step, weights in reference.stream_weights(prefixes, range(4)):
        bound = 2 * ((root - 1) / (root + 1)) ** step * norm(solution)
        assert (norm(weights[:, -1] - solution) <= bound).all()
