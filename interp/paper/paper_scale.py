"""Algorithms against each other at the paper's scale.

No checkpoint is needed: which step of an algorithm is most like a step of Newton is a fact about
the two on the paper's prompts, so the published match with Newton can be told in steps of others.
"""

from __future__ import annotations

from functools import cache

import torch
import xarray
from jaxtyping import Float
from torch import Tensor

from interp.analyses.algorithms import PAPER_TASK, compare_algorithms
from interp.paper.published import NEWTON_STEPS
from interp.paper.settings import Settings
from interp.tasks import Task
from probes.references import Prefixes

MOST_PROMPTS = 256
MOST_PAIRED_PROMPTS = 128
"""For pairs of algorithms, of which BFGS keeps a matrix a prefix."""


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


def published_steps_of(
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
