"""What can be read from the output of every attention head on its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import xarray
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from hooks.architectures.gpt2 import GPT2
from hooks.finite import check_finite
from hooks.interventions import record
from hooks.model import SequenceModel
from hooks.sites import Site
from interp.analyses.comparisons import default_comparisons, own_parameters, stepping_comparisons
from interp.analyses.empty_table import empty_table
from interp.analyses.head_targets import FORMS, HeadTargets, head_targets
from interp.progress import Progress, shows_progress, silent
from interp.tasks import Task
from interp.tasks.compatibility import model_and_task
from probes.candidate import Candidate
from probes.readout_fitter import ReadoutFitter
from probes.references import Prefixes
from probes.ridge import sum_squared_errors

SHARES = {"fit": 2, "choose": 1, "score": 1}
"""Of the prompts: to fit on, to choose ridge strengths on, to score on."""
BATCH_SIZE = 256


@dataclass(frozen=True)
class HeadSettings:
    """Options of `read_heads`."""

    references: tuple[str, ...] | None = None
    """Names of `default_comparisons`; by default the algorithm that a model was built to run, or
    Newton and GD."""
    n_moments: int = 4
    """j = 0, 1, … of S^j b."""
    n_prompts: int = 1024
    """Of which half are fitted on and a quarter scored."""
    seed: int = 0
    per_example: bool | None = None
    """Whether moments are divided by the number of pairs seen; by default where heads average,
    as those of a GPT-2 do, and not where they add up."""

    def __post_init__(self) -> None:
        if self.n_prompts < 16:
            raise ValueError(f"n_prompts must be at least 16, got {self.n_prompts}")
        if self.n_moments < 1:
            raise ValueError(f"n_moments must be at least 1, got {self.n_moments}")
        if self.references is not None and not self.references:
            raise ValueError("references must name at least one, for example newton")


def lacks_heads(model: SequenceModel) -> str | None:
    """Why there are no heads to tell apart in a model; None if there are."""
    if "z" not in model.site_kinds:
        return f"this {type(model).__name__} has no attention heads to read (sites of kind z)"
    return None


@shows_progress
def read_heads(
    model: SequenceModel,
    task: Task | None = None,
    settings: HeadSettings | None = None,
    *,
    comparisons: Sequence[Candidate] | None = None,
    device: str | None = None,
    progress: Progress = silent,
    **options: Any,
) -> xarray.Dataset:
    """Regresses iterates and moments of the prompt on the output z of each attention head.

    Gradient descent adds up moments S^j b, Newton's first steps a few of them; heads that compute
    one of them, or the difference from one iterate to the next, are the parts of the algorithm.
    A read-out of z is as good as one of what the head writes to the residual stream, which is
    linear in z.

    Args:
        model: A model with sites of kind `z`.
        task: Where prompts come from; by default what the model was trained on.
        settings: Options; further keyword arguments replace single ones of them.
        comparisons: References to choose from; by default those of `interp.match`.
        device: Where the model runs, as for `interp.match`.
        progress: Called after every batch.
        **options: Fields of `HeadSettings`.

    Returns:
        Held-out R^2 at prediction positions that have seen a pair: `iterate_r2` by `reference`,
        `form` (`FORMS`), `layer` and `head`, with the `iterate_step` that is read best;
        `moment_r2` by `form`, `moment`, `layer` and `head`; `shuffled_r2`, the highest of each
        head onto the targets of other prompts. NaN where a layer has fewer heads.

    Raises:
        ValueError: The model has no heads, the task does not fit it, or an option is out of range.
        NonFiniteError: A head's output is NaN or infinite.
    """
    settings = replace(settings or HeadSettings(), **options)
    model, task = model_and_task(model, task, device=device, every_point=True)
    if reason := lacks_heads(model):
        raise ValueError(reason)
    if comparisons is None:
        comparisons = default_comparisons(task, own_parameters(model))
    chosen = stepping_comparisons(model, comparisons, settings.references)
    if settings.per_example is None:
        settings = replace(settings, per_example=isinstance(model, GPT2))
    targets = head_targets(
        chosen, task.n_dims, settings.n_moments, per_example=bool(settings.per_example)
    )
    return _dataset(_fit(model, task, settings, targets, progress), targets, settings)


def _r2(
    layer: Mapping[str, ReadoutFitter], targets: Sequence[HeadTargets]
) -> list[Float[Tensor, "head _v"]]:
    """Held-out R^2 of every step or moment, target by target; 0 for what never varies."""
    score = layer["score"].statistics
    readout = layer["fit"].select(layer["choose"].statistics, per_target=True)
    errors = sum_squared_errors(readout.weight, readout.bias, score)[0]
    sizes = [target.n_columns for target in targets]
    found = []
    for target, error, scatter in zip(
        targets, errors.split(sizes, 1), score.target_scatter[0].split(sizes, 1), strict=True
    ):
        lost, spread = (part.unflatten(1, (-1, target.width)).sum(-1) for part in (error, scatter))
        found.append(torch.where(spread > 0, 1 - lost / torch.where(spread > 0, spread, 1), 0))
    return found


def _fit(
    model: SequenceModel,
    task: Task,
    settings: HeadSettings,
    targets: Sequence[HeadTargets],
    progress: Progress,
) -> list[dict[str, ReadoutFitter]]:
    """Statistics of every layer's heads for each of `SHARES`.

    Their columns are all targets, and after them the same of other prompts.
    """
    sites = model.sites("z")
    seeds = np.random.SeedSequence(settings.seed).generate_state(len(SHARES))
    layers: list[dict[str, ReadoutFitter]] = [{} for _ in sites]
    done = 0
    for seed, (share, parts) in zip(seeds, SHARES.items(), strict=True):
        n_prompts = settings.n_prompts * parts // sum(SHARES.values())
        for xs, ys, _ in task.stream(n_prompts, seed=int(seed), batch_size=BATCH_SIZE):
            prefixes = Prefixes(xs, ys)
            values = torch.cat([target.compute(prefixes) for target in targets], -1)
            columns = torch.cat([values, values.roll(1, 0)], -1).flatten(0, 1)
            for layer, heads in zip(layers, _outputs(model, xs, ys, sites, done), strict=True):
                sizes = (len(heads), heads.shape[-1], columns.shape[-1])
                layer.setdefault(share, ReadoutFitter(*sizes)).update(heads, columns)
            done += len(xs)
            progress("reading heads", done, settings.n_prompts)
    return layers


def _outputs(
    model: SequenceModel,
    xs: Float[Tensor, "prompt point dim"],
    ys: Float[Tensor, "prompt point"],
    sites: Sequence[Site],
    n_before: int,
) -> list[Float[Tensor, "head sample d_head"]]:
    """What the heads of each layer give at prediction positions that have seen a pair."""
    seen = record(model, xs, ys, sites)
    outputs = []
    for site in sites:
        z = model.read_site(seen[site], *ys.shape).cpu().double()
        check_finite(z, f"site {site}", n_before)
        outputs.append(rearrange(z[:, 1:], "prompt point head d -> head (prompt point) d"))
    return outputs


def _dataset(
    layers: Sequence[Mapping[str, ReadoutFitter]],
    targets: Sequence[HeadTargets],
    settings: HeadSettings,
) -> xarray.Dataset:
    names = [target.comparison.name for target in targets if target.comparison]
    scores = [_r2(layer, (*targets, *targets)) for layer in layers]
    coords: dict[str, Any] = {
        "reference": list(dict.fromkeys(names)),
        "form": list(FORMS),
        "moment": np.arange(settings.n_moments),
        "layer": np.arange(1, len(layers) + 1),
        "head": np.arange(max(len(parts[0]) for parts in scores)),
    }
    axes = {
        "iterate_r2": ("reference", "form", "layer", "head"),
        "iterate_step": ("reference", "form", "layer", "head"),
        "moment_r2": ("form", "moment", "layer", "head"),
        "shuffled_r2": ("layer", "head"),
    }
    attrs = {
        "n_prompts": settings.n_prompts,
        "seed": settings.seed,
        "per_example": int(bool(settings.per_example)),
    }
    table = empty_table(axes, coords, attrs)
    for number, parts in enumerate(scores, start=1):
        place = {"layer": number, "head": coords["head"][: len(parts[0])]}
        shuffled = torch.cat(parts[len(targets) :], 1)
        table["shuffled_r2"].loc[place] = shuffled.amax(1).numpy()
        for target, r2 in zip(targets, parts, strict=False):
            where = {**place, "form": target.form}
            if target.comparison is None:
                table["moment_r2"].loc[where] = r2.T.numpy()
                continue
            where["reference"] = target.comparison.name
            table["iterate_r2"].loc[where] = r2.amax(1).numpy()
            table["iterate_step"].loc[where] = np.array(target.steps)[r2.argmax(1).numpy()]
    return table
