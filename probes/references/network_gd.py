"""Gradient descent on a two-layer network."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from probes.references.divergence import warn_of_overflow
from probes.references.prefixes import Prefixes
from probes.references.reference import Reference, Steps

Activation = Literal["relu", "tanh"]

PROMPTS_AT_ONCE = 64
"""How many prompts' networks are held together for one step."""


@dataclass(frozen=True)
class NetworkGD(Reference):
    """A network sqrt(2 / h) sum_i a_i activation(w_i·x), trained on each prefix from scratch.

    Full-batch gradient descent on half the sum of squares, both layers trained, from one network
    of a ~ N(0, I) and w_i ~ N(0, I) drawn by `seed` for all prefixes: the function class of Garg et
    al. 2022, Section 5, and of Fu et al. 2024, Fig. 20 and 21. The untrained network's output is
    subtracted from its later outputs (Chizat et al. 2019), so that every prefix starts from the
    prediction 0 as other references do, and a fit is not one to the noise of its start.

    All prefixes of all prompts are trained at once, a batch of prompts at a time, so a step costs
    O(prompt * point^2 * n_hidden * dim) and memory does not grow with prompts or steps.

    >>> network = NetworkGD(n_hidden=5, eta=0.1)
    >>> W, a = (part.numpy() for part in network.start(2))
    >>> def output(x):
    ...     return np.sqrt(2 / 5) * np.maximum(x @ W.T, 0) @ a
    >>> untrained = output(X), output(query)
    >>> for _ in range(3):
    ...     error = np.sqrt(2 / 5) * (output(X) - untrained[0] - y)
    ...     hidden = X @ W.T
    ...     change = np.maximum(hidden, 0).T @ error
    ...     W = W - 0.1 * ((hidden > 0) * a * error[:, None]).T @ X
    ...     a = a - 0.1 * change
    >>> same(network, output(query) - untrained[1], step=3)
    True
    """

    n_hidden: int = 100
    """h, the network's width."""
    activation: Activation = "relu"
    eta: float | Literal["inverse_largest"] = "inverse_largest"
    """Step size; "inverse_largest" is 1 / lambda_max of each prefix's tangent kernel at the start,
    the largest of which the linearised iteration does not oscillate."""
    seed: int = 0
    """Of the network that training starts from."""

    key: ClassVar[str] = "network-gd"
    family: ClassVar[str] = "network"
    label: ClassVar[str] = "GD on a network"
    phrase: ClassVar[str] = "gradient descent on a two-layer network"
    doublings: ClassVar[int | None] = 8

    def __post_init__(self) -> None:
        if self.n_hidden < 1:
            raise ValueError(f"n_hidden must be at least 1, got {self.n_hidden}")
        if self.activation not in ("relu", "tanh"):
            raise ValueError(f"activation must be 'relu' or 'tanh', got {self.activation!r}")
        is_rule = self.eta == "inverse_largest"
        if not is_rule and (isinstance(self.eta, str) or not 0 < self.eta < math.inf):
            raise ValueError(f"eta must be a number above 0 or 'inverse_largest', got {self.eta!r}")

    def stream_predictions(
        self, prefixes: Prefixes, steps: Steps = None
    ) -> Iterator[tuple[float, Float[Tensor, "prompt point"]]]:
        counts = sorted(self.check_steps(steps))
        trainings = [
            self._train(prefixes.whole.xs[chosen], prefixes.whole.ys[chosen])
            for chosen in torch.arange(prefixes.n_prompts).split(PROMPTS_AT_ONCE)
        ]
        predictions = [next(training) for training in trainings]
        for before, step in pairwise([0.0, *counts]):
            for _ in range(int(step - before)):
                predictions = [next(training) for training in trainings]
            found = torch.cat(predictions)
            warn_of_overflow(self.name, found[..., None])
            yield step, prefixes.at_own_points(found)

    def start(self, n_dims: int) -> tuple[Float[Tensor, "hidden dim"], Float[Tensor, " hidden"]]:
        """The network that training starts from: w and a."""
        generator = torch.Generator().manual_seed(self.seed)
        first = torch.randn(self.n_hidden, n_dims, dtype=torch.float64, generator=generator)
        return first, torch.randn(self.n_hidden, dtype=torch.float64, generator=generator)

    def _train(
        self, xs: Float[Tensor, "prompt point dim"], ys: Float[Tensor, "prompt point"]
    ) -> Iterator[Float[Tensor, "prompt point"]]:
        """Yields the predictions after 0, 1, 2, … steps, without end.

        The networks of all prefixes are [prompt, prefix, hidden, dim]; prefix t is trained on
        the examples before t and evaluated at t.
        """
        n_prompts, n_points, n_dims = xs.shape
        scale = math.sqrt(2 / self.n_hidden)
        w, a = (part.to(xs.device) for part in self.start(n_dims))
        untrained = scale * self._activate(xs @ w.T) @ a  # [prompt, point]
        seen = torch.ones(n_points, n_points, dtype=xs.dtype, device=xs.device).tril(-1)
        eta = self._step_sizes(xs, seen.bool(), scale)
        w = w.expand(n_prompts, n_points, -1, -1)
        a = a.expand(n_prompts, n_points, -1)
        yield torch.zeros_like(ys)
        while True:
            # [prompt, prefix, hidden, example]
            pre = torch.einsum("bthd,bnd->bthn", w, xs)
            hidden = self._activate(pre)
            output = scale * torch.einsum("bth,bthn->btn", a, hidden) - untrained[:, None]
            residual = (output - ys[:, None]) * seen
            back = scale * residual[:, :, None] * self._slope(pre, hidden)
            step = eta[..., None]
            new_a = a - step * scale * torch.einsum("bthn,btn->bth", hidden, residual)
            gradient = torch.einsum("bth,bthn,bnd->bthd", a, back, xs)
            w, a = w - step[..., None] * gradient, new_a
            at_query = self._activate(torch.einsum("bthd,btd->bth", w, xs))
            yield (scale * (a * at_query).sum(-1) - untrained) * seen.any(-1)

    def _step_sizes(
        self,
        xs: Float[Tensor, "prompt point dim"],
        seen: Bool[Tensor, "prefix point"],
        scale: float,
    ) -> Float[Tensor, "prompt prefix"]:
        if not isinstance(self.eta, str):
            return torch.full_like(xs[..., 0], self.eta)
        w, a = (part.to(xs.device) for part in self.start(xs.shape[-1]))
        pre = xs @ w.T
        hidden = self._activate(pre)
        slopes = self._slope(pre, hidden) * a
        kernel = scale**2 * (hidden @ hidden.mT + (slopes @ slopes.mT) * (xs @ xs.mT))
        sizes = torch.zeros_like(xs[..., 0])
        for t in range(1, xs.shape[1]):
            part = kernel[:, seen[t]][:, :, seen[t]]
            largest = torch.linalg.eigvalsh(part)[:, -1]
            sizes[:, t] = torch.where(largest > 0, 1 / largest.clamp(min=1e-300), 0.0)
        return sizes

    def _activate(self, pre: Tensor) -> Tensor:
        return pre.relu() if self.activation == "relu" else pre.tanh()

    def _slope(self, pre: Tensor, hidden: Tensor) -> Tensor:
        """Derivative of the activation; 0 at a kink, as in torch."""
        return (pre > 0).to(pre) if self.activation == "relu" else 1 - hidden.square()
