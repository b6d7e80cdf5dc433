"""Where a result comes from: checkpoint, versions of what decides it, command."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

LIBRARIES = ("icl-interp", "torch", "transformer-lens", "numpy")


def checkpoint_of(provenance: Mapping[str, Any]) -> str:
    """The name, or else the path, of the checkpoint that a model comes from."""
    named = (str(provenance[key]) for key in ("name", "built_in", "path") if provenance.get(key))
    return next(named, "a model in memory")


def library_versions() -> dict[str, str]:
    """Installed versions, for the provenance of checkpoints and results."""
    return {name: version(name) for name in LIBRARIES}


def versions_text(versions: Mapping[str, str]) -> str:
    """Names and numbers as a page lists them."""
    return ", ".join(f"{name} {number}" for name, number in versions.items())


def command_line() -> str | None:
    """The command that is running, None where it is not `interp`."""
    is_command = Path(sys.argv[0]).name == "interp"
    return shlex.join(["interp", *sys.argv[1:]]) if is_command else None
