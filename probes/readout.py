"""Affine read-outs from activations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from probes.accumulation import accumulate
from probes.ridge import check_ridge, solve_strengths
from probes.statistics import RegressionStatistics


@dataclass(frozen=True)
class Readout:
    """Affine maps from each site's activations to the targets: h -> weight^T h + bias.

    `vars(readout)` holds its tensors, ready for a safetensors file; `Readout(**tensors)` is the
    same read-out again.
    """

    weight: Float[Tensor, "site d target"]

    bias: Float[Tensor, "site target"]

    ridge: Float[Tensor, "site target"]
    """Ridge strength each map was fitted with, in scikit-learn's convention."""

    def __post_init__(self) -> None:
        shapes = [list(tensor.shape) for tensor in vars(self).values()]
        if not (len(shapes[0]) == 3 and [shapes[0][::2]] * 2 == shapes[1:]):
            raise ValueError(
                "weight must be [site, d, target], bias and ridge [site, target], got "
                f"{shapes[0]}, {shapes[1]} and {shapes[2]}"
            )

    @classmethod
    def fit(
        cls,
        activations: Float[Tensor, "site *batch d"],
        targets: Float[Tensor, "*batch_and_target"],
        ridge: float = 0.0,
    ) -> Readout:
        """The read-outs that predict the targets best from each site's activations.

        Least squares, with `ridge` times the squared weights added. `ReadoutFitter` does the same
        batch by batch, with many strengths, groups of samples and targets for each site.

        Args:
            activations: Activations of every site, such as `[site, prompt, point, d]`.
            targets: One target, such as ys `[prompt, point]`, or several on a last axis.
            ridge: Ridge strength.

        Raises:
            ValueError: Targets of other samples, values that are not finite, or a strength below 0.
        """
        batch = activations.shape[1:-1]
        if targets.shape[: len(batch)] != batch or targets.ndim - len(batch) not in (0, 1):
            raise ValueError(
                f"targets must be {list(batch)}, or that and an axis of targets, "
                f"got {list(targets.shape)}"
            )
        n_sites, d_features = len(activations), activations.shape[-1]
        samples = activations.reshape(n_sites, batch.numel(), d_features)
        columns = targets.reshape(batch.numel(), -1)
        statistics = RegressionStatistics.empty(n_sites, d_features, columns.shape[1])
        accumulate(statistics, samples, columns)
        strengths = check_ridge(ridge, statistics)
        weight, bias = solve_strengths(statistics, strengths[None, :, 0])
        return cls(weight[0], bias[0], strengths)

    def __call__(
        self, activations: Float[Tensor, "site *batch d"]
    ) -> Float[Tensor, "site *batch target"]:
        """Predicts the targets.

        Args:
            activations: Activations of every site, cast to the read-out's dtype.

        Returns:
            Predictions `[site, *batch, target]`.

        Raises:
            ValueError: Another number of sites or features.
        """
        n_sites, d_features, n_targets = self.weight.shape
        if (activations.shape[0], activations.shape[-1]) != (n_sites, d_features):
            raise ValueError(
                f"activations must be [{n_sites} sites, ..., {d_features}], "
                f"got {list(activations.shape)}"
            )
        flat = activations.to(self.weight).reshape(n_sites, -1, d_features)
        predictions = torch.baddbmm(self.bias[:, None, :], flat, self.weight)
        return predictions.reshape(*activations.shape[:-1], n_targets)

    def at(self, site_index: int) -> Readout:
        """The read-out of one site, as a read-out of one site."""
        index = [range(self.weight.shape[0])[site_index]]
        return Readout(self.weight[index], self.bias[index], self.ridge[index])

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> Readout:
        """The same read-out on another device or in another dtype."""
        return Readout(*(t.to(device=device, dtype=dtype) for t in vars(self).values()))


@dataclass(frozen=True)
class Readouts:
    """Read-outs of the same sites and targets, one for each ridge strength or replicate."""

    weight: Float[Tensor, "variant site d target"]

    bias: Float[Tensor, "variant site target"]

    ridge: Float[Tensor, "variant site target"]

    def __len__(self) -> int:
        return self.weight.shape[0]

    def __getitem__(self, index: int) -> Readout:
        return Readout(self.weight[index], self.bias[index], self.ridge[index])

    def __iter__(self) -> Iterator[Readout]:
        return (self[index] for index in range(len(self)))

    def __call__(
        self, activations: Float[Tensor, "site *batch d"]
    ) -> Float[Tensor, "variant site *batch target"]:
        """Predictions `[variant, site, *batch, target]`; see `Readout.__call__`."""
        return torch.stack([readout(activations) for readout in self])

    def select(self, index: Int[Tensor, "site target"]) -> Readout:
        """One read-out, of the variant that `index` names at each site and target."""
        n_sites, n_targets = index.shape
        sites = torch.arange(n_sites, device=index.device)[:, None]
        targets = torch.arange(n_targets, device=index.device)
        weight = self.weight[index, sites, :, targets]
        return Readout(
            weight.transpose(1, 2).contiguous(),
            self.bias[index, sites, targets],
            self.ridge[index, sites, targets],
        )
