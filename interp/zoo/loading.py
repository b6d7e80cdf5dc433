"""Checkpoints by name or path."""

from __future__ import annotations

import importlib.util
import inspect
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import torch
from torch import nn

from hooks.architectures.built_in import BUILT_IN
from hooks.checkpoints import CheckpointError, load_checkpoint
from hooks.foreign import attach_lines
from hooks.model import SequenceModel
from interp.zoo.catalogue import DEVICES, check_name, model_file, names, split_loops

_DEVICE: ContextVar[str | None] = ContextVar("device", default=None)
FUNCTION = re.compile(r"(?P<file>.+\.py):(?P<function>\w*)")


def load(
    name_or_path: str | Path, *, loops: int | None = None, device: str | None = None
) -> SequenceModel:
    """Loads a checkpoint by zoo name or from a file.

    Args:
        name_or_path: A name that `interp zoo` lists, the name of a model built to run a known
            algorithm (`hooks.architectures.built_in`), a file, or the folder of a training; or
            "my_model.py:build", a function without arguments that returns a model, as
            `hooks.attach` does: the file's code is run. With `@` and a number at its end a looped
            model runs that many loops: "looped-d5@12".
        loops: The same number of loops, in place of that of the training.
        device: Where it is to run, see `torch_device`; by default where it was made.

    Returns:
        The model in evaluation mode, with its `provenance`.

    Raises:
        CheckpointError: It is none of these, the file cannot be read, or the function is missing,
            fails or returns something else.
        ValueError: Loops are asked of a model that has none, twice, or fewer than one; or the
            machine has no such device.
    """
    where = None if device is None else torch_device(device)  # a wrong one before the file
    source, asked = split_loops(name_or_path)
    if asked is not None and loops is not None:
        raise ValueError(f"loops is given as {loops}, and as {asked} in {name_or_path}")
    n_loops = asked if loops is None else loops
    model = moved(_load(source), where)
    if n_loops is None:
        return model
    try:
        model = model.with_loops(n_loops)
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from None
    model.provenance["name"] = f"{source}@{n_loops}"
    return model


def moved(model: SequenceModel, device: str | None) -> SequenceModel:
    """The model itself, moved to a device; where it is, or where `running_on` says, for None.

    Raises:
        ValueError: As `torch_device`.
    """
    device = device or _DEVICE.get()
    return model if device is None else model.to(torch_device(device))


@contextmanager
def running_on(device: str | None) -> Iterator[None]:
    """Models that are loaded or built within run on a device where they are told no other.

    Raises:
        ValueError: As `torch_device`.
    """
    token = _DEVICE.set(None if device is None else torch_device(device))
    try:
        yield
    finally:
        _DEVICE.reset(token)


def torch_device(name: str) -> str:
    """What torch calls a device; "auto" is CUDA where there is one, and else the CPU.

    Raises:
        ValueError: It is none of `DEVICES`, or the machine has no such one.
    """
    if not re.fullmatch(DEVICES, name):
        raise ValueError(f"device must be auto, cpu, cuda, cuda:N or mps, got {name!r}")
    n_cuda = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return "cuda" if n_cuda else "cpu"
    kind, _, index = name.partition(":")
    if kind == "cuda" and int(index or 0) >= n_cuda:
        raise ValueError(f"device {name}: torch finds {n_cuda or 'none'} here; auto or cpu will do")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise ValueError("device mps: torch finds none here; auto or cpu will do")
    return name


def _load(name: str) -> SequenceModel:
    path = Path(name).expanduser()
    if (built := FUNCTION.fullmatch(name)) and not path.exists():
        return _build(Path(built["file"]).expanduser(), built["function"])
    if not path.is_file():
        if name in names():
            model = load_checkpoint(model_file(name))
            model.provenance["name"] = name
            return model
        if name in BUILT_IN:
            return BUILT_IN[name]()
    try:
        check_name(name)
    except ValueError as error:
        raise CheckpointError(str(error)) from None
    if path.is_dir() and (path / "model.safetensors").is_file():
        path = path / "model.safetensors"
    return load_checkpoint(path)


def _build(file: Path, function: str) -> SequenceModel:
    """Runs a file of the user's own and the function in it that makes a model."""
    source = f"{file}:{function}"
    if not file.is_file():
        raise CheckpointError(f"{source}: there is no file {file}")
    name = f"model_file_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickles look for it there
    sys.path.insert(0, str(file.parent.absolute()))  # for the files beside it
    try:
        _run(source, file, lambda: spec.loader.exec_module(module))  # type: ignore[union-attr]
        build = getattr(module, function, None)
        if not inspect.isroutine(build):
            known = ", ".join(key for key, _ in inspect.getmembers(module, inspect.isfunction))
            raise CheckpointError(
                f"{source}: {file} has no function {function!r}; it has {known or 'none'}"
            )
        if required := [
            parameter.name
            for parameter in inspect.signature(build).parameters.values()
            if parameter.default is parameter.empty
            and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        ]:
            raise CheckpointError(
                f"{source}: {function} needs {', '.join(required)}, expected a function that can "
                "be called without arguments"
            )
        model = _run(source, file, build)
    finally:
        sys.path.remove(str(file.parent.absolute()))
    if isinstance(model, SequenceModel):
        model.provenance = {"name": source, "path": str(file), **model.provenance}
        return model.eval()
    names = [key for key, _ in model.named_parameters()] if isinstance(model, nn.Module) else []
    raise CheckpointError(
        f"{source}: {function} returned a {type(model).__name__}, expected a model as hooks.attach "
        f"returns; {attach_lines(names)}"
    )


def _run(source: str, file: Path, code: Callable[[], Any]) -> Any:
    try:
        return code()
    except Exception as error:  # whatever it is, it is the user's
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if Path(frame.filename) == file]
        where = f" in line {lines[-1]}" if lines else ""
        raise CheckpointError(f"{source}: raised {type(error).__name__}{where}: {error}") from error
