"""Prompts on which the predictions of models are compared, the same for every model of a task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from einops import einsum, rearrange, reduce, repeat
from jaxtyping import Float, Int
from torch import Tensor

from hooks.finite import index_of
from hooks.inference import predict
from hooks.model import SequenceModel
from interp.analyses.comparisons import default_comparisons
from interp.analyses.variations import VARIATIONS, lacks
from interp.tasks import Task
from interp.training.baseline import baseline_predictions
from probes.candidate import Candidate, select
from probes.references import Prefixes, build_reference
from probes.similarity import error_directions, group_similarity

N_GROUPS = 128
"""Groups of prompts, the units of the bootstrap."""
TABLE_REFERENCES = ("newton", "gd", "ogd")
"""What the paper's Table 1 compares predictions with."""
REMEMBERING = ("ols", "ogd")
"""OLS has no error on any example while there are at most d; OGD has none on the newest."""
N_RECALL_PROMPTS = 512
N_KAPPA_PROMPTS = 256
"""For each condition number."""
MOST_GAPS = 10
KAPPA = VARIATIONS["kappa"]


@dataclass(frozen=True)
class TaskPrompts:
    """Prompts of a task, and the error directions of references on them."""

    xs: Float[Tensor, "prompt every_point dim"]
    ys: Float[Tensor, "prompt every_point"]
    points: Sequence[int]
    """Those that errors are of."""
    candidates: Mapping[str, Candidate]
    """By `TABLE_REFERENCES`."""
    directions: Mapping[str, Float[Tensor, "_step prompt scored_point"]]
    baseline_error: Float[Tensor, "group point"]
    """Squared error / n_dims of the best predictor known for the task."""

    @classmethod
    def of(
        cls, task: Task, n_prompts: int, seed: int, points: Sequence[int] | None = None
    ) -> TaskPrompts:
        """Draws prompts, a multiple of `N_GROUPS`, and runs the references on them once."""
        points = points or range(task.n_points)
        xs, ys, _ = task.sample(n_prompts, torch.Generator().manual_seed(seed))
        known = default_comparisons(task)
        compared = {name: select(known, name) for name in ("newton", "gd")}
        compared["ogd"] = Candidate.of("ogd", "ogd", "ogd")
        prefixes = Prefixes(xs, ys).at_points(points)
        directions = {
            name: error_directions(
                item.reference.predictions(prefixes, item.grid.steps),
                prefixes.ys,
                n_unseen=prefixes.n_unseen,
            )
            for name, item in compared.items()
        }
        baseline = _group_error(baseline_predictions(task, xs, ys)[None], ys[None], task.n_dims)
        return cls(xs, ys, points, compared, directions, baseline[:, 0, index_of(points)])

    def error(
        self, predictions: Float[Tensor, "prompt every_point"]
    ) -> Float[Tensor, "group point"]:
        """Squared error / n_dims of predictions."""
        errors = _group_error(predictions[None], self.ys[None], self.xs.shape[2])
        return errors[:, 0, index_of(self.points)]

    def similarity(
        self, predictions: Float[Tensor, "prompt every_point"]
    ) -> Mapping[str, Float[Tensor, "group _step"]]:
        """SimE of predictions with each reference, as they are (the paper's)."""
        at = index_of(self.points)
        n_unseen = int(self.points[0] == 0)
        own = error_directions(predictions[None, :, at], self.ys[:, at], n_unseen=n_unseen)
        return {
            name: group_similarity(own, directions, N_GROUPS)[:, 0]
            for name, directions in self.directions.items()
        }


@dataclass(frozen=True)
class Recall:
    """Prompts whose last query is the x of an example, for several gaps between the two.

    After n examples x_{n-g} is repeated, g = 0 being the newest (Fu et al. 2024, Fig. 5 and
    Appendix A.6, with n = d).
    """

    gaps: Int[Tensor, " gap"]
    xs: Float[Tensor, "gap prompt point dim"]
    """The first n points are the same for every gap."""
    ys: Float[Tensor, "gap prompt point"]

    @classmethod
    def of(cls, task: Task, n_prompts: int, seed: int) -> Recall:
        """Draws prompts with as many examples as dimensions, where the task has room for them."""
        n = min(task.n_dims, task.n_points - 1)
        prompts = replace(task, n_points=n + 1).sample(
            n_prompts, torch.Generator().manual_seed(seed)
        )
        gaps = torch.linspace(0, n - 1, min(n, MOST_GAPS)).round().long()
        xs = repeat(prompts.xs, "prompt point dim -> gap prompt point dim", gap=len(gaps)).clone()
        ys = repeat(prompts.ys, "prompt point -> gap prompt point", gap=len(gaps)).clone()
        repeated = n - 1 - gaps
        xs[:, :, n] = rearrange(prompts.xs[:, repeated], "prompt gap dim -> gap prompt dim")
        ys[:, :, n] = rearrange(prompts.ys[:, repeated], "prompt gap -> gap prompt")
        return cls(gaps, xs, ys)

    @property
    def n_examples(self) -> int:
        return self.xs.shape[2] - 1

    def of_model(self, model: SequenceModel) -> Float[Tensor, "group gap"]:
        """Squared error / n_dims of a model on the repeated example."""
        last = [predict(model, xs, ys)[:, -1] for xs, ys in zip(self.xs, self.ys, strict=True)]
        return self._error(torch.stack(last))

    def of_references(self) -> Mapping[str, Float[Tensor, "group gap"]]:
        """The same of each of `REMEMBERING`."""
        prefixes = Prefixes(self.xs[0], self.ys[0])  # their weights do not depend on the query
        errors = {}
        for name in REMEMBERING:
            weights = build_reference(name).weights(prefixes, None)[0, :, -1]
            queries = self.xs[:, :, -1]
            last = einsum(queries, weights, "gap prompt dim, prompt dim -> gap prompt")
            errors[name] = self._error(last)
        return errors

    def _error(self, last: Float[Tensor, "gap prompt"]) -> Float[Tensor, "group gap"]:
        return _group_error(last[..., None], self.ys[:, :, -1:], self.xs.shape[3]).mean(-1)


