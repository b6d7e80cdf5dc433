"""Sections of the report on interventions."""

from __future__ import annotations

from typing import Literal

import numpy as np
import xarray

from interp.plots.ablation import (
    plot_ablation,
    plot_head_ablation,
    plot_shift,
    preferred_method,
)
from interp.plots.steering import plot_steering, steered_pairs
from interp.plots.style import reference_label
from interp.report.section import Section

VALUES: tuple[Literal["cosine", "share"], ...] = ("cosine", "share")


def intervention_sections(
    ablation: xarray.Dataset, steering: xarray.Dataset | None
) -> tuple[Section, ...]:
    """All sections that there is data for."""
    made = [_error(ablation), _curve(ablation)]
    if steering is not None:
        made.append(_steering(steering))
    return tuple(section for section in made if section.pictures)


def _error(ablation: xarray.Dataset) -> Section:
    pictures = [plot_ablation(ablation)]
    if "head_effect" in ablation:
        pictures.append(plot_head_ablation(ablation))
    others = (name for name in _skipping(ablation) if name != preferred_method(ablation))
    pictures += [plot_ablation(ablation, name) for name in others]
    return Section(
        anchor="error",
        title="What the error depends on",
        pictures=tuple(pictures),
        see=(
            "By how much squared error / d rises, on a logarithmic scale, when one part of the "
            "model is taken away: a layer, its attention, its MLP, or one head. What it would "
            "have written is replaced: by its mean over prompts, by what it writes for another "
            "prompt, or by zero (a layer is then skipped). Shown is the way that changes least, "
            "and zero. Bars are 95 % intervals over prompts."
        ),
        means=(
            "A part without effect is not needed, whatever can be read from it. Replacing by the "
            "mean takes away only what the part says about the prompt; replacing by zero also "
            "shows later layers something they have never seen, and says more than it should."
        ),
        note=_infinite(ablation),
    )


def _infinite(ablation: xarray.Dataset) -> str | None:
    lost = np.isposinf(ablation.error).any(["part", "ablation"])
    layers = [str(layer) for layer in ablation.layer.values[lost.values]]
    if not layers:
        return None
    return (
        f"Without a part of layer {', '.join(layers)} the predictions are not finite for some way "
        "of replacing it; such points are left out."
    )


def _curve(ablation: xarray.Dataset) -> Section:
    reference = str(ablation.reference.values[0])
    methods = dict.fromkeys([preferred_method(ablation), *_skipping(ablation)])
    pictures = [plot_shift(ablation, reference, method) for method in methods]
    if "head_step" in ablation:
        pictures.append(plot_shift(ablation, reference, what="heads"))
    return Section(
        anchor="curve",
        title="What the match curve depends on",
        pictures=tuple(pictures),
        see=(
            "One row for each part that is taken away. Cells say by how many steps each later "
            "layer falls behind (−) or gets ahead (+) of what it holds in the whole model; the "
            f"steps are those of {reference_label(reference)}. Layers are read by the read-outs "
            "of the whole model, whose scale alone is fitted anew. Replaced by zero, a layer is "
            "skipped."
        ),
        means=(
            "In a model that iterates, leaving out one layer costs all later ones that layer's "
            "steps and no more: a row of equal numbers from the diagonal on. Rows that lose "
            "everything are parts that the rest is built on; rows of zeros are not used."
        ),
        note=_final(ablation, reference),
    )


def _skipping(ablation: xarray.Dataset) -> list[str]:
    """The method that skips a layer, where it was used."""
    return [str(name) for name in ablation.ablation.values if name == "zero"]


def _final(ablation: xarray.Dataset, reference: str) -> str | None:
    if not _skipping(ablation):
        return None
    table = ablation.sel(reference=reference, part="layer", ablation="zero")
    words = []
    for layer in table.layer.values:
        here = table.sel(layer=layer)
        shift = float(here.final_shift)
        if np.isfinite(shift):
            low, high = here.final_shift_interval.values
            words.append(f"{layer}: {_signed(shift)} ({_signed(low)} to {_signed(high)})")
    if not words:
        return None
    return (
        f"Steps that the last layer loses or gains where a layer is skipped, with 95 % intervals, "
        f"by that layer: {'; '.join(words)}."
    )


def _steering(steering: xarray.Dataset) -> Section:
    pictures = [
        plot_steering(steering, reference, target, int(jump), value=value)
        for reference, target in steered_pairs(steering)
        for jump in steering.jump.values
        if _is_moved(steering, reference, target, int(jump))
        for value in VALUES
    ]
    return Section(
        anchor="steering",
        title="Does it go on from where it is put?",
        pictures=tuple(pictures),
        see=(
            "A layer's activations are moved, by the smallest change that a read-out of the "
            "iterate sees as such, from the iterate that the layer holds to the one that another "
            "layer holds. A model that goes on from there would change its predictions in a way "
            "that is known. Shown is how like that the change is: its cosine, and the share of "
            "it that happened, with 95 % intervals. Controls are a push as far in random "
            "directions and one along a read-out of other prompts' iterates; they leave the "
            "picture where they blow up."
        ),
        means=(
            "Where both are 1, later layers compute from what was moved, as an iteration does; "
            "where the cosine is 0 they do not, whatever the share. Between them, what is read "
            "there is only part of what the model computes from. Where the controls do as much, "
            "the push and not the iterate did it."
        ),
    )


def _is_moved(steering: xarray.Dataset, reference: str, target: str, jump: int) -> bool:
    where = {"reference": reference, "target": target, "jump": jump, "direction": "read-out"}
    return bool(steering.continuation.sel(where).notnull().any())


def _signed(value: float) -> str:
    return f"{value:+.1f}".replace("-", "−")
