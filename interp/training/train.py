"""The training loop."""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from accelerate.accelerator import Accelerator
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from hooks.architectures import build_model
from hooks.checkpoints import save_checkpoint
from hooks.model import SequenceModel
from interp.tasks import Prompts, Task
from interp.training.baseline import baseline_error
from interp.training.recipe import Optimiser, Recipe
from interp.training.run_directory import (
    RunDirectory,
    TrainingState,
    optimiser_tensors,
    restore_optimiser,
)

N_VALIDATION_PROMPTS = 4096
VALIDATION_SEED = 2**32 - 1
"""Outside the seeds people give recipes, so that validation prompts are not trained on."""

Progress = Callable[[int, dict[str, float]], None]
"""Called after every step with the steps done and the newest numbers."""


def train(
    recipe: Recipe, directory: str | Path, *, progress: Progress | None = None
) -> SequenceModel:
    """Trains a model, going on from the last checkpoint in the directory if there is one.

    A training that was killed and started again ends with the same weights, to the last bit, as
    one that was not (same machine, same number of threads).

    Args:
        recipe: What to train, on what, how.
        directory: Where `model.safetensors`, `training.safetensors` and `metrics.csv` go.
        progress: Told of every step.

    Returns:
        The trained model, in evaluation mode.

    Raises:
        RunError: The directory is in use, damaged or another recipe's.
        FloatingPointError: The loss is no longer finite.
    """
    run = RunDirectory(Path(directory))
    with run.lock():
        run.claim(recipe.describe())
        return _Trainer(recipe, run, progress or (lambda step, numbers: None)).run()


class _Trainer:
    """One training in one process (or one of several, through `accelerate`)."""

    def __init__(self, recipe: Recipe, run: RunDirectory, progress: Progress) -> None:
        self.recipe, self.run_directory, self.progress = recipe, run, progress
        settings = recipe.training
        if settings.precision == "tf32":
            torch.set_float32_matmul_precision("high")
        self.accelerator = Accelerator(
            mixed_precision="bf16" if settings.precision == "bf16" else "no"
        )
        self.model = initial_model(recipe)
        self.optimiser = build_optimiser(self.model, recipe.optimiser)
        self.generator = torch.Generator().manual_seed(recipe.seed)
        self.step = 0
        self.metrics: list[dict[str, float]] = []
        if state := run.read_state():
            self._restore(state)
        self.model.to(self.accelerator.device)
        self.wrapped, self.optimiser = self.accelerator.prepare(self.model, self.optimiser)
        self.validation = validation_prompts(recipe.task)
        self.baseline = baseline_error(recipe.task, self.validation)

    def run(self) -> SequenceModel:
        settings = self.recipe.training
        numbers = dict(self.metrics[-1]) if self.metrics else {}
        losses: list[float] = []
        started = time.perf_counter()
        spent_before = numbers.get("seconds", 0.0)
        while self.step < settings.n_steps:
            losses.append(self._train_step())
            self.step += 1
            if self.step % settings.checkpoint_every == 0 or self.step == settings.n_steps:
                numbers = self._measure(sum(losses) / len(losses))
                numbers["seconds"] = round(spent_before + time.perf_counter() - started, 1)
                self.metrics.append(numbers)
                losses = []
                self._save()
            self.progress(self.step, numbers | {"loss": losses[-1] if losses else numbers["loss"]})
        self._write_model()
        return self.model.eval()

    def _train_step(self) -> float:
        recipe = self.recipe
        task = recipe.curriculum.task_at(recipe.task, self.step)
        batch = task.sample(recipe.training.batch_size, self.generator)
        share = slice(
            self.accelerator.process_index, None, self.accelerator.num_processes
        )  # every process draws the batch and trains on its own part of it
        device = self.accelerator.device
        xs = F.pad(batch.xs[share], (0, recipe.task.n_dims - task.n_dims)).to(device)
        ys = batch.ys[share].to(device)
        factor = recipe.schedule.factor(self.step, recipe.training.n_steps)
        for group in self.optimiser.param_groups:
            group["lr"] = recipe.optimiser.learning_rate * factor
        loss = squared_error(self.wrapped(xs, ys), ys).mean() / task.n_dims
        if not loss.isfinite():
            raise FloatingPointError(
                f"the loss became {loss.item()} at step {self.step}; "
                f"the last good state is in {self.run_directory.state_file}"
            )
        self.accelerator.backward(loss * task.n_dims)
        if recipe.optimiser.clip_norm is not None:
            self.accelerator.clip_grad_norm_(self.model.parameters(), recipe.optimiser.clip_norm)
        self.optimiser.step()
        self.optimiser.zero_grad()
        return loss.item()

    def _measure(self, loss: float) -> dict[str, float]:
        error = validation_error(self.model, self.validation) / self.recipe.task.n_dims
        return {
            "step": self.step,
            "loss": loss,
            "error": error,
            "baseline_error": self.baseline,
            "excess": error - self.baseline,
        }

    def _save(self) -> None:
        if not self.accelerator.is_main_process:
            return
        tensors = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        tensors |= optimiser_tensors(self.optimiser)
        tensors["generator"] = self.generator.get_state()
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        self.run_directory.write_state(TrainingState(self.step, tensors, self.metrics))
        self._write_model()

    def _write_model(self) -> None:
        if self.accelerator.is_main_process:
            provenance = {
                "recipe": self.recipe.describe(),
                "task": self.recipe.task.describe(),
                "step": self.step,
                "metrics": self.metrics[-1] if self.metrics else {},
                "versions": library_versions(),
            }
            save_checkpoint(self.model, self.run_directory.model_file, provenance)

    def _restore(self, state: TrainingState) -> None:
        weights = {
            name.removeprefix("model."): tensor
            for name, tensor in state.tensors.items()
            if name.startswith("model.")
        }
        self.model.load_state_dict(weights)
        restore_optimiser(self.optimiser, state.tensors)
        self.generator.set_state(state.tensors["generator"])
        self.step, self.metrics = state.step, list(state.metrics)


