from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_cli import assert_one_sentence, give_up_capabilities, half_written, run

from hooks import build_model, open_activations, save_checkpoint
from hooks.finite import NonFiniteError
from hooks.model import SequenceModel
from hooks.sites import Site
from interp.tasks.prompt_file import PromptFileError, read_prompts
from interp.zoo.loading import load

SIZES = {"n_dims": 2, "n_points": 4, "n_layers": 2, "n_heads": 1, "d_model": 8}
RANDOM = np.random.default_rng(0)
XS, YS = RANDOM.standard_normal((6, 4, 2)), RANDOM.standard_normal((6, 4))


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    save_checkpoint(build_model("gpt2", SIZES, seed=0), tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def saved(folder: Path, **arrays: Any) -> Path:
    np.savez(folder / "prompts.npz", **arrays)
    return folder / "prompts.npz"


def activations_of(model: SequenceModel, hook: str, xs: Any, ys: Any) -> np.ndarray:
    """What TransformerLens's own cache holds."""
    tensors = (torch.from_numpy(xs), torch.from_numpy(ys))
    return model.run_with_cache(*tensors)[1][hook].detach().numpy()


@pytest.mark.parametrize("suffix", [".npz", ".safetensors", ".zarr"])
def test_files_hold_what_the_model_computed(checkpoint: Path, suffix: str, tmp_path: Path):
    out = tmp_path / f"out{suffix}"
    ending = run(
        "capture", checkpoint, "--prompts", saved(tmp_path, xs=XS, ys=YS), "--batch-size", 4,
        "--sites", "resid_post, attn_out", "--final-norm", "none", "--out", out, folder=tmp_path,
    )  # fmt: skip
    assert (ending.code, ending.stdout) == (0, f"{out}\n"), ending.stderr
    file = open_activations(out)
    assert (file.n_prompts, file.n_points, file.n_dims) == XS.shape
    assert file.metadata["checkpoint"] == str(checkpoint)
    assert file.metadata["final_norm"] == "none"
    assert set(map(str, file.sites)) == {
        "resid_post[0]", "resid_post[1]", "resid_post[2]", "attn_out[1]", "attn_out[2]",
    }  # fmt: skip
    [batch] = file.stream()
    np.testing.assert_array_equal(batch.xs, XS)
    np.testing.assert_array_equal(batch.ys, YS)
    model = load(checkpoint)
    with torch.no_grad():
        predictions = model(batch.xs, batch.ys)
    np.testing.assert_allclose(batch.predictions, predictions, atol=1e-6)
    for site, hook in (
        (Site(0), "blocks.0.hook_resid_pre"),
        (Site(2), "blocks.1.hook_resid_post"),
        (Site(1, "attn_out"), "blocks.0.hook_attn_out"),
    ):
        expected = activations_of(model, hook, XS, YS)[:, ::2]
        actual = batch.activations[batch.sites.index(site)]
        np.testing.assert_allclose(actual, expected, atol=1e-6)


def test_raw_holds_every_token(checkpoint: Path, tmp_path: Path):
    out = tmp_path / "raw.npz"
    ending = run(
        "capture", checkpoint, "--prompts", saved(tmp_path, xs=XS, ys=YS), "--raw",
        "--final-norm", "none", "--out", out, folder=tmp_path,
    )  # fmt: skip
    assert ending.code == 0, ending.stderr
    with np.load(out) as arrays:
        assert arrays["predictions"].shape == (6, 4)
        expected = activations_of(load(checkpoint), "blocks.1.hook_resid_post", XS, YS)
        np.testing.assert_allclose(arrays["resid_post"][2], expected, atol=1e-6)


def test_a_built_in_model_by_name(tmp_path: Path):
    xs, ys = RANDOM.standard_normal((3, 11, 5)), RANDOM.standard_normal((3, 11))
    out = tmp_path / "newton.safetensors"
    prompts = saved(tmp_path, xs=xs, ys=ys)
    ending = run("capture", "newton-exact", "--prompts", prompts, "--out", out, folder=tmp_path)
    assert ending.code == 0, ending.stderr
    [batch] = open_activations(out).stream()
    expected = load("newton-exact")(torch.from_numpy(xs), torch.from_numpy(ys))
    np.testing.assert_allclose(batch.predictions, expected.detach(), atol=1e-6)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"xs": XS}, r"has no ys \[prompt, point\]; it has xs"),
        ({"xs": XS[0], "ys": YS}, r"xs is \[4, 2\], expected \[prompt, point, dim\]"),
        ({"xs": XS[:0], "ys": YS[:0]}, r"xs is \[0, 4, 2\]"),
        ({"xs": XS, "ys": YS[:, :3]}, "same prompts and points"),
        ({"xs": XS.astype(complex), "ys": YS}, "xs must hold real numbers, its type is complex128"),
        ({"xs": XS.astype(str), "ys": YS}, "xs must hold real numbers"),
        ({"xs": XS.astype(object), "ys": YS}, "cannot be read as .npz"),
    ],
)
def test_prompts_that_cannot_be_used(arrays: dict[str, Any], message: str, tmp_path: Path):
    with pytest.raises(PromptFileError, match=message):
        read_prompts(saved(tmp_path, **arrays))


