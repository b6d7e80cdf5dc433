"""The training loop."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import torch
from torch.nn import functional as F

from hooks.checkpoints import save_checkpoint
from hooks.model import SequenceModel
from interp.training.baseline import baseline_error
from interp.training.interruption import held_back
from interp.training.metrics import Metrics, describe_row
from interp.training.monitoring import Monitor, Monitoring
from interp.training.optimiser import build_optimiser, optimiser_tensors, restore_optimiser
from interp.training.recipe import Recipe, initial_model
from interp.training.run_directory import RunDirectory, TrainingState
from interp.training.validation import squared_error, validation_error, validation_prompts
from interp.versions import library_versions
from interp.zoo.catalogue import read_entry

Progress = Callable[[int, Metrics], None]
"""Told, after every step, how many steps are done, with that step's `step_loss` and the newest
metrics (none before the first checkpoint)."""


def train(
    recipe: Recipe,
    directory: str | Path,
    *,
    stop_after: int | None = None,
    progress: Progress | None = None,
    monitoring: Monitoring | None = None,
) -> SequenceModel:
    """Trains a model, going on from the last checkpoint in the directory if there is one.

    A training that was killed and started again ends with the same weights, to the last bit, as
    one that was not (same machine, same number of threads). Under `accelerate launch` every
    process calls this; batches are shared out between them and the first one writes.

    Args:
        recipe: What to train, on what, how.
        directory: Where `model.safetensors`, `metrics.csv`, `training.log` and the state go.
        stop_after: Saves and stops after that many steps of the recipe; calling again without it
            goes on to the end.
        progress: Told of every step.
        monitoring: What to log elsewhere and to measure beside it.

    Returns:
        The trained model, in evaluation mode.

    Raises:
        KeyboardInterrupt: Ctrl-C or SIGTERM came; the step was finished and saved before.
        RunError: The directory is in use, damaged, another recipe's, or was deleted under way.
        ValueError: `stop_after` is below 1, or the batch cannot be shared out evenly.
        FloatingPointError: The loss is no longer finite.
        OSError: The directory cannot be written; what was saved before is untouched.
    """
    if stop_after is not None and stop_after < 1:
        raise ValueError(f"stop_after must be at least 1, got {stop_after}")
    monitoring = monitoring or Monitoring()
    accelerator = monitoring.accelerator(Path(directory))
    if recipe.training.batch_size % accelerator.num_processes:
        raise ValueError(
            f"training.batch_size must be a multiple of the {accelerator.num_processes} processes, "
            f"got {recipe.training.batch_size}"
        )
    run = RunDirectory(Path(directory))
    with run.lock() if accelerator.is_main_process else nullcontext():
        if accelerator.is_main_process:
            run.claim(recipe)
        accelerator.wait_for_everyone()
        trainer = _Trainer(recipe, run, Monitor(monitoring, accelerator, recipe, run.log))
        n_steps = min(recipe.training.n_steps, stop_after or recipe.training.n_steps)
        progress = progress or (lambda step, numbers: None)
        if accelerator.num_processes > 1:  # which a signal reaches at different steps
            return trainer.run(n_steps, progress, lambda: False)
        with held_back() as is_interrupted:
            return trainer.run(n_steps, progress, is_interrupted)


class _Trainer:
    """One training in one process (or one of several, through `accelerate`)."""

    def __init__(self, recipe: Recipe, run: RunDirectory, monitor: Monitor) -> None:
        self.recipe, self.run_directory, self.monitor = recipe, run, monitor
        self.accelerator = accelerator = monitor.accelerator
        if recipe.training.precision == "tf32" and accelerator.device.type == "cuda":
            torch.set_float32_matmul_precision("high")
        self.model = initial_model(recipe).to(accelerator.device)
        optimiser = build_optimiser(self.model, recipe.optimiser)
        self.generator = torch.Generator().manual_seed(recipe.seed)
        self.step = 0
        self.metrics: list[Metrics] = []
        if state := run.read_state():
            self._restore(state, optimiser)
        self.wrapped, self.optimiser = accelerator.prepare(self.model, optimiser)
        self.validation = validation_prompts(recipe.task, recipe.training.n_validation_prompts)
        self.baseline = baseline_error(recipe.task, self.validation)

    def run(
        self, n_steps: int, progress: Progress, is_interrupted: Callable[[], bool]
    ) -> SequenceModel:
        """Trains up to a step, or until it is interrupted, and saves."""
        settings = self.recipe.training
        self._fill_missing_log()
        if self.step < n_steps:
            self._log_start()
            self.monitor.start(self.run_directory.path)
        numbers = dict(self.metrics[-1]) if self.metrics else {}
        started = time.perf_counter() - numbers.get("seconds", 0.0)
        losses: list[float] = []
        progress(self.step, numbers)
        is_over = self.step >= n_steps
        while not is_over:
            loss = self._train_step()
            losses.append(loss)
            self.step += 1
            if settings.keeps(self.step):
                self._write_model(self.run_directory.snapshot_file(self.step))
            self.monitor.measure(self.step, self.model)
            is_over = self.step == n_steps or is_interrupted()
            if self.step % settings.checkpoint_every == 0 or is_over:
                numbers = self._measure(sum(losses) / len(losses))
                numbers["seconds"] = round(time.perf_counter() - started, 1)
                losses.clear()
                self.metrics.append(numbers)
                self._save()
                self.monitor.record(self.step, numbers)
                if is_over:
                    self.monitor.end()
                    self._log("finished" if self.step == settings.n_steps else "stopped as asked")
            progress(self.step, numbers | {"step_loss": loss})
        self._write_missing_model()
        if self.accelerator.is_main_process:
            self.run_directory.check_there()
        self.accelerator.wait_for_everyone()
        return self.model.eval()

    def _train_step(self) -> float:
        recipe = self.recipe
        task = recipe.curriculum.task_at(recipe.task, self.step)
        batch = task.sample(recipe.training.batch_size, self.generator)
        share = slice(
            self.accelerator.process_index, None, self.accelerator.num_processes
        )  # every process draws the batch and trains on its own part of it
        device, dtype = self.accelerator.device, self.model.dtype
        xs = F.pad(batch.xs[share], (0, recipe.task.n_dims - task.n_dims)).to(device, dtype)
        ys = batch.ys[share].to(device, dtype)
        factor = recipe.schedule.factor(self.step, recipe.training.n_steps)
        for group in self.optimiser.param_groups:
            group["lr"] = recipe.optimiser.learning_rate * factor
        in_bf16 = recipe.training.precision == "bf16"
        with torch.autocast(device.type, torch.bfloat16, enabled=in_bf16):
            predictions = self.wrapped(xs, ys)
        loss = squared_error(predictions.float(), ys).mean() / task.n_dims
        mean_loss = self.accelerator.reduce(loss.detach(), "mean").item()
        self._check_finite("loss", mean_loss)
        self.accelerator.backward(loss * task.n_dims)
        if recipe.optimiser.clip_norm is not None:
            self.accelerator.clip_grad_norm_(self.model.parameters(), recipe.optimiser.clip_norm)
        self.optimiser.step()
        self.optimiser.zero_grad()
        return mean_loss

    def _measure(self, loss: float) -> Metrics:
        error = validation_error(self.model, self.validation) / self.recipe.task.n_dims
        self._check_finite("error on the validation prompts", error)
        return {
            "step": self.step,
            "loss": loss,
            "error": error,
            "baseline_error": self.baseline,
            "excess": error - self.baseline,
        }

    def _check_finite(self, what: str, value: float) -> None:
        if value - value != 0:
            message = f"the {what} became {value} at step {self.step}"
            self._log(message)
            raise FloatingPointError(
                f"{self.run_directory.path}: {message}; a smaller learning rate may help"
            )

    def _save(self) -> None:
        if not self.accelerator.is_main_process:
            return
        tensors = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        tensors |= optimiser_tensors(self.optimiser)
        tensors["generator"] = self.generator.get_state()
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        self.run_directory.write_state(TrainingState(self.step, tensors, self.metrics))
        self._write_model()
        self._log(describe_row(self.metrics[-1], self.recipe.training.n_steps))

    def _write_model(self, path: Path | None = None) -> None:
        if self.accelerator.is_main_process:
            row = self.metrics[-1] if self.metrics else {}
            provenance = {
                "recipe": self.recipe.describe(),
                "task": self.recipe.task.describe(),
                "step": self.step,
                "metrics": row if row.get("step") == self.step else {},
                "versions": library_versions(),
            }
            save_checkpoint(self.model, path or self.run_directory.model_file, provenance)

    def _write_missing_model(self) -> None:
        # A kill may have come between the last state and the model made from it.
        if not self.accelerator.is_main_process:
            return
        try:
            is_current = read_entry(self.run_directory.path).step == self.step
        except (OSError, ValueError):
            is_current = False
        if not is_current:
            self._write_model()

    def _restore(self, state: TrainingState, optimiser: torch.optim.Optimizer) -> None:
        weights = {
            name.removeprefix("model."): tensor
            for name, tensor in state.tensors.items()
            if name.startswith("model.")
        }
        self.model.load_state_dict(weights)
        restore_optimiser(optimiser, state.tensors)
        self.generator.set_state(state.tensors["generator"])
        self.step, self.metrics = state.step, list(state.metrics)

    def _log(self, text: str) -> None:
        if self.accelerator.is_main_process:
            self.run_directory.log(text)

    def _fill_missing_log(self) -> None:
        if self.accelerator.is_main_process and not self.run_directory.log_file.exists():
            for row in self.metrics:
                self._log(describe_row(row, self.recipe.training.n_steps))

    def _log_start(self) -> None:
        n_parameters = sum(parameter.numel() for parameter in self.model.parameters())
        self._log(
            f"{f'resumed at step {self.step}' if self.step else 'started'}: {self.recipe.name}, "
            f"{self.recipe.training.n_steps} steps, {n_parameters} parameters, "
            f"{self.accelerator.num_processes} process(es) on {self.accelerator.device.type}, "
            f"{torch.get_num_threads()} thread(s), torch {torch.__version__}"
        )