def initial_model(recipe: Recipe) -> SequenceModel:
    """The model a recipe starts from: random weights, or those of its initial checkpoint."""
    model = build_model(recipe.architecture, recipe.model, seed=recipe.seed)
    if recipe.training.initial_checkpoint:
        from interp.zoo import load

        model.load_state_dict(load(recipe.training.initial_checkpoint).state_dict())
    return model


def build_optimiser(model: SequenceModel, settings: Optimiser) -> torch.optim.Optimizer:
    """Adam or AdamW over all of a model's parameters."""
    optimisers = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    return optimisers[settings.name](
        model.parameters(),
        lr=settings.learning_rate,
        betas=settings.betas,
        weight_decay=settings.weight_decay,
        fused=True,
    )


def squared_error(
    predictions: Float[Tensor, "prompt point"], ys: Float[Tensor, "prompt point"]
) -> Float[Tensor, "prompt point"]:
    """Squared error of every prediction."""
    return (predictions - ys.to(predictions.dtype)).square()


def validation_prompts(task: Task) -> Prompts:
    """The prompts that training progress is measured on."""
    generator = torch.Generator().manual_seed(VALIDATION_SEED)
    return task.sample(N_VALIDATION_PROMPTS, generator)


@torch.inference_mode()
def validation_error(model: SequenceModel, prompts: Prompts, batch_size: int = 1024) -> float:
    """Mean squared error over prompts and points."""
    total = 0.0
    for xs, ys in zip(prompts.xs.split(batch_size), prompts.ys.split(batch_size), strict=True):
        xs, ys = xs.to(model.device), ys.to(model.device)
        total += squared_error(model(xs, ys), ys).double().sum().item()
    return total / prompts.ys.numel()


def library_versions() -> dict[str, Any]:
    """Versions of what decides a result, for its provenance."""
    return {name: version(name) for name in ("torch", "transformer-lens", "numpy")}
