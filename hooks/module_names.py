"""Finding modules of a foreign model by the pattern of their names."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from itertools import groupby

from torch import nn


class PatternError(ValueError):
    """A pattern does not name the modules it should; the message shows the module tree."""


def match_modules(
    root: nn.Module, pattern: str | Sequence[str], argument: str, *, count: int | None = None
) -> list[str]:
    """Names of the modules that a pattern matches, in the order of the numbers in them.

    What `torch.compile` wraps around modules (`_orig_mod`) may be left out of the pattern.

    Args:
        root: The model.
        pattern: A name as in `root.named_modules()`, in which `*` stands for any one part between
            dots; or the names themselves, in order.
        argument: What to call the pattern in an error.
        count: How many modules it must match, if that is known.

    Raises:
        PatternError: It matches none, or not as many as it should.
    """
    names: dict[str, str] = {}
    for name, _ in root.named_modules():
        names.setdefault(without_wrappers(name), name)
    del names[""]
    if isinstance(pattern, str):
        parts = r"[^.]*".join(re.escape(part) for part in without_wrappers(pattern).split("*"))
        found = sorted(filter(re.compile(parts).fullmatch, names), key=_natural_order)
    else:
        found = [name for name in map(without_wrappers, pattern) if name in names]
        count = len(pattern)
    matched = [names[name] for name in found]
    if not matched or (count is not None and len(matched) != count):
        wanted = f"{count} of them" if count is not None else "at least one"
        raise PatternError(
            f"{argument}={pattern!r} matches {len(matched)} modules, expected {wanted}; "
            f"the module tree:\n{module_tree(root, matched)}"
        )
    return matched


def longest_module_list(root: nn.Module) -> list[str]:
    """Names of the members of the longest `ModuleList` in a model, the outermost of equals.

    Raises:
        PatternError: There is none.
    """
    lists = {
        name: module
        for name, module in root.named_modules()
        if isinstance(module, nn.ModuleList) and len(module)
    }
    if not lists:
        raise PatternError(
            "layers is not given and the model has no ModuleList to take them from; "
            f"the module tree:\n{module_tree(root)}"
        )
    name = max(lists, key=lambda name: len(lists[name]))
    return [f"{name}.{child}".lstrip(".") for child, _ in lists[name].named_children()]


def without_wrappers(name: str) -> str:
    """A module's name without the parts that `torch.compile` puts into it."""
    return ".".join(part for part in name.split(".") if part != "_orig_mod")


def module_tree(root: nn.Module, matched: Collection[str] = ()) -> str:
    """The modules of a model, one a line; numbered ones of one type share a line.

    Args:
        root: The model.
        matched: Names to mark with an arrow.
    """
    return "\n".join([f"  ({type(root).__name__})", *_lines(root, "", set(matched))])


def _lines(module: nn.Module, prefix: str, matched: set[str]) -> list[str]:
    lines = []
    children = list(module.named_children())
    for _, group in groupby(children, lambda child: (child[0].isdigit(), type(child[1]))):
        members = list(group)
        runs = [members] if members[0][0].isdigit() else [[member] for member in members]
        for run in runs:
            names = [f"{prefix}{name}" for name, _ in run]
            span = names[0] if len(run) == 1 else f"{names[0]} … {names[-1]}"
            n_matched = sum(name in matched for name in names)
            arrow = f"  <- matched {n_matched}" if n_matched else ""
            lines.append(f"  {span}: {type(run[0][1]).__name__}{arrow}")
            lines += _lines(run[0][1], f"{names[0]}.", matched)
    return lines


def _natural_order(name: str) -> list[tuple[bool, int, str]]:
    parts = re.split(r"(\d+)", name)
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts]
