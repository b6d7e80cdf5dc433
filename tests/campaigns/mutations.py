"""Damaged files of every kind that people hand in: right, or one sentence.

`python tests/campaigns/mutations.py --seed 0 --count 2000 [KIND …]` runs them and prints what
failed; each failure can be run again by its kind, seed and number.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import resource
import shutil
import signal
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray
import yaml
from mutate import (
    Damage,
    copy_tree,
    damage,
    damage_json,
    damage_safetensors,
    damage_text,
    damage_zip,
)

from interp.errors import EXPECTED_ERRORS, describe_error

SECONDS = 5.0
BYTES = 500 * 2**20
"""Beyond what a process with everything imported needs."""
LONGEST = 300
"""Letters of a sentence."""
DAMAGES: dict[str, Damage] = {
    ".toml": damage_text, ".yaml": damage_text, ".json": damage_json, ".npz": damage_zip,
    ".pt": damage_zip, ".safetensors": damage_safetensors,
}  # fmt: skip


class Hang(BaseException):
    """An answer took too long; no `except Exception` swallows it."""


@dataclass(frozen=True)
class Kind:
    """A kind of file: how to write an undamaged one, and what reads it."""

    make: Callable[[Path], None]
    read: Callable[[Path], Any]
    is_checked: bool = False
    """Whether damage must be noticed, or do no harm: an answer must equal the undamaged one."""


def model() -> Any:
    from hooks.architectures import build_model

    sizes = {"n_dims": 2, "n_points": 4, "n_layers": 2, "n_heads": 1, "d_model": 8}
    return build_model("gpt2", sizes)


def predictions(path: Path) -> Any:
    from hooks.inference import predict
    from interp.zoo.loading import load

    found = load(str(path))
    shape = (3, found.config.n_points, found.config.n_dims)
    xs = torch.linspace(-1, 1, int(np.prod(shape))).reshape(shape)
    return predict(found, xs, xs.sum(-1)).tolist()


def make_native(folder: Path) -> None:
    from hooks.checkpoints import save_checkpoint

    save_checkpoint(model(), folder / "model.safetensors", {"step": 3, "task": {"name": "x"}})


def make_run(folder: Path) -> None:
    from hooks.checkpoints.gpt2_names import to_huggingface

    weights = model().state_dict()
    state = {f"_backbone.{name}": weight for name, weight in to_huggingface(weights).items()}
    state |= {f"_{name}": w for name, w in weights.items() if name.startswith("read_")}
    torch.save({"model_state_dict": state, "train_step": 5}, folder / "state.pt")
    sizes = {
        "family": "gpt2",
        "n_dims": 2,
        "n_positions": 4,
        "n_layer": 2,
        "n_head": 1,
        "n_embd": 8,
    }
    curriculum = {"dims": {"start": 1, "end": 2}, "points": {"start": 2, "end": 4}}
    training = {"task": "linear_regression", "data": "gaussian", "curriculum": curriculum}
    config = {"model": sizes, "training": training, "out_dir": "x"}
    (folder / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")


def make_huggingface(folder: Path) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    from hooks.checkpoints import save_ends
    from hooks.huggingface import wrap_huggingface

    config = GPT2Config(n_positions=16, n_embd=8, n_layer=1, n_head=1, vocab_size=10)
    backbone = GPT2LMHeadModel(config)
    backbone.save_pretrained(folder)
    save_ends(wrap_huggingface(backbone, n_dims=2, n_points=4), folder)


def read_huggingface(path: Path) -> Any:
    return predictions(path)


def arrays() -> dict[str, np.ndarray]:
    draw = np.random.default_rng(0)
    xs = draw.normal(size=(6, 4, 2))
    return {"xs": xs, "ys": xs.sum(-1), "resid_post": draw.normal(size=(2, 6, 4, 3))}


def make_npz(folder: Path) -> None:
    np.savez(folder / "file.npz", **arrays())


def make_safetensors(folder: Path) -> None:
    from safetensors.numpy import save_file

    metadata = {"activations": json.dumps({"points_from": 1, "axes": {"xs": ["prompt"]}})}
    save_file(arrays(), folder / "file.safetensors", metadata)


def make_pt(folder: Path) -> None:
    content = {name: torch.tensor(array) for name, array in arrays().items()}
    torch.save({**content, "metadata": {"points_from": 1}}, folder / "file.pt")


def make_zarr(folder: Path) -> None:
    import zarr

    group = zarr.open_group(folder / "file.zarr", mode="w", attributes={"points_from": 1})
    for name, array in arrays().items():
        group.create_array(name, data=array, chunks=(2, *array.shape[1:]))


def only(folder: Path) -> Path:
    return next(path for path in folder.iterdir())


def read_activations(folder: Path) -> Any:
    from hooks.activation_files import open_activations

    names = [path.name for path in folder.iterdir()]
    file = open_activations(folder / (names[0] if names else "file.npz"))
    return [
        (part.xs.tolist(), part.ys.tolist(), part.activations.tolist())
        for part in file.stream(batch_size=4)
    ]


def read_prompts(folder: Path) -> Any:
    from interp.tasks.prompt_file import read_prompts as read

    found = read(folder / "file.npz")
    return found.xs.tolist(), found.ys.tolist()


def make_recipe(folder: Path) -> None:
    from interp.recipes import find_recipe

    shutil.copy(find_recipe("looped-d5"), folder / "recipe.toml")


def read_task(folder: Path) -> Any:
    from interp.tasks.prompt_file import read_task as read

    read(folder / "recipe.toml").describe()


def read_recipe(folder: Path) -> Any:
    from interp.training.recipe import Recipe

    Recipe.read(folder / "recipe.toml").describe()


def make_grid(folder: Path) -> None:
    text = """
