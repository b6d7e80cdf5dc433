"""Results about algorithms alone, against plain loops in NumPy and SciPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from interp.studies.paper.figures.forgetting import forgetting
from interp.studies.paper.figures.networks import network_gd
from interp.studies.paper.figures.zero_predictor import score_zero_and_ols
from interp.studies.paper.models import PaperModels, match_official
from interp.studies.paper.paper_setup import (
    Settings,
    official_eta,
    paper_prefixes,
    translated_steps,
)
from interp.studies.paper.reproduction import RowResult, reproduce
from interp.studies.paper.rows import find_rows
from interp.tasks import LinearRegression, TwoLayerNetwork
from probes.matching import StepGrid
from probes.references import GD, Newton, Prefixes

SETTINGS = Settings(n_prompts=32)


@pytest.fixture(scope="module")
def few() -> Prefixes:
    [prompts] = LinearRegression(n_dims=3, n_points=7).stream(32, seed=5)
    return Prefixes(prompts.xs, prompts.ys)


def newton_predictions(xs: np.ndarray, ys: np.ndarray, n_steps: int) -> np.ndarray:
    """Of one prompt, by the iteration itself: M <- 2 M - M S M."""
    said = np.zeros(len(ys))
    for t in range(1, len(ys)):
        gram = xs[:t].T @ xs[:t]
        inverse = gram / np.linalg.norm(gram @ gram.T)
        for _ in range(n_steps):
            inverse = 2 * inverse - inverse @ gram @ inverse
        said[t] = xs[t] @ inverse @ xs[:t].T @ ys[:t]
    return said


def mean_cosine(a: np.ndarray, b: np.ndarray) -> float:
    """Mean over prompts of the cosine of residual vectors."""
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return float(((a * b).sum(1) / norms).mean())


@pytest.mark.parametrize("n_steps", [1, 4, 9])
def test_what_saying_0_scores_against_newton(few: Prefixes, n_steps: int):
    xs, ys = few.xs.numpy(), few.ys.numpy()
    said = np.stack([newton_predictions(x, y, n_steps) for x, y in zip(xs, ys, strict=True)])
    expected = mean_cosine(-ys, said - ys)
    found = score_zero_and_ols("newton", few)
    step = found.grid.steps.index(float(n_steps))
    assert found.similarity[0, step].item() == pytest.approx(expected, abs=1e-9)


def test_what_saying_0_scores_against_ols(few: Prefixes):
    xs, ys = few.xs.numpy(), few.ys.numpy()
    said = np.zeros_like(ys)
    for prompt in range(len(ys)):
        for t in range(1, ys.shape[1]):
            w = np.linalg.lstsq(xs[prompt, :t], ys[prompt, :t], rcond=None)[0]
            said[prompt, t] = xs[prompt, t] @ w
    found = score_zero_and_ols("ols", few)
    assert found.best[0].item() == pytest.approx(mean_cosine(-ys, said - ys), abs=1e-9)
    assert found.best[1].item() == pytest.approx(1)


def test_steps_of_gd_most_like_a_step_of_newton(few: Prefixes):
    xs, ys = few.xs.numpy(), few.ys.numpy()
    newton = np.stack([newton_predictions(x, y, 5) for x, y in zip(xs, ys, strict=True)])
    eta, scores = 0.01, []
    weights = np.zeros((*ys.shape, xs.shape[2]))
    for _ in range(200):
        said = (weights * xs).sum(-1)
        scores.append(mean_cosine(newton - ys, said - ys))
        for t in range(1, ys.shape[1]):
            residual = np.einsum("psd,pd->ps", xs[:, :t], weights[:, t]) - ys[:, :t]
            weights[:, t] -= eta * np.einsum("ps,psd->pd", residual, xs[:, :t])
    found = match_official(
        Newton().predictions(few, [5]), few, GD(eta), StepGrid.linear(199.0, 1.0)
    )
    np.testing.assert_allclose(found.similarity[0], scores, atol=1e-9)
    assert found.step[0].item() == pytest.approx(int(np.argmax(scores)), abs=0.5)


def test_the_official_step_size_where_it_converges(few: Prefixes):
    assert official_eta(few) == 0.01
    wide = Prefixes(10 * few.xs, few.ys)
    largest = max(np.linalg.eigvalsh(x[:-1].T @ x[:-1]).max() for x in wide.xs.numpy())
    assert official_eta(wide) == pytest.approx(1 / largest)


def test_every_algorithm_is_like_itself(few: Prefixes):
    grid = StepGrid.linear(12.0, 0.25)
    found = match_official(Newton().predictions(few, [2, 5, 7]), few, Newton(), grid)
    np.testing.assert_allclose(found.step, [2, 5, 7], atol=1e-6)
    np.testing.assert_allclose(found.best, 1)
    assert (found.step_interval[:, 0] <= found.step + 1e-9).all()
    assert (found.step <= found.step_interval[:, 1] + 1e-9).all()


def test_own_readouts_undo_a_change_of_scale(few: Prefixes):
    grid = StepGrid.linear(8.0, 1.0)
    matched = match_official(few.ys[None] * 0, few, Newton(), grid, fitted=few)
    raw = match_official(few.ys[None] * 0, few, Newton(), grid)
    assert matched.similarity[0, 0] < raw.similarity[0, 0]


def test_paper_prompts_have_the_papers_size_and_are_drawn_once():
    prefixes = paper_prefixes(SETTINGS)
    assert (prefixes.n_points, prefixes.n_dims) == (41, 20)
    assert paper_prefixes(SETTINGS) is prefixes


def test_the_published_match_told_in_other_steps():
    assert translated_steps("newton", SETTINGS).tolist() == [
        1, 1, 3, 5, 8, 10, 14, 17, 20, 21, 21, 21
    ]  # fmt: skip
    gd = translated_steps("gd", SETTINGS)
    assert (gd[2:9].diff() > 0).all()
    assert 1000 < gd[-1] < 4000


@pytest.fixture(scope="module")
def ill_conditioned() -> RowResult:
    [found] = reproduce(find_rows(["fig4"]), PaperModels({}, n_dims=20, settings=SETTINGS))
    return found


def test_ill_conditioned_prompts_take_gd_thousands_of_steps(ill_conditioned: RowResult):
    steps = ill_conditioned.data.gd_of_newton_best_step.values
    assert (np.diff(steps[:-1]) > 0).all()
    assert 2000 < steps[-1] < 4000
    by_claim = {check.claim: check for check in ill_conditioned.claims}
    assert by_claim["GD's step most like Newton's step 21"].outcome in ("agrees", "undecided")


def test_online_gd_forgets_and_least_squares_does_not():
    finding = forgetting(PaperModels({}, n_dims=20, settings=SETTINGS))
    outcomes = {check.claim: check.outcome for check in finding.claims}
    assert outcomes["online GD forgets"] == "agrees"
    assert outcomes["least squares, which Newton converges to, does not forget"] == "agrees"


def by_autograd(
    task: TwoLayerNetwork, xs: Float[Tensor, "point dim"], ys: Float[Tensor, " point"],
    query: Float[Tensor, " dim"], eta: float, n_steps: int,
) -> float:  # fmt: skip
    """One prefix, one network, gradients by autograd."""
    half = task.n_hidden // 2
    generator = torch.Generator().manual_seed(0)
    first = torch.randn(half, task.n_dims, generator=generator, dtype=torch.float64).repeat(2, 1)
    second = torch.randn(half, generator=generator, dtype=torch.float64)
    w, a = first.requires_grad_(), torch.cat([second, -second]).requires_grad_()
    activate = torch.relu if task.activation == "relu" else torch.tanh

    def network(x: Tensor) -> Tensor:
        return math.sqrt(2 / (2 * half)) * (activate(x @ w.T) @ a)

    for _ in range(n_steps):
        loss = (network(xs) - ys).square().sum() / 2
        grad_w, grad_a = torch.autograd.grad(loss, (w, a))
        with torch.no_grad():
            w -= eta * grad_w
            a -= eta * grad_a
    return float(network(query).detach())


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_gd_on_the_network_is_what_autograd_gives(activation: str):
    task = TwoLayerNetwork(n_dims=3, n_points=5, n_hidden=6, activation=activation)
    [prompts] = task.stream(4, seed=1)
    prefixes = Prefixes(prompts.xs, prompts.ys)
    eta = 1 / (2 * prefixes.eigenvalues.max().item())
    (_, start), (_, end) = network_gd(task, prefixes, [0, 7])
    np.testing.assert_allclose(start, 0, atol=1e-12)
    np.testing.assert_allclose(end[:, 0], 0, atol=1e-12)
    for prompt, point in ((0, 1), (1, 4), (3, 2)):
        xs, ys = prompts.xs[prompt], prompts.ys[prompt]
        expected = by_autograd(task, xs[:point], ys[:point], xs[point], eta, 7)
        assert end[prompt, point].item() == pytest.approx(expected, abs=1e-9)


def test_steps_of_network_gd_must_ascend(few: Prefixes):
    task = TwoLayerNetwork(n_dims=3, n_points=7)
    with pytest.raises(ValueError, match="steps must ascend"):
        next(network_gd(task, few, [3, 1]))
