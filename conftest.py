"""The examples in the docstrings of references run on one small prefix; see `Reference`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

if TYPE_CHECKING:
    from probes.references import Reference

X = np.array([[1.0, 0.5], [0.2, -1.0], [-0.7, 0.3], [0.4, 0.9]])
y = np.array([0.3, -1.2, 0.5, 0.8])
query = np.array([0.6, -0.4])


def same(reference: Reference, expected: np.ndarray, step: float = 0) -> bool:
    """Whether a reference has these weights, or this prediction, after so many steps on X and y."""
    from probes.references import Prefixes  # not before `tests/conftest.py` checks array shapes

    xs = torch.from_numpy(np.concatenate([X, query[None]]))[None]
    prefixes = Prefixes(xs, torch.from_numpy(np.append(y, 0.0))[None])
    found = (reference.weights if np.ndim(expected) else reference.predictions)(prefixes, [step])
    return bool(np.allclose(found[0, 0, -1], expected, rtol=1e-9, atol=1e-12))


@pytest.fixture(autouse=True)
def _examples(doctest_namespace: dict[str, object]) -> None:
    S, b = X.T @ X, X.T @ y  # noqa: N806
    names = {"np": np, "X": X, "y": y, "query": query, "S": S, "b": b, "I": np.eye(2)}
    doctest_namespace.update(names, same=same)
