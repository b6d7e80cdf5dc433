"""What can be read from the output of every attention head on its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import xarray
from einops import einsum, rearrange
from jaxtyping import Float
from torch import Tensor

from hooks.architectures.gpt2 import GPT2
from hooks.finite import check_finite
from hooks.interventions import record
from hooks.model import SequenceModel
from hooks.sites import Site
from interp.analyses.comparisons import (
    Comparison,
    default_comparisons,
    own_parameters,
    stepping_comparisons,
)
from interp.analyses.moments import moments
from interp.scoring.stream import Progress
from interp.tasks import Task
from interp.tasks.compatibility import check_fit, task_of
from probes.readout_fitting import ReadoutFitter
from probes.references import Prefixes
from probes.validation import sum_squared_errors

FORMS: dict[str, str] = {
    "prediction": "as a prediction, x·v",
    "vector": "the vector v itself",
}
"""How a weight vector or moment v could be held at the token of a query x."""
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


def read_heads(
    model: SequenceModel,
    task: Task | None = None,
    settings: HeadSettings | None = None,
    *,
    comparisons: Sequence[Comparison] | None = None,
    progress: Progress = lambda stage, done, total: None,
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
        progress: Told of every batch.
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
    task = task or task_of(model)
    check_fit(model, task)
    if reason := lacks_heads(model):
        raise ValueError(reason)
    if comparisons is None:
        comparisons = default_comparisons(task, own_parameters(model))
    chosen = stepping_comparisons(model, comparisons, settings.references)
    if settings.per_example is None:
        settings = replace(settings, per_example=isinstance(model, GPT2))
    blocks = _blocks(chosen, settings, task.n_dims)
    return _dataset(*_fit(model, task, settings, blocks, progress), blocks, settings)


@dataclass(frozen=True)
class _Block:
    """Columns of the target matrix that belong together: steps or moments, of some width each."""

    comparison: Comparison | None
    """None for the moments."""
    form: str
    n: int
    width: int
    per_example: bool = False
    """For the moments."""

    @property
    def steps(self) -> tuple[float, ...]:
        assert self.comparison is not None
        is_prediction = self.form == "prediction"
        return self.comparison.grid_of("prediction" if is_prediction else "weights").steps

    def compute(self, prefixes: Prefixes) -> Float[Tensor, "prompt seen_point column"]:
        if self.comparison is None:
            vectors = moments(prefixes, self.n, per_example=self.per_example)
        else:
            vectors = self.comparison.reference.weights(prefixes, self.steps)
        if self.form == "prediction":
            vectors = einsum(
                vectors, prefixes.xs, "v prompt point dim, prompt point dim -> v prompt point"
            )[..., None]
        return rearrange(vectors[:, :, 1:], "v prompt point dim -> prompt point (v dim)")


def _blocks(
    comparisons: Sequence[Comparison], settings: HeadSettings, n_dims: int
) -> tuple[_Block, ...]:
    blocks = []
    for form in FORMS:
        width = 1 if form == "prediction" else n_dims
        for item in comparisons:
            steps = _Block(item, form, 0, width).steps
            blocks.append(_Block(item, form, len(steps), width))
        blocks.append(_Block(None, form, settings.n_moments, width, bool(settings.per_example)))
    return tuple(blocks)


class _Layer:
    """Statistics of all heads of one layer, for each of `SHARES`."""

    def __init__(self, n_heads: int, d_head: int, n_columns: int) -> None:
        self.fitters = {share: ReadoutFitter(n_heads, d_head, n_columns) for share in SHARES}

    def r2(self, blocks: Sequence[_Block]) -> list[Float[Tensor, "head _v"]]:
        """Held-out R^2 of every step or moment, block by block; 0 for what never varies."""
        score = self.fitters["score"].statistics
        readout = self.fitters["fit"].select(self.fitters["choose"].statistics, per_target=True)
        error = sum_squared_errors(readout.weight, readout.bias, score)[0]
        sizes = [block.n * block.width for block in blocks]
        found = []
        for block, wrong, scatter in zip(
            blocks, error.split(sizes, 1), score.target_scatter[0].split(sizes, 1), strict=True
        ):
            lost, spread = (
                part.unflatten(1, (block.n, block.width)).sum(-1) for part in (wrong, scatter)
            )
            found.append(torch.where(spread > 0, 1 - lost / torch.where(spread > 0, spread, 1), 0))
        return found


def _fit(
    model: SequenceModel,
    task: Task,
    settings: HeadSettings,
    blocks: Sequence[_Block],
    progress: Progress,
) -> tuple[list[_Layer], list[_Layer]]:
    """Every layer's statistics, and those onto the targets of other prompts."""
    sites = model.sites("z")
    n_columns = sum(block.n * block.width for block in blocks)
    seeds = np.random.SeedSequence(settings.seed).generate_state(len(SHARES))
    layers: list[_Layer] = []
    shuffled: list[_Layer] = []
    done = 0
    for seed, (share, parts) in zip(seeds, SHARES.items(), strict=True):
        n_prompts = settings.n_prompts * parts // sum(SHARES.values())
        for xs, ys, _ in task.stream(n_prompts, seed=int(seed), batch_size=BATCH_SIZE):
            outputs = _outputs(model, xs, ys, sites, done)
            if not layers:
                sizes = [(len(heads), heads.shape[-1], n_columns) for heads in outputs]
                layers, shuffled = ([_Layer(*each) for each in sizes] for _ in range(2))
            prefixes = Prefixes(xs, ys)
            values = torch.cat([block.compute(prefixes) for block in blocks], -1)
            for group, targets in ((layers, values), (shuffled, values.roll(1, 0))):
                for layer, heads in zip(group, outputs, strict=True):
                    layer.fitters[share].update(heads, targets.flatten(0, 1))
            done += len(xs)
            progress("reading heads", done, settings.n_prompts)
    return layers, shuffled


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
    layers: Sequence[_Layer],
    shuffled: Sequence[_Layer],
    blocks: Sequence[_Block],
    settings: HeadSettings,
) -> xarray.Dataset:
    comparisons = list(dict.fromkeys(b.comparison.name for b in blocks if b.comparison))
    n_heads = max(len(layer.fitters["fit"].statistics.feature_mean[0]) for layer in layers)
    coords: dict[str, Any] = {
        "reference": comparisons,
        "form": list(FORMS),
        "moment": np.arange(settings.n_moments),
        "layer": np.arange(1, len(layers) + 1),
        "head": np.arange(n_heads),
    }
    axes = {
        "iterate_r2": ("reference", "form", "layer", "head"),
        "iterate_step": ("reference", "form", "layer", "head"),
        "moment_r2": ("form", "moment", "layer", "head"),
        "shuffled_r2": ("layer", "head"),
    }
    table = xarray.Dataset(
        {
            name: (dims, np.full([len(coords[dim]) for dim in dims], np.nan))
            for name, dims in axes.items()
        },
        coords,
        {
            "n_prompts": settings.n_prompts,
            "seed": settings.seed,
            "per_example": int(bool(settings.per_example)),
        },
    )
    for number, (layer, other) in enumerate(zip(layers, shuffled, strict=True), start=1):
        for block, r2 in zip(blocks, layer.r2(blocks), strict=True):
            where = {"form": block.form, "layer": number, "head": coords["head"][: len(r2)]}
            if block.comparison is None:
                table["moment_r2"].loc[where] = r2.T.numpy()
                continue
            where["reference"] = block.comparison.name
            best = r2.argmax(1)
            table["iterate_r2"].loc[where] = r2.amax(1).numpy()
            table["iterate_step"].loc[where] = np.array(block.steps)[best.numpy()]
        chance = torch.cat(other.r2(blocks), 1).amax(1)
        table["shuffled_r2"].loc[{"layer": number, "head": coords["head"][: len(chance)]}] = (
            chance.numpy()
        )
    return table
