"""What do closed-form read-outs cost beside scikit-learn's `Ridge`, Adam and a plain product?

Four questions, each answered by ratios taken in one run on the same activations:

1. How near is one pass of `ReadoutFitter` to the float64 products it cannot do without?
2. How long does it take to fit every site at every ridge strength and to choose the strength on
   held-out prompts, beside one scikit-learn `Ridge` for each site and strength?
3. How long until Adam on mini-batches of 64 prompts, as the code of Fu et al. trains its read-outs,
   has the same held-out error? All sites at once and on stored activations, which spares Adam the
   forward passes that it needs in that code.
4. How much memory does the fitter take, from a thousand prompts to a million?

    python benchmarks/readouts.py [--checkpoint gpt2-d5] [--prompts 4096] [--targets 1 256]
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_squared_error
from torch import Tensor

from hooks import build_model, capture
from hooks.checkpoints import CheckpointError
from hooks.model import SequenceModel
from interp.tasks import LinearRegression
from interp.zoo.loading import load
from probes.readout import Readout
from probes.readout_fitter import ReadoutFitter, validation_error
from probes.ridge import RELATIVE_STRENGTHS, rank_threshold, relative_strengths

PROMPTS_PER_BATCH = 512
LEARNING_RATES = (1e-4, 1e-3, 1e-2)


def seconds(*actions: Callable[[], object], rounds: int = 5) -> list[float]:
    """The shortest run of each action; they take turns, so that other load hits all."""
    times = [[] for _ in actions]
    for _ in range(rounds):
        for action, column in zip(actions, times, strict=True):
            started = time.perf_counter()
            action()
            column.append(time.perf_counter() - started)
    return [min(column) for column in times]


def load_model(checkpoint: str) -> SequenceModel:
    try:
        model = load(checkpoint)
    except CheckpointError as error:
        print(f"{error}\nIn its place: a randomly initialised GPT-2 of 8 layers, d_model 64.")
        return build_model("gpt2", {"n_layers": 8, "d_model": 64, "n_heads": 4}, seed=0)
    print(f"{checkpoint}: {model.n_layers} layers, d_model {model.config.d_model}")
    return model


def read_activations(model: SequenceModel, n_prompts: int, seed: int) -> tuple[Tensor, Tensor]:
    """Activations [site, sample, d] of every layer and the targets y [sample, 1]."""
    task = LinearRegression(n_dims=model.config.n_dims, n_points=model.config.n_points)
    prompts = task.stream(n_prompts, seed=seed)
    batches = list(capture(model, prompts, model.sites("resid_post")))
    activations = torch.cat([batch.activations.flatten(1, 2) for batch in batches], dim=1)
    return activations.clone(), torch.cat([batch.ys.flatten() for batch in batches])[:, None]


def add_targets(ys: Tensor, n_targets: int, seed: int) -> Tensor:
    """y and noisy copies of it, in place of a reference's iterates."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(len(ys), n_targets - 1, generator=generator, dtype=ys.dtype)
    return torch.cat([ys, ys + noise], dim=1)


def fit(
    training: tuple[Tensor, Tensor], held_out: tuple[Tensor, Tensor]
) -> tuple[Readout, ReadoutFitter, ReadoutFitter]:
    n_sites, _, d_features = training[0].shape
    sizes = (n_sites, d_features, training[1].shape[1])
    fitter = ReadoutFitter(*sizes).update(*training)
    validation = ReadoutFitter(*sizes).update(*held_out)
    return fitter.select(validation.statistics), fitter, validation


def against_products(activations: Tensor, ys: Tensor, n_targets: int) -> None:
    n_sites, n_samples, d_features = activations.shape
    targets = add_targets(ys, n_targets, 0)
    by_site = activations.double()
    flat = by_site.transpose(1, 2).reshape(-1, n_samples)

    def products() -> None:
        torch.bmm(by_site.mT, by_site)
        flat @ targets

    def update() -> None:
        ReadoutFitter(n_sites, d_features, n_targets).update(activations, targets)

    bare, ours = seconds(products, update)
    flops = 2 * n_samples * n_sites * d_features * (d_features + n_targets)
    print(
        f"  {n_targets:>4} targets: update {1e3 * ours:.0f} ms, bare float64 products "
        f"{1e3 * bare:.0f} ms, {ours / bare:.2f} times as long ({flops / ours / 1e9:.0f} Gflop/s)"
    )


