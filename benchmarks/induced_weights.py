"""How much does sharing a prefix among its queries save, beside one prompt for every query?

Prints the ratio of their times for the induced weights of the same prompts. The peer runs every
query as a prompt of its own, all queries of a point in one batch, which is the definition at its
fastest without sharing.

    python benchmarks/induced_weights.py [--points 41] [--queries 200] [--prompts 4]
"""

from __future__ import annotations

import argparse
import time
import warnings

import torch

from hooks import attach, build_model, induce_weights


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=41)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--prompts", type=int, default=4)
    parser.add_argument("--d-model", type=int, default=64)
    arguments = parser.parse_args()
    n_dims, n_points = 20, arguments.points
    sizes = {"n_dims": n_dims, "n_points": n_points, "n_layers": 8, "n_heads": 4}
    model = build_model("gpt2", sizes | {"d_model": arguments.d_model}, seed=0).eval()
    by_itself = attach(
        model,
        lambda module, xs, ys: module(xs, ys),
        n_dims=n_dims,
        n_points=n_points,
        layers="blocks.*",
        final_norm="ln_final",
    )
    xs, ys = (
        torch.randn(arguments.prompts, n_points, n_dims),
        torch.randn(arguments.prompts, n_points),
    )
    queries = torch.randn(arguments.queries, n_dims)
    times, weights = {}, {}
    warnings.simplefilter("ignore")  # that the peer is slow is the point
    for name, runner in (("shared", model), ("by itself", by_itself)):
        started = time.perf_counter()
        [induced] = induce_weights(runner, (xs, ys), queries, model.sites())
        times[name] = time.perf_counter() - started
        weights[name] = torch.cat((induced.maps.flatten(), induced.weights.flatten()))
    difference = (weights["shared"] - weights["by itself"]).abs().max().item()
    print(
        f"{n_points} points, {len(queries)} queries, {len(xs)} prompts, d_model "
        f"{arguments.d_model}: shared {times['shared']:.2f} s, by itself "
        f"{times['by itself']:.1f} s, {times['by itself'] / times['shared']:.0f} times as fast; "
        f"largest difference {difference:.1e}"
    )


if __name__ == "__main__":
    main()
