"""Every prefix of a prompt as a segment of tokens of its own, one after another."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True)
class PrefixSegments:
    """Where the tokens of each prefix are.

    A model with full attention must be run once for each point of a prompt, on the pairs before
    it and its own x. The runs share one token axis: segment t holds tokens for x_0 … x_t, of which
    the last, the query, has no y. There is no padding: n points make n (n + 1) / 2 tokens.
    """

    n_points: int

    @property
    def n_tokens(self) -> int:
        return self.n_points * (self.n_points + 1) // 2

    @cached_property
    def slices(self) -> tuple[slice, ...]:
        """The tokens of each point's segment."""
        return tuple(
            slice(point * (point + 1) // 2, (point + 1) * (point + 2) // 2)
            for point in range(self.n_points)
        )

    @cached_property
    def query_tokens(self) -> Int[Tensor, " point"]:
        """The token at which each point is predicted."""
        with _outside_inference():
            return torch.tensor([tokens.stop - 1 for tokens in self.slices])

    @cached_property
    def points(self) -> Int[Tensor, " token"]:
        """The point whose x each token holds."""
        with _outside_inference():
            return torch.cat([torch.arange(point + 1) for point in range(self.n_points)])

    @cached_property
    def is_example(self) -> Bool[Tensor, " token"]:
        """Which tokens hold a y beside their x."""
        with _outside_inference():
            is_example = torch.ones(self.n_tokens, dtype=torch.bool)
            is_example[self.query_tokens] = False
            return is_example

    def tokens(
        self, xs: Float[Tensor, "prompt point dim"], ys: Float[Tensor, "prompt point"]
    ) -> Float[Tensor, "input token prompt"]:
        """What a model is given for each token: x; x again, or 0 at queries; y, or 0 at queries.

        The x that is there only at examples is what lets weights alone, without a mask, keep a
        query from being attended to.
        """
        points = self.points.to(xs.device)
        is_example = self.is_example.to(xs)[:, None]
        x = rearrange(xs, "prompt point dim -> dim point prompt").contiguous()[:, points]
        y = rearrange(ys, "prompt point -> 1 point prompt").contiguous()[:, points]
        return torch.cat([x, x * is_example, y * is_example])


def _outside_inference() -> torch.inference_mode:
    """Tensors that are kept must not be inference tensors: a backward pass cannot use those."""
    return torch.inference_mode(mode=False)


@lru_cache(maxsize=64)
def prefix_segments(n_points: int) -> PrefixSegments:
    """The segments of prompts with `n_points` points."""
    return PrefixSegments(n_points)
