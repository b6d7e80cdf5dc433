"""How fast are the references, and what would a loop over prompts cost?

Two tables, each from one run:

1. The official code's three similarity heatmaps (12 layers against Newton 1–23, GD at 1, 50, …,
   1300 and GD at 1, 2, 4, …, 4096, on 320 prompts of 41 points, d = 20), one core against one
   core. The peer is a plain loop over prompts, points and iterations in float32 that starts again
   for every step count, as the official code does it; with `--official` it is that code's own
   functions. The peer is measured on a slice and extrapolated; the lines say so.
2. Every reference at the paper's step grids, on `--threads` cores.

Times are CPU seconds of this process, which on one core of an idle machine are wall seconds; the
second table gives both.

    python benchmarks/references.py [--official CLONE] [--prompts 320] [--slice 2] [--threads 1]
"""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
import tempfile
import time
import types
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics.pairwise import cosine_similarity
from torch import Tensor

from probes.references import (
    GD,
    REFERENCES,
    DivergenceWarning,
    Newton,
    Prefixes,
    Reference,
    SpectralReference,
    build_reference,
)
from probes.similarity import error_directions, similarity_of_errors

N_LAYERS = 12
N_POINTS, N_DIMS = 41, 20
NEWTON_STEPS = tuple(range(1, 24))
GD_STEPS = (1, *range(50, 1301, 50))
GD_LOG_STEPS = tuple(2**exponent for exponent in range(13))
QUASI_NEWTON_STEPS = tuple(range(1, N_POINTS))

HEATMAPS: dict[str, tuple[Reference, Sequence[int]]] = {
    "Newton 1–23": (Newton(), NEWTON_STEPS),
    "GD 1–1300": (GD(0.01), GD_STEPS),
    "GD log to 4096": (GD(0.01), GD_LOG_STEPS),
}

Predict = Callable[[Tensor, Tensor, int], Tensor]
"""(xs, ys, step) -> predictions [prompt, point], in float32."""


def newton_weights(x: Tensor, y: Tensor, step: int) -> Tensor:
    gram = x.T @ x
    inverse = gram.T / torch.linalg.norm(gram @ gram.T)
    identity = torch.eye(len(gram))
    for _ in range(step):
        inverse = inverse @ (2 * identity - gram @ inverse)
    return inverse @ (x.T @ y)


def gd_weights(x: Tensor, y: Tensor, step: int) -> Tensor:
    weights = torch.zeros(x.shape[1])
    for _ in range(step):
        weights = weights - 0.01 * ((x.T @ x) @ weights - x.T @ y)
    return weights


def plain_loop(solve: Callable[[Tensor, Tensor, int], Tensor]) -> Predict:
    def predict(xs: Tensor, ys: Tensor, step: int) -> Tensor:
        predictions = torch.zeros_like(ys)
        for prompt, (x, y) in enumerate(zip(xs, ys, strict=True)):
            for t in range(1, len(y)):
                predictions[prompt, t] = x[t] @ solve(x[:t], y[:t], step)
        return predictions

    return predict


