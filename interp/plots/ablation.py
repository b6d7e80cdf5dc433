"""What the error and the match curve lose without a part of a model."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

import numpy as np
import xarray
from plotly.graph_objects import Figure

from interp.plots.marks import cells, placed_line
from interp.plots.panel import (
    HEAD_HEIGHT,
    LEAST_HEIGHT,
    Panel,
    axis_of_heads,
    axis_of_layers,
    draw,
    head_names,
    log_axis,
)
from interp.plots.style import INK, Look, reference_look

PART_LOOKS: dict[str, Look] = {
    "layer": Look("whole layer", INK, "solid", "circle"),
    "attention": Look("its attention", "#0072b2", "dash", "square"),
    "mlp": Look("its MLP", "#d55e00", "dot", "diamond"),
}
METHODS: dict[str, str] = {
    "zero": "by zero",
    "mean": "by its mean",
    "resample": "by another prompt's",
}
"""What a part is replaced by, as the pictures say it."""
DIVERGING = "RdBu"
LOWEST = 1e-4
"""Effects on the error below this are drawn here, at the axis's end."""


def preferred_method(ablation: xarray.Dataset) -> str:
    """The gentlest way of replacing parts: that with the smallest effect of layers on average.

    What a part is replaced by should take away what it says, and not add something that later
    layers have never seen.
    """
    effect = ablation.effect.sel(part="layer").fillna(np.inf).mean("layer")
    return str(ablation.ablation.values[int(np.argmin(effect.values))])


def ablation(ablation: xarray.Dataset, method: str | None = None) -> Figure:
    """By how much the error rises without each layer, its attention or its MLP.

    Args:
        ablation: What `interp.analyses.ablation.ablate` found.
        method: What a part is replaced by; by default what changes least.

    Raises:
        ValueError: Nothing was replaced so.
    """
    table = _with_method(ablation, method)
    traces, visible = [], partial(np.maximum, LOWEST)
    for part, look in PART_LOOKS.items():
        here = table.sel(part=part).isel(layer=np.isfinite(table.effect.sel(part=part).values))
        if here.sizes["layer"]:
            layers, bounds = here.layer.values, here.effect_interval.values
            traces.append(
                placed_line(layers, here.effect.values, bounds, look, place=visible, digits="+.4f")
            )
    title = f"Rise of the error without a part, replaced {_words(table)}"
    y = log_axis("rise of squared error / d")
    return draw(Panel(title, traces, axis_of_layers(table.layer.values), y))


def head_ablation(ablation: xarray.Dataset, method: str | None = None) -> Figure:
    """By how much the error rises without each attention head.

    Args:
        ablation: What `interp.analyses.ablation.ablate` found, of a model with heads.
        method: What a head's output is replaced by; by default what changes least.

    Raises:
        ValueError: The model has no heads, or nothing was replaced so.
    """
    if "head_effect" not in ablation:
        raise ValueError("the model has no attention heads that were taken away")
    table = _with_method(ablation, method)
    values = table.head_effect.transpose("layer", "head").values
    finite = np.where(np.isfinite(values), values, np.nan)
    shown = cells(
        table["head"].values.tolist(),
        table.layer.values,
        np.log10(np.maximum(finite, LOWEST)),
        "rise",
        "layer %{y}, head %{x}: %{customdata:+.4f}",
        colorbar=_log_ticks(finite),
        text=[[_effect(value) for value in row] for row in values],
        texttemplate="%{text}",
        customdata=values,
        xgap=1,
        ygap=1,
    )
    panel = Panel(
        title=f"Rise of squared error / d without a head, replaced {_words(table)}",
        traces=(shown,),
        x={"title": {"text": "head"}, "dtick": 1, "showgrid": False},
        y={**axis_of_layers(table.layer.values), "showgrid": False, "autorange": "reversed"},
    )
    panel.y.pop("range")
    return draw(panel)