def against_scikit_learn(
    training: tuple[Tensor, Tensor], held_out: tuple[Tensor, Tensor], n_targets: int
) -> None:
    training = (training[0], add_targets(training[1], n_targets, 1))
    held_out = (held_out[0], add_targets(held_out[1], n_targets, 2))
    ours = seconds(lambda: fit(training, held_out), rounds=3)[0]
    _, fitter, validation = fit(training, held_out)
    strengths = relative_strengths(fitter.statistics)
    readouts = fitter.solve(strengths)
    errors = validation_error(readouts, validation.statistics).mse

    features, targets = (values.numpy() for values in (training[0].double(), training[1]))
    held_features, held_targets = (values.numpy() for values in (held_out[0].double(), held_out[1]))
    eigenvalues = torch.linalg.eigvalsh(fitter.statistics.feature_scatter[0])
    is_deficient = (eigenvalues <= rank_threshold(eigenvalues)).any(dim=1).tolist()
    distances, theirs = {False: 0.0, True: 0.0}, 0.0
    for site in range(len(features)):
        for variant, strength in enumerate(strengths[:, site].tolist()):
            started = time.perf_counter()
            oracle = Ridge(alpha=strength).fit(features[site], targets)
            predictions = oracle.predict(held_features[site]).reshape(held_targets.shape)
            mse = mean_squared_error(held_targets, predictions, multioutput="raw_values")
            theirs += time.perf_counter() - started
            difference = np.abs(errors[variant, site].numpy() / mse - 1).max()
            kind = is_deficient[site]
            distances[kind] = max(distances[kind], float(difference))
    print(
        f"  {n_targets:>4} targets: ReadoutFitter {ours:.2f} s, scikit-learn {theirs:.1f} s, "
        f"{theirs / ours:.0f} times as fast\n"
        f"        held-out errors differ by a part {distances[False]:.0e} at most at the sites of "
        f"full rank, {distances[True]:.0e} at the {sum(is_deficient)} others,\n"
        "        where scikit-learn fits the rounding of the activations at the lowest strengths"
    )


def against_adam(
    training: tuple[Tensor, Tensor],
    held_out: tuple[Tensor, Tensor],
    n_points: int,
    limit: float,
) -> None:
    ours = seconds(lambda: fit(training, held_out), rounds=3)[0]
    readout, _, validation = fit(training, held_out)
    goal = validation_error(readout, validation.statistics).mse[0, :, 0]
    print(f"  closed form: {ours:.2f} s; held-out errors by layer {format_errors(goal)}")
    for rate in LEARNING_RATES:
        reached, spent, n_steps, errors = train_adam(
            training, held_out, goal, n_points, rate, limit
        )
        for excess, at in reached.items():
            when = (
                f"{at:.1f} s, {at / ours:.0f} times as long"
                if at
                else (f"not within {spent:.0f} s, over {spent / ours:.0f} times as long")
            )
            print(f"  Adam {rate:g}, every layer within {excess:.0%} of that: {when}")
        print(f"    after {n_steps} steps: {format_errors(errors)}")


