"""Streaming captured activations into a file."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from hooks.activation_files.array_spec import ArraySpec
from hooks.activation_files.npz_file import create_npz
from hooks.activation_files.safetensors_file import create_safetensors
from hooks.activation_files.tensors import as_floats
from hooks.activation_files.zarr_folder import create_zarr
from hooks.atomic import atomic_write, temporary_folder
from hooks.captured import Captured
from hooks.sites import Site

_CREATE: dict[str, Callable[..., AbstractContextManager[Mapping[str, Any]]]] = {
    ".npz": create_npz,
    ".safetensors": create_safetensors,
    ".zarr": create_zarr,
}


def write_activations(
    path: str | Path,
    batches: Iterable[Captured],
    n_prompts: int,
    *,
    metadata: Mapping[str, Any] | None = None,
    parents: bool = False,
) -> None:
    """Writes what `capture` yields, batch by batch; only one batch is ever held.

    Arrays are as the package says; bfloat16 becomes float32 and whole numbers float64. Captured at
    all tokens, their third axis is the token. The file appears when it is complete, or not at all.

    Args:
        path: Ends in `.npz`, `.safetensors` or `.zarr` (a folder, which must not exist yet).
        batches: From `capture`, at least one.
        n_prompts: How many prompts they have in all.
        metadata: JSON-compatible values to keep with them, such as the model's provenance;
            `points_from` is the first point that can be read.
        parents: Whether to make the folders above the file where they are missing.

    Raises:
        ValueError: Another ending, or another number of prompts.
        FileExistsError: A Zarr folder that exists.
        FileNotFoundError: The folder is not there, and `parents` is false.
        OSError: The file cannot be written.
    """
    path = Path(path).expanduser()
    if path.suffix not in _CREATE:
        raise ValueError(f"{path}: must end in {', '.join(_CREATE)}, to say which format to write")
    if parents:
        path.parent.mkdir(parents=True, exist_ok=True)
    elif not path.parent.is_dir():
        raise FileNotFoundError(f"{path}: there is no folder {path.parent}; parents=True makes it")
    stream = iter(batches)
    first = next(stream, None)
    if first is None:
        raise ValueError("batches is empty; at least one batch of prompts is needed")
    specs = _specs(first, n_prompts)
    kept = {"axes": {name: list(spec.axes) for name, spec in specs.items()}, **(metadata or {})}
    written = 0
    with (
        _whole_or_absent(path) as temporary,
        _CREATE[path.suffix](temporary, specs, kept) as arrays,
    ):
        for kind, layers in _layers(first.sites).items():
            arrays[f"{kind}_layers"].write(0, np.array(layers))
        for batch in chain([first], stream):
            if written + len(batch.xs) > n_prompts:
                raise ValueError(f"batches hold more than the n_prompts={n_prompts} announced")
            for name, values in _parts(batch).items():
                arrays[name].write(written, _array(values))
            written += len(batch.xs)
        if written != n_prompts:
            raise ValueError(f"batches hold {written} prompts, n_prompts={n_prompts} announced")


@contextmanager
def _whole_or_absent(path: Path) -> Iterator[Path]:
    if path.suffix != ".zarr":
        with atomic_write(path) as temporary:
            yield temporary
        return
    taken = FileExistsError(f"{path}: exists already; remove it or choose another name")
    if path.exists():
        raise taken
    with temporary_folder(path) as folder:
        yield folder / "content"
        try:
            (folder / "content").rename(path)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise taken from None  # another capture was quicker
            raise


def _layers(sites: tuple[Site, ...]) -> dict[str, list[int]]:
    layers: dict[str, list[int]] = {}
    for site in sites:
        layers.setdefault(site.kind, []).append(site.layer)
    return layers


def _parts(batch: Captured) -> dict[str, Tensor]:
    indices: dict[str, list[int]] = {}
    for index, site in enumerate(batch.sites):
        indices.setdefault(site.kind, []).append(index)
    named = {"xs": batch.xs, "ys": batch.ys, "predictions": batch.predictions}
    return named | {kind: batch.activations[chosen] for kind, chosen in indices.items()}


def _specs(first: Captured, n_prompts: int) -> dict[str, ArraySpec]:
    position = "point" if first.activations.shape[2] == first.xs.shape[1] else "token"
    axes = {"xs": ("prompt", "point", "dim"), "ys": ("prompt", "point")}
    axes["predictions"] = ("prompt", "point")
    specs = {}
    for name, values in _parts(first).items():
        names = axes.get(name, ("layer", "prompt", position, "d_model"))
        shape = list(values.shape)
        shape[names.index("prompt")] = n_prompts
        specs[name] = ArraySpec(tuple(shape), _array(values[:0]).dtype, names)
    for kind, layers in _layers(first.sites).items():
        specs[f"{kind}_layers"] = ArraySpec((len(layers),), np.dtype(np.int64), ("layer",))
    return specs


def _array(values: Tensor) -> np.ndarray:
    return as_floats(values).cpu().numpy()
