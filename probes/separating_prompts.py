"""Prompts built to separate two references as far as possible."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.optimize import linprog
from torch import Tensor

from probes.prompt_designs import Designs, draw_designs, random_prompts, rescaled, rotated
from probes.references import Prefixes, Reference
from probes.similarity import error_directions, similarity_of_errors

CONVERGED = 1e-3
"""Error of A, relative to y, below which a prompt has no error left to compare."""
INDISTINGUISHABLE = 1e-6
"""A separation below it is rounding."""
ROUNDING = 1e-9
"""Error relative to y that counts as none."""


@dataclass(frozen=True)
class SeparatingPrompts:
    """Prompts on which a reference's steps are like no step of another."""

    xs: Float[Tensor, "prompt point dim"]
    ys: Float[Tensor, "prompt point"]
    steps: tuple[float, ...]
    """Steps of the first reference."""
    best_steps: tuple[float, ...]
    """For each, the step of the second that is most like it on these prompts."""
    separation: Float[Tensor, " step"]
    """For each, 1 - SimE with the second reference at that step."""
    random_separation: Float[Tensor, " step"]
    """The same on prompts of standard normal x and w, where the second matches as it can."""


def separating_prompts(
    a: Reference,
    b: Reference,
    *,
    steps_a: Sequence[int | float],
    steps_b: Sequence[int | float],
    n_prompts: int = 256,
    n_points: int = 11,
    n_dims: int = 5,
    largest_condition: int | float = 1e3,
    seed: int = 0,
) -> SeparatingPrompts:
    """Builds prompts on which every step of A stays as far as possible from all steps of B.

    Similarity alone cannot separate Newton from gradient descent, because for every step of one
    there is a step of the other that errs alike on ordinary prompts. It is one step for all
    prompts, though: where some prompts are well conditioned and others are not, a step that suits
    the first does not suit the second. So designs of prompts are drawn (the spectrum of X and its
    rank, the direction of w, the scale of y, the order of the examples), and the mixture of them is
    chosen that leaves the best-matching step of B least similar to A: the optimal strategy of a
    zero-sum game in which B answers with its step, which a linear programme finds exactly. The
    mixture is one for all of `steps_a`, best on their average. Prompts of a design differ by a
    random rotation of x.

    Every design has the largest eigenvalue of X^T X that prompts of N(0, I) have, so that step
    sizes made for these do not diverge and models trained on them can be run; y has their mean
    square, except for the factors of `probes.prompt_designs.Y_SCALES`. Prompts that A solves
    exactly have no error to compare and are not chosen.

    Args:
        a: A reference, at `steps_a` …
        b: … and the one that must not resemble it, which may choose among `steps_b`. One without
            steps is given any single step.
        steps_a: Steps of A that matter, such as those that the layers of a model match.
        steps_b: A grid that covers what could match them.
        n_prompts: Prompts to build.
        n_points: Points of each.
        n_dims: Dimension of x.
        largest_condition: Largest ratio of eigenvalues of X^T X, over directions that occur.
        seed: Of all that is drawn.

    Raises:
        ValueError: Sizes out of range, steps that the references do not take, references that
            diverge on every design, or references that make the same predictions, so that no
            prompt separates them.
    """
    _check_sizes(n_prompts, n_points, n_dims, largest_condition)
    if a == b:
        raise ValueError(f"{a.name} and {b.name} cannot be separated: on every prompt they agree")
    generator = torch.Generator().manual_seed(seed)
    usual = random_prompts(n_prompts, n_points, n_dims, generator)
    designs = draw_designs(usual[0], largest_condition, generator)
    if not (_is_homogeneous(a, designs, steps_a) and _is_homogeneous(b, designs, steps_b)):
        designs = rescaled(designs)
    distance, usable = _distances(a, b, designs, steps_a, steps_b)
    if not usable.any():
        raise ValueError(
            f"{a.name} and {b.name} cannot be separated: on every design one of them leaves the "
            "range of numbers, or the first solves it exactly; try other steps"
        )
    shares, value = _solve_game(distance[:, :, usable])
    if value < INDISTINGUISHABLE:
        raise ValueError(
            f"{a.name} and {b.name} cannot be separated: on every prompt some step of the second "
            "makes the predictions of the first"
        )
    chosen = usable.nonzero()[:, 0][_allot(shares, n_prompts)]
    xs, ys = rotated(designs[0][chosen], generator), designs[1][chosen]
    order = torch.randperm(n_prompts, generator=generator)
    xs, ys = xs[order], ys[order]
    separation, best = _separation(a, b, (xs, ys), steps_a, steps_b)
    steps = tuple(a.check_steps(steps_a))
    return SeparatingPrompts(
        xs, ys, steps, best, separation, _separation(a, b, usual, steps_a, steps_b)[0]
    )


