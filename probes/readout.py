"""Affine read-outs from activations, fitted in closed form on streaming statistics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from probes.statistics import RegressionStatistics, accumulate

RELATIVE_STRENGTHS: tuple[float, ...] = (
    *(10.0**exponent for exponent in range(-12, 0, 2)),
    1e-1,
    1.0,
)
"""Ridge strengths tried by default, relative to the mean eigenvalue of a site's scatter."""

EIGENVALUE_TOLERANCE = 8 * torch.finfo(torch.float64).eps
"""Per feature: see `rank_threshold`."""


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


@dataclass(frozen=True)
class ValidationError:
    """Errors of read-outs on samples known only by their statistics."""

    mse: Float[Tensor, "variant site target"]
    """Mean squared error; digits below 1e-16 of the target's mean square are lost."""

    r2: Float[Tensor, "variant site target"]
    """1 - mse / variance of the target there; for a constant target 1 if exact, else 0."""

    def best(self, *, per_target: bool = False) -> Int[Tensor, "site target"]:
        """The variant with the highest R^2 at each site: on average over targets, or for each."""
        r2 = self.r2 if per_target else self.r2.mean(dim=2, keepdim=True)
        return r2.argmax(dim=0).expand(self.r2.shape[1:])


class ReadoutFitter:
    """Fits read-outs of many targets from many sites on one pass over the samples.

    Only sufficient statistics are kept, so memory does not grow with the samples, shards merge,
    and bootstrap replicates over groups of samples need no second pass.
    """

    statistics: RegressionStatistics
    """Moments of everything seen so far; updated in place."""

    def __init__(
        self,
        n_sites: int,
        d_features: int,
        n_targets: int,
        *,
        n_groups: int = 1,
        targets_per_site: bool = False,
        device: torch.device | str | None = None,
    ) -> None:
        """Starts with no samples.

        Args:
            n_sites: Sites, each with its own read-outs.
            d_features: Width of the activations.
            n_targets: Targets, regressed independently.
            n_groups: Groups whose statistics are kept apart, for `resample` and cross-validation.
                Memory is proportional to it.
            targets_per_site: Whether every site has targets of its own.
            device: Where the statistics live.

        Raises:
            ValueError: A count is below 1.
        """
        for name, value in (
            ("n_sites", n_sites),
            ("d_features", d_features),
            ("n_targets", n_targets),
            ("n_groups", n_groups),
        ):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        self.statistics = RegressionStatistics.empty(
            n_sites,
            d_features,
            n_targets,
            n_groups=n_groups,
            targets_per_site=targets_per_site,
            device=device,
        )

    @torch.no_grad()
    def update(
        self,
        features: Float[Tensor, "site sample d"],
        targets: Float[Tensor, "sample target"] | Float[Tensor, "site sample target"],
        groups: Int[Tensor, " sample"] | None = None,
    ) -> ReadoutFitter:
        """Adds samples; see `probes.statistics.accumulate` for the arguments and errors."""
        accumulate(self.statistics, features, targets, groups)
        return self

    def merge(self, other: ReadoutFitter) -> ReadoutFitter:
        """Adds the samples another fitter of the same sizes has seen."""
        self.statistics = self.statistics.merge(other.statistics)
        return self

    def relative_strengths(
        self, relative: Sequence[float] = RELATIVE_STRENGTHS
    ) -> Float[Tensor, "strength site"]:
        """Ridge strengths in units of each site's mean scatter eigenvalue."""
        return relative_strengths(self.statistics, relative)

    def solve(
        self,
        ridge_strengths: Sequence[float]
        | Float[Tensor, " strength"]
        | Float[Tensor, "strength site"],
    ) -> Readouts:
        """Read-outs for every ridge strength, from one eigendecomposition a site.

        Minimises ||t - H w - b||^2 + strength ||w||^2, b unpenalised: scikit-learn's `Ridge`.
        See `rank_threshold` for directions without variance.
        """
        return solve(self.statistics.pooled(), ridge_strengths)

    def select(
        self,
        held_out: RegressionStatistics,
        ridge_strengths: Sequence[float]
        | Float[Tensor, " strength"]
        | Float[Tensor, "strength site"]
        | None = None,
        *,
        per_target: bool = False,
    ) -> Readout:
        """The read-outs whose ridge strength does best on held-out samples.

        Args:
            held_out: Statistics of samples this fitter has not seen.
            ridge_strengths: Strengths to choose from, for all sites or for each; the default
                spans `RELATIVE_STRENGTHS`.
            per_target: Choose for every target; otherwise for each site, by mean R^2.
        """
        if ridge_strengths is None:
            ridge_strengths = self.relative_strengths()
        readouts = self.solve(ridge_strengths)
        return readouts.select(validation_error(readouts, held_out).best(per_target=per_target))

    def resample(
        self, weights: Float[Tensor, "replicate group"], ridge: Float[Tensor, "site target"] | float
    ) -> Readouts:
        """Read-outs refitted with every group weighted, one variant a row of weights.

        Args:
            weights: How often each group counts, as `bootstrap_weights` draws them.
            ridge: Ridge strength; `Readout.ridge` of the fit on all samples is one.
        """
        return resolve(self.statistics.resample(weights), ridge)