def test_prompts_that_are_not_finite(tmp_path: Path):
    ys = YS.copy()
    ys[3, 1] = np.nan
    with pytest.raises(NonFiniteError, match=r"prompts.npz: ys: NaN or infinite .* prompt 3"):
        read_prompts(saved(tmp_path, xs=XS, ys=ys))


@pytest.mark.parametrize("content", [None, b"", b"no archive", b"PK\x03\x04 cut off"])
def test_files_that_are_no_prompts(content: bytes | None, tmp_path: Path):
    path = tmp_path / "prompts.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(PromptFileError, match=r"prompts.npz: "):
        read_prompts(path)


@pytest.mark.parametrize(
    ("dtype", "kept"),
    [("float16", "float16"), (">f4", "float32"), ("int32", "float64"), ("longdouble", "float64")],
)
def test_types_of_prompts(dtype: str, kept: str, tmp_path: Path):
    file = read_prompts(saved(tmp_path, xs=(8 * XS).astype(dtype), ys=(8 * YS).astype(dtype)))
    assert {file.xs.dtype, file.ys.dtype} == {getattr(torch, kept)}
    np.testing.assert_array_equal(file.xs.numpy(), (8 * XS).astype(dtype))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sites", "resid_upper", "--out", "a.npz"], "not 'resid_upper'"),
        (["--out", "a.csv"], "must end in .npz, .safetensors, .zarr"),
        (["--out", "closed/a.npz"], "permission denied"),
        (["--out", "closed/a.zarr"], "permission denied"),
    ],
)
def test_what_cannot_be_captured(
    checkpoint: Path, arguments: list[str], message: str, tmp_path: Path
):
    (tmp_path / "closed").mkdir(mode=0o555)
    arguments = [str(tmp_path / a) if a.startswith(("a.", "closed")) else a for a in arguments]
    prompts = saved(tmp_path, xs=XS, ys=YS)
    before = sorted(tmp_path.rglob("*"))
    ending = run(
        "capture", checkpoint, "--prompts", prompts, *arguments,
        folder=tmp_path, prepare=give_up_capabilities,
    )  # fmt: skip
    assert_one_sentence(ending, message)
    assert not half_written(tmp_path)
    assert set(tmp_path.rglob("*")) - set(before) <= {tmp_path / "stdout", tmp_path / "stderr"}


def test_prompts_that_do_not_fit_the_model(checkpoint: Path, tmp_path: Path):
    prompts = saved(tmp_path, xs=np.ones((6, 4, 3)), ys=YS)
    out = tmp_path / "out.npz"
    ending = run("capture", checkpoint, "--prompts", prompts, "--out", out, folder=tmp_path)
    assert_one_sentence(ending, "xs has 3 dims, the model takes 2")
