"""The model's own error in words."""

from __future__ import annotations

import pytest
import xarray
from planted import planted_result

from interp.report.error_text import error_text
from interp.results.result import MatchResult


def result_with(own: float, least_squares: float = 0.25) -> MatchResult:
    """A result whose model and least squares have these errors; its last layer has .0046."""
    result = planted_result()
    layers = result.layers
    tree = result.data.to_dict()
    tree["/"] = tree["/"].assign(model_error=xarray.full_like(layers.model_error, own))
    name = "/references/ols"
    ols = tree[name]
    tree[name] = ols.assign(error=xarray.full_like(ols.error, least_squares))
    return MatchResult(xarray.DataTree.from_dict(tree))


@pytest.mark.parametrize(
    ("own", "least_squares", "words"),
    [
        (0.004, 0.004, None),
        (0.004, 0.25, "better than any predictor could be"),
        (0.99, 0.25, "no better than predicting 0"),
        (0.457, 0.25, "100.1 times the error of a read-out of its last layer"),
    ],
)
def test_the_error_stands_beside_others_and_is_judged(
    own: float, least_squares: float, words: str | None
) -> None:
    text = error_text(result_with(own, least_squares))
    assert text is not None
    assert text.startswith(f"The model's own squared error / d is {own:.4f}; least squares has ")
    assert "predicting 0 has 1.0000." in text
    if words is None:
        assert text.endswith("1.0000.")
    else:
        assert words in text


def test_a_model_that_gave_no_predictions_has_no_such_sentence() -> None:
    assert error_text(result_with(float("nan"))) is None
