"""Everything between a model and its activations: architectures, checkpoints, capture."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hooks.activation_files import ActivationFile as ActivationFile
    from hooks.activation_files import ActivationFileError as ActivationFileError
    from hooks.activation_files import open_activations as open_activations
    from hooks.activation_files import write_activations as write_activations
    from hooks.architectures import ARCHITECTURES as ARCHITECTURES
    from hooks.architectures import build_model as build_model
    from hooks.attach import attach as attach
    from hooks.attached_model import AttachedModel as AttachedModel
    from hooks.capture import capture as capture
    from hooks.captured import Captured as Captured
    from hooks.checkpoints import CheckpointError as CheckpointError
    from hooks.checkpoints import load_checkpoint as load_checkpoint
    from hooks.checkpoints import load_fu_run as load_fu_run
    from hooks.checkpoints import load_huggingface as load_huggingface
    from hooks.checkpoints import save_checkpoint as save_checkpoint
    from hooks.checkpoints import save_ends as save_ends
    from hooks.checkpoints import save_huggingface as save_huggingface
    from hooks.finite import NonFiniteError as NonFiniteError
    from hooks.huggingface import HuggingFaceModel as HuggingFaceModel
    from hooks.huggingface import train_ends as train_ends
    from hooks.huggingface import wrap_huggingface as wrap_huggingface
    from hooks.induced_weights import Induced as Induced
    from hooks.induced_weights import induce_weights as induce_weights
    from hooks.model import ModelConfig as ModelConfig
    from hooks.model import SequenceModel as SequenceModel
    from hooks.module_names import PatternError as PatternError
    from hooks.prompt_vocabulary import BridgedPrompts as BridgedPrompts
    from hooks.prompt_vocabulary import bridge_prompts as bridge_prompts
    from hooks.reordered import Reordered as Reordered
    from hooks.sites import Site as Site
    from hooks.wiring import Wiring as Wiring
    from hooks.wiring import check_wiring as check_wiring
    from hooks.wiring_error import WiringError as WiringError

_MODULES = {
    "ARCHITECTURES": "hooks.architectures",
    "ActivationFile": "hooks.activation_files",
    "ActivationFileError": "hooks.activation_files",
    "AttachedModel": "hooks.attached_model",
    "BridgedPrompts": "hooks.prompt_vocabulary",
    "Captured": "hooks.captured",
    "CheckpointError": "hooks.checkpoints",
    "HuggingFaceModel": "hooks.huggingface",
    "Induced": "hooks.induced_weights",
    "ModelConfig": "hooks.model",
    "NonFiniteError": "hooks.finite",
    "SequenceModel": "hooks.model",
    "PatternError": "hooks.module_names",
    "Reordered": "hooks.reordered",
    "Site": "hooks.sites",
    "Wiring": "hooks.wiring",
    "WiringError": "hooks.wiring_error",
    "attach": "hooks.attach",
    "bridge_prompts": "hooks.prompt_vocabulary",
    "build_model": "hooks.architectures",
    "capture": "hooks.capture",
    "check_wiring": "hooks.wiring",
    "induce_weights": "hooks.induced_weights",
    "load_checkpoint": "hooks.checkpoints",
    "load_fu_run": "hooks.checkpoints",
    "load_huggingface": "hooks.checkpoints",
    "open_activations": "hooks.activation_files",
    "save_checkpoint": "hooks.checkpoints",
    "save_ends": "hooks.checkpoints",
    "save_huggingface": "hooks.checkpoints",
    "train_ends": "hooks.huggingface",
    "wrap_huggingface": "hooks.huggingface",
    "write_activations": "hooks.activation_files",
}
"""Public names and where they live; imported when first asked for, as TransformerLens is slow."""

__all__ = list(_MODULES)


class _LazyPackage(ModuleType):
    """Keeps `hooks.capture` the function when the import system binds the module of that name."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _MODULES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'hooks' has no {name!r}")
    value = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


sys.modules[__name__].__class__ = _LazyPackage
