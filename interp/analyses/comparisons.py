"""The references a model is compared with, and the steps at which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from hooks.model import SequenceModel
from interp.tasks import Task
from probes.candidate import Candidate, select
from probes.references import (
    REFERENCES,
    Prefixes,
    reference_class,
    reference_classes,
)

N_CALIBRATION_PROMPTS = 1024
CALIBRATION_SEED = 2**31 - 1


def default_comparisons(
    task: Task, parameters: Mapping[str, Mapping[str, Any]] | None = None
) -> tuple[Candidate, ...]:
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
    known = {
        name: (one, values)
        for one in reference_classes()
        for name, values in one.candidates(largest).items()
    }
    if unknown := sorted(set(given) - set(known) - set(REFERENCES)):
        raise ValueError(
            f"parameters are for {', '.join(unknown)}; compared are {', '.join(known)}, and every "
            f"other reference that is given parameters: {', '.join(REFERENCES)}"
        )
    extra: dict[str, Any] = {
        name: (reference_class(name), {}) for name in given if name not in known
    }
    chosen = sorted((known | extra).items(), key=lambda item: not item[1][0].is_iterative)
    return tuple(
        Candidate.of(
            name,
            one.key if name in known else name,
            one.family,
            {**values, **given.get(name, {})},
        )
        for name, (one, values) in chosen
    )


def own_parameters(model: SequenceModel) -> dict[str, dict[str, Any]]:
    """Constants in the weights of a model that was built to run a known algorithm."""
    constants = {"newton-fixed": ("alpha",), "gd": ("eta",), "gd++": ("eta", "gamma")}
    return {
        name: {field: getattr(model.config, field) for field in fields}
        for name, fields in constants.items()
        if all(hasattr(model.config, field) for field in fields)
    }


def _largest_eigenvalue(task: Task) -> float:
    """The largest eigenvalue of S over prompts and prefixes."""
    generator = torch.Generator().manual_seed(CALIBRATION_SEED)
    prompts = task.sample(N_CALIBRATION_PROMPTS, generator)
    if prompts.xs.shape[1] < 2:
        raise ValueError("n_points must be at least 2: one pair to learn from, one to predict")
    return Prefixes(prompts.xs, prompts.ys).eigenvalues.max().item()


def stepping_comparisons(
    model: SequenceModel,
    comparisons: Sequence[Candidate],
    names: Sequence[str] | None = None,
) -> tuple[Candidate, ...]:
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
