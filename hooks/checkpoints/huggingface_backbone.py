"""The backbone in a directory of Hugging Face, whole or refused.

transformers fills weights that it does not find with random numbers and goes on; here whatever
takes part in the forward pass and does not match is an error.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from hooks.checkpoints.error import CheckpointError, listed
from hooks.checkpoints.pickled import check_archive
from hooks.checkpoints.transformers_logging import quiet_transformers
from hooks.input_file import parse_json, read_text

_WRAPPERS = re.compile(r"(?:_forward_module|module|backbone|model|net)\.")
"""What wrappers put before names: DataParallel, Lightning, a module's attribute; torch.compile's
`_orig_mod.` is taken off wherever it is."""
_HEADS = re.compile(r"(lm_head|score|classifier|v_head|qa_outputs|cls)\.")
"""Heads on a backbone, which take no part in predictions through a read-out of our own."""
_LARGEST = {
    "num_hidden_layers": 10_000,
    "hidden_size": 10**6,
    "num_attention_heads": 10_000,
    "vocab_size": 10**7,
    "max_position_embeddings": 10**8,
}


def read_backbone(directory: Path) -> PreTrainedModel:
    """Reads the causal language model of a directory, its backbone complete and finite.

    Prefixes that wrappers put before the names of all weights are taken off.

    Raises:
        CheckpointError: A file is missing, damaged or holds impossible sizes; weights of the
            backbone are missing, unknown, of another shape, or not finite.
    """
    check_config(directory / "config.json")
    for file in directory.glob("*.bin"):
        check_archive(file)
    try:
        with quiet_transformers():
            _check_sizes(directory)
            model, report = _load(directory)
            for prefix in _wrapper_prefixes(report["unexpected_keys"]):
                unwrapped, of_unwrapped = _load(directory, prefix)
                if not list(_misfits(unwrapped, of_unwrapped)):
                    model, report = unwrapped, of_unwrapped
                    break
    except (
        OSError, ValueError, TypeError, LookupError, AttributeError, RuntimeError, OverflowError,
        ZeroDivisionError, SafetensorError, StrictDataclassError,
    ) as error:  # fmt: skip
        if isinstance(error, CheckpointError):
            raise
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(
            f"{directory}: not a readable Hugging Face model ({reason})"
        ) from None
    if misfits := list(_misfits(model, report)):
        raise CheckpointError(
            f"{directory}: its weights are not those of the {type(model).__name__} in "
            f"config.json: {'; '.join(misfits)}. transformers would fill them in at random"
        )
    for name, weight in model.base_model.named_parameters():
        if weight.is_floating_point() and not weight.isfinite().all():
            raise CheckpointError(f"{directory}: {name} holds NaN or infinite values")
    return model


def check_config(file: Path) -> None:
    """Checks that a config.json is a JSON object of moderate size whose numbers are finite.

    Raises:
        CheckpointError: It is not; the message gives the path of the field.
    """
    try:
        config = parse_json(read_text(file))
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{file.parent}: not a readable Hugging Face model (config.json: {error})"
        ) from None
    if not isinstance(config, dict):
        raise CheckpointError(f"{file}: holds a {type(config).__name__}, expected an object")
    kinds = config.get("architectures") or []
    if not isinstance(kinds, list) or not all(isinstance(kind, str) for kind in kinds):
        raise CheckpointError(f"{file}: architectures is {kinds!r}, expected a list of names")
    for path, value in _numbers(config, ""):
        if not math.isfinite(value):
            raise CheckpointError(f"{file}: {path} is {value}, expected a finite number")
        if re.search(r"(norm_epsilon|norm_eps)$", path) and not 0 < value <= 1:
            raise CheckpointError(f"{file}: {path} is {value}, expected a number in (0, 1]")


def _numbers(value: Any, path: str) -> Iterator[tuple[str, int | float]]:
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _numbers(part, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from _numbers(part, f"{path}[{index}]")
    elif isinstance(value, int | float):
        yield path, value


def _check_sizes(directory: Path) -> None:
    """Bounds what is built by what is there, before anything is built."""
    config = AutoConfig.from_pretrained(directory, local_files_only=True)
    for name, most in _LARGEST.items():
        value = getattr(config, name, None)
        if isinstance(value, int) and not 1 <= value <= most:
            raise CheckpointError(
                f"{directory / 'config.json'}: {config.attribute_map.get(name, name)} is {value}, "
                f"expected a whole number from 1 to {most:,}"
            )


def _load(directory: Path, prefix: str = "") -> tuple[PreTrainedModel, dict[str, Any]]:
    loaded: Any = AutoModelForCausalLM.from_pretrained(
        directory,
        local_files_only=True,
        output_loading_info=True,
        ignore_mismatched_sizes=True,  # they are in the report then, one by one
        key_mapping={r"_orig_mod\.": ""} | ({f"^{re.escape(prefix)}": ""} if prefix else {}),
    )
    model, report = loaded
    return model, report


def _wrapper_prefixes(names: Iterable[str]) -> Iterator[str]:
    """The prefixes to try: the first wrapper before unexpected names, the first two, and so on."""
    first, prefix = min(names, default=""), ""
    while found := _WRAPPERS.match(first, len(prefix)):
        prefix += found.group()
        yield prefix


def _misfits(model: PreTrainedModel, report: Mapping[str, Any]) -> Iterator[str]:
    """What of the forward pass through the backbone does not match, in words."""
    idle = {
        f"{name}.{parameter}"
        for name, module in model.named_modules()
        if module in (model.get_input_embeddings(), model.get_output_embeddings())
        for parameter, _ in module.named_parameters()
    }
    shapes = {
        name: f"{name} is {tuple(a)}, not {tuple(b)}" for name, a, b in report["mismatched_keys"]
    }
    for names, what in (
        (report["missing_keys"], "lacks"),
        (report["unexpected_keys"], "has unknown"),
    ):
        if used := sorted(n for n in names if n not in idle and not _HEADS.match(n)):
            yield f"{what} {listed(used)}"
    if wrong := sorted(shapes[name] for name in shapes if name not in idle):
        yield listed(wrong)
