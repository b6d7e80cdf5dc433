"""Computes cells of a calibration."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from hooks.architectures.planted import truth
from interp.analyses.comparisons import default_comparisons, own_parameters
from interp.analyses.examination import verdict_on
from interp.analyses.match import match
from interp.analyses.match_settings import MatchSettings
from interp.scoring.direct_targets import DirectTargets
from interp.scoring.stream import batches
from interp.studies.calibration.cell import FAMILIES, NEAREST, WITHHELD, Cell, build, planted
from interp.tasks.compatibility import task_of
from probes.candidate import select
from probes.matching import best_match
from probes.readout_fitter import ReadoutFitter, validation_error
from probes.ridge import ValidationError
from probes.verdict import beyond_first

TIMES = 100
"""How many times the prompts of the runs a large sample has."""
REFERENCES = {"newton": "newton-fixed", "gd": "gd", "gdpp": "gd++"}
"""The reference with the planted constants, as `match` calls it."""


def run_cell(cell: Cell) -> dict[str, Any]:
    """The answer to a cell's question in plain values, computed on one thread."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)  # so that its digits are the same whatever runs beside it
    try:
        return _ANSWERS[cell.question](cell)
    finally:
        torch.set_num_threads(n_threads)


def _verdict(cell: Cell) -> dict[str, Any]:
    """What the verdict says, and the layers and the measure that its rate is taken from."""
    prompt_seed, model_seed = _seeds(cell.seed, cell, 2)
    settings = MatchSettings(("resid_post",), n_prompts=cell.n_prompts, seed=prompt_seed)
    model = build(cell, model_seed)
    model.is_wiring_checked = True  # its prompts are reordered on purpose in two controls
    withheld = (FAMILIES[cell.algorithm],) if cell.expected == WITHHELD else ()
    verdict = verdict_on(model, settings, withheld)
    low, high = verdict.interval or (None, None)
    quoted = verdict.quoted and {
        "measure": verdict.quoted[0].measure.value,
        "first_layer": verdict.quoted[1].first_layer,
        "last_layer": verdict.quoted[1].last_layer,
    }
    return {
        "answer": NEAREST if verdict.is_nearest_only else verdict.answer,
        "kind": verdict.kind,
        "retained": ", ".join(verdict.retained),
        "rate": verdict.steps_per_layer,
        "low": low,
        "high": high,
        "misfit": verdict.lack_of_fit and verdict.lack_of_fit.systematic.value,
        **(quoted or {}),
    }


def _large_sample(cell: Cell) -> dict[str, Any]:
    """The planted reference's best-matching step of every layer, by measure.

    Its predictions are regressed on `TIMES` as many prompts as the runs had. So many prompts
    determine a read-out of a planted stream's few dimensions so well that its R^2 on the very same
    prompts is that on others to within 1e-3, at every step alike.
    """
    model, n_prompts = planted(cell), TIMES * cell.n_prompts
    task, sites = task_of(model), model.sites("resid_post")
    item = select(default_comparisons(task, own_parameters(model)), REFERENCES[cell.algorithm])
    held = ("prediction", "filtered_query") if cell.algorithm == "newton" else ("prediction",)
    targets = DirectTargets((item,), task.n_dims, held)
    (seed,) = _seeds(TIMES, cell, 1)
    fitter = ReadoutFitter(len(sites), model.config.d_model, targets.n_targets)
    for prefixes, activations, _ in batches(model, task, sites, n_prompts, seed, "official"):
        fitter.update(activations[:, :, 1:].flatten(1, 2), targets.compute(prefixes).flatten(0, 1))
    error = validation_error(fitter.solve([0.0]), fitter.statistics)
    steps = {}
    for block in targets.blocks:
        r2 = _pooled_r2(error, block.columns, block.width)
        found = best_match(beyond_first(r2), item.grid_of(block.target))
        steps[block.target] = found.step[0].tolist()
    return {"n_prompts": n_prompts, "steps": steps}


def _pooled_r2(
    error: ValidationError, columns: slice, width: int
) -> Float[Tensor, "variant site step"]:
    """R^2 of every step over the numbers that it has together."""
    mse, r2 = (part[..., columns].unflatten(-1, (-1, width)) for part in (error.mse, error.r2))
    variance = mse / (1 - r2).clamp(min=1e-300)
    left, whole = mse.sum(-1), variance.sum(-1)
    return torch.where(whole > 0, 1 - left / whole.clamp(min=1e-300), 0.0)


def _protocols(cell: Cell) -> dict[str, Any]:
    """Best-matching steps of layers 1, 2, … beside those planted.

    By similarity of errors with the iterate as it is (`raw`, the paper's way) and with the
    iterate's own read-out of y (`matched`), and by R^2 of the iterate's prediction (`direct`).
    """
    model = planted(cell)
    result = match(model, n_prompts=cell.n_prompts, site_kinds=("resid_post",), seed=cell.seed)
    scores = result.reference(REFERENCES[cell.algorithm]).sel(site="resid_post")
    scores = scores.isel(layer=slice(1, None))
    found = {
        name: scores.best_step_by_treatment.sel(treatment=f"{name}/paper").values.tolist()
        for name in ("raw", "matched")
    }
    direct = scores.prediction_best_step.values.tolist()
    return {
        "layer": scores.layer.values.tolist(),
        "planted": truth(model)[1:].tolist(),
        **found,
        "direct": direct,
    }


def _seeds(first: int, cell: Cell, n_seeds: int) -> list[int]:
    """Seeds that the cell's condition and a further number decide."""
    sequence = np.random.SeedSequence([first, cell.condition_seed])
    return [int(seed) for seed in sequence.generate_state(n_seeds)]


_ANSWERS = {"verdict": _verdict, "large sample": _large_sample, "protocols": _protocols}
