"""Run directories of the in-context learning codebases of Garg et al. and Fu et al.

A run of github.com/dtsip/in-context-learning or github.com/DeqingFu/transformers-icl-second-order
is a folder with `config.yaml`, `state.pt` (weights, optimiser, step) and, if asked for, bare state
dicts `model_<step>.pt`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml
from yaml.error import YAMLError

from hooks.architectures import build_model
from hooks.checkpoints.error import CheckpointError
from hooks.checkpoints.fu_task import task_of
from hooks.checkpoints.gpt2_names import from_huggingface
from hooks.checkpoints.native import load_weights
from hooks.checkpoints.pickled import read_pickled
from hooks.model import SequenceModel

_SIZES = {
    "n_dims": "n_dims",
    "n_points": "n_positions",
    "n_layers": "n_layer",
    "n_heads": "n_head",
    "d_model": "n_embd",
}
"""Our names of the sizes, and the config's; its positions count pairs, as our points do."""


def is_fu_run(path: Path) -> bool:
    """Whether a path is such a folder, or a file of weights in the format."""
    if path.is_dir():
        return (path / "config.yaml").is_file() and bool(_weight_files(path))
    return path.suffix in (".pt", ".pth", ".bin")


def load_fu_run(path: str | Path, *, n_heads: int | None = None) -> SequenceModel:
    """Loads a run of either codebase, GPT-2 family.

    A run with `use_first_n_layer` below its number of layers, which is how Fu et al. probe a
    layer, becomes an `early-exit` model whose predictions are those of the authors' read-out.

    Args:
        path: The folder (its `state.pt`, else the `model_<step>.pt` of the highest step) or one
            of its `.pt` files.
        n_heads: Heads of each layer, for a file with no `config.yaml` beside it; all other sizes
            are then read off the weights.

    Returns:
        The model in evaluation mode. Its `provenance` has the step, the `config` and, where it is
        one of ours, the `task` that the model was trained on.

    Raises:
        CheckpointError: A file is missing, damaged or needs code to open; the config is of
            another family or contradicts the weights; weights are missing, unknown or not finite.
    """
    path = Path(path)
    file = path if path.is_file() else _newest_weights(path)
    content = read_pickled(file)
    weights = content.get("model_state_dict", content)
    if unknown := [name for name in weights if not _is_ours(name)]:
        raise CheckpointError(f"{file}: has unknown {', '.join(map(str, unknown[:4]))}")
    config_file = file.parent / "config.yaml"
    if config_file.is_file():
        config = _read_config(config_file)
    elif n_heads is not None:
        config = {"model": _sizes_from_weights(weights, n_heads, file)}
    else:
        raise CheckpointError(
            f"{file}: no config.yaml beside it, and weights do not tell the number of heads; "
            "add the run's config.yaml or give n_heads to hooks.load_fu_run"
        )
    model = _build(config["model"], config_file)
    load_weights(model, _our_names(weights), file)
    model.provenance = {
        "format": "run directory of Garg et al. and Fu et al.",
        "path": str(path),
        "config": config,
    }
    if (step := _step(content, file)) is not None:
        model.provenance["step"] = step
    if task := task_of(config):
        model.provenance["task"] = task
    return model.eval()


def _weight_files(directory: Path) -> list[Path]:
    state = directory / "state.pt"
    if state.is_file():
        return [state]
    files = [file for file in directory.glob("model_*.pt") if _step({}, file) is not None]
    return sorted(files, key=lambda file: _step({}, file) or 0)


def _newest_weights(directory: Path) -> Path:
    if not directory.is_dir():
        raise CheckpointError(f"{directory}: no such file or folder")
    files = _weight_files(directory)
    if not files:
        raise CheckpointError(f"{directory}: holds neither state.pt nor model_<step>.pt")
    return files[-1]


def _step(content: Mapping[str, Any], file: Path) -> int | None:
    if "train_step" in content:
        return int(content["train_step"])
    named = re.fullmatch(r"model_(\d+)\.pt", file.name)
    return int(named.group(1)) if named else None


def _read_config(file: Path) -> dict[str, Any]:
    try:
        config = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (YAMLError, UnicodeDecodeError, OSError) as error:
        raise CheckpointError(f"{file}: not readable YAML ({error})") from None
    if not isinstance(config, dict) or not isinstance(config.get("model"), dict):
        raise CheckpointError(f"{file}: has no section 'model' with the sizes of a model")
    return config


def _build(sizes: Mapping[str, Any], file: Path) -> SequenceModel:
    if (family := sizes.get("family", "gpt2")) != "gpt2":
        raise CheckpointError(f"{file}: model.family is {family!r}, only 'gpt2' can be loaded")
    if missing := sorted(set(_SIZES.values()) - set(sizes)):
        raise CheckpointError(f"{file}: section 'model' lacks {', '.join(missing)}")
    config = {ours: sizes[theirs] for ours, theirs in _SIZES.items()}
    first_layers = sizes.get("use_first_n_layer")
    architecture = "gpt2"
    if first_layers is not None and first_layers < config["n_layers"]:
        architecture = "early-exit"
        config["read_out_layer"] = first_layers
    try:
        return build_model(architecture, config)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{file}: its sizes make no model ({error})") from None


def _is_ours(name: str) -> bool:
    return name.startswith(("_read_in.", "_read_out.", "_backbone."))


def _our_names(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    backbone = {
        name.removeprefix("_backbone."): weight
        for name, weight in weights.items()
        if name.startswith("_backbone.")
    }
    ends = {name[1:]: w for name, w in weights.items() if name.startswith("_read_")}
    return ends | from_huggingface(backbone)


def _sizes_from_weights(
    weights: Mapping[str, torch.Tensor], n_heads: int, file: Path
) -> dict[str, int]:
    try:
        d_model, n_dims = weights["_read_in.weight"].shape
        n_tokens = weights["_backbone.wpe.weight"].shape[0]
    except KeyError as error:
        raise CheckpointError(f"{file}: lacks {error.args[0]}") from None
    layers = {name.split(".")[2] for name in weights if name.startswith("_backbone.h.")}
    return {
        "n_dims": n_dims, "n_positions": n_tokens // 2, "n_layer": len(layers),
        "n_head": n_heads, "n_embd": d_model,
    }  # fmt: skip
