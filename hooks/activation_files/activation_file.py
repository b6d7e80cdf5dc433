"""Activations that this or any other tool has saved."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from hooks.activation_files.reader import DAMAGE, READERS, ActivationFileError, Reader, reason
from hooks.captured import Captured
from hooks.finite import check_finite
from hooks.sites import Site

_PROMPT_ARRAYS = ("xs", "ys", "predictions")


@dataclass(frozen=True)
class ActivationFile:
    """Activations on disk; `stream` reads them as `capture` would have given them."""

    path: Path
    n_prompts: int
    n_points: int
    n_dims: int
    sites: tuple[Site, ...]
    has_predictions: bool
    first_point: int
    """First point that can be read; earlier values may be NaN."""
    metadata: dict[str, Any]
    _reader: Reader
    _rows: dict[Site, int]
    """Where each site's layer is on the first axis of its array."""

    def stream(
        self,
        sites: Sequence[Site] | None = None,
        *,
        batch_size: int = 512,
        start: int = 0,
        stop: int | None = None,
        points: Sequence[int] | None = None,
    ) -> Iterator[Captured]:
        """Yields prompts `start` to `stop` (None: all) in batches, with their activations.

        Where the file has no predictions they are NaN. Without `sites` all are read. Values are
        checked to be finite at `points`, by default all from `first_point` on.

        Raises:
            ValueError: A site that the file does not have, sites of different widths, a batch
                size below 1 or a `start` below 0.
            NonFiniteError: Values are NaN or infinite; the message names site, prompt and point.
            ActivationFileError: A part of the file is damaged or missing.
        """
        chosen = self.sites if sites is None else tuple(sites)
        if missing := [site for site in chosen if site not in self._rows]:
            raise ValueError(f"{self.path}: has no {missing[0]}; its sites are {self._listed()}")
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        if start < 0:
            raise ValueError(f"start must be at least 0, got {start}")
        widths = {self.width(site.kind) for site in chosen}
        if len(widths) > 1:
            raise ValueError(
                f"{self.path}: the sites are {', '.join(map(str, sorted(widths)))} wide; stream "
                "sites of different widths in separate calls"
            )
        last = self.n_prompts if stop is None else min(stop, self.n_prompts)
        return self._batches(chosen, range(start, last, batch_size), points)

    def _batches(
        self, sites: tuple[Site, ...], starts: range, points: Sequence[int] | None
    ) -> Iterator[Captured]:
        read = points or range(self.first_point, self.n_points)
        for start in starts:
            prompts = slice(start, min(start + starts.step, starts.stop))
            xs, ys = self.prompts(prompts.start, prompts.stop)
            named = []
            predictions = torch.full_like(ys, torch.nan)
            if self.has_predictions:
                predictions = self._tensor("predictions", prompts)
                named.append(("predictions", predictions))
            activations = [self._tensor(site.kind, prompts, self._rows[site]) for site in sites]
            named += [(f"site {site}", part) for site, part in zip(sites, activations, strict=True)]
            for name, values in named:
                where = f"{self.path}: {name}"
                check_finite(values, where, start, points=read, opener="open_activations")
            yield Captured(xs, ys, predictions, torch.stack(activations), sites)

    def prompts(
        self, start: int, stop: int
    ) -> tuple[Float[Tensor, "prompt point dim"], Float[Tensor, "prompt point"]]:
        """The xs and ys of some prompts.

        Raises:
            NonFiniteError: Values are NaN or infinite; the message names prompt and point.
            ActivationFileError: A part of the file is damaged or missing.
        """
        xs, ys = (self._tensor(name, slice(start, stop)) for name in ("xs", "ys"))
        for name, values in (("xs", xs), ("ys", ys)):
            check_finite(values, f"{self.path}: {name}", start)
        return xs, ys

    def width(self, kind: str) -> int:
        """Width of the activations of one kind of site."""
        return self._reader.shapes()[kind][3]

    def check_arrays(self) -> None:
        """Raises an `ActivationFileError` if an array holds no numbers, or not all of its parts."""
        for name in _PROMPT_ARRAYS[: 3 if self.has_predictions else 2]:
            self._tensor(name, slice(0, 0))
        for kind in dict.fromkeys(site.kind for site in self.sites):
            self._tensor(kind, slice(0, 0), 0)

    def _tensor(self, name: str, prompts: slice, layer: int | None = None) -> Tensor:
        try:
            return self._reader.read(name, prompts, layer)
        except DAMAGE as error:
            raise ActivationFileError(
                f"{self.path}: {name} cannot be read ({reason(error)})"
            ) from None

    def _listed(self) -> str:
        return ", ".join(map(str, self.sites))


