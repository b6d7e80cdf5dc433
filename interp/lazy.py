"""Packages whose names are imported when they are first used (PEP 562)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy_names(
    package: str, names: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Builds the `__getattr__` and `__dir__` of a package that starts fast.

    Args:
        package: The package's `__name__`.
        names: For each public name the module that holds it; a module's own name stands for the
            module itself.

    Returns:
        Two functions to assign to `__getattr__` and `__dir__`.
    """

    def get(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = import_module(names[name])
        return module if names[name] == f"{package}.{name}" else getattr(module, name)

    def names_of_package() -> list[str]:
        return sorted(names)

    return get, names_of_package
