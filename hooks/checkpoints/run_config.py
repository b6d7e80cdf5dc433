"""The config.yaml of a run: read, joined with what it inherits from, its sizes checked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from torch import Tensor
from yaml.error import YAMLError

from hooks.checkpoints.error import CheckpointError
from hooks.input_file import check_tree, read_text

SIZES = {
    "n_dims": "n_dims",
    "n_points": "n_positions",
    "n_layers": "n_layer",
    "n_heads": "n_head",
    "d_model": "n_embd",
}
"""Our names of the sizes, and the config's; its positions count pairs, as our points do."""
_DEEPEST = 10
"""Of files that inherit from one another."""


def read_config(file: Path) -> dict[str, Any]:
    """Reads a config.yaml, and the files it inherits from as quinine does.

    A run's own config is written when all has been joined, and often names files that are no longer
    beside it; those are passed over.

    Raises:
        CheckpointError: It is no YAML of moderate size, inherits from itself, or has no section
            `model`.
    """
    config = _read(file, ())
    if not isinstance(config.get("model"), dict):
        raise CheckpointError(f"{file}: has no section 'model' with the sizes of a model")
    return config


def _read(file: Path, heirs: tuple[Path, ...]) -> dict[str, Any]:
    if file in heirs or len(heirs) > _DEEPEST:
        raise CheckpointError(f"{file}: inherits from itself, or from more than {_DEEPEST} files")
    try:
        own = check_tree(yaml.safe_load(read_text(file)))
    except (YAMLError, ValueError, TypeError, LookupError, AttributeError, RecursionError,
            OSError) as error:  # fmt: skip  # whatever the parser comes to
        raise CheckpointError(f"{file}: not readable YAML ({error})") from None
    if not isinstance(own, dict):
        raise CheckpointError(f"{file}: has no section 'model' with the sizes of a model")
    inherited = own.get("inherit") or []
    config: dict[str, Any] = {}
    for name in inherited if isinstance(inherited, list) else [inherited]:
        parent = (file.parent / Path(str(name)).expanduser()).resolve()
        if parent.is_file():
            config = _joined(config, _read(parent, (*heirs, file.resolve())))
    return _joined(config, own)


def _joined(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    joined = dict(below)
    for key, value in above.items():
        old = joined.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        joined[key] = _joined(old, value) if both else value  # type: ignore[arg-type]
    return joined


def sizes_of(
    config: Mapping[str, Any], weights: Mapping[str, Tensor], file: Path
) -> dict[str, int]:
    """The sizes in a config under our names, bounded by the weights before anything is built.

    Raises:
        CheckpointError: One is missing, no whole number, or larger than the weights can be.
    """
    section = config["model"]
    if missing := sorted(set(SIZES.values()) - set(section)):
        parents = config.get("inherit")
        hint = f" (it inherits from {parents}, not found beside it)" if parents else ""
        raise CheckpointError(f"{file}: section 'model' lacks {', '.join(missing)}{hint}")
    total = sum(weight.numel() for weight in weights.values())
    most = dict.fromkeys(SIZES, total) | {"n_layers": len(weights), "d_model": int(total**0.5)}
    for ours, theirs in SIZES.items():
        value = section[theirs]
        if not isinstance(value, int) or isinstance(value, bool):
            raise CheckpointError(
                f"{file}: its sizes make no model: [model] {theirs} is {value!r}, expected a whole "
                "number"
            )
        if not 1 <= value <= most[ours]:
            raise CheckpointError(
                f"{file}: its sizes make no model: [model] {theirs} is {value}, the weights allow "
                f"1 to {most[ours]}"
            )
    return {ours: section[theirs] for ours, theirs in SIZES.items()}
