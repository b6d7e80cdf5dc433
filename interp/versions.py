"""Versions of what decides a result."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version

LIBRARIES = ("icl-interp", "torch", "transformer-lens", "numpy")


def library_versions() -> dict[str, str]:
    """Installed versions, for the provenance of checkpoints and results."""
    return {name: version(name) for name in LIBRARIES}


def versions_text(versions: Mapping[str, str]) -> str:
    """Names and numbers as a page lists them."""
    return ", ".join(f"{name} {number}" for name, number in versions.items())
