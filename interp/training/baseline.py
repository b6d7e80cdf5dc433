"""What a trained model's error is compared with."""

from __future__ import annotations

from interp.tasks import LinearRegression, Prompts, Task
from interp.training.validation import squared_error
from probes.references import OLS, Prefixes, Reference, Ridge


def baseline(task: Task) -> Reference:
    """The best predictor known for a task, among the references.

    Ridge with lambda = sigma^2 (the posterior mean under w ~ N(0, I)) on noisy linear regression,
    minimum-norm OLS otherwise.
    """
    if isinstance(task, LinearRegression) and task.noise_std > 0:
        return Ridge(task.noise_std**2)
    return OLS()


def baseline_error(task: Task, prompts: Prompts, batch_size: int = 512) -> float:
    """Mean squared error / n_dims of the baseline, over prompts and points."""
    reference = baseline(task)
    total = 0.0
    for xs, ys in zip(prompts.xs.split(batch_size), prompts.ys.split(batch_size), strict=True):
        predictions = reference.predictions(Prefixes(xs, ys), None)[0]
        total += squared_error(predictions, ys).sum().item()
    return total / prompts.ys.numel() / prompts.xs.shape[2]
