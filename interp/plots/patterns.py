"""Attention patterns of all heads, tile by tile."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray
from plotly.colors import sample_colorscale  # type: ignore[attr-defined]
from plotly.graph_objects import Figure

from interp.plots.marks import button_row, cells
from interp.plots.panel import HEAD_HEIGHT, Panel, axis_of_heads, draw, head_names
from interp.plots.style import SEQUENTIAL

GAP = 2
"""Empty cells between the tiles."""
MOST_LABELLED = 40_000
"""Cells up to which each can say which tokens it is about."""
TILE = 150
"""Pixels of a tile's height."""


def patterns(
    patterns: xarray.DataTree | xarray.Dataset, prompt: int | None = None, *, switch: bool = True
) -> Figure:
    """Attention of every head, layers from top to bottom, queries down and keys across each tile.

    Args:
        patterns: What `interp.analyses.patterns.attention_patterns` found.
        prompt: One of the prompts that were kept; by default the mean over prompts.
        switch: Whether buttons switch between the mean and the prompts.

    Raises:
        ValueError: The prompt was not kept.
    """
    table = patterns.to_dataset() if isinstance(patterns, xarray.DataTree) else patterns
    kept = [int(index) for index in table.prompt.values] if "pattern" in table else []
    if prompt is not None and prompt not in kept:
        raise ValueError(f"prompt must be among {', '.join(map(str, kept))}, got {prompt}")
    shown: dict[str, np.ndarray] = {"mean": table.mean_pattern.values}
    shown |= {f"prompt {index}": table.pattern.sel(prompt=index).values for index in kept}
    first = "mean" if prompt is None else f"prompt {prompt}"
    n_layers, n_heads, n_tokens, _ = table.mean_pattern.shape
    is_share = all(np.nanmin(v) >= 0 and np.nanmax(v) <= 1.001 for v in shown.values())
    never = np.all([np.nan_to_num(values) == 0 for values in shown.values()], axis=(0, 1, 2))
    tiles = {
        name: _tiled(np.where(never, np.nan, values), is_share) for name, values in shown.items()
    }
    hover, text = _hover(table, n_layers, n_heads, n_tokens, is_share)
    shown_cells = cells(
        None,
        None,
        tiles[first],
        "%" if is_share else "weight",
        hover,
        zmin=0 if is_share else None,
        zmax=100 if is_share else None,
        colorscale=_brighter() if is_share else SEQUENTIAL,
        hoverongaps=False,
        text=text,
    )
    step = n_tokens + GAP
    middle = (n_tokens - 1) / 2
    layout: dict[str, Any] = {"height": 160 + min(TILE, 12 * n_tokens) * n_layers}
    if n_heads > 2:
        layout["meta"] = {"wide": True}
    if switch and len(tiles) > 1:
        layout["updatemenus"] = [_buttons(tiles, first)]
    panel = Panel(
        title="Attention of every head: from token (down) to token (across)",
        traces=(shown_cells,),
        x={
            "title": {"text": "head"},
            "tickvals": [middle + step * head for head in range(n_heads)],
            "ticktext": [str(head) for head in table["head"].values],
            "showgrid": False,
            "side": "bottom",
        },
        y={
            "title": {"text": "layer"},
            "tickvals": [middle + step * layer for layer in range(n_layers)],
            "ticktext": [str(layer) for layer in table.layer.values],
            "autorange": "reversed",
            "showgrid": False,
        },
        layout=layout,
    )
    return draw(panel)


def looked_at(patterns: xarray.DataTree | xarray.Dataset) -> Figure:
    """What predicting tokens attend to, by head and kind of token.

    Args:
        patterns: What `interp.analyses.patterns.attention_patterns` found.
    """
    table = patterns.to_dataset() if isinstance(patterns, xarray.DataTree) else patterns
    values = table.looked_at.values.reshape(-1, table.sizes["kind"])
    is_there = np.isfinite(values).all(1)
    names = head_names(table.layer.values, table["head"].values)[is_there].tolist()
    is_share = values[is_there].min() >= 0 and values[is_there].max() <= 1.001
    factor, unit = (100, "%") if is_share else (1, "weight")
    shown = cells(
        [str(kind) for kind in table.kind.values],
        names,
        factor * values[is_there],
        unit,
        "%{y}, %{x}: %{z:.1f}",
        zmin=0 if is_share else None,
        zmax=100 if is_share else None,
        texttemplate="%{z:.0f}" if is_share else None,
        textfont={"size": 10},
        xgap=1,
    )
    panel = Panel(
        title="What the predicting tokens attend to",
        traces=(shown,),
        x={"title": {"text": "attended to"}, "type": "category", "showgrid": False},
        y=axis_of_heads(names),
        layout={"height": 130 + HEAD_HEIGHT * len(names)},
    )
    return draw(panel)


def _brighter() -> list[list[Any]]:
    """The sequential colours, reached earlier: most tokens get a small share of the attention."""
    places = [index / 16 for index in range(17)]
    colours = sample_colorscale(SEQUENTIAL, places)
    return [[place**2, colour] for place, colour in zip(places, colours, strict=True)]


def _tiled(pattern: np.ndarray, is_share: bool) -> np.ndarray:
    """Patterns [layer, head, query, key] as one picture; shares as small whole percentages."""
    n_layers, n_heads, n_queries, n_keys = pattern.shape
    gaps = ((0, 0), (0, 0), (0, GAP), (0, GAP))
    padded = np.pad(pattern, gaps, constant_values=np.nan)
    rows = padded.transpose(0, 2, 1, 3).reshape(n_layers * (n_queries + GAP), -1)
    picture = rows[:-GAP, :-GAP]
    assert picture.shape[1] == n_heads * (n_keys + GAP) - GAP
    return np.round(100 * picture, 1).astype(np.float32) if is_share else picture


def _hover(
    table: xarray.Dataset, n_layers: int, n_heads: int, n_tokens: int, is_share: bool
) -> tuple[str, list[list[str]] | None]:
    """What is shown where a cell is pointed at, and the text of each cell if they have one."""
    value = "%{z:.0f} %" if is_share else "%{z:.3g}"
    step = n_tokens + GAP
    n_cells = (n_layers * step - GAP) * (n_heads * step - GAP)
    if n_cells > MOST_LABELLED:
        return value, None
    queries, keys = table.query_label.values, table.key_label.values
    text = [
        [
            f"layer {table.layer.values[r // step]}, head {table['head'].values[c // step]}: "
            f"{queries[r % step]} → {keys[c % step]}"
            if r % step < n_tokens and c % step < n_tokens
            else ""
            for c in range(n_heads * step - GAP)
        ]
        for r in range(n_layers * step - GAP)
    ]
    return f"%{{text}}: {value}", text


def _buttons(tiles: dict[str, np.ndarray], first: str) -> dict[str, Any]:
    buttons = [
        {"label": name, "method": "restyle", "args": [{"z": [values]}]}
        for name, values in tiles.items()
    ]
    return button_row(buttons, list(tiles).index(first), 1.01)
