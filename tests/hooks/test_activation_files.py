"""Activations to disk and back, from this toolkit and from others."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from hooks import (
    ActivationFileError,
    Captured,
    NonFiniteError,
    Site,
    build_model,
    capture,
    open_activations,
    write_activations,
)

SIZES = {"n_dims": 3, "n_points": 4, "n_layers": 2, "n_heads": 2, "d_model": 8}
MODEL = build_model("gpt2", SIZES, seed=0).eval()
SITES = (*MODEL.sites(), *MODEL.sites("attn_out"))
SUFFIXES = [".npz", ".safetensors", ".zarr"]


@pytest.fixture(params=SUFFIXES)
def suffix(request: pytest.FixtureRequest) -> str:
    if request.param == ".zarr":
        pytest.importorskip("zarr")
    return str(request.param)


def batches(n: int = 10, size: int = 4, **options: Any) -> list[Captured]:
    generator = torch.Generator().manual_seed(0)
    xs = torch.randn(n, 4, 3, generator=generator, dtype=torch.float64)
    ys = torch.randn(n, 4, generator=generator, dtype=torch.float64)
    stream = zip(xs.split(size), ys.split(size), strict=True)
    return list(capture(MODEL, stream, SITES, **options))


def joined(parts: list[Captured]) -> dict[str, torch.Tensor]:
    names = (("xs", 0), ("ys", 0), ("predictions", 0), ("activations", 1))
    return {name: torch.cat([getattr(part, name) for part in parts], axis) for name, axis in names}


@pytest.mark.parametrize("batch_size", [3, 512])
def test_what_is_written_is_read(suffix: str, batch_size: int, tmp_path: Path) -> None:
    path = tmp_path / f"activations{suffix}"
    captured = batches()
    write_activations(path, captured, 10, metadata={"checkpoint": "gpt2-d5"})
    file = open_activations(path)
    assert (file.n_prompts, file.n_points, file.n_dims) == (10, 4, 3)
    assert set(file.sites) == set(SITES)
    assert file.has_predictions
    assert file.metadata["checkpoint"] == "gpt2-d5"
    assert file.metadata["axes"]["attn_out"] == ["layer", "prompt", "point", "d_model"]
    expected, found = joined(captured), joined(list(file.stream(SITES, batch_size=batch_size)))
    for name, values in expected.items():
        assert torch.equal(found[name], values), name
        assert found[name].dtype == values.dtype
    assert list(tmp_path.iterdir()) == [path]


def test_some_sites_in_the_order_asked_for(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"activations{suffix}"
    captured = batches()
    write_activations(path, captured, 10)
    chosen = [Site(2, "attn_out"), Site(0)]
    [batch] = open_activations(path).stream(chosen)
    whole = joined(captured)["activations"]
    assert batch.sites == tuple(chosen)
    assert torch.equal(batch.activations, whole[[SITES.index(site) for site in chosen]])


def test_other_tools_read_the_files(tmp_path: Path) -> None:
    whole = joined(batches())
    write_activations(tmp_path / "a.npz", batches(), 10)
    write_activations(tmp_path / "a.safetensors", batches(), 10)
    with np.load(tmp_path / "a.npz") as by_numpy:
        arrays = {name: by_numpy[name] for name in by_numpy.files if name != "metadata"}
    by_safetensors = load_file(tmp_path / "a.safetensors")
    assert arrays.keys() == by_safetensors.keys()
    for content in (arrays, by_safetensors):
        np.testing.assert_array_equal(content["resid_post"], whole["activations"][:3])
        np.testing.assert_array_equal(content["attn_out"], whole["activations"][3:])
        np.testing.assert_array_equal(content["attn_out_layers"], [1, 2])
        np.testing.assert_array_equal(content["xs"], whole["xs"])
    with safe_open(tmp_path / "a.safetensors", "np") as file:
        metadata = json.loads(file.metadata()["activations"])
    assert metadata["axes"]["xs"] == ["prompt", "point", "dim"]


def test_all_tokens(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"raw{suffix}"
    captured = batches(positions="tokens")
    write_activations(path, captured, 10)
    with pytest.raises(ActivationFileError, match=r"is \[\d, 10, 8, 8\], expected"):
        open_activations(path)
    if suffix == ".npz":
        raw = np.load(path)["resid_post"]
        np.testing.assert_array_equal(raw, joined(captured)["activations"][:3])


@pytest.mark.parametrize("writer", ["npz", "safetensors"])
def test_files_of_others(writer: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    arrays = {
        "xs": rng.normal(size=(6, 4, 3)).astype(np.float32),
        "ys": rng.normal(size=(6, 4)).astype(np.float32),
        "resid_post": rng.normal(size=(2, 6, 4, 5)).astype(np.float16),
        "mlp_out": rng.normal(size=(2, 6, 4, 5)).astype(np.float16),
        "weights": rng.normal(size=(6, 3)),
    }
    path = tmp_path / f"theirs.{writer}"
    if writer == "npz":
        np.savez_compressed(path, **arrays)
    else:
        save_file(arrays, path)
    file = open_activations(path)
    assert set(file.sites) == {Site(0), Site(1), Site(1, "mlp_out"), Site(2, "mlp_out")}
    assert not file.has_predictions
    [batch] = file.stream([Site(1), Site(1, "mlp_out")])
    np.testing.assert_array_equal(batch.activations[0], arrays["resid_post"][1])
    np.testing.assert_array_equal(batch.activations[1], arrays["mlp_out"][0])
    assert batch.predictions.isnan().all()


def test_non_finite_values_name_site_and_prompt(suffix: str, tmp_path: Path) -> None:
    captured = batches()
    captured[1].activations[4, 2, 1] = torch.nan
    path = tmp_path / f"bad{suffix}"
    write_activations(path, captured, 10)
    with pytest.raises(NonFiniteError, match=r"site attn_out\[2\]: NaN .* at prompt 6$"):
        list(open_activations(path).stream(batch_size=5))
    list(open_activations(path).stream([Site(1)]))


@pytest.mark.parametrize("n_prompts", [9, 11])
def test_a_wrong_number_of_prompts_leaves_no_file(
    suffix: str, n_prompts: int, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=f"n_prompts={n_prompts} announced"):
        write_activations(tmp_path / f"a{suffix}", batches(), n_prompts)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_capture_leaves_what_was_there(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    if suffix != ".zarr":
        path.write_bytes(b"before")

    def interrupted() -> Any:
        yield batches()[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_activations(path, interrupted(), 10)
    assert [entry.name for entry in tmp_path.iterdir()] == (
        [] if suffix == ".zarr" else [path.name]
    )
    assert suffix == ".zarr" or path.read_bytes() == b"before"


def test_half_precision_and_bfloat16(suffix: str, tmp_path: Path) -> None:
    for dtype, kept in ((torch.float16, torch.float16), (torch.bfloat16, torch.float32)):
        path = tmp_path / f"{kept}{suffix}"
        captured = [part._replace(activations=part.activations.to(dtype)) for part in batches()]
        write_activations(path, captured, 10)
        found = joined(list(open_activations(path).stream(SITES)))["activations"]
        assert found.dtype == kept
        assert torch.equal(found, joined(captured)["activations"].to(kept))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"xs": None}, r"xs is missing, expected \[prompt, point, dim\]"),
        ({"ys": np.zeros((6, 4, 1))}, r"ys is \[6, 4, 1\], expected \[prompt, point\]"),
        ({"ys": np.zeros((6, 5))}, r"ys is \[6, 5\], xs has 6 prompts of 4 points"),
        ({"predictions": np.zeros((5, 4))}, r"predictions is \[5, 4\]"),
        ({"resid_post": np.zeros((2, 6, 8, 5))}, r"resid_post is \[2, 6, 8, 5\], expected"),
        ({"resid_post": None}, r"holds no activations .* it has xs \[6, 4, 3\], ys \[6, 4\]"),
        ({"resid_post_layers": np.array([1, 1])}, "resid_post_layers does not number"),
        ({"resid_post_layers": np.array([1])}, "resid_post_layers does not number"),
    ],
)
def test_arrays_that_do_not_fit(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    arrays = {"xs": np.zeros((6, 4, 3)), "ys": np.zeros((6, 4))}
    arrays |= {"resid_post": np.zeros((2, 6, 4, 5))} | change
    path = tmp_path / "a.npz"
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    with pytest.raises(ActivationFileError, match=message):
        open_activations(path)


def test_files_that_cannot_be_read(suffix: str, tmp_path: Path) -> None:
    with pytest.raises(ActivationFileError, match=r"a\.txt: must end in \.npz"):
        open_activations(tmp_path / "a.txt")
    with pytest.raises(ActivationFileError, match="no such file"):
        open_activations(tmp_path / f"a{suffix}")
    (tmp_path / f"a{suffix}").write_bytes(b"PK damaged")
    with pytest.raises(ActivationFileError, match="cannot be read as"):
        open_activations(tmp_path / f"a{suffix}")
    np.savez(tmp_path / "pickled.npz", xs=np.array([{}], dtype=object))
    with pytest.raises(ActivationFileError, match="cannot be read as"):
        open_activations(tmp_path / "pickled.npz")


def test_sites_and_sizes_that_are_not_there(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    arrays = {"xs": np.zeros((6, 4, 3)), "ys": np.zeros((6, 4))}
    np.savez(path, resid_post=np.zeros((2, 6, 4, 5)), z=np.zeros((1, 6, 4, 7)), **arrays)
    file = open_activations(path)
    with pytest.raises(ValueError, match=r"has no resid_post\[2\]; its sites are resid_post\[0\]"):
        file.stream([Site(2)])
    with pytest.raises(ValueError, match="the sites are 5, 7 wide"):
        file.stream()
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        file.stream([Site(0)], batch_size=0)
    with pytest.raises(ValueError, match=r"a\.csv: must end in"):
        write_activations(tmp_path / "a.csv", batches(), 10)
    with pytest.raises(ValueError, match="batches is empty"):
        write_activations(tmp_path / "b.npz", [], 10)


def test_reading_needs_no_transformer_lens() -> None:
    code = (
        "import sys; from hooks import open_activations, Site; "
        "assert 'transformer_lens' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
