"""What a trained model's error is compared with."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from interp.tasks import LinearRegression, Prompts, Task, TwoLayerNetwork
from interp.training.validation import squared_error
from probes.references import OLS, DiscretePrior, Prefixes, Reference, Ridge


def baseline_predictions(
    task: Task, xs: Float[Tensor, "prompt point dim"], ys: Float[Tensor, "prompt point"]
) -> Float[Tensor, "prompt point"]:
    """What the best predictor known for a task says.

    The posterior mean on linear regression: dMMSE where w comes from a pool, ridge with lambda =
    sigma^2 with noise, minimum-norm OLS without; on two-layer networks the best predictor linear
    in y.
    """
    if isinstance(task, TwoLayerNetwork):
        return task.posterior_mean(xs, ys)
    return best_reference(task).predictions(Prefixes(xs, ys), None)[0]


def best_reference(task: Task) -> Reference:
    """The posterior mean on linear regression, minimum-norm OLS on everything else."""
    if isinstance(task, LinearRegression) and task.n_tasks:
        return DiscretePrior(task.y_scale * task.pool(), task.y_scale * task.noise_std)
    if isinstance(task, LinearRegression) and task.noise_std > 0:
        return Ridge(task.noise_std**2)
    return OLS()


def baseline_error(task: Task, prompts: Prompts, batch_size: int = 512) -> float:
    """Mean squared error / n_dims of the baseline, over prompts and points."""
    total = 0.0
    for xs, ys in zip(prompts.xs.split(batch_size), prompts.ys.split(batch_size), strict=True):
        predictions = baseline_predictions(task, xs, ys)
        total += squared_error(predictions, ys).sum().item()
    return total / prompts.ys.numel() / prompts.xs.shape[2]