@dataclass(frozen=True)
class IllConditioned:
    """Prompts of several condition numbers, of one largest eigenvalue."""

    kappas: tuple[float, ...]
    xs: Float[Tensor, "kappa prompt point dim"]
    ys: Float[Tensor, "kappa prompt point"]
    points: Sequence[int]
    """Those that errors are means over."""
    baseline_error: Float[Tensor, "group kappa"]
    """Squared error / n_dims of the best predictor known."""

    @classmethod
    def of(
        cls, task: Task, n_prompts: int, seed: int, points: Sequence[int] | None = None
    ) -> IllConditioned:
        """Draws prompts for every condition number; none for a task that has no such thing."""
        kappas = () if lacks(task, KAPPA) else KAPPA.values
        xs = torch.empty(len(kappas), n_prompts, task.n_points, task.n_dims, dtype=torch.float64)
        ys, best = xs[..., 0].clone(), xs[..., 0].clone()
        for index, kappa in enumerate(kappas):
            condition = KAPPA.apply(task, kappa)
            generator = torch.Generator().manual_seed(seed)
            xs[index], ys[index], _ = condition.sample(n_prompts, generator)
            best[index] = baseline_predictions(condition, xs[index], ys[index])
        points = points or range(task.n_points)
        at = index_of(points)
        best_error = cls._error(best[..., at], ys[..., at], task.n_dims)
        return cls(kappas, xs, ys, points, best_error)

    def of_model(self, model: SequenceModel) -> Float[Tensor, "group kappa"]:
        """Squared error / n_dims of a model; NaN where it leaves the range of numbers."""
        if not self.kappas:
            return self.baseline_error.clone()
        predictions = predict(model, self.xs.flatten(0, 1), self.ys.flatten(0, 1))
        by_kappa = predictions.unflatten(0, self.ys.shape[:2])
        at = index_of(self.points)
        error = self._error(by_kappa[..., at], self.ys[..., at], self.xs.shape[3])
        return torch.where(error.isfinite().all(0), error, torch.nan)

    @staticmethod
    def _error(
        predictions: Float[Tensor, "kappa prompt point"],
        ys: Float[Tensor, "kappa prompt point"],
        n_dims: int,
    ) -> Float[Tensor, "group kappa"]:
        squares = (predictions - ys).square() / n_dims
        return reduce(squares, "k (group prompt) point -> group k", "mean", group=N_GROUPS)


@lru_cache(maxsize=2)
def task_prompts(task: Task, n_prompts: int, seed: int, points: tuple[int, ...]) -> TaskPrompts:
    """`TaskPrompts.of`, remembered for the next model of the same task."""
    return TaskPrompts.of(task, n_prompts, seed, points)


@lru_cache(maxsize=2)
def recall(task: Task, seed: int) -> Recall:
    """`Recall.of` with `N_RECALL_PROMPTS`, remembered for the next model of the same task."""
    return Recall.of(task, N_RECALL_PROMPTS, seed)


@lru_cache(maxsize=2)
def ill_conditioned(task: Task, seed: int, points: tuple[int, ...]) -> IllConditioned:
    """`IllConditioned.of` with `N_KAPPA_PROMPTS`, remembered for the next model of the task."""
    return IllConditioned.of(task, N_KAPPA_PROMPTS, seed, points)


def _group_error(
    predictions: Float[Tensor, "set prompt point"], ys: Float[Tensor, "set prompt point"], n: int
) -> Float[Tensor, "group set point"]:
    squares = (predictions - ys).square() / n
    return reduce(squares, "set (group prompt) point -> group set point", "mean", group=N_GROUPS)
