"""Run directories of the in-context learning codebases of Garg et al., Fu et al. and Yang et al.

A run of github.com/dtsip/in-context-learning, github.com/DeqingFu/transformers-icl-second-order or
github.com/Leiay/looped_transformer is a folder with `config.yaml`, `state.pt` (weights, optimiser,
step) and, if asked for, weights `model_<step>.pt`. Weights alone are read wherever a training loop
has put them (`hooks.checkpoints.state_dict`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from hooks.architectures import build_model
from hooks.checkpoints.error import CheckpointError, listed
from hooks.checkpoints.fu_task import foreign_task, task_of
from hooks.checkpoints.native import load_weights
from hooks.checkpoints.pickled import read_pickled
from hooks.checkpoints.run_config import SIZES, read_config, sizes_of
from hooks.checkpoints.state_dict import project_weights
from hooks.model import SequenceModel

SUFFIXES = (".pt", ".pth", ".bin", ".ckpt")
_EMBEDDED = ("config", "hyper_parameters", "hparams", "model_args", "args")
"""Where training loops keep a config inside the file."""
_STEPS = ("train_step", "global_step", "iter_num", "step")


def is_fu_run(path: Path) -> bool:
    """Whether a path is such a folder, or a file of weights in the format."""
    if path.is_dir():
        return (path / "config.yaml").is_file() and bool(_weight_files(path))
    return path.suffix in SUFFIXES


def load_fu_run(path: str | Path, *, n_heads: int | None = None) -> SequenceModel:
    """Loads a run of any of the codebases, GPT-2 family or looped.

    A run with `use_first_n_layer` below its number of layers, which is how Fu et al. probe a
    layer, becomes an `early-exit` model whose predictions are those of the authors' read-out. A
    looped one runs the loops that its curriculum ends with.

    Args:
        path: The folder (its `state.pt`, else the `model_<step>.pt` of the highest step, else its
            only file of weights) or one file of weights.
        n_heads: Heads of each layer, for a file with no config in or beside it; all other sizes
            are then read off the weights.

    Returns:
        The model in evaluation mode. Its `provenance` has the step, the `config` and, where it is
        one of ours, the `task` that the model was trained on; else the `foreign_task`'s name.

    Raises:
        CheckpointError: A file is missing, damaged or needs code to open; the config is of
            another family or contradicts the weights; weights are missing, unknown or not finite.
    """
    path = Path(path).expanduser()
    file = path if path.is_file() else _newest_weights(path)
    content = read_pickled(file)
    weights = project_weights(content, file)
    config_file = file.parent / "config.yaml"
    if config_file.is_file():
        config = read_config(config_file)
    elif (embedded := _embedded_config(content)) is not None:
        config, config_file = embedded, file
    elif n_heads is not None:
        config = {"model": {"n_head": n_heads}}
    else:
        raise CheckpointError(
            f"{file}: no config.yaml beside it, and weights do not tell the number of heads; "
            "add the run's config.yaml or give n_heads to hooks.load_fu_run"
        )
    if not config_file.is_file() or config_file == file:
        config = config | {"model": _sizes_from_weights(weights, file) | config["model"]}
    model = _build(config, weights, config_file)
    load_weights(model, _laid_out(model, weights), file)
    model.provenance = {
        "format": "run directory of Garg et al., Fu et al. or Yang et al.",
        "path": str(path),
        "config": config,
    }
    if (step := _step(content, file)) is not None:
        model.provenance["step"] = step
    if task := task_of(config):
        model.provenance["task"] = task
    elif name := foreign_task(config):
        model.provenance["foreign_task"] = name
    return model.eval()


def _weight_files(directory: Path) -> list[Path]:
    state = directory / "state.pt"
    if state.is_file():
        return [state]
    files = [file for file in directory.glob("model_*.pt") if _step({}, file) is not None]
    if not files:
        others = [file for file in directory.iterdir() if file.suffix in SUFFIXES]
        return others if len(others) == 1 else []
    return sorted(files, key=lambda file: _step({}, file) or 0)


def _newest_weights(directory: Path) -> Path:
    if not directory.is_dir():
        raise CheckpointError(f"{directory}: no such file or folder")
    files = _weight_files(directory)
    if not files:
        raise CheckpointError(f"{directory}: holds neither state.pt nor model_<step>.pt")
    return files[-1]


def _step(content: Mapping[Any, Any], file: Path) -> int | None:
    for key in _STEPS:
        if key in content:
            try:
                return int(content[key])
            except (TypeError, ValueError, RuntimeError, OverflowError):
                raise CheckpointError(
                    f"{file}: {key} is a {type(content[key]).__name__}, expected a whole number"
                ) from None
    named = re.fullmatch(r"model_(\d+)\.pt", file.name)
    return int(named.group(1)) if named else None


def _embedded_config(content: Mapping[Any, Any]) -> dict[str, Any] | None:
    """A config inside the file: one like config.yaml, or sizes without the section's name."""
    for key in _EMBEDDED:
        value = content.get(key)
        values = value if isinstance(value, Mapping) else getattr(value, "__dict__", {})
        if isinstance(values.get("model"), Mapping) and "n_head" in values["model"]:
            return {**values, "model": dict(values["model"])}
        if heads := values.get("n_head", values.get("n_heads")):
            known = {name: values[name] for name in ("family", *SIZES.values()) if name in values}
            return {"model": known | {"n_head": heads}}
    return None


