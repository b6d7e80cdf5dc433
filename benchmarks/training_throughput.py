"""How fast does the hooked GPT-2 train beside Hugging Face's `GPT2Model`?

Prints, for each width, the median over rounds of the ratio of their times for one training step
(forward, backward, AdamW) on the same prompts; the two take turns, so that what else the machine
does hits both.

    python benchmarks/training_throughput.py [--d-model 64 128] [--rounds 15]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from transformers import GPT2Config, GPT2Model

from hooks import build_model


class HuggingFaceTwin(nn.Module):
    """`GPT2Model` between a read-in and a read-out, as in the code of Garg et al. and Fu et al."""

    def __init__(self, sizes: dict[str, int]) -> None:
        super().__init__()
        self.read_in = nn.Linear(sizes["n_dims"], sizes["d_model"])
        self.backbone = GPT2Model(
            GPT2Config(
                n_positions=2 * sizes["n_points"],
                n_embd=sizes["d_model"],
                n_layer=sizes["n_layers"],
                n_head=sizes["n_heads"],
                vocab_size=1,
                resid_pdrop=0.0,
                embd_pdrop=0.0,
                attn_pdrop=0.0,
                use_cache=False,
            )
        )
        self.read_out = nn.Linear(sizes["d_model"], 1)

    def forward(self, xs: Tensor, ys: Tensor) -> Tensor:
        n_prompts, n_points, n_dims = xs.shape
        tokens = xs.new_zeros(n_prompts, 2 * n_points, n_dims)
        tokens[:, ::2] = xs
        tokens[:, 1::2, 0] = ys
        hidden = self.backbone(inputs_embeds=self.read_in(tokens)).last_hidden_state
        return self.read_out(hidden)[:, ::2, 0]


def training_step(model: nn.Module, xs: Tensor, ys: Tensor) -> Callable[[], None]:
    optimiser = torch.optim.AdamW(model.parameters(), fused=True)

    def step() -> None:
        (model(xs, ys) - ys).square().mean().backward()
        optimiser.step()
        optimiser.zero_grad()

    return step


def seconds(step: Callable[[], None]) -> float:
    started = time.perf_counter()
    step()
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--d-model", type=int, nargs="+", default=[64, 128])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--batch-size", type=int, default=128)
    arguments = parser.parse_args()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, 8 layers, 11 points")
    for d_model in arguments.d_model:
        sizes = {"n_dims": 5, "n_points": 11, "n_layers": 8, "n_heads": 4, "d_model": d_model}
        xs, ys = torch.randn(arguments.batch_size, 11, 5), torch.randn(arguments.batch_size, 11)
        ours = training_step(build_model("gpt2", sizes, seed=0), xs, ys)
        theirs = training_step(HuggingFaceTwin(sizes), xs, ys)
        times = [(seconds(ours), seconds(theirs)) for _ in range(arguments.rounds + 2)][2:]
        ratio = statistics.median(b / a for a, b in times)
        ms = [1e3 * statistics.median(column) for column in zip(*times, strict=True)]
        print(
            f"d_model {d_model:>4}: hooks {ms[0]:.0f} ms a step, GPT2Model {ms[1]:.0f} ms, "
            f"{ratio:.2f} times as fast"
        )


if __name__ == "__main__":
    main()
