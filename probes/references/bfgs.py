"""BFGS."""

from __future__ import annotations

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
class BFGS(QuasiNewton):
    """Quasi-Newton on half the sum of squares, from w = 0 and the identity as inverse Hessian.

    With line search "scipy" it takes the steps of `scipy.optimize.minimize(method="BFGS")` with
    the exact gradient: strong Wolfe conditions with 1e-4 and 0.9, and a first trial from the
    decrease of the step before. With an exact line search the iterates on a quadratic are those of
    conjugate gradients in exact arithmetic (Nazareth 1979), and are computed by them.

    **Accuracy.** Predictions are within 1e-8 of the prompt's largest |y| for kappa(S) up to 1e12,
    where SciPy's own iterates lose their digits: see `QuasiNewton`.

    >>> from scipy.optimize import minimize
    >>> half = lambda w: ((X @ w - y) @ (X @ w - y) / 2, S @ w - b)
    >>> run = minimize(half, np.zeros(2), jac=True, method="BFGS", options={"maxiter": 2})
    >>> same(BFGS(), run.x, step=2)
    True
    """

    line_search: LineSearch = "scipy"

    key: ClassVar[str] = "bfgs"
    label: ClassVar[str] = "BFGS"
    phrase: ClassVar[str] = "BFGS"

    def errors(
        self,
        eigenvalues: Float[Tensor, "prompt point direction"],
        error: Float[Tensor, "run prompt point direction"],
        disturb: Disturb,
    ) -> Iterator[Float[Tensor, "run prompt point direction"]]:
        initial_error = error
        gradient = -eigenvalues * error
        inverse_hessian = torch.eye(error.shape[-1], dtype=error.dtype, device=error.device)
        inverse_hessian = inverse_hessian.repeat(*error.shape[:-1], 1, 1)
        last_decrease = gradient.norm(dim=-1) / 2
        while True:
            direction = -(inverse_hessian @ gradient[..., None])[..., 0]
            line = Slice.along(direction, error, eigenvalues, initial_error)
            first = torch.where(line.descends, 2.02 * last_decrease / -line.slope, 1.0)
            first = torch.where(first > 0, first.clamp(max=1.0), 1.0)
            length = wolfe_length(first, line.minimiser, decrease=1e-4, curvature=0.9)
            length = torch.where(line.descends, length, 0.0)
            last_decrease = -length * (line.slope + 0.5 * length * line.bending)
            step = disturb(length[..., None] * direction)
            error = error - step
            yield error
            gradient = -eigenvalues * error
            _update(inverse_hessian, step, eigenvalues * step)

    def in_many_digits(self, quadratic: Quadratic) -> Iterator[Digits]:
        return many_digits.bfgs(quadratic)


def _update(
    inverse_hessian: Float[Tensor, "*batch direction direction"],
    step: Float[Tensor, "*batch direction"],
    change: Float[Tensor, "*batch direction"],
) -> None:
    """The BFGS update in place; none where the step is 0."""
    product = (step * change).sum(-1)
    rho = torch.where(product > 0, 1 / product, 0.0)[..., None]
    image = (inverse_hessian @ change[..., None])[..., 0]
    # H - rho (s (H y)^T + (H y) s^T) + rho (1 + rho y^T H y) s s^T, as one symmetric pair
    scale = 0.5 * (1 + rho * (change * image).sum(-1, keepdim=True))
    other = rho * (scale * step - image)
    outer = step[..., :, None] * other[..., None, :]
    inverse_hessian.add_(outer).add_(outer.mT)
