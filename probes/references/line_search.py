"""How far to go along a descent direction of a quadratic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

LineSearch = Literal["exact", "scipy"]

CONVERGED = 1e-60
"""Part of the initial squared error below which a quasi-Newton method takes no further step."""


def check_line_search(line_search: str) -> None:
    """Raises a `ValueError` unless it is one of the two."""
    if line_search not in ("exact", "scipy"):
        raise ValueError(f"line_search must be 'exact' or 'scipy', got {line_search!r}")


@dataclass(frozen=True)
class Slice:
    """Half the sum of squares along a direction, as a quadratic in the length of the step."""

    slope: Float[Tensor, "*batch"]
    bending: Float[Tensor, "*batch"]
    descends: Bool[Tensor, "*batch"]
    """Where the direction leads down and there is something left to gain."""
    minimiser: Float[Tensor, "*batch"]
    """The length at which it is smallest; 1 where no step is to be taken."""

    @classmethod
    def along(
        cls,
        direction: Float[Tensor, "*batch direction"],
        error: Float[Tensor, "*batch direction"],
        eigenvalues: Float[Tensor, "prompt point direction"],
        initial_error: Float[Tensor, "*batch direction"],
    ) -> Slice:
        """From where the iterate is `error` away from the solution, all in the eigenbasis of S."""
        slope = -(eigenvalues * error * direction).sum(-1)
        bending = (eigenvalues * direction.square()).sum(-1)
        energy, initial = ((eigenvalues * e.square()).sum(-1) for e in (error, initial_error))
        descends = (slope < 0) & (bending > 0) & (energy > CONVERGED * initial)
        return cls(slope, bending, descends, torch.where(descends, -slope / bending, 1.0))


def wolfe_length(
    first: Float[Tensor, "*batch"],
    minimiser: Float[Tensor, "*batch"],
    *,
    decrease: float,
    curvature: float,
) -> Float[Tensor, "*batch"]:
    """The length that MINPACK's `dcsrch` accepts, which SciPy's BFGS and L-BFGS-B search with.

    On a quadratic with its minimiser at length a, the strong Wolfe conditions say that a trial is
    at most 2 (1 - decrease) a and within curvature * a of a. Moré and Thuente's interpolations
    are exact, so a trial that is too long is followed by a itself (by (1 - decrease) a if its
    value is below that at 0 but fails the first condition), and one that is too short by a or
    by the largest extrapolation allowed, whichever is shorter: the last trial plus 4 times the
    last increment.

    Args:
        first: First trial, above 0.
        minimiser: Length a at which the quadratic is smallest, above 0.
        decrease: Constant of the sufficient-decrease condition (ftol, c1).
        curvature: Constant of the curvature condition (gtol, c2).
    """
    trial, before = first, torch.zeros_like(first)
    too_short = trial < (1 - curvature) * minimiser
    while bool(too_short.any()):
        longer = torch.minimum(minimiser, trial + 4 * (trial - before))
        before = torch.where(too_short, trial, before)
        trial = torch.where(too_short, longer, trial)
        too_short = trial < (1 - curvature) * minimiser
    insufficient = (trial > 2 * (1 - decrease) * minimiser) & (trial <= 2 * minimiser)
    interpolated = torch.where(insufficient, (1 - decrease) * minimiser, minimiser)
    return torch.where(trial > (1 + curvature) * minimiser, interpolated, trial)
