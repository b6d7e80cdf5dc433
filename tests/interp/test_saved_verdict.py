"""Verdicts in files, in today's layout and in that of version 0.1."""

from __future__ import annotations

import json
from dataclasses import asdict

import msgspec
import pytest
from planted import planted_result

from interp.results.saved_verdict import verdict_from
from probes.verdict import Measure, Reason

NUMBER = {"value": 0.5, "low": 0.4, "high": 0.6}
OLD_REASONS = {
    "a constant rate reaches similarity 0.993": Reason.RETAINED,
    "similarity 0.630 is below 0.7": Reason.UNLIKE,
    "similarity 0.950 is no better than the control's 0.949": Reason.LIKE_CONTROL,
    "steps need not grow with depth (gain 0.0001)": Reason.NO_GROWTH,
    "a constant rate costs 0.0066 more similarity than it costs the best": Reason.COSTLY_RATE,
    "stays 0.0149 behind the best at a constant rate": Reason.BEHIND,
    "what the layers say is less likely under it than under ridge (3.1 bits a prompt)": (
        Reason.LESS_LIKELY
    ),
    "stays 0.0920 behind ogd, whatever the steps of every layer": Reason.BEHIND_NON_ITERATIVE,
}


def old_evidence(reason):
    return {
        "name": "newton", "family": "newton", "constant_rate": NUMBER, "behind": NUMBER,
        "constraint_loss": NUMBER, "growth_gain": NUMBER, "rate": NUMBER, "first_layer": 1,
        "last_layer": 4, "law": "linear", "evidence_ratio": 9.0,
        "stands": reason.startswith("a constant rate reaches"), "reason": reason,
    }  # fmt: skip


OLD = {
    "standing": ["newton"], "steps_per_layer": 0.5, "interval": [0.4, 0.6], "text": "Newton.",
    "findings": [
        {"measure": "R^2 of the filtered query phi_k(S) x",
         "evidence": [old_evidence(reason) for reason in OLD_REASONS]},
        {"measure": "similarity of errors (raw read-outs)", "evidence": []},
    ],
    "duels": [{"names": ["a", "b"], "n_prompts": 8, "ahead": NUMBER, "ahead_by_examples": []}],
    "error_rate": "Right.",
    "stepless": [{"name": "ogd", "family": "ogd", "similarity": NUMBER, "ahead": NUMBER,
                  "behind": NUMBER, "rival": "newton", "stands": False}],
    "misfit": {"reference": "newton", "unshared": NUMBER, "systematic": NUMBER},
}  # fmt: skip


@pytest.mark.parametrize("retained", [("newton",), ("newton", "gd"), ()])
def test_a_verdict_survives_json(retained):
    verdict = planted_result(retained=retained).verdict
    assert verdict_from(json.loads(json.dumps(asdict(verdict)))) == verdict


def test_the_old_layout_is_read_with_every_reason():
    before = json.dumps(OLD)
    verdict = verdict_from(OLD)
    assert json.dumps(OLD) == before
    assert (verdict.retained, verdict.answer, verdict.readout) == (("newton",), "newton", "raw")
    finding, other = verdict.findings
    assert (finding.measure, other.measure) == (Measure.FILTERED_QUERY, Measure.SIMILARITY)
    assert [item.reason for item in finding.evidence] == list(OLD_REASONS.values())
    assert finding.control == 0.949
    assert finding.evidence[4].extra_loss.value == 0.0066
    assert verdict.pairwise_tests[0].loser is None
    assert [fit.is_retained for fit in verdict.non_iterative] == [False]
    assert verdict.has_large_misfit


def test_what_is_no_verdict_is_refused_with_its_place():
    broken = asdict(planted_result().verdict)
    broken["findings"][0]["evidence"][0]["reason"] = "because"
    with pytest.raises(msgspec.ValidationError, match=r"findings\[0\].evidence\[0\].reason"):
        verdict_from(json.loads(json.dumps(broken)))
