"""Damage to files: of their bytes, and of what is in them."""

from __future__ import annotations

import copy
import io
import json
import random
import shutil
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

NASTY: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2, 11, 2**31, 2**63, 10**30, 0.5, -0.0, 1e-320, 1e308,
    float("inf"), float("nan"), "", "11", "auto", "\x1b[31mred\x1b[0m", "[bold]x[/bold]", "=1+1",
    "a" * 100_000, "../../etc/passwd", "/dev/zero", "\x00", "\ud7ff\u202e", [], [1], [[]],
    [None] * 3, {}, {"a": 1}, {"name": {}}, [10**9] * 8,
)  # fmt: skip
"""Values to put in the place of others."""


def places(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of all entries of nested dictionaries and lists."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in items if isinstance(tree, dict | list) else ():
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from places(value, (*path, key))


def nested(depth: int) -> list[Any]:
    """A list in a list in a list …"""
    tree: list[Any] = []
    for _ in range(depth):
        tree = [tree]
    return tree


def changed_tree(tree: Any, draw: random.Random) -> Any:
    """With one entry replaced, removed, renamed, or one too many."""
    tree = copy.deepcopy(tree)
    found = list(places(tree))
    if not found:
        return draw.choice(NASTY)
    *where, key = draw.choice(found)
    owner = tree
    for step in where:
        owner = owner[step]
    how = draw.choice(("replace", "replace", "replace", "remove", "rename", "add", "nest", "swap"))
    if how == "replace":
        owner[key] = draw.choice(NASTY)
    elif how == "remove":
        del owner[key]
    elif how == "nest":
        owner[key] = nested(draw.choice((10, 400)))
    elif how == "swap":
        *other_where, other_key = draw.choice(found)
        other = tree
        for step in other_where:
            other = other[step]
        owner[key] = copy.deepcopy(other[other_key])
    elif isinstance(owner, dict):
        value = owner.pop(key) if how == "rename" else copy.deepcopy(owner[key])
        owner[draw.choice(("unknown", "name", "\x1b[2J", "shape", "[b]", ""))] = value
    else:
        owner.insert(0, draw.choice(NASTY))
    return tree


def damage_bytes(content: bytes, draw: random.Random) -> bytes:
    """Flipped bits, a cut, a splice, a forged number, or something else in between."""
    data = bytearray(content)
    size = len(data)
    at = draw.randrange(size) if size else 0
    if draw.random() < 0.3:
        at = min(at, draw.randrange(600))  # headers are where most can go wrong
    how = draw.choice(
        ("flip", "flip", "cut", "splice", "forge", "forge", "insert", "fill", "empty")
    )
    if how == "flip":
        for _ in range(draw.choice((1, 1, 4, 32))):
            if size:
                data[min(size - 1, at + draw.randrange(64))] ^= 1 << draw.randrange(8)
    elif how == "cut":
        del data[at:]
    elif how == "splice":
        other = draw.randrange(size) if size else 0
        data[at : at + 64] = data[other : other + draw.choice((16, 64, 512))]
    elif how == "forge":
        form = draw.choice(("<Q", "<I", "<H", ">I"))
        most = 256 ** struct.calcsize(form) - 1
        number = draw.choice((0, 1, most, most // 2, most // 2 + 1, min(most, 10**9), size))
        if size >= 8:
            struct.pack_into(form, data, min(at, size - 8), number & most)
    elif how == "insert":
        data[at:at] = draw.randbytes(draw.choice((1, 8, 300)))
    elif how == "fill":
        data[at : at + draw.choice((4, 64, 4096))] = bytes([draw.choice((0, 255))]) * 4
    else:
        return b"" if draw.random() < 0.5 else draw.randbytes(100)
    return bytes(data)


def damage_text(content: bytes, draw: random.Random) -> bytes:
    """Lines twice, lines away, deep brackets, long numbers, controls."""
    lines = content.decode("utf-8", "replace").splitlines()
    at = draw.randrange(len(lines)) if lines else 0
    how = draw.choice(("twice", "away", "deep", "number", "control", "value", "anchor"))
    if how == "twice":
        lines.insert(at, lines[at])
    elif how == "away":
        del lines[at]
    elif how == "deep":
        lines.insert(at, f"x = {'[' * 2000}{']' * 2000}" if draw.random() < 0.5 else "[" * 100_000)
    elif how == "number":
        lines[at] = f"{lines[at].split('=')[0].split(':')[0]} = {'9' * draw.choice((30, 5000))}"
    elif how == "control":
        lines[at] = lines[at] + draw.choice(("\x1b[2J", "\x00", "\u202e", "\r", "\x85"))
    elif how == "value":
        mark = "=" if "=" in lines[at] else ":"
        value = draw.choice(
            ("true", '"11"', "-1", "1e999", "nan", "[]", "{}", "0x10", "1979-05-27")
        )
        lines[at] = f"{lines[at].split(mark)[0]}{mark} {value}"
    else:
        lines[at:at] = ["a: &a [x,x]"] + [f"b{n}: &b{n} [*a, *a]" for n in range(3)]
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def damage_json(content: bytes, draw: random.Random) -> bytes:
    """A changed tree."""
    text = json.dumps(changed_tree(json.loads(content), draw))
    if draw.random() < 0.05:
        text = text[:-1] + ', "x": ' + "[" * 100_000 + "]" * 100_000 + "}"
    return text.encode("utf-8", "surrogatepass")


def damage_safetensors(content: bytes, draw: random.Random) -> bytes:
    """A changed header, with a length that fits it or not."""
    [length] = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    metadata = header.get("__metadata__", {})
    whole = [key for key in metadata if metadata[key][:1] in "{["]
    if whole and draw.random() < 0.6:
        key = draw.choice(whole)
        metadata[key] = json.dumps(changed_tree(json.loads(metadata[key]), draw))
        if draw.random() < 0.7:
            metadata.pop("sha256", None)
    else:
        header = changed_tree(header, draw)
    text = json.dumps(header).encode("utf-8", "surrogatepass")
    claimed = draw.choice((len(text),) * 9 + (2**40,))
    return struct.pack("<Q", claimed) + text + content[8 + length :]


def damage_zip(content: bytes, draw: random.Random) -> bytes:
    """An archive whose members are damaged, missing, double, or claim another shape."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w") as new:
        names = old.namelist()
        chosen = draw.choice(names)
        how = draw.choice(("bytes", "shape", "shape", "away", "twice", "rename", "bomb"))
        for name in names:
            member = old.read(name)
            if name != chosen:
                new.writestr(name, member)
                continue
            if how == "bytes":
                member = damage_bytes(member, draw)
            elif how == "shape":
                member = _other_shape(member, draw)
            if how == "bomb":
                new.writestr(name, member[:128] + bytes(10**8), zipfile.ZIP_DEFLATED, 9)
            elif how != "away":
                new.writestr(f"../{name}" if how == "rename" else name, member)
            if how == "twice":
                new.writestr(name, damage_bytes(member, draw))
    return out.getvalue()


def _other_shape(member: bytes, draw: random.Random) -> bytes:
    """An array of NumPy's format whose header has another shape."""
    header, newline, numbers = member.partition(b"\n")
    start = header.find(b"(")
    if start < 0 or not newline:
        return member
    shapes = (b"(10000000000,)", b"(-1,)", b"(2, 3)", b"()", b"(0,)", b"(1" + b"0" * 30 + b",)")
    changed = header[:start] + draw.choice(shapes) + b", }"
    return changed.ljust(len(header)) + newline + numbers


Damage = Callable[[bytes, random.Random], bytes]


def damage(folder: Path, kinds: dict[str, Damage], draw: random.Random) -> str:
    """Damages one of the files below a folder; returns which and how.

    Args:
        folder: The files, which are changed in place.
        kinds: By suffix, a structured damage for files of that format.
        draw: Decides everything.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    file = draw.choice(files)
    structured = kinds.get(file.suffix)
    chance = draw.random()
    if chance < 0.03:
        file.unlink()
        how = draw.choice(("gone", "folder", "loop", "device", "fifo-like"))
        if how == "folder":
            file.mkdir()
        elif how == "loop":
            file.symlink_to(file)
        elif how in ("device", "fifo-like"):
            file.symlink_to("/dev/zero" if how == "device" else "/dev/null")
        return f"{file.name}: {how}"
    content = file.read_bytes()
    name = "damage_bytes"
    if structured is not None and chance < 0.7:
        try:
            file.write_bytes(structured(content, draw))
            return f"{file.name}: {structured.__name__}"
        except (ValueError, UnicodeError, KeyError, TypeError, AttributeError):
            pass
    file.write_bytes(damage_bytes(content, draw))
    return f"{file.name}: {name}"


def copy_tree(source: Path, target: Path) -> None:
    """A fresh copy, in place of what was there."""
    if target.exists():
        shutil.rmtree(target)
    shutil.copytree(source, target)
