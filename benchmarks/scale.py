"""How fast, how large, and what gives out first?

Prints, in CPU seconds of one thread so that other work on the machine does not count:

    rates       prompts a second through a model, its read-out statistics and the references, for a
                model of the small scale (d = 5) and of the paper's (d = 20, 9.5 M parameters)
    large       one layer of a model of a billion parameters (d_model 2,048), and what all of them
                take: time and memory for forward pass, statistics, merging and solving
    match       `interp match` of the paper's size (12 layers of d_model 256, d = 20, 41 points),
                beside its floor: its prompts through the model and its twin, and nothing else
    workers     shards of one model's read-outs on one process and on two

    python benchmarks/scale.py rates|large|match|workers
"""

from __future__ import annotations

import argparse
import os
import resource
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from hooks import build_model
from hooks.capture import capture
from hooks.inference import inference
from interp.analyses.comparisons import default_comparisons, select
from interp.analyses.examination import N_CONTROL_PROMPTS
from interp.analyses.match import match
from interp.analyses.match_settings import budget_of
from interp.scoring.direct_targets import DirectTargets
from interp.study import Pool
from interp.study.analysis import AnalysisCell, run_cell
from interp.study.checkpoint import Checkpoint
from interp.study.readouts import ReadoutAnalysis
from interp.tasks import LinearRegression
from probes.readout_fitter import ReadoutFitter
from probes.references import Prefixes
from probes.statistics import RegressionStatistics

SMALL = {"n_dims": 5, "n_points": 11, "n_layers": 8, "n_heads": 4, "d_model": 64}
PAPER = {"n_dims": 20, "n_points": 41, "n_layers": 12, "n_heads": 8, "d_model": 256}
BILLION = {"n_dims": 20, "n_points": 41, "n_layers": 20, "n_heads": 16, "d_model": 2048}
"""20 layers of 12 d_model^2 weights: 1.0 billion parameters."""
WARM_UP = ReadoutAnalysis(n_prompts=64)
MB, GB = 1e6, 1e9


def cpu_seconds(action: Callable[[], object]) -> float:
    started = time.process_time()
    action()
    return time.process_time() - started


def cores() -> str:
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return f"{len(names)} cores, {names[0]}"


def size_of(statistics: RegressionStatistics) -> int:
    return sum(field.numel() * 8 for field in vars(statistics).values())


def rates(config: dict[str, int], n_prompts: int) -> None:
    task = LinearRegression(n_dims=config["n_dims"], n_points=config["n_points"])
    model = build_model("gpt2", config, seed=0)
    n_parameters = sum(weight.numel() for weight in model.parameters())
    sites, points = model.sites(), config["n_points"]
    print(f"\nd = {task.n_dims}, {points} points, {n_parameters / 1e6:.1f} M parameters")
    batches: list[object] = []
    drawn = cpu_seconds(lambda: batches.extend(task.stream(n_prompts, seed=0, batch_size=256)))
    read = []
    forward = cpu_seconds(lambda: read.extend(capture(model, batches, sites)))
    flops = 2 * n_parameters * n_prompts * 2 * points / forward
    y = ReadoutFitter(len(sites), model.config.d_model, 1)

    def update_y() -> None:
        for batch in read:
            y.update(batch.activations.flatten(1, 2), batch.ys.flatten()[:, None])

    summed = cpu_seconds(update_y)
    known = default_comparisons(task)
    targets = DirectTargets.predictions([select(known, n) for n in ("newton", "gd")], task.n_dims)
    values = []
    solved = cpu_seconds(
        lambda: values.extend(targets.compute(Prefixes(batch.xs, batch.ys)) for batch in read)
    )
    iterates = ReadoutFitter(len(sites), model.config.d_model, targets.n_targets)

    def update_iterates() -> None:
        for batch, columns in zip(read, values, strict=True):
            iterates.update(batch.activations[:, :, 1:].flatten(1, 2), columns.flatten(0, 1))

    direct = cpu_seconds(update_iterates)
    for what, seconds in (
        ("drawing prompts", drawn),
        ("forward pass and capture of all layers", forward),
        ("statistics of y at all layers", summed),
        (f"Newton and GD at {targets.n_targets} step counts, decomposition included", solved),
        ("statistics of these iterates at all layers", direct),
    ):
        print(f"  {1e3 * seconds / n_prompts:8.3f} ms a prompt  {what}")
    total = drawn + forward + summed + solved + direct
    print(f"  {n_prompts / total:8.0f} prompts a second and core, all of it")
    print(f"  {n_prompts / (drawn + forward + summed):8.0f} without the iterates")
    print(f"  {flops / GB:8.1f} Gflop/s in the forward pass")
    kept = size_of(y.statistics) + size_of(iterates.statistics)
    print(f"  {kept / MB:8.1f} MB of statistics, whatever the number of prompts")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(f"  {peak / MB:8.0f} MB of memory at most so far, with {n_prompts} prompts held")


