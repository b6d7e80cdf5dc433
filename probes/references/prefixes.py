"""Every prefix of every prompt, decomposed once for all references."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from probes.references.single_thread import single_thread


@dataclass(frozen=True)
class Decomposition:
    """Singular value decompositions X_t = U diag(s) V^T of all prefixes, padded to d directions.

    Directions past the numerical rank have singular value, coefficient and query exactly 0.
    """

    singular_values: Float[Tensor, "prompt point direction"]
    """s, in descending order; 0 past the numerical rank."""
    right_vectors: Float[Tensor, "prompt point direction dim"]
    """V^T; rows past the numerical rank are 0."""
    coefficients: Float[Tensor, "prompt point direction"]
    """U^T y / s: the minimum-norm least-squares weights, V^T w."""
    queries: Float[Tensor, "prompt point direction"]
    """V^T x_t: the input whose y is to be predicted."""


_FIELDS = fields(Decomposition)
SMALLEST, LARGEST = 1e-40, 1e40
"""Sizes of x and y of which x^4 y^2, as in a step of conjugate gradients, is a normal number."""


class Prefixes:
    """The first t pairs of each prompt for every t, with the x that is asked for next.

    The decomposition is computed on first use and kept: one batched float64 SVD per t of the
    prefixes X_t themselves (never of X_t^T X_t, which would square the condition number), with y
    and the query projected onto its directions, so that one step of a spectral reference costs
    O(prompt * point * dim).

    **Numerical rank.** A singular value counts if it is above max(t, d) * eps * s_max with
    eps = 2^-52 and s_max the largest one of the same prefix, the rule of `numpy.linalg.lstsq` and
    `matrix_rank`; what is at or below is treated as exactly 0, for every reference alike. A
    rounded duplicate falls below it, a direction with kappa(S) = 1e12 (s / s_max = 1e-6) stays
    nine orders of magnitude above.

    **Accuracy.** On noiseless prompts an iterate's error is of order eps * kappa(X_t) relative to
    the prompt's largest |y|: below 1e-8 for kappa(S) up to 1e12. With noise, the part of y outside
    the range of X_t adds eps * kappa(X_t)^2 * |noise| / s_max to the error of the weights, as for
    every backward-stable least-squares solver.

    Args:
        xs: Inputs; any floating dtype, kept in float64.
        ys: Outputs; point t's own y is never used for its prediction.

    Raises:
        ValueError: Shapes that do not fit each other, no prompt, point or dimension, values that
            are not finite, or an x or all y of a prompt so small or large (not 0, below 1e-40 or
            above 1e40) that products of their powers in some reference would be 0 or infinite.
    """

    points: Sequence[int]
    """How many examples each prefix has, in ascending order."""
    whole: Prefixes
    """The prompts with all their points; the same object, unless made by `at_points`."""

    def __init__(
        self, xs: Float[Tensor, "prompt point dim"], ys: Float[Tensor, "prompt point"]
    ) -> None:
        if xs.ndim != 3 or ys.ndim != 2 or xs.shape[:2] != ys.shape:
            raise ValueError(
                "xs must be [prompt, point, dim] and ys [prompt, point] of the same prompts and "
                f"points, got {tuple(xs.shape)} and {tuple(ys.shape)}"
            )
        if 0 in xs.shape:
            raise ValueError(
                f"xs must have a prompt, a point and a dimension, got {tuple(xs.shape)}"
            )
        for name, values in (("xs", xs), ("ys", ys)):
            if not values.isfinite().all():
                prompt = int((~values.isfinite()).flatten(1).any(1).nonzero()[0])
                raise ValueError(f"{name} must be finite, prompt {prompt} is not")
        self.xs = xs.detach().to(torch.float64)
        self.ys = ys.detach().to(torch.float64)
        _check_scale("an x", self.xs.abs().amax(-1))
        _check_scale("a largest |y|", self.ys.abs().amax(-1, keepdim=True))
        self.points, self.whole = range(xs.shape[1]), self

    @property
    def n_prompts(self) -> int:
        return self.xs.shape[0]

    @property
    def n_points(self) -> int:
        return self.xs.shape[1]

    @property
    def n_dims(self) -> int:
        return self.xs.shape[2]

    @property
    def n_unseen(self) -> int:
        """Leading points that have seen no example: 1 of whole prompts."""
        return int(self.points[0] == 0)

    @cached_property
    def decomposition(self) -> Decomposition:
        """The singular value decompositions, computed on first use."""
        return self.whole._decomposed(self.points)

    def at_points(self, points: Sequence[int]) -> Prefixes:
        """The prefixes of some lengths only, with the queries after that many examples.

        References predict there what they predict at these points of the whole prompts.
        """
        if list(points) == list(self.points):
            return self
        whole, some = self.whole, object.__new__(Prefixes)  # whose numbers have been checked
        some.xs, some.ys = whole.xs[:, list(points)], whole.ys[:, list(points)]
        some.points, some.whole = tuple(points), whole
        return some

    def at_own_points(
        self, of_whole: Float[Tensor, "prompt every_point *rest"]
    ) -> Float[Tensor, "prompt point *rest"]:
        """Values at all points of the whole prompts, reduced to these points."""
        return of_whole if self.whole is self else of_whole[:, list(self.points)]

    def _decomposed(self, points: Sequence[int]) -> Decomposition:
        n_prompts, _, n_dims = self.xs.shape
        shape = (n_prompts, len(points), n_dims)
        singular_values, coefficients = self.xs.new_zeros(shape), self.xs.new_zeros(shape)
        right_vectors = self.xs.new_zeros(*shape, n_dims)
        for index, t in enumerate(points):
            if t == 0:
                continue
            with single_thread():
                left, values, right = torch.linalg.svd(self.xs[:, :t], full_matrices=False)
            n = values.shape[-1]
            threshold = max(t, n_dims) * torch.finfo(values.dtype).eps * values[:, :1]
            counts = values > threshold
            projected = torch.einsum("bti,bt->bi", left, self.ys[:, :t])
            singular_values[:, index, :n] = torch.where(counts, values, 0.0)
            coefficients[:, index, :n] = torch.where(counts, projected / values, 0.0)
            right_vectors[:, index, :n] = torch.where(counts[:, :, None], right, 0.0)
        queries = (right_vectors @ self.xs[:, list(points), :, None])[..., 0]
        return Decomposition(singular_values, right_vectors, coefficients, queries)

    @cached_property
    def eigenvalues(self) -> Float[Tensor, "prompt point direction"]:
        """Eigenvalues of S = X_t^T X_t, in descending order; 0 past the numerical rank."""
        return self.decomposition.singular_values.square()

    @cached_property
    def smallest_eigenvalues(self) -> Float[Tensor, "prompt point"]:
        """Smallest eigenvalue of S within the numerical rank; 0 for a prefix of zeros."""
        smallest = torch.where(self.eigenvalues > 0, self.eigenvalues, torch.inf).amin(-1)
        return torch.where(smallest < torch.inf, smallest, 0.0)

    @cached_property
    def terms(self) -> Float[Tensor, "prompt point direction"]:
        """What each direction adds to the least-squares prediction; their sum is that of OLS."""
        return self.decomposition.coefficients * self.decomposition.queries

    @property
    def rank(self) -> Int[Tensor, "prompt point"]:
        """Numerical rank of each prefix."""
        return (self.decomposition.singular_values > 0).sum(-1)

    @cached_property
    def null_queries(self) -> Float[Tensor, "prompt point dim"]:
        """The part of each query that no example of its prefix has a component along.

        What is within rounding of 0 (8 d eps of the query's norm) is 0.
        """
        d = self.decomposition
        null = self.xs - (d.queries[..., None, :] @ d.right_vectors)[..., 0, :]
        tolerance = 8 * self.n_dims * torch.finfo(null.dtype).eps
        is_null = null.norm(dim=-1) > tolerance * self.xs.norm(dim=-1)
        return torch.where((is_null & (self.rank < self.n_dims))[..., None], null, 0.0)

    def part(self, start: int, stop: int) -> Prefixes:
        """Some of the prompts, with their share of what has been decomposed."""
        if start <= 0 and stop >= self.n_prompts:
            return self
        whole = Prefixes(self.whole.xs[start:stop], self.whole.ys[start:stop])
        some = whole.at_points(self.points)
        if "decomposition" in self.__dict__:
            parts = (getattr(self.decomposition, one.name)[start:stop] for one in _FIELDS)
            some.decomposition = Decomposition(*parts)
        return some

    @classmethod
    def joined(cls, parts: Sequence[Prefixes]) -> Prefixes:
        """The prompts of all parts, of the same points, decomposed where all parts are."""
        if len(parts) == 1:
            return parts[0]
        wholes = [part.whole for part in parts]
        whole = cls(torch.cat([part.xs for part in wholes]), torch.cat([p.ys for p in wholes]))
        whole = whole.at_points(parts[0].points)
        if all("decomposition" in part.__dict__ for part in parts):
            whole.decomposition = Decomposition(
                *(
                    torch.cat([getattr(part.decomposition, one.name) for part in parts])
                    for one in _FIELDS
                )
            )
        return whole

    def __repr__(self) -> str:
        return f"Prefixes(prompts={self.n_prompts}, points={self.n_points}, dims={self.n_dims})"


def _check_scale(what: str, sizes: Float[Tensor, "prompt example"]) -> None:
    wrong = (sizes > LARGEST) | ((sizes > 0) & (sizes < SMALLEST))
    if wrong.any():
        prompt, place = wrong.nonzero()[0].tolist()
        raise ValueError(
            f"prompt {prompt} has {what} of size {sizes[prompt, place]:.3g}, expected 0 or "
            f"{SMALLEST:g} to {LARGEST:g}; rescale xs or ys"
        )
