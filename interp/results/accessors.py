"""Members of results that packages above them define: `result.plot`, `result.write_report`.

The facade `interp` registers them by name, so a result imports neither plots nor reports, and
these are imported when a member is first used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any


@dataclass(frozen=True)
class _Member:
    module: str
    name: str
    is_method: bool


_MEMBERS: dict[tuple[str, str], _Member] = {}
"""By name of the class and name of the member."""


def register_accessor(class_name: str, name: str, place: str) -> None:
    """Makes `result.name` what the function at `place` returns for the result.

    Args:
        class_name: Name of a class of results.
        name: Of the member.
        place: `"module:function"`; the module is imported when the member is first used.
    """
    module, function = place.split(":")
    _MEMBERS[class_name, name] = _Member(module, function, is_method=False)


def register_method(class_name: str, name: str, place: str) -> None:
    """Makes `result.name(...)` a call of the function at `place` with the result as first argument.

    Args: See `register_accessor`.
    """
    module, function = place.split(":")
    _MEMBERS[class_name, name] = _Member(module, function, is_method=True)


class Extensible:
    """A class whose instances have the members registered for it or for one of its bases."""

    def __getattr__(self, name: str) -> Any:
        for kind in type(self).__mro__:
            member = _MEMBERS.get((kind.__name__, name))
            if member is not None:
                function: Callable[..., Any] = getattr(import_module(member.module), member.name)
                return partial(function, self) if member.is_method else function(self)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __dir__(self) -> Iterable[str]:
        names = {kind.__name__ for kind in type(self).__mro__}
        return [*super().__dir__(), *(name for kind, name in _MEMBERS if kind in names)]
