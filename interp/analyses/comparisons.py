"""The references a model is compared with, and the steps at which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from hooks.model import SequenceModel
from interp.tasks import Task
from probes.matching import StepGrid
from probes.references import Prefixes, Reference, build_reference
from probes.references.divergence import bounded

LABELS: dict[str, str] = {
    "newton": "Iterative Newton",
    "gd": "gradient descent",
    "gd++": "GD++",
    "ridge": "ridge regression with a falling penalty",
    "cg": "conjugate gradient",
    "network": "gradient descent on a two-layer network",
    "ols": "ordinary least squares",
    "ogd": "online gradient descent",
    "rls": "recursive least squares that forgets",
    "averaging": "averaging",
    "knn": "k nearest neighbours",
}
"""Families, as the verdict names them."""

N_CALIBRATION_PROMPTS = 1024
CALIBRATION_SEED = 2**31 - 1


@dataclass(frozen=True)
class Comparison:
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

    def grid_of(self, target: str) -> StepGrid:
        """The grid on which a target of `interp.analyses.direct` is evaluated."""
        return self.prediction_grid if target == "prediction" else self.vector_grid

    def iterates(self, prefixes: Prefixes) -> Float[Tensor, "step prompt point"]:
        """Predictions at every step of the grid, held within bounds where they diverge."""
        return bounded(self.reference.predictions(prefixes, self.grid.steps))

    @property
    def has_steps(self) -> bool:
        return len(self.grid.steps) > 1


def default_comparisons(
    task: Task, parameters: Mapping[str, Mapping[str, Any]] | None = None
) -> tuple[Comparison, ...]:
    """The contenders of the verdict, with OLS beside them.

    Newton with the official code's alpha, with one alpha for all prefixes, and from a multiple of
    the identity (which is GD whose steps double from layer to layer), GD with one step
    size for all prefixes and with each prefix's own, ridge with a penalty halved at every step,
    and GD++, or GD on a two-layer network, where their parameters are given.
    Constants for all prefixes are set from the task: 1 / q for GD's eta and 1 / (2 q^2) for
    Newton's alpha, q being the largest eigenvalue of S seen on a thousand prompts; both iterations
    diverge only where twice that is exceeded.

    Args:
        task: Where the prompts come from.
        parameters: Parameters by reference name to use in place of those, for example
            `{"gd": {"eta": 0.02}}`.

    Raises:
        ValueError: A name that is not compared, or parameters that the reference does not take.
    """
    largest = _largest_eigenvalue(task)
    given = {name: dict(values) for name, values in (parameters or {}).items()}
    contenders = {
        "newton": ("newton", "newton", {}),
        "newton-fixed": ("newton", "newton", {"alpha": 0.5 / largest**2}),
        "newton-identity": ("newton", "newton-identity", {}),
        "gd": ("gd", "gd", {"eta": 1 / largest}),
        "gd-adaptive": ("gd", "gd-adaptive", {}),
        "ridge": ("ridge", "ridge-path", {"start": largest}),
        **({"gd++": ("gd++", "gd++", {})} if "gd++" in given else {}),
        **({"network-gd": ("network", "network-gd", {})} if "network-gd" in given else {}),
        "ols": ("ols", "ols", {}),
    }
    if unknown := sorted(set(given) - set(contenders)):
        raise ValueError(
            f"parameters are for {', '.join(unknown)}; compared are {', '.join(contenders)}"
        )
    return tuple(
        comparison(name, key, family, defaults | given.get(name, {}))
        for name, (family, key, defaults) in contenders.items()
    )


def own_parameters(model: SequenceModel) -> dict[str, dict[str, Any]]:
    """Constants in the weights of a model that was built to run a known algorithm."""
    constants = {"newton-fixed": ("alpha",), "gd": ("eta",), "gd++": ("eta", "gamma")}
    return {
        name: {field: getattr(model.config, field) for field in fields}
        for name, fields in constants.items()
        if all(hasattr(model.config, field) for field in fields)
    }


def comparison(
    name: str, key: str, family: str, parameters: Mapping[str, Any] | None = None
) -> Comparison:
    """A registered reference on the grids that suit its family."""
    reference = build_reference(key, **dict(parameters or {}))
    return Comparison(name, family, reference, *_grids(reference, family))


def _grids(reference: Reference, family: str) -> tuple[StepGrid, StepGrid, StepGrid]:
    if not reference.is_iterative:
        return (StepGrid((0.0,)),) * 3
    is_real = reference.takes_real_steps
    if family == "network":
        return (StepGrid.log(2.0**8, 1),) * 3
    if family == "gd":
        return (
            StepGrid.log(2.0**14, 8 if is_real else 1),
            StepGrid.log(2.0**14, 4 if is_real else 1),
            StepGrid.log(2.0**12, 1),
        )
    vector_steps = (*range(13), *range(14, 30, 2), 32)
    return (
        StepGrid.linear(40.0, 0.25 if is_real else 1.0),
        StepGrid.linear(32.0, 0.5 if is_real else 1.0),
        StepGrid(tuple(map(float, vector_steps))),
    )


def _largest_eigenvalue(task: Task) -> float:
    """The largest eigenvalue of S over prompts and prefixes."""
    generator = torch.Generator().manual_seed(CALIBRATION_SEED)
    prompts = task.sample(N_CALIBRATION_PROMPTS, generator)
    if prompts.xs.shape[1] < 2:
        raise ValueError("n_points must be at least 2: one pair to learn from, one to predict")
    return Prefixes(prompts.xs, prompts.ys).eigenvalues.max().item()


def stepping_comparisons(
    model: SequenceModel,
    comparisons: Sequence[Comparison],
    names: Sequence[str] | None = None,
) -> tuple[Comparison, ...]:
    """The comparisons of some names, to follow step by step through a model's layers.

    Args:
        model: The model.
        comparisons: Those there are.
        names: By default the algorithm that the model was built to run, or Newton and GD.

    Raises:
        ValueError: A reference was not compared or has no steps.
    """
    chosen = tuple(
        select(comparisons, name)
        for name in (names or tuple(own_parameters(model)) or ("newton", "gd"))
    )
    if without := [item.name for item in chosen if not item.has_steps]:
        raise ValueError(f"references must have steps, {without[0]} has none")
    return chosen


def select(comparisons: Sequence[Comparison], name: str) -> Comparison:
    """The comparison of a name.

    Raises:
        ValueError: There is none.
    """
    for item in comparisons:
        if item.name == name:
            return item
    known = ", ".join(item.name for item in comparisons)
    raise ValueError(f"reference {name!r} was not compared; compared were {known}")
