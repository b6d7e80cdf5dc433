"""GD on the two-layer network of Fig. 20 and 21, for every prefix of every prompt at once."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from interp.tasks import TwoLayerNetwork
from probes.references import Prefixes


def network_gd(
    task: TwoLayerNetwork, prefixes: Prefixes, steps: Sequence[int], seed: int = 0
) -> Iterator[tuple[int, Float[Tensor, "prompt point"]]]:
    """Trains a network of the task's kind on each prefix by full-batch GD and yields predictions.

    The network is sqrt(2 / h) sum_i a_i activation(w_i·x), the loss half the sum of squares. Its
    first half is drawn as the task draws its own and its second half is the same with -a, so that
    it starts by predicting 0, as GD on linear regression does. The step size is 1 / (2 q), q being
    the largest eigenvalue of X^T X over all prefixes: with ReLU both layers together have about
    twice the curvature of the linear problem.

    Args:
        task: Says how wide the network is and what its activation is.
        prefixes: The prompts.
        steps: Step counts, in ascending order.
        seed: Of the initial weights, which all prefixes share.

    Raises:
        ValueError: Steps that are negative or descend.
    """
    if not steps or min(steps) < 0 or sorted(steps) != list(steps):
        raise ValueError(f"steps must ascend from 0 or more, got {list(steps)}")
    xs, ys = prefixes.xs, prefixes.ys
    n_prompts, n_points, n_dims = xs.shape
    half = max(1, task.n_hidden // 2)
    scale = math.sqrt(2 / (2 * half))
    generator = torch.Generator().manual_seed(seed)
    first = torch.randn(half, n_dims, generator=generator, dtype=xs.dtype).repeat(2, 1)
    second = torch.randn(half, generator=generator, dtype=xs.dtype)
    second = torch.cat([second, -second])
    w = first.expand(n_prompts, n_points, -1, -1).clone()  # [prompt, point, hidden, dim]
    a = second.expand(n_prompts, n_points, -1).clone()
    seen = torch.ones(n_points, n_points, dtype=xs.dtype).tril(-1)  # point t has seen s < t
    eta = 1 / (2 * prefixes.eigenvalues.max().item())
    done = 0
    for step in steps:
        for _ in range(step - done):
            pre = torch.einsum("bsd,bthd->btsh", xs, w)
            hidden, slope = _activate(pre, task.activation)
            residual = (scale * torch.einsum("btsh,bth->bts", hidden, a) - ys[:, None]) * seen
            backward = residual[..., None] * slope * a[:, :, None]
            grad_w = scale * torch.einsum("btsh,bsd->bthd", backward, xs)
            a = a - eta * scale * torch.einsum("bts,btsh->bth", residual, hidden)
            w = w - eta * grad_w
        done = step
        asked = torch.einsum("btd,bthd->bth", xs, w)
        yield step, scale * (_activate(asked, task.activation)[0] * a).sum(-1)


def _activate(pre: Tensor, activation: str) -> tuple[Tensor, Tensor]:
    """The activation and its derivative."""
    if activation == "relu":
        return pre.relu(), (pre > 0).to(pre.dtype)
    value = pre.tanh()
    return value, 1 - value.square()
