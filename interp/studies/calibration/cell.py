"""One question about one model whose algorithm is known, and that model."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from hooks.architectures.planted import Planted, build_planted
from hooks.model import SequenceModel
from hooks.randomised_twin import randomised_twin
from interp.study.store import code_digest, hash_of
from probes.controls.shuffles import derangement, shuffle_pairs

Question = Literal["verdict", "large sample", "protocols"]
Control = Literal[
    "planted", "random weights", "shuffled pairs", "exchanged prompts", "reference withheld"
]
Group = Literal["planted", "controls", "withheld"]

FAMILIES: dict[str, str] = {"newton": "newton", "gd": "gd", "gdpp": "gd++", "ogd": "ogd"}
"""The family of each algorithm that can be planted, as the verdict calls it."""
LABELS: dict[str, str] = {"newton": "Newton", "gd": "GD", "gdpp": "GD++", "ogd": "Online GD"}
NOTHING = "none"
"""The right answer where there is nothing to find …"""
WITHHELD = "none of these"
"""… and where the reference that the model runs was left out."""
NEAREST = "nearest only"
"""The answer of a verdict that names a reference as the nearest, and as no description."""
SEED_SALT = {"version": "0.1.0", "format": "icl-interp-calibration/1"}
"""Part of what seeds are derived from; it stays, so that a cell keeps its prompts."""
LEAST = {"iterations_per_layer": 1, "n_prompts": 128, "n_dims": 1, "n_layers": 3, "seed": 0}


@dataclass(frozen=True)
class Cell:
    """What is planted, what is done to it, the prompts it is looked at with, and the question."""

    algorithm: str
    iterations_per_layer: int
    n_prompts: int
    noise: float = 0.0
    """Noise in the residual stream, in standard deviations of the stream."""
    is_rotated: bool = True
    """Whether the residual stream is turned by a random orthogonal matrix."""
    n_dims: int = 5
    n_layers: int = 8
    control: str = "planted"
    """What is done to the model: nothing ("planted"), its weights are drawn anew ("random
    weights"), it reads every y beside another x of its prompt ("shuffled pairs") or another prompt
    than the one its layers are compared on ("exchanged prompts"); or nothing, and what it runs is
    left out of the references ("reference withheld")."""
    seed: int = 0
    question: Question = "verdict"
    """The verdict on it; or the planted reference's curve from many more prompts ("large sample"),
    or by three protocols."""

    def __post_init__(self) -> None:
        for name, known in (("algorithm", FAMILIES), ("control", get_args(Control))):
            value = getattr(self, name)
            if value not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}, got {value!r}")
        for name, least in LEAST.items():
            value = getattr(self, name)
            if value < least:
                raise ValueError(f"{name} must be a whole number of at least {least}, got {value}")
        object.__setattr__(self, "noise", float(self.noise))
        if not 0 <= self.noise < float("inf"):
            raise ValueError(f"noise must be at least 0, got {self.noise}")

    @property
    def group(self) -> Group:
        """Whether an algorithm is to be found, nothing is, or one that no reference describes."""
        if self.control == "planted":
            return "planted"
        return "withheld" if self.control == "reference withheld" else "controls"

    @property
    def expected(self) -> str:
        """The right answer.

        Where the reference is withheld, that another is the nearest only is as right as "none".
        With shuffled pairs, random weights or exchanged prompts no layer says anything about y.
        Newton's iteration on S = X^T X and GD++'s on its inputs never see a y, so with shuffled
        pairs their streams hold filtered queries as before; but queries alone are not answers, and
        the verdict counts them only for a model whose layers say something about y.
        """
        answers = {"planted": FAMILIES[self.algorithm], "controls": NOTHING, "withheld": WITHHELD}
        return answers[self.group]

    @property
    def has_steps(self) -> bool:
        """Whether what is planted takes steps from layer to layer; online GD is done in one."""
        return self.algorithm != "ogd"

    @property
    def name(self) -> str:
        """What is planted, in words: "GD, 10 a layer"."""
        label = LABELS[self.algorithm]
        return f"{label}, {self.iterations_per_layer} a layer" if self.has_steps else label

    @property
    def condition(self) -> Cell:
        """The cell without its seed and question: what cells are grouped by."""
        return replace(self, seed=0, question="verdict")

    def describe(self) -> dict[str, Any]:
        """The cell in plain values, but for the question."""
        values = asdict(self)
        del values["question"]
        return values

    @property
    def condition_text(self) -> str:
        """The condition as JSON."""
        return json.dumps(self.condition.describe(), sort_keys=True)

    @property
    def condition_seed(self) -> int:
        """A number of the condition's own, for seeds of its prompts."""
        return _number({**SEED_SALT, **self.condition.describe()}, 15)

    @property
    def model_seed(self) -> int:
        """Seed of the model, which neither the cell's seed nor the number of prompts changes."""
        return _number({**self.condition.describe(), "n_prompts": LEAST["n_prompts"]}, 8) // 2

    @cached_property
    def key(self) -> str:
        """The hash of the cell and of the code that scores layers and judges them."""
        code = code_digest("probes", "interp.scoring")
        return hash_of("calibration cell", {**asdict(self), "code": code})


def _number(values: dict[str, Any], n_digits: int) -> int:
    """The first hexadecimal digits of a hash."""
    text = json.dumps(values, sort_keys=True)
    return int(hashlib.sha256(text.encode()).hexdigest()[:n_digits], 16)


def planted(cell: Cell) -> Planted:
    """What a cell plants, rotation and noise included, in prompts of 2 d pairs and a point.

    It is the same for every seed and every number of prompts, so that cells of one model can be
    compared.
    """
    return build_planted(
        algorithm=cell.algorithm,
        iterations_per_layer=cell.iterations_per_layer,
        n_dims=cell.n_dims,
        n_points=2 * cell.n_dims + 1,
        n_layers=cell.n_layers,
        noise=cell.noise,
        noise_seed=cell.model_seed,
        rotation_seed=cell.model_seed if cell.is_rotated else None,
        dtype="float64",
    )


def build(cell: Cell, seed: int) -> SequenceModel:
    """The model of a cell: what is planted, or the control made from it with a seed."""
    model = planted(cell)
    if cell.control == "random weights":
        return randomised_twin(model, seed)
    if cell.control in _REORDERINGS:
        reorder = _REORDERINGS[cell.control]

        def before(_: nn.Module, prompts: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
            return reorder(*prompts, torch.Generator().manual_seed(seed))

        model.register_forward_pre_hook(before)
    return model


def _shuffled_pairs(xs: Tensor, ys: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    return xs, shuffle_pairs(ys, generator)


def _exchanged_prompts(xs: Tensor, ys: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    order = derangement(len(ys), generator)
    return xs[order], ys[order]


_REORDERINGS = {"shuffled pairs": _shuffled_pairs, "exchanged prompts": _exchanged_prompts}
