"""The project's own checkpoints: safetensors whose metadata holds all that is needed to rebuild."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from hooks.architectures import architecture_of, build_model
from hooks.atomic import atomic_write
from hooks.checkpoints.checksum import CHECKSUM, check_checksum, checksum
from hooks.checkpoints.error import CheckpointError
from hooks.foreign import attach_lines, describe_weights, own_model
from hooks.input_file import check_file, parse_json
from hooks.model import SequenceModel

FORMAT = "icl-interp/1"
_FIELDS = ("format", "architecture", "config", "provenance")


def save_checkpoint(
    model: SequenceModel, path: str | Path, provenance: Mapping[str, Any] | None = None
) -> None:
    """Writes a model's weights, architecture, configuration and provenance to one file, atomically.

    Args:
        model: A model of a registered architecture.
        path: File to write, by custom `*.safetensors`.
        provenance: JSON-compatible values to keep with it: recipe, step, metrics, versions.

    Raises:
        ValueError: The model is of no registered architecture, such as an attached one.
        OSError: The file cannot be written; an existing one is left as it was.
    """
    model = own_model(model)
    try:
        architecture = architecture_of(model)
    except ValueError:
        raise ValueError(
            f"model is a {type(model).__name__}, and only architectures of this toolkit can be "
            "rebuilt from a file; keep its module's weights with torch.save(module.state_dict(), "
            "…), and name a function that attaches to it as my_model.py:build to interp"
        ) from None
    metadata = {
        "format": FORMAT,
        "architecture": architecture,
        "config": json.dumps(model.describe()),
        "provenance": json.dumps(dict(provenance or {})),
    }
    tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    metadata[CHECKSUM] = checksum(tensors, metadata, _FIELDS)
    with atomic_write(path) as temporary:
        temporary.write_bytes(save(tensors, metadata))


def is_native(path: Path) -> bool:
    """Whether a path is a safetensors file, which is taken for one of ours until it is read."""
    return path.is_file() and path.suffix == ".safetensors"


def load_native(path: str | Path) -> SequenceModel:
    """Reads a file that `save_checkpoint` wrote.

    Returns:
        The model in evaluation mode; its `provenance` is what was saved, and the `path`.

    Raises:
        CheckpointError: The file is missing, truncated, of another format, or its weights do not
            fit its configuration or are not finite.
    """
    path = Path(path).expanduser()
    try:
        with safe_open(check_file(path), framework="pt") as file:
            metadata = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file") from None
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: not a readable safetensors file ({error})") from None
    if metadata.get("format") != FORMAT:
        raise CheckpointError(
            f"{path}: its metadata names format {metadata.get('format')!r}, expected {FORMAT!r}; "
            f"it has {describe_weights(weights)}; {attach_lines(weights)}"
        )
    check_checksum(path, weights, metadata, _FIELDS)
    try:
        config = parse_json(metadata["config"])
        _check_sizes(config, weights)
        model = build_model(metadata["architecture"], config)
        provenance = parse_json(metadata["provenance"])
        if not isinstance(provenance, dict):
            raise ValueError(f"provenance is a {type(provenance).__name__}, expected an object")
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: its metadata does not describe a model ({error})") from None
    load_weights(model, weights, path)
    model.provenance = {**provenance, "path": str(path)}
    return model.eval()


def _check_sizes(config: Any, weights: Mapping[str, torch.Tensor]) -> None:
    """Bounds what is built by the weights that are there, before it is built."""
    if not isinstance(config, dict):
        raise ValueError(f"config is a {type(config).__name__}, expected an object")
    total = sum(weight.numel() for weight in weights.values())
    for name, value in config.items():
        most = {"n_layers": 10_000, "d_model": 1_000 + total}.get(name, 10**6)
        if isinstance(value, int | float) and not abs(value) <= most:
            raise ValueError(f"config.{name} is {value}, expected at most {most}")


def load_weights(
    model: SequenceModel, weights: Mapping[str, torch.Tensor], path: str | Path
) -> None:
    """Copies weights into a model, naming in the error whatever does not fit.

    Raises:
        CheckpointError: Names missing or too many, shapes that differ, values not finite.
    """
    expected = model.state_dict()
    missing = sorted(set(expected) - set(weights))
    unknown = sorted(set(weights) - set(expected))
    if missing or unknown:
        parts = [
            f"{what} {', '.join(names[:4])}{' …' if len(names) > 4 else ''}"
            for what, names in (("lacks", missing), ("has unknown", unknown))
            if names
        ]
        raise CheckpointError(f"{path}: {' and '.join(parts)}")
    for name, weight in weights.items():
        if weight.shape != expected[name].shape:
            raise CheckpointError(
                f"{path}: {name} is {tuple(weight.shape)}, its configuration needs "
                f"{tuple(expected[name].shape)}"
            )
        if weight.is_floating_point() != expected[name].is_floating_point() or weight.is_sparse:
            raise CheckpointError(
                f"{path}: {name} is {weight.dtype}, {weight.layout}; expected "
                f"{expected[name].dtype}"
            )
        if weight.is_floating_point() and not weight.isfinite().all():
            raise CheckpointError(f"{path}: {name} holds NaN or infinite values")
    model.load_state_dict(dict(weights))
