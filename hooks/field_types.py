"""Whether the fields of a dataclass of plain values hold what their annotations say."""

from __future__ import annotations

from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

WORDS = {int: "a whole number", float: "a number", str: "a string", bool: "true or false"}


def check_types(config: object) -> None:
    """Checks the fields that are numbers, strings, choices of them, or sequences of these.

    Raises:
        ValueError: One holds something else; the message names it.
    """
    for name, hint in get_type_hints(type(config)).items():
        if get_origin(hint) is None and hint not in WORDS:
            continue
        value = getattr(config, name)
        if not _fits(value, hint):
            raise ValueError(f"{name} must be {_words(hint)}, got {value!r}")


def _fits(value: Any, hint: Any) -> bool:
    kind, options = get_origin(hint), get_args(hint)
    if kind in (Union, UnionType):
        return any(_fits(value, option) for option in options)
    if kind is Literal:
        return any(type(value) is type(option) and value == option for option in options)
    if kind is tuple and options[-1] is Ellipsis:
        is_sequence = isinstance(value, tuple | list)
        return is_sequence and all(_fits(part, options[0]) for part in value)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return not isinstance(hint, type) or isinstance(value, hint)


def _words(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return "one of " + ", ".join(map(repr, get_args(hint)))
    options = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    return " or ".join(_word(option) for option in options if option is not NoneType)


def _word(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return _words(hint)
    return WORDS.get(hint, "a list" if get_origin(hint) is tuple else str(hint))
