"""How often such verdicts are right, as a verdict quotes it."""

from __future__ import annotations

from dataclasses import replace

import fake_cells
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from interp.report.error_rate_text import error_rate
from interp.results.error_rate import Counts, ErrorRates, shipped_rates, total, wilson
from interp.studies.calibration.counts import error_rates
from probes.verdict import Verdict

NAMED = Verdict(("newton",), None, None)
NONE = Verdict((), None, None)
RATES = ErrorRates(
    planted=(
        Counts(16, 3, 1, n_prompts=128, noise=0.0),
        Counts(8, n_prompts=512, noise=0.0),
        Counts(0, 0, 2, n_prompts=512, noise=0.3),
    ),
    controls=(Counts(10, n_prompts=128),),
    withheld=(Counts(3, 0, 1, n_prompts=128),),
)


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_intervals_agree_with_scipy(count_and_n: tuple[int, int]):
    expected = binomtest(*count_and_n).proportion_ci(method="wilson")
    assert wilson(*count_and_n) == pytest.approx((expected.low, expected.high), abs=1e-12)


@pytest.mark.parametrize(("count", "n"), [(-1, 3), (4, 3), (0, 0)])
def test_shares_of_nothing_have_no_interval(count: int, n: int):
    with pytest.raises(ValueError, match="count"):
        wilson(count, n)


def test_without_rates_by_kind_all_verdicts_with_at_most_as_many_prompts_are_quoted():
    few, more = (error_rate(NAMED, "matched", n, RATES) for n in (511, 9999))
    low, high = wilson(1, 20)
    for part in (
        "On 20 runs",
        "right in 80 %, undecided in 15 % and wrong in 5 %",
        f"95 % interval {100 * low:.2g} to {100 * high:.2g} %",
        "on 10 runs where there was nothing to find it did not say so in 0 %",
        "on 4 whose algorithm was withheld from the references it named another",
        "as if it were the one in 25 %",
    ):
        assert part in few
    for part in ("On 30 runs", "128 to 512 prompts", "noise of 0 to 30 %", "wrong in 10 %"):
        assert part in more


def test_the_rate_of_its_own_kind_is_quoted_where_there_is_one():
    kinds = (
        Counts(9, 0, 1, n_prompts=128, kind="retained"),
        Counts(2, 0, 8, n_prompts=1024, kind="retained"),
        Counts(3, 0, 1, n_prompts=128, kind="nearest"),
    )
    rates = replace(RATES, kinds=kinds)
    text = error_rate(NAMED, "matched", 512, rates)
    assert text.startswith("Of 10 verdicts that name one reference in the calibration, with 128 ")
    assert "90 % name the one that the model runs" in text
    assert "Of 20" in error_rate(NAMED, "matched", 1024, rates)
    assert "On 30 runs" in error_rate(NONE, "matched", 1024, rates)


def test_what_was_not_calibrated_is_not_quoted():
    assert "not calibrated for as few as 127" in error_rate(NAMED, "matched", 127, RATES)
    assert "raw read-outs are right is not known" in error_rate(NAMED, "raw", 512, RATES)


def test_the_rates_that_a_calibration_writes_are_read_again():
    outcomes = fake_cells.calibration().outcomes
    rates = msgspec.convert(error_rates(outcomes), ErrorRates)
    assert total(rates.planted) == Counts(3, n_prompts=128)
    assert total((*rates.planted, *rates.controls, *rates.withheld)).n == len(outcomes)
    assert total(rates.kinds).n == len(outcomes)
    assert {row.kind for row in rates.kinds} == {"none", "retained"}


def test_the_shipped_rates_can_be_quoted():
    assert total(shipped_rates().planted).right == 603
    assert "On 606 runs over models of known algorithm" in error_rate(NAMED, "matched", 4096)
