"""What attention heads look at, in chosen prompts and on average."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import xarray
from jaxtyping import Bool, Float
from torch import Tensor
from transformer_lens.hook_points import HookPoint

from hooks.architectures.constructed import ConstructedModel
from hooks.architectures.prefix_segments import prefix_segments
from hooks.finite import check_finite
from hooks.inference import inference, on_device_of
from hooks.model import SequenceModel
from interp.progress import Progress, shows_progress, silent
from interp.tasks import Task
from interp.tasks.compatibility import model_and_task

LOOKED_AT = ("itself", "x before", "y before")
"""Tokens that a query can attend to, by what they are."""
BATCH_SIZE = 64


@dataclass(frozen=True)
class PatternSettings:
    """Options of `attention_patterns`."""

    prompts: tuple[int, ...] = (0, 1)
    """Which of the prompts to keep whole, counted from 0."""
    n_prompts: int = 128
    """To average over."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.n_prompts < 1:
            raise ValueError(f"n_prompts must be at least 1, got {self.n_prompts}")
        if wrong := [index for index in self.prompts if not 0 <= index < self.n_prompts]:
            raise ValueError(f"prompts must be in 0..{self.n_prompts - 1}, got {wrong[0]}")


def lacks_patterns(model: SequenceModel) -> str | None:
    """Why a model has no attention patterns to show; None if it has."""
    if all(name in model.hook_dict for name in _hook_names(model)):
        return None
    return f"this {type(model).__name__} has no attention patterns (hook_pattern)"


def _hook_names(model: SequenceModel) -> list[str]:
    return [f"blocks.{layer}.attn.hook_pattern" for layer in range(model.n_layers)]


@shows_progress
def attention_patterns(
    model: SequenceModel,
    task: Task | None = None,
    settings: PatternSettings | None = None,
    *,
    device: str | None = None,
    progress: Progress = silent,
    **options: Any,
) -> xarray.Dataset:
    """How much each token attends to each other one, by layer and head.

    Args:
        model: A model with hooks `blocks.*.attn.hook_pattern`.
        task: Where prompts come from; by default what the model was trained on.
        settings: Options; further keyword arguments replace single ones of them.
        device: Where the model runs, as for `interp.match`.
        progress: Called after every batch.
        **options: Fields of `PatternSettings`.

    Returns:
        By `layer`, `head`, `query` and `key` (tokens, `label` says which): `pattern`, also by
        `prompt`, and `mean_pattern`; and `looked_at` by `layer`, `head` and `kind` of token
        (`LOOKED_AT`): what predicting tokens that have seen a pair attend to, averaged over points.
        NaN where a layer has fewer heads.

    Raises:
        ValueError: The model has no patterns, the task does not fit it, or an option is out of
            range.
        NonFiniteError: A pattern is NaN or infinite.
    """
    settings = replace(settings or PatternSettings(), **options)
    model, task = model_and_task(model, task, device=device)
    if reason := lacks_patterns(model):
        raise ValueError(reason)
    kept: dict[int, Tensor] = {}
    total = torch.zeros(())
    done = 0
    for xs, ys, _ in task.stream(settings.n_prompts, seed=settings.seed, batch_size=BATCH_SIZE):
        patterns = _patterns(model, xs, ys, done)
        total = total + patterns.sum(0)
        for index in set(settings.prompts) & set(range(done, done + len(xs))):
            kept[index] = patterns[index - done]
        done += len(xs)
        progress("looking at attention", done, settings.n_prompts)
    mean = total / done
    tokens = _Tokens.of(model, task.n_points, mean.shape[-1])
    data: dict[str, Any] = {
        "mean_pattern": (("layer", "head", "query", "key"), mean.float().numpy()),
        "looked_at": (("layer", "head", "kind"), tokens.looked_at(mean).numpy()),
        "query_label": (("query",), list(tokens.labels)),
        "key_label": (("key",), list(tokens.labels)),
    }
    if kept:
        whole = torch.stack([kept[index] for index in settings.prompts]).float()
        data["pattern"] = (("prompt", "layer", "head", "query", "key"), whole.numpy())
    return xarray.Dataset(
        data,
        {
            "layer": np.arange(1, model.n_layers + 1),
            "head": np.arange(mean.shape[1]),
            "kind": list(LOOKED_AT),
            "prompt": list(settings.prompts),
        },
        {"n_prompts": done, "seed": settings.seed},
    )


def _patterns(
    model: SequenceModel,
    xs: Float[Tensor, "prompt point dim"],
    ys: Float[Tensor, "prompt point"],
    n_before: int,
) -> Float[Tensor, "prompt layer head query key"]:
    """All patterns of a batch; NaN for heads that a layer does not have."""
    names = _hook_names(model)
    seen: dict[str, Tensor] = {}

    def read(activation: Tensor, *, hook: HookPoint) -> None:
        check_finite(activation, f"the attention pattern {hook.name}", n_before)
        seen[str(hook.name)] = activation.detach().cpu().double()

    with inference(model), model.hooks(fwd_hooks=[(name, read) for name in names]):
        model(on_device_of(model, xs), on_device_of(model, ys))
    n_heads = max(pattern.shape[1] for pattern in seen.values())
    first = seen[names[0]]
    shape = (len(first), len(names), n_heads, *first.shape[2:])
    patterns = torch.full(shape, torch.nan, dtype=torch.float64)
    for layer, name in enumerate(names):
        patterns[:, layer, : seen[name].shape[1]] = seen[name]
    return patterns


@dataclass(frozen=True)
class _Tokens:
    """What the tokens of a model stand for."""

    labels: tuple[str, ...]
    predicting: Sequence[int]
    """Positions at which points that have seen a pair are predicted."""
    kinds: Bool[Tensor, "kind query key"]
    """Which keys are what, seen from each query."""

    @classmethod
    def of(cls, model: SequenceModel, n_points: int, n_tokens: int) -> _Tokens:
        position = torch.arange(n_tokens)
        if isinstance(model, ConstructedModel):
            segments = prefix_segments(n_points)
            labels = tuple(
                f"{'x' if is_example else 'query x'}{point + 1}"
                for point, is_example in zip(
                    segments.points.tolist(), segments.is_example.tolist(), strict=True
                )
            )
            predicting, is_y = segments.query_tokens[1:].tolist(), torch.zeros(n_tokens) > 0
        else:
            tokens = model.prediction_tokens(n_points)
            predicting = position[tokens][1:n_points].tolist()
            is_interleaved = n_tokens == 2 * n_points
            is_y = (position % 2 == 1) & is_interleaved
            labels = tuple(
                f"{'xy'[p % 2]}{p // 2 + 1}" if is_interleaved else f"token {p + 1}"
                for p in range(n_tokens)
            )
        itself = torch.eye(n_tokens, dtype=torch.bool)
        kinds = torch.stack([itself, ~itself & ~is_y, ~itself & is_y])
        return cls(labels, predicting, kinds)

    def looked_at(
        self, pattern: Float[Tensor, "layer head query key"]
    ) -> Float[Tensor, "layer head kind"]:
        """Attention of predicting tokens, added up over keys of each kind."""
        shares = torch.stack([(pattern * mask).sum(-1) for mask in self.kinds], -1)
        return shares[:, :, list(self.predicting)].mean(2)