def _check_sizes(
    n_prompts: int, n_points: int, n_dims: int, largest_condition: int | float
) -> None:
    for name, value, least in (
        ("n_prompts", n_prompts, 1),
        ("n_points", n_points, 2),
        ("n_dims", n_dims, 1),
        ("largest_condition", largest_condition, 1),
    ):
        if not value >= least:
            raise ValueError(f"{name} must be at least {least}, got {value}")


def _is_homogeneous(reference: Reference, designs: Designs, steps: Sequence[int | float]) -> bool:
    """Whether predictions for twice the y are twice those for y."""
    xs, ys = (part[:16] for part in designs)
    once, twice = (reference.predictions(Prefixes(xs, factor * ys), steps) for factor in (1.0, 2.0))
    return torch.allclose(2 * once, twice, rtol=1e-6, atol=1e-9, equal_nan=True)


def _distances(
    a: Reference,
    b: Reference,
    designs: Designs,
    steps_a: Sequence[int | float],
    steps_b: Sequence[int | float],
) -> tuple[Float[Tensor, "step_a step_b design"], Tensor]:
    """1 - cosine of the errors of every pair of steps on every design, and which are usable."""
    prefixes = Prefixes(*designs)
    predictions = [
        reference.predictions(prefixes, steps) for reference, steps in ((a, steps_a), (b, steps_b))
    ]
    usable = torch.stack([values.isfinite().all(-1).all(0) for values in predictions]).all(0)
    usable &= (_relative_error(predictions[0], prefixes.ys) > CONVERGED).all(0)
    directions = [
        _directions(torch.where(usable[:, None], values, 0.0), prefixes.ys)
        for values in predictions
    ]
    return 1 - torch.einsum("apt,bpt->abp", *directions), usable


def _relative_error(
    predictions: Float[Tensor, "step prompt point"], ys: Float[Tensor, "prompt point"]
) -> Float[Tensor, "step prompt"]:
    size = ys[:, 1:].norm(dim=-1).clamp(min=1e-300)
    return (predictions - ys)[..., 1:].norm(dim=-1) / size


def _directions(
    predictions: Float[Tensor, "step prompt point"], ys: Float[Tensor, "prompt point"]
) -> Float[Tensor, "step prompt scored_point"]:
    """Error directions, in which rounding has none."""
    solved = _relative_error(predictions, ys) < ROUNDING
    return error_directions(torch.where(solved[..., None], ys, predictions), ys)


def _solve_game(
    distance: Float[Tensor, "step_a step_b design"],
) -> tuple[Float[Tensor, " design"], float]:
    """Shares p of the designs that maximise the mean over A's steps of min over B's of p·d."""
    n_a, n_b, n_designs = distance.shape
    objective = np.concatenate([np.zeros(n_designs), np.full(n_a, -1 / n_a)])
    # v_a - p·d_ab <= 0 for every pair of steps
    owner = np.repeat(np.eye(n_a), n_b, axis=0)
    bounds = np.concatenate([-distance.reshape(n_a * n_b, n_designs).numpy(), owner], axis=1)
    total = np.concatenate([np.ones(n_designs), np.zeros(n_a)])[None]
    found = linprog(
        objective,
        A_ub=bounds,
        b_ub=np.zeros(n_a * n_b),
        A_eq=total,
        b_eq=[1.0],
        bounds=[(0, None)] * n_designs + [(None, None)] * n_a,
        method="highs",
    )
    if not found.success:
        raise ValueError(f"the mixture of designs cannot be found: {found.message}")
    return torch.from_numpy(found.x[:n_designs]), -found.fun


def _allot(shares: Float[Tensor, " design"], n_prompts: int) -> Int[Tensor, " prompt"]:
    """Designs in proportion to their shares, the largest remainders first."""
    exact = shares.clamp(min=0) / shares.clamp(min=0).sum() * n_prompts
    counts = exact.floor().long()
    missing = n_prompts - int(counts.sum())
    counts[(exact - counts).argsort(descending=True)[:missing]] += 1
    return torch.repeat_interleave(torch.arange(len(shares)), counts)


def _separation(
    a: Reference,
    b: Reference,
    prompts: Designs,
    steps_a: Sequence[int | float],
    steps_b: Sequence[int | float],
) -> tuple[Float[Tensor, " step"], tuple[float, ...]]:
    prefixes = Prefixes(*prompts)
    first, second = (
        _directions(reference.predictions(prefixes, steps), prefixes.ys)
        for reference, steps in ((a, steps_a), (b, steps_b))
    )
    best = similarity_of_errors(first, second).max(1)
    grid = b.check_steps(steps_b)
    return 1 - best.values, tuple(grid[index] for index in best.indices.tolist())
