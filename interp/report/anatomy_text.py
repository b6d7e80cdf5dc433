"""What `interp.anatomy` found, in words: what kind of algorithm, which filter, how fast."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import xarray

from interp.report.evidence_text import capital, join, number
from interp.results.anatomy import SILENT, Anatomy
from probes.references import family_phrase, legend_of
from probes.verdict.criteria import DEFAULT_CRITERIA

MIXTURE_GAIN = 0.01
"""Share of a layer's energy that a mixture explains more than one reference, above which it is
told."""
LEAST_LAYERS = 4
"""Layers that a law of depth is told from."""
BEYOND = {
    "order": "the order of the examples",
    "examples": "single examples beyond XᵀX and Xᵀy",
    "direction": "the direction of x",
    "y_nonlinear": "y other than linearly",
    "query_nonlinear": "the query other than linearly",
}
"""What a layer depends on, where no filter could."""


class AnatomyText(NamedTuple):
    """The answers to three questions, each a sentence or two; empty where data give none."""

    kind: str
    """How much of the layers an algorithm for linear regression could say, and what the rest is."""
    filter: str
    """Which references say it."""
    pace: str
    """How the resolved eigenvalue falls with depth."""


def anatomy_text(table: xarray.Dataset) -> AnatomyText:
    """Puts an anatomy into words, at the point before the last that was taken apart."""
    here = _heard(_told_at(table))
    if not here.sizes["layer"]:
        return AnatomyText("No layer says anything about y.", "", "")
    return AnatomyText(_kind(here), _filter(here, table.attrs["equivalence"]), _pace(table))


def text(anatomy: Anatomy) -> str:
    """What was found, a line for each of the three questions, and what is missing."""
    table = anatomy.table
    return "\n".join(filter(None, (*anatomy_text(table), str(table.attrs["missing"]))))


def described_layers(table: xarray.Dataset, family: str) -> tuple[list[int], list[int]]:
    """Layers that some reference of a family describes, and all that say something."""
    here = _heard(_told_at(table))
    members = here.sel(reference=here.family.values == family)
    is_described = (members.gap_high < table.attrs["equivalence"]).any("reference")
    return _layers(here, is_described), _layers(here, np.isfinite(here.ceiling))


def layers_phrase(layers: Sequence[int]) -> str:
    """Layers as ranges, such as "layers 1, 3 to 5 and 8"."""
    runs: list[list[int]] = []
    for layer in layers:
        if runs and layer == runs[-1][-1] + 1:
            runs[-1].append(layer)
        else:
            runs.append([layer])
    parts = [
        f"{run[0]} to {run[-1]}" if len(run) > 2 else join([str(one) for one in run], "and")
        for run in runs
    ]
    return f"layer{'s' if len(layers) > 1 else ''} {join(parts, 'and')}"


def _told_at(table: xarray.Dataset) -> xarray.Dataset:
    """The point that sentences are about: the last but one."""
    return table.isel(point=max(0, table.sizes["point"] - 2))


def _heard(here: xarray.Dataset) -> xarray.Dataset:
    """Of the layers at a point those that say something."""
    return here.isel(layer=np.flatnonzero(here.energy.values >= SILENT))


def _layers(here: xarray.Dataset, chosen: xarray.DataArray) -> list[int]:
    return [int(layer) for layer in here.layer.values[chosen.values]]


def _kind(here: xarray.Dataset) -> str:
    ceiling = here.ceiling
    if not np.isfinite(ceiling).any():
        return ""
    low, high = (here.isel(layer=int(at(ceiling.values))) for at in (np.nanargmin, np.nanargmax))
    first, last = int(low.layer), int(high.layer)
    rest = "" if first == last else f" and {_percent(high.ceiling)} of layer {last}"
    text = (
        f"After {int(here.point)} examples no algorithm that knows only XᵀX, Xᵀy and the query, "
        "and is linear in y and in the query, could explain more than "
        f"{_percent(low.ceiling)} of layer {first}{rest}"
    )
    share, least = (low[name].sel(part=list(BEYOND)) for name in ("share", "share_low"))
    if float(least.max()) <= 0:
        return f"{text}."
    part = str(share.part.values[int(share.values.argmax())])
    return f"{text}; {_percent(share.max())} of layer {first} depends on {BEYOND[part]}."


def _filter(here: xarray.Dataset, equivalence: float) -> str:
    if not np.isfinite(here.gap).any():
        return ""
    by_layers: dict[tuple[int, ...], list[str]] = {}
    for family in dict.fromkeys(here.family.values.tolist()):
        gap = here.gap_high.sel(reference=here.family.values == family).min("reference")
        layers = _layers(here, gap < equivalence)
        by_layers.setdefault(tuple(layers), []).append(family_phrase(family))
    described = {layers: names for layers, names in by_layers.items() if layers}
    within = f"all but {100 * equivalence:g} % of that"
    sentences = [
        f"{capital(join(names, 'and'))} explain{'s' * (len(names) == 1)} {within} at "
        f"{layers_phrase(layers)}."
        for layers, names in sorted(described.items(), key=lambda item: -len(item[0]))
    ]
    shared = [
        layer
        for layer in here.layer.values.tolist()
        if sum(len(names) for layers, names in described.items() if layer in layers) > 1
    ]
    if shared:
        sentences.append(
            f"At {layers_phrase(shared)} such references cannot be told apart layer by "
            "layer, only by their growth with depth."
        )
    is_left = (here.gap_low > equivalence).all("reference")
    if bool(is_left.any()):
        left = here.isel(layer=np.flatnonzero(is_left.values))
        gap = left.gap.min("reference")
        nearest = left.reference.values[int(left.gap.mean("layer").values.argmin())]
        span = dict.fromkeys(_percent(one) for one in (gap.min(), gap.max()))
        sentences.append(
            f"No reference does at {layers_phrase(_layers(here, is_left))}: the nearest, "
            f"{legend_of(str(nearest))}, leaves {' to '.join(span)}."
        )
    return " ".join(sentences)


def _pace(table: xarray.Dataset) -> str:
    counts = table.is_on_law.fillna(0).sum("layer")
    if int(counts.max()) < LEAST_LAYERS:
        return ""
    at = table.isel(point=int(counts.values.argmax()))
    layers = [int(one) for one in at.layer.values[at.is_on_law.values == 1]]
    factor, low, high = (2 ** at[f"halvings{end}"].item() for end in ("", "_low", "_high"))
    evidence = at.geometric_evidence.item()
    fall = (
        f"After {int(at.point)} examples the eigenvalue that is learnt to a half falls from "
        f"{layers_phrase(layers[:1])} to {layers_phrase(layers[-1:])}"
    )
    ratio = DEFAULT_CRITERIA.clear_ratio
    if 1 / ratio < evidence < ratio:
        return f"{fall}, by a constant factor a layer as well as like 1 / depth."
    is_geometric = evidence > 1
    times = max(evidence, 1 / evidence)
    often = "over a million" if times > 1e6 else f"{float(f'{times:.2g}'):,.0f}"
    by_factor = f"by a factor of {number(factor)} a layer ({number(low)} to {number(high)})"
    misfit = at.geometric_misfit if is_geometric else at.harmonic_misfit
    is_close = misfit.item() <= DEFAULT_CRITERIA.neither_misfit
    if not is_close:
        nearer = "a constant factor" if is_geometric else "1 / depth"
        text = f"{fall} {by_factor} in the mean, unevenly (nearer to {nearer}, {often} to 1)"
    elif is_geometric:
        said = f"{often} times as likely as like 1 / depth"
        text = f"{fall} {by_factor}, as with methods of second order ({said})"
    else:
        said = f"{often} times as likely as by a constant factor"
        text = f"{fall} like 1 / depth, as with methods of first order ({said})"
    families = ["newton"] if is_geometric else ["gd"]
    rate = at.sel(reference=np.isin(at.family.values, families)).dropna("reference", how="all")
    rate = rate.isel(reference=np.flatnonzero(np.isfinite(rate.steps_per_layer.values)))
    if rate.sizes["reference"] and (is_geometric or is_close):
        one = rate.isel(reference=0)
        low, high = one.steps_per_layer_low.item(), one.steps_per_layer_high.item()
        name = legend_of(str(one.reference.item()))
        steps = number(one.steps_per_layer.item())
        text += f": {steps} steps of {name} a layer ({number(low)} to {number(high)})"
    return f"{text}."


def _percent(share: xarray.DataArray) -> str:
    value = 100 * max(0.0, share.item())
    return f"{value:.1f} %" if value < 10 or value > 98.5 else f"{value:.0f} %"


def mixture_text(table: xarray.Dataset) -> str:
    """Whether several references together explain a layer better than the best one alone."""
    last = _heard(table.isel(point=-1))
    gain = last.mixture_gain.values
    surely = last.isel(layer=np.flatnonzero(last.mixture_gain_low.values > MIXTURE_GAIN))
    if not surely.sizes["layer"]:
        return (
            "No layer is explained better by a mixture of references than by the best one alone, "
            f"to within {MIXTURE_GAIN:.0%} of its energy (the most is {max(gain, default=0):.1%})."
        )
    words = []
    for layer in surely.layer.values:
        here = last.sel(layer=layer)
        parts = [
            f"{weight:.2f} × {legend_of(str(name))} at step {step:.3g}"
            for name, weight, step in zip(
                here.reference.values, here.mixture_weight.values, here.mixture_step.values,
                strict=True,
            )
            if weight > 0
        ]  # fmt: skip
        words.append(f"layer {layer} ({' + '.join(parts)}; {here.mixture_gain.item():.1%} more)")
    return f"Better than by the best reference alone a mixture explains {', '.join(words)}."
