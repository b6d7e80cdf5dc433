"""A checksum of everything in a safetensors file, which the format itself does not have."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from hooks.checkpoints.error import CheckpointError

CHECKSUM = "sha256"
"""The field of the metadata that holds it; files of earlier versions have none."""


def checksum(
    weights: Mapping[str, Tensor], metadata: Mapping[str, str], fields: Sequence[str]
) -> str:
    """The SHA-256 of weights, their names, shapes and types, and of fields of the metadata."""
    whole = hashlib.sha256()
    for key in fields:
        whole.update(f"{key}\0{metadata.get(key)}\0".encode())
    for name, weight in sorted(weights.items()):
        whole.update(f"{name}\0{weight.dtype}\0{tuple(weight.shape)}\0".encode())
        whole.update(weight.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return whole.hexdigest()


def check_checksum(
    file: Path, weights: Mapping[str, Tensor], metadata: Mapping[str, str], fields: Sequence[str]
) -> None:
    """Passes a file without a checksum, or with the right one.

    Raises:
        CheckpointError: A bit of it was flipped since it was written.
    """
    if CHECKSUM in metadata and metadata[CHECKSUM] != checksum(weights, metadata, fields):
        raise CheckpointError(f"{file}: damaged, its content is not what its checksum says")
