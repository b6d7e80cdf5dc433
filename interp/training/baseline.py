"""What a trained model's error is compared with."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from interp.tasks import LinearRegression, Prompts, Task, TwoLayerNetwork
from interp.training.validation import squared_error
from probes.references import OLS, Prefixes, Reference, Ridge


def baseline_predictions(
    task: Task, xs: Float[Tensor, "prompt point dim"], ys: Float[Tensor, "prompt point"]
) -> Float[Tensor, "prompt point"]:
    """What the best predictor known for a task says.

    Ridge with lambda = sigma^2 (the posterior mean under w ~ N(0, I)) on noisy linear regression,
    the best predictor linear in y on two-layer networks, minimum-norm OLS otherwise.
    """
    if isinstance(task, TwoLayerNetwork):
        return task.posterior_mean(xs, ys)
    reference: Reference = OLS()
    if isinstance(task, LinearRegression) and task.noise_std > 0:
        reference = Ridge(task.noise_std**2)
    return reference.predictions(Prefixes(xs, ys), None)[0]


def baseline_error(task: Task, prompts: Prompts, batch_size: int = 512) -> float:
    """Mean squared error / n_dims of the baseline, over prompts and points."""
    total = 0.0
    for xs, ys in zip(prompts.xs.split(batch_size), prompts.ys.split(batch_size), strict=True):
        predictions = baseline_predictions(task, xs, ys)
        total += squared_error(predictions, ys).sum().item()
    return total / prompts.ys.numel() / prompts.xs.shape[2]
