"""Types beside the weights of a pickled file that can be made without running foreign code."""

from __future__ import annotations

import argparse
import collections
import datetime
import pathlib
import types
import uuid
from typing import Any

import numpy as np
import torch
from numpy._core import multiarray


class PlainMapping:
    """Replaces a mapping type of a library that need not be installed; makes plain dicts.

    The unpickler fills in `OrderedDict`s and no subclass of them.
    """

    def __new__(cls, *arguments: Any) -> Any:
        del arguments  # such as the factory of a defaultdict
        return collections.OrderedDict()


_MAPPINGS = (
    "collections.defaultdict",
    "lightning.fabric.utilities.data.AttributeDict",
    "lightning_fabric.utilities.data.AttributeDict",
    "lightning_utilities.core.apply_func.AttributeDict",
    "pytorch_lightning.utilities.parsing.AttributeDict",
    "lightning.pytorch.utilities.parsing.AttributeDict",
    "munch.Munch",
    "quinine.quinfig.Quinfig",
    "easydict.EasyDict",
)
_BUILT_IN = (bool, int, float, str, bytes, list, tuple, dict, frozenset, slice, range)
_PATHS = {"Posix": pathlib.PurePosixPath, "Windows": pathlib.PureWindowsPath}
_TYPES = (
    np.ndarray,
    np.dtype,
    *{type(np.dtype(code)) for code in np.typecodes["All"] if code != "O"},
    argparse.Namespace,
    types.SimpleNamespace,
    datetime.date,
    datetime.datetime,
    datetime.timedelta,
    datetime.timezone,
    uuid.UUID,
    torch.torch_version.TorchVersion,
)

HARMLESS: list[Any] = [
    *((kind, f"builtins.{kind.__name__}") for kind in _BUILT_IN),
    *_TYPES,
    *((PlainMapping, name) for name in _MAPPINGS),
    *(
        (pure, f"{module}.{prefix}{system}Path")
        for module in ("pathlib", "pathlib._local")
        for system, pure in _PATHS.items()
        for prefix in ("", "Pure")
    ),
    *(
        (getattr(multiarray, name), f"numpy.{core}.multiarray.{name}")
        for core in ("core", "_core")
        for name in ("scalar", "_reconstruct")
    ),
]
"""For `torch.serialization.safe_globals`: types, or a replacement with its type's full name."""
