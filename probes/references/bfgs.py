"""BFGS."""

from __future__ import annotations

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
class BFGS(EigenbasisIteration):
    """Quasi-Newton on half the sum of squares, from w = 0 and the identity as inverse Hessian.

    With line search "scipy" it takes the steps of `scipy.optimize.minimize(method="BFGS")` with
    the exact gradient: strong Wolfe conditions with 1e-4 and 0.9, and a first trial from the
    decrease of the step before. With an exact line search the iterates on a quadratic are those of
    conjugate gradients in exact arithmetic (Nazareth 1979), and are computed by them.
    """

    line_search: LineSearch = "scipy"

    key: ClassVar[str] = "bfgs"

    def __post_init__(self) -> None:
        check_line_search(self.line_search)

    def iterates(self, prefixes: Prefixes) -> Iterator[Float[Tensor, "prompt point direction"]]:
        if self.line_search == "exact":
            yield from ConjugateGradient().iterates(prefixes)
        eigenvalues, solution = prefixes.eigenvalues, prefixes.decomposition.coefficients
        error = solution  # kept instead of the iterate: it has the digits of a small gradient
        yield torch.zeros_like(solution)
        gradient = -eigenvalues * error
        inverse_hessian = torch.eye(prefixes.n_dims, dtype=solution.dtype, device=solution.device)
        inverse_hessian = inverse_hessian.repeat(*solution.shape[:2], 1, 1)
        last_decrease = gradient.norm(dim=-1) / 2
        while True:
            direction = -(inverse_hessian @ gradient[..., None])[..., 0]
            line = Slice.along(direction, error, eigenvalues, solution)
            first = torch.where(line.descends, 2.02 * last_decrease / -line.slope, 1.0)
            first = torch.where(first > 0, first.clamp(max=1.0), 1.0)
            length = wolfe_length(first, line.minimiser, decrease=1e-4, curvature=0.9)
            length = torch.where(line.descends, length, 0.0)
            last_decrease = -length * (line.slope + 0.5 * length * line.bending)
            step = length[..., None] * direction
            error = error - step
            yield solution - error
            gradient = -eigenvalues * error
            _update(inverse_hessian, step, eigenvalues * step)


def _update(
    inverse_hessian: Float[Tensor, "prompt point direction direction"],
    step: Float[Tensor, "prompt point direction"],
    change: Float[Tensor, "prompt point direction"],
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
