"""Dataclasses from the tables of TOML files, with errors that name the entry."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from itertools import product
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from hooks.input_file import check_tree, read_text

Part = TypeVar("Part")

WORDS = {
    "int": "a whole number", "float": "a number", "str": "a string", "bool": "true or false",
    "object": "a table", "array": "a list",
}  # fmt: skip
"""What msgspec calls a type, and what people call it."""

MOST_COMBINATIONS = 100_000
"""Of the values in a grid."""


class ConfigError(ValueError):
    """A table that is no such thing as it should describe; the message names the entry."""


def read_toml(path: str | Path) -> dict[str, Any]:
    """The tables of a TOML file.

    Raises:
        OSError: It cannot be read, is no regular file, or has more than a million bytes.
        ConfigError: It is no TOML, or nested too deeply.
    """
    try:
        tables: dict[str, Any] = check_tree(tomllib.loads(read_text(path)))
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else error
        raise ConfigError(f"not a TOML file ({reason})") from None
    return tables


def build(part: type[Part], table: Any, where: str = "") -> Part:
    """The dataclass that a TOML table describes.

    Args:
        part: The dataclass; its fields may be plain values, `Literal`s, tuples or dataclasses.
        table: What the file holds.
        where: Path of the table in the file, for errors.

    Raises:
        ConfigError: An entry is missing, unknown, of the wrong type or out of range.
    """
    if not isinstance(table, Mapping):
        raise ConfigError(f"{where} must be a table, got {table!r}")
    for unknown in _unknown(part, table, where):
        raise ConfigError(unknown)
    try:
        return msgspec.convert(table, part)
    except msgspec.ValidationError as error:
        raise ConfigError(_sentence(str(error), part, table, where)) from None


def combinations(values: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
    """Every combination of one value of each entry.

    Raises:
        ConfigError: There are more than `MOST_COMBINATIONS`.
    """
    if (n_all := math.prod(map(len, values.values()))) > MOST_COMBINATIONS:
        raise ConfigError(f"{', '.join(values)} make {n_all:,} combinations, expected at most "
                          f"{MOST_COMBINATIONS:,}")  # fmt: skip
    for chosen in product(*values.values()):
        yield dict(zip(values, chosen, strict=True))


def _unknown(part: Any, table: Mapping[str, Any], where: str) -> Iterator[str]:
    """Entries that a dataclass, or one within it, has no field for."""
    hints = get_type_hints(part)
    known = [entry.name for entry in fields(part)]
    for name, value in table.items():
        path = _joined(where, name)
        if name not in known:
            takes = f"{where or 'the file'} takes {', '.join(known)}"
            yield f"{path} is unknown; {takes}"
            continue
        inner = next((option for option in _options(hints[name]) if is_dataclass(option)), None)
        if inner and isinstance(value, Mapping):
            yield from _unknown(inner, value, path)


def _sentence(text: str, part: Any, table: Mapping[str, Any], where: str) -> str:
    """What msgspec says of an entry, in the words of the other errors."""
    text, _, place = text.partition(" - at `$")
    hint, path = part, where
    value: Any = table
    for name, index in re.findall(r"\.(\w+)|\[(\d+)\]", place):
        if name:
            owner = next(option for option in _options(hint) if is_dataclass(option))
            hint, value, path = get_type_hints(owner)[name], value[name], _joined(path, name)
        else:
            items = next(get_args(o) for o in _options(hint) if get_origin(o) is tuple)
            hint = items[0 if items[-1] is Ellipsis else int(index)]
            value, path = value[int(index)], f"{path}[{index}]"
    if missing := re.fullmatch(r"Object missing required field `(\w+)`", text):
        return f"{_joined(path, missing[1])} is missing"
    if expected := re.fullmatch(r"Expected `([^`]+)`( of length \d+)?, got .*", text):
        kinds = [WORDS.get(kind, kind) for kind in expected[1].split(" | ") if kind != "null"]
        if kinds == ["a list"] and isinstance(value, Mapping):
            kinds = [f"a list of tables, written [[{path}]]"]
        return f"{path} must be {' or '.join(kinds)}{expected[2] or ''}, got {value!r}"
    if text.startswith("Invalid enum value"):
        choices = [repr(c) for o in _options(hint) if get_origin(o) is Literal for c in get_args(o)]
        return f"{path} must be one of {', '.join(choices)}, got {value!r}"
    return _joined(path, text)


def _options(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
