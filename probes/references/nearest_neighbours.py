"""The mean of the nearest examples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from probes.references.prefixes import Prefixes
from probes.references.reference import Parameters, Reference, Steps


@dataclass(frozen=True)
class NearestNeighbours(Reference):
    """Mean y of the k examples nearest to the query, of all while fewer (Garg et al. 2022: k = 3).

    Among equally distant examples the earlier ones count. Its predictions are no linear function
    of the query, so it has no weights.

    >>> nearest = np.argsort(((X - query) ** 2).sum(1))[:3]
    >>> same(NearestNeighbours(3), y[nearest].mean())
    True
    """

    k: int = 3

    key: ClassVar[str] = "knn"
    label: ClassVar[str] = "k-NN"
    phrase: ClassVar[str] = "k nearest neighbours"
    rivals: ClassVar[Parameters] = {"knn": {}}
    is_iterative: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ValueError(f"k must be at least 1, got {self.k}")

    def stream_predictions(
        self, prefixes: Prefixes, steps: Steps = None
    ) -> Iterator[tuple[float, Float[Tensor, "prompt point"]]]:
        xs, ys = prefixes.whole.xs, prefixes.whole.ys
        predictions = torch.zeros_like(ys)
        for t in filter(None, prefixes.points):
            distances = (xs[:, :t] - xs[:, t, None]).square().sum(-1)
            nearest = distances.argsort(dim=-1, stable=True)[:, : self.k]
            predictions[:, t] = ys.gather(1, nearest).mean(-1)
        yield 0.0, prefixes.at_own_points(predictions)
