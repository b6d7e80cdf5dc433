"""The parts of a recipe besides its model and its task."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from interp.tasks import Task


@dataclass(frozen=True)
class Ramp:
    """A size that grows during training: `start`, plus `increment` every `interval` steps."""

    start: int
    end: int
    increment: int
    interval: int

    def __post_init__(self) -> None:
        _require_at_least(1, self, "start", "increment", "interval")
        if self.end < self.start:
            raise ValueError(f"end must be at least start, {self.start}, got {self.end}")

    def at(self, step: int) -> int:
        return min(self.end, self.start + self.increment * (step // self.interval))


@dataclass(frozen=True)
class Curriculum:
    """Smaller prompts first (Garg et al. 2022, Appendix A.2)."""

    dims: Ramp | None = None
    """Coordinates of x in use; the others are zero."""
    points: Ramp | None = None

    def task_at(self, task: Task, step: int) -> Task:
        """The task whose prompts are trained on at a step."""
        if self.dims:
            task = replace(task, n_dims=self.dims.at(step))
        if self.points:
            task = replace(task, n_points=self.points.at(step))
        return task


@dataclass(frozen=True)
class Optimiser:
    """Adam, AdamW or Muon, with gradient clipping."""

    name: Literal["adam", "adamw", "muon"] = "adamw"
    """"muon" moves the matrices of the layers by Muon and all other weights by AdamW."""
    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.98)
    """Of Adam and AdamW."""
    weight_decay: float = 0.0
    clip_norm: float | None = 1.0
    """Largest norm of all gradients together; "none" for no clipping."""

    def __post_init__(self) -> None:
        if not 0 < self.learning_rate < math.inf:
            raise ValueError(f"learning_rate must be above 0 and finite, got {self.learning_rate}")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas must be in [0, 1), got {list(self.betas)}")
        if not 0 <= self.weight_decay < math.inf:
            raise ValueError(f"weight_decay must be at least 0, got {self.weight_decay}")
        if self.clip_norm is not None and not self.clip_norm > 0:
            raise ValueError(f"clip_norm must be above 0, got {self.clip_norm}")


@dataclass(frozen=True)
class Schedule:
    """Learning rate against step: linear warm-up, then constant or a cosine down to zero."""

    name: Literal["constant", "cosine"] = "cosine"
    warmup_steps: int = 500

    def __post_init__(self) -> None:
        _require_at_least(0, self, "warmup_steps")

    def factor(self, step: int, n_steps: int) -> float:
        """What the learning rate is multiplied by at a step, counted from 0."""
        warmup = min(1.0, (step + 1) / self.warmup_steps) if self.warmup_steps else 1.0
        if self.name == "constant":
            return warmup
        done = max(0, step - self.warmup_steps) / max(1, n_steps - self.warmup_steps)
        return warmup * 0.5 * (1 + math.cos(math.pi * done))


@dataclass(frozen=True)
class Training:
    """How long, how much at once, how often saved, in which precision."""

    n_steps: int
    batch_size: int = 128
    checkpoint_every: int = 500
    precision: Literal["float32", "tf32", "bf16"] = "float32"
    """Of matrix products; weights and optimiser state are float32 always."""
    initial_checkpoint: str | None = None
    """Zoo name or file of a checkpoint to start from instead of random weights."""
    n_validation_prompts: int = 4096
    """Prompts that the error in the metrics is measured on, the same at every checkpoint."""
    keep: Literal["last", "log"] | int = "last"
    """Which models stay: the last, one every `keep` steps, or four per doubling of the step."""

    def __post_init__(self) -> None:
        _require_at_least(
            1, self, "n_steps", "batch_size", "checkpoint_every", "n_validation_prompts"
        )
        if isinstance(self.keep, int):
            _require_at_least(1, self, "keep")

    def keeps(self, step: int) -> bool:
        """Whether the model after that many steps stays as a snapshot."""
        if self.keep == "last":
            return False
        if isinstance(self.keep, int):
            return step % self.keep == 0 or step == self.n_steps
        return step == self.n_steps or any(
            step == round(2 ** (quarter / 4)) for quarter in range(4 * step.bit_length() + 1)
        )


def _require_at_least(least: int, part: object, *names: str) -> None:
    for name in names:
        if getattr(part, name) < least:
            raise ValueError(f"{name} must be at least {least}, got {getattr(part, name)}")
