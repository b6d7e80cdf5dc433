"""The paper's prompts and step size, and algorithms against each other on them.

No checkpoint is needed: which step of an algorithm is most like a step of Newton is a fact about
the two on the paper's prompts, so the published match with Newton translates into steps of others.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
import xarray
from jaxtyping import Float
from torch import Tensor

from interp.analyses.algorithms import PAPER_TASK, compare_algorithms
from interp.studies.paper.published import NEWTON_STEPS
from interp.tasks import Task
from probes.references import Prefixes

N_GROUPS = 32
"""Groups of prompts that the bootstrap draws from."""
N_REPLICATES = 200
OFFICIAL_ETA = 0.01
"""GD's step size in the official code."""
MOST_PROMPTS = 256


@dataclass(frozen=True)
class Settings:
    """Sizes that every row shares."""

    n_prompts: int = 1024
    """To score on; read-outs are fitted on twice as many others."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.n_prompts < N_GROUPS:
            raise ValueError(f"n_prompts must be at least {N_GROUPS}, got {self.n_prompts}")
        if self.seed < 0:
            raise ValueError(f"seed must be at least 0, got {self.seed}")

    @property
    def n_scored(self) -> int:
        """`n_prompts`, rounded up to a multiple of `N_GROUPS`."""
        return -(-self.n_prompts // N_GROUPS) * N_GROUPS

    def few(self, most: int) -> int:
        """As `n_scored` but at most about `most`, for what costs more a prompt."""
        return min(self.n_scored, -(-most // N_GROUPS) * N_GROUPS)


def official_eta(prefixes: Prefixes) -> float:
    """The official code's step size of GD where it converges, else 1 / the largest eigenvalue."""
    largest = prefixes.eigenvalues.max().item()
    return OFFICIAL_ETA if OFFICIAL_ETA * largest < 2 else 1 / largest


@cache
def paper_prefixes(settings: Settings, task: Task = PAPER_TASK) -> Prefixes:
    """Prompts of the paper's size, decomposed once for all model-free rows."""
    n_prompts = settings.few(MOST_PROMPTS)
    [prompts] = task.stream(n_prompts, seed=settings.seed, batch_size=n_prompts)
    return Prefixes(prompts.xs, prompts.ys)


@cache
def compare(a: str, b: str, settings: Settings, task: Task = PAPER_TASK) -> xarray.Dataset:
    """`compare_algorithms` at the paper's scale, computed once a pair."""
    return compare_algorithms(a, b, task, n_prompts=settings.few(MOST_PROMPTS), seed=settings.seed)


def translated_steps(
    name: str, settings: Settings, task: Task = PAPER_TASK
) -> Float[Tensor, " layer"]:
    """Steps of a reference most like the published best-matching steps of Newton, layers 1 to 12.

    Args:
        name: Key of the reference.
        settings: How many prompts, and their seed.
        task: Where the prompts come from.
    """
    found = compare("newton", name, settings, task)
    return torch.from_numpy(found.best_step.sel(step_a=list(map(float, NEWTON_STEPS))).values)
