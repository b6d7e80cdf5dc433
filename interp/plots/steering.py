"""Where the predictions of a model go whose layers are moved to another iterate."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import xarray
from plotly.graph_objects import Figure, Scatter

from interp.plots.marks import level, line
from interp.plots.panel import Panel, draw
from interp.plots.style import INK, Look, reference_look

DIRECTION_LOOKS: dict[str, Look] = {
    "read-out": Look("along the iterate's read-out", INK, "solid", "circle"),
    "random": Look("as far in random directions", "#d55e00", "dot", "x"),
    "shuffled targets": Look("along other prompts' read-out", "#0072b2", "dash", "square"),
}
WIDEST = 5.0
"""Shares beyond this are outside the picture."""
TARGETS = {"prediction": "the prediction", "filtered_query": "the filtered query"}


def steered_pairs(steering: xarray.Dataset) -> list[tuple[str, str]]:
    """References and targets that some layer was moved along."""
    moved = steering.continuation.sel(direction="read-out").notnull().any(["layer", "jump"])
    return [
        (str(reference), str(target))
        for reference in steering.reference.values
        for target in steering.target.values
        if bool(moved.sel(reference=reference, target=target))
    ]


def steering(
    steering: xarray.Dataset,
    reference: str,
    target: str,
    jump: int | None = None,
    *,
    value: Literal["cosine", "share"] = "cosine",
) -> Figure:
    """How like the predicted change the change of the predictions is, by the layer moved.

    Args:
        steering: What `interp.analyses.steering.steer` found.
        reference: Name of a reference.
        target: What of its iterates was moved.
        jump: To the iterate of the layer that many layers further on; by default the first jump.
        value: "cosine" of the two changes, or the "share" of the predicted one that happened; both
            are 1 if the model goes on from where it is put.

    Raises:
        ValueError: No layer was moved so, or an unknown value.
    """
    if value not in ("cosine", "share"):
        raise ValueError(f"value must be 'cosine' or 'share', got {value!r}")
    if (reference, target) not in steered_pairs(steering):
        known = ", ".join(f"{a} as {b}" for a, b in steered_pairs(steering)) or "nothing"
        raise ValueError(f"no layer was moved along {reference} as {target}; moved was {known}")
    jumps = [int(j) for j in steering.jump.values]
    chosen = jumps[0] if jump is None else jump
    if chosen not in jumps:
        raise ValueError(f"jump must be among {', '.join(map(str, jumps))}, got {chosen}")
    table = steering.sel(reference=reference, target=target, jump=chosen)
    seen = table.isel(layer=table.continuation.sel(direction="read-out").notnull().values)
    traces = [_goal(table)] + [
        _line(seen.sel(direction=direction), look, value)
        for direction, look in DIRECTION_LOOKS.items()
        if direction in seen.direction.values
    ]
    y: dict[str, Any] = {"title": {"text": "cosine with the predicted change"}}
    y["range"] = [-1.08, 1.08]
    if value == "share":
        y = {"title": {"text": "share of the predicted change"}, "range": _range(seen)}
    label = f"{reference_look(reference).label}, {TARGETS.get(target, target)}"
    panel = Panel(
        title=f"{label} moved to what {_towards(chosen)} holds: {value}",
        traces=traces,
        x={"title": {"text": "layer that is moved"}, "dtick": 1 + len(table.layer) // 14},
        y=y,
    )
    return draw(panel)


def _goal(table: xarray.Dataset) -> Scatter:
    ends = table.layer.values[0] - 0.5, table.layer.values[-1] + 0.5
    return level(1, "goes on from there", ends, "longdash")


def _line(part: xarray.Dataset, look: Look, value: Literal["cosine", "share"]) -> Scatter:
    names = ("step", "steered_to", "predicted_step", "reached_step", "cosine", "continuation")
    moves = np.column_stack([part[name].values for name in names])
    shown = part["cosine" if value == "cosine" else "continuation"].values
    is_share = value == "share" and part.direction.item() == "read-out"
    return line(
        part.layer.values,
        np.where(np.abs(shown) < 20 * WIDEST, shown, np.nan),
        look,
        "layer %{x}, step %{customdata[0]:,.3~r} moved to %{customdata[1]:,.3~r}: "
        "cosine %{customdata[4]:+.2f}, share %{customdata[5]:.3g}<br>expected to end at step "
        "%{customdata[2]:,.3~r}, most like %{customdata[3]:,.3~r}",
        part.continuation_interval.values.T if is_share else None,
        customdata=moves,
    )


def _towards(jump: int) -> str:
    if abs(jump) == 1:
        return "the layer before" if jump < 0 else "the next layer"
    return f"the layer {abs(jump)} {'back' if jump < 0 else 'further on'}"


def _range(table: xarray.Dataset) -> list[float]:
    """Room for what happens along the read-out; controls may blow up and leave the picture."""
    along = table.sel(direction="read-out").continuation_interval.values
    low, high = (np.clip(f(along), -WIDEST, WIDEST) for f in (np.nanmin, np.nanmax))
    room = 0.08 * (max(high, 1.0) - min(low, 0.0))
    return [float(min(low, 0.0) - 3 * room), float(max(high, 1.0) + 2 * room)]
