"""What a model answers when a query's state is taken from another prompt, whole or in part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
import xarray
from jaxtyping import Float
from torch import Tensor

from hooks.model import SequenceModel
from hooks.sites import Site
from interp.analyses.anatomy import check_points
from interp.analyses.comparisons import (
    default_comparisons,
    own_parameters,
    stepping_comparisons,
)
from interp.analyses.empty_table import empty_table
from interp.analyses.query_pairs import QueryPairs, answers_moved, answers_to, draw_pairs
from interp.progress import Progress, shows_progress, silent
from interp.tasks import Task
from interp.tasks.compatibility import model_and_task
from probes.candidate import Candidate
from probes.uncertainty.bootstrap import bootstrap_interval, bootstrap_weights

LEVEL = 0.95
N_REPLICATES = 400
LEAST_PROMPTS = 64
MIN_R2 = 0.5
"""A layer holds an iterate where a linear map finds it with at least this R^2."""
RANDOM = "random"


@shows_progress
def interchange(
    model: SequenceModel,
    task: Task | None = None,
    *,
    point: int | None = None,
    references: Sequence[str] | None = None,
    n_prompts: int = 1024,
    seed: int = 0,
    device: str | None = None,
    progress: Progress = silent,
) -> xarray.Dataset:
    """Puts the query's state of prompt A into prompt B: all of it, or where an iterate is held.

    A and B ask the same x after different examples of different w. At each layer the direction of
    an iterate's prediction is found in closed form on half of the pairs: the activations' part
    along it is what a linear map of least squares says about the iterate, and it moves along what
    covaries with the iterate (the projection of LEACE, Belrose et al. 2023). On the other half it
    is moved from B's to A's. An iteration adds its next corrections to the prediction that it finds
    there, so that the answer moves as far as the iterate did: a `share` of 1. Layers that compute
    the prediction anew, or keep it elsewhere, give 0. As controls serve another algorithm's
    iterates and directions drawn at random, one for each pair, of the same rank.

    Args:
        model: A model whose hooks see all tokens of a prompt in one pass.
        task: Where prompts come from; by default what the model was trained on.
        point: Number of examples before the query; by default the most that prompts have.
        references: Whose iterates are moved, each at the step that a layer holds best; by default
            the algorithm that a model was built to run, or Newton, and beside it GD, or Newton.
        n_prompts: Pairs; the directions are fitted on half of them.
        seed: Of the pairs, of random directions and intervals.
        device: Where the model runs, as for `interp.match`.
        progress: Called after every pass.

    Returns:
        By `layer` and `subspace` (the references and "random", whose changes are compared with
        those of the first reference): `share` of the change of the iterate that the answer makes,
        by least squares, and `cosine` of the two; by `reference` the `step` that is held, and `r2`
        of its map on the pairs it is fitted on. Where the whole state is moved: `answer` by
        `prompt`, the weights of A's and of B's own answers in the one that is given. `…_interval`
        by `bound` are 95 % intervals. NaN where a layer holds no iterate (`r2` below .5).

    Raises:
        TypeError: It is no hooked model; for a module, the message says how to attach to it.
        ValueError: The task does not fit the model, the model runs prefix by prefix, an option is
            out of range, or a reference is unknown or has no steps.
        NonFiniteError: A state or an answer is NaN or infinite.
    """
    model, task = model_and_task(model, task, device=device)
    least = max(LEAST_PROMPTS, 2 * model.config.d_model)
    if n_prompts < least:
        raise ValueError(
            f"n_prompts must be at least {least} for this model, whose layers are "
            f"{model.config.d_model} wide, got {n_prompts}"
        )
    point = task.n_points - 1 if point is None else point
    check_points([point], task, model.first_point)
    own = tuple(own_parameters(model)) or ("newton",)
    names = references or (*own, "newton" if "gd" in own else "gd")
    comparisons = stepping_comparisons(
        model, default_comparisons(task, own_parameters(model)), names
    )
    generator = torch.Generator().manual_seed(seed)
    fitted, tested = (
        draw_pairs(model, replace(task, n_points=point + 1), n, generator)
        for n in (n_prompts // 2, n_prompts - n_prompts // 2)
    )
    answer_a, answer_b = (answers_to(model, part) for part in (tested.a, tested.b))
    n_pairs = len(answer_a)
    weights = bootstrap_weights(n_pairs, N_REPLICATES, seed, with_original=True)
    table = _empty(model.n_layers, comparisons)
    for layer in range(1, model.n_layers + 1):
        site = Site(layer)
        a, b = tested.states[site]

        moved = partial(answers_moved, model, tested, site)
        here = {"layer": layer}
        table["answer"].loc[here], table["answer_interval"].loc[here] = _mixed(
            moved(a - b), torch.stack([answer_a, answer_b]), weights
        )
        states = torch.cat(fitted.states[site])
        whitening = _Whitening.of(states)
        expected = torch.zeros_like(answer_a)
        for index, item in enumerate(comparisons):
            step, r2, direction = _held(item, fitted, whitening, states)
            place = here | {"reference": item.name}
            table["step"].loc[place], table["r2"].loc[place] = step, r2
            of_a, of_b = (
                item.reference.predictions(part, [step])[0, :, -1] for part in (tested.a, tested.b)
            )
            expected = of_a - of_b if index == 0 else expected
            if r2 >= MIN_R2:
                change = moved(whitening.along(a - b, direction)) - answer_b
                _score(table, here | {"subspace": item.name}, change, of_a - of_b, weights)
        if table["r2"].sel(here).isel(reference=0) >= MIN_R2:
            size = (n_pairs, len(whitening.scale))
            drawn = torch.randn(size, generator=generator, dtype=torch.float64)
            change = moved(whitening.along(a - b, drawn)) - answer_b
            _score(table, here | {"subspace": RANDOM}, change, expected, weights)
        progress("interchanging states", layer, model.n_layers)
    attrs = {"n_prompts": n_prompts, "seed": seed, "point": point, "level": LEVEL}
    return table.assign_attrs(attrs | {"checkpoint": model.name})


@dataclass(frozen=True)
class _Whitening:
    """Coordinates in which the activations of a layer have unit covariance."""

    axes: Float[Tensor, "d kept"]
    scale: Float[Tensor, " kept"]

    @classmethod
    def of(cls, states: Float[Tensor, "prompt d"]) -> _Whitening:
        values, vectors = torch.linalg.eigh(states.T.cov())
        kept = values > 1e-9 * values[-1]
        return cls(vectors[:, kept], values[kept].sqrt())

    def __call__(self, states: Float[Tensor, "prompt d"]) -> Float[Tensor, "prompt kept"]:
        return states @ self.axes / self.scale

    def along(
        self, states: Float[Tensor, "prompt d"], direction: Float[Tensor, "#prompt kept"]
    ) -> Float[Tensor, "prompt d"]:
        """The part of states along a direction of these coordinates, or one for each state."""
        unit = torch.nn.functional.normalize(direction, dim=1)
        amount = (self(states) * unit).sum(1, keepdim=True)
        return (amount * unit * self.scale) @ self.axes.T


def _held(
    item: Candidate, pairs: QueryPairs, whitening: _Whitening, states: Float[Tensor, "prompt d"]
) -> tuple[float, float, Float[Tensor, "1 kept"]]:
    """The step of a reference that a layer holds best, its R^2, and its direction."""
    steps = item.grid.steps
    iterates = torch.cat(
        [item.reference.predictions(part, steps)[..., -1] for part in (pairs.a, pairs.b)], 1
    )
    z = iterates - iterates.mean(1, keepdim=True)
    spread = z.square().sum(1) / (z.shape[1] - 1)
    covariance = z @ whitening(states - states.mean(0)) / (z.shape[1] - 1)
    r2 = covariance.square().sum(1) / torch.where(spread > 0, spread, torch.inf)
    best = int(r2.argmax())
    return steps[best], r2[best].item(), covariance[best : best + 1]


def _score(
    table: xarray.Dataset,
    place: dict[str, str | int],
    change: Float[Tensor, " prompt"],
    expected: Float[Tensor, " prompt"],
    weights: Float[Tensor, "replicate prompt"],
) -> None:
    shares = (weights @ (change * expected)) / (weights @ expected.square())
    cosine = torch.nn.functional.cosine_similarity(change, expected, dim=0)
    table["share"].loc[place] = shares[0].item()
    table["share_interval"].loc[place] = bootstrap_interval(
        shares[1:], LEVEL, n_groups=len(change)
    ).numpy()
    table["cosine"].loc[place] = cosine.item()


def _mixed(
    answer: Float[Tensor, " prompt"],
    own: Float[Tensor, "which prompt"],
    weights: Float[Tensor, "replicate prompt"],
) -> tuple[np.ndarray, np.ndarray]:
    """Weights of A's and B's own answers in another, by least squares, and their intervals."""
    gram = torch.einsum("rp,ap,bp->rab", weights, own, own)
    moment = torch.einsum("rp,ap,p->ra", weights, own, answer)
    found = torch.linalg.solve(gram, moment)
    return found[0].numpy(), bootstrap_interval(found[1:], LEVEL, n_groups=len(answer)).T.numpy()


def _empty(n_layers: int, comparisons: Sequence[Candidate]) -> xarray.Dataset:
    names = [item.name for item in comparisons]
    coords = {
        "layer": np.arange(1, n_layers + 1),
        "subspace": [*names, RANDOM],
        "reference": names,
        "prompt": ["A", "B"],
        "bound": ["low", "high"],
    }
    axes = {
        "share": ("layer", "subspace"),
        "share_interval": ("layer", "subspace", "bound"),
        "cosine": ("layer", "subspace"),
        "step": ("layer", "reference"),
        "r2": ("layer", "reference"),
        "answer": ("layer", "prompt"),
        "answer_interval": ("layer", "prompt", "bound"),
    }
    return empty_table(axes, coords)
