"""Prompts, and what every distribution of prompts can do."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

LARGEST = 10**15
"""Of any number of a task, such as its condition number."""
MOST_NUMBERS = 10**7
"""Of a prompt and what it is drawn with."""


class Prompts(NamedTuple):
    """A batch of prompts, in float64."""

    xs: Float[Tensor, "prompt point dim"]
    ys: Float[Tensor, "prompt point"]
    weights: Float[Tensor, "prompt dim"] | None = None
    """The w that made each prompt's ys, where the task is linear."""


@dataclass(frozen=True)
class Task:
    """A distribution of prompts. The same seed gives the same prompts on any batch split."""

    n_dims: int
    n_points: int

    name: ClassVar[str]

    def __post_init__(self) -> None:
        for field in ("n_dims", "n_points"):
            if getattr(self, field) < 1:
                raise ValueError(f"{field} must be at least 1, got {getattr(self, field)}")
        for field, value in vars(self).items():
            if isinstance(value, int | float) and not abs(value) <= LARGEST:
                raise ValueError(f"{field} must be at most {LARGEST:,}, got {value}")
        if self.n_dims * max(self.n_dims, self.n_points) > MOST_NUMBERS:
            raise ValueError(
                f"n_dims and n_points must make prompts of at most {MOST_NUMBERS:,} numbers, got "
                f"{self.n_dims} and {self.n_points}"
            )

    @abstractmethod
    def sample(self, n_prompts: int, generator: torch.Generator) -> Prompts:
        """Draws prompts; two calls draw what one call for the sum of them would have."""

    def fresh_targets(
        self,
        xs: Float[Tensor, "prompt point dim"],
        generator: torch.Generator,
    ) -> Float[Tensor, "prompt point"] | None:
        """Other targets for the same xs; None unless all of the following hold.

        Given its xs, a prompt's y is Gaussian with mean 0 and linear in x but for independent
        noise; its xs are Gaussian with one covariance that prefers no direction over prompts.
        """
        return None

    def stream(self, n_prompts: int, *, seed: int, batch_size: int = 512) -> Iterator[Prompts]:
        """Yields `n_prompts` prompts in batches; only one batch is ever held.

        Raises:
            ValueError: `n_prompts` or `batch_size` is below 1, or `seed` out of range.
        """
        if not 0 <= seed < 2**63:
            raise ValueError(f"seed must be in 0..{2**63 - 1}, got {seed}")
        for name, value in (("n_prompts", n_prompts), ("batch_size", batch_size)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        generator = torch.Generator().manual_seed(seed)
        for start in range(0, n_prompts, batch_size):
            yield self.sample(min(batch_size, n_prompts - start), generator)

    def describe(self) -> dict[str, Any]:
        """The task as plain values, as stored in recipes and results."""
        return {"name": self.name, **asdict(self)}


def standard_normal_rows(
    n_rows: int, n_columns: int, generator: torch.Generator
) -> Float[Tensor, "row column"]:
    """Standard normal numbers such that drawing rows in parts gives the same as in one go.

    torch fills normals in groups of 16 from as many uniforms, so rows a multiple of 16 long take
    from the generator the same numbers however many rows are drawn at once.
    """
    padded = -(-n_columns // 16) * 16
    rows = torch.randn(n_rows, padded, dtype=torch.float64, generator=generator)
    return rows[:, :n_columns]


def inner_products(
    left: Float[Tensor, "prompt ..."], right: Float[Tensor, "prompt ..."]
) -> Float[Tensor, "prompt ..."]:
    """Sums of products over the last axis; other axes broadcast.

    Unlike those of a matrix product, their last digits do not depend on how many prompts there are.
    """
    return (left * right).contiguous().sum(-1)