def shift(
    ablation: xarray.Dataset,
    reference: str | None = None,
    method: str | None = None,
    *,
    what: Literal["parts", "heads"] = "parts",
) -> Figure:
    """How the match curve changes without each part: steps lost or gained by every layer.

    Args:
        ablation: What `interp.analyses.ablation.ablate` found.
        reference: Whose steps; by default the first reference.
        method: What a part is replaced by; by default what changes least.
        what: Whole layers, attentions and MLPs, or heads.

    Raises:
        ValueError: A reference or method that is not there, or heads of a model without any.
    """
    if what == "heads" and "head_step" not in ablation:
        raise ValueError("the model has no attention heads that were taken away")
    if what not in ("parts", "heads"):
        raise ValueError(f"what must be 'parts' or 'heads', got {what!r}")
    names = [str(name) for name in ablation.reference.values]
    name = names[0] if reference is None else reference
    if name not in names:
        raise ValueError(f"reference {name!r} was not compared; compared were {', '.join(names)}")
    table = _with_method(ablation, method).sel(reference=name)
    labels, steps, similarity = _rows(table, what)
    before = table.model_step.values
    shift = steps - before
    largest = max(1.0, float(np.nanmax(np.abs(shift), initial=0)))
    shown = cells(
        table.read_layer.values.tolist(),
        labels,
        np.sign(shift) * np.log1p(np.abs(shift)),
        "steps",
        "without %{y}, layer %{x} is most like step %{customdata[0]:,.2~f} "
        "(SimE %{customdata[2]:.3f}),<br>in the whole model %{customdata[1]:,.2~f}",
        zmin=-np.log1p(largest),
        zmax=np.log1p(largest),
        colorscale=DIVERGING,
        colorbar=_shift_ticks(largest),
        text=[[_steps(value) for value in row] for row in shift],
        texttemplate="%{text}",
        textfont={"size": 10 if steps.shape[1] < 12 else 8},
        customdata=np.stack([steps, np.broadcast_to(before, steps.shape), similarity], -1),
        xgap=1,
        ygap=1,
    )
    label = reference_look(name).label
    panel = Panel(
        title=f"Steps of {label} lost without a part, replaced {_words(table)}",
        traces=(shown,),
        x={
            **axis_of_layers(table.read_layer.values),
            "title": {"text": "layer that is read (0 = embedding)"},
            "showgrid": False,
        },
        y={
            **axis_of_heads(labels),
            "title": {"text": "without" if what == "parts" else "without head (layer.head)"},
            "dtick": 1,
        },
        layout={"height": max(LEAST_HEIGHT, 130 + HEAD_HEIGHT * len(labels))},
    )
    return draw(panel)


def _rows(
    table: xarray.Dataset, what: Literal["parts", "heads"]
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Labels, steps and similarities [row, read_layer] of the parts that there are."""
    if what == "heads":
        names = ("head_error", "head_step", "head_similarity")
        labels = head_names(table.layer.values, table["head"].values)
        axes = ["layer", "head"]
    else:
        names = ("error", "step", "similarity")
        words = {"layer": "layer", "attention": "attention", "mlp": "MLP"}
        table = table.sel(part=list(words))
        labels = np.array([f"{w} {layer}" for w in words.values() for layer in table.layer.values])
        axes = ["part", "layer"]
    error, steps, similarity = (table[name].transpose(*axes, ...).values for name in names)
    is_there = ~np.isnan(error)
    return labels[is_there.ravel()].tolist(), steps[is_there], similarity[is_there]


def _with_method(ablation: xarray.Dataset, method: str | None) -> xarray.Dataset:
    known = [str(name) for name in ablation.ablation.values]
    chosen = preferred_method(ablation) if method is None else method
    if chosen not in known:
        raise ValueError(f"method must be one of {', '.join(known)}, got {chosen!r}")
    return ablation.sel(ablation=chosen)


def _words(table: xarray.Dataset) -> str:
    method = str(table.ablation.item())
    return METHODS.get(method, method)


def _effect(value: float) -> str:
    if np.isnan(value):
        return ""
    if np.isinf(value):
        return "diverges"
    size = f"{abs(value):.3f}".removeprefix("0")
    return "0" if size == ".000" else f"{'−' if value < 0 else ''}{size}"


def _steps(value: float) -> str:
    if np.isnan(value):
        return ""
    size = f"{abs(value):.1f}".removesuffix(".0") if abs(value) < 9.95 else f"{abs(value):.0f}"
    return "" if size == "0" else f"{'−' if value < 0 else '+'}{size}"


def _log_ticks(values: np.ndarray) -> dict[str, Any]:
    largest = np.nanmax(values, initial=LOWEST * 10)
    exponents = range(int(np.log10(LOWEST)), int(np.ceil(np.log10(largest))) + 1)
    return {
        "tickvals": list(exponents),
        "ticktext": [f"{10.0**e:g}" for e in exponents],
    }


def _shift_ticks(largest: float) -> dict[str, Any]:
    marks = [m for m in (1, 3, 10, 30, 100, 1_000, 10_000) if m <= largest]
    values = [-m for m in reversed(marks)] + [0, *marks]
    return {
        "tickvals": [float(np.sign(v) * np.log1p(abs(v))) for v in values],
        "ticktext": [f"{v:+,}".replace("-", "−") if v else "0" for v in values],
    }