def official_functions(clone: Path) -> tuple[Predict, Predict]:
    """Newton and GD of a clone (bare or not) of DeqingFu/transformers-icl-second-order."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("models", "base_models"):
            source = subprocess.run(
                ["git", "-C", str(clone), "show", f"HEAD:src/{name}.py"],
                check=True,
                capture_output=True,
            ).stdout
            Path(folder, f"{name}.py").write_bytes(source)
        if importlib.util.find_spec("xgboost") is None:  # imported by the clone, not used here
            sys.modules["xgboost"] = types.ModuleType("xgboost")
        sys.path.insert(0, folder)
        try:
            models = importlib.import_module("models")
        finally:
            sys.path.remove(folder)
    return (
        lambda xs, ys, step: models.LeastSquaresModelNewtonMethod(n_newton_steps=step)(xs, ys),
        lambda xs, ys, step: models.LeastSquaresModelGradientDescent(step, 0.01)(xs, ys),
    )


def seconds(action: Callable[[], object]) -> float:
    """CPU seconds of the whole process."""
    started = time.process_time()
    action()
    return time.process_time() - started


def prompts(n_prompts: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    xs = torch.randn(n_prompts, N_POINTS, N_DIMS, dtype=torch.float64, generator=generator)
    weights = torch.randn(n_prompts, N_DIMS, 1, dtype=torch.float64, generator=generator)
    return xs, (xs @ weights)[..., 0]


def layer_predictions(ys: Tensor) -> Tensor:
    """Stand-ins of any value: the time of a heatmap does not depend on it."""
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(N_LAYERS, *ys.shape, dtype=torch.float64, generator=generator)
    return ys + 0.3 * noise


def extrapolated_predictions(
    predict: Predict, steps: Sequence[int], xs: Tensor, ys: Tensor, n_slice: int
) -> float:
    """Seconds for all prompts and steps, from a line through two step counts on a few prompts."""
    low, high = 2, 40
    few = xs[:n_slice].float(), ys[:n_slice].float()
    predict(*few, 1)
    at_low, at_high = (
        min(seconds(lambda k=k: predict(*few, k)) for _ in range(2)) for k in (low, high)
    )
    per_iteration = (at_high - at_low) / (high - low)
    once = max(at_low - low * per_iteration, 0.0)
    return (len(steps) * once + sum(steps) * per_iteration) * len(xs) / n_slice


def extrapolated_cosines(layers: Tensor, ys: Tensor, n_steps: int) -> float:
    """Seconds for one scikit-learn cosine per layer, step and prompt, from one row of them."""
    residuals = (layers[0] - ys).numpy()

    def row() -> float:
        return float(
            np.mean(
                [cosine_similarity(r.reshape(1, -1), r.reshape(1, -1))[0, 0] for r in residuals]
            )
        )

    return seconds(row) * N_LAYERS * n_steps


def heatmap(
    reference: Reference, prefixes: Prefixes, steps: Sequence[int], layers: Tensor
) -> Tensor:
    """SimE of every layer with every step, one step held at a time."""
    ys = prefixes.ys
    directions = error_directions(layers, ys, "official")
    columns = [
        similarity_of_errors(directions, error_directions(predicted[None], ys, "official"))
        for _, predicted in reference.stream_predictions(prefixes, steps)
    ]
    return torch.cat(columns, dim=1)


def compare_with_loop(arguments: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    xs, ys = prompts(arguments.prompts)
    layers = layer_predictions(ys)
    peers = {"Newton": plain_loop(newton_weights), "GD": plain_loop(gd_weights)}
    peer_name = "plain loop"
    if arguments.official:
        peers = dict(zip(("Newton", "GD"), official_functions(arguments.official), strict=True))
        peer_name = "official code"
    prefixes = Prefixes(xs, ys)
    decomposing = seconds(lambda: prefixes.terms)
    print(
        f"One core, {len(xs)} prompts × {N_POINTS} points, d = {N_DIMS}, {N_LAYERS} layers; "
        f"{peer_name} extrapolated from {arguments.slice} prompts and 2 step counts\n"
    )
    print(f"{'heatmap':<18}{'ours':>10}{peer_name + ' (extrapolated)':>32}{'ratio':>10}")
    print(f"{'decomposition':<18}{decomposing:>8.2f} s")
    ours_total, peer_total = decomposing, 0.0
    for label, (reference, steps) in HEATMAPS.items():
        ours = seconds(
            lambda reference=reference, steps=steps: heatmap(reference, prefixes, steps, layers)
        )
        peer = extrapolated_predictions(peers[label.split()[0]], steps, xs, ys, arguments.slice)
        peer += extrapolated_cosines(layers, ys, len(steps))
        print(f"{label:<18}{ours:>8.2f} s{peer / 60:>28.1f} min{peer / ours:>10,.0f}")
        ours_total, peer_total = ours_total + ours, peer_total + peer
    ratio = peer_total / ours_total
    print(f"{'all three':<18}{ours_total:>8.2f} s{peer_total / 60:>28.1f} min{ratio:>10,.0f}")
    for label, step in (("Newton", 12), ("GD", 100)):
        reference = Newton() if label == "Newton" else GD(0.01)
        exact = reference.predictions(prefixes, [step])[0, : arguments.slice]
        peer_predictions = peers[label](
            xs[: arguments.slice].float(), ys[: arguments.slice].float(), step
        )
        error = float((exact - peer_predictions).abs().max())
        print(f"largest difference of {label} {step} from the {peer_name} (float32): {error:.1e}")


def time_every_reference(arguments: argparse.Namespace) -> None:
    torch.set_num_threads(arguments.threads)
    xs, ys = prompts(arguments.prompts)
    prefixes = Prefixes(xs, ys)
    print(f"\nAll references at the paper's step grids, {arguments.threads} thread(s)\n")
    print(f"{'reference':<20}{'steps':>6}{'CPU':>10}{'wall':>10}")
    totals = {"spectral": np.zeros(2), "other": np.zeros(2)}

    def measure(label: str, count: int, kind: str, action: Callable[[], object]) -> None:
        started = time.perf_counter()
        elapsed = np.array([seconds(action), time.perf_counter() - started])
        totals[kind] += elapsed
        print(f"{label:<20}{count:>6}{elapsed[0]:>8.2f} s{elapsed[1]:>8.2f} s  {kind}")

    measure("decomposition", 1, "spectral", lambda: prefixes.terms)
    for name in REFERENCES:
        tasks = {"tasks": torch.randn(64, N_DIMS)} if name == "dmmse" else {}
        reference = build_reference(name, **tasks)
        steps = paper_steps(name)
        measure(
            name,
            len(steps) if reference.is_iterative else 1,
            "spectral" if isinstance(reference, SpectralReference) else "other",
            lambda reference=reference, steps=steps: consume(reference, prefixes, steps),
        )
    for label, total in (("spectral", totals["spectral"]), ("all", sum(totals.values()))):
        print(f"{label + ' in all':<26}{total[0]:>8.2f} s{total[1]:>8.2f} s")


def paper_steps(name: str) -> Sequence[int]:
    if name in ("cg", "bfgs", "l-bfgs"):
        return QUASI_NEWTON_STEPS
    if name.startswith("newton") or name in ("gd++", "ridge-path"):
        return NEWTON_STEPS
    return GD_STEPS


def consume(reference: Reference, prefixes: Prefixes, steps: Sequence[int]) -> None:
    for _ in reference.stream_predictions(prefixes, steps):
        pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--official", type=Path, metavar="CLONE", help="time this clone instead")
    parser.add_argument("--prompts", type=int, default=320)
    parser.add_argument("--slice", type=int, default=2, help="prompts that the peer is measured on")
    parser.add_argument("--threads", type=int, default=1, help="for the second table")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", DivergenceWarning)
    warnings.simplefilter("ignore", ConvergenceWarning)
    compare_with_loop(arguments)
    time_every_reference(arguments)


if __name__ == "__main__":
    main()
