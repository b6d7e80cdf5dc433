"""Options that several commands take."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from interp.points import POINTS
from interp.zoo.catalogue import DEVICES, check_name

MOST_PROMPTS, MOST_SEED, MOST_JOBS = 10**8, 2**63 - 1, 10_000
"""Bounds of what options take."""


class ReadoutKind(StrEnum):
    """How iterates are compared with layers."""

    matched = "matched"
    raw = "raw"


def check_checkpoint(name: str | None) -> str | None:
    """Passes a checkpoint's name or path that exists, before torch is imported."""
    if name is not None and ".py:" not in name:
        check_name(name)
    return name


CHECKPOINT_HELP = (
    "Name from `interp zoo`, file, or run directory; NAME@12 runs a looped one for 12 loops."
)
CheckpointArgument = Annotated[
    str,
    typer.Argument(
        metavar="CHECKPOINT", help=CHECKPOINT_HELP, show_default=False, callback=check_checkpoint
    ),
]
TaskOption = Annotated[
    Path | None,
    typer.Option(
        help="TOML file with a table named task, such as a recipe; by default the training task."
    ),
]
ReadoutOption = Annotated[
    ReadoutKind, typer.Option(help="Give iterates a read-out of their own, or compare them raw.")
]
BatchSizeOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=MOST_PROMPTS,
        help="Prompts of a forward pass; by default 512, fewer if activations are large.",
    ),
]


def check_points(text: str | None) -> str | None:
    """Passes points that `interp.points` can read, before torch is imported."""
    if text is not None and not re.fullmatch(POINTS, text.replace(" ", "")):
        raise typer.BadParameter(f"must be such as 3-10, 3- or 2,5,8, got {text!r}")
    return text


PointsOption = Annotated[
    str | None,
    typer.Option(
        metavar="POINTS",
        help="Points to read, such as 3-10, 3- or 2,5,8; point 3 follows three pairs. By default "
        "all that can be read.",
        show_default=False,
        callback=check_points,
    ),
]
SeedOption = Annotated[int, typer.Option(min=0, max=MOST_SEED, help="Seed of all prompts.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")]
OpenOption = Annotated[bool, typer.Option("--open", help="Open the report in the browser.")]


def check_device(name: str) -> str:
    """Passes the name of a device, before torch is imported."""
    if not re.fullmatch(DEVICES, name):
        raise typer.BadParameter(f"must be auto, cpu, cuda, cuda:N or mps, got {name!r}")
    return name


DeviceOption = Annotated[
    str,
    typer.Option(
        metavar="auto|cpu|cuda|cuda:N|mps",
        help="Where models run; auto is CUDA where there is one.",
        callback=check_device,
    ),
]
