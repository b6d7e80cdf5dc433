"""Whether an attached module's last layer is read where its predictions are made."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
from torch import Tensor

from hooks.attached_model import AttachedModel
from hooks.inference import inference, on_device_of
from hooks.sites import Site

_LEAST_CHANGE = 1e-4
"""Of the last prediction, in the size of predictions, when noise is put into its position."""


def check_read_positions(model: AttachedModel) -> None:
    """Puts noise where the last layer is read for the last point, to see its prediction change.

    Raises:
        ValueError: It does not, and other positions change it; the message says which, and the
            `points` that name them.
    """
    n_points = model.config.n_points
    position, n_tokens, is_changed = _disturb(model, [None])
    if is_changed[0]:
        return
    _, _, is_changed = _disturb(model, range(n_tokens))
    changing = is_changed.nonzero().flatten().tolist()
    if not changing:
        warnings.warn(
            f"the predictions of {model.name} do not depend on what its last layer returns; do "
            "`layers` lie on the way to them?",
            stacklevel=3,
        )
        return
    stride = max(n_tokens // n_points, 1)
    offset = changing[-1] - stride * (n_points - 1)
    fits = 0 <= offset < stride and len(changing) == 1
    step = "" if stride == 1 else f"{offset}, None, {stride}"
    advice = f"points=slice({step or None})" if fits else "those positions as `points`"
    listed = ", ".join(map(str, changing[:3])) + (", …" if len(changing) > 3 else "")
    raise ValueError(
        f"points={model.layout.points} reads the last point at position {position} of the layers' "
        f"{n_tokens}, but its prediction is made from position {listed}; pass {advice}"
    )


def _disturb(model: AttachedModel, positions: Sequence[int | None]) -> tuple[int, int, Tensor]:
    """Puts noise into one position of the last layer in one copy of a prompt each.

    Returns:
        The position that is read for the last point, how many there are, and which of `positions`
        (None for the one that is read) change the last prediction.
    """
    n_points, n_dims = model.config.n_points, model.config.n_dims
    generator = torch.Generator().manual_seed(0)
    xs = torch.randn(1, n_points, n_dims, generator=generator).expand(len(positions) + 1, -1, -1)
    ys = torch.randn(1, n_points, generator=generator).expand(len(positions) + 1, -1)
    read: list[int] = []

    def put_noise(activation: Tensor, *, hook: object) -> Tensor:
        del hook
        n_tokens = activation.shape[1]
        tokens = torch.arange(n_tokens)[model.running_points()].flatten()
        read[:] = int(tokens[-1]), n_tokens
        changed = activation.clone()
        noise = torch.randn(activation.shape[2:], generator=generator).to(activation)
        for row, position in enumerate(positions, start=1):
            place = read[0] if position is None else position
            if place < n_tokens:
                changed[row, place] += noise * (1 + activation.std())
        return changed

    cuda = [model.device] if model.device.type == "cuda" else []
    with torch.random.fork_rng(cuda), inference(model):
        hook = (model.hook_name(Site(model.n_layers)), put_noise)
        predictions = model.run_with_hooks(
            on_device_of(model, xs), on_device_of(model, ys), fwd_hooks=[hook]
        )
    difference = (predictions[1:, -1] - predictions[0, -1]).abs().float()
    return read[0], read[1], difference > _LEAST_CHANGE * predictions[0, -1].abs()