def relative_strengths(
    statistics: RegressionStatistics, relative: Sequence[float] = RELATIVE_STRENGTHS
) -> Float[Tensor, "strength site"]:
    """Ridge strengths in units of each site's mean scatter eigenvalue.

    A site without any variance gets the strengths themselves.
    """
    scatter = statistics.pooled().feature_scatter[0]
    scale = scatter.diagonal(dim1=1, dim2=2).mean(dim=1)
    scale = torch.where(scale > 0, scale, 1.0)
    return torch.tensor(list(relative), dtype=torch.float64, device=scale.device)[:, None] * scale


def rank_threshold(
    eigenvalues: Float[Tensor, "*batch d"],
) -> Float[Tensor, "*batch 1"]:
    """Eigenvalues of a scatter matrix at most this large count as zero: 8 d eps times the largest.

    Directions below it vary by less than about 3e-7 of the widest one (at d = 64), which is no
    more than the rounding of the scatter matrix. They get weight exactly 0 at every ridge
    strength, so constant and duplicated features do no harm and strength 0 gives the minimum-norm
    solution.
    """
    return EIGENVALUE_TOLERANCE * eigenvalues.shape[-1] * eigenvalues[..., -1:].clamp_min(0.0)


def solve(
    statistics: RegressionStatistics,
    ridge_strengths: Sequence[float] | Float[Tensor, " strength"] | Float[Tensor, "strength site"],
) -> Readouts:
    """Read-outs of the pooled samples at every ridge strength; see `ReadoutFitter.solve`.

    Raises:
        ValueError: No samples, or a strength that is negative or not finite.
    """
    pooled = statistics.pooled()
    _check_samples(pooled)
    strengths = _check_strengths(ridge_strengths, pooled)
    eigenvalues, basis = torch.linalg.eigh(pooled.feature_scatter[0])
    rotated = basis.mT @ pooled.cross_scatter[0]
    inverse = _filter(eigenvalues, strengths[:, :, None])
    weight = basis @ (inverse[..., None] * rotated)
    bias = _bias(weight, pooled.feature_mean, pooled.target_mean)
    return Readouts(weight, bias, strengths[:, :, None].expand_as(bias))


def resolve(
    replicates: RegressionStatistics, ridge: Float[Tensor, "site target"] | float
) -> Readouts:
    """Read-outs of every replicate (group) by itself at given ridge strengths.

    Raises:
        ValueError: A group without samples, or a strength that is negative or not finite.
    """
    _check_samples(replicates)
    n_sites, n_targets = replicates.n_sites, replicates.n_targets
    ridge = torch.as_tensor(ridge, dtype=torch.float64, device=replicates.count.device)
    ridge = ridge.expand(n_sites, n_targets)
    if not bool((ridge.isfinite() & (ridge >= 0)).all()):
        raise ValueError("ridge must be finite and at least 0")
    scatter, cross = replicates.feature_scatter, replicates.cross_scatter
    d_features = scatter.shape[-1]
    site_ridge = ridge[:, 0]
    largest = scatter.diagonal(dim1=2, dim2=3).sum(dim=2)
    is_definite = bool((site_ridge > EIGENVALUE_TOLERANCE * d_features * largest).all())
    if is_definite and bool((ridge == site_ridge[:, None]).all()):
        penalised = scatter.clone()
        penalised.diagonal(dim1=2, dim2=3).add_(site_ridge[:, None])
        weight = torch.cholesky_solve(cross, torch.linalg.cholesky(penalised))
    else:
        eigenvalues, basis = torch.linalg.eigh(scatter)
        inverse = _filter(eigenvalues[..., None, :], ridge[..., None]).mT
        weight = basis @ (inverse * (basis.mT @ cross))
    bias = _bias(weight, replicates.feature_mean, replicates.target_mean)
    return Readouts(weight, bias, ridge.expand_as(bias))


