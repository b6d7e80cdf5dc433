"""What does capturing cost beside a plain forward pass, and beside the other ways to do it?

On gpt2-d5's size, prints the time of a forward pass in evaluation and inference mode, and as
multiples of it: `hooks.capture` and TransformerLens's `run_with_cache` with the same sites, each
ending with the activations at the prediction positions in one array; nnsight too where it is
installed. All take turns; each ratio is the median over rounds.

    python benchmarks/capture.py [--rounds 15] [--prompts 512]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from hooks import SequenceModel, Site, build_model, capture
from hooks.inference import inference

SIZES = {"n_dims": 5, "n_points": 11, "n_layers": 8, "n_heads": 4, "d_model": 64}


def by_run_with_cache(
    model: SequenceModel, xs: Tensor, ys: Tensor, sites: list[Site]
) -> tuple[Tensor, Tensor]:
    names = [model.hook_name(site) for site in sites]
    with inference(model):
        predictions, cache = model.run_with_cache(xs, ys, names_filter=names)
        return predictions, torch.stack([cache[name][:, ::2] for name in names])


def by_nnsight(traced: Any, xs: Tensor, ys: Tensor, names: list[str]) -> tuple[Tensor, Tensor]:
    with torch.inference_mode():
        with traced.trace(xs, ys):
            activations = torch.stack([traced.get(name).output[:, ::2] for name in names]).save()
            predictions = traced.output.save()
        return predictions, activations


def contenders(
    model: SequenceModel, xs: Tensor, ys: Tensor, sites: list[Site]
) -> dict[str, Callable[[], Any]]:
    def plain() -> Tensor:
        with inference(model):
            return model(xs, ys)

    ways: dict[str, Callable[[], Any]] = {
        "forward pass": plain,
        "hooks.capture": lambda: list(capture(model, (xs, ys), sites, final_norm="none")),
        "run_with_cache": lambda: by_run_with_cache(model, xs, ys, sites),
    }
    if find_spec("nnsight"):
        from nnsight import NNsight

        traced = NNsight(model)
        wanted = {model.hook_name(site) for site in sites}
        with inference(model):
            _, cache = model.run_with_cache(xs, ys, names_filter=list(wanted))
        names = list(cache)  # nnsight must be asked in the order of execution
        ways["nnsight"] = lambda: by_nnsight(traced, xs, ys, names)
    return ways


def seconds(run: Callable[[], Any]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--prompts", type=int, default=512)
    arguments = parser.parse_args()
    model = build_model("gpt2", SIZES, seed=0).eval()
    xs = torch.randn(arguments.prompts, SIZES["n_points"], SIZES["n_dims"])
    ys = torch.randn(arguments.prompts, SIZES["n_points"])
    print(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads, {len(xs)} prompts a batch"
    )
    for kinds in (("resid_post",), ("resid_post", "attn_out", "mlp_out")):
        sites = [site for kind in kinds for site in model.sites(kind)]
        ways = contenders(model, xs, ys, sites)
        rounds = [
            {name: seconds(run) for name, run in ways.items()} for _ in range(arguments.rounds + 2)
        ][2:]
        forward = statistics.median(times["forward pass"] for times in rounds)
        print(f"{len(sites)} sites ({', '.join(kinds)}): forward pass {1e3 * forward:.0f} ms")
        for name in list(ways)[1:]:
            ratio = statistics.median(times[name] / times["forward pass"] for times in rounds)
            print(f"  {name:<16} {ratio:.2f} forward passes")


if __name__ == "__main__":
    main()
