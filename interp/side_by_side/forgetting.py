"""Forgetting: how well is an example remembered once others have followed it?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from einops import einsum, rearrange, reduce, repeat
from jaxtyping import Float, Int
from torch import Tensor

from hooks.model import SequenceModel
from interp.side_by_side.settings import N_GROUPS
from interp.side_by_side.yardstick import predict
from interp.tasks import Task
from probes.references import Prefixes, build_reference

REMEMBERING = ("ols", "ogd")
"""OLS has no error on any example while there are at most d; OGD has none on the newest."""
N_PROMPTS = 512
MOST_GAPS = 10


@dataclass(frozen=True)
class Recall:
    """Prompts whose last query is the x of an example, for several gaps between the two.

    After n examples x_{n-g} is asked again, g = 0 being the newest (Fu et al. 2024, Fig. 5 and
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
        asked = n - 1 - gaps
        xs[:, :, n] = rearrange(prompts.xs[:, asked], "prompt gap dim -> gap prompt dim")
        ys[:, :, n] = rearrange(prompts.ys[:, asked], "prompt gap -> gap prompt")
        return cls(gaps, xs, ys)

    @property
    def n_examples(self) -> int:
        return self.xs.shape[2] - 1

    def of_model(self, model: SequenceModel) -> Float[Tensor, "group gap"]:
        """Squared error / n_dims of a model on the example that is asked again."""
        said = [predict(model, xs, ys)[:, -1] for xs, ys in zip(self.xs, self.ys, strict=True)]
        return self._error(torch.stack(said))

    def of_references(self) -> Mapping[str, Float[Tensor, "group gap"]]:
        """The same of each of `REMEMBERING`."""
        prefixes = Prefixes(self.xs[0], self.ys[0])  # their weights do not depend on the query
        errors = {}
        for name in REMEMBERING:
            weights = build_reference(name).weights(prefixes, None)[0, :, -1]
            asked = self.xs[:, :, -1]
            said = einsum(asked, weights, "gap prompt dim, prompt dim -> gap prompt")
            errors[name] = self._error(said)
        return errors

    def _error(self, said: Float[Tensor, "gap prompt"]) -> Float[Tensor, "group gap"]:
        squares = (said - self.ys[:, :, -1]).square() / self.xs.shape[3]
        return reduce(squares, "gap (group prompt) -> group gap", "mean", group=N_GROUPS)


@lru_cache(maxsize=2)
def recall(task: Task, seed: int) -> Recall:
    """`Recall.of` with `N_PROMPTS`, remembered for the next model of the same task."""
    return Recall.of(task, N_PROMPTS, seed)