def validation_error(
    readouts: Readouts | Readout, held_out: RegressionStatistics
) -> ValidationError:
    """Errors of read-outs on held-out samples, from their statistics alone.

    Raises:
        ValueError: No held-out samples, or sites, features or targets that do not fit.
    """
    if isinstance(readouts, Readout):
        readouts = Readouts(readouts.weight[None], readouts.bias[None], readouts.ridge[None])
    held_out = held_out.pooled()
    _check_samples(held_out)
    sums = torch.stack([squared_errors(readout, held_out)[0] for readout in readouts])
    mse = sums / held_out.count
    variance = (held_out.target_scatter[0] / held_out.count).expand_as(mse)
    exact = (mse == 0).to(mse)
    return ValidationError(mse, torch.where(variance > 0, 1 - mse / variance, exact))


def squared_errors(
    readout: Readout, statistics: RegressionStatistics
) -> Float[Tensor, "group site target"]:
    """Sum of squared errors of a read-out in every group; divide by `count` for the mean.

    Raises:
        ValueError: Sites, features or targets that do not fit the read-out.
    """
    expected = (*statistics.feature_mean.shape[1:], statistics.n_targets)
    if tuple(readout.weight.shape) != expected:
        raise ValueError(
            f"the read-out is for {list(readout.weight.shape)} (site, feature, target), "
            f"the statistics for {list(expected)}"
        )
    weight = readout.weight
    offset = (
        statistics.target_mean
        - torch.einsum("gsd,sdt->gst", statistics.feature_mean, weight)
        - readout.bias
    )
    explained = (weight * (statistics.feature_scatter @ weight - 2 * statistics.cross_scatter)).sum(
        dim=2
    )
    within = (statistics.target_scatter + explained).clamp_min(0.0)
    return within + statistics.count[:, None, None] * offset**2


def _filter(
    eigenvalues: Float[Tensor, "*shape d"], strengths: Float[Tensor, "*other 1"]
) -> Float[Tensor, "*broadcast d"]:
    """1 / (eigenvalue + strength), and 0 for directions without variance."""
    alive = eigenvalues > rank_threshold(eigenvalues)
    return torch.where(alive, 1 / torch.where(alive, eigenvalues + strengths, 1.0), 0.0)


def _bias(
    weight: Float[Tensor, "variant site d target"],
    feature_mean: Float[Tensor, "group site d"],
    target_mean: Float[Tensor, "group target_site target"],
) -> Float[Tensor, "variant site target"]:
    return target_mean - (feature_mean[..., None, :] @ weight)[..., 0, :]


def _check_samples(statistics: RegressionStatistics) -> None:
    if bool((statistics.count <= 0).any()):
        raise ValueError("there are no samples to fit or score: call update() first")


def _check_strengths(
    ridge_strengths: Sequence[float] | Tensor, statistics: RegressionStatistics
) -> Float[Tensor, "strength site"]:
    strengths = torch.as_tensor(
        ridge_strengths, dtype=torch.float64, device=statistics.count.device
    )
    if strengths.ndim == 1:
        strengths = strengths[:, None].expand(-1, statistics.n_sites)
    if strengths.ndim != 2 or strengths.shape[1] != statistics.n_sites or not len(strengths):
        raise ValueError(
            f"ridge_strengths must be [strength] or [strength, {statistics.n_sites} sites], "
            f"got {list(strengths.shape)}"
        )
    if not bool((strengths.isfinite() & (strengths >= 0)).all()):
        raise ValueError("ridge_strengths must be finite and at least 0")
    return strengths
