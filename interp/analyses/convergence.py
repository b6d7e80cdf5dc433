"""The order in which the errors of a model's last layers fall."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import xarray
from jaxtyping import Float
from torch import Tensor

from hooks.capture import FinalNorm
from hooks.model import SequenceModel
from hooks.sites import Site
from interp.scoring.stream import SavedActivations, batches
from interp.tasks import Task
from interp.tasks.two_layer_network import TwoLayerNetwork
from interp.training.baseline import best_reference
from probes.converged_readout import fit_converged_readout
from probes.convergence import N_TRIPLES, OrderOfConvergence, order_of_convergence
from probes.references import Prefixes, Reference

N_PROMPTS = 384
"""Half of them to fit read-outs on."""
SAMPLES_PER_UNKNOWN = 4
N_LAYERS = N_TRIPLES + 2
"""The last ones, which are looked at."""
EASIEST = 0.1
"""Share of the prefixes, those of the largest smallest eigenvalue, whose error is the floor."""


@dataclass(frozen=True)
class LayerOrder:
    """The order of convergence of the last layers, and which those are."""

    found: OrderOfConvergence
    layers: tuple[int, ...]
    """The three it was measured on; none if it cannot be told."""

    def variables(self, kinds: Sequence[str]) -> dict[str, Any]:
        """Variables of a table of layers; the order is that of the first kind of site."""
        first = [math.nan] * len(kinds)
        first[0] = self.found.order
        bounds = [(math.nan, math.nan)] * len(kinds)
        bounds[0] = self.found.interval
        told = {"layers": list(self.layers)} if self.layers else {}
        attrs = {**told, "reason": self.found.reason or ""}
        return {
            "convergence_order": xarray.Variable(("site",), first, attrs),
            "convergence_order_interval": xarray.Variable(("site", "bound"), bounds),
        }


def measure_order(
    model: SequenceModel | SavedActivations,
    task: Task,
    sites: Sequence[Site],
    *,
    n_prompts: int = N_PROMPTS,
    seed: int = 0,
    final_norm: FinalNorm = "official",
) -> LayerOrder:
    """`layer_order` of a model on prompts of their own.

    Args:
        model: The model.
        task: Where the prompts come from.
        sites: Layers that do something, in order.
        n_prompts: Prompts to use, half of them to fit read-outs.
        seed: Of the prompts; see `interp.scoring.stream.batches`.
        final_norm: See `hooks.capture`.
    """
    [whole] = batches(model, task, sites, n_prompts, seed, final_norm, n_prompts)
    prefixes, activations, _ = whole
    return layer_order(task, sites, prefixes, activations, seed)


def layer_order(
    task: Task,
    sites: Sequence[Site],
    prefixes: Prefixes,
    activations: Float[Tensor, "site prompt point d_model"],
    seed: int = 0,
) -> LayerOrder:
    """Order of convergence at the last layers of a model, see `probes.convergence`.

    What the layers converge to is least squares, or with noise ridge regression at the noise's
    variance. Their predictions come from read-outs that are exact where a layer has converged
    (`probes.converged_readout`), fitted on the first half of the prompts and held fixed in the
    interval; an ordinary one shrinks and stretches all samples to please those that have not, which
    hides superlinear convergence.

    Args:
        task: Where the prompts come from.
        sites: Layers that do something, in order; the last few are looked at.
        prefixes: The prompts.
        activations: Of these sites, on these prompts.
        seed: Of the bootstrap replicates.
    """
    sites, activations = sites[-N_LAYERS:], activations[-N_LAYERS:]
    limit = _limit(task)
    half = prefixes.n_prompts // 2
    n_unseen = prefixes.n_unseen
    n_samples = half * (prefixes.n_points - n_unseen)
    n_unknowns = activations.shape[-1] + 1
    if limit is None:
        return _untold(f"what the layers of a model of {task.name} converge to is not known")
    if len(sites) < 3:
        return _untold("fewer than three layers do something")
    if n_samples < SAMPLES_PER_UNKNOWN * n_unknowns:
        return _untold(
            f"a read-out of {n_unknowns} unknowns needs {SAMPLES_PER_UNKNOWN} samples each, "
            f"{half} prompts have {n_samples}"
        )
    target = limit.predictions(prefixes)[0][:, n_unseen:]
    features = activations[:, :, n_unseen:]
    readout = fit_converged_readout(features[:, :half].flatten(1, 2), target[:half].flatten())
    errors = (readout(features[:, half:])[..., 0] - target[half:]).abs()
    smallest = prefixes.smallest_eigenvalues[half:, n_unseen:]
    easiest = smallest >= torch.quantile(smallest.flatten(), 1 - EASIEST)
    floor = errors[:, easiest].median(dim=1).values
    found = order_of_convergence(errors, floor, seed=seed)
    layers = () if found.layers is None else tuple(sites[index].layer for index in found.layers)
    return LayerOrder(found, layers)


def _limit(task: Task) -> Reference | None:
    return None if isinstance(task, TwoLayerNetwork) else best_reference(task)


def _untold(reason: str) -> LayerOrder:
    return LayerOrder(OrderOfConvergence(math.nan, (math.nan, math.nan), None, 0, reason), ())
