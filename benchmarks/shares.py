"""How often do the intervals of an anatomy's shares hold the truth?

Functions of a prompt that depart from ridge regression in one known way, or in several at once, are
taken apart as a layer would be, with noise of 0, 10 and 30 % of their energy. The truth is the mean
of all draws, whose shares are free of bias.

    python benchmarks/shares.py [--draws 200] [--prompts 1024]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
from torch import Tensor

from probes.anatomy import PARTS, FilterBasis, LayerSums, Shares, draw_variants, kept_parts
from probes.references import Prefixes
from probes.uncertainty import bootstrap_weights

D, T, PENALTY, N_GROUPS = 3, 6, 2.0, 64
NOISES = (0.0, 0.1, 0.3)
Function = Callable[[Tensor, Tensor], Tensor]
"""Of xs [variant, prompt, point, dim], the query last, and ys [variant, prompt, point]."""


def ridge(xs: Tensor, ys: Tensor, power: float = 1.0) -> Tensor:
    """Ridge regression; with `power` 2, ridge regression on the residuals of a first one added."""
    pairs, query = xs[..., :-1, :], xs[..., -1, :]
    gram = pairs.mT @ pairs
    eigenvalues, vectors = torch.linalg.eigh(gram)
    left = (PENALTY / (eigenvalues + PENALTY)) ** power
    moment = torch.einsum("...td,...t->...d", pairs, ys[..., :-1])
    along = (moment[..., None, :] @ vectors)[..., 0, :] * (1 - left) / eigenvalues
    return (along * (query[..., None, :] @ vectors)[..., 0, :]).sum(-1)


def newest_counts_twice(xs: Tensor, ys: Tensor) -> Tensor:
    xs, ys = xs.clone(), ys.clone()
    xs[..., -2, :] *= 2**0.5
    ys[..., -2] *= 2**0.5
    return ridge(xs, ys)


def leverage_weighted(xs: Tensor, ys: Tensor) -> Tensor:
    pairs = xs[..., :-1, :]
    leverage = (pairs @ torch.linalg.pinv(pairs)).diagonal(dim1=-2, dim2=-1)
    scale = torch.cat([(1 - leverage / 2).sqrt(), torch.ones_like(leverage[..., :1])], -1)
    return ridge(xs * scale[..., None], ys * scale)


def gain_of_one_axis(xs: Tensor, ys: Tensor) -> Tensor:
    gain = torch.ones(D, dtype=xs.dtype)
    gain[0] = 1.5
    return ridge(xs * gain, ys)


def tanh_of_y(xs: Tensor, ys: Tensor) -> Tensor:
    return ridge(xs, ys.tanh())


def normed_query(xs: Tensor, ys: Tensor) -> Tensor:
    query = xs[..., -1:, :]
    normed = query / (query.square().mean(-1, keepdim=True) + 1).sqrt()
    return ridge(torch.cat([xs[..., :-1, :], normed], -2), ys)


def two_steps(xs: Tensor, ys: Tensor) -> Tensor:
    return ridge(xs, ys, power=2.0)


def all_of_them(xs: Tensor, ys: Tensor) -> Tensor:
    parts = (newest_counts_twice, gain_of_one_axis, tanh_of_y, normed_query)
    return sum(part(xs, ys) for part in parts) / len(parts)


FUNCTIONS: dict[str, Function] = {
    "ridge regression": ridge,
    "newest example twice": newest_counts_twice,
    "weighted by leverage": leverage_weighted,
    "gain of one axis": gain_of_one_axis,
    "tanh of y": tanh_of_y,
    "normed query": normed_query,
    "another filter": two_steps,
    "four of these mixed": all_of_them,
}


def taken_apart(function: Function, noise: float, n_prompts: int, seed: int) -> Shares:
    """The shares of a function whose read-out has noise of a share of its energy."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    xs = normal(n_prompts, T + 1, D)
    ys, fresh = (torch.einsum("ptd,pd->pt", xs, normal(n_prompts, D)) for _ in range(2))
    changed = draw_variants(xs, ys, fresh, normal(n_prompts, D), generator)
    said = function(*changed)
    said = said + normal(*said.shape) * (noise * said[0].square().mean()).sqrt()
    prefixes = Prefixes(xs, ys).at_points([T])
    eigenvalues = prefixes.eigenvalues[:, 0]
    sums = LayerSums(FilterBasis.of(eigenvalues), 1, 1, N_GROUPS)
    sums.update(
        0,
        ys[:, -1].unflatten(0, (N_GROUPS, -1)),
        said[:1].unflatten(1, (N_GROUPS, -1)),
        sums.basis.features(eigenvalues, prefixes.terms[:, 0]).unflatten(0, (N_GROUPS, -1)),
        ridge(xs, ys)[None].unflatten(1, (N_GROUPS, -1)),
        kept_parts(said.T)[None].unflatten(1, (N_GROUPS, -1)),
    )
    return Shares.of(sums, [1], [True], bootstrap_weights(N_GROUPS, 300, seed))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--prompts", type=int, default=1024)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("share in % (how often its 95 % interval holds it, in %)")
    print(f"{'':>22} {'noise':>5} " + " ".join(f"{part[:13]:>13}" for part in PARTS))
    held_in_all = []
    for name, function in FUNCTIONS.items():
        for noise in NOISES:
            draws = [
                taken_apart(function, noise, options.prompts, seed) for seed in range(options.draws)
            ]
            value, low, high = (
                torch.stack([one.share[index][0] for one in draws]) for index in range(3)
            )
            truth = value.mean(0)
            # A share that is 0 in every draw has an interval of no width.
            held = ((low <= truth + 1e-9) & (truth - 1e-9 <= high)).double().mean(0)
            held_in_all.append(held)
            cells = [
                f"{100 * share:6.2f} ({100 * often:4.1f})"
                for share, often in zip(truth.tolist(), held.tolist(), strict=True)
            ]
            print(f"{name:>22} {noise:5.1f} " + " ".join(cells), flush=True)
    coverage = torch.stack(held_in_all)
    print(f"all: {100 * coverage.mean():.1f} %; of each part:", end=" ")
    print(
        ", ".join(f"{part} {100 * c:.1f}" for part, c in zip(PARTS, coverage.mean(0), strict=True))
    )


if __name__ == "__main__":
    main()
