"""What every example is worth to what the layers of a model say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import xarray
from jaxtyping import Float
from torch import Tensor

from hooks.gradients import answer_jacobian
from hooks.model import SequenceModel
from interp.analyses.anatomy import check_points, default_points
from interp.analyses.empty_table import empty_table
from interp.progress import Progress, shows_progress, silent
from interp.scoring.layer_predictions import fit_layer_readouts
from interp.tasks import Task
from interp.tasks.compatibility import model_and_task
from probes.influence import (
    N_BINS,
    example_values,
    measure_influence,
    quantile_means,
    reference_jacobian,
)
from probes.readout import Readout
from probes.references import build_reference

N_PROMPTS = 256
LEAST_PROMPTS = 64
N_FIT_PROMPTS = 2048
PROMPTS_PER_BATCH = 128
REFERENCE_STEPS: Mapping[str, tuple[int, ...]] = {
    "ols": (),
    "ridge": (),
    "ogd": (),
    "newton": (4, 8, 12),
    "gd-adaptive": (4, 16, 64),
}
"""References beside the model, by name, and after how many steps; none where there are none."""
MEASURES: Mapping[str, tuple[str, ...]] = {
    "by_age": ("age",),
    "by_age_error": ("age",),
    "by_leverage": ("bin",),
    "by_distance": ("bin",),
    "noise_gain": (),
    "in_span": (),
    "in_span_error": (),
    "given_back": (),
    "degrees_of_freedom": (),
}
"""What is measured of every answer, and by what."""
WHOSE: Mapping[str, tuple[str, ...]] = {"": ("layer",), "output_": (), "reference_": ("reference",)}
"""Whose answers: those of layers, of the model, of references, as names of variables begin."""
Answers = tuple[Float[Tensor, "answer prompt"], Float[Tensor, "answer prompt example"]]


@shows_progress
def influence(
    model: SequenceModel,
    task: Task | None = None,
    *,
    points: Sequence[int] | None = None,
    n_prompts: int = N_PROMPTS,
    seed: int = 0,
    device: str | None = None,
    progress: Progress = silent,
) -> xarray.Dataset:
    """Measures J = d answer / d y, the weight that every example's y has in an answer.

    Answers are the model's own prediction and the read-out of y of every layer. References that
    are linear in y, whose J is exact, answer the same prompts.

    Args:
        model: Any hooked model through which gradients flow.
        task: Where prompts come from; by default what the model was trained on.
        points: Numbers of examples seen; by default those of `interp.anatomy`.
        n_prompts: To measure on, each at every point; 2,048 others fit the read-outs.
        seed: Of all prompts.
        device: Where the model runs, as for `interp.match`.
        progress: Called after every batch.

    Returns:
        By `layer` and `point` the measures of `probes.influence.measure_influence`: `by_age` by
        `age` (1 is the newest example), `by_leverage` and `by_distance` by `bin`, `noise_gain`,
        `in_span` and `given_back`; and `degrees_of_freedom`, the trace of the smoother: the sum
        over examples of what an example's y adds to the answer where that example is the query.
        The same of the model's own prediction, by `point`, as `output_by_age` and so on, and by
        `reference` and `point` as `reference_by_age`. `leverage` and `distance` are means in the
        bins.

    Raises:
        ValueError: The task does not fit the model, a point that it does not have, too few
            prompts, or no gradient flows through the model.
        NonFiniteError: An answer or a derivative is NaN or infinite.
    """
    model, task = model_and_task(model, task, device=device)
    points = tuple(points) if points is not None else default_points(task, model.first_point)
    check_points(points, task, model.first_point)
    if n_prompts < LEAST_PROMPTS:
        raise ValueError(f"n_prompts must be at least {LEAST_PROMPTS}, got {n_prompts}")
    seeds = [int(one) for one in np.random.SeedSequence(seed).generate_state(2)]
    readout = fit_layer_readouts(
        model, task, n_prompts=N_FIT_PROMPTS, seed=seeds[0], progress=progress
    )
    generator = torch.Generator().manual_seed(seeds[1])
    prompts = task.sample(n_prompts, generator)
    asked = torch.rand(n_prompts, generator=generator)
    table = _empty([site.layer for site in model.sites()], points)
    for index, point in enumerate(points):
        xs, ys = prompts.xs[:, : point + 1], prompts.ys[:, : point + 1]
        _fill(table, point, _measure(model, readout, xs, ys, (asked * point).long()))
        for name, values in example_values(xs).items():
            table[name].loc[{"point": point}] = quantile_means(values).numpy()
        progress("measuring influence", (index + 1) * n_prompts, len(points) * n_prompts)
    return table.assign_attrs(n_prompts=n_prompts, seed=seed, checkpoint=model.name)


def _measure(
    model: SequenceModel, readout: Readout, xs: Tensor, ys: Tensor, asked: Tensor
) -> dict[str, Tensor]:
    """All measures at the last point: of the layers, of the output, of the references."""
    answers, jacobian = _answer(model, readout, xs, ys)
    again = xs.clone()
    again[:, -1] = xs[torch.arange(len(xs)), asked]
    _, of_asked = _answer(model, readout, again, ys)
    measures = measure_influence(jacobian, answers, xs, ys)
    own = of_asked.gather(2, asked[None, :, None].expand(len(of_asked), -1, 1))[..., 0]
    measures["degrees_of_freedom"] = own.mean(1) * (xs.shape[1] - 1)
    return measures


def _answer(model: SequenceModel, readout: Readout, xs: Tensor, ys: Tensor) -> Answers:
    """Answers and their J: layers, output, references."""
    parts = [
        answer_jacobian(model, x, y, readout.weight[..., 0], readout.bias[:, 0])
        for x, y in zip(xs.split(PROMPTS_PER_BATCH), ys.split(PROMPTS_PER_BATCH), strict=True)
    ]
    answers, jacobians = (torch.cat(part, dim=1) for part in zip(*parts, strict=True))
    exact = torch.cat(
        [
            reference_jacobian(build_reference(name), xs, steps or None)
            for name, steps in REFERENCE_STEPS.items()
        ]
    )
    said = torch.einsum("apt,pt->ap", exact, ys[:, :-1].double())
    return torch.cat([answers, said]), torch.cat([jacobians, exact])


def _empty(layers: Sequence[int], points: Sequence[int]) -> xarray.Dataset:
    names = [
        f"{name}-{step}" if steps else name
        for name, steps in REFERENCE_STEPS.items()
        for step in steps or (0,)
    ]
    coords = {
        "layer": list(layers),
        "point": list(points),
        "reference": names,
        "age": np.arange(1, max(points) + 1),
        "bin": np.arange(1, N_BINS + 1),
    }
    axes = {
        f"{prefix}{measure}": (*who, "point", *of)
        for prefix, who in WHOSE.items()
        for measure, of in MEASURES.items()
    }
    return empty_table(axes | dict.fromkeys(("leverage", "distance"), ("point", "bin")), coords)


def _fill(table: xarray.Dataset, point: int, measures: Mapping[str, Tensor]) -> None:
    """Puts the measures of all answers after so many examples where they belong."""
    n_layers = table.sizes["layer"]
    for measure, values in measures.items():
        where: dict[str, Any] = {"point": point}
        if "age" in MEASURES[measure]:
            where["age"] = slice(1, point)
        parts = (values[:n_layers], values[n_layers], values[n_layers + 1 :])
        for prefix, part in zip(WHOSE, parts, strict=True):
            table[f"{prefix}{measure}"].loc[where] = part.numpy()
