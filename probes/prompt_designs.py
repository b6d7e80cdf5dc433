"""Designs of prompts: spectra, ranks, weights, scales and orders that ordinary prompts lack."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

N_DESIGNS = 512
"""Prompts that are drawn to choose from."""
ORDERS = ("as drawn", "rising", "falling")
"""Orders of the examples by their length."""
Y_SCALES = (0.25, 1.0, 4.0)
"""Factors on y, where they change a reference's errors by more than themselves."""

Designs = tuple[Tensor, Tensor]
"""xs [prompt, point, dim] and ys [prompt, point]."""


def draw_designs(
    usual: Float[Tensor, "prompt point dim"],
    largest_condition: int | float,
    generator: torch.Generator,
) -> Designs:
    """One prompt of each design, as large as the usual ones."""
    _, n_points, n_dims = usual.shape
    largest = torch.linalg.matrix_norm(usual, 2).mean()
    xs, ys = [], []
    for index in range(N_DESIGNS):
        rank = int(torch.randint(1, n_dims + 1, (), generator=generator))
        directions = torch.linalg.qr(_normal(n_dims, n_dims, generator=generator))[0][:, :rank]
        spectrum = _spectrum(rank, largest_condition, generator)
        x = _normal(n_points, rank, generator=generator) * spectrum.sqrt() @ directions.T
        # w along strong directions, along all, or along weak ones
        tilt = float(torch.randint(-1, 2, (), generator=generator))
        w = directions @ (_normal(rank, generator=generator) * spectrum ** (tilt / 2))
        order = ORDERS[index // len(Y_SCALES) % len(ORDERS)]
        if order != "as drawn":
            x = x[x.norm(dim=1).argsort(descending=order == "falling")]
        x = x * largest / torch.linalg.matrix_norm(x, 2)
        y = x @ w
        xs.append(x)
        ys.append(y * n_dims**0.5 / y.square().mean().sqrt().clamp(min=1e-300))
    return torch.stack(xs), torch.stack(ys)


def _spectrum(
    rank: int, largest_condition: int | float, generator: torch.Generator
) -> Float[Tensor, " direction"]:
    """Eigenvalues from 1 down to 1 / kappa: two levels, or evenly spaced in logarithm."""
    kappa = largest_condition ** float(torch.rand((), generator=generator, dtype=torch.float64))
    if bool(torch.rand((), generator=generator) < 0.5):
        return torch.logspace(0, -1, rank, base=kappa, dtype=torch.float64)
    n_large = int(torch.randint(0, rank + 1, (), generator=generator))
    return torch.where(torch.arange(rank) < n_large, 1.0, 1 / kappa).double()


def rescaled(designs: Designs) -> Designs:
    """The same prompts with y multiplied by `Y_SCALES` in turn."""
    xs, ys = designs
    return xs, ys * torch.tensor(Y_SCALES).double().repeat(len(ys))[: len(ys), None]


def random_prompts(
    n_prompts: int, n_points: int, n_dims: int, generator: torch.Generator
) -> Designs:
    """Prompts of standard normal x and w."""
    xs = _normal(n_prompts, n_points, n_dims, generator=generator)
    return xs, (xs @ _normal(n_prompts, n_dims, 1, generator=generator))[..., 0]


def _normal(*shape: int, generator: torch.Generator) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=generator)


def rotated(
    xs: Float[Tensor, "prompt point dim"], generator: torch.Generator
) -> Float[Tensor, "prompt point dim"]:
    """The x of every prompt, rotated at random."""
    n_prompts, _, n_dims = xs.shape
    return xs @ torch.linalg.qr(_normal(n_prompts, n_dims, n_dims, generator=generator))[0]
