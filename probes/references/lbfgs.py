"""Limited-memory BFGS."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from probes.references.conjugate_gradient import ConjugateGradient
from probes.references.eigenbasis import EigenbasisIteration
from probes.references.line_search import LineSearch, Slice, check_line_search, wolfe_length
from probes.references.prefixes import Prefixes


@dataclass(frozen=True)
class LBFGS(EigenbasisIteration):
    """BFGS from the last `memory` steps, on half the sum of squares, from w = 0 (Nocedal 1980).

    The initial inverse Hessian of each step is (s·y / y·y) I of the step before. With line search
    "scipy" it takes the steps of `scipy.optimize.minimize(method="L-BFGS-B")` without bounds and
    with `maxcor=memory`: strong Wolfe conditions with 1e-3 and 0.9, first trial 1, and 1 / |g| at
    the first step. With an exact line search the iterates on a quadratic are those of conjugate
    gradients in exact arithmetic, for any memory, and are computed by them.

    **Accuracy.** With "scipy", rounding is amplified from step to step, the more so the shorter the
    memory: errors stay below 1e-8 of the prompt's largest |y| up to kappa(S) = 1e2 for any memory
    and up to 1e6 for one of at least the rank. At 1e12 they may reach 1e-3 after a few steps. It is
    the recursion in float64 that does it, not the prompt: a change of xs in the last digit changes
    the exact iterates by less than 1e-10, and a plain loop loses as many digits. SciPy's own
    iterates depart sooner.
    """

    memory: int = 10
    line_search: LineSearch = "scipy"

    key: ClassVar[str] = "l-bfgs"

    def __post_init__(self) -> None:
        check_line_search(self.line_search)
        if self.memory < 1:
            raise ValueError(f"memory must be at least 1, got {self.memory}")

    def iterates(self, prefixes: Prefixes) -> Iterator[Float[Tensor, "prompt point direction"]]:
        if self.line_search == "exact":
            yield from ConjugateGradient().iterates(prefixes)
        eigenvalues, solution = prefixes.eigenvalues, prefixes.decomposition.coefficients
        error = solution  # kept instead of the iterate: it has the digits of a small gradient
        yield torch.zeros_like(solution)
        history: deque[tuple[Tensor, Tensor]] = deque(maxlen=self.memory)
        while True:
            direction = _two_loops(eigenvalues * error, history)
            line = Slice.along(direction, error, eigenvalues, solution)
            first = torch.ones_like(line.slope)
            if not history:
                first = torch.where(line.descends, 1 / direction.norm(dim=-1), 1.0)
            length = wolfe_length(first, line.minimiser, decrease=1e-3, curvature=0.9)
            step = torch.where(line.descends, length, 0.0)[..., None] * direction
            error = error - step
            yield solution - error
            history.append((step, eigenvalues * step))


def _two_loops(
    vector: Float[Tensor, "prompt point direction"], history: deque[tuple[Tensor, Tensor]]
) -> Float[Tensor, "prompt point direction"]:
    """The inverse Hessian of these (step, change of gradient) pairs, times a vector.

    Each of its oblique projections is applied twice, as one leaves behind rounding that a large
    condition number amplifies.
    """
    along: list[Tensor] = []
    for step, change in reversed(history):
        first = _coefficient(step, vector, step, change)
        vector = vector - first * change
        second = _coefficient(step, vector, step, change)
        vector = vector - second * change
        along.append(first + second)
    if history:
        step, change = history[-1]
        vector = vector * _coefficient(step, change, change, change, otherwise=1.0)
    for (step, change), already in zip(history, reversed(along), strict=True):
        for _ in range(2):
            vector = vector - _coefficient(change, vector, step, change) * step
        vector = vector + already * step
    return vector


def _coefficient(a: Tensor, b: Tensor, c: Tensor, d: Tensor, *, otherwise: float = 0.0) -> Tensor:
    """a·b / c·d; `otherwise` where c·d is not above 0, as where no step was taken."""
    divisor = (c * d).sum(-1, keepdim=True)
    return torch.where(divisor > 0, (a * b).sum(-1, keepdim=True) / divisor, otherwise)
