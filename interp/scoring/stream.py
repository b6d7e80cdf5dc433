"""Fresh prompts, batch by batch, with everything read from a model on them; saved activations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from hooks.activation_files import ActivationFile
from hooks.capture import FinalNorm, capture
from hooks.finite import index_of
from hooks.model import ModelConfig, SequenceModel
from hooks.sites import Site
from interp.progress import Progress as Progress
from interp.progress import silent as silent
from interp.tasks import Task
from interp.tasks.prompts import Prompts
from probes.references import Prefixes


@dataclass(frozen=True)
class SavedPrompts(Task):
    """The prompts of a file in the place of a distribution: always its first ones."""

    file: ActivationFile = field(repr=False)

    name = "saved_prompts"

    def sample(self, n_prompts: int, generator: torch.Generator) -> Prompts:
        del generator
        xs, ys = self.file.prompts(0, n_prompts)
        return Prompts(xs.double(), ys.double())

    def describe(self) -> dict[str, Any]:
        sizes = {"n_dims": self.n_dims, "n_points": self.n_points}
        return {"name": self.name, **sizes, "path": str(self.file.path)}


@dataclass(frozen=True)
class SavedActivations:
    """What `match` asks a model for, answered from a file."""

    file: ActivationFile

    @property
    def task(self) -> Task:
        return SavedPrompts(self.file.n_dims, self.file.n_points, self.file)

    @property
    def site_kinds(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(site.kind for site in self.file.sites))

    def sites(self, kind: str = "resid_post") -> tuple[Site, ...]:
        """The file's sites of one kind, from the first layer to the last.

        Raises:
            ValueError: It has none.
        """
        if kind not in self.site_kinds:
            known = ", ".join(self.site_kinds)
            raise ValueError(f"{self.file.path}: has {known}, not {kind!r}")
        return tuple(sorted(site for site in self.file.sites if site.kind == kind))

    @property
    def config(self) -> ModelConfig:
        """Sizes of the model that the activations are from, as far as the file shows."""
        return ModelConfig(
            n_dims=self.file.n_dims,
            n_points=self.file.n_points,
            n_layers=max(1, *(site.layer for site in self.file.sites)),
            d_model=self.file.width(self.file.sites[0].kind),
        )

    @property
    def provenance(self) -> dict[str, Any]:
        return {"path": str(self.file.path)}

    def describe(self) -> dict[str, Any]:
        return asdict(self.config)


Batch = tuple[Prefixes, Float[Tensor, "site prompt point d_model"], Float[Tensor, "prompt point"]]
"""Prefixes, activations and the model's own predictions."""
BATCH_SIZE = 512
MAX_BYTES = 2**26
"""Of the activations of one batch, about: what passes between layers then stays in the cache."""


def check_batch_size(batch_size: int | None) -> None:
    """Raises a `ValueError` if it is below 1."""
    if batch_size is not None and batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")


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
    points: Sequence[int] | None = None,
) -> Iterator[Batch]:
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
        points: Points to look at, in ascending order; all without them.

    Raises:
        NonFiniteError: An activation or prediction is NaN or infinite.
    """
    if isinstance(model, SavedActivations):
        stop = seed + n_prompts
        stream = model.file.stream(
            sites, batch_size=batch_size, start=seed, stop=stop, points=points
        )
    else:
        prompts = task.stream(n_prompts, seed=seed, batch_size=batch_size)
        stream = capture(model, prompts, sites, final_norm=final_norm, points=points)
    for batch in stream:
        prefixes = Prefixes(batch.xs, batch.ys)
        activations, predictions = batch.activations, batch.predictions
        if points is not None:
            prefixes, at = prefixes.at_points(points), index_of(points)
            activations, predictions = activations[:, :, at], predictions[:, at]
        yield prefixes, activations.cpu(), predictions.cpu()


def joined(parts: Iterable[Batch]) -> Batch:
    """Several batches as one."""
    prefixes, activations, predictions = zip(*parts, strict=True)
    return Prefixes.joined(prefixes), torch.cat(activations, 1), torch.cat(predictions)
