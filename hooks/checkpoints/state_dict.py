"""The weights in what `torch.load` gives, as a flat dict under the project's names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hooks.checkpoints.error import CheckpointError, listed
from hooks.checkpoints.gpt2_names import from_huggingface
from hooks.foreign import attach_lines, describe_weights

_PAYLOADS = (
    "model_state_dict", "state_dict", "model", "module", "net", "network", "weights", "params",
)  # fmt: skip
"""Where training loops keep the weights beside the optimiser and the step, first ones first."""
_INNER_WRAPPERS = re.compile(
    r"\b(_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module|_forward_module)\."
)
_READ_IN = re.compile(r"((?:.*\.)?)(_?)read_in\.weight")
_BACKBONE = re.compile(r"_backbone\.(?:transformer\.)?")


def project_weights(content: Mapping[Any, Any], file: Path) -> dict[str, Tensor]:
    """Finds a GPT-2's weights in a pickled file's content.

    They may lie under a key such as `state_dict`; prefixes of wrappers are taken off; names and
    layouts are those of this project, of the codebases of Garg et al. and Fu et al. (Hugging
    Face's GPT-2), or of Yang et al. (nanoGPT).

    Returns:
        Weights under this project's names: `read_in`, `W_pos`, `blocks.#`, `ln_final`, `read_out`.

    Raises:
        CheckpointError: There are none, of several models, or of another architecture; the
            message says what the file holds.
    """
    weights = {
        _INNER_WRAPPERS.sub("", name): weight
        for name, weight in _find_weights(content, file).items()
    }
    prefixes = {found[1]: found[2] for name in weights if (found := _READ_IN.fullmatch(name))}
    if not prefixes:
        raise CheckpointError(
            f"{file}: holds no architecture that is known here ({describe_weights(weights)}); "
            f"{attach_lines(weights)}"
        )
    if len(prefixes) > 1:
        names = " and ".join(repr(prefix) for prefix in sorted(prefixes))
        raise CheckpointError(f"{file}: holds several models, under {names}; keep one of them")
    [(prefix, mark)] = prefixes.items()
    weights = {name.removeprefix(prefix): weight for name, weight in weights.items()}
    if not mark:
        return weights
    if unknown := [
        name for name in weights if not re.match(r"_(read_in|read_out|backbone)\.", name)
    ]:
        raise CheckpointError(f"{file}: has unknown {listed(unknown)}")
    return from_huggingface(
        {_BACKBONE.sub("", name).removeprefix("_"): weight for name, weight in weights.items()}
    )


def _find_weights(content: Mapping[Any, Any], file: Path) -> dict[str, Tensor]:
    for key in _PAYLOADS:
        if isinstance(inner := content.get(key), Mapping) and any(map(_is_array, inner.values())):
            return _find_weights(inner, file)
        if isinstance(inner, Mapping) and any(k in inner for k in _PAYLOADS):
            return _find_weights(inner, file)
    weights = {
        str(name): torch.from_numpy(value) if isinstance(value, np.ndarray) else value
        for name, value in content.items()
        if _is_array(value)
    }
    if not weights:
        keys = listed([str(key) for key in content]) or "nothing"
        raise CheckpointError(f"{file}: holds no weights; it has {keys}")
    return weights


def _is_array(value: Any) -> bool:
    return isinstance(value, Tensor) or (isinstance(value, np.ndarray) and value.dtype.kind == "f")
