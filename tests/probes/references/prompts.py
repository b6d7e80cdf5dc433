"""Prompts that are hard for an iteration."""

from __future__ import annotations

import torch

D = 4


def with_singular_values(
    values: torch.Tensor, n_examples: int, generator: torch.Generator
) -> torch.Tensor:
    """Examples with these singular values, followed by a query from N(0, I)."""
    left, right = (
        torch.linalg.qr(torch.randn(n, n, dtype=torch.float64, generator=generator))[0]
        for n in (n_examples, len(values))
    )
    examples = left[:, : len(values)] * values @ right.T
    query = torch.randn(1, len(values), dtype=torch.float64, generator=generator)
    return torch.cat([examples, query])


def hard_prompts(case: str, n_prompts: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    """Noiseless prompts, xs and ys, of one kind of difficulty."""
    generator = torch.Generator().manual_seed(7)

    def gaussian(n_points: int) -> torch.Tensor:
        return torch.randn(n_prompts, n_points, D, dtype=torch.float64, generator=generator)

    if case == "gaussian":
        xs = gaussian(7)
    elif case == "duplicates and zeros":
        xs = gaussian(8)
        xs[:, 1], xs[:, 2], xs[:, 4] = xs[:, 0], 0.0, 3 * xs[:, 3]
    elif case == "rank 1":
        xs = gaussian(6)
        xs[:, 1:5] = xs[:, :1] * torch.arange(4, dtype=torch.float64)[:, None]
    else:
        kappa = float(case.rsplit(" ", 1)[1])
        n_examples = 6 if case.startswith("tall") else D
        values = torch.logspace(0, -0.5, D, base=kappa, dtype=torch.float64) * 30
        xs = torch.stack(
            [with_singular_values(values, n_examples, generator) for _ in range(n_prompts)]
        )
    weights = torch.randn(n_prompts, D, 1, dtype=torch.float64, generator=generator)
    return xs, (xs @ weights)[..., 0]


HARD = ("gaussian", "duplicates and zeros", "rank 1", "tall, kappa 1e12", "square, kappa 1e12")