seeds = [0, 1]
[[model]]
checkpoint = "newton-exact"
label = "x"
[[model]]
checkpoint = "gpt2-d5"
[[task]]
label = "noise"
noise_std = 0.5
[[analysis]]
name = "error"
n_prompts = 64
[[analysis]]
name = "match"
n_prompts = 512
"""
    (folder / "grid.toml").write_text(text, encoding="utf-8")


def read_grid(folder: Path) -> Any:
    from interp.study.grid import read_grid as read
    from interp.study.sweep import plan_models

    plan_models(read(folder / "grid.toml"))


def make_calibration_grid(folder: Path) -> None:
    lines = ("[[block]]", 'algorithm = ["gd", "newton"]', "iterations_per_layer = [1, 3]")
    text = "\n".join((*lines, "n_prompts = 256", "n_seeds = 2", ""))
    (folder / "grid.toml").write_text(text, encoding="utf-8")


def read_calibration_grid(folder: Path) -> Any:
    from interp.studies.calibration.grid import read_grid as read

    read(str(folder / "grid.toml"))


_result: list[Any] = []


def make_result(folder: Path) -> None:
    import interp

    if not _result:
        settings = interp.MatchSettings(n_prompts=128, site_kinds=("resid_post",))
        _result.append(interp.match(interp.load("newton-exact"), settings=settings))
    _result[0].save(folder / "result.nc")


def read_result(folder: Path) -> Any:
    import interp

    found = interp.open_result(folder / "result.nc")
    return found.summary(), repr(found), found.to_dataframe().to_csv()


def make_stored(folder: Path) -> None:
    from interp.study.store import Store

    data = xarray.Dataset(
        {"a": ("x", np.arange(5.0)), "name": ("x", list("abcde"))}, {"x": range(5)}
    )
    Store(folder, xarray.Dataset).put("key", data.assign_attrs(format="f"))


def read_stored(folder: Path) -> Any:
    from interp.study.store import Store

    return Store(folder, xarray.Dataset).read("key").to_dict()


def make_stored_json(folder: Path) -> None:
    from interp.results.error_rate import Counts, ErrorRates
    from interp.study.store import Store

    Store(folder, ErrorRates).put("key", ErrorRates((Counts(1, 2, 3, 128),)))


def read_stored_json(folder: Path) -> Any:
    from interp.results.error_rate import ErrorRates
    from interp.study.store import Store

    return repr(Store(folder, ErrorRates).read("key"))


def make_training(folder: Path) -> None:
    from interp.training.recipe import Recipe
    from interp.training.train import train

    train(Recipe.from_mapping(_tiny()), folder, stop_after=2)


def _tiny() -> dict[str, Any]:
    sizes = {"n_dims": 2, "n_points": 4}
    more = {"n_layers": 1, "n_heads": 1, "d_model": 8}
    training = {"n_steps": 2, "batch_size": 8, "checkpoint_every": 1, "n_validation_prompts": 64}
    return {
        "name": "tiny", "model": {"architecture": "gpt2", **sizes, **more},
        "task": {"name": "linear_regression", **sizes}, "training": training,
    }  # fmt: skip


def read_training(folder: Path) -> Any:
    from interp.training.recipe import Recipe
    from interp.training.train import train
    from interp.zoo.catalogue import read_entry

    train(Recipe.from_mapping(_tiny()), folder)
    read_entry(folder)


KINDS: dict[str, Kind] = {
    "checkpoint": Kind(make_native, lambda f: predictions(f / "model.safetensors"), True),
    "run": Kind(make_run, predictions),
    "huggingface": Kind(make_huggingface, read_huggingface),
    "npz": Kind(make_npz, read_activations),
    "safetensors": Kind(make_safetensors, read_activations),
    "pt": Kind(make_pt, read_activations),
    "zarr": Kind(make_zarr, read_activations),
    "prompts": Kind(make_npz, read_prompts),
    "task": Kind(make_recipe, read_task),
    "recipe": Kind(make_recipe, read_recipe),
    "grid": Kind(make_grid, read_grid),
    "calibration": Kind(make_calibration_grid, read_calibration_grid),
    "result": Kind(make_result, read_result, True),
    "stored": Kind(make_stored, read_stored, True),
    "stored-json": Kind(make_stored_json, read_stored_json),
    "training": Kind(make_training, read_training),
}


@dataclass
class Outcome:
    """What a campaign found."""

    n: int = 0
    answers: int = 0
    sentences: int = 0
    failures: list[str] = field(default_factory=list)


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    def stop(number: int, frame: Any) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def in_use() -> int:
    """Bytes of memory that this process has touched."""
    with Path("/proc/self/statm").open(encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def peak() -> int:
    """The most since the last call of `forget_peak`."""
    with Path("/proc/self/status").open(encoding="ascii") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM"))


def forget_peak() -> None:
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def asked_for_memory(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, MemoryError) or "allocate memory" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def try_one(kind: Kind, folder: Path, expected: Any, outcome: Outcome, label: str) -> None:
    """Reads a damaged file and notes what came of it."""
    outcome.n += 1
    forget_peak()
    before = in_use()
    started = time.process_time()
    try:
        with time_limit(4 * SECONDS):  # of the clock; the limit is for the processor's time
            found = kind.read(folder)
        is_sealed = kind.is_checked and "safetensors" not in label  # they take the checksum off
        if is_sealed and repr(found) != repr(expected):
            outcome.failures.append(f"{label}: silently another answer")
        outcome.answers += 1
    except EXPECTED_ERRORS as error:
        outcome.sentences += 1
        text = describe_error(error).partition("\n\n")[0]
        if len(text) > LONGEST + len(str(folder)):
            outcome.failures.append(f"{label}: {len(text)} letters: {text[:100]}")
        if any(ord(c) < 32 or 127 <= ord(c) < 160 for c in text):
            outcome.failures.append(f"{label}: control characters: {text[:100]!r}")
        if asked_for_memory(error):
            outcome.failures.append(f"{label}: asked for too much memory: {text[:100]}")
    except Hang:
        outcome.failures.append(f"{label}: hang")
    except Exception as error:
        outcome.failures.append(f"{label}: traceback {_where(error)} {str(error)[:90]!r}")
    if time.process_time() - started > SECONDS:
        outcome.failures.append(f"{label}: {time.process_time() - started:.1f} s")
    if peak() - before > BYTES:
        outcome.failures.append(f"{label}: {(peak() - before) / 2**20:.0f} MB")


def _where(error: BaseException) -> str:
    """The line of this project that an error came through last."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [f for f in frames if "/hooks/" in f.filename or "/interp/" in f.filename]
    place = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else frames[-1].filename
    return f"{type(error).__name__} {place}"


