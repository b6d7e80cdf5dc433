"""A check that a model's predictions and activations depend on earlier points only."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from hooks.capture import capture
from hooks.captured import Captured
from hooks.finite import index_of
from hooks.foreign import own_model
from hooks.model import SequenceModel
from hooks.wiring_error import WiringError

N_PROMPTS = 4
_TOLERANCE = {torch.float64: 1e-4, torch.float32: 1e-3}
_LOW_PRECISION_TOLERANCE = 0.05


@dataclass(frozen=True)
class Wiring:
    """What a check of a model's wiring found; a leak raises instead."""

    points: tuple[int, ...]
    """Points that were checked."""
    reads_examples: bool
    """Whether the last prediction changes with the answers before it."""


def check_wiring(
    model: SequenceModel,
    prompts: tuple[Float[Tensor, "prompt point dim"], Float[Tensor, "prompt point"]] | None = None,
    points: Sequence[int] | None = None,
) -> Wiring:
    """Returns how a model's predictions depend on answers, if they depend on earlier ones only.

    The y of a point, and the pairs after it, are exchanged for those of another prompt: nothing at
    that point may change. The answers before the last point are exchanged: something there should
    change. The first, middle and last of the points are checked, at all sites of one kind.

    Args:
        model: Any model that can be run.
        prompts: A few prompts as it takes them, at least two; None for made-up ones.
        points: Those that are to be read, in ascending order; by default all that can be.

    Raises:
        WiringError: A prediction or an activation changes with its own answer or with later pairs,
            or the predictions depend on examples and the last layer's activations do not.
    """
    model = own_model(model)
    xs, ys = _made_up(model) if prompts is None else (prompts[0], prompts[1])
    read = points or model.readable_points(xs.shape[1])
    last = read[-1]
    checked = tuple(sorted({read[0], read[(len(read) - 1) // 2], last}))
    run = partial(_run, model, points=read)
    before = run(xs, ys)
    for point in checked:
        own = run(xs, _exchanged(ys, point, point + 1))
        later = (_exchanged(values, point + 1, xs.shape[1]) for values in (xs, ys))
        _refuse_leaks(model, before, own, run(*later), read[: read.index(point) + 1])
    reads_examples, moves_layers = True, True
    if last > read[0]:
        moved = run(xs, _exchanged(ys, 0, last))
        at = [last]
        reads_examples = _change(before.predictions, moved.predictions, at)
        moves_layers = _change(before.activations[-1], moved.activations[-1], at)
    if not reads_examples:
        warnings.warn(
            f"the predictions of {model.name} do not change with the answers before them: it is "
            "untrained, or its ys do not reach it",
            stacklevel=2,
        )
    elif not moves_layers:
        raise WiringError(
            f"the predictions of {model.name} change with earlier answers, but what is read of its "
            "last layer does not; pass the `points` and `layers` that predictions are made from"
        )
    return Wiring(checked, reads_examples)


def _refuse_leaks(
    model: SequenceModel, before: Captured, own: Captured, later: Captured, seen: Sequence[int]
) -> None:
    """Raises if anything at the points up to the last of `seen` has changed."""
    point = seen[-1]
    here = [point]
    sees_later = _change(before.predictions, later.predictions, seen)
    sees_own = _change(before.predictions, own.predictions, seen)
    layers = range(len(before.sites))
    holds_later = [_change(before.activations[i], later.activations[i], seen) for i in layers]
    holds_own = [_change(before.activations[i], own.activations[i], here) for i in layers]
    leaking = [site for i, site in enumerate(before.sites) if holds_own[i] or holds_later[i]]
    if not leaking and not sees_own and not sees_later:
        return
    what = "the predictions" if sees_own or sees_later else f"the activations {leaking[0]}"
    if holds_own[0] and not holds_later[0]:
        raise WiringError(
            f"{model.name}: the activations {leaking[0]} at point {point} change with that "
            "point's own y, so `points` names tokens that hold the answer; pass those of the x "
            "tokens, such as points=slice(0, None, 2)"
        )
    if sees_later or any(holds_later):
        raise WiringError(
            f"{model.name}: {what} at point {point} change with pairs that come after it, so the "
            "model sees its own answers; restore its causal mask (some are dropped in eval mode), "
            "or attach it with causal=False, which runs it once for every prefix"
        )
    raise WiringError(
        f"{model.name}: {what} at point {point} change with that point's own y; return from "
        "`predict`, and read at `points`, what is computed before the answer is given"
    )


def _made_up(model: SequenceModel) -> tuple[Tensor, Tensor]:
    """Noiseless linear regression, as most models here are trained on."""
    generator = torch.Generator().manual_seed(0)
    shape = (N_PROMPTS, model.config.n_points, model.config.n_dims)
    xs = torch.randn(shape, generator=generator)
    weights = torch.randn(N_PROMPTS, 1, model.config.n_dims, generator=generator)
    return xs, (xs * weights).sum(2)


def _run(model: SequenceModel, xs: Tensor, ys: Tensor, points: Sequence[int]) -> Captured:
    """Runs a model with the same random numbers each time, should it draw any."""
    cuda = [model.device] if model.device.type == "cuda" else []
    with torch.random.fork_rng(cuda):
        torch.manual_seed(0)
        kind = model.site_kinds[0]
        [captured] = capture(model, (xs, ys), kind, final_norm="none", points=points)
    return captured


def _exchanged(values: Tensor, start: int, stop: int) -> Tensor:
    changed = values.clone()
    changed[:, start:stop] = values.roll(1, 0)[:, start:stop]
    return changed


def _change(before: Tensor, after: Tensor, points: Sequence[int]) -> bool:
    """Whether values [prompt, point, …] change by more than rounding does."""
    tolerance = _TOLERANCE.get(before.dtype, _LOW_PRECISION_TOLERANCE)
    at = index_of(points)
    rounding = 100 * torch.finfo(before.dtype).eps * before[:, at].abs().max().item()
    before, after = (values[:, at].cpu().double() for values in (before, after))
    spread = (before - before.mean(0)).square().mean().sqrt()
    return bool((after - before).abs().max() > tolerance * spread + rounding)
