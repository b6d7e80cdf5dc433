"""The report on interventions: its sentences and page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray

from interp import plots
from interp.plots.ablation import preferred_method
from interp.plots.steering import TARGETS, steered_pairs
from interp.report.causal import (
    interchange_finding,
    interchange_section,
    layer_order_finding,
    layer_order_section,
)
from interp.report.page import Lead, Page
from interp.report.section import Section, written_section
from probes.references import legend_of

ALIKE, UNLIKE = 0.9, 0.3
"""Cosines of a change with the predicted one above and below which words say so."""


def intervention_page(
    ablation: xarray.Dataset,
    steering: xarray.Dataset | None,
    provenance: Mapping[str, Any],
    reordered: xarray.Dataset | None = None,
    interchanged: xarray.Dataset | None = None,
) -> Page:
    """The page on what interventions found; None leaves a part out.

    Args:
        ablation: See `interp.ablate`.
        steering: See `interp.steer`.
        provenance: `checkpoint`, and what else the end of the page should say, in plain values.
        reordered: See `interp.reorder_layers`.
        interchanged: See `interp.interchange`.
    """
    checkpoint = str(provenance.get("checkpoint") or "a model in memory")
    sections = [_error(ablation), _curve(ablation)]
    sections += [] if reordered is None else [layer_order_section(reordered)]
    sections += [] if interchanged is None else [interchange_section(interchanged)]
    sections += [] if steering is None else [_steering(steering)]
    return Page(
        title=f"{checkpoint}: what does it depend on?",
        kicker="What does it depend on?",
        heading=checkpoint,
        lead=Lead(
            number=(
                f"{ablation.model_error.item():.4f}",
                "squared error / d of the whole model",
                "",
            ),
            paragraphs=findings(ablation, steering, reordered, interchanged),
        ),
        sections=tuple(section for section in sections if section.pictures),
        facts=[
            (str(key).capitalize().replace("_", " "), _plain(value))
            for key, value in provenance.items()
        ],
    )


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} = {entry}" for key, entry in value.items())
    return value


def findings(
    ablation: xarray.Dataset,
    steering: xarray.Dataset | None,
    reordered: xarray.Dataset | None = None,
    interchanged: xarray.Dataset | None = None,
) -> tuple[str, ...]:
    """The largest effects, in sentences."""
    table = ablation.sel(ablation=preferred_method(ablation))
    sentences = []
    effects = table.effect.sel(part="layer")
    diverging = [str(layer) for layer in table.layer.values[np.isposinf(effects.values)]]
    if diverging:
        sentences.append(f"Without layer {', '.join(diverging)} predictions are not finite.")
    finite = effects.where(np.isfinite(effects))
    if bool(finite.notnull().any()):
        most, least = int(finite.idxmax()), int(finite.idxmin())
        sentences.append(
            f"The layer that the error depends on most is {most} "
            f"(+{float(finite.sel(layer=most)):.3f}), least {least} "
            f"({float(finite.sel(layer=least)):+.3f})."
        )
    if "head_effect" in table:
        heads = table.head_effect.where(np.isfinite(table.head_effect))
        best = heads.stack(spot=("layer", "head")).dropna("spot")
        if best.sizes["spot"]:
            layer, head = best.idxmax("spot").item()
            rise = float(best.max())
            how = f"{rise:+.3f}" if rise < 1000 else "predictions blow up without it"
            sentences.append(f"The head that it depends on most is {layer}.{head} ({how}).")
    sentences += [] if reordered is None else [layer_order_finding(reordered)]
    sentences += [] if interchanged is None else [interchange_finding(interchanged)]
    if steering is not None:
        sentences += steering_findings(steering)
    return tuple(sentences)


def steering_findings(steering: xarray.Dataset) -> list[str]:
    """Whether the model goes on from where it is moved to, a sentence for each kind of iterate."""
    sentences = [_steered(steering, *pair) for pair in steered_pairs(steering)]
    held = steering.step.count("layer") > 1
    unmoved = steering.predicted_step.isnull().all(("layer", "jump"))
    return sentences + [
        f"Iterates of {legend_of(reference)} have converged on these "
        f"{steering.attrs['n_prompts']} prompts, so no move between them changes a prediction; "
        "more prompts hold some that need more steps."
        for reference in steering.reference.values[(held & unmoved).any("target").values]
    ]


def _steered(steering: xarray.Dataset, reference: str, target: str) -> str:
    table = steering.sel(reference=reference, target=target, direction="read-out")
    cosine, share = (float(table[name].median()) for name in ("cosine", "continuation"))
    if cosine > ALIKE and abs(share - 1) < 1 - ALIKE:
        found = "the model goes on from there"
    elif cosine < UNLIKE:
        found = "the model does not go on from there"
    else:
        found = "the model goes on from there in part"
    return (
        f"Moved to another iterate of {legend_of(reference)}, held as "
        f"{TARGETS.get(target, target)}, {found}: its predictions change with a cosine of "
        f"{cosine:.2f} to what going on would change (median over layers and jumps; above "
        f"{ALIKE} counts as going on, below {UNLIKE} as not)."
    ).replace("-", "−")


def _error(ablation: xarray.Dataset) -> Section:
    pictures = [plots.ablation(ablation)]
    if "head_effect" in ablation:
        pictures.append(plots.head_ablation(ablation))
    others = (name for name in _skipping(ablation) if name != preferred_method(ablation))
    pictures += [plots.ablation(ablation, name) for name in others]
    lost = np.isposinf(ablation.error).any(["part", "ablation"])
    layers = [str(layer) for layer in ablation.layer.values[lost.values]]
    note = (
        f"Without a part of layer {', '.join(layers)} the predictions are not finite for some way "
        "of replacing it; such points are left out."
    )
    return written_section("interventions", "error", pictures, note=note if layers else None)


def _curve(ablation: xarray.Dataset) -> Section:
    reference = str(ablation.reference.values[0])
    methods = dict.fromkeys([preferred_method(ablation), *_skipping(ablation)])
    pictures = [plots.shift(ablation, reference, method) for method in methods]
    if "head_step" in ablation:
        pictures.append(plots.shift(ablation, reference, what="heads"))
    return written_section(
        "interventions",
        "curve",
        pictures,
        note=_last_layer_shift(ablation, reference),
        reference=legend_of(reference),
    )


def _skipping(ablation: xarray.Dataset) -> list[str]:
    """The method that skips a layer, where it was used."""
    return [str(name) for name in ablation.ablation.values if name == "zero"]


def _last_layer_shift(ablation: xarray.Dataset, reference: str) -> str | None:
    """Steps that the last layer loses where a layer is skipped."""
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
        plots.steering(steering, reference, target, int(jump), value=value)
        for reference, target in steered_pairs(steering)
        for jump in steering.jump.values
        if _is_moved(steering, reference, target, int(jump))
        for value in ("cosine", "share")
    ]
    return written_section("interventions", "steering", pictures)


def _is_moved(steering: xarray.Dataset, reference: str, target: str, jump: int) -> bool:
    where = {"reference": reference, "target": target, "jump": jump, "direction": "read-out"}
    return bool(steering.continuation.sel(where).notnull().any())


def _signed(value: float) -> str:
    return f"{value:+.1f}".replace("-", "−")
