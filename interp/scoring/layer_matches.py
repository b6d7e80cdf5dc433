"""Which step of a reference the predictions of layers, or of whole models, resemble most.

- `match_steps(predictions, prefixes, reference, grid, n_groups=…)` compares any predictions with
  every step of a reference and returns `LayerMatches`: best steps and similarities with intervals;
- `LayerMatches.of(groups, grid)` does the same from similarities by group of prompts;
- `CurveReader` does it prompt by prompt, for a model whose computation is being changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import xarray
from einops import einsum
from jaxtyping import Float
from torch import Tensor

from probes.affine import affine_fit
from probes.candidate import Candidate
from probes.matching import Match, StepGrid, best_match
from probes.readout import Readout
from probes.references import Prefixes, Reference
from probes.similarity import Convention, error_directions, group_similarity
from probes.uncertainty.bootstrap import bootstrap_interval, bootstrap_weights

N_REPLICATES = 200


@dataclass(frozen=True)
class LayerMatches:
    """Similarities of predictors (layers, or models) with the steps of a reference."""

    grid: StepGrid
    similarity: Float[Tensor, "layer step"]
    """SimE, from -1 to 1."""
    step: Float[Tensor, " layer"]
    """Best-matching one."""
    step_interval: Float[Tensor, "layer bound"]
    best: Float[Tensor, " layer"]
    """Similarity at that step."""
    best_interval: Float[Tensor, "layer bound"]

    @classmethod
    def of(
        cls,
        groups: Float[Tensor, "group layer step"],
        grid: StepGrid,
        *,
        interpolate: bool = True,
        seed: int = 0,
    ) -> LayerMatches:
        """Finds best steps, with 95 % bootstrap intervals over groups of prompts.

        With `interpolate` they are real numbers between the grid's steps, otherwise the best whole
        one.
        """
        n_groups = len(groups)
        weights = bootstrap_weights(n_groups, N_REPLICATES, seed, with_original=True)
        replicates = torch.tensordot(weights / n_groups, groups, 1).clamp(max=1)
        return cls.of_replicates(replicates, grid, n_groups=n_groups, interpolate=interpolate)

    @classmethod
    def of_replicates(
        cls,
        replicates: Float[Tensor, "replicate layer step"],
        grid: StepGrid,
        *,
        n_groups: int,
        interpolate: bool = True,
        level: float = 0.95,
    ) -> LayerMatches:
        """Finds best steps from similarities under bootstrap weights, the original first."""
        found = best_match(replicates, grid)
        step = found.step if interpolate else found.whole_step
        best = found.similarity if interpolate else replicates.amax(-1)

        def bounds(values: Float[Tensor, "replicate layer"]) -> Float[Tensor, "layer bound"]:
            return bootstrap_interval(values[1:], level, n_groups=n_groups).T

        return cls(grid, replicates[0], step[0], bounds(step), best[0], bounds(best))

    def variables(self, layer: str = "layer", step: str = "step") -> dict[str, Any]:
        """The numbers as variables of a dataset with these axes and `bound`."""
        return {
            "similarity": ((layer, step), self.similarity.numpy()),
            "best_step": (layer, self.step.numpy()),
            "best_step_interval": ((layer, "bound"), self.step_interval.numpy()),
            "best_similarity": (layer, self.best.numpy()),
            "best_similarity_interval": ((layer, "bound"), self.best_interval.numpy()),
        }

    def data(self, name: str) -> xarray.Dataset:
        """The numbers as labelled arrays, their names beginning with `name`."""
        step = f"{name}_step"
        numbers = {f"{name}_{key}": value for key, value in self.variables(step=step).items()}
        return xarray.Dataset(numbers, {step: list(self.grid.steps), "bound": ["low", "high"]})


def match_steps(
    predictions: Float[Tensor, "predictor prompt point"],
    prefixes: Prefixes,
    reference: Reference,
    grid: StepGrid,
    *,
    n_groups: int,
    matched_on: Prefixes | None = None,
    convention: Convention = "paper",
    interpolate: bool | None = None,
    seed: int = 0,
) -> LayerMatches:
    """SimE of any predictions with every step of a reference, and the best step of each.

    Args:
        predictions: Of any number of predictors, on the prompts of `prefixes`.
        prefixes: The prompts, a multiple of `n_groups`.
        reference: What they are compared with.
        grid: At which steps.
        n_groups: Groups of consecutive prompts, the units of the bootstrap.
        matched_on: Prompts to fit each iterate's own affine read-out of y on; these may be
            `prefixes` themselves, two numbers being fitted to thousands. Without them iterates are
            taken as they are, as in the paper.
        convention: Where residual vectors start, see `probes.similarity`.
        interpolate: Whether the best step may lie between the grid's; by default where the
            reference takes real steps.
        seed: Of the bootstrap replicates.

    Raises:
        ValueError: An iterate is not finite, or the groups would differ in size.
    """
    ys, n_unseen = prefixes.ys, prefixes.n_unseen
    directions = error_directions(predictions, ys, convention, n_unseen)
    groups = []
    for iterate in _iterates(prefixes, reference, grid, matched_on):
        other = error_directions(iterate[None], ys, convention, n_unseen)
        groups.append(group_similarity(directions, other, n_groups))
    if interpolate is None:
        interpolate = reference.takes_real_steps
    return LayerMatches.of(torch.cat(groups, dim=-1), grid, interpolate=interpolate, seed=seed)


def own_readouts(
    iterates: Float[Tensor, "step prompt point"], ys: Float[Tensor, "prompt point"]
) -> Float[Tensor, "step prompt point"]:
    """Every iterate under the affine map that predicts y best on these prompts."""
    return affine_fit(iterates, ys.expand_as(iterates))


def _iterates(
    prefixes: Prefixes, reference: Reference, grid: StepGrid, matched_on: Prefixes | None
) -> Iterator[Float[Tensor, "prompt point"]]:
    """Predictions step by step, each under its own read-out where it gets one."""
    stream = reference.stream_predictions(prefixes, grid.steps)
    if matched_on is None:
        yield from (iterate for _, iterate in stream)
        return
    if matched_on is prefixes:
        for _, iterate in stream:
            yield own_readouts(iterate[None], prefixes.ys)[0]
        return
    fitted = reference.stream_predictions(matched_on, grid.steps)
    for (_, iterate), (_, other) in zip(stream, fitted, strict=True):
        readout = Readout.fit(other[None, ..., None], matched_on.ys)
        yield readout.weight.item() * iterate + readout.bias.item()


class CurveReader:
    """Compares layers with references by read-outs that were fitted on the model left alone.

    A read-out that keeps its direction finds what a change did to the quantity that it reads; one
    fitted anew would find whatever is left of it anywhere. Its scale is fitted anew, as that of
    every iterate is on the same prompts: a layer that fell back by a step holds an iterate that is
    shorter, and the old scale would show it as further back.
    """

    def __init__(self, readout: Readout, comparisons: Sequence[Candidate]) -> None:
        """Takes read-outs of y from every layer, and the references to compare them with."""
        self.readout = readout
        self.comparisons = tuple(comparisons)

    def iterates(self, prefixes: Prefixes) -> dict[str, Float[Tensor, "_step prompt point"]]:
        """Error directions of every reference's iterates."""
        ys = prefixes.ys
        return {
            item.name: error_directions(
                own_readouts(item.reference.predictions(prefixes, item.grid.steps), ys), ys
            )
            for item in self.comparisons
        }

    def cosines(
        self,
        said: Float[Tensor, "predictor prompt point"],
        ys: Float[Tensor, "prompt point"],
        iterates: Mapping[str, Float[Tensor, "_step prompt scored_point"]],
    ) -> dict[str, Float[Tensor, "prompt predictor _step"]]:
        """Cosines of the errors of layers, or of predictions, and iterates on every prompt.

        Raises:
            ValueError: What a layer's read-out says is not finite.
        """
        layers = error_directions(own_readouts(said, ys), ys)
        return {
            name: einsum(
                layers, theirs, "layer prompt point, step prompt point -> prompt layer step"
            )
            for name, theirs in iterates.items()
        }

    def match(self, name: str, similarity: Float[Tensor, "*batch layer _step"]) -> Match:
        """Best-matching steps of one reference; NaN where a similarity is."""
        grid = next(item.grid for item in self.comparisons if item.name == name)
        is_missing = similarity.isnan().any(-1)
        found = best_match(torch.nan_to_num(similarity), grid)
        steps, whole, height = (
            torch.where(is_missing, torch.nan, part)
            for part in (found.step, found.whole_step, found.similarity)
        )
        return Match(steps, whole, height)
