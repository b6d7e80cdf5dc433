"""Which step of a reference is every layer most like?"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import xarray
from jaxtyping import Float
from torch import Tensor

from interp.paper.layer_predictions import LayerPredictions
from interp.paper.settings import N_GROUPS, N_REPLICATES
from probes.controls.bootstrap import bootstrap_weights, interval
from probes.matching import StepGrid, best_match
from probes.readout_fitting import ReadoutFitter
from probes.references import Prefixes, Reference
from probes.similarity import Convention, error_directions, group_similarity

OFFICIAL_ETA = 0.01
"""GD's step size in the official code."""


@dataclass(frozen=True)
class Matches:
    """Similarities of predictors (layers, or models) with the steps of a reference."""

    grid: StepGrid
    similarity: Float[Tensor, "layer step"]
    step: Float[Tensor, " layer"]
    """Best-matching one, real where the reference takes real steps."""
    step_interval: Float[Tensor, "layer bound"]
    best: Float[Tensor, " layer"]
    """Similarity at that step."""
    best_interval: Float[Tensor, "layer bound"]

    @classmethod
    def of(
        cls, groups: Float[Tensor, "group layer step"], grid: StepGrid, *, whole: bool, seed: int
    ) -> Matches:
        """Finds best steps, with 95 % bootstrap intervals over groups of prompts."""
        n_groups = len(groups)
        weights = bootstrap_weights(n_groups, N_REPLICATES, seed, with_original=True)
        replicates = torch.tensordot(weights / n_groups, groups, 1).clamp(max=1)
        found = best_match(replicates, grid)
        step = found.whole_step if whole else found.step
        best = replicates.amax(-1) if whole else found.similarity

        def bounds(values: Float[Tensor, "replicate layer"]) -> Float[Tensor, "layer bound"]:
            return interval(values[1:], n_groups=n_groups).T

        return cls(grid, replicates[0], step[0], bounds(step), best[0], bounds(best))

    def data(self, name: str) -> xarray.Dataset:
        """The numbers as labelled arrays, their names beginning with `name`."""
        step = f"{name}_step"
        return xarray.Dataset(
            {
                f"{name}_similarity": (("layer", step), self.similarity.numpy()),
                f"{name}_best_step": ("layer", self.step.numpy()),
                f"{name}_best_step_interval": (("layer", "bound"), self.step_interval.numpy()),
                f"{name}_best_similarity": ("layer", self.best.numpy()),
                f"{name}_best_similarity_interval": (
                    ("layer", "bound"),
                    self.best_interval.numpy(),
                ),
            },
            {step: list(self.grid.steps), "bound": ["low", "high"]},
        )


def match_layers(
    layers: LayerPredictions,
    reference: Reference,
    grid: StepGrid,
    *,
    matched: bool = False,
    convention: Convention = "official",
) -> Matches:
    """SimE of every layer's prediction with every step of a reference.

    Args:
        layers: Predictions of the layers.
        reference: What they are compared with.
        grid: At which steps.
        matched: Give every iterate an affine read-out of y of its own, as the layers have;
            otherwise it is taken as it is, as in the paper.
        convention: Where residual vectors start, see `probes.similarity`.
    """
    return match_predictors(
        layers.layers,
        layers.prefixes,
        reference,
        grid,
        fitted=layers.fitted if matched else None,
        convention=convention,
    )


def match_predictors(
    predictions: Float[Tensor, "predictor prompt point"],
    prefixes: Prefixes,
    reference: Reference,
    grid: StepGrid,
    *,
    fitted: Prefixes | None = None,
    convention: Convention = "official",
) -> Matches:
    """SimE of any predictions with every step of a reference.

    Args:
        predictions: Of any number of predictors, on the prompts of `prefixes`.
        prefixes: The prompts, a multiple of `N_GROUPS`.
        reference: What they are compared with.
        grid: At which steps.
        fitted: Prompts to fit every iterate's own read-out of y on; without, iterates are taken as
            they are.
        convention: Where residual vectors start, see `probes.similarity`.
    """
    directions = error_directions(predictions, prefixes.ys, convention)
    readouts = None if fitted is None else _own_readouts(fitted, reference, grid)
    groups = []
    stream = reference.stream_predictions(prefixes, grid.steps)
    for number, (_, iterate) in enumerate(stream):
        said = iterate
        if readouts is not None:
            weight, bias = readouts[number]
            said = weight * iterate + bias
        other = error_directions(said[None], prefixes.ys, convention)
        groups.append(group_similarity(directions, other, N_GROUPS))
    whole = not reference.takes_real_steps
    return Matches.of(torch.cat(groups, dim=-1), grid, whole=whole, seed=0)


def _own_readouts(
    fitted: Prefixes, reference: Reference, grid: StepGrid
) -> list[tuple[float, float]]:
    """Slope and offset of the regression of y on every iterate."""
    targets = fitted.ys.reshape(-1, 1)
    readouts = []
    for _, iterate in reference.stream_predictions(fitted, grid.steps):
        readout = ReadoutFitter(1, 1, 1).update(iterate.reshape(1, -1, 1), targets).solve([0.0])[0]
        readouts.append((readout.weight.item(), readout.bias.item()))
    return readouts


def official_eta(prefixes: Prefixes) -> float:
    """The official code's step size of GD where it converges, else 1 / the largest eigenvalue."""
    largest = prefixes.eigenvalues.max().item()
    return OFFICIAL_ETA if OFFICIAL_ETA * largest < 2 else 1 / largest
