"""Hugging Face models through the bridge: their own hidden states, offline, unchanged."""

from __future__ import annotations

import copy
import json
import math
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import nn

from hooks import (
    CheckpointError,
    Site,
    WiringError,
    build_model,
    capture,
    load_checkpoint,
    load_huggingface,
    save_ends,
    save_huggingface,
    train_ends,
    wrap_huggingface,
)

pytestmark = pytest.mark.filterwarnings("ignore:TransformerBridge runs a GPTNeoX")

N_DIMS, N_POINTS, WIDTH = 3, 5, 16
ATTENTION = {
    "hidden_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": 2,
    "intermediate_size": 24, "vocab_size": 7, "max_position_embeddings": 32,
    "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0,
}  # fmt: skip
MAMBA = {"hidden_size": WIDTH, "num_hidden_layers": 2, "state_size": 4, "vocab_size": 7}
GPT2 = {
    "n_positions": 16, "n_embd": WIDTH, "n_layer": 2, "n_head": 2, "vocab_size": 7,
    "bos_token_id": 0, "eos_token_id": 0,
}  # fmt: skip
KINDS = {
    "GPT2": (GPT2, {"attn_out", "mlp_out", "z"}),
    "Llama": (ATTENTION | {"num_key_value_heads": 1}, {"attn_out", "mlp_out", "z"}),
    "GPTNeoX": (ATTENTION, {"attn_out", "mlp_out", "z"}),
    "Mamba": (MAMBA, {"mixer_out"}),
}


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def language_model(kind: str) -> transformers.PreTrainedModel:
    torch.manual_seed(0)
    sizes, _ = KINDS[kind]
    config = getattr(transformers, f"{kind}Config")(**sizes)
    name = f"{kind}LMHeadModel" if kind == "GPT2" else f"{kind}ForCausalLM"
    model = getattr(transformers, name)(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def prompts(n: int = 4, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    xs = torch.randn(n, N_POINTS, N_DIMS, generator=generator)
    return xs, torch.randn(n, N_POINTS, generator=generator)


def own_streams(model: transformers.PreTrainedModel, embeds: torch.Tensor) -> list[torch.Tensor]:
    """What enters the first layer, leaves each layer, and leaves the final norm; plain hooks.

    `output_hidden_states` will not do: Mamba's leaves out what enters the first layer.
    """
    base = model.base_model
    layers = base.h if hasattr(base, "h") else base.layers
    seen: list[torch.Tensor] = []
    handles = [
        layers[0].register_forward_pre_hook(lambda layer, args: seen.append(args[0].clone())),
        *(
            layer.register_forward_hook(
                lambda layer, args, out: seen.append(
                    (out[0] if isinstance(out, tuple) else out).clone()
                )
            )
            for layer in layers
        ),
    ]
    with torch.no_grad():
        seen.append(base(inputs_embeds=embeds).last_hidden_state)
    for handle in handles:
        handle.remove()
    return seen


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bare", [True, False], ids=["backbone", "language model"])
def test_hidden_states_are_the_models_own(kind: str, bare: bool) -> None:
    theirs = language_model(kind)
    model = wrap_huggingface(
        theirs.base_model if bare else theirs, n_dims=N_DIMS, n_points=N_POINTS
    )
    xs, ys = prompts()
    tokens = torch.zeros(4, 2 * N_POINTS, N_DIMS)
    tokens[:, ::2] = xs
    tokens[:, 1::2, 0] = ys
    with torch.no_grad():
        embeds = model.read_in(tokens)
    *streams, normed = own_streams(theirs, embeds)
    [captured] = capture(model, (xs, ys), model.sites(), final_norm="none", positions="tokens")
    torch.testing.assert_close(captured.activations, torch.stack(streams), rtol=0, atol=1e-5)
    [captured] = capture(model, (xs, ys), model.sites(), positions="tokens")
    torch.testing.assert_close(captured.activations[-1], normed, rtol=0, atol=1e-5)
    with torch.no_grad():
        expected = model.read_out(normed)[:, ::2, 0]
    torch.testing.assert_close(captured.predictions, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_further_sites_make_up_the_layer(kind: str) -> None:
    model = wrap_huggingface(language_model(kind), n_dims=N_DIMS, n_points=N_POINTS)
    extra = KINDS[kind][1]
    assert extra <= set(model.site_kinds)
    parts = [name for name in extra if name.endswith("_out")]
    sites = [Site(0), Site(1), *(Site(1, name) for name in parts)]
    [captured] = capture(model, prompts(), sites)
    before, after, *rest = captured.activations
    torch.testing.assert_close(before + sum(rest), after, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_predictions_never_see_the_future(kind: str) -> None:
    model = wrap_huggingface(language_model(kind), n_dims=N_DIMS, n_points=N_POINTS)
    xs, ys = prompts()
    with torch.no_grad():
        before = model(xs, ys)
        ys[:, 2:] += 3
        xs[:, 3:] -= 1
        after = model(xs, ys)
    torch.testing.assert_close(before[:, :3], after[:, :3], rtol=0, atol=1e-5)
    assert not torch.allclose(before[:, 3:], after[:, 3:], atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_prompts_do_not_see_each_other(kind: str) -> None:
    model = wrap_huggingface(language_model(kind), n_dims=N_DIMS, n_points=N_POINTS)
    xs, ys = prompts()
    [together] = capture(model, (xs, ys), model.sites())
    [alone] = capture(model, (xs[2:3], ys[2:3]), model.sites())
    torch.testing.assert_close(alone.predictions, together.predictions[2:3], rtol=0, atol=1e-5)
    torch.testing.assert_close(alone.activations, together.activations[:, 2:3], rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_trained_whole_is_saved_whole(kind: str, tmp_path: Path) -> None:
    model = wrap_huggingface(language_model(kind), n_dims=N_DIMS, n_points=N_POINTS)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for seed in range(12):
        xs, _ = prompts(32, seed)
        ys = xs[..., 0]
        loss = (model(xs, ys) - ys).square().mean()
        losses.append(loss.item())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert sum(losses[-3:]) < 0.8 * sum(losses[:3])
    moved = [name for name, value in model.state_dict().items() if (value != before[name]).any()]
    assert any("backbone" in name for name in moved)
    model.provenance["task"] = {"name": "linear_regression", "n_dims": N_DIMS, "n_points": N_POINTS}
    state = torch.get_rng_state()
    if kind == "GPTNeoX":
        with pytest.raises(ValueError, match="cannot be saved: TransformerBridge runs a GPTNeoX"):
            save_huggingface(model, tmp_path / "new")
        assert not (tmp_path / "new").exists()
        return
    save_huggingface(model, tmp_path / "new")
    assert torch.equal(torch.get_rng_state(), state)
    again = load_checkpoint(tmp_path / "new")
    with torch.no_grad():
        torch.testing.assert_close(again(*prompts()), model(*prompts()), rtol=0, atol=1e-6)
    assert again.provenance["task"] == model.provenance["task"]
    assert again.site_kinds == model.site_kinds


def test_only_hugging_face_models_are_saved_as_such(tmp_path: Path) -> None:
    model = build_model("gpt2", {"n_layers": 1, "d_model": 8, "n_heads": 1})
    with pytest.raises(ValueError, match="model is a GPT2; only a Hugging Face one"):
        save_huggingface(model, tmp_path)


def test_interventions_and_transformer_lens_names() -> None:
    model = wrap_huggingface(language_model("GPT2"), n_dims=N_DIMS, n_points=N_POINTS)
    xs, ys = prompts()
    with torch.no_grad():
        before, cache = model.run_with_cache(xs, ys)
        assert "blocks.1.attn.hook_pattern" in cache
        dropped = model.run_with_hooks(
            xs, ys, fwd_hooks=[("blocks.1.hook_mlp_out", lambda out, hook: out * 0)]
        )
        after = model(xs, ys)
    assert not torch.allclose(before, dropped)
    assert torch.equal(before, after)


def test_the_wrapped_model_is_left_as_it_is() -> None:
    theirs = language_model("Llama")
    before = copy.deepcopy(theirs)
    state = torch.get_rng_state()
    model = wrap_huggingface(theirs, n_dims=N_DIMS, n_points=N_POINTS)
    list(capture(model, prompts(), model.sites()))
    train_ends(model, [prompts()])
    assert torch.equal(torch.get_rng_state(), state)
    assert str(before) == str(theirs)
    assert before.config.to_dict() == theirs.config.to_dict()
    for name, value in before.state_dict().items():
        assert torch.equal(value, theirs.state_dict()[name])
    assert all(parameter.grad is None for parameter in theirs.parameters())
    tokens = torch.arange(6)[None]
    with torch.no_grad():
        assert torch.equal(before(tokens).logits, theirs(tokens).logits)


@pytest.mark.parametrize("kind", KINDS)
def test_ends_are_trained_on_a_frozen_backbone(kind: str) -> None:
    model = wrap_huggingface(language_model(kind), n_dims=N_DIMS, n_points=N_POINTS)
    frozen = copy.deepcopy(model.backbone.state_dict())

    def batches(n: int) -> Any:
        for seed in range(n):
            xs, _ = prompts(64, seed)
            yield xs, xs[..., 0] + 2

    losses = train_ends(model, batches(40), learning_rate=0.03)
    assert sum(losses[-5:]) < 0.5 * sum(losses[:5])
    for name, value in model.backbone.state_dict().items():
        assert torch.equal(value, frozen[name]), name
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("kind", KINDS)
def test_directories_with_saved_ends(kind: str, tmp_path: Path) -> None:
    theirs = language_model(kind)
    theirs.save_pretrained(tmp_path)
    model = load_huggingface(tmp_path, n_dims=N_DIMS, n_points=N_POINTS)
    train_ends(model, [prompts(seed=1)])
    task = {"name": "linear_regression", "n_dims": N_DIMS, "n_points": N_POINTS}
    model.provenance["task"] = task
    save_ends(model, tmp_path)
    for path in (tmp_path, tmp_path / "model.safetensors"):
        again = load_checkpoint(path)
        with torch.no_grad():
            assert torch.equal(again(*prompts()), model(*prompts()))
        assert again.provenance["task"] == task
        assert again.provenance["path"] == str(path)
        assert again.config == model.config


def test_given_ends_are_used() -> None:
    read_in, read_out = nn.Linear(N_DIMS, WIDTH), nn.Sequential(nn.Linear(WIDTH, 1))
    model = wrap_huggingface(
        language_model("GPT2"), n_dims=N_DIMS, n_points=N_POINTS, read_in=read_in, read_out=read_out
    )
    assert model.read_in is read_in
    [captured] = capture(model, prompts(), model.sites())
    with torch.no_grad():
        expected = read_out(captured.activations[-1])[..., 0]
    torch.testing.assert_close(captured.predictions, expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_points": 9}, "n_points=9 needs 18 positions, the model has 16"),
        ({"read_in": nn.Linear(4, WIDTH)}, "read_in does not take tokens of width 3"),
        ({"read_in": nn.Linear(3, 8)}, r"read_in maps \[1, 2, 3\] to \[1, 2, 8\]"),
        ({"read_out": nn.Linear(WIDTH, 2)}, r"read_out maps .* not to \[1, 2, 1\]"),
    ],
)
def test_ends_and_sizes_that_do_not_fit(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        wrap_huggingface(
            language_model("GPT2"), **({"n_dims": N_DIMS, "n_points": N_POINTS} | change)
        )


def test_directories_that_cannot_be_loaded(tmp_path: Path) -> None:
    language_model("GPT2").save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match=r"has no read_in_out\.safetensors.*load_huggingface"):
        load_checkpoint(tmp_path)
    (tmp_path / "read_in_out.safetensors").write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match=r"read_in_out\.safetensors: not a read-in"):
        load_checkpoint(tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(CheckpointError, match="not a readable Hugging Face model"):
        load_checkpoint(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match="not a readable Hugging Face model"):
        load_checkpoint(tmp_path)


def saved(directory: Path, kind: str = "GPT2", bare: bool = False) -> Any:
    theirs = language_model(kind)
    (theirs.base_model if bare else theirs).save_pretrained(directory)
    model = load_huggingface(directory, n_dims=N_DIMS, n_points=N_POINTS)
    save_ends(model, directory)
    return model


def rewrite(directory: Path, change: Any) -> None:
    file = directory / "model.safetensors"
    save_file(change(load_file(file)), file, {"format": "pt"})


def configure(directory: Path, **fields: Any) -> None:
    file = directory / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


@pytest.mark.parametrize(
    ("kind", "bare", "prefix"),
    [
        ("GPT2", False, "_orig_mod."),
        ("GPT2", True, "module."),
        ("GPT2", True, "backbone."),
        ("GPT2", False, "model."),
        ("Llama", True, "module._orig_mod.backbone."),
        ("Llama", False, "model.model."),
    ],
)
def test_wrappers_before_the_names_are_taken_off(
    kind: str, bare: bool, prefix: str, tmp_path: Path
) -> None:
    model = saved(tmp_path, kind, bare)
    rewrite(tmp_path, lambda weights: {prefix + name: w for name, w in weights.items()})
    again = load_checkpoint(tmp_path)
    with torch.no_grad():
        assert torch.equal(again(*prompts()), model(*prompts()))


@pytest.mark.parametrize(
    ("weights", "config", "message"),
    [
        (lambda ws: {"student." + n: w for n, w in ws.items()}, {}, "unknown student"),
        (lambda ws: {n: w for n, w in ws.items() if "h.1." not in n}, {}, r"lacks .*h\.1\."),
        (lambda ws: {n: w for n, w in ws.items() if "ln_f" not in n}, {}, r"lacks .*ln_f"),
        (lambda ws: ws, {"n_layer": 1}, r"unknown .*h\.1\."),
        (lambda ws: ws, {"n_layer": 3}, r"lacks .*h\.2\."),
        (lambda ws: ws, {"n_embd": 8}, r"is \(16,\), not \(8,\)"),
        (lambda ws: ws, {"n_positions": 20}, r"wpe\.weight is \(16, 16\), not \(20, 16\)"),
        (lambda ws: {n: w * math.nan for n, w in ws.items()}, {}, "holds NaN or infinite"),
    ],
)
def test_weights_that_are_not_the_models_are_named(
    weights: Any, config: dict[str, Any], message: str, tmp_path: Path
) -> None:
    saved(tmp_path, bare=True)
    rewrite(tmp_path, weights)
    configure(tmp_path, **config)
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(tmp_path)


def test_what_takes_no_part_in_predictions_may_be_missing_or_too_much(tmp_path: Path) -> None:
    model = saved(tmp_path, "Llama")

    def change(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        kept = {n: w for n, w in weights.items() if n != "lm_head.weight" and "embed" not in n}
        return kept | {"score.weight": torch.ones(2, WIDTH)}

    rewrite(tmp_path, change)
    again = load_checkpoint(tmp_path)
    with torch.no_grad():
        assert torch.equal(again(*prompts()), model(*prompts()))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"layer_norm_epsilon": math.nan}, "layer_norm_epsilon is nan, expected a finite number"),
        ({"layer_norm_epsilon": -1e-5}, r"layer_norm_epsilon is -1e-05, .*in \(0, 1\]"),
        ({"task": {"a": [1, math.inf]}}, r"task\.a\[1\] is inf"),
        ({"n_layer": 10**9}, "n_layer is 1000000000, expected a whole number from 1 to 10,000"),
        ({"n_layer": -1}, "n_layer is -1"),
        ({"vocab_size": 10**12}, "vocab_size is 1000000000000"),
        ({"n_head": 3}, "not a readable Hugging Face model"),
        ({"n_layer": "2"}, "not a readable Hugging Face model .*n_layer"),
        ({"activation_function": "wave"}, "not a readable Hugging Face model"),
        ({"architectures": 3}, "architectures is 3, expected a list of names"),
        ({"dtype": 1.5}, "not a readable Hugging Face model"),
        ({"model_type": "nothing"}, "not a readable Hugging Face model"),
    ],
)
def test_configurations_that_cannot_be(
    fields: dict[str, Any], message: str, tmp_path: Path
) -> None:
    saved(tmp_path)
    configure(tmp_path, **fields)
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize("text", ["[1]", "[" * 100_000, " " * 1_000_001])
def test_configurations_that_are_none(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"config\.json"):
        load_checkpoint(tmp_path)


def test_logging_of_transformers_is_left_as_it_is(tmp_path: Path) -> None:
    code = (
        "import transformers; transformers.logging.set_verbosity_info(); import hooks.huggingface;"
        "assert transformers.logging.get_verbosity() == 20"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    before = transformers.logging.get_verbosity()
    try:
        transformers.logging.set_verbosity_info()
        saved(tmp_path)
        load_checkpoint(tmp_path)
        (tmp_path / "model.safetensors").write_bytes(b"")
        with pytest.raises(CheckpointError):
            load_checkpoint(tmp_path)
        assert transformers.logging.get_verbosity() == 20
        assert transformers.utils.logging.is_progress_bar_enabled()
    finally:
        transformers.logging.set_verbosity(before)


@pytest.mark.filterwarnings("error")
def test_weights_that_the_bridge_copies_are_named_at_once() -> None:
    with pytest.warns(UserWarning, match="GPTNeoX.* on copies .* train it before wrapping"):
        wrap_huggingface(language_model("GPTNeoX"), n_dims=N_DIMS, n_points=N_POINTS)
    for kind in ("GPT2", "Llama", "Mamba"):
        wrap_huggingface(language_model(kind), n_dims=N_DIMS, n_points=N_POINTS)


@pytest.mark.parametrize(
    ("weights", "metadata", "message"),
    [
        ({"read_in.bias": torch.full((WIDTH,), math.nan)}, {}, "read_in holds NaN"),
        ({"read_in.weight": torch.ones(3)}, {}, "not a read-in and read-out"),
        ({"read_in.bias": torch.ones(3)}, {}, "not a read-in and read-out"),
        ({}, {"n_points": "many"}, "not a read-in and read-out"),
        ({}, {"n_points": "9"}, "does not fit .*needs 18 positions, the model has 16"),
        ({}, {"provenance": "3"}, "not a read-in and read-out"),
        ({}, {"sha256": "0"}, "damaged, its content is not what its checksum says"),
    ],
)
def test_ends_that_are_damaged(
    weights: dict[str, torch.Tensor], metadata: dict[str, str], message: str, tmp_path: Path
) -> None:
    saved(tmp_path)
    file = tmp_path / "read_in_out.safetensors"
    plain = {"n_points": str(N_POINTS), "provenance": "{}"}
    save_file({**load_file(file), **weights}, file, plain | metadata)
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(tmp_path)


def test_home_folders_are_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    model = wrap_huggingface(language_model("GPT2"), n_dims=N_DIMS, n_points=N_POINTS)
    save_huggingface(model, "~/model")
    assert (tmp_path / "model" / "config.json").is_file()
    assert not (tmp_path / "~").exists()
    with torch.no_grad():
        expected = model(*prompts())
        for place in ("~/model", "~/model/model.safetensors"):
            torch.testing.assert_close(load_checkpoint(place)(*prompts()), expected)


def test_an_encoder_that_sees_its_answers_is_refused() -> None:
    sizes = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 5}
    config = transformers.BertConfig(intermediate_size=16, **sizes)
    with pytest.raises(WiringError, match=r"pairs that come after it.*causal=False"):
        wrap_huggingface(transformers.BertModel(config), n_dims=N_DIMS, n_points=N_POINTS)
