"""Fitting every read-out on one pass over the prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from hooks.capture import FinalNorm
from hooks.model import SequenceModel
from hooks.sites import Site
from interp.scoring.direct_targets import TARGETS, DirectTargets
from interp.scoring.stream import Progress, SavedActivations, batches, prompts_per_batch, silent
from interp.tasks import Task
from probes.candidate import Candidate
from probes.readout import Readout
from probes.readout_fitter import ReadoutFitter
from probes.references import Prefixes
from probes.statistics import RegressionStatistics


@dataclass(frozen=True)
class PromptBudget:
    """How many prompts each part of an analysis sees."""

    n_fit: int
    """For the read-outs of y."""
    n_held_out: int
    """For the choice of ridge strengths."""
    n_evaluate: int
    """For every score; never seen by a read-out."""
    n_predictions: int
    """Of each of these, at most how many serve regressions onto the iterates' predictions …"""
    n_vectors: int
    """… and onto their weights and filtered queries."""


@dataclass(frozen=True)
class DirectReadouts:
    """Read-outs of iterates, for the first `n_sites` sites."""

    targets: DirectTargets
    readout: Readout
    n_prompts: int
    """To fit on, and to score them on."""

    @property
    def n_sites(self) -> int:
        return self.readout.weight.shape[0]


@dataclass(frozen=True)
class FittedReadouts:
    """Read-outs that are held fixed while scores are computed."""

    layers: Readout
    """Of y and, as a control, of other prompts' y, from every site."""
    references: dict[str, Readout]
    """Of y, from each iterate's own prediction: a comparison's steps take the place of sites."""
    direct: tuple[DirectReadouts, ...]
    """Of the iterates' predictions, from every site; and of their weights and filtered queries,
    from the sites of the first kind."""


def fit_readouts(
    model: SequenceModel | SavedActivations,
    task: Task,
    sites: Sequence[Site],
    comparisons: Sequence[Candidate],
    budget: PromptBudget,
    seeds: tuple[int, int],
    *,
    targets: Sequence[str] = tuple(TARGETS),
    points: Sequence[int] | None = None,
    final_norm: FinalNorm = "official",
    batch_size: int | None = None,
    progress: Progress = silent,
) -> FittedReadouts:
    """Streams prompts through the model once and solves for all read-outs.

    Args:
        model: The model.
        task: Where the prompts come from.
        sites: Where the model is read.
        comparisons: What it is compared with.
        budget: How many prompts to use.
        seeds: Of the prompts to fit on, and of those to choose ridge strengths on; see `batches`.
        targets: What of the iterates is read, "prediction" among it.
        points: Points to look at; all without them.
        final_norm: See `hooks.capture`.
        batch_size: Prompts a batch; by default as many as suit the sites' size.
        progress: Called after every batch.
    """
    n_first_kind = sum(site.kind == sites[0].kind for site in sites)
    direct = [
        (DirectTargets.predictions(comparisons, task.n_dims), len(sites), budget.n_predictions)
    ]
    if vectors := tuple(target for target in targets if target != "prediction"):
        of_vectors = DirectTargets.vectors(comparisons, task.n_dims, vectors)
        direct.append((of_vectors, n_first_kind, budget.n_vectors))
    fitted, held_out = (
        _Fitters(len(sites), model.config.d_model, comparisons, direct) for _ in range(2)
    )
    total, done = budget.n_fit + budget.n_held_out, 0
    sizes = ((budget.n_fit, fitted, seeds[0]), (budget.n_held_out, held_out, seeds[1]))
    batch_size = batch_size or prompts_per_batch(model, task, len(sites))
    for n_prompts, fitters, seed in sizes:
        start = 0
        for prefixes, activations, _ in batches(
            model, task, sites, n_prompts, seed, final_norm, batch_size, points
        ):
            fitters.update(prefixes, activations, start, with_references=fitters is fitted)
            start += prefixes.n_prompts
            done += prefixes.n_prompts
            progress("fitting read-outs", done, total)
    return fitted.solve(held_out)


def leading(budget: int, start: int, prefixes: Prefixes) -> int:
    """How many prompts of a batch that begins at `start` lie within a budget."""
    return min(prefixes.n_prompts, max(0, budget - start))


class _Fitters:
    """The statistics of all read-outs."""

    def __init__(
        self,
        n_sites: int,
        d_model: int,
        comparisons: Sequence[Candidate],
        direct: Sequence[tuple[DirectTargets, int, int]],
    ) -> None:
        """Starts without prompts; `direct` has targets, and how many sites and prompts they get."""
        self.comparisons, self.direct = comparisons, direct
        self.layers = ReadoutFitter(n_sites, d_model, 2)
        self.references = {
            item.name: ReadoutFitter(len(item.grid.steps), 1, 1) for item in comparisons
        }
        self.iterates = [ReadoutFitter(n, d_model, targets.n_targets) for targets, n, _ in direct]

    def update(
        self,
        prefixes: Prefixes,
        activations: Float[Tensor, "site prompt point d_model"],
        start: int,
        *,
        with_references: bool,
    ) -> None:
        """Adds the prompts from `start` on; to read-outs of y from iterates `with_references`."""
        ys = torch.stack([prefixes.ys, other_prompts(prefixes.ys)], -1)
        self.layers.update(activations.flatten(1, 2), ys.flatten(0, 1))
        known: dict[str, Tensor] = {}
        for (targets, n_sites, n_prompts), fitter in zip(self.direct, self.iterates, strict=True):
            if not (n := leading(n_prompts, start, prefixes)):
                return
            prefixes = prefixes.part(0, n)
            if with_references and not known:
                known = {item.name: item.iterates(prefixes) for item in self.comparisons}
                column = rearrange(prefixes.ys, "prompt point -> (prompt point) 1")
                for name, values in known.items():
                    samples = rearrange(values, "step prompt point -> step (prompt point) 1")
                    self.references[name].update(samples, column)
            for first, stop, values in targets.parts(prefixes, known):
                samples = activations[:n_sites, first:stop, prefixes.n_unseen :].flatten(1, 2)
                fitter.update(samples, values.flatten(0, 1))

    def solve(self, held_out: _Fitters) -> FittedReadouts:
        direct = [
            DirectReadouts(targets, _select(mine.statistics, theirs.statistics), n_prompts)
            for (targets, _, n_prompts), mine, theirs in zip(
                self.direct, self.iterates, held_out.iterates, strict=True
            )
        ]
        return FittedReadouts(
            self.layers.select(held_out.layers.statistics, per_target=True),
            {name: fitter.solve([0.0])[0] for name, fitter in self.references.items()},
            tuple(direct),
        )


def _select(fitted: RegressionStatistics, held_out: RegressionStatistics) -> Readout:
    """The best read-out of every target, site by site: those of all strengths fill the memory."""
    chosen = [
        ReadoutFitter.from_statistics(fitted.site(index)).select(
            held_out.site(index), per_target=True
        )
        for index in range(fitted.n_sites)
    ]
    return Readout(
        torch.cat([one.weight for one in chosen]),
        torch.cat([one.bias for one in chosen]),
        torch.cat([one.ridge for one in chosen]),
    )


def other_prompts(ys: Float[Tensor, "prompt point"]) -> Float[Tensor, "prompt point"]:
    """Every prompt's neighbour's y: targets that its activations cannot know."""
    return ys.roll(1, 0)
