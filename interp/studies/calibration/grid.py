"""The cells of a calibration, from a TOML file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from interp.config import build, combinations, read_toml
from interp.studies.calibration.cell import Cell

GRIDS = Path(__file__).parent / "grids"
SHIPPED_GRIDS = ("quick", "full")
MOST_SEEDS = 10_000
MIN_RUNS = 10
"""A condition that fewer runs were made of gets no large sample."""
PROTOCOL_CELLS = tuple(
    Cell(algorithm, rate, 512, question="protocols")
    for algorithm, rate in (("gd", 1), ("gd", 10), ("newton", 1), ("newton", 3))
)


def read_grid(path: str | Path) -> tuple[Cell, ...]:
    """The cells of a file, or of a shipped grid by its name: "quick" or "full".

    A file has one or more `[[block]]` tables. Each key is a field of `Cell` with a list of values
    (or one value), and `n_seeds` says how often each combination is run. Above them `first_seed`
    may say with which seed each combination starts (0).

    Returns:
        Every cell once, seed by seed, so that a part of them is a smaller calibration.

    Raises:
        ValueError: The file is missing, is not TOML, or holds something that no cell can be; the
            message names the file.
    """
    if str(path) in SHIPPED_GRIDS:
        path = GRIDS / f"{path}.toml"
    try:
        tables = build(_Tables, read_toml(path))
        return tuple(dict.fromkeys(_cells(tables)))
    except FileNotFoundError:
        known = ", ".join(SHIPPED_GRIDS)
        raise ValueError(
            f"{path}: no such file, and no grid of that name; shipped grids: {known}"
        ) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ValueError(f"{path}: {reason}") from None


def large_samples(cells: Sequence[Cell]) -> tuple[Cell, ...]:
    """Large samples of the noisy planted models that many runs were made of.

    The numbers of prompts are the fewest that a model was run with often.
    """
    counts = Counter(
        cell.condition
        for cell in cells
        if cell.control == "planted" and cell.noise and cell.has_steps
    )
    often = [cell for cell, count in counts.items() if count >= MIN_RUNS]
    fewest: dict[Cell, Cell] = {}
    for cell in sorted(often, key=lambda cell: cell.n_prompts):
        fewest.setdefault(replace(cell, n_prompts=128), cell)
    return tuple(replace(cell, question="large sample") for cell in fewest.values())


@dataclass(frozen=True)
class _Tables:
    """A grid as its TOML has it."""

    block: tuple[dict[str, Any], ...]
    first_seed: int = 0

    def __post_init__(self) -> None:
        if not self.block:
            raise ValueError("block must be one or more tables, written [[block]]")
        if self.first_seed < 0:
            raise ValueError(f"first_seed must be at least 0, got {self.first_seed}")


def _cells(tables: _Tables) -> Iterator[Cell]:
    blocks = [_block(table) for table in tables.block]
    for run in range(max(n_seeds for _, n_seeds in blocks)):
        for conditions, n_seeds in blocks:
            if run < n_seeds:
                for cell in conditions:
                    yield replace(cell, seed=tables.first_seed + run)


def _block(table: Mapping[str, Any]) -> tuple[list[Cell], int]:
    """The cells of all combinations of a block's values, and how often each is run."""
    values = {key: value if isinstance(value, list) else [value] for key, value in table.items()}
    n_seeds = table.get("n_seeds", 1)
    values.pop("n_seeds", None)
    if not isinstance(n_seeds, int) or isinstance(n_seeds, bool) or not 1 <= n_seeds <= MOST_SEEDS:
        raise ValueError(
            f"block.n_seeds must be a whole number in 1..{MOST_SEEDS:,}, got {n_seeds!r}"
        )
    for key in values:
        if key in ("seed", "question"):
            raise ValueError(f"block.{key} is unknown; n_seeds says how often cells are run")
        if not values[key]:
            raise ValueError(f"block.{key} has no values")
    return [build(Cell, conditions, "block") for conditions in combinations(values)], n_seeds
