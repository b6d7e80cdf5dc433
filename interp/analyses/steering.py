"""Does a model go on from the iterate that its activations are moved to?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import torch
import xarray
from jaxtyping import Float
from torch import Tensor

from hooks.finite import check_finite
from hooks.inference import inference
from hooks.interventions import Shift, intervene, record
from hooks.model import SequenceModel
from hooks.sites import Site
from interp.analyses.comparisons import Comparison, default_comparisons, own_parameters, select
from interp.analyses.fitting import Progress
from interp.analyses.iterate_readouts import IterateKind, Reading, fit_readings
from interp.analyses.task_fit import check_fit, task_of
from interp.analyses.token_roles import STEERED, TokenRole, token_roles, values_at
from interp.tasks import Task
from probes.controls.bootstrap import bootstrap_weights, interval
from probes.references import Prefixes, SpectralReference

DIRECTIONS = ("read-out", "random", "shuffled targets")
"""Where activations are moved: along the read-out of the iterate; as far at every token along
directions drawn at random; as far along the read-out of other prompts' iterates, fitted alike. In a
narrow stream the last has by chance much in common with the first."""
ROLES = ("query", "example")
N_REPLICATES = 400


@dataclass(frozen=True)
class SteeringSettings:
    """Options of `steer`, with the defaults of the command line."""

    references: tuple[str, ...] | None = None
    """Names of `default_comparisons`; by default the algorithm that a model was built to run, or
    Newton and GD."""
    targets: tuple[str, ...] = STEERED
    """What of the iterate is read and moved; see `interp.analyses.token_roles.values_at`."""
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


def steer(
    model: SequenceModel,
    task: Task | None = None,
    settings: SteeringSettings | None = None,
    *,
    progress: Progress = lambda stage, done, total: None,
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
        progress: Told of every pass.
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
    task = task or task_of(model)
    check_fit(model, task)
    if model.n_layers < 2:
        raise ValueError("the model must have at least 2 layers, so that one can be steered")
    comparisons = _chosen(model, task, settings)
    pairs = [
        IterateKind(item, target)
        for item, target in product(comparisons, settings.targets)
        if target == "prediction" or isinstance(item.reference, SpectralReference)
    ]
    seeds = [int(s) for s in np.random.SeedSequence(settings.seed).generate_state(4)]
    roles = token_roles(model, task.n_points)
    readings = fit_readings(model, task, settings.n_prompts, roles, pairs, seeds[:2], progress)
    trial = _Trial(model, task, settings, roles, seeds[2:])
    table = _empty_table(settings, comparisons, model.n_layers)
    passes = len(pairs) * (model.n_layers - 1) * len(settings.jumps)
    for index, pair in enumerate(pairs):
        where = {"reference": pair.comparison.name, "target": pair.target}
        reading = readings[pair]
        table["step"].loc[where] = torch.where(
            reading.r2[0] >= settings.min_r2, reading.steps, torch.nan
        ).numpy()
        for number, role in enumerate(roles):
            table["r2"].loc[where | {"role": role.name}] = reading.r2[number].numpy()
        table["final_step"].loc[{"reference": pair.comparison.name}] = trial.final_step(pair)
        for count, (layer, jump) in enumerate(
            product(range(1, model.n_layers), settings.jumps), start=1
        ):
            spot = where | {"layer": layer, "jump": jump}
            for name, values in trial.run(pair, reading, layer, layer + jump).items():
                table[name].loc[spot] = values
            done = index * (passes // len(pairs)) + count
            progress("steering", done, passes)
    return table


def _chosen(model: SequenceModel, task: Task, settings: SteeringSettings) -> tuple[Comparison, ...]:
    own = own_parameters(model)
    names = settings.references or tuple(own) or ("newton", "gd")
    available = default_comparisons(task, own)
    chosen = tuple(select(available, name) for name in names)
    if without := [item.name for item in chosen if not item.has_steps]:
        raise ValueError(f"references must have steps to steer by, {without[0]} has none")
    return chosen


class _Trial:
    """The prompts that are steered, and what the model makes of them by itself."""

    def __init__(
        self,
        model: SequenceModel,
        task: Task,
        settings: SteeringSettings,
        roles: Sequence[TokenRole],
        seeds: Sequence[int],
    ) -> None:
        self.model, self.settings, self.roles = model, settings, roles
        self.xs, self.ys, _ = task.sample(
            settings.n_prompts, torch.Generator().manual_seed(seeds[0])
        )
        self.generator = torch.Generator().manual_seed(seeds[1])
        self.prefixes = Prefixes(self.xs, self.ys)
        first = Site(0)
        self.stream_shape = record(model, self.xs, self.ys, [first])[first].shape
        self.plain = self._predict()
        n = settings.n_prompts
        self.weights = bootstrap_weights(n, N_REPLICATES, seeds[1], with_original=True)
        self._grids: dict[str, tuple[list[float], Tensor, float]] = {}

    def _predict(self, *shifts: Shift) -> Float[Tensor, "prompt point"]:
        with inference(self.model), intervene(self.model, *shifts):
            predictions = self.model(self.xs.to(self.model.device), self.ys.to(self.model.device))
        predictions = predictions.cpu().double().clone()
        if not shifts:
            check_finite(predictions, "predictions")
        return predictions

    def _grid(
        self, pair: IterateKind
    ) -> tuple[list[float], Float[Tensor, "step prompt point"], float]:
        """Iterates' predictions, and the step whose are most like the model's own."""
        name = pair.comparison.name
        if name not in self._grids:
            steps = IterateKind(pair.comparison, "prediction").steps
            iterates = pair.comparison.reference.predictions(self.prefixes, steps)
            nearest = (iterates - self.plain).square().sum((1, 2)).argmin()
            self._grids[name] = steps, iterates, steps[int(nearest)]
        return self._grids[name]

    def final_step(self, pair: IterateKind) -> float:
        return self._grid(pair)[2]

    def run(self, pair: IterateKind, reading: Reading, layer: int, to_layer: int) -> dict[str, Any]:
        """Steers one layer to the iterate of another; empty if either holds none, or the same."""
        if not 0 <= to_layer <= self.model.n_layers:
            return {}
        is_held = reading.r2[0] >= self.settings.min_r2
        before, after = reading.steps[layer].item(), reading.steps[to_layer].item()
        if not (is_held[layer] and is_held[to_layer]) or before == after:
            return {}
        steps, iterates, final = self._grid(pair)
        predicted_step = max(final + after - before, 0.0)
        reference = pair.comparison.reference
        ends = reference.predictions(self.prefixes, [final, predicted_step, before, after])
        scores = []
        for shift in self._shifts(pair, reading, layer, before, after):
            change = self._predict(Shift(Site(layer), shift)) - self.plain
            if not change.isfinite().all():
                scores.append((np.nan, np.full(2, np.nan), *[np.nan] * 3))
                continue
            continuation, bounds, cosine = self._compare(change, ends[1] - ends[0])
            carried, _, _ = self._compare(change, ends[3] - ends[2])
            reached = (iterates - ends[0] - change).square().sum((1, 2)).argmin()
            scores.append((continuation, bounds, cosine, carried, steps[int(reached)]))
        columns = [np.array(column) for column in zip(*scores, strict=True)]
        names = ("continuation", "continuation_interval", "cosine", "carried", "reached_step")
        return {
            "steered_to": after,
            "predicted_step": predicted_step,
            **dict(zip(names, columns, strict=True)),
        }

    def _compare(
        self, change: Float[Tensor, "prompt point"], expected: Float[Tensor, "prompt point"]
    ) -> tuple[float, np.ndarray, float]:
        """How much of an expected change happened, with its interval, and their cosine."""
        along = (change * expected).sum(1)
        size = expected.square().sum(1)
        ratios = (self.weights @ along) / (self.weights @ size)
        n, level = self.settings.n_prompts, self.settings.level
        bounds = interval(ratios[1:], level, n_groups=n)
        moved = change.square().sum() * size.sum()
        cosine = (along.sum() / moved.sqrt()).item() if moved > 0 else 0.0
        return ratios[0].item(), bounds.numpy(), cosine

    def _shifts(
        self, pair: IterateKind, reading: Reading, layer: int, before: float, after: float
    ) -> list[Float[Tensor, "prompt token d_model"]]:
        """What is added to the stream, for each of `DIRECTIONS`."""
        shifts = [torch.zeros(self.stream_shape, dtype=torch.float64) for _ in DIRECTIONS]
        for index, role in enumerate(self.roles):
            if reading.r2[index, layer] < self.settings.min_r2:
                continue
            low, high = sorted((before, after))
            values = values_at(
                role, pair.target, pair.comparison.reference, self.prefixes, [low, high]
            )
            wanted = (values[1] - values[0]) * (1 if after > before else -1)
            weight = reading.weights[index][layer]
            amount = wanted @ _inverse(weight)
            size = amount.norm(dim=-1, keepdim=True)
            random = torch.randn(amount.shape, dtype=torch.float64, generator=self.generator)
            others = wanted @ _inverse(reading.shuffled[index][layer])
            for shift, direction in zip(shifts, (amount, random, others), strict=True):
                length = direction.norm(dim=-1, keepdim=True)
                safe = torch.where(length > 0, length, 1.0)
                shift[:, role.tokens] = direction * size / safe
        return shifts


def _inverse(weight: Float[Tensor, "d width"]) -> Float[Tensor, "width d"]:
    """The smallest change of activations that a read-out sees as a given change of its target."""
    return torch.linalg.pinv(weight, rtol=1e-6)


def _empty_table(
    settings: SteeringSettings, comparisons: Sequence[Comparison], n_layers: int
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
    return xarray.Dataset(
        {
            name: (dims, np.full([len(coords[dim]) for dim in dims], np.nan))
            for name, dims in axes.items()
        },
        coords=coords,
        attrs={
            "n_prompts": settings.n_prompts,
            "seed": settings.seed,
            "level": settings.level,
            "min_r2": settings.min_r2,
        },
    )
