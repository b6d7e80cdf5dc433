"""Directories of Hugging Face, with our read-in and read-out beside the weights.

The bridge takes seconds to import, so that waits until such a directory is really loaded.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from hooks.atomic import atomic_write
from hooks.checkpoints.checksum import CHECKSUM, check_checksum, checksum
from hooks.checkpoints.error import CheckpointError
from hooks.foreign import unwrapped
from hooks.input_file import check_file, parse_json
from hooks.model import SequenceModel

ENDS_FILE = "read_in_out.safetensors"
_FIELDS = ("n_points", "provenance")


def is_huggingface(path: Path) -> bool:
    """Whether a path is a folder in Hugging Face's format, or the weights in one."""
    return (path / "config.json").is_file() or (
        path.name == "model.safetensors" and (path.parent / "config.json").is_file()
    )


def load_huggingface(
    path: str | Path,
    *,
    n_dims: int | None = None,
    n_points: int | None = None,
    read_in: nn.Module | None = None,
    read_out: nn.Module | None = None,
    seed: int = 0,
) -> SequenceModel:
    """Loads a local directory that `save_pretrained` wrote; nothing is looked up on the network.

    Without sizes, read-in and read-out come from the `read_in_out.safetensors` that `save_ends`
    put into the directory; with `n_dims` and `n_points` they are as in `wrap_huggingface`.

    Raises:
        CheckpointError: The directory is damaged, or holds no read-in and read-out and none is
            asked for.
        ValueError: As `wrap_huggingface`.
    """
    from hooks.checkpoints.huggingface_backbone import read_backbone  # imports transformers
    from hooks.huggingface import wrap_huggingface

    path = Path(path).expanduser()
    directory = path if path.is_dir() else path.parent
    backbone = read_backbone(directory)
    model: SequenceModel
    if n_dims is not None and n_points is not None:
        model = wrap_huggingface(
            backbone,
            n_dims=n_dims,
            n_points=n_points,
            read_in=read_in,
            read_out=read_out,
            seed=seed,
        )
    elif (directory / ENDS_FILE).is_file():
        model = _with_saved_ends(backbone, directory / ENDS_FILE)
    else:
        raise CheckpointError(
            f"{directory}: has no {ENDS_FILE}, so nothing says how prompts go in and predictions "
            "come out; give n_dims and n_points to hooks.load_huggingface, train the ends with "
            "hooks.train_ends and keep them with hooks.save_ends"
        )
    model.provenance["path"] = str(path)
    return model


def save_ends(model: SequenceModel, directory: str | Path) -> None:
    """Writes read-in and read-out, affine ones, beside a backbone, atomically.

    Raises:
        ValueError: One of them is no `Linear`.
        OSError: The file cannot be written.
    """
    tensors: dict[str, Tensor] = {}
    for name in ("read_in", "read_out"):
        end = getattr(model, name, None)
        if type(end) is not nn.Linear:
            raise ValueError(f"{name} is a {type(end).__name__}; only a Linear can be saved")
        tensors |= {f"{name}.{key}": value.contiguous() for key, value in end.state_dict().items()}
    metadata = {
        "n_points": str(model.config.n_points),
        "provenance": json.dumps(model.provenance),
    }
    metadata[CHECKSUM] = checksum(tensors, metadata, _FIELDS)
    with atomic_write(Path(directory) / ENDS_FILE) as temporary:
        temporary.write_bytes(save(tensors, metadata))


def save_huggingface(model: SequenceModel, directory: str | Path) -> None:
    """Writes a wrapped model whole, as after training all of it: backbone and ends.

    The backbone is written as `save_pretrained` does, so transformers reads it too;
    `load_huggingface` gives back the same predictions.

    Args:
        model: From `wrap_huggingface` or `load_huggingface`.
        directory: Made if it is missing; files of an earlier save are written over.

    Raises:
        ValueError: The model is no Hugging Face one; or it was trained after wrapping and the
            bridge runs on copies of its weights, as of a GPT-NeoX's joint queries, keys and
            values; or as `save_ends`.
        OSError: The directory cannot be written.
    """
    import torch

    from hooks.huggingface import HuggingFaceModel, wrap_huggingface

    model, directory = unwrapped(model), Path(directory).expanduser()
    if not isinstance(model, HuggingFaceModel):
        raise ValueError(f"model is a {type(model).__name__}; only a Hugging Face one can be saved")
    bridged = model.bridge.original_model
    # The bridge puts every module into one of its own, which shows in the names of weights.
    weights = {
        name.replace("_original_component.", ""): weight
        for name, weight in bridged.state_dict().items()
    }
    with torch.random.fork_rng([]):
        plain = type(bridged)(bridged.config).to(model.dtype)
        plain.load_state_dict({name: weights[name] for name in plain.state_dict()})
        again = wrap_huggingface(
            plain,
            n_dims=model.config.n_dims,
            n_points=model.config.n_points,
            read_in=model.read_in,
            read_out=model.read_out,
        )
    if not _predict_alike(model, again.to(model.device)):
        raise ValueError(
            f"model cannot be saved: TransformerBridge runs a {type(bridged).__name__} on copies "
            "of weights that were trained since; train it in transformers before wrapping it"
        )
    plain.save_pretrained(directory)
    save_ends(model, directory)


def _predict_alike(model: SequenceModel, other: SequenceModel) -> bool:
    import torch

    from hooks.inference import inference

    generator = torch.Generator().manual_seed(0)
    shape = (2, model.config.n_points, model.config.n_dims)
    xs, ys = (torch.randn(size, generator=generator) for size in (shape, shape[:2]))
    xs, ys = xs.to(model.device), ys.to(model.device)
    with inference(model), inference(other):
        return torch.allclose(model(xs, ys), other(xs, ys), rtol=1e-3, atol=1e-4)


def _with_saved_ends(backbone: Any, file: Path) -> SequenceModel:
    from hooks.huggingface import wrap_huggingface

    try:
        with safe_open(check_file(file), framework="pt") as content:
            metadata: dict[str, Any] = content.metadata() or {}
            tensors = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118
        check_checksum(file, tensors, metadata, _FIELDS)
        n_points = int(metadata["n_points"])
        provenance = dict(parse_json(metadata["provenance"]))
        ends = {name: _linear(tensors, name) for name in ("read_in", "read_out")}
    except (
        SafetensorError, OSError, LookupError, ValueError, TypeError, RuntimeError, RecursionError
    ) as error:  # fmt: skip
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{file}: not a read-in and read-out ({error})") from None
    try:
        model = wrap_huggingface(
            backbone,
            n_dims=ends["read_in"].in_features,
            n_points=n_points,
            read_in=ends["read_in"],
            read_out=ends["read_out"],
        )
    except ValueError as error:
        raise CheckpointError(f"{file}: does not fit the model beside it ({error})") from None
    model.provenance |= provenance
    return model


def _linear(tensors: dict[str, Tensor], name: str) -> nn.Linear:
    weight, bias = tensors[f"{name}.weight"], tensors.get(f"{name}.bias")
    if not all(part.isfinite().all() for part in (weight, bias) if part is not None):
        raise ValueError(f"{name} holds NaN or infinite values")
    linear = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None).to(weight)
    linear.load_state_dict({"weight": weight} | ({} if bias is None else {"bias": bias}))
    return linear
