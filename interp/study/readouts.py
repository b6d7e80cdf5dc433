"""Read-outs of one model from any number of prompts, gathered by any number of workers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
import xarray
from einops import rearrange

from hooks.capture import FinalNorm, capture
from hooks.model import SequenceModel
from interp.analyses.comparisons import default_comparisons
from interp.scoring.direct_targets import DirectTargets
from interp.study.analysis import Analysis, at_least
from interp.tasks import Task
from probes.candidate import Candidate, select
from probes.matching import best_match
from probes.readout import Readout
from probes.readout_fitter import ReadoutFitter, validation_error
from probes.references import Prefixes
from probes.ridge import ValidationError
from probes.statistics import RegressionStatistics

PROMPTS_PER_SHARD = 4096
MAX_SHARDS = 256
HELD_OUT_SHARE = 5
"""One prompt in five serves the choice of ridge strengths and the errors."""

ROLES = ("fit", "held_out")
FIELDS: dict[str, tuple[str, ...]] = {
    "count": ("group",),
    "feature_mean": ("group", "site", "feature"),
    "target_mean": ("group", "target_site", "target"),
    "feature_scatter": ("group", "site", "feature", "other_feature"),
    "cross_scatter": ("group", "site", "feature", "target"),
    "target_scatter": ("group", "target_site", "target"),
}
"""Axes of each field of `probes.statistics.RegressionStatistics`."""


class Gathered(NamedTuple):
    """Sufficient statistics of two sets of prompts, for y and for iterates."""

    y: dict[str, RegressionStatistics]
    """By role, from every point."""
    iterates: dict[str, RegressionStatistics]
    """By role, from the points that have seen a pair; empty where none are asked for."""

    def merge(self, other: Gathered) -> Gathered:
        """Of both sets of samples together."""
        return Gathered(
            *(
                {role: mine[role].merge(theirs[role]) for role in mine}
                for mine, theirs in zip(self, other, strict=True)
            )
        )


@dataclass(frozen=True)
class ReadoutAnalysis(Analysis):
    """Held-out errors of affine read-outs of y and, by the direct protocol, of iterates.

    The prompts are cut into shards, each a part of its own with its own seed; what a shard leaves
    are sufficient statistics, whose size does not depend on its prompts and which add up to those
    of all prompts. Shards are added in their order: any number of workers gives the same bits.
    """

    n_prompts: int = 16_384
    n_shards: int = 0
    """Parts to cut the prompts into; 0 for one in every 4,096 prompts, at most 256."""
    references: tuple[str, ...] = ("newton", "gd")
    """Whose iterates are read as well, by name in `interp.analyses.comparisons`."""
    site_kind: str = "resid_post"
    final_norm: FinalNorm = "official"
    batch_size: int = 512

    name: ClassVar[str] = "readouts"

    def __post_init__(self) -> None:
        at_least(HELD_OUT_SHARE, self, "n_prompts")
        at_least(0, self, "n_shards")
        at_least(1, self, "batch_size")
        if self.n_prompts < HELD_OUT_SHARE * self.n_parts:
            raise ValueError(
                f"n_shards must be at most n_prompts / {HELD_OUT_SHARE}, got {self.n_shards}"
            )

    @property
    def n_parts(self) -> int:
        return self.n_shards or min(MAX_SHARDS, -(-self.n_prompts // PROMPTS_PER_SHARD))

    def run(self, model: SequenceModel, task: Task, seed: int, part: int) -> xarray.Dataset:
        """The statistics of one shard."""
        dataset = _to_dataset(self.gather(model, task, seed, part))
        return dataset.assign_coords(layer=[site.layer for site in model.sites(self.site_kind)])

    def join(self, parts: Iterable[xarray.Dataset], task: Task) -> xarray.Dataset:
        """Errors by layer, R^2 by layer, reference and step, and the best step of each."""
        layers = None
        gathered: Gathered | None = None
        for part in parts:
            layers, shard = part.layer, _from_dataset(part)
            gathered = shard if gathered is None else gathered.merge(shard)
        assert gathered is not None
        assert layers is not None
        error = _validated(gathered.y)
        data: dict[str, Any] = {
            "error": ("layer", error.mse[0, :, 0].numpy() / task.n_dims),
            "r2": ("layer", error.r2[0, :, 0].numpy()),
        }
        coords: dict[str, Any] = {"layer": layers.values}
        if gathered.iterates:
            r2 = _validated(gathered.iterates).r2[0]
            comparisons = self._comparisons(task)
            blocks = DirectTargets.predictions(comparisons, task.n_dims).blocks
            found = [
                best_match(r2[:, block.columns], item.prediction_grid)
                for block, item in zip(blocks, comparisons, strict=True)
            ]
            for name, rows in (
                ("iterate_best_step", [match.step for match in found]),
                ("iterate_best_r2", [match.similarity for match in found]),
            ):
                data[name] = (("reference", "layer"), torch.stack(rows).numpy())
            coords["reference"] = list(self.references)
        return xarray.Dataset(data, coords)

    def gather(self, model: SequenceModel, task: Task, seed: int, part: int) -> Gathered:
        """Streams one shard's prompts through the model.

        Raises:
            ValueError: `part` is not one of the shards.
        """
        pairs = [
            self._shard(model, task, n_prompts, shard_seed)
            for n_prompts, shard_seed in zip(self.sizes(part), self.seeds(seed, part), strict=True)
        ]
        y = {role: pair[0] for role, pair in zip(ROLES, pairs, strict=True)}
        iterates = {
            role: pair[1] for role, pair in zip(ROLES, pairs, strict=True) if pair[1] is not None
        }
        return Gathered(y, iterates)

    def sizes(self, part: int) -> tuple[int, int]:
        """Prompts of a shard that are fitted on, and that are held out.

        Raises:
            ValueError: `part` is not one of the shards.
        """
        if not 0 <= part < self.n_parts:
            raise ValueError(f"part must be in 0..{self.n_parts - 1}, got {part}")
        first, end = (index * self.n_prompts // self.n_parts for index in (part, part + 1))
        n_held_out = max(1, (end - first) // HELD_OUT_SHARE)
        return end - first - n_held_out, n_held_out

    def seeds(self, seed: int, part: int) -> tuple[int, int]:
        """Of the prompts that a shard fits on, and of those that it holds out."""
        first, second = np.random.SeedSequence([seed, part]).generate_state(2).tolist()
        return first, second

    def _shard(
        self, model: SequenceModel, task: Task, n_prompts: int, seed: int
    ) -> tuple[RegressionStatistics, RegressionStatistics | None]:
        sites, width = model.sites(self.site_kind), model.config.d_model
        y = ReadoutFitter(len(sites), width, 1)
        targets, iterates = None, None
        if self.references:
            targets = DirectTargets.predictions(self._comparisons(task), task.n_dims)
            iterates = ReadoutFitter(len(sites), width, targets.n_targets)
        prompts = task.stream(n_prompts, seed=seed, batch_size=self.batch_size)
        for batch in capture(model, prompts, sites, final_norm=self.final_norm):
            activations = batch.activations.cpu()
            y.update(activations.flatten(1, 2), batch.ys.flatten()[:, None])
            if targets is not None and iterates is not None:
                values = targets.compute(Prefixes(batch.xs, batch.ys))
                iterates.update(
                    activations[:, :, 1:].flatten(1, 2),
                    rearrange(values, "prompt point target -> (prompt point) target"),
                )
        return y.statistics, iterates.statistics if iterates is not None else None

    def _comparisons(self, task: Task) -> tuple[Candidate, ...]:
        known = default_comparisons(task)
        return tuple(select(known, name) for name in self.references)


def readout_of(statistics: dict[str, RegressionStatistics]) -> Readout:
    """The read-outs that do best on the held-out samples."""
    return ReadoutFitter.from_statistics(statistics["fit"]).select(statistics["held_out"])


def _validated(statistics: dict[str, RegressionStatistics]) -> ValidationError:
    return validation_error(readout_of(statistics), statistics["held_out"])


def _to_dataset(gathered: Gathered) -> xarray.Dataset:
    data = {}
    for what, by_role in gathered._asdict().items():
        for role, statistics in by_role.items():
            for name, axes in FIELDS.items():
                dims = [f"{what}_{axis}" if "target" in axis else axis for axis in axes]
                data[f"{what}-{role}-{name}"] = (dims, getattr(statistics, name).numpy())
    return xarray.Dataset(data)


def _from_dataset(dataset: xarray.Dataset) -> Gathered:
    found: dict[str, dict[str, RegressionStatistics]] = {what: {} for what in Gathered._fields}
    for what, by_role in found.items():
        for role in ROLES:
            prefix = f"{what}-{role}-"
            if f"{prefix}count" in dataset:
                by_role[role] = RegressionStatistics(
                    *(torch.from_numpy(dataset[f"{prefix}{name}"].values.copy()) for name in FIELDS)
                )
    return Gathered(**found)
