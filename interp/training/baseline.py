"""What a trained model's error is compared with."""

from __future__ import annotations

import torch

from interp.tasks import LinearRegression, Prompts, Task


def baseline_error(task: Task, prompts: Prompts) -> float:
    """Mean squared error / n_dims, over prompts and points, of the best predictor known for a task.

    Ridge with lambda = sigma^2 (the posterior mean under w ~ N(0, I)) on noisy linear regression,
    minimum-norm OLS otherwise.
    """
    ridge = 0.0
    if isinstance(task, LinearRegression):
        ridge = task.noise_std**2
    total = prompts.ys[:, 0].square().sum()
    for point in range(1, prompts.ys.shape[1]):
        x, y, query = prompts.xs[:, :point], prompts.ys[:, :point, None], prompts.xs[:, point]
        gram = x.mT @ x + ridge * torch.eye(x.shape[2], dtype=x.dtype)
        weights = torch.linalg.pinv(gram, hermitian=True) @ (x.mT @ y)
        prediction = (query[:, None] @ weights)[:, 0, 0]
        total = total + (prediction - prompts.ys[:, point]).square().sum()
    return (total / prompts.ys.numel() / prompts.xs.shape[2]).item()
