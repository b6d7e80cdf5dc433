"""Oracles of the constructed models: the algorithms as loops over prompts and points."""

from __future__ import annotations

import numpy as np
import torch


def newton_by_loop(xs, ys, alpha, n_steps):
    """Predictions and filtered queries of every step, [step, prompt, point(, dim)]."""
    xs, ys = xs.numpy(), ys.numpy()
    n_prompts, n_points, d = xs.shape
    predictions = np.zeros((n_steps + 1, n_prompts, n_points))
    queries = np.zeros((n_steps + 1, n_prompts, n_points, d))
    for p in range(n_prompts):
        for t in range(n_points):
            X, y, x = xs[p, :t], ys[p, :t], xs[p, t]  # noqa: N806
            S = X.T @ X  # noqa: N806
            M = alpha * S  # noqa: N806
            for k in range(n_steps + 1):
                queries[k, p, t] = M @ x
                predictions[k, p, t] = x @ M @ (X.T @ y)
                M = 2 * M - M @ S @ M  # noqa: N806
    return torch.from_numpy(predictions), torch.from_numpy(queries)


def gd_by_loop(xs, ys, n_steps, eta, gamma=0.0):
    """Predictions of every step, [step, prompt, point], of GD (gamma = 0) and GD++."""
    xs, ys = xs.numpy(), ys.numpy()
    predictions = np.zeros((n_steps + 1, *ys.shape))
    for p, t in np.ndindex(*ys.shape):
        X, x, residual, query = xs[p, :t].copy(), xs[p, t].copy(), ys[p, :t].copy(), 0.0  # noqa: N806
        for k in range(n_steps + 1):
            predictions[k, p, t] = query
            gradient = X.T @ residual
            residual, query = residual - eta * X @ gradient, query + eta * x @ gradient
            shrink = np.eye(len(x)) - gamma * X.T @ X
            X, x = X @ shrink, shrink @ x  # noqa: N806
    return torch.from_numpy(predictions)


def streams(model, xs, ys):
    """The residual stream at the prediction positions, [layer, prompt, point, d_model]."""
    with torch.no_grad():
        _, cache = model.run_with_cache(xs, ys, names_filter=lambda name: "resid" in name)
    return torch.stack(
        [
            model.read_site(cache[model.hook_name(site)], len(xs), xs.shape[1])
            for site in model.sites()
        ]
    )
