"""Which part of a result a picture shows when it is not told."""

from __future__ import annotations

from collections.abc import Sequence

from interp.result import MatchResult


def choose_site(result: MatchResult, kind: str | None) -> str:
    """The kind of site asked for, or the first, which the verdict is about.

    Raises:
        ValueError: It was not read.
    """
    kinds = [str(name) for name in result.layers.site.values]
    if kind is None:
        return kinds[0]
    if kind not in kinds:
        raise ValueError(f"site {kind!r} was not read; read were {', '.join(kinds)}")
    return kind


def stepping(result: MatchResult) -> tuple[str, ...]:
    """References with a step axis, in the result's order."""
    return tuple(name for name in result.references if result.reference(name).sizes["step"] > 1)


def choose_stepping(result: MatchResult, names: Sequence[str] | None) -> tuple[str, ...]:
    """The references asked for, or all with a step axis.

    Raises:
        ValueError: One was not compared, or has no steps.
    """
    known = stepping(result)
    if names is None:
        return known
    for name in names:
        result.reference(name)
        if name not in known:
            raise ValueError(f"reference {name!r} has no steps; with steps: {', '.join(known)}")
    return tuple(names)


def quoted_reference(result: MatchResult) -> str | None:
    """The reference whose steps per layer the verdict quotes, else the first that has steps."""
    if result.verdict.quoted:
        return result.verdict.quoted[1].name
    return next(iter(stepping(result)), None)


def choose_reference(result: MatchResult, name: str | None) -> str:
    """The reference asked for, or the one that the verdict quotes.

    Raises:
        ValueError: It was not compared or has no steps, or there is none to choose.
    """
    chosen = name or quoted_reference(result)
    if chosen is None:
        raise ValueError("no reference with steps was compared")
    return choose_stepping(result, (chosen,))[0]