def open_activations(path: str | Path, *, points_from: int | None = None) -> ActivationFile:
    """Opens activations saved in `.npz`, `.safetensors`, `.zarr` or `.pt` by this or any tool.

    Needed are `xs` [prompt, point, dim], `ys` [prompt, point] and, for every kind of site, an
    array [layer, prompt, point, d_model] named after it (`resid_post`, `attn_out`, …). Without
    `<kind>_layers` the layers count from 0 for `resid_post` and from 1 for other kinds.
    `predictions` [prompt, point] may be missing. Arrays of other names and axes are ignored.
    bfloat16, whole and big-endian numbers become floating-point ones of this machine; a `.pt` file
    is a dictionary of tensors.

    Args:
        path: The file, or the folder of a Zarr group.
        points_from: First point that can be read, whatever is at earlier ones; None for what the
            file's metadata say, or else all.

    Raises:
        ActivationFileError: The file is missing, damaged or in another format; an array is
            missing or does not fit the prompts.
    """
    path = Path(path).expanduser()
    if path.suffix not in READERS:
        raise ActivationFileError(f"{path}: must end in {', '.join(READERS)}")
    if not path.exists():
        raise ActivationFileError(f"{path}: no such file or folder")
    try:
        reader = READERS[path.suffix](path)
        shapes = reader.shapes()
    except DAMAGE as error:
        raise ActivationFileError(
            f"{path}: cannot be read as {path.suffix} ({reason(error)})"
        ) from None
    for name, axes in (("xs", "[prompt, point, dim]"), ("ys", "[prompt, point]")):
        if len(shapes.get(name, ())) != axes.count(",") + 1:
            found = f"is {list(shapes[name])}" if name in shapes else "is missing"
            raise ActivationFileError(f"{path}: {name} {found}, expected {axes}")
    n_prompts, n_points, n_dims = shapes["xs"]
    for name in ("ys", "predictions"):
        if name in shapes and shapes[name] != (n_prompts, n_points):
            raise ActivationFileError(
                f"{path}: {name} is {list(shapes[name])}, xs has {n_prompts} prompts of "
                f"{n_points} points"
            )
    rows = _site_rows(path, reader, shapes)
    metadata = reader.metadata if isinstance(reader.metadata, dict) else {}
    first_point = metadata.get("points_from", 0) if points_from is None else points_from
    if not isinstance(first_point, int) or not 0 <= first_point < n_points:
        raise ActivationFileError(
            f"{path}: points_from must be in 0..{n_points - 1}, got {first_point!r}"
        )
    file = ActivationFile(
        path,
        n_prompts,
        n_points,
        n_dims,
        tuple(rows),
        "predictions" in shapes,
        first_point,
        metadata,
        reader,
        rows,
    )
    file.check_arrays()
    return file


def _site_rows(path: Path, reader: Reader, shapes: dict[str, tuple[int, ...]]) -> dict[Site, int]:
    rows: dict[Site, int] = {}
    n_prompts, n_points, _ = shapes["xs"]
    for kind, shape in shapes.items():
        if kind in _PROMPT_ARRAYS or len(shape) != 4:
            continue
        if shape[1:3] != (n_prompts, n_points):
            raise ActivationFileError(
                f"{path}: {kind} is {list(shape)}, expected [layer, {n_prompts}, {n_points}, "
                "d_model], the activations at the prediction positions only"
            )
        first = 0 if kind == "resid_post" else 1
        layers = list(range(first, first + shape[0]))
        if f"{kind}_layers" in shapes:
            try:
                layers = [int(layer) for layer in reader.read(f"{kind}_layers", slice(None))]
            except DAMAGE as error:
                raise ActivationFileError(
                    f"{path}: {kind}_layers cannot be read ({reason(error)})"
                ) from None
        if len(layers) != shape[0] or len(set(layers)) != len(layers):
            raise ActivationFileError(
                f"{path}: {kind}_layers does not number {kind}'s {shape[0]} layers"
            )
        rows |= {Site(layer, kind): row for row, layer in enumerate(layers)}
    if not rows:
        listed = ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items())
        raise ActivationFileError(
            f"{path}: holds no activations [layer, prompt, point, d_model]; it has {listed}"
        )
    return rows
