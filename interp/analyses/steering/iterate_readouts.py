"""Which iterate every layer of a model holds, and the maps that read it from its tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor

from hooks.finite import check_finite
from hooks.interventions import record
from hooks.model import SequenceModel
from interp.analyses.steering.token_positions import TokenPositions, values_at
from interp.scoring.stream import Progress
from interp.tasks import Task
from probes.candidate import Candidate
from probes.controls.shuffles import derangement
from probes.readout import Readout
from probes.readout_fitter import ReadoutFitter, validation_error
from probes.references import Prefixes
from probes.statistics import RegressionStatistics

N_FIT_BATCHES = 4
"""Of which the last is held out, to choose ridge strengths and to measure R^2."""


@dataclass(frozen=True)
class IterateKind:
    """What is looked for: iterates of a reference, as one of `STEERED`."""

    comparison: Candidate
    target: str

    @property
    def steps(self) -> list[float]:
        """The grid of the direct protocol and every small whole number."""
        return sorted({*self.comparison.grid_of(self.target).steps, *map(float, range(17))})


@dataclass(frozen=True)
class IterateReadouts:
    """Every layer's best-held iterate and the maps that read it."""

    steps: Float[Tensor, " layer"]
    r2: Float[Tensor, "role layer"]
    weights: tuple[Float[Tensor, "layer d width"], ...]
    """For each role."""
    shuffled: tuple[Float[Tensor, "layer d width"], ...]
    """The same for targets of other prompts."""


class _Statistics:
    """Statistics of read-outs of all steps of one pair, from all layers."""

    def __init__(self, pair: IterateKind) -> None:
        self.pair = pair
        self.fitters: dict[tuple[int, bool], ReadoutFitter] = {}
        """By role and whether held out."""
        self.shuffled: dict[int, ReadoutFitter] = {}
        """By role, on targets of other prompts."""

    def update(
        self,
        role_index: int,
        is_held_out: bool,
        features: Float[Tensor, "layer prompt place d"],
        values: Float[Tensor, "step prompt place width"],
        shuffle: Int[Tensor, " prompt"],
    ) -> None:
        n_steps, _, _, width = values.shape
        sizes = features.shape[0], features.shape[-1], n_steps * width

        def add(fitter: ReadoutFitter, targets: Float[Tensor, "step prompt place width"]) -> None:
            flat = rearrange(targets, "step prompt place width -> (prompt place) (step width)")
            fitter.update(features.flatten(1, 2), flat)

        key = (role_index, is_held_out)
        add(self.fitters.setdefault(key, ReadoutFitter(*sizes)), values)
        if not is_held_out:
            fitter = self.shuffled.setdefault(role_index, ReadoutFitter(*sizes))
            add(fitter, values[:, shuffle])

    def at_best_step(self, roles: Sequence[TokenPositions]) -> IterateReadouts:
        """Chooses every layer's step by the queries' R^2, and the read-outs of that step."""
        steps = torch.tensor(self.pair.steps, dtype=torch.float64)
        n = len(steps)
        best = torch.zeros(0, dtype=torch.long)
        r2: list[Tensor] = []
        weights: list[Tensor] = []
        shuffled: list[Tensor] = []
        for index in range(len(roles)):
            fitter, held_out = self.fitters[index, False], self.fitters[index, True].statistics
            readout = fitter.select(held_out, per_target=True)
            by_step = self._r2(readout, held_out)
            if index == 0:
                best = by_step.argmax(1)
            layers = torch.arange(len(best))
            r2.append(by_step[layers, best])
            alike = self.shuffled[index].resample(torch.ones(1, 1).double(), readout.ridge)
            for kept, weight in ((weights, readout.weight), (shuffled, alike.weight[0])):
                by_layer = rearrange(weight, "layer d (step width) -> layer d step width", step=n)
                kept.append(by_layer[layers, :, best])
        return IterateReadouts(steps[best], torch.stack(r2), tuple(weights), tuple(shuffled))

    def _r2(self, readout: Readout, held_out: RegressionStatistics) -> Float[Tensor, "layer step"]:
        r2 = validation_error(readout, held_out).r2[0]
        n_steps = len(self.pair.steps)
        by_step = rearrange(r2, "layer (step width) -> layer step width", step=n_steps)
        # A target that never varies, such as a first iterate of zeros, is held by nobody.
        spread = held_out.pooled().target_scatter[0, 0] > 0
        varies = rearrange(spread, "(step width) -> step width", step=n_steps).all(-1)
        return torch.where(varies, by_step.mean(-1), -torch.inf)


def fit_iterate_readouts(
    model: SequenceModel,
    task: Task,
    batch_size: int,
    roles: Sequence[TokenPositions],
    pairs: Sequence[IterateKind],
    seeds: Sequence[int],
    progress: Progress,
) -> dict[IterateKind, IterateReadouts]:
    """Fits read-outs of every kind of iterate from every layer, on fresh prompts.

    Args:
        model: A model whose hooks see all tokens of a prompt in one pass.
        task: Where prompts come from.
        batch_size: Prompts in each of the `N_FIT_BATCHES`.
        roles: The tokens that are read, queries first.
        pairs: What is looked for.
        seeds: Of the prompts and of the shuffling.
        progress: Called after every batch.

    Raises:
        ValueError: The model runs prefix by prefix.
        NonFiniteError: The residual stream holds NaN or infinite values.
    """
    held = {pair: _Statistics(pair) for pair in pairs}
    sites = model.sites()
    generator = torch.Generator().manual_seed(seeds[1])
    stream = task.stream(N_FIT_BATCHES * batch_size, seed=seeds[0], batch_size=batch_size)
    for number, (xs, ys, _) in enumerate(stream):
        seen = record(model, xs, ys, sites)
        streams = torch.stack([seen[site].cpu().double() for site in sites])
        check_finite(streams.movedim(0, 1), "the residual stream", number * batch_size)
        prefixes = Prefixes(xs, ys)
        shuffle = derangement(len(xs), generator)
        for pair, (index, role) in product(pairs, enumerate(roles)):
            reference = pair.comparison.reference
            values = values_at(role, pair.target, reference, prefixes, pair.steps)
            is_held_out = number == N_FIT_BATCHES - 1
            held[pair].update(index, is_held_out, streams[:, :, role.tokens], values, shuffle)
        progress("fitting read-outs", number + 1, N_FIT_BATCHES)
    return {pair: statistics.at_best_step(roles) for pair, statistics in held.items()}
