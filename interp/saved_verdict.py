"""A verdict as a result file holds it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from probes.duel import Duel
from probes.estimate import Estimate
from probes.misfit import Misfit
from probes.stepless import Stepless
from probes.verdict import Evidence, Finding, Verdict


def verdict_from(plain: Mapping[str, Any]) -> Verdict:
    """The inverse of `dataclasses.asdict` for a verdict that has been through JSON."""
    findings = []
    for finding in plain["findings"]:
        evidence = []
        for item in finding["evidence"]:
            places = {key: tuple(item.get(key, ())) for key in ("layers", "steps")}
            evidence.append(Evidence(**{**_with_estimates(item), **places}))
        findings.append(Finding(finding["measure"], tuple(evidence)))
    interval = plain["interval"]
    duels = tuple(
        Duel(
            names=tuple(item["names"]),
            n_prompts=item["n_prompts"],
            ahead=Estimate(**item["ahead"]),
            ahead_by_examples=tuple(Estimate(**look) for look in item["ahead_by_examples"]),
            log_ratio=Estimate(**item.get("log_ratio", {"value": 0.0, "low": 0.0, "high": 0.0})),
        )
        for item in plain.get("duels", ())
    )
    misfit = plain.get("misfit")
    return Verdict(
        standing=tuple(plain["standing"]),
        steps_per_layer=plain["steps_per_layer"],
        interval=(interval[0], interval[1]) if interval else None,
        text=plain["text"],
        findings=tuple(findings),
        duels=duels,
        error_rate=plain.get("error_rate", ""),
        stepless=tuple(Stepless(**_with_estimates(item)) for item in plain.get("stepless", ())),
        misfit=None if misfit is None else Misfit(**_with_estimates(misfit)),
    )


def _with_estimates(plain: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: Estimate(**value) if isinstance(value, dict) else value for key, value in plain.items()
    }
