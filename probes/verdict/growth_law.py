"""Whether the matching step grows linearly or exponentially with depth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float
from torch import Tensor

from probes.verdict.criteria import DEFAULT_CRITERIA

CurveLaw = Literal["linear", "log-linear", "neither"]


@dataclass(frozen=True)
class GrowthLaw:
    """A match curve seen as step = a + b · depth and as log2 step = a + b · depth."""

    law: CurveLaw
    evidence_ratio: float
    """Likelihood of the linear law over that of the log-linear one, at their best parameters."""
    linear_rate: float
    """Steps a layer."""
    doubling_rate: float
    """Doublings of the step a layer."""
    linear_misfit: float
    """Root mean square residual over the spread (standard deviation) of the matching steps."""
    log_linear_misfit: float
    """The same on the logarithm of the steps."""


def growth_law(
    steps: Float[Tensor, " layer"],
    depth: Float[Tensor, " layer"],
    *,
    neither_misfit: float = DEFAULT_CRITERIA.neither_misfit,
) -> GrowthLaw:
    """Compares the two laws on the layers of a growth.

    The likelihoods are Gaussian with an unknown variance of their own, on the scale of log steps
    for both, so that neither law is favoured by the units: the ratio is
    (RSS_log-linear / RSS_linear)^(n/2).

    Args:
        steps: Best-matching steps, at least 0.
        depth: Depth of each layer.
        neither_misfit: See `Criteria`.

    Raises:
        ValueError: Fewer than three layers.
    """
    if len(steps) < 3:
        raise ValueError(f"a growth law needs at least 3 layers, got {len(steps)}")
    steps = steps.double().clamp(min=0.5)
    rate, linear = _line(depth, steps)
    doubling, logarithmic = _line(depth, steps.log2())
    residuals = {
        "linear": steps.log2() - linear.clamp(min=0.25).log2(),
        "log-linear": steps.log2() - logarithmic,
    }
    floor = 1e-4  # of a doubling squared: below, a curve is on the law for all purposes
    rss = {law: residual.square().mean().item() + floor for law, residual in residuals.items()}
    ratio = (rss["log-linear"] / rss["linear"]) ** (len(steps) / 2)
    misfit = {
        "linear": _relative(steps - linear, steps),
        "log-linear": _relative(residuals["log-linear"], steps.log2()),
    }
    better: CurveLaw = "linear" if ratio >= 1 else "log-linear"
    return GrowthLaw(
        law=better if misfit[better] <= neither_misfit else "neither",
        evidence_ratio=ratio,
        linear_rate=rate,
        doubling_rate=doubling,
        linear_misfit=misfit["linear"],
        log_linear_misfit=misfit["log-linear"],
    )


def _line(
    x: Float[Tensor, " layer"], y: Float[Tensor, " layer"]
) -> tuple[float, Float[Tensor, " layer"]]:
    """Slope of the least-squares line, and its values."""
    dx = x - x.mean()
    slope = (dx * (y - y.mean())).sum() / dx.square().sum().clamp(min=1e-300)
    return slope.item(), y.mean() + slope * dx


def _relative(residual: Float[Tensor, " layer"], values: Float[Tensor, " layer"]) -> float:
    spread = values.std(correction=0)
    return (residual.square().mean().sqrt() / spread.clamp(min=1e-300)).item()
