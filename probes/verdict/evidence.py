"""What one measure finds about every reference."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from probes.uncertainty.estimate import Estimate
from probes.verdict.growth_law import CurveLaw


class Measure(StrEnum):
    """What layers and references are compared by."""

    SIMILARITY = "similarity"
    """Similarity of errors (SimE)."""
    PREDICTION = "prediction"
    """Held-out R^2 of the iterate's prediction, read from the activations …"""
    WEIGHTS = "weights"
    """… of its weight vector w_k …"""
    FILTERED_QUERY = "filtered_query"
    """… and of the filtered query phi_k(S) x."""


TARGETS = (Measure.PREDICTION, Measure.WEIGHTS, Measure.FILTERED_QUERY)
"""What of an iterate is read from the activations."""


class Reason(StrEnum):
    """Why a reference is retained or rejected."""

    RETAINED = "retained"
    """A constant number of steps a layer explains the layers as well as anything does."""
    UNLIKE = "unlike"
    """Its similarity is below `Criteria.min_similarity`."""
    LIKE_CONTROL = "like_control"
    """Its similarity is no better than the control's."""
    NO_GROWTH = "no_growth"
    """One step for all layers explains them as well."""
    COSTLY_RATE = "costly_rate"
    """A constant rate costs it more similarity than it costs the best."""
    BEHIND = "behind"
    """It is behind the best at a constant rate."""
    LESS_LIKELY = "less_likely"
    """Lost a pairwise test: the layers are less likely under it."""
    BEHIND_NON_ITERATIVE = "behind_non_iterative"
    """A reference without steps is ahead of it, whatever the step of every layer."""


@dataclass(frozen=True)
class Evidence:
    """What one measure finds about one reference."""

    name: str
    family: str
    constant_rate: Estimate
    """Mean similarity over layers along the best constant rate."""
    behind: Estimate
    """Highest constant-rate similarity of any reference minus this one's."""
    constraint_loss: Estimate
    """Similarity that a constant rate loses against the best step of every layer."""
    extra_loss: Estimate
    """The same beyond what the reference that does best with it loses."""
    growth_gain: Estimate
    """Similarity that growth gains over the best single step for all layers."""
    rate: Estimate
    """Steps a layer: slope of the match curve from `first_layer` to `last_layer`."""
    first_layer: int
    last_layer: int
    law: CurveLaw
    """Which law the match curve follows over the layers where the best reference grows."""
    evidence_ratio: float
    """Likelihood that its steps grow linearly with depth over that their logarithms do."""
    reason: Reason
    layers: tuple[int, ...] = ()
    """The layers compared, …"""
    steps: tuple[float, ...] = ()
    """… and the steps of each along the best constant rate."""
    scale: dict[str, float] = field(default_factory=dict)
    """Constants that give the steps a meaning, such as GD's eta."""

    @property
    def is_retained(self) -> bool:
        return self.reason == Reason.RETAINED


@dataclass(frozen=True)
class MeasureFinding:
    """What one measure finds about all references."""

    measure: Measure
    evidence: tuple[Evidence, ...]
    control: float = 0.0
    """Similarity that a control reaches with the best step of every layer."""

    @property
    def retained(self) -> tuple[str, ...]:
        """Families with a reference that is retained, best first."""
        ranked = sorted(
            (item for item in self.evidence if item.is_retained),
            key=lambda item: item.behind.value,
        )
        return tuple(dict.fromkeys(item.family for item in ranked))

    def best(self, family: str) -> Evidence:
        """The family's member that is least behind."""
        members = [item for item in self.evidence if item.family == family]
        return min(members, key=lambda item: item.behind.value)

    def representative(self, family: str) -> Evidence:
        """The family's namesake if it is retained, else its best member."""
        for item in self.evidence:
            if item.name == family and item.is_retained:
                return item
        return self.best(family)
