"""Models on devices of which the machine has none: an imitated MPS, and names that are refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.overrides import TorchFunctionMode
from typer.testing import CliRunner

from hooks import build_model, capture
from hooks.architectures.planted import build_planted
from hooks.inference import predict
from hooks.model import SequenceModel
from interp.analyses.match import match
from interp.analyses.patterns import attention_patterns
from interp.analyses.robustness import conditions
from interp.analyses.separation import separate
from interp.cli import build_app
from interp.jobs import Failure, Pool
from interp.tasks import LinearRegression
from interp.zoo.loading import load, moved, running_on, torch_device

SIZES = {"n_dims": 2, "n_points": 5}
TASK = LinearRegression(**SIZES)
CONFIG = {**SIZES, "n_layers": 2, "n_heads": 1, "d_model": 8}


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


def test_where_models_run_is_said_once(
    model: SequenceModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("interp.zoo.loading.torch_device", lambda name: name)
    places: list[str] = []
    move = SequenceModel.to

    def note(model: SequenceModel, place: object) -> SequenceModel:
        if isinstance(place, str):
            places.append(place)
            return model
        return move(model, place)

    monkeypatch.setattr(SequenceModel, "to", note)
    for analyse in (match, conditions, attention_patterns):
        with pytest.raises(ValueError, match="n_dims = 3"):
            analyse(model, LinearRegression(n_dims=3, n_points=5), device="cuda:1")
    assert places == ["cuda:1"] * 3
    with running_on("cuda"):
        load("gd-exact")
        load("gd-exact", device="cpu")
    load("gd-exact")
    assert places[3:] == ["cuda", "cpu"]
    [(_, found)] = Pool(device="mps").run(moved, [(model, None)])
    assert found is model
    assert places[5:] == ["mps"]


def test_devices_of_pools_and_of_what_runs_there() -> None:
    with pytest.raises(ValueError, match="device must be auto, cpu, cuda, cuda:N or mps"):
        Pool(device="gpu")
    [(_, failure)] = Pool(device="cuda:99").run(load, [("gd-exact",)])
    assert isinstance(failure, Failure)
    assert "torch finds" in failure.reason


@pytest.mark.parametrize("command", ["sweep", "reproduce", "calibrate", "emerge", "match"])
def test_commands_refuse_a_device_by_name(command: str) -> None:
    arguments = {"sweep": ["quick"], "emerge": ["."], "match": ["gd-exact"]}.get(command, [])
    ended = CliRunner().invoke(build_app(), [command, *arguments, "--device", "gpu"])
    assert ended.exit_code == 2
    assert "must be auto, cpu, cuda" in ended.output


def test_batches_of_forward_passes_change_no_result() -> None:
    sizes_of_model = {"n_dims": 3, "n_points": 7, "n_layers": 6, "dtype": "float64"}
    model = build_planted(algorithm="newton", **sizes_of_model)
    task = LinearRegression(n_dims=3, n_points=7)
    options = {"vary": ["noise"], "values": {"noise": [0.0]}, "n_prompts": 256}
    whole = conditions(model, task, **options).table("noise")
    sizes: list[int] = []
    model.register_forward_hook(lambda module, given, said: sizes.append(len(said)))
    parts = conditions(model, task, **options, batch_size=30).table("noise")
    for name in ("error", "model_error"):
        np.testing.assert_allclose(parts[name], whole[name], rtol=1e-4, atol=1e-8)
    separate(model, "newton-fixed", "gd", task, n_prompts=64, batch_size=30)
    assert max(sizes) == 30
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        conditions(model, task, **options, batch_size=0)
