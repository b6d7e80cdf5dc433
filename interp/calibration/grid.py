"""Which cells a calibration runs, from a TOML file."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from itertools import product
from pathlib import Path
from typing import Any

from interp.calibration.cell import Cell

GRIDS = Path(__file__).parent / "grids"
SHIPPED_GRIDS = ("quick", "full")


@dataclass(frozen=True)
class Block:
    """All combinations of some values, each with several seeds."""

    values: Mapping[str, tuple[Any, ...]]
    """For each field of `Cell` but the seed, the values it takes."""
    n_seeds: int = 1

    @property
    def conditions(self) -> Iterator[Cell]:
        for combination in product(*self.values.values()):
            yield Cell(**dict(zip(self.values, combination, strict=True)))


@dataclass(frozen=True)
class Grid:
    """The blocks of cells that a calibration runs."""

    blocks: tuple[Block, ...]
    first_seed: int = 0
    """Seed of each combination's first run; those after it count on."""

    @property
    def cells(self) -> tuple[Cell, ...]:
        """Every cell once, seed by seed, so that a part of them is a smaller calibration."""
        last = max(block.n_seeds for block in self.blocks)
        cells = (
            Cell(**{**_values(condition), "seed": self.first_seed + run})
            for run in range(last)
            for block in self.blocks
            if run < block.n_seeds
            for condition in block.conditions
        )
        return tuple(dict.fromkeys(cells))


def read_grid(path: str | Path) -> Grid:
    """Reads a grid from a file, or a shipped one by its name: "quick" or "full".

    A file has one or more `[[block]]` tables. Each key is a field of `Cell` with a list of values
    (or one value), and `n_seeds` says how often each combination is run. Above them `first_seed`
    may say with which seed each combination starts (0).

    Raises:
        ValueError: The file is missing, is not TOML, or holds something that no cell can be; the
            message names the file.
    """
    if str(path) in SHIPPED_GRIDS:
        path = GRIDS / f"{path}.toml"
    try:
        entries = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        tables = entries.pop("block", None)
        first_seed = _whole(entries.pop("first_seed", 0), "first_seed", at_least=0)
        if entries:
            raise ValueError(
                f"a grid holds first_seed and [[block]] tables only, found {', '.join(entries)}"
            )
        if not isinstance(tables, list) or not tables:
            raise ValueError("has no [[block]] table")
        grid = Grid(tuple(_block(table) for table in tables), first_seed)
        _ = grid.cells
    except (OSError, ValueError, TypeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ValueError(f"{path}: {reason}") from None
    return grid


def _block(table: Mapping[str, Any]) -> Block:
    known = {entry.name for entry in fields(Cell)} - {"seed"}
    values = {key: value for key, value in table.items() if key != "n_seeds"}
    if unknown := sorted(set(values) - known):
        raise ValueError(
            f"a block has no {', '.join(unknown)}; it takes n_seeds, {', '.join(sorted(known))}"
        )
    for key in ("algorithm", "iterations_per_layer", "n_prompts"):
        if key not in values:
            raise ValueError(f"a block must say {key}")
    n_seeds = _whole(table.get("n_seeds", 1), "n_seeds", at_least=1)
    as_tuples = {key: tuple(v) if isinstance(v, list) else (v,) for key, v in values.items()}
    if empty := [key for key, value in as_tuples.items() if not value]:
        raise ValueError(f"{empty[0]} has no values")
    return Block(as_tuples, n_seeds)


def _whole(value: object, name: str, *, at_least: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < at_least:
        raise ValueError(f"{name} must be a whole number of at least {at_least}, got {value}")
    return value


def _values(cell: Cell) -> dict[str, Any]:
    return {entry.name: getattr(cell, entry.name) for entry in fields(cell)}
