"""Activations of a model at its prediction positions, streamed batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor
from transformer_lens.hook_points import HookPoint

from hooks.captured import Captured
from hooks.finite import check_finite
from hooks.foreign import own_model
from hooks.inference import inference, on_device_of
from hooks.model import SequenceModel
from hooks.sites import Site

FinalNorm = Literal["official", "all", "none"]
Positions = Literal["predictions", "tokens"]


def capture(
    model: SequenceModel,
    prompts: Iterable[Any],
    sites: Sequence[Site] | str,
    *,
    final_norm: FinalNorm = "official",
    positions: Positions = "predictions",
    batch_size: int | None = None,
    points: Sequence[int] | None = None,
) -> Iterator[Captured]:
    """Streams a model's predictions and its activations at some sites.

    Only one batch is held. The model runs in evaluation and inference mode with one hook a site,
    all of it undone before the batch is handed over, also after an exception. What it reads is
    what the model runs on: hooks that are there already (interventions) come first.

    Args:
        model: One of our models or an attached one.
        prompts: Batches that start with xs [prompt, point, dim] and ys [prompt, point], such as
            those of a task's `stream`; or one such batch.
        sites: Where to read, or the name of a kind, for every layer that has it. All must have
            one width, since they share an array; kind `z` is read with its heads merged,
            [head · d_head], and has as a rule the width d_model.
        final_norm: Whether the model's last LayerNorm is applied to what is read. "official": to
            `resid_post` of the last layer only, as Hugging Face's hidden states have it and so the
            paper's code; "all": to every site of the residual stream; "none": to none.
        positions: "predictions" reads where the points are predicted, "tokens" everywhere.
        batch_size: Most prompts to run at a time; larger batches are cut. None runs them as given.
        points: Those that are checked to be finite, where predictions are read; by default all from
            `model.first_point` on.

    Returns:
        An iterator of one `Captured` for every batch that is run. Predictions and activations are
        on the model's device; before `model.first_point` they are NaN.

    Raises:
        ValueError: Unknown option, no sites, a site twice, a site that the model does not have,
            sites of different widths, or prompts that do not fit the model.
        NonFiniteError: xs, ys, a prediction or an activation is NaN or infinite; the message
            names the site, the point, and the prompt by its index over all batches.
    """
    model = own_model(model)
    for name, value, known in (
        ("final_norm", final_norm, get_args(FinalNorm)),
        ("positions", positions, get_args(Positions)),
    ):
        if value not in known:
            raise ValueError(f"{name} must be one of {', '.join(known)}, got {value!r}")
    sites = model.sites(sites) if isinstance(sites, str) else tuple(sites)
    if not sites:
        raise ValueError("sites is empty; model.sites() lists those of the residual stream")
    if repeated := {site for site in sites if sites.count(site) > 1}:
        raise ValueError(f"sites holds {', '.join(map(str, sorted(repeated)))} more than once")
    for site in sites:
        model.hook_name(site)
    if batch_size is not None and batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    if isinstance(prompts, tuple) and isinstance(prompts[0], Tensor):
        prompts = [prompts]
    normed = {site for site in sites if _is_normed(site, model.n_layers, final_norm)}
    return _stream(model, _pieces(prompts, batch_size), sites, normed, positions, points)


def _is_normed(site: Site, n_layers: int, final_norm: FinalNorm) -> bool:
    if final_norm == "official":
        return site == Site(n_layers, "resid_post")
    return final_norm == "all" and site.kind.startswith("resid")


def _pieces(
    prompts: Iterable[Any], batch_size: int | None
) -> Iterator[tuple[Float[Tensor, "prompt point dim"], Float[Tensor, "prompt point"]]]:
    for batch in prompts:
        xs, ys = batch[0], batch[1]
        if not (isinstance(xs, Tensor) and isinstance(ys, Tensor) and xs.ndim > 2):
            raise ValueError(
                "prompts must be batches of tensors (xs, ys), or one such batch as a tuple; got a "
                f"{type(prompts).__name__} of {type(batch).__name__}"
            )
        if batch_size is None:
            yield xs, ys
        else:
            yield from zip(xs.split(batch_size), ys.split(batch_size), strict=True)


def _stream(
    model: SequenceModel,
    prompts: Iterable[tuple[Tensor, Tensor]],
    sites: tuple[Site, ...],
    normed: set[Site],
    positions: Positions,
    points: Sequence[int] | None,
) -> Iterator[Captured]:
    n_seen = 0
    of_points = positions == "predictions"
    for xs, ys in prompts:
        model.check_prompts(xs, ys)
        for name, values in (("xs", xs), ("ys", ys)):
            check_finite(values, name, n_seen)
        with ExitStack() as stack:
            reader = _Rows(model, sites, ys.shape[0], ys.shape[1], normed, positions)
            stack.enter_context(inference(model))
            stack.enter_context(model.hooks(fwd_hooks=reader.hooks()))
            predictions = model(on_device_of(model, xs), on_device_of(model, ys))
        # Neither is an inference tensor, so read-outs can be trained on them with autograd.
        captured = Captured(xs, ys, predictions.clone(), reader.finished(), sites)
        if model.first_point:
            captured.predictions[:, : model.first_point] = torch.nan
            if of_points:
                captured.activations[:, :, : model.first_point] = torch.nan
        read = points or model.readable_points(ys.shape[1])
        for site, values in zip(sites, captured.activations, strict=True):
            if of_points:
                check_finite(values, f"site {site}", n_seen, points=read, opener="attach")
            else:
                check_finite(values, f"site {site}", n_seen, axis="token")
        check_finite(captured.predictions, "predictions", n_seen, points=read, opener="attach")
        yield captured
        n_seen += xs.shape[0]


class _Rows:
    """Collects what the hooks of one batch see straight into the array that is handed over."""

    def __init__(
        self,
        model: SequenceModel,
        sites: tuple[Site, ...],
        n_prompts: int,
        n_points: int,
        normed: set[Site],
        positions: Positions,
    ) -> None:
        self.model, self.sites, self.normed, self.positions = model, sites, normed, positions
        self.n_prompts, self.n_points = n_prompts, n_points
        self.array: Tensor | None = None
        self.n_filled = [0] * len(sites)

    def hooks(self) -> list[tuple[str | Callable[..., Any], Callable[..., Any]]]:
        return [
            (self.model.hook_name(site), self._reader(index))
            for index, site in enumerate(self.sites)
        ]

    def _reader(self, index: int) -> Callable[..., None]:
        def read(activation: Tensor, *, hook: HookPoint) -> None:  # noqa: ARG001
            if self.positions == "tokens":
                rows = activation.flatten(2)
            else:
                rows = self.model.read_site(activation, self.n_prompts, self.n_points).flatten(2)
            if self.sites[index] in self.normed:
                rows = self.model.final_norm(rows)
            self._write(index, rows)

        return read

    def _write(self, index: int, rows: Float[Tensor, "prompt position d_model"]) -> None:
        """Appends positions to those that a site has; a model run prefix by prefix has many."""
        n_prompts, n_positions, width = rows.shape
        if self.array is None:
            total = n_positions if self.positions == "tokens" else self.n_points
            with torch.inference_mode(False):
                self.array = rows.new_empty(len(self.sites), n_prompts, total, width)
        if width != self.array.shape[-1]:
            raise ValueError(
                f"site {self.sites[index]} is {width} wide, others of this call "
                f"{self.array.shape[-1]}; capture sites of different widths in separate calls"
            )
        start = self.n_filled[index]
        self.array[index, :, start : start + n_positions] = rows
        self.n_filled[index] += n_positions

    def finished(self) -> Float[Tensor, "site prompt position d_model"]:
        n_positions = 0 if self.array is None else self.array.shape[2]
        for site, n_filled in zip(self.sites, self.n_filled, strict=True):
            if self.array is None or n_filled != n_positions:
                raise ValueError(
                    f"site {site} was seen at {n_filled} positions of {n_positions}; "
                    "does the model's forward pass reach it?"
                )
        assert self.array is not None
        return self.array
