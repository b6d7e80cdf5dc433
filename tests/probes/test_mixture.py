"""Mixtures whose parts are known, with and without noise."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import lsq_linear

from probes.anatomy import Mixture
from probes.references import Prefixes, build_reference
from probes.uncertainty import bootstrap_weights

NAMES = ("gd-adaptive", "newton", "ogd")
STEPS = {"gd-adaptive": (1, 2, 4, 8, 16, 32), "newton": (2, 4, 6, 8, 10, 12), "ogd": ()}
WEIGHTS = bootstrap_weights(64, 200, seed=0)


def iterates(n_prompts, seed=0, point=7):
    generator = torch.Generator().manual_seed(seed)
    xs = torch.randn(n_prompts, point + 1, 5, generator=generator, dtype=torch.float64)
    w = torch.randn(n_prompts, 5, 1, generator=generator, dtype=torch.float64)
    prefixes = Prefixes(xs, (xs @ w)[..., 0])
    parts = [
        build_reference(name).predictions(prefixes, STEPS[name] or None)[..., point]
        for name in NAMES
    ]
    return torch.cat(parts), [len(part) for part in parts]


def planted(p, weights, noise, seed=0):
    """Weights by row of p, and noise of a share of the energy."""
    said = sum(weight * p[row] for row, weight in weights.items())
    generator = torch.Generator().manual_seed(seed)
    size = (noise / (1 - noise) * said.square().mean()).sqrt()
    return (said + size * torch.randn(said.shape, generator=generator, dtype=p.dtype))[None]


@pytest.mark.parametrize("noise", [0.0, 0.1, 0.3])
def test_parts_of_a_mixture_are_found(noise):
    p, sizes = iterates(4096)
    said = planted(p, {1: 0.7, 12: 0.5}, noise)  # GD's second of its steps, and online GD
    found = Mixture.of(said, p, sizes, WEIGHTS)
    assert found.share.value[0].item() == pytest.approx(1 - noise, abs=0.1 * noise + 1e-9)
    assert found.weight.low[0, 2] > 0.3
    if noise < 0.3:  # from there on Newton's first steps stand in for those of GD
        assert found.step[0].tolist() == [1, -1, 0]
        np.testing.assert_allclose(found.weight.value[0], [0.7, 0, 0.5], atol=0.2 * noise + 1e-9)
    assert found.gain.low[0] > 0.01


@pytest.mark.parametrize("noise", [0.1, 0.3])
def test_a_single_reference_gains_nothing_from_others(noise):
    p, sizes = iterates(4096)
    found = Mixture.of(planted(p, {8: 1.0}, noise), p, sizes, WEIGHTS)
    assert found.step[0, 1] == 2
    assert found.gain.value[0].abs() < 0.002
    assert found.gain.low[0] <= 0.0
    assert found.weight.value[0, 1].item() == pytest.approx(1, abs=0.05)


def test_intervals_of_weights_and_shares_cover():
    n, covered = 40, torch.zeros(3)
    many, sizes = iterates(512 * n, seed=3)
    rows, sizes = [1, 12], [1, 1]
    for trial, p in enumerate(many[rows].split(512, 1)):
        found = Mixture.of(planted(p, {0: 0.7, 1: 0.5}, 0.3, seed=trial), p, sizes, WEIGHTS)
        for place, value in enumerate((0.7, 0.5)):
            covered[place] += found.weight.low[0, place] <= value <= found.weight.high[0, place]
        covered[2] += found.share.low[0] <= 0.7 <= found.share.high[0]
    assert (covered >= 34).all(), covered  # of 40 at 95 %; fewer than 34 once in a thousand


def test_it_explains_as_much_as_bounded_least_squares_on_the_same_iterates():
    p, sizes = iterates(512)
    said = planted(p, {0: 0.4, 9: 0.6, 12: 0.2}, 0.1)
    found = Mixture.of(said, p, sizes, WEIGHTS)
    offsets = np.cumsum([0, *sizes[:-1]])
    rows = [offsets[i] + step for i, step in enumerate(found.step[0].tolist()) if step >= 0]
    weights = lsq_linear(p[rows].T.numpy(), said[0].numpy(), (0, np.inf)).x
    active = found.weight.value[0][found.step[0] >= 0]
    np.testing.assert_allclose(active, weights, rtol=1e-6, atol=1e-9)


def test_layers_that_say_nothing_and_opposites_have_no_mixture():
    p, sizes = iterates(256)
    found = Mixture.of(torch.stack([torch.zeros(256).double(), -p[-1]]), p, sizes, WEIGHTS)
    assert (found.weight.value == 0).all()
    assert (found.step == -1).all()
    assert found.share.value[1] == pytest.approx(0)


def test_fewer_prompts_than_groups_are_refused():
    p, sizes = iterates(32)
    with pytest.raises(ValueError, match="said must have at least 64 prompts, got 32"):
        Mixture.of(p[:1], p, sizes, WEIGHTS)
