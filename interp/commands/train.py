"""`interp train`: trainings by recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from interp.commands.options import MOST_JOBS


def train(
    recipes: Annotated[
        list[str],
        typer.Argument(
            metavar="RECIPE", help="TOML files, or names of shipped recipes.", show_default=False
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            readable=False, help="Folder for the results; each training gets a folder in it."
        ),
    ] = Path("runs"),
    jobs: Annotated[int, typer.Option(min=1, max=MOST_JOBS, help="Trainings at a time.")] = 1,
    threads: Annotated[
        int | None,
        typer.Option(
            min=1, max=MOST_JOBS, help="Threads of each training; all cores shared out by default."
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            min=1, help="Stop after this many steps; the same command without it goes on."
        ),
    ] = None,
    log_with: Annotated[
        str | None,
        typer.Option(
            metavar="TRACKER", help="Log to trackio, tensorboard or wandb too, which you install."
        ),
    ] = None,
    match_every: Annotated[
        int,
        typer.Option(
            min=0, help="Steps between small matches beside the training, 5 % of its time at most."
        ),
    ] = 0,
) -> None:
    """Train models by recipe, going on from where an earlier run was cut off."""
    import os
    import shlex
    import signal
    import sys

    from interp.recipes import find_recipe

    files = [find_recipe(recipe) for recipe in recipes]

    from rich.console import Console

    from interp.analyses.small_match import small_match
    from interp.training.display import TrainingTable
    from interp.training.monitoring import Monitoring
    from interp.training.queue import Job, run_here, run_queue
    from interp.training.recipe import Recipe
    from interp.training.run_directory import RunDirectory

    monitoring = Monitoring(log_with, match_every, small_match if match_every else None)
    queue = [Job(recipe, out / recipe.name, monitoring) for recipe in map(Recipe.read, files)]
    n_threads = threads or max(1, (os.cpu_count() or 1) // min(jobs, len(queue)))
    is_first_process = os.environ.get("RANK", "0") == "0"  # of those that accelerate started
    table = TrainingTable([job.recipe for job in queue], Console(quiet=not is_first_process))
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C
    try:
        with table:
            if len(queue) == 1:
                run_here(queue[0], table, n_threads=n_threads, stop_after=steps)
                failures = {}
            else:
                failures = run_queue(
                    queue, table, n_workers=jobs, n_threads=n_threads, stop_after=steps
                )
    except KeyboardInterrupt:
        is_saved = any(RunDirectory(job.directory).state_file.exists() for job in queue)
        if is_saved and is_first_process:
            given = {
                "--jobs": jobs if jobs > 1 else None,
                "--threads": threads,
                "--steps": steps,
                "--log-with": log_with,
                "--match-every": match_every,
            }
            options = [text for name, n in given.items() if n for text in (name, str(n))]
            line = shlex.join(["interp", "train", *recipes, "--out", str(out), *options])
            print(f"interp: saved in {out}; this goes on from there: {line}", file=sys.stderr)
        raise
    if is_first_process:
        for index, job in enumerate(queue):
            if index not in failures:
                print(job.directory / "model.safetensors")
    if failures:
        raise ValueError(
            f"{len(failures)} of {len(queue)} trainings failed: "
            + "; ".join(f"{queue[index].recipe.name}: {why}" for index, why in failures.items())
        )
