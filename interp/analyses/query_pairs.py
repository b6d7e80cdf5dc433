"""Pairs of prompts that ask the same x, and answers where what is held at it is changed."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from hooks.finite import check_finite
from hooks.inference import predict
from hooks.interventions import Shift, intervene, record
from hooks.model import SequenceModel
from hooks.sites import Site
from interp.tasks import Task
from probes.references import Prefixes


@dataclass(frozen=True)
class QueryPairs:
    """Prompts A and B with the same query, and what every layer holds at it."""

    a: Prefixes
    b: Prefixes
    states: dict[Site, tuple[Float[Tensor, "prompt d"], Float[Tensor, "prompt d"]]]
    """Of A and of B."""
    shapes: dict[Site, torch.Size]
    """Of what the hooks see."""


def draw_pairs(model: SequenceModel, task: Task, n: int, generator: torch.Generator) -> QueryPairs:
    """Pairs of prompts of a task, the last x of A in both.

    Raises:
        ValueError: The model runs prefix by prefix.
        NonFiniteError: A state is NaN or infinite.
    """
    a, b = (task.sample(n, generator) for _ in range(2))
    b.xs[:, -1] = a.xs[:, -1]
    sites = model.sites()
    seen = [record(model, xs, ys, sites) for xs, ys, _ in (a, b)]
    states = {}
    for site in sites:
        of_a, of_b = (model.read_site(one[site], *a.ys.shape)[:, -1].cpu().double() for one in seen)
        for state in (of_a, of_b):
            check_finite(state[:, None], f"site {site}")
        states[site] = (of_a, of_b)
    shapes = {site: seen[1][site].shape for site in sites}
    return QueryPairs(Prefixes(a.xs, a.ys), Prefixes(b.xs, b.ys), states, shapes)


def answers_to(model: SequenceModel, prompts: Prefixes) -> Float[Tensor, " prompt"]:
    """The predictions at the last point.

    Raises:
        NonFiniteError: One is NaN or infinite.
    """
    said = predict(model, prompts.xs, prompts.ys, len(prompts.xs))[:, -1]
    check_finite(said[:, None], "answers")
    return said


def answers_moved(
    model: SequenceModel,
    pairs: QueryPairs,
    site: Site,
    change: Float[Tensor, "prompt d"],
) -> Float[Tensor, " prompt"]:
    """The answers to B where the queries' states are changed."""
    shape = pairs.shapes[site]
    amount = change.new_zeros(shape)
    n_points = pairs.b.xs.shape[1]
    amount.flatten(0, 1)[_query_positions(model, shape, len(change), n_points)] = change
    with intervene(model, Shift(site, amount)):
        return answers_to(model, pairs.b)


def _query_positions(
    model: SequenceModel, shape: torch.Size, n_prompts: int, n_points: int
) -> Int[Tensor, " prompt"]:
    """Where the queries of prompts stand among all rows and tokens that a hook sees."""
    places = torch.arange(shape[0] * shape[1], dtype=torch.float32, device=model.device)
    places = places.reshape(shape[0], shape[1], 1)
    return model.read_site(places, n_prompts, n_points)[:, -1, 0].cpu().long()
