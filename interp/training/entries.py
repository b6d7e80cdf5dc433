"""Dataclasses from TOML tables, with errors that name the entry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

Part = TypeVar("Part")


class RecipeError(ValueError):
    """A recipe that cannot be trained as written; the message names the entry."""


def build_part(part: type[Part], where: str, table: Any) -> Part:
    """Builds a dataclass from a TOML table.

    Args:
        part: The dataclass; its fields may be plain values, `Literal`s, tuples or dataclasses.
        where: Name of the table, for errors.
        table: What the file holds there.

    Raises:
        RecipeError: An entry is missing, unknown, of the wrong type or out of range.
    """
    if not isinstance(table, Mapping):
        raise RecipeError(f"{where} must be a table, got {table!r}")
    known = {entry.name: entry for entry in fields(part)}  # type: ignore[arg-type]
    if unknown := sorted(set(table) - set(known)):
        raise RecipeError(f"{where}.{unknown[0]} is unknown; {where} takes {', '.join(known)}")
    for name, entry in known.items():
        required = entry.default is MISSING and entry.default_factory is MISSING
        if required and name not in table:
            raise RecipeError(f"{where}.{name} is missing")
    hints = get_type_hints(part)
    values = {name: _read(f"{where}.{name}", value, hints[name]) for name, value in table.items()}
    try:
        return part(**values)
    except ValueError as error:
        raise RecipeError(f"{where}.{error}") from None


def read_entry(where: str, table: Mapping[str, Any], name: str, hint: Any, default: Any) -> Any:
    """A single entry of a table, checked against a type; `MISSING` as default requires it.

    Raises:
        RecipeError: It is missing or of the wrong type.
    """
    path = f"{where}.{name}" if where else name
    if name not in table:
        if default is MISSING:
            raise RecipeError(f"{path} is missing")
        return default
    return _read(path, table[name], hint)


def _read(path: str, value: Any, hint: Any) -> Any:
    for option in _options(hint):
        if is_dataclass(option) and isinstance(option, type) and isinstance(value, Mapping):
            return build_part(option, path, value)
    if not _conforms(value, hint):
        raise RecipeError(f"{path} must be {_describe(hint)}, got {value!r}")
    if isinstance(value, (list, tuple)):
        return tuple(
            _read(path, item, part) for item, part in zip(value, _items(hint, value), strict=True)
        )
    if isinstance(value, int) and float in _options(hint) and int not in _options(hint):
        return float(value)
    return value


def _items(hint: Any, value: Sequence[Any]) -> tuple[Any, ...]:
    """The type of each item of a tuple."""
    arguments = next(get_args(option) for option in _options(hint) if get_origin(option) is tuple)
    return (arguments[0],) * len(value) if arguments[-1] is Ellipsis else arguments


def _options(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def _conforms(value: Any, hint: Any) -> bool:
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if origin in (Union, UnionType):
        return any(_conforms(value, option) for option in arguments)
    if origin is Literal:
        return value in arguments
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            return False
        if arguments[-1] is Ellipsis:
            return all(_conforms(item, arguments[0]) for item in value)
        return len(value) == len(arguments) and all(map(_conforms, value, arguments))
    if isinstance(value, bool):
        return hint is bool
    if hint is float:
        return isinstance(value, (int, float))
    return isinstance(value, origin or hint)


def _describe(hint: Any) -> str:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return " or ".join(_describe(option) for option in arguments if option is not NoneType)
    if origin is Literal:
        return "one of " + ", ".join(repr(option) for option in arguments)
    if origin is tuple:
        return "a list of " + ", ".join(_describe(option) for option in arguments)
    names = {int: "a whole number", float: "a number", str: "a string", bool: "true or false"}
    return names.get(hint) or f"a {getattr(hint, '__name__', hint)} table"
