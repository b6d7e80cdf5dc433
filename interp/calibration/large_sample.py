"""What the steps of noisy planted models come to with a hundred times the prompts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from hooks.atomic import write_text
from interp.calibration.cell import Cell
from interp.calibration.protocols import REFERENCES
from probes.ridge import ValidationError

TIMES = 100
"""How many times the prompts of the runs a large sample has."""

MIN_RUNS = 10
"""A condition that fewer runs were made of gets no large sample."""


@dataclass(frozen=True)
class LargeSample:
    """The match curve of the planted reference on many prompts, by measure."""

    cell: Cell
    """The condition, with the prompts of the runs."""
    n_prompts: int
    steps: dict[str, tuple[float, ...]]
    """Best-matching step of layers 0, 1, …, by measure, see `probes.verdict.Measure`."""

    def rate(self, measure: str, first_layer: int, last_layer: int) -> float | None:
        """Steps a layer over some layers; None for a measure that was not taken."""
        if measure not in self.steps:
            return None
        steps = self.steps[measure][first_layer : last_layer + 1]
        layers = range(first_layer, last_layer + 1)
        middle = sum(layers) / len(layers)
        products = sum((layer - middle) * step for layer, step in zip(layers, steps, strict=True))
        return products / sum((layer - middle) ** 2 for layer in layers)


def conditions(cells: Sequence[Cell]) -> tuple[Cell, ...]:
    """The noisy planted models that many runs were made of, at their fewest prompts."""
    counts: dict[Cell, int] = {}
    for cell in cells:
        if cell.control == "planted" and cell.noise and cell.has_steps:
            counts[cell.condition] = counts.get(cell.condition, 0) + 1
    often = [cell for cell, count in counts.items() if count >= MIN_RUNS]
    fewest = {replace(cell, n_prompts=128): cell for cell in often}
    for cell in often:
        key = replace(cell, n_prompts=128)
        fewest[key] = min(fewest[key], cell, key=lambda other: other.n_prompts)
    return tuple(fewest.values())


def take_large_sample(cell: Cell) -> LargeSample:
    """Regresses the planted reference's predictions on `TIMES` as many prompts as the runs had.

    So many prompts determine a read-out of a planted stream's few dimensions so well that its R^2
    on the very same prompts is that on others to within 1e-3, at every step alike.
    """
    import numpy as np

    from interp.analyses.comparisons import default_comparisons, own_parameters
    from interp.calibration.models import planted
    from interp.scoring.direct_targets import DirectTargets
    from interp.scoring.stream import batches
    from interp.tasks.compatibility import task_of
    from probes.candidate import select
    from probes.matching import best_match
    from probes.readout_fitter import ReadoutFitter, validation_error
    from probes.verdict import beyond_first

    torch.set_num_threads(1)
    model, n_prompts = planted(cell), TIMES * cell.n_prompts
    task, sites = task_of(model), model.sites("resid_post")
    every = default_comparisons(task, own_parameters(model))
    item = select(every, REFERENCES[cell.algorithm])
    held = ("prediction", "filtered_query") if cell.algorithm == "newton" else ("prediction",)
    targets = DirectTargets((item,), task.n_dims, held)
    entropy = [TIMES, int(cell.condition.key[:15], 16)]
    seed = int(np.random.SeedSequence(entropy).generate_state(1)[0])
    fitter = ReadoutFitter(len(sites), model.config.d_model, targets.n_targets)
    for prefixes, activations, _ in batches(model, task, sites, n_prompts, seed, "official"):
        fitter.update(activations[:, :, 1:].flatten(1, 2), targets.compute(prefixes).flatten(0, 1))
    error = validation_error(fitter.solve([0.0]), fitter.statistics)
    curves = {}
    for block in targets.blocks:
        r2 = _pooled_r2(error, block.columns, block.width)
        found = best_match(beyond_first(r2), item.grid_of(block.target))
        curves[block.target] = tuple(found.step[0].tolist())
    return LargeSample(cell, n_prompts, curves)


def _pooled_r2(
    error: ValidationError, columns: slice, width: int
) -> Float[Tensor, "variant site step"]:
    """R^2 of every step over the numbers that it has together."""
    mse, r2 = (part[..., columns].unflatten(-1, (-1, width)) for part in (error.mse, error.r2))
    variance = mse / (1 - r2).clamp(min=1e-300)
    left, whole = mse.sum(-1), variance.sum(-1)
    return torch.where(whole > 0, 1 - left / whole.clamp(min=1e-300), 0.0)


def large_samples(
    directory: str | Path,
    cells: Sequence[Cell],
    *,
    resume: bool = True,
    take: Callable[[Cell], LargeSample] = take_large_sample,
) -> Iterator[LargeSample]:
    """Takes the large samples that a grid needs, keeping each in a file of the directory."""
    for cell in conditions(cells):
        path = Path(directory) / f"{cell.key}.json"
        if not (resume and path.exists()):
            write_text(path, json.dumps(asdict(take(cell)), indent=1))
        yield _read(json.loads(path.read_text(encoding="utf-8")))


def _read(values: Mapping[str, object]) -> LargeSample:
    cell, steps, n_prompts = values["cell"], values["steps"], values["n_prompts"]
    assert isinstance(cell, dict)
    assert isinstance(steps, dict)
    assert isinstance(n_prompts, int)
    return LargeSample(
        Cell(**cell), n_prompts, {name: tuple(curve) for name, curve in steps.items()}
    )
