"""The posterior mean under a prior on finitely many tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from probes.references.prefixes import Prefixes
from probes.references.without_steps import WithoutSteps


@dataclass(frozen=True)
class DiscretePrior(WithoutSteps):
    """dMMSE: E[w | prefix] for w uniform on a finite set (Raventós et al. 2023).

    Each task's posterior probability falls with its squared error over 2 noise_std^2; without
    noise the tasks of smallest error share it. At point 0 it predicts with the mean of the tasks.

    >>> tasks = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    >>> likelihood = np.exp(-((X @ tasks.T - y[:, None]) ** 2).sum(0) / (2 * 0.5**2))
    >>> same(DiscretePrior(tasks, noise_std=0.5), likelihood @ tasks / likelihood.sum())
    True
    """

    tasks: Sequence[Sequence[float]] | Float[Tensor, "task dim"] | None = field(
        default=None, repr=False, compare=False
    )
    """The weight vectors w that the model was trained on."""
    noise_std: float = 0.0
    """Standard deviation of the noise on y."""

    key: ClassVar[str] = "dmmse"
    label: ClassVar[str] = "Discrete prior"
    phrase: ClassVar[str] = "the posterior mean under a discrete prior"
    uses_directions: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 <= self.noise_std < torch.inf:
            raise ValueError(f"noise_std must be at least 0 and finite, got {self.noise_std}")
        if self.tasks is not None and (self._tasks.ndim != 2 or 0 in self._tasks.shape):
            raise ValueError(f"tasks must be [task, dim], got shape {tuple(self._tasks.shape)}")

    @property
    def name(self) -> str:
        noise = f", noise_std={self.noise_std}" if self.noise_std else ""
        return self.key if self.tasks is None else f"{self.key}(tasks={len(self.tasks)}{noise})"

    def solve(self, prefixes: Prefixes) -> Float[Tensor, "prompt point dim"]:
        if self.tasks is None:
            raise ValueError("dmmse needs the tasks of its prior, [task, dim], got None")
        tasks = self._tasks.to(prefixes.xs.device)
        if tasks.shape[1] != prefixes.n_dims:
            raise ValueError(f"tasks have {tasks.shape[1]} dims, the prompts {prefixes.n_dims}")
        weights = torch.empty_like(prefixes.xs)
        squared_error = prefixes.xs.new_zeros(prefixes.n_prompts, len(tasks))
        for t in range(prefixes.n_points):
            weights[:, t] = self._posterior(squared_error) @ tasks
            residuals = prefixes.xs[:, t] @ tasks.T - prefixes.ys[:, t, None]
            squared_error += residuals.square()
        return weights

    @property
    def _tasks(self) -> Float[Tensor, ...]:
        return torch.as_tensor(self.tasks, dtype=torch.float64)

    def _posterior(
        self, squared_error: Float[Tensor, "prompt task"]
    ) -> Float[Tensor, "prompt task"]:
        if self.noise_std:
            return (-squared_error / (2 * self.noise_std**2)).softmax(-1)
        best = (squared_error == squared_error.amin(-1, keepdim=True)).to(squared_error.dtype)
        return best / best.sum(-1, keepdim=True)
