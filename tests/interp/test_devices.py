"""Models on devices of which the machine has none: an imitated MPS, and names that are refused."""

from __future__ import annotations

import pytest
import torch
from torch.overrides import TorchFunctionMode
from typer.testing import CliRunner

from hooks import build_model, capture
from hooks.inference import predict
from hooks.model import SequenceModel
from interp.analyses.match import match
from interp.cli import build_app
from interp.tasks import LinearRegression
from interp.zoo.loading import load, torch_device

TASK = LinearRegression(n_dims=2, n_points=5)
CONFIG = {"n_dims": 2, "n_points": 5, "n_layers": 2, "n_heads": 1, "d_model": 8}


class AppleDevice(TorchFunctionMode):
    """Moves nothing, but refuses float64 as MPS does."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        places = [a for a in (*args[1:], *(kwargs or {}).values()) if isinstance(a, torch.device)]
        if func is torch.Tensor.to and any(place.type == "mps" for place in places):
            if args[0].dtype == torch.float64:
                raise TypeError("Cannot convert a MPS Tensor to float64 dtype")
            return args[0]
        return func(*args, **(kwargs or {}))


@pytest.fixture
def model() -> SequenceModel:
    return build_model("gpt2", CONFIG, seed=0).eval()


def test_a_match_on_mps_is_that_on_the_cpu(
    model: SequenceModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"n_prompts": 128, "site_kinds": ("resid_post",), "show": ("patterns",)}
    expected = match(model, TASK, **options)
    monkeypatch.setattr(SequenceModel, "device", torch.device("mps"))
    with AppleDevice():
        assert match(model, TASK, **options).data.identical(expected.data)


def test_prompts_are_cast_before_they_move(
    model: SequenceModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    xs, ys, *_ = TASK.sample(8, torch.Generator().manual_seed(0))
    expected = predict(model, xs, ys)
    [captured] = capture(model, (xs, ys), "resid_post")
    monkeypatch.setattr(SequenceModel, "device", torch.device("mps"))
    with AppleDevice():
        with pytest.raises(TypeError, match="Cannot convert"):
            xs.double().to(model.device)
        said = predict(model, xs.double(), ys.double(), batch_size=3)
        [again] = capture(model, (xs.double(), ys.double()), "resid_post")
    assert said.dtype == again.xs.dtype == torch.float64
    torch.testing.assert_close(said, expected)
    torch.testing.assert_close(again.activations, captured.activations)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gpu", "device must be auto, cpu, cuda, cuda:N or mps, got 'gpu'"),
        ("cuda:7", "device cuda:7: torch finds (none|1|2) here; auto or cpu will do"),
        ("mps", "device mps: torch finds none here"),
    ],
)
def test_devices_that_are_not_there(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load("newton-exact", device=name)
    ended = CliRunner().invoke(build_app(), ["compare", "newton-exact", "--device", name])
    assert ended.exit_code
    assert torch_device("cpu") == "cpu"
