"""One run of the verdict on one model whose algorithm is known."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from typing import Any, Literal, get_args

FORMAT = "icl-interp-calibration/1"

Control = Literal[
    "planted", "random weights", "shuffled pairs", "exchanged prompts", "reference withheld"
]

FAMILIES: dict[str, str] = {"newton": "newton", "gd": "gd", "gdpp": "gd++", "ogd": "ogd"}
"""For each algorithm that can be planted, what the verdict calls it."""


@dataclass(frozen=True)
class Cell:
    """What is planted, what is done to it, how it is looked at, and the seed."""

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

    def __post_init__(self) -> None:
        if self.algorithm not in FAMILIES:
            raise ValueError(
                f"algorithm must be one of {', '.join(FAMILIES)}, got {self.algorithm!r}"
            )
        if self.control not in get_args(Control):
            known = ", ".join(get_args(Control))
            raise ValueError(f"control must be one of {known}, got {self.control!r}")
        for name, least in (
            ("iterations_per_layer", 1), ("n_prompts", 128), ("n_dims", 1), ("n_layers", 3),
            ("seed", 0),
        ):  # fmt: skip
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise ValueError(f"{name} must be a whole number of at least {least}, got {value}")
        object.__setattr__(self, "noise", float(self.noise))
        if not 0 <= self.noise < float("inf"):
            raise ValueError(f"noise must be at least 0, got {self.noise}")

    @property
    def n_points(self) -> int:
        """As in the paper: twice as many pairs as dimensions, and one more point."""
        return 2 * self.n_dims + 1

    @property
    def expected(self) -> str:
        """The right answer.

        Where the reference is withheld, that another is the nearest only is as right as "none".
        With shuffled pairs, random weights or exchanged prompts no layer says anything about y.
        Newton's iteration on S = X^T X and GD++'s on its inputs never see a y, so with shuffled
        pairs their streams hold filtered queries as before; but queries alone are not answers, and
        the verdict counts them only for a model whose layers say something about y.
        """
        return FAMILIES[self.algorithm] if self.control == "planted" else "none"

    @property
    def withheld(self) -> tuple[str, ...]:
        """Families left out of the references."""
        return (FAMILIES[self.algorithm],) if self.control == "reference withheld" else ()

    @property
    def is_control(self) -> bool:
        """Whether nothing was planted that the verdict could find."""
        return self.control != "planted" and not self.withheld

    @property
    def has_steps(self) -> bool:
        """Whether what is planted takes steps from layer to layer; online GD is done in one."""
        return self.algorithm != "ogd"

    @property
    def condition(self) -> Cell:
        """The cell without its seed: what cells are grouped by."""
        return replace(self, seed=0)

    @property
    def model_seed(self) -> int:
        """Seed of the model, which neither the cell's seed nor the number of prompts changes."""
        return int(_digest(asdict(replace(self, seed=0, n_prompts=128)))[:8], 16) // 2

    @property
    def key(self) -> str:
        """Names the cell's file; another version of the package gives another name."""
        return _digest({"version": version("icl-interp"), "format": FORMAT, **asdict(self)})[:24]


def _digest(values: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
