"""Changes of a prompt that leave the distribution of prompts as it was.

With T f the mean of f over a change T, the energy E f (T f) is that of the part of f which T leaves
as it was: permutations keep what does not depend on the order of the examples; mixing the pairs by
an orthogonal matrix keeps what is a function of X^T X, X^T y and the query; rotating all x and the
query keeps what has no direction. Replacing y by rho y + sqrt(1 - rho^2) y' with fresh targets y'
multiplies the part of degree k in y by rho^k (Mehler), and likewise for the query; the odd part in
rho, at two values of rho, gives the part of degree 1 but for degrees of 5 and more.
"""

from __future__ import annotations

import math
from itertools import product

import torch
from jaxtyping import Float
from torch import Tensor

RHO = 0.5
KEPT = ("order-free", "symmetric", "isotropic", "linear in y", "bilinear")
"""What each part of `kept_parts` is, besides what the one before it is."""
_FACTORS = (1.0, -1.0, RHO, -RHO)
N_FACTORS = len(_FACTORS)
_DEGREES = tuple(product(_FACTORS, _FACTORS))
"""Factors of y and of the query in the variants that are mixed and rotated, the query's last."""
VARIANTS = ("as given", "permuted", "mixed", *(f"y {y:+}, query {q:+}" for y, q in _DEGREES))


def draw_variants(
    xs: Float[Tensor, "prompt point dim"],
    ys: Float[Tensor, "prompt point"],
    fresh_ys: Float[Tensor, "prompt point"] | None,
    fresh_queries: Float[Tensor, "prompt dim"],
    generator: torch.Generator,
) -> tuple[Float[Tensor, "variant prompt point dim"], Float[Tensor, "variant prompt point"]]:
    """Prompts and their changed versions, in the order of `VARIANTS`.

    Permuted prompts are valid where examples are drawn independently. The others are where the rows
    of X are Gaussian with one covariance, whose eigenvectors have no preferred direction, and y
    given X is Gaussian with mean 0, as in linear regression.

    Args:
        xs: Examples and, last, the query.
        ys: Their targets; that of the query is passed on as it is.
        fresh_ys: Other targets for the same xs; None where that does not hold, for the permuted
            prompts only.
        fresh_queries: Another query for every prompt, of the same distribution.
        generator: Draws permutations, mixtures and rotations.

    Returns:
        xs and ys of every variant, or of the first two.
    """
    n_prompts, n_points, n_dims = xs.shape
    n_pairs = n_points - 1
    pairs, targets, query = xs[:, :-1], ys[:, :-1, None], xs[:, -1:]
    order = torch.rand(n_prompts, n_pairs, generator=generator, dtype=xs.dtype).argsort(1)
    rows = [
        (pairs, targets, query),
        (pairs.gather(1, order[..., None].expand_as(pairs)), targets.gather(1, order[..., None]),
         query),
    ]  # fmt: skip
    if fresh_ys is not None:
        mixture = random_rotations(n_prompts, n_pairs, generator)
        rotation = random_rotations(n_prompts, n_dims, generator)
        rows.append((mixture @ pairs, mixture @ targets, query))
        turned = mixture @ pairs @ rotation
        for y_factor, query_factor in _DEGREES:
            y = y_factor * targets + math.sqrt(1 - y_factor**2) * fresh_ys[:, :-1, None]
            q = query_factor * query + math.sqrt(1 - query_factor**2) * fresh_queries[:, None]
            rows.append((turned, mixture @ y, q @ rotation))
    return (
        torch.stack([torch.cat([pair, asked], 1) for pair, _, asked in rows]),
        torch.stack([torch.cat([target[..., 0], ys[:, -1:]], 1) for _, target, _ in rows]),
    )


def kept_parts(values: Float[Tensor, "*batch variant"]) -> Float[Tensor, "*batch kept"]:
    """What a function's values on `VARIANTS` say of the parts that `KEPT` names.

    Their mean product with the function itself, over prompts, is the energy of each part. With the
    first two variants alone, all parts but the order-free one are NaN.
    """
    if values.shape[-1] == 2:
        unknown = values.new_full((*values.shape[:-1], len(KEPT) - 1), torch.nan)
        return torch.cat([values[..., 1:], unknown], -1)
    return values @ _weights().to(values)


def random_rotations(n: int, size: int, generator: torch.Generator) -> Float[Tensor, "n size size"]:
    """Uniformly distributed orthogonal matrices (Mezzadri 2007)."""
    gaussian = torch.randn(n, size, size, generator=generator, dtype=torch.float64)
    q, r = torch.linalg.qr(gaussian)
    return q * r.diagonal(dim1=1, dim2=2).sign()[:, None]


def _weights() -> Float[Tensor, "variant kept"]:
    weights = torch.zeros(len(VARIANTS), len(KEPT), dtype=torch.float64)
    for row, column in ((1, 0), (2, 1), (3, 2)):
        weights[row, column] = 1.0
    for row, (y, query) in enumerate(_DEGREES, start=3):
        weights[row, 3] = _first_degree(y) * (query == 1)
        weights[row, 4] = _first_degree(y) * _first_degree(query)
    return weights


def _first_degree(factor: float) -> float:
    """Weights of f in (o(rho) - rho^3 o(1)) / (rho - rho^3), o being the odd part of f."""
    size = 1.0 if abs(factor) == RHO else -(RHO**3)
    return size * math.copysign(0.5, factor) / (RHO - RHO**3)
