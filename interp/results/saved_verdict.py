"""A verdict as a result file holds it, in today's layout or in that of version 0.1."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from probes.verdict import Reason, Verdict

RENAMED = {
    "standing": "retained",
    "duels": "pairwise_tests",
    "stepless": "non_iterative",
    "misfit": "lack_of_fit",
}
MEASURES = {
    "similarity of errors": "similarity",
    "R^2 of the iterate's prediction": "prediction",
    "R^2 of the iterate's weight": "weights",
    "R^2 of the filtered query": "filtered_query",
}
"""How the sentences of the old layout begin, and what they are called today."""
REASONS = {
    r"a constant rate reaches": Reason.RETAINED,
    r"similarity \S+ is below": Reason.UNLIKE,
    r"similarity \S+ is no better than the control's (?P<control>\S+)": Reason.LIKE_CONTROL,
    r"steps need not grow": Reason.NO_GROWTH,
    r"a constant rate costs (?P<extra_loss>\S+) more": Reason.COSTLY_RATE,
    r"stays \S+ behind the best": Reason.BEHIND,
    r"what the layers say is less likely": Reason.LESS_LIKELY,
    r"stays \S+ behind .*, whatever": Reason.BEHIND_NON_ITERATIVE,
}
NONE = {"value": 0.0, "low": 0.0, "high": 0.0}


def verdict_from(plain: Mapping[str, Any]) -> Verdict:
    """The inverse of `dataclasses.asdict` for a verdict that has been through JSON.

    Raises:
        msgspec.ValidationError: It is no verdict; the message has the path to what is wrong.
    """
    return msgspec.convert(_translated(plain) if "standing" in plain else plain, Verdict)


def _translated(plain: Mapping[str, Any]) -> dict[str, Any]:
    """From the layout of version 0.1, whose measures and reasons were sentences."""
    kept = {RENAMED.get(key, key): value for key, value in plain.items()}
    measures = [finding["measure"] for finding in plain["findings"]]
    kept["pairwise_tests"] = [{"log_ratio": NONE, **test} for test in plain.get("duels", ())]
    kept["non_iterative"] = [
        {**fit, "is_retained": fit["stands"]} for fit in plain.get("stepless", ())
    ]
    kept["findings"] = [_finding(finding) for finding in plain["findings"]]
    kept["readout"] = "raw" if any("(raw" in measure for measure in measures) else "matched"
    return kept


def _finding(plain: Mapping[str, Any]) -> dict[str, Any]:
    measure = next(key for words, key in MEASURES.items() if plain["measure"].startswith(words))
    evidence, control = [], 0.0
    for item in plain["evidence"]:
        found = next(
            (match, reason)
            for pattern, reason in REASONS.items()
            if (match := re.match(pattern, item["reason"]))
        )
        numbers = {key: float(value) for key, value in found[0].groupdict().items()}
        control = numbers.get("control", control)
        loss = numbers.get("extra_loss", 0.0)
        evidence.append({**item, "reason": found[1], "extra_loss": dict.fromkeys(NONE, loss)})
    return {"measure": measure, "evidence": evidence, "control": control}
