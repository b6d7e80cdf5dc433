"""The report on interventions: one HTML file that opens offline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray

from interp.plots.ablation import preferred_method
from interp.plots.steering import TARGETS, steered_pairs
from interp.plots.style import reference_label
from interp.report.intervention_sections import intervention_sections
from interp.report.picture import with_pictures
from interp.report.templating import render_page

ALIKE, UNLIKE = 0.9, 0.3
"""Cosines of a change with the predicted one above and below which words say so."""


def intervention_html(
    ablation: xarray.Dataset, steering: xarray.Dataset | None, provenance: Mapping[str, Any]
) -> str:
    """What `ablate` and `steer` found, as a page that opens offline.

    Args:
        ablation: See `interp.analyses.ablation.ablate`.
        steering: See `interp.analyses.steering.steer`; None leaves it out.
        provenance: `checkpoint`, and what else the end of the page should say, in plain values.
    """
    return render_page(
        "intervene.html",
        checkpoint=str(provenance.get("checkpoint") or "a model in memory"),
        error=f"{ablation.model_error.item():.4f}",
        findings=_findings(ablation, steering),
        sections=with_pictures(intervention_sections(ablation, steering)),
        facts=[
            (str(key).capitalize().replace("_", " "), _plain(value))
            for key, value in provenance.items()
            if value is not None
        ],
    )


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} = {entry}" for key, entry in value.items())
    return str(value)


def _findings(ablation: xarray.Dataset, steering: xarray.Dataset | None) -> list[str]:
    """The largest effects, in sentences."""
    method = preferred_method(ablation)
    table = ablation.sel(ablation=method)
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
    if steering is not None:
        sentences += [_steered(steering, *pair) for pair in steered_pairs(steering)]
    return sentences


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
        f"Moved to another iterate of {reference_label(reference)}, held as "
        f"{TARGETS.get(target, target)}, {found}: its predictions change with a cosine of "
        f"{cosine:.2f} to what going on would change (median over layers and jumps)."
    ).replace("-", "−")
