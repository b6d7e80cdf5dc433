"""Commands killed or interrupted at a random instant: all of the old run or all of the new.

`python tests/campaigns/kills.py --seed 0 --count 20` prints what failed. Each command first runs
undisturbed, which gives the length from which instants are drawn, and the old run.
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COMMANDS = {
    "match": ("match", "newton-exact", "--prompts", "128", "--sites", "resid_post", "--out"),
    "capture": ("capture", "newton-exact", "--prompts", "prompts.npz", "--out"),
    "train": ("train", "tiny.toml", "--out"),
}
"""By name, the command but for the place it writes to."""
ENDINGS = {"capture": (".npz", ".safetensors", ".zarr")}
RECIPE = """
name = "tiny"
model = {architecture = "gpt2", n_dims = 2, n_points = 4, n_layers = 1, n_heads = 1, d_model = 8}
task = {name = "linear_regression", n_dims = 2, n_points = 4}
training = {n_steps = 400, batch_size = 8, checkpoint_every = 20, n_validation_prompts = 64}
"""


def prepare(folder: Path) -> None:
    """Writes what the commands read."""
    import numpy as np

    xs = np.random.default_rng(0).normal(size=(4096, 11, 5))
    np.savez(folder / "prompts.npz", xs=xs, ys=xs.sum(-1))
    (folder / "tiny.toml").write_text(RECIPE, encoding="utf-8")


def start(name: str, out: str, folder: Path) -> subprocess.Popen[bytes]:
    """Starts a command; its working directory is the folder."""
    command = [sys.executable, "-m", "interp", *COMMANDS[name], out]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=pipe)


def left_behind(folder: Path) -> list[str]:
    return [str(path.relative_to(folder)) for path in folder.rglob("*.part")]


def state_of(out: Path) -> set[str]:
    """The files of a finished run that are there."""
    if not out.is_dir():
        return {out.name} if out.exists() else set()
    return {p.name for p in out.iterdir() if not p.name.startswith((".", "traceback"))}


def try_one(name: str, draw: random.Random, seconds: float, folder: Path) -> list[str]:
    """Kills or interrupts a command once, runs it again, and says what is wrong."""
    out = f"{name}{draw.choice(ENDINGS.get(name, ('',)))}"
    number = draw.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGINT))
    instant, failures = draw.uniform(0.1, seconds), []
    before = state_of(folder / out)
    with start(name, out, folder) as process:
        time.sleep(instant)
        process.send_signal(number)
        _, errors = process.communicate(timeout=120)
    label = f"{name} {number.name} at {instant:.2f} s"
    after = state_of(folder / out)
    if name == "match" and after not in (before, {"report.html", "result.nc", "summary.json"}):
        failures.append(f"{label}: holds {after}")
    if b"Traceback" in errors:
        failures.append(f"{label}: traceback {errors.splitlines()[-1]!r}")
    if number is signal.SIGINT and process.returncode not in (130, 0):
        failures.append(f"{label}: exit code {process.returncode}")
    with start(name, out, folder) as process:
        _, errors = process.communicate(timeout=300)
    exists = name == "capture" and out.endswith(".zarr") and b"exists already" in errors
    if process.returncode != 0 and not exists:
        failures.append(f"{label}: the next run ended by {process.returncode}: {errors[-200:]!r}")
    if left := left_behind(folder):
        failures.append(f"{label}: left behind {left}")
    return failures


def main() -> None:
    """Runs the campaign."""
    parser = argparse.ArgumentParser()
    parser.add_argument("commands", nargs="*", default=list(COMMANDS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=20)
    options = parser.parse_args()
    for name in options.commands or list(COMMANDS):
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            prepare(folder)
            started = time.monotonic()
            with start(name, f"{name}{ENDINGS.get(name, ('',))[0]}", folder) as process:
                process.communicate()
            seconds = time.monotonic() - started
            failures: list[str] = []
            for number in range(options.count):
                draw = random.Random(f"{name} {options.seed} {number}")
                failures += try_one(name, draw, seconds, folder)
        print(f"{name}: {options.count} kills within {seconds:.1f} s, {len(failures)} failures")
        print(*failures, sep="\n", flush=True)


if __name__ == "__main__":
    main()
