"""The smallest training that does everything a large one does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

TINY: dict[str, Any] = {
    "name": "tiny",
    "description": "A tiny GPT-2",
    "model": {
        "architecture": "gpt2",
        "n_dims": 2,
        "n_points": 4,
        "n_layers": 1,
        "n_heads": 1,
        "d_model": 8,
    },
    "task": {"name": "linear_regression", "n_dims": 2, "n_points": 4},
    "training": {
        "n_steps": 12,
        "batch_size": 8,
        "checkpoint_every": 6,
        "n_validation_prompts": 64,
    },
    "schedule": {"warmup_steps": 3},
    "curriculum": {
        "dims": {"start": 1, "end": 2, "increment": 1, "interval": 5},
        "points": {"start": 2, "end": 4, "increment": 1, "interval": 3},
    },
}


def tiny(name: str = "tiny", **training: Any) -> dict[str, Any]:
    """The tiny recipe under another name, with other entries of its training table."""
    return {**TINY, "name": name, "training": {**TINY["training"], **training}}


def write_recipe(folder: Path, recipe: dict[str, Any]) -> Path:
    """Writes a recipe as TOML."""

    def lines(table: dict[str, Any], prefix: str = "") -> list[str]:
        plain = [
            f"{key} = {value!r}" for key, value in table.items() if not isinstance(value, dict)
        ]
        for key, value in table.items():
            if isinstance(value, dict):
                plain += [f"[{prefix}{key}]", *lines(value, f"{prefix}{key}.")]
        return plain

    file = folder / f"{recipe['name']}.toml"
    file.write_text("\n".join(lines(recipe)) + "\n")
    return file
