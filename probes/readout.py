"""Affine read-outs from activations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Readout:
    """Affine maps from each site's activations to the targets."""

    weight: Float[Tensor, "site d target"]

    bias: Float[Tensor, "site target"]

    ridge: Float[Tensor, "site target"]
    """Ridge strength each map was fitted with, in scikit-learn's convention."""

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
        return Readout(*(t.to(device=device, dtype=dtype) for t in self.to_tensors().values()))

    def to_tensors(self) -> dict[str, Tensor]:
        """Plain tensors, ready for a safetensors file."""
        return {"weight": self.weight, "bias": self.bias, "ridge": self.ridge}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Readout:
        """The inverse of `to_tensors`.

        Raises:
            ValueError: A tensor is missing or their shapes disagree.
        """
        if missing := {"weight", "bias", "ridge"} - set(tensors):
            raise ValueError(f"a read-out needs {', '.join(sorted(missing))}, got {list(tensors)}")
        weight, bias, ridge = (tensors[name] for name in ("weight", "bias", "ridge"))
        shape = (weight.shape[0], weight.shape[-1]) if weight.ndim == 3 else None
        if shape is None or tuple(bias.shape) != shape or tuple(ridge.shape) != shape:
            raise ValueError(
                "weight must be [site, d, target], bias and ridge [site, target], got "
                f"{list(weight.shape)}, {list(bias.shape)} and {list(ridge.shape)}"
            )
        return cls(weight, bias, ridge)


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
