"""From prompts to statistics on an imitated CUDA device, which nothing mixes with the CPU.

torch's fake tensors have a device and no numbers: an operation on two devices raises, and so does a
look at a number, which is why checks of values are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from test_architectures import CONSTRUCTED, VARIANTS, Variant
from torch import nn
from torch._subclasses import FakeTensor, FakeTensorMode
from torch.overrides import TorchFunctionMode

from hooks.architectures.prefix_segments import prefix_segments
from hooks.capture import capture
from hooks.inference import predict
from hooks.model import SequenceModel
from interp.scoring.stream import batches
from interp.tasks import LinearRegression
from probes.readout_fitter import ReadoutFitter

TASK = LinearRegression(n_dims=3, n_points=6)
N_PROMPTS = 8
EVERY = VARIANTS | CONSTRUCTED
every_variant = pytest.mark.parametrize("variant", EVERY.values(), ids=EVERY.keys())


class Indexing(TorchFunctionMode):
    """Does by single operations what a build without CUDA refuses to do with such tensors."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is torch.Tensor.__getitem__:
            return indexed(*args)
        if func is torch.Tensor.__setitem__:
            place = indexed(*args[:2])
            if torch.is_tensor(args[2]):
                return torch.ops.aten.copy_.default(place, args[2])
            return place.fill_(args[2])
        if func is torch.Tensor.contiguous:
            return args[0].clone(memory_format=torch.contiguous_format)
        return func(*args, **(kwargs or {}))


def indexed(values: torch.Tensor, index: Any) -> torch.Tensor:
    parts = list(index) if isinstance(index, tuple) else [index]
    if any(part is Ellipsis for part in parts):
        place = next(i for i, part in enumerate(parts) if part is Ellipsis)
        n_given = sum(part is not None for part in parts) - 1
        parts[place : place + 1] = [slice(None)] * (values.ndim - n_given)
    dim = 0
    for part in parts:
        if part is None:
            values = values.unsqueeze(dim)
        elif isinstance(part, slice):
            values = torch.ops.aten.slice.Tensor(values, dim, part.start, part.stop, part.step or 1)
        elif isinstance(part, int):
            values = values.select(dim, part)
            continue
        else:
            chosen = part if torch.is_tensor(part) else torch.tensor(part)
            values = torch.ops.aten.index.Tensor(values, [None] * dim + [chosen])
        dim += 1
    return values


def on_cuda(model: SequenceModel, mode: FakeTensorMode) -> SequenceModel:
    """The model with fake weights on a device that there is not, to be run within the mode."""

    def moved(values: torch.Tensor) -> FakeTensor:
        return FakeTensor(mode, values.detach().to("meta"), torch.device("cuda:0"))

    prefix_segments.cache_clear()  # of what building the model kept
    for part in model.modules():
        weights = {name: moved(one) for name, one in part._parameters.items() if one is not None}
        part._parameters |= {name: nn.Parameter(one, False) for name, one in weights.items()}
        buffers = {name: moved(one) for name, one in part._buffers.items() if one is not None}
        part._buffers |= buffers
    return model


@pytest.fixture
def mode(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeTensorMode]:
    monkeypatch.setattr(import_module("hooks.capture"), "check_finite", lambda *_, **__: None)
    monkeypatch.setattr("probes.accumulation._check_finite", lambda *_: None)
    yield FakeTensorMode(allow_non_fake_inputs=True)
    prefix_segments.cache_clear()  # of fake tensors, which other tests cannot compute with


def prompts(mode: FakeTensorMode) -> tuple[torch.Tensor, torch.Tensor]:
    xs, ys, _ = TASK.sample(N_PROMPTS, torch.Generator().manual_seed(0))
    return mode.from_tensor(xs), mode.from_tensor(ys)


@every_variant
def test_activations_become_statistics(
    variant: Variant, mode: FakeTensorMode, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, fake = on_cuda(variant.build(), mode), prompts(mode)
    assert model.device.type == "cuda"
    monkeypatch.setattr("interp.scoring.stream.Prefixes", lambda xs, ys: SimpleNamespace(ys=ys))
    monkeypatch.setattr(LinearRegression, "stream", lambda *_, **__: iter([fake]))
    sites = model.sites(model.site_kinds[0])
    with mode, Indexing():
        [(prefixes, activations, said)] = batches(model, TASK, sites, N_PROMPTS, 0)
        assert {activations.device.type, said.device.type} == {"cpu"}
        fitter = ReadoutFitter(len(activations), activations.shape[-1], 1)
        fitter.update(activations.flatten(1, 2), prefixes.ys.reshape(-1, 1))
    assert fitter.statistics.feature_mean.shape[1] == len(sites)


@every_variant
def test_what_a_model_holds_and_says_is_on_its_device(
    variant: Variant, mode: FakeTensorMode
) -> None:
    model, (xs, ys) = on_cuda(variant.build(), mode), prompts(mode)
    with mode, Indexing():
        for kind in model.site_kinds:
            [captured] = capture(model, (xs, ys), model.sites(kind)[-1:])
            assert {captured.activations.device.type, captured.predictions.device.type} == {"cuda"}
        assert predict(model, xs, ys, batch_size=3).device.type == "cpu"


def test_a_mix_of_devices_is_found(mode: FakeTensorMode) -> None:
    """The imitation notices what it is there for."""
    model = on_cuda(EVERY["gpt2"].build(), mode)
    with mode, Indexing(), pytest.raises(RuntimeError, match="device"):
        model(*prompts(mode))
