"""Gradient descent on a two-layer network against torch's own gradients."""

from __future__ import annotations

import math

import pytest
import torch

from probes.references import NetworkGD, Prefixes, build_reference


def prompts(n_prompts: int = 3, n_points: int = 7) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    xs = torch.randn(n_prompts, n_points, 3, dtype=torch.float64, generator=generator)
    return xs, torch.randn(n_prompts, n_points, dtype=torch.float64, generator=generator)


def trained_by_torch(
    reference: NetworkGD, x: torch.Tensor, y: torch.Tensor, query: torch.Tensor, n_steps: int
) -> tuple[float, float]:
    """Prediction and training loss by `torch.optim.SGD` on one prefix."""
    w, a = (part.clone().requires_grad_() for part in reference.start(x.shape[1]))
    scale = math.sqrt(2 / reference.n_hidden)
    activate = torch.relu if reference.activation == "relu" else torch.tanh

    def network(inputs: torch.Tensor) -> torch.Tensor:
        return scale * activate(inputs @ w.T) @ a

    before, at_query = network(x).detach(), network(query[None]).detach()
    eta = reference.eta
    if isinstance(eta, str):
        rows = []
        for value in network(x):
            gradients = torch.autograd.grad(value, (w, a), retain_graph=True)
            rows.append(torch.cat([part.flatten() for part in gradients]))
        jacobian = torch.stack(rows)
        eta = 1 / torch.linalg.eigvalsh(jacobian @ jacobian.T)[-1].item()
    optimiser = torch.optim.SGD([w, a], lr=eta)
    for _ in range(n_steps):
        optimiser.zero_grad()
        (0.5 * (network(x) - before - y).square().sum()).backward()
        optimiser.step()
    loss = (network(x) - before - y).square().sum().item()
    return (network(query[None]) - at_query).item(), loss


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("eta", [0.02, "inverse_largest"])
def test_equal_to_autograd_on_every_prefix(activation, eta):
    xs, ys = prompts()
    reference = NetworkGD(n_hidden=9, activation=activation, eta=eta, seed=4)
    steps = [0, 1, 2, 15]
    predicted = reference.predictions(Prefixes(xs, ys), steps)
    assert (predicted[:, :, 0] == 0).all()
    for prompt in range(3):
        for point in (1, 3, 6):
            for values, step in zip(predicted, steps, strict=True):
                expected, _ = trained_by_torch(
                    reference, xs[prompt, :point], ys[prompt, :point], xs[prompt, point], step
                )
                assert values[prompt, point].item() == pytest.approx(expected, abs=1e-8)


def test_training_fits_the_examples_it_has_seen():
    """Asked again for an x of the prefix, a long training says its y."""
    xs, ys = prompts(n_points=4)
    xs[:, 3], ys[:, 3] = xs[:, 1], 0.0
    predicted = NetworkGD(n_hidden=60).predictions(Prefixes(xs, ys), [600])
    assert torch.allclose(predicted[0, :, 3], ys[:, 1], atol=0.05)


def test_a_prediction_depends_on_nothing_after_its_point():
    xs, ys = prompts()
    reference = NetworkGD(n_hidden=8)
    whole = reference.predictions(Prefixes(xs, ys), [5])
    short = reference.predictions(Prefixes(xs[:, :4], ys[:, :4]), [5])
    assert torch.allclose(whole[:, :, :4], short)


def test_batches_of_prompts_change_nothing(monkeypatch):
    xs, ys = prompts(n_prompts=5)
    reference = NetworkGD(n_hidden=8)
    together = reference.predictions(Prefixes(xs, ys), [3])
    monkeypatch.setattr("probes.references.network_gd.PROMPTS_AT_ONCE", 2)
    assert torch.allclose(reference.predictions(Prefixes(xs, ys), [3]), together)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_hidden": 0}, "n_hidden must be at least 1, got 0"),
        ({"eta": -1.0}, "eta must be a number above 0"),
        ({"width": 3}, "network-gd has no parameter width; it takes n_hidden"),
    ],
)
def test_bad_parameters_are_refused(parameters: dict, message: str):
    with pytest.raises(ValueError, match=message):
        build_reference("network-gd", **parameters)


def test_steps_are_whole():
    with pytest.raises(ValueError, match=r"steps of network-gd.* must be whole"):
        NetworkGD().predictions(Prefixes(*prompts()), [0.5])
