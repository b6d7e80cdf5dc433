"""Activations to disk and back, from this toolkit and from others."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
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
    WiringError,
    build_model,
    capture,
    open_activations,
    write_activations,
)
from hooks.activation_files import check_answers_hidden

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
    with pytest.raises(
        NonFiniteError, match=r"site attn_out\[2\]: NaN .* at prompt 6 \(point 1\)$"
    ):
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


def saved(tmp_path: Path, suffix: str, captured: list[Captured] | None = None) -> Path:
    path = tmp_path / f"saved{suffix}"
    write_activations(path, captured or batches(), 10)
    return path


@pytest.mark.parametrize("name", ["resid_post", "xs", "resid_post_layers"])
@pytest.mark.parametrize("fill", [0, None])
def test_chunks_that_are_not_there_are_never_zeros(
    name: str, fill: int | None, tmp_path: Path
) -> None:
    zarr = pytest.importorskip("zarr")
    path = saved(tmp_path, ".zarr")
    if fill == 0:  # as other tools write
        group = zarr.open_group(path)
        values = group[name][:]
        del group[name]
        group.create_array(name, data=values, chunks=values.shape, fill_value=0)
    next(file for file in (path / name / "c").rglob("*") if file.is_file()).unlink()
    with pytest.raises(ActivationFileError, match=rf"{name} .*1 of its \d chunks are not there"):
        open_activations(path)
    if fill is None:
        assert not (zarr.open_group(path)[name][:] == 0).all(-1).any()


def test_zeros_that_were_captured_are_read(tmp_path: Path) -> None:
    pytest.importorskip("zarr")
    captured = [part._replace(activations=part.activations * 0) for part in batches()]
    path = tmp_path / "zeros.zarr"
    write_activations(
        path,
        [part._replace(sites=SITES[:1], activations=part.activations[:1]) for part in captured],
        10,
    )
    [batch] = open_activations(path).stream()
    assert batch.sites == (Site(0),)
    assert (batch.activations == 0).all()


@pytest.mark.parametrize("kind", [".npz", ".safetensors", ".zarr", ".pt"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_truncated_files_are_refused(kind: str, share: float, tmp_path: Path) -> None:
    if kind == ".pt":
        path = tmp_path / "saved.pt"
        [whole] = open_activations(saved(tmp_path, ".npz")).stream(SITES[:3])
        torch.save({"xs": whole.xs, "ys": whole.ys, "resid_post": whole.activations}, path)
    else:
        if kind == ".zarr":
            pytest.importorskip("zarr")
        path = saved(tmp_path, kind)
    files = list(path.rglob("c/*/0/*/*")) if path.is_dir() else [path]
    content = files[0].read_bytes()
    files[0].write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ActivationFileError, match="cannot be read"):
        list(open_activations(path).stream())


def test_a_member_of_an_archive_that_is_too_short(tmp_path: Path) -> None:
    import zipfile

    path = saved(tmp_path, ".npz")
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["resid_post.npy"] = members["resid_post.npy"][:-100]
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(ActivationFileError, match="cannot be read as"):
        open_activations(path)


NUMBERS = {
    "bfloat16": torch.bfloat16,
    "float8": torch.float8_e4m3fn,
    "int8": torch.int8,
    "int64": torch.int64,
    "bool": torch.bool,
}


@pytest.mark.parametrize("dtype", NUMBERS)
@pytest.mark.parametrize("kind", [".pt", ".pth", ".safetensors"])
def test_numbers_of_any_type(dtype: str, kind: str, tmp_path: Path) -> None:
    from safetensors.torch import save_file as save_tensors

    generator = torch.Generator().manual_seed(0)
    values = (4 * torch.randn(2, 6, 4, 5, generator=generator)).to(NUMBERS[dtype])
    ys = torch.arange(24).reshape(6, 4)
    tensors = {"xs": torch.randn(6, 4, 3, generator=generator), "ys": ys, "resid_post": values}
    path = tmp_path / f"theirs{kind}"
    (save_tensors if kind == ".safetensors" else torch.save)(tensors, path)
    [batch] = open_activations(path).stream()
    assert batch.activations.dtype == (torch.float64 if dtype == "int64" else torch.float32)
    assert torch.equal(batch.activations.double(), values.double())
    assert torch.equal(batch.ys, ys.double())
    assert batch.predictions.isnan().all()


@pytest.mark.parametrize("dtype", [">f4", ">f8", ">i4", "u2", "longdouble"])
@pytest.mark.parametrize("kind", [".npz", ".zarr"])
def test_big_endian_and_whole_numbers_of_numpy(dtype: str, kind: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    values = (10 + rng.normal(size=(2, 6, 4, 5))).astype(dtype)
    arrays = {"xs": rng.normal(size=(6, 4, 3)).astype(">f8"), "ys": np.ones((6, 4), ">f4")}
    path = tmp_path / f"theirs{kind}"
    if kind == ".npz":
        np.savez(path, resid_post=values, **arrays)
    else:
        zarr = pytest.importorskip("zarr")
        if dtype == "longdouble":
            return  # Zarr has none
        group = zarr.open_group(path, mode="w")
        for name, array in {**arrays, "resid_post": values}.items():
            group.create_array(name, data=array)
    [batch] = open_activations(path).stream()
    np.testing.assert_array_equal(batch.activations.numpy(), values.astype(np.float64))
    np.testing.assert_array_equal(batch.xs.numpy(), arrays["xs"].astype(np.float64))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((2, 6, 4, 5), "V2"), "NumPy's type .V2, not of real numbers.*safetensors"),
        (np.zeros((2, 6, 4, 5), complex), "NumPy's type complex128, not of real numbers"),
        (np.full((2, 6, 4, 5), "a"), "NumPy's type <U1"),
    ],
)
def test_what_are_no_numbers_is_refused(values: Any, message: str, tmp_path: Path) -> None:
    path = tmp_path / "theirs.npz"
    np.savez(path, resid_post=values, xs=np.zeros((6, 4, 3)), ys=np.zeros((6, 4)))
    with pytest.raises(ActivationFileError, match=message):
        open_activations(path)


def test_home_folders_and_folders_that_are_not_there(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"no folder .*new; parents=True makes it"):
        write_activations(f"~/new/a{suffix}", batches(), 10)
    assert list(tmp_path.iterdir()) == []
    write_activations(f"~/new/a{suffix}", batches(), 10, parents=True)
    assert open_activations(f"~/new/a{suffix}").path == tmp_path / "new" / f"a{suffix}"


def test_points_that_cannot_be_read(suffix: str, tmp_path: Path) -> None:
    captured = batches()
    for part in captured:
        part.activations[:, :, :2] = torch.nan
    path = saved(tmp_path, suffix, captured)
    message = r"points 0 to 1\); open_activations\(…, points_from=2\)"
    with pytest.raises(NonFiniteError, match=message):
        list(open_activations(path).stream())
    assert len(list(open_activations(path, points_from=2).stream())) == 1
    other = tmp_path / f"says{suffix}"
    write_activations(other, captured, 10, metadata={"points_from": 2})
    assert open_activations(other).first_point == 2
    assert len(list(open_activations(other).stream())) == 1
    with pytest.raises(ActivationFileError, match=r"points_from must be in 0\.\.3, got 4"):
        open_activations(path, points_from=4)


def wired(tmp_path: Path, holds: str) -> Path:
    """Activations at layers 0 and 1, those of layer 0 an affine map of x, or of y, or of both."""
    generator = torch.Generator().manual_seed(0)
    xs = torch.randn(600, 4, 3, generator=generator)
    weights = torch.randn(1 if holds == "shared" else 600, 1, 3, generator=generator)
    ys = (xs * weights).sum(2)
    token = {"y": ys[..., None] * torch.eye(3)[0], "xy": torch.cat((xs, ys[..., None]), 2)}
    token = token.get(holds, xs)
    layer = token @ torch.randn(token.shape[2], 9, generator=generator) + 3
    path = tmp_path / "wired.npz"
    said = ys + 0.1 if holds == "output" else ys.roll(1, 0)
    np.savez(path, xs=xs, ys=ys, resid_post=torch.stack([layer, layer.tanh()]), predictions=said)
    return path


def test_answers_in_saved_activations(tmp_path: Path) -> None:
    for holds in ("y", "xy"):
        with pytest.raises(WiringError, match=r"y of point 0 can be read from resid_post\[0\]"):
            check_answers_hidden(open_activations(wired(tmp_path, holds)))
    with pytest.warns(UserWarning, match="predictions at point 0 explain 100% of y"):
        check_answers_hidden(open_activations(wired(tmp_path, "output")))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_answers_hidden(open_activations(wired(tmp_path, "x")))
        check_answers_hidden(open_activations(wired(tmp_path, "shared")))