def _build(config: Mapping[str, Any], weights: Mapping[str, Tensor], file: Path) -> SequenceModel:
    section = config["model"]
    architecture, options = "gpt2", sizes_of(config, weights, file)
    first_layers = section.get("use_first_n_layer")
    if (family := section.get("family", "gpt2")) == "gpt2_loop":
        architecture = "looped"
        options |= _loops(config, file)
    elif family != "gpt2":
        raise CheckpointError(
            f"{file}: model.family is {family!r}, only 'gpt2' and 'gpt2_loop' can be loaded; "
            "hooks.attach reads any module by the names of its layers"
        )
    elif isinstance(first_layers, int) and first_layers < options["n_layers"]:
        architecture = "early-exit"
        options["read_out_layer"] = first_layers
    if section.get("pred_type", "regression") != "regression":
        raise CheckpointError(f"{file}: model.pred_type is {section['pred_type']!r}")
    training = config.get("training")
    if isinstance(training, Mapping) and training.get("add_inputs_embeds"):
        raise CheckpointError(f"{file}: training.add_inputs_embeds cannot be loaded")
    try:
        return build_model(architecture, options)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{file}: its sizes make no model ({error})") from None


def _loops(config: Mapping[str, Any], file: Path) -> dict[str, Any]:
    """What makes a looped model of ours of one of Yang et al.: z = f(x + z), one block, a norm."""
    section = config["model"]
    if (function := section.get("loop_func", "z=f(x+z)")) != "z=f(x+z)":
        raise CheckpointError(f"{file}: model.loop_func is {function!r}, only 'z=f(x+z)' is known")
    if section["n_layer"] != 1:
        raise CheckpointError(
            f"{file}: model.n_layer is {section['n_layer']}, only loops of 1 layer can be loaded"
        )
    loops: Any = config
    for key in ("training", "curriculum", "loops", "end"):
        loops = loops.get(key) if isinstance(loops, Mapping) else None
    if not isinstance(loops, int) or not 1 <= loops <= 10_000:
        raise CheckpointError(
            f"{file}: training.curriculum.loops.end is {loops!r}, expected the number of loops"
        )
    return {"n_layers": loops, "norm_in_loop": True}


def _laid_out(model: SequenceModel, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights as the model has them: a block shared, a last position that no prompt reaches off."""
    positions = 2 * model.config.n_points
    laid_out = {}
    for name, weight in weights.items():
        if hasattr(model, "shared_block"):
            name = name.replace("blocks.0.", "shared_block.")
        is_longer = name == "W_pos.weight" and weight.shape[0] == positions + 1
        laid_out[name] = weight[:-1] if is_longer else weight
    return laid_out


def _sizes_from_weights(weights: Mapping[str, Tensor], file: Path) -> dict[str, int]:
    lacking = [name for name in ("read_in.weight", "W_pos.weight") if name not in weights]
    if lacking:
        raise CheckpointError(f"{file}: lacks {listed(lacking)}")
    d_model, n_dims = weights["read_in.weight"].shape
    layers = {name.split(".")[1] for name in weights if name.startswith("blocks.")}
    return {
        "n_dims": n_dims, "n_positions": weights["W_pos.weight"].shape[0] // 2,
        "n_layer": len(layers), "n_embd": d_model,
    }  # fmt: skip