def run(name: str, seed: int, count: int, only_number: int | None = None) -> Outcome:
    """Damages files of a kind, one after another."""
    kind, outcome = KINDS[name], Outcome()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as temporary:
        whole, folder = Path(temporary) / "whole", Path(temporary) / "f"
        whole.mkdir()
        kind.make(whole)
        copy_tree(whole, folder)
        expected = kind.read(folder)
        for number in range(count):
            if only_number not in (None, number):
                continue
            draw = random.Random(f"{name} {seed} {number}")
            copy_tree(whole, folder)
            how = damage(folder, DAMAGES, draw)
            try_one(kind, folder, expected, outcome, f"{name} {seed} {number} ({how})")
    return outcome


def main() -> None:
    """Runs the campaigns and prints failures by kind."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kinds", nargs="*", default=list(KINDS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--number", type=int)
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    most = 8 * 2**30  # so that a blow-up ends this process's allocation and not the machine
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    for name in options.kinds or list(KINDS):
        started = time.monotonic()
        outcome = run(name, options.seed, options.count, options.number)
        seconds = time.monotonic() - started
        counts = f"{outcome.n} files, {outcome.answers} answers, {outcome.sentences} sentences"
        print(f"{name}: {counts}, {len(outcome.failures)} failures, {seconds:.0f} s", flush=True)
        grouped = Counter(f.split(": ", 1)[1][:110] for f in outcome.failures)
        for what, n in grouped.most_common(25):
            example = next(f for f in outcome.failures if what in f)
            print(f"   {n} × {what}   e.g. {example.split(': ')[0]}")


if __name__ == "__main__":
    main()
