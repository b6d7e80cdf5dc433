"""Does a model go on from the iterate that its activations are moved to?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import torch
import xarray

from hooks.model import SequenceModel
from interp.analyses.comparisons import default_comparisons, own_parameters, stepping_comparisons
from interp.analyses.empty_table import empty_table
from interp.analyses.steering.iterate_readouts import IterateKind, fit_iterate_readouts
from interp.analyses.steering.token_positions import STEERED, token_positions
from interp.analyses.steering.trial import DIRECTIONS, SteeringTrial
from interp.progress import Progress, shows_progress, silent
from interp.tasks import Task
from interp.tasks.compatibility import model_and_task
from probes.candidate import Candidate
from probes.references import SpectralReference

ROLES = ("query", "example")


@dataclass(frozen=True)
class SteeringSettings:
    """Options of `steer`, with the defaults of the command line."""

    references: tuple[str, ...] | None = None
    """Names of `default_comparisons`; by default the algorithm that a model was built to run, or
    Newton and GD."""
    targets: tuple[str, ...] = STEERED
    """What of the iterate is read and moved; see `token_positions.values_at`."""
    jumps: tuple[int, ...] = (-1, 1)
    """To the iterate of the layer that many layers further on."""
    n_prompts: int = 256
    """Prompts to steer; read-outs are fitted on four times as many others."""
    min_r2: float = 0.7
    """A layer is steered where its queries hold an iterate with at least this R^2, and its
    examples are moved along where they do."""
    seed: int = 0
    level: float = 0.95
    """Of the intervals."""

    def __post_init__(self) -> None:
        if self.references is not None and not self.references:
            raise ValueError("references must name at least one, for example newton")
        if unknown := [target for target in self.targets if target not in STEERED]:
            raise ValueError(f"targets must be among {', '.join(STEERED)}, got {unknown[0]!r}")
        if not self.targets:
            raise ValueError(f"targets must name at least one of {', '.join(STEERED)}")
        if not self.jumps or 0 in self.jumps:
            raise ValueError(f"jumps must be one or more layers back or ahead, got {self.jumps}")
        if self.n_prompts < 16:
            raise ValueError(f"n_prompts must be at least 16, got {self.n_prompts}")
        if not 0 < self.min_r2 < 1:
            raise ValueError(f"min_r2 must be between 0 and 1, got {self.min_r2}")
        if not 0 < self.level < 1:
            raise ValueError(f"level must be between 0 and 1, got {self.level}")


@shows_progress
def steer(
    model: SequenceModel,
    task: Task | None = None,
    settings: SteeringSettings | None = None,
    *,
    device: str | None = None,
    progress: Progress = silent,
    **options: Any,
) -> xarray.Dataset:
    """Moves every layer to the iterate of another one and compares where the model ends up.

    Layer l holds iterate k_l best. Its residual stream is moved, by the smallest change that the
    read-out of iterate k_l sees as such, by what iterate k' differs from it, at queries and at
    examples. A model that computes each iterate from the last would end not at its k_L but at
    k' + k_L - k_l, one that does not would stay. `continuation` is how much of that predicted
    change of the predictions happened, by least squares: 1 if the model goes on from k', 0 if
    it ignores what was moved. `carried` is the same for the change that was made itself, which a
    model shows that passes it on and adds to it what it would have added anyway.

    Args:
        model: A model whose hooks see all tokens of a prompt in one pass.
        task: Where prompts come from; by default what the model was trained on.
        settings: Options; further keyword arguments replace single ones of them.
        device: Where the model runs, as for `interp.match`.
        progress: Called after every pass.
        **options: Fields of `SteeringSettings`.

    Returns:
        By `reference`, `target` and `layer`: `step`, the k_l, and `r2` of its read-out, by `role`
        of tokens; by `jump` also `steered_to`, the k', and `predicted_step`; by `direction`
        (`DIRECTIONS`) `continuation`, its interval by `bound`, `cosine`, the direction in which the
        predictions changed against the predicted one, `carried`, and `reached_step`, the step whose
        distance from k_L is most like the change. `final_step` is k_L. NaN where a layer holds no
        iterate well enough, the jump leads nowhere, or the model, so pushed, diverges.

    Raises:
        ValueError: The task does not fit the model, the model runs prefix by prefix, an option is
            out of range, or a reference is unknown or has no steps.
        NonFiniteError: A prediction is NaN or infinite before anything is moved.
    """
    settings = replace(settings or SteeringSettings(), **options)
    model, task = model_and_task(model, task, device=device, every_point=True)
    if model.n_layers < 2:
        raise ValueError("the model must have at least 2 layers, so that one can be steered")
    comparisons = stepping_comparisons(
        model, default_comparisons(task, own_parameters(model)), settings.references
    )
    pairs = [
        IterateKind(item, target)
        for item, target in product(comparisons, settings.targets)
        if target == "prediction" or isinstance(item.reference, SpectralReference)
    ]
    seeds = [int(s) for s in np.random.SeedSequence(settings.seed).generate_state(4)]
    roles = token_positions(model, task.n_points)
    readouts = fit_iterate_readouts(
        model, task, settings.n_prompts, roles, pairs, seeds[:2], progress
    )
    trial = SteeringTrial(
        model,
        task.sample(settings.n_prompts, torch.Generator().manual_seed(seeds[2])),
        roles,
        min_r2=settings.min_r2,
        level=settings.level,
        seed=seeds[3],
    )
    table = _empty_table(settings, comparisons, model.n_layers)
    passes = len(pairs) * (model.n_layers - 1) * len(settings.jumps)
    for index, pair in enumerate(pairs):
        where = {"reference": pair.comparison.name, "target": pair.target}
        held = readouts[pair]
        table["step"].loc[where] = torch.where(
            held.r2[0] >= settings.min_r2, held.steps, torch.nan
        ).numpy()
        for number, role in enumerate(roles):
            table["r2"].loc[where | {"role": role.name}] = held.r2[number].numpy()
        table["final_step"].loc[{"reference": pair.comparison.name}] = trial.final_step(pair)
        for count, (layer, jump) in enumerate(
            product(range(1, model.n_layers), settings.jumps), start=1
        ):
            spot = where | {"layer": layer, "jump": jump}
            for name, values in trial.run(pair, held, layer, layer + jump).items():
                table[name].loc[spot] = values
            done = index * (passes // len(pairs)) + count
            progress("steering", done, passes)
    return table


def _empty_table(
    settings: SteeringSettings, comparisons: Sequence[Candidate], n_layers: int
) -> xarray.Dataset:
    coords: dict[str, Any] = {
        "reference": [item.name for item in comparisons],
        "target": list(settings.targets),
        "layer": np.arange(n_layers + 1),
        "jump": list(settings.jumps),
        "direction": list(DIRECTIONS),
        "role": list(ROLES),
        "bound": ["low", "high"],
    }
    attrs = {name: getattr(settings, name) for name in ("n_prompts", "seed", "level", "min_r2")}
    held = ("reference", "target", "layer")
    moved = (*held, "jump")
    scored = (*moved, "direction")
    axes: dict[str, tuple[str, ...]] = {
        "final_step": ("reference",),
        "step": held,
        "r2": (*held, "role"),
        "steered_to": moved,
        "predicted_step": moved,
        "continuation": scored,
        "continuation_interval": (*scored, "bound"),
        "cosine": scored,
        "carried": scored,
        "reached_step": scored,
    }
    return empty_table(axes, coords, attrs)
