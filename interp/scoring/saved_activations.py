"""Activations from a file in the place of a model and of a task."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import torch

from hooks.activation_files import ActivationFile
from hooks.model import ModelConfig
from hooks.sites import Site
from interp.tasks.prompts import Prompts, Task


@dataclass(frozen=True)
class SavedPrompts(Task):
    """The prompts of a file in the place of a distribution: always its first ones."""

    file: ActivationFile = field(repr=False)

    name = "saved_prompts"

    def sample(self, n_prompts: int, generator: torch.Generator) -> Prompts:
        del generator
        [batch] = self.file.stream(self.file.sites[:1], batch_size=n_prompts, stop=n_prompts)
        return Prompts(batch.xs.double(), batch.ys.double())

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

    @cached_property
    def config(self) -> ModelConfig:
        """Sizes of the model that the activations are from, as far as the file shows."""
        [first] = self.file.stream(self.file.sites[:1], batch_size=1, stop=1)
        return ModelConfig(
            n_dims=self.file.n_dims,
            n_points=self.file.n_points,
            n_layers=max(1, *(site.layer for site in self.file.sites)),
            d_model=first.activations.shape[-1],
        )

    @property
    def provenance(self) -> dict[str, Any]:
        return {"path": str(self.file.path)}

    def describe(self) -> dict[str, Any]:
        return asdict(self.config)
