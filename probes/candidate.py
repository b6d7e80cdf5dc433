"""A reference with the grids of steps that layers are compared with."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from probes.matching import StepGrid
from probes.references import Prefixes, Reference, build_reference, reference_classes
from probes.references.divergence import bounded


@dataclass(frozen=True)
class Candidate:
    """A reference, the family it belongs to and the grids of steps it is evaluated on."""

    name: str
    family: str
    reference: Reference
    grid: StepGrid
    """For similarities of errors."""
    prediction_grid: StepGrid
    """For regressions onto the iterate's prediction."""
    vector_grid: StepGrid
    """For regressions onto weights and filtered queries, n_dims numbers a step."""

    @classmethod
    def of(
        cls,
        name: str,
        key: str,
        family: str | None = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> Candidate:
        """A registered reference on the grids that suit it.

        Args:
            name: Of this variant.
            key: Of the reference in `probes.references.REFERENCES`.
            family: By default the reference's own.
            parameters: Where they are not the reference's defaults.

        Raises:
            ValueError: As `build_reference`.
        """
        reference = build_reference(key, **dict(parameters or {}))
        return cls(name, family or reference.family, reference, *_grids(reference))

    @property
    def scale(self) -> dict[str, float]:
        """The numbers that give its steps a meaning; none where a rule sets them."""
        values = {name: getattr(self.reference, name) for name in self.reference.scale}
        return {name: float(v) for name, v in values.items() if isinstance(v, int | float)}

    def grid_of(self, target: str) -> StepGrid:
        """The grid on which a target of `interp.scoring.direct_targets` is evaluated."""
        return self.prediction_grid if target == "prediction" else self.vector_grid

    def iterates(self, prefixes: Prefixes) -> Float[Tensor, "step prompt point"]:
        """Predictions at every step of the grid, held within bounds where they diverge."""
        return bounded(self.reference.predictions(prefixes, self.grid.steps))

    def at_steps(
        self, prefixes: Prefixes, steps: Sequence[float]
    ) -> Float[Tensor, "layer prompt point"]:
        """Predictions after real numbers of steps, interpolated between whole ones if need be."""
        if self.reference.takes_real_steps:
            return self.reference.predictions(prefixes, list(steps))
        below = [float(math.floor(step)) for step in steps]
        share = torch.tensor([step - low for step, low in zip(steps, below, strict=True)])
        low = self.reference.predictions(prefixes, below)
        high = self.reference.predictions(prefixes, [step + 1 for step in below])
        return torch.lerp(low, high, share.to(low)[:, None, None])

    @property
    def has_steps(self) -> bool:
        return len(self.grid.steps) > 1


def rivals_without_steps() -> tuple[Candidate, ...]:
    """References without steps that every verdict compares with those that have some.

    All are cheap. Least squares is none of them: it is where the references with steps end.
    """
    return tuple(
        Candidate.of(name, one.key, one.family, parameters)
        for one in reference_classes()
        for name, parameters in one.rivals.items()
    )


def select(candidates: Sequence[Candidate], name: str) -> Candidate:
    """The candidate of a name.

    Raises:
        ValueError: There is none.
    """
    for item in candidates:
        if item.name == name:
            return item
    known = ", ".join(item.name for item in candidates)
    raise ValueError(f"reference {name!r} was not compared; compared were {known}")


def _grids(reference: Reference) -> tuple[StepGrid, StepGrid, StepGrid]:
    if not reference.is_iterative:
        return (StepGrid((0.0,)),) * 3
    is_real = reference.takes_real_steps
    if reference.doublings is not None:
        largest = 2.0**reference.doublings
        return (
            StepGrid.log(largest, 8 if is_real else 1),
            StepGrid.log(largest, 4 if is_real else 1),
            StepGrid.log(min(largest, 2.0**12), 1),
        )
    vector_steps = (*range(13), *range(14, 30, 2), 32)
    return (
        StepGrid.linear(40.0, 0.25 if is_real else 1.0),
        StepGrid.linear(32.0, 0.5 if is_real else 1.0),
        StepGrid(tuple(map(float, vector_steps))),
    )