def train_adam(
    training: tuple[Tensor, Tensor],
    held_out: tuple[Tensor, Tensor],
    goal: Tensor,
    n_points: int,
    rate: float,
    limit: float,
) -> tuple[dict[float, float | None], float, int, Tensor]:
    """Seconds until all sites are within 10 % and 1 % of the goal; validation is not counted."""
    features, targets = training[0].float(), training[1].float()
    held_features, held_targets = held_out[0].float(), held_out[1].float()
    n_sites, _, d_features = features.shape
    prompts = features.reshape(n_sites, -1, n_points, d_features)
    ys = targets.reshape(-1, n_points)
    weight = torch.zeros(n_sites, d_features, 1, requires_grad=True)
    bias = torch.zeros(n_sites, 1, 1, requires_grad=True)
    optimiser = torch.optim.Adam([weight, bias], lr=rate, fused=True)
    generator = torch.Generator().manual_seed(0)
    reached: dict[float, float | None] = {0.1: None, 0.01: None}
    spent, n_steps = 0.0, 0
    errors = torch.full_like(goal, torch.inf)
    while spent < limit and reached[0.01] is None:
        started = time.perf_counter()
        for _ in range(200):
            chosen = torch.randint(prompts.shape[1], (64,), generator=generator)
            batch = prompts[:, chosen].flatten(1, 2)
            loss = (batch @ weight + bias)[..., 0] - ys[chosen].flatten()
            optimiser.zero_grad()
            loss.square().mean(dim=1).sum().backward()
            optimiser.step()
        spent += time.perf_counter() - started
        n_steps += 200
        with torch.no_grad():
            residual = held_features @ weight + bias - held_targets
            errors = residual.square().mean(dim=(1, 2)).double()
        for excess in reached:
            if reached[excess] is None and bool((errors <= (1 + excess) * goal).all()):
                reached[excess] = spent
    return reached, spent, n_steps, errors


def format_errors(errors: Tensor) -> str:
    return " ".join(f"{error:.3g}" for error in errors.tolist())


def resident_mb() -> float:
    """Memory of this process at this moment (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def measure_memory(n_prompts: int, n_sites: int, d_features: int, n_points: int) -> float:
    """Most MB a process holds, after any update, over what it held with its first batch drawn."""
    torch.set_num_threads(1)
    features = torch.randn(n_sites, PROMPTS_PER_BATCH * n_points, d_features)
    targets = torch.randn(PROMPTS_PER_BATCH * n_points, 1)
    before = peak = resident_mb()
    fitter = ReadoutFitter(n_sites, d_features, 1)
    for start in range(0, n_prompts, PROMPTS_PER_BATCH):
        n_samples = min(PROMPTS_PER_BATCH, n_prompts - start) * n_points
        fitter.update(features[:, :n_samples], targets[:n_samples])
        peak = max(peak, resident_mb())
    fitter.solve(relative_strengths(fitter.statistics))
    return max(peak, resident_mb()) - before


def against_number_of_prompts(largest: int, sizes: tuple[int, int, int]) -> None:
    spawn = multiprocessing.get_context("spawn")
    for n_prompts in (10**exponent for exponent in range(3, 7)):
        if n_prompts > largest:
            break
        with spawn.Pool(1) as pool:
            held = pool.apply(measure_memory, (n_prompts, *sizes))
        stored = n_prompts * sizes[0] * sizes[1] * sizes[2] * 4 / 2**20
        print(
            f"  {n_prompts:>9,} prompts: {held:.0f} MB beside one batch; "
            f"stored activations would take {stored:,.0f} MB, {stored / held:,.1f} times as much"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", default="gpt2-d5")
    parser.add_argument("--prompts", type=int, default=4096)
    parser.add_argument("--targets", type=int, nargs="+", default=[1, 256])
    parser.add_argument("--adam-seconds", type=float, default=20, help="limit for a learning rate")
    parser.add_argument("--largest", type=int, default=10**6, help="most prompts for the memory")
    arguments = parser.parse_args()
    model = load_model(arguments.checkpoint)
    n_points = model.config.n_points
    training = read_activations(model, arguments.prompts, seed=0)
    held_out = read_activations(model, arguments.prompts // 4, seed=1)
    n_sites, n_samples, d_features = training[0].shape
    print(
        f"{n_sites} sites, {n_samples} samples, {d_features} features, "
        f"{len(RELATIVE_STRENGTHS)} ridge strengths; torch {torch.__version__}, "
        f"{torch.get_num_threads()} threads\n\n1. One pass beside the bare products"
    )
    for n_targets in arguments.targets:
        against_products(*training, n_targets)
    print("\n2. All sites and strengths, the strength chosen on held-out prompts")
    for n_targets in arguments.targets:
        against_scikit_learn(training, held_out, n_targets)
    print("\n3. Adam on mini-batches, the read-out of y at every layer")
    against_adam(training, held_out, n_points, arguments.adam_seconds)
    print("\n4. Memory against the number of prompts")
    against_number_of_prompts(arguments.largest, (n_sites, d_features, n_points))


if __name__ == "__main__":
    main()
