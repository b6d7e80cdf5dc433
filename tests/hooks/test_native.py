"""Our own checkpoints: whole or absent, and damaged ones told apart."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from hooks import CheckpointError, SequenceModel, build_model, load_checkpoint, save_checkpoint
from hooks.atomic import atomic_write

SIZES = {"n_dims": 3, "n_points": 4, "n_layers": 1, "n_heads": 2, "d_model": 4}


def model() -> SequenceModel:
    return build_model("gpt2", SIZES, seed=0)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    save_checkpoint(model(), path, {"step": 7, "task": {"name": "linear_regression"}})
    return path


def rewrite(path: Path, metadata: dict[str, Any] | None = None, **weights: Any) -> None:
    tensors = {**load_file(path), **weights}
    kept = {
        "format": "icl-interp/1",
        "architecture": "gpt2",
        "config": json.dumps(SIZES),
        "provenance": "{}",
    }
    kept |= metadata or {}
    tensors = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    save_file(tensors, path, {key: value for key, value in kept.items() if value is not None})


def test_weights_configuration_and_provenance_return(checkpoint: Path) -> None:
    loaded, original = load_checkpoint(checkpoint), model()
    assert loaded.config == original.config
    assert loaded.provenance["step"] == 7
    assert loaded.provenance["path"] == str(checkpoint)
    assert not loaded.training
    for name, weight in original.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], weight)


@pytest.mark.parametrize("damage", ["truncated", "empty", "text"])
def test_damaged_files(checkpoint: Path, damage: str) -> None:
    whole = checkpoint.read_bytes()
    content = {"truncated": whole[:-10], "empty": b"", "text": b"hello " * 50}[damage]
    checkpoint.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"model\.safetensors: not a readable safetensors"):
        load_checkpoint(checkpoint)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"format": "other"}, "names format 'other', expected 'icl-interp/1'"),
        ({"format": None}, "names format None"),
        ({"architecture": "gpt9"}, "does not describe a model .*'gpt9' is unknown"),
        ({"config": "{"}, "does not describe a model"),
        ({"config": json.dumps({"n_heeds": 2})}, "does not describe a model .*n_heeds"),
        ({"config": json.dumps(SIZES | {"n_layers": 2})}, r"lacks blocks\.1\."),
        ({"config": json.dumps(SIZES | {"n_dims": 2})}, r"read_in\.weight is \(4, 3\), .*\(4, 2\)"),
        ({"provenance": None}, "does not describe a model"),
    ],
)
def test_metadata_that_does_not_fit(
    checkpoint: Path, metadata: dict[str, Any], message: str
) -> None:
    rewrite(checkpoint, metadata)
    with pytest.raises(CheckpointError, match=rf"model\.safetensors: .*{message}"):
        load_checkpoint(checkpoint)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"read_out.bias": None}, r"lacks read_out\.bias"),
        ({"extra": torch.zeros(2)}, "has unknown extra"),
        ({"read_out.bias": torch.zeros(2)}, r"read_out\.bias is \(2,\), .* needs \(1,\)"),
        ({"read_out.bias": torch.tensor([torch.nan])}, r"read_out\.bias holds NaN or infinite"),
    ],
)
def test_weights_that_do_not_fit(checkpoint: Path, weights: dict[str, Any], message: str) -> None:
    rewrite(checkpoint, **weights)
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(checkpoint)


def test_what_is_no_checkpoint_lists_the_formats(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such file or folder"):
        load_checkpoint(tmp_path / "nothing")
    (tmp_path / "notes.txt").write_text("hello")
    for path in (tmp_path, tmp_path / "notes.txt"):
        with pytest.raises(CheckpointError, match=r"none of the known formats .*state\.pt"):
            load_checkpoint(path)


def test_a_full_disk_leaves_the_old_file(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = checkpoint.read_bytes()

    def full(path: Path, content: bytes) -> int:
        with path.open("wb") as file:
            file.write(content[:20])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(build_model("gpt2", SIZES, seed=1), checkpoint)
    assert checkpoint.read_bytes() == before
    assert list(checkpoint.parent.iterdir()) == [checkpoint]


def test_atomic_write_is_whole_or_absent(tmp_path: Path) -> None:
    target = tmp_path / "folder" / "file"

    def interrupted() -> None:
        with atomic_write(target) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(target.parent.iterdir()) == []
    with atomic_write(target) as temporary:
        temporary.write_text("whole")
        assert not target.exists()
    assert target.read_text() == "whole"
    assert list(target.parent.iterdir()) == [target]
