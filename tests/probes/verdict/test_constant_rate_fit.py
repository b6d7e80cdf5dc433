"""Ramps: against a search by hand, and where a ramp was planted."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from probes.matching import StepGrid
from probes.verdict.constant_rate_fit import fit_constant_rate

SMALL = {
    "linear": StepGrid.linear(6.0, 1.0),
    "log": StepGrid((0.0, 1.0, 2.0, 4.0, 8.0, 16.0), "log"),
}
LAWS = st.sampled_from(["linear", "log-linear"])
NEWTON = StepGrid.linear(40.0)
GD = StepGrid.log(2.0**14)


def noise(seed, *shape):
    return torch.rand(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def along(grid, steps):
    """A table whose layers are most similar to these steps: 0.95 there, less around."""
    peaks = torch.tensor(steps, dtype=torch.float64)
    if grid.spacing == "log":
        peaks = peaks.clamp(min=0.5).log2()
    return 0.95 * torch.exp(-((grid.coordinates() - peaks[:, None]) ** 2) / 80)[None]


def score_by_hand(table, grid, depth, start, end, first, last, law):
    """Mean similarity along one ramp, one layer after the other."""
    x = grid.coordinates().numpy()
    total = 0.0
    for layer, row in enumerate(table):
        share = min(1, max(0, (depth[layer] - depth[start]) / (depth[end] - depth[start])))
        if law == "linear":
            step = first + (last - first) * share
        else:
            step = max(first, 0.5) * (max(last, 0.5) / max(first, 0.5)) ** share
        total += np.interp(math.log2(max(step, 0.5)) if grid.spacing == "log" else step, x, row)
    return total / len(table)


@settings(max_examples=25)
@given(
    st.integers(0, 2**31),
    st.sampled_from(sorted(SMALL)),
    LAWS,
    st.lists(st.sampled_from([0.0, 1.0, 1.0, 2.0]), min_size=3, max_size=4),
)
def test_equals_a_search_by_hand(seed, spacing, law, increments):
    grid, depth = SMALL[spacing], np.cumsum(increments)
    if depth[0] == depth[-1]:
        depth[-1] += 1
    table = noise(seed, 1, len(depth), len(grid.steps))
    ramp = fit_constant_rate(table, grid, law=law, depth=torch.from_numpy(depth))
    scores = [
        score_by_hand(table[0].numpy(), grid, depth, start, end, first, last, law)
        for start in range(len(depth))
        for end in range(start + 2, len(depth))
        if depth[end] > depth[start]
        for i, first in enumerate(grid.steps)
        for last in grid.steps[i + 1 :]
    ]
    assert ramp.score.item() == pytest.approx(max(scores), abs=1e-12)
    found = (int(ramp.first_layer), int(ramp.last_layer), float(ramp.first_step))
    again = score_by_hand(table[0].numpy(), grid, depth, *found, float(ramp.last_step), law)
    assert again == pytest.approx(ramp.score.item(), abs=1e-12)
    span = depth[found[1]] - depth[found[0]]
    assert ramp.rate.item() == pytest.approx((ramp.last_step.item() - found[2]) / span)


@pytest.mark.parametrize("rate", [1.0, 3.0])
@pytest.mark.parametrize(("n_before", "n_after"), [(0, 0), (2, 0), (0, 3), (2, 2)])
def test_finds_a_planted_ramp_between_flat_ends(rate, n_before, n_after):
    steps = [2.0] * n_before + [2 + rate * k for k in range(6)] + [2 + 5 * rate] * n_after
    ramp = fit_constant_rate(along(NEWTON, steps), NEWTON)
    assert ramp.score.item() == pytest.approx(0.95, abs=0.003)
    assert ramp.rate.item() == pytest.approx(rate, rel=0.25)
    assert abs(ramp.first_layer.item() - n_before) <= 1
    assert abs(ramp.last_layer.item() - n_before - 5) <= 1


def test_layers_that_share_a_depth_take_no_steps():
    steps = [0.0, 3.0, 3.0, 6.0, 9.0, 9.0, 9.0, 12.0]
    depth = torch.tensor([0, 1, 1, 2, 3, 3, 3, 4], dtype=torch.float64)
    table = along(NEWTON, steps)
    with_depth, without = (
        fit_constant_rate(table, NEWTON, depth=depth),
        fit_constant_rate(table, NEWTON),
    )
    assert with_depth.score.item() == pytest.approx(0.95, abs=0.003)
    assert with_depth.rate.item() == pytest.approx(3.0, rel=0.1)
    assert without.score.item() < with_depth.score.item() - 0.01


def test_exponential_growth_costs_a_constant_rate_but_not_a_constant_doubling():
    table = along(GD, [2.0**k for k in range(1, 10)])
    free = table.amax(-1).mean(-1)
    linear = fit_constant_rate(table, GD, law="linear").score
    doubling = fit_constant_rate(table, GD, law="log-linear").score
    assert (free - doubling).item() == pytest.approx(0, abs=0.002)
    assert (free - linear).item() > 0.005


@settings(max_examples=15)
@given(st.integers(0, 2**31), LAWS)
def test_replicates_do_not_know_of_each_other(seed, law):
    grid = SMALL["linear"]
    table = noise(seed, 3, 5, len(grid.steps))
    together = fit_constant_rate(table, grid, law=law)
    for index in range(3):
        alone = fit_constant_rate(table[index : index + 1], grid, law=law)
        for name in ("score", "rate", "first_layer", "last_layer", "first_step", "last_step"):
            one, many = getattr(alone, name)[0], getattr(together, name)[index]
            assert one.item() == pytest.approx(many.item())


@settings(max_examples=20)
@given(st.integers(0, 2**31), LAWS, st.sampled_from(sorted(SMALL)))
def test_freedom_never_costs_similarity(seed, law, spacing):
    grid = SMALL[spacing]
    table = noise(seed, 4, 5, len(grid.steps))
    free, flat = table.amax(-1).mean(-1), table.mean(1).amax(-1)
    assert (free >= fit_constant_rate(table, grid, law=law).score - 1e-12).all()
    assert (free >= flat).all()
    by_hand = [max(table[r, :, k].mean() for k in range(len(grid.steps))) for r in range(4)]
    assert flat.tolist() == pytest.approx([value.item() for value in by_hand])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"similarity": torch.zeros(1, 2, 7).double()}, "at least 3 layers, got 2"),
        ({"depth": torch.tensor([0.0, 2.0, 1.0, 3.0]).double()}, "must not decrease"),
        ({"depth": torch.ones(4).double()}, "stay the same"),
        ({"similarity": torch.zeros(1, 4, 3).double()}, "3 steps and the grid 7"),
        ({"similarity": torch.full((1, 4, 7), math.nan).double()}, r"NaN, first at \[0, 0, 0\]"),
    ],
)
def test_refuses(change, message):
    arguments = {"similarity": torch.zeros(1, 4, 7).double(), **change}
    with pytest.raises(ValueError, match=message):
        fit_constant_rate(arguments["similarity"], SMALL["linear"], depth=arguments.get("depth"))