def large(n_prompts: int) -> None:
    one_layer = {**BILLION, "n_layers": 1}
    model = build_model("gpt2", one_layer, seed=0)
    n_layers, width = BILLION["n_layers"], BILLION["d_model"]
    n_weights = sum(weight.numel() for weight in model.blocks.parameters())
    n_parameters = n_weights * n_layers + 2 * width * BILLION["n_points"]
    task = LinearRegression(n_dims=BILLION["n_dims"], n_points=BILLION["n_points"])
    print(f"\n{n_parameters / GB:.2f} billion parameters, {n_layers} layers of d_model {width}")
    batches = list(task.stream(n_prompts, seed=0, batch_size=n_prompts))
    read = []
    forward = n_layers * cpu_seconds(
        lambda: read.extend(capture(model, batches, model.sites()[1:]))
    )
    fitter = ReadoutFitter(1, width, 1)
    activations, ys = read[0].activations.flatten(1, 2), read[0].ys.flatten()[:, None]
    update = (n_layers + 1) * cpu_seconds(lambda: fitter.update(activations, ys))
    merge = (n_layers + 1) * cpu_seconds(lambda: fitter.statistics.merge(fitter.statistics))
    solve = (n_layers + 1) * cpu_seconds(lambda: fitter.solve([1.0]))
    kept = (n_layers + 1) * size_of(fitter.statistics)
    print(f"  {4 * n_parameters / GB:8.2f} GB of float32 weights")
    print(f"  {forward / n_prompts:8.3f} s a prompt  forward pass (one layer measured)")
    print(f"  {update / n_prompts:8.3f} s a prompt  statistics of y at {n_layers + 1} sites (one)")
    print(f"  {kept / GB:8.2f} GB of statistics")
    print(f"  {merge:8.1f} s to merge the statistics of two shards")
    print(f"  {solve:8.1f} s to solve for one ridge strength, all sites")


def whole_match(n_prompts: int) -> None:
    """Of random weights: the verdict is "none", which costs a little less than another."""
    model = build_model("gpt2", PAPER, seed=0)
    task = LinearRegression(n_dims=20, n_points=41)
    parts = [budget_of(n) for n in (n_prompts, min(n_prompts, N_CONTROL_PROMPTS))]
    total = sum(one.n_fit + one.n_held_out + one.n_evaluate for one in parts)

    def forward_passes() -> None:
        with inference(model):
            for xs, ys, _ in task.stream(total, seed=0, batch_size=128):
                model(xs.float(), ys.float())

    floor = cpu_seconds(forward_passes)
    print(f"floor: {total:,} prompts through the model, {floor:.0f} s", flush=True)
    spent = cpu_seconds(lambda: match(model, task, n_prompts=n_prompts))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(f"a match of {n_prompts:,} prompts: {spent:.0f} s, {spent / floor:.1f} times the floor")
    print(f"peak of memory, torch and all: {peak / GB:.2f} GB")


def timed(cell: AnalysisCell) -> tuple[int, float]:
    """Which process computed a cell, and its CPU seconds."""
    run_cell(replace(cell, analysis=WARM_UP, part=0))  # imports and loading are paid once
    started = time.process_time()
    run_cell(cell)
    return os.getpid(), time.process_time() - started


def workers(n_prompts: int) -> None:
    task = LinearRegression(n_dims=SMALL["n_dims"], n_points=SMALL["n_points"])
    analysis, checkpoint = ReadoutAnalysis(n_prompts, n_shards=8), Checkpoint.of("gpt2-d5")
    cells = [(AnalysisCell(checkpoint, task, 0, analysis, part),) for part in range(8)]
    list(Pool(2).run(timed, cells[:2]))
    spent: dict[int, float] = {}
    for n_jobs in (1, 2):
        by_process: dict[int, float] = defaultdict(float)
        started, own = time.perf_counter(), time.process_time()
        for _, (process, seconds) in Pool(n_jobs).run(timed, cells):
            by_process[process] += seconds
        wall, own = time.perf_counter() - started, time.process_time() - own
        overhead = own if n_jobs > 1 else 0.0
        spent[n_jobs] = sum(by_process.values()) + overhead
        shares = " + ".join(f"{seconds:.2f}" for seconds in by_process.values())
        print(f"  {n_jobs} process(es): {shares} s of CPU, {overhead:.2f} s more to hand them out")
        print(f"    {wall:.1f} s of wall time on this machine as it is")
    print(f"  two cores of their own: {2 * spent[1] / spent[2]:.2f} times as fast as one")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("rates", "large", "match", "workers"), nargs="?")
    parser.add_argument("--prompts", type=int, help="fewer or more than by default")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{cores()}; torch {torch.__version__}, one thread")
    if arguments.what in (None, "rates"):
        rates(SMALL, arguments.prompts or 1024)
        rates(PAPER, arguments.prompts or 256)
    if arguments.what in (None, "large"):
        large(arguments.prompts or 2)
    if arguments.what in (None, "match"):
        whole_match(arguments.prompts or 1024)
    if arguments.what in (None, "workers"):
        workers(arguments.prompts or 32_768)


if __name__ == "__main__":
    main()
