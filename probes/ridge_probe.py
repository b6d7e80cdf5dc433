"""The read-out of one site as a scikit-learn estimator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_consistent_length, check_is_fitted, validate_data

from probes.readout_fitter import ReadoutFitter, validation_error
from probes.ridge import RELATIVE_STRENGTHS, relative_strengths


class RidgeProbe(MultiOutputMixin, RegressorMixin, BaseEstimator):
    """Ridge regression from activations, its strength given or chosen on held-out samples.

    The chosen strength is one for all targets; the probe is then refitted on every sample, with
    the strength scaled to their number.

    Args:
        alpha: Ridge strength in scikit-learn's convention; None chooses it.
        relative_alphas: Strengths to choose from, in units of the mean eigenvalue of the scatter
            of the training samples; None for `probes.ridge.RELATIVE_STRENGTHS`.
        held_out_fraction: Part of the samples, or of the groups given to `fit`, that the choice is
            made on. Unused where `alpha` is given.
        random_state: Seed of the split.

    Attributes:
        coef_: `[target, feature]`, or `[feature]` for targets given as one column of numbers.
        intercept_: `[target]`, or a number.
        alpha_: The strength in use.
        held_out_r2_: Mean R^2 over targets on the held-out samples at every strength tried, before
            the refit; None where `alpha` is given.
    """

    def __init__(
        self,
        alpha: float | None = None,
        *,
        relative_alphas: Sequence[float] | None = None,
        held_out_fraction: float = 0.2,
        random_state: int | np.random.RandomState | None = 0,
    ) -> None:
        self.alpha = alpha
        self.relative_alphas = relative_alphas
        self.held_out_fraction = held_out_fraction
        self.random_state = random_state

    def fit(
        self,
        X: ArrayLike,  # noqa: N803 (scikit-learn's name)
        y: ArrayLike,
        groups: ArrayLike | None = None,
    ) -> RidgeProbe:
        """Fits the probe.

        Args:
            X: Activations `[sample, feature]`.
            y: Targets `[sample]` or `[sample, target]`.
            groups: Label of each sample, such as its prompt; samples of one label are never split
                between training and held-out. None splits single samples.

        Raises:
            ValueError: Data that are not finite or do not fit together, a fraction outside (0, 1),
                or fewer than two samples or groups to choose a strength on.
        """
        features, targets = validate_data(
            self, X, y, multi_output=True, y_numeric=True, dtype=(np.float64, np.float32)
        )
        columns = np.asarray(targets, dtype=np.float64).reshape(len(targets), -1)
        fitter = ReadoutFitter(1, features.shape[1], columns.shape[1], n_groups=2)
        is_held_out = self._held_out(len(features), groups)
        fitter.update(
            _as_tensor(features)[None],
            _as_tensor(columns),
            torch.from_numpy(is_held_out.astype(np.int64)),
        )
        self.held_out_r2_: NDArray[np.float64] | None = None
        if self.alpha is not None:
            self.alpha_ = float(self.alpha)
        else:
            self.alpha_ = self._choose(fitter)
        readout = fitter.solve([self.alpha_])[0]
        is_single = np.ndim(targets) == 1
        coefficients, intercept = readout.weight[0].T.numpy(), readout.bias[0].numpy()
        self.coef_ = coefficients[0].copy() if is_single else coefficients.copy()
        self.intercept_ = float(intercept[0]) if is_single else intercept.copy()
        return self

    def predict(self, X: ArrayLike) -> NDArray[np.float64]:  # noqa: N803
        """Predicts the targets `[sample]` or `[sample, target]` of activations."""
        check_is_fitted(self)
        features = validate_data(self, X, reset=False, dtype=(np.float64, np.float32))
        predictions: NDArray[np.float64] = features @ self.coef_.T + self.intercept_
        return predictions

    def _choose(self, fitter: ReadoutFitter) -> float:
        relative = RELATIVE_STRENGTHS if self.relative_alphas is None else self.relative_alphas
        training, held_out = (fitter.statistics.select_groups([group]) for group in (0, 1))
        candidates = ReadoutFitter.from_statistics(training).solve(
            relative_strengths(training, relative)
        )
        error = validation_error(candidates, held_out)
        self.held_out_r2_ = error.r2[:, 0].mean(dim=1).numpy()
        chosen = relative[int(error.best()[0, 0])]
        return float(relative_strengths(fitter.statistics, [chosen]))

    def _held_out(self, n_samples: int, groups: ArrayLike | None) -> NDArray[np.bool_]:
        if self.alpha is not None:
            return np.zeros(n_samples, dtype=bool)
        if not 0 < self.held_out_fraction < 1:
            raise ValueError(
                f"held_out_fraction must be between 0 and 1, got {self.held_out_fraction}"
            )
        labels = np.arange(n_samples) if groups is None else np.asarray(groups)
        check_consistent_length(np.empty(n_samples), labels)
        distinct, members = np.unique(labels, return_inverse=True)
        if len(distinct) < 2:
            what = "n_samples" if groups is None else "the number of groups"
            raise ValueError(
                f"choosing alpha needs at least 2 samples or groups, got {what} = {len(distinct)}; "
                "give alpha instead"
            )
        n_held_out = min(max(1, round(self.held_out_fraction * len(distinct))), len(distinct) - 1)
        order = check_random_state(self.random_state).permutation(len(distinct))
        return np.isin(members, order[:n_held_out])


def _as_tensor(values: NDArray[Any]) -> torch.Tensor:
    return torch.from_numpy(values if values.flags.writeable else values.copy())
