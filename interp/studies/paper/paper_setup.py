"""The paper's prompts, step size and printed numbers (Fu et al. 2024), and algorithms on them.

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
from interp.tasks import Task
from probes.references import Prefixes

NEWTON_STEPS: tuple[int, ...] = (1, 1, 3, 5, 8, 10, 14, 17, 20, 21, 21, 21)
"""Best-matching step of Iterative Newton, layers 1 to 12 (Fig. 8)."""
NEWTON_SIMILARITY: tuple[float, ...] = (
    0.920, 0.920, 0.929, 0.923, 0.927, 0.954, 0.980, 0.988, 0.993, 0.993, 0.994, 0.994,
)  # fmt: skip
"""SimE at that step (Fig. 8)."""
NEWTON_STEPS_A_LAYER = 3.0
"""From layer 3 to layer 9, "about"."""
LAST_SIMILARITY_OF_WEIGHTS = 0.974
"""SimW of the last layer with Newton (Fig. 9)."""
ILL_CONDITIONED_NEWTON_STEPS = 21
"""Of the last layer, "about" (Fig. 4)."""
ILL_CONDITIONED_GD_STEPS = (2000, 3000)
"""Of the last layer, "about" (Fig. 4)."""
TABLE_1: dict[str, dict[str, float]] = {
    "newton": {"transformer": 0.991, "lstm": 0.920},
    "gd": {"transformer": 0.957, "lstm": 0.916},
    "ogd": {"transformer": 0.806, "lstm": 0.954},
}
"""SimE of the models' predictions with each algorithm at its best step (Table 1)."""
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
