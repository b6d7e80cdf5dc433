"""Prompts of a task with a model's activations and predictions, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from jaxtyping import Float
from torch import Tensor

from hooks.capture import FinalNorm, capture
from hooks.model import SequenceModel
from hooks.sites import Site
from interp.progress import Progress as Progress
from interp.progress import silent as silent
from interp.scoring.saved_activations import SavedActivations
from interp.tasks import Task
from probes.references import Prefixes

BATCH_SIZE = 512
MAX_BYTES = 2**28
"""Of the activations of one batch, about."""


def prompts_per_batch(model: SequenceModel | SavedActivations, task: Task, n_sites: int) -> int:
    """Prompts of a batch whose float32 activations fit `MAX_BYTES`, at most `BATCH_SIZE`."""
    bytes_per_prompt = 4 * n_sites * task.n_points * model.config.d_model
    return max(1, min(BATCH_SIZE, MAX_BYTES // bytes_per_prompt))


def batches(
    model: SequenceModel | SavedActivations,
    task: Task,
    sites: Sequence[Site],
    n_prompts: int,
    seed: int,
    final_norm: FinalNorm = "official",
    batch_size: int = BATCH_SIZE,
) -> Iterator[
    tuple[Prefixes, Float[Tensor, "site prompt point d_model"], Float[Tensor, "prompt point"]]
]:
    """Prefixes, activations and the model's own predictions, batch by batch.

    Args:
        model: A hooked model, or activations from a file.
        task: Where prompts come from.
        sites: Where the model is read.
        n_prompts: How many prompts.
        seed: Of the prompts. Saved activations were drawn once and for all: for them it is the
            index of the first prompt.
        final_norm: See `hooks.capture`.
        batch_size: Prompts a batch.

    Raises:
        NonFiniteError: An activation or prediction is NaN or infinite.
    """
    if isinstance(model, SavedActivations):
        stop = seed + n_prompts
        stream = model.file.stream(sites, batch_size=batch_size, start=seed, stop=stop)
    else:
        prompts = task.stream(n_prompts, seed=seed, batch_size=batch_size)
        stream = capture(model, prompts, sites, final_norm=final_norm)
    for batch in stream:
        yield Prefixes(batch.xs, batch.ys), batch.activations.cpu(), batch.predictions.cpu()
