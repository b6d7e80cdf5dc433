"""Lack of fit is measured where a reference explains a layer best."""

from __future__ import annotations

import pytest
import torch

from interp.tasks import LinearRegression
from probes.candidate import Candidate
from probes.references import Prefixes
from probes.verdict.readings import Readings

STEPS = (2.0, 4.0, 6.0, 8.0)
GD = Candidate.of("gd", "gd", "gd", {"eta": 0.05})


@pytest.fixture(scope="module")
def prefixes() -> Prefixes:
    task = LinearRegression(n_dims=3, n_points=7)
    prompts = task.sample(512, torch.Generator().manual_seed(0))
    return Prefixes(prompts.xs, prompts.ys)


def readings(said: torch.Tensor, prefixes: Prefixes, *items: Candidate) -> Readings:
    """As if similarity of errors had found step 0 best for every layer."""
    similarity = {item.name: -torch.arange(len(item.grid.steps)).expand(4, -1) for item in items}
    return Readings.of(said, prefixes, items, {n: s.double() for n, s in similarity.items()})


@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_a_read_out_that_noise_shrinks_still_fits(prefixes, noise):
    iterates = GD.reference.predictions(prefixes, STEPS)
    generator = torch.Generator().manual_seed(1)
    added = noise * torch.randn(iterates.shape, dtype=torch.float64, generator=generator)
    said = 0.3 * (iterates + added)
    found = readings(said, prefixes, GD).lack_of_fit("gd")
    errors = (said - prefixes.ys)[..., 1:].square().sum((1, 2))
    expected = (0.3 * added[..., 1:]).square().sum((1, 2)) / errors
    assert found.unshared.value == pytest.approx(expected.mean().item(), rel=0.05, abs=1e-3)
    assert abs(found.systematic.value) < 1e-3


def test_a_member_that_diverges_leaves_the_others_their_fit(prefixes):
    diverging = Candidate.of("gd-fast", "gd", "gd", {"eta": 5.0})
    assert not diverging.reference.predictions(prefixes, diverging.grid.steps).isfinite().all()
    said = GD.reference.predictions(prefixes, STEPS)
    found = readings(said, prefixes, diverging, GD).lack_of_fit("gd")
    assert found.reference == "gd"
    assert abs(found.systematic.value) < 0.005
