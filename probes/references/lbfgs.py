"""Limited-memory BFGS."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from probes.references import many_digits
from probes.references.line_search import LineSearch, Slice, wolfe_length
from probes.references.many_digits import Digits, Quadratic
from probes.references.quasi_newton import Disturb, QuasiNewton


@dataclass(frozen=True)
class LBFGS(QuasiNewton):
    """BFGS from the last `memory` steps, on half the sum of squares, from w = 0 (Nocedal 1980).

    The initial inverse Hessian of each step is (s·y / y·y) I of the step before. With line search
    "scipy" it takes the steps of `scipy.optimize.minimize(method="L-BFGS-B")` without bounds and
    with `maxcor=memory`: strong Wolfe conditions with 1e-3 and 0.9, first trial 1, and 1 / |g| at
    the first step. With an exact line search the iterates on a quadratic are those of conjugate
    gradients in exact arithmetic, for any memory, and are computed by them.

    **Accuracy.** With "scipy", as with "exact", predictions are within 1e-8 of the prompt's largest
    |y| for kappa(S) up to 1e12 and any memory. Float64 alone would lose all digits there, as
    SciPy's own iterates do: see `QuasiNewton`. On ill-conditioned prompts that costs the more time
    the shorter the memory.

    >>> from scipy.optimize import minimize
    >>> half = lambda w: ((X @ w - y) @ (X @ w - y) / 2, S @ w - b)
    >>> run = minimize(half, np.zeros(2), jac=True, method="L-BFGS-B", options={"maxiter": 2})
    >>> same(LBFGS(), run.x, step=2)
    True
    """

    memory: int = 10
    line_search: LineSearch = "scipy"

    key: ClassVar[str] = "l-bfgs"
    label: ClassVar[str] = "L-BFGS"
    phrase: ClassVar[str] = "L-BFGS"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.memory < 1:
            raise ValueError(f"memory must be at least 1, got {self.memory}")

    def errors(
        self,
        eigenvalues: Float[Tensor, "prompt point direction"],
        error: Float[Tensor, "run prompt point direction"],
        disturb: Disturb,
    ) -> Iterator[Float[Tensor, "run prompt point direction"]]:
        initial_error = error
        history: deque[tuple[Tensor, Tensor]] = deque(maxlen=self.memory)
        while True:
            direction = _two_loops(eigenvalues * error, history)
            line = Slice.along(direction, error, eigenvalues, initial_error)
            first = torch.ones_like(line.slope)
            if not history:
                first = torch.where(line.descends, 1 / direction.norm(dim=-1), 1.0)
            length = wolfe_length(first, line.minimiser, decrease=1e-3, curvature=0.9)
            step = disturb(torch.where(line.descends, length, 0.0)[..., None] * direction)
            error = error - step
            yield error
            history.append((step, eigenvalues * step))

    def in_many_digits(self, quadratic: Quadratic) -> Iterator[Digits]:
        return many_digits.lbfgs(quadratic, self.memory)


def _two_loops(
    vector: Float[Tensor, "run prompt point direction"], history: deque[tuple[Tensor, Tensor]]
) -> Float[Tensor, "run prompt point direction"]:
    """The inverse Hessian of these (step, change of gradient) pairs, times a vector."""
    along: list[Tensor] = []
    for step, change in reversed(history):
        along.append(_coefficient(step, vector, step, change))
        vector = vector - along[-1] * change
    if history:
        step, change = history[-1]
        vector = vector * _coefficient(step, change, change, change, otherwise=1.0)
    for (step, change), before in zip(history, reversed(along), strict=True):
        vector = vector + (before - _coefficient(change, vector, step, change)) * step
    return vector


def _coefficient(a: Tensor, b: Tensor, c: Tensor, d: Tensor, *, otherwise: float = 0.0) -> Tensor:
    """a·b / c·d; `otherwise` where c·d is not above 0, as where no step was taken."""
    divisor = (c * d).sum(-1, keepdim=True)
    return torch.where(divisor > 0, (a * b).sum(-1, keepdim=True) / divisor, otherwise)
