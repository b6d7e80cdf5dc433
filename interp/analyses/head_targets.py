"""What the output of an attention head is regressed onto: iterates, and moments of the prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from einops import einsum, rearrange
from jaxtyping import Float
from torch import Tensor

from probes.candidate import Candidate
from probes.references import Prefixes

FORMS: dict[str, str] = {
    "prediction": "as a prediction, x·v",
    "vector": "the vector v itself",
}
"""How a weight vector or moment v could be held at the token of a query x."""


@dataclass(frozen=True)
class HeadTargets:
    """Columns of the target matrix that belong together: steps or moments, of some width each."""

    comparison: Candidate | None
    """None for the moments."""
    form: str
    steps: tuple[float, ...]
    """Or the powers j of the moments."""
    width: int
    per_example: bool = False
    """For the moments."""

    @property
    def n_columns(self) -> int:
        return len(self.steps) * self.width

    def compute(self, prefixes: Prefixes) -> Float[Tensor, "prompt seen_point column"]:
        if self.comparison is None:
            vectors = moments(prefixes, len(self.steps), per_example=self.per_example)
        else:
            vectors = self.comparison.reference.weights(prefixes, self.steps)
        if self.form == "prediction":
            vectors = einsum(
                vectors, prefixes.xs, "v prompt point dim, prompt point dim -> v prompt point"
            )[..., None]
        return rearrange(vectors[:, :, 1:], "v prompt point dim -> prompt point (v dim)")


def head_targets(
    comparisons: Sequence[Candidate], n_dims: int, n_moments: int, *, per_example: bool
) -> tuple[HeadTargets, ...]:
    """Every step of some references and the first moments, in every form.

    Args:
        comparisons: The references.
        n_dims: Dimension of x.
        n_moments: j = 0, 1, … of S^j b.
        per_example: See `moments`.
    """
    powers = tuple(map(float, range(n_moments)))
    targets = []
    for form, width in (("prediction", 1), ("vector", n_dims)):
        targets += [
            HeadTargets(item, form, item.grid_of(form).steps, width) for item in comparisons
        ]
        targets.append(HeadTargets(None, form, powers, width, per_example))
    return tuple(targets)


def moments(
    prefixes: Prefixes, n_moments: int, *, per_example: bool = False
) -> Float[Tensor, "moment prompt point dim"]:
    """S^j b of every prefix, from j = 0 on.

    Args:
        prefixes: The prefixes.
        n_moments: How many.
        per_example: Whether S and b are means over the pairs of the prefix, and not sums.
    """
    decomposition = prefixes.decomposition
    n_seen = torch.arange(prefixes.n_points, dtype=torch.float64).clamp(min=1)[:, None]
    eigenvalues = prefixes.eigenvalues / (n_seen if per_example else 1)
    along = eigenvalues * decomposition.coefficients  # b in the eigenbasis
    found = []
    for _ in range(n_moments):
        found.append((along[..., None, :] @ decomposition.right_vectors)[..., 0, :])
        along = along * eigenvalues
    return torch.stack(found)
