"""Fitting every read-out on one pass over the prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from hooks.capture import FinalNorm
from hooks.model import SequenceModel
from hooks.sites import Site
from interp.analyses.comparisons import Comparison
from interp.scoring.direct_targets import DirectTargets
from interp.scoring.saved_activations import SavedActivations
from interp.scoring.stream import Progress, batches, prompts_per_batch, silent
from interp.tasks import Task
from probes.readout import Readout
from probes.readout_fitter import ReadoutFitter
from probes.references import Prefixes


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

    @property
    def n_sites(self) -> int:
        return self.readout.weight.shape[0]


@dataclass(frozen=True)
class FittedReadouts:
    """Read-outs that are held fixed while scores are computed."""

    layers: Readout
    """Of y, from every site."""
    shuffled: Readout
    """Of other prompts' y, from every site: a control."""
    references: dict[str, Readout]
    """Of y, from each iterate's own prediction: a comparison's steps take the place of sites."""
    predictions: DirectReadouts
    """Of the iterates' predictions, from every site."""
    vectors: DirectReadouts
    """Of the iterates' weights and filtered queries, from the sites of the first kind."""


def fit_readouts(
    model: SequenceModel | SavedActivations,
    task: Task,
    sites: Sequence[Site],
    comparisons: Sequence[Comparison],
    budget: PromptBudget,
    seeds: tuple[int, int],
    *,
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
        final_norm: See `hooks.capture`.
        batch_size: Prompts a batch; by default as many as suit the sites' size.
        progress: Called after every batch.
    """
    fitted = _Fitters(model, task, sites, comparisons)
    held_out = _Fitters(model, task, sites, comparisons)
    total, done = budget.n_fit + budget.n_held_out, 0
    sizes = ((budget.n_fit, fitted, seeds[0]), (budget.n_held_out, held_out, seeds[1]))
    batch_size = batch_size or prompts_per_batch(model, task, len(sites))
    for n_prompts, fitters, seed in sizes:
        start = 0
        for prefixes, activations, _ in batches(
            model, task, sites, n_prompts, seed, final_norm, batch_size
        ):
            fitters.update_layers(prefixes, activations)
            if n_direct := leading(budget.n_predictions, start, prefixes):
                direct = prefixes.part(0, n_direct)
                fitters.update_predictions(
                    direct, activations[:, :n_direct], with_references=fitters is fitted
                )
                if n_vectors := leading(budget.n_vectors, start, prefixes):
                    fitters.vectors.update(direct.part(0, n_vectors), activations[:, :n_vectors])
            start += prefixes.n_prompts
            done += prefixes.n_prompts
            progress("fitting read-outs", done, total)
    return fitted.solve(held_out)


def leading(budget: int, start: int, prefixes: Prefixes) -> int:
    """How many prompts of a batch that begins at `start` lie within a budget."""
    return min(prefixes.n_prompts, max(0, budget - start))


class _DirectFitter:
    """Statistics of regressions onto iterates, from the first `n_sites` sites."""

    def __init__(self, targets: DirectTargets, n_sites: int, d_model: int) -> None:
        self.targets, self.n_sites = targets, n_sites
        self.fitter = ReadoutFitter(n_sites, d_model, targets.n_targets)

    def update(
        self,
        prefixes: Prefixes,
        activations: Float[Tensor, "site prompt point d_model"],
        known: Mapping[str, Float[Tensor, "_step prompt point"]] | None = None,
    ) -> None:
        for start, stop, values in self.targets.parts(prefixes, known):
            self.fitter.update(
                _samples(activations[: self.n_sites, start:stop, 1:]),
                rearrange(values, "prompt point target -> (prompt point) target"),
            )

    def solve(self, held_out: _DirectFitter) -> DirectReadouts:
        readout = self.fitter.select(held_out.fitter.statistics, per_target=True)
        return DirectReadouts(self.targets, readout)


class _Fitters:
    """The statistics of all read-outs."""

    def __init__(
        self,
        model: SequenceModel | SavedActivations,
        task: Task,
        sites: Sequence[Site],
        comparisons: Sequence[Comparison],
    ) -> None:
        d_model = model.config.d_model
        self.comparisons = comparisons
        self.layers = ReadoutFitter(len(sites), d_model, 1)
        self.shuffled = ReadoutFitter(len(sites), d_model, 1)
        self.references = {
            item.name: ReadoutFitter(len(item.grid.steps), 1, 1) for item in comparisons
        }
        n_first_kind = sum(site.kind == sites[0].kind for site in sites)
        self.predictions = _DirectFitter(
            DirectTargets.predictions(comparisons, task.n_dims), len(sites), d_model
        )
        self.vectors = _DirectFitter(
            DirectTargets.vectors(comparisons, task.n_dims), n_first_kind, d_model
        )

    def update_layers(
        self, prefixes: Prefixes, activations: Float[Tensor, "site prompt point d_model"]
    ) -> None:
        samples = _samples(activations)
        self.layers.update(samples, _column(prefixes.ys))
        self.shuffled.update(samples, _column(other_prompts(prefixes.ys)))

    def update_predictions(
        self,
        prefixes: Prefixes,
        activations: Float[Tensor, "site prompt point d_model"],
        *,
        with_references: bool,
    ) -> None:
        """Adds to the regressions onto iterates and, `with_references`, of y onto iterates."""
        if not with_references:
            self.predictions.update(prefixes, activations)
            return
        iterates = {item.name: item.iterates(prefixes) for item in self.comparisons}
        self.predictions.update(prefixes, activations, iterates)
        column = _column(prefixes.ys)
        for name, values in iterates.items():
            samples = rearrange(values, "step prompt point -> step (prompt point) 1")
            self.references[name].update(samples, column)

    def solve(self, held_out: _Fitters) -> FittedReadouts:
        return FittedReadouts(
            layers=self.layers.select(held_out.layers.statistics),
            shuffled=self.shuffled.select(held_out.shuffled.statistics),
            references={name: fitter.solve([0.0])[0] for name, fitter in self.references.items()},
            predictions=self.predictions.solve(held_out.predictions),
            vectors=self.vectors.solve(held_out.vectors),
        )


def other_prompts(ys: Float[Tensor, "prompt point"]) -> Float[Tensor, "prompt point"]:
    """Every prompt's neighbour's y: targets that its activations cannot know."""
    return ys.roll(1, 0)


def _samples(
    activations: Float[Tensor, "site prompt point d_model"],
) -> Float[Tensor, "site sample d_model"]:
    return rearrange(activations, "site prompt point d_model -> site (prompt point) d_model")


def _column(ys: Float[Tensor, "prompt point"]) -> Float[Tensor, "sample 1"]:
    return rearrange(ys, "prompt point -> (prompt point) 1")
