"""The average of y x."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from probes.references.prefixes import Prefixes
from probes.references.reference import Parameters
from probes.references.without_steps import WithoutSteps


@dataclass(frozen=True)
class Averaging(WithoutSteps):
    """w = mean of y_i x_i over the examples (Garg et al. 2022).

    >>> same(Averaging(), (y[:, None] * X).mean(0))
    True
    """

    key: ClassVar[str] = "averaging"
    label: ClassVar[str] = "Averaging"
    phrase: ClassVar[str] = "averaging"
    rivals: ClassVar[Parameters] = {"averaging": {}}

    def solve(self, prefixes: Prefixes) -> Float[Tensor, "prompt point dim"]:
        sums = (prefixes.xs * prefixes.ys[..., None]).cumsum(1)
        weights = torch.zeros_like(sums)
        seen = torch.arange(1, prefixes.n_points, dtype=sums.dtype, device=sums.device)
        weights[:, 1:] = sums[:, :-1] / seen[:, None]
        return weights
