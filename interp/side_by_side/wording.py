"""Sentences about a comparison."""

from __future__ import annotations

from interp.calibration.quoting import quoted_error_rate
from interp.side_by_side.result import ModelComparison
from interp.side_by_side.tables import task_words, verdict_words


def headline(comparison: ModelComparison) -> str:
    """Which models run what, the commonest answer first."""
    by_verdict: dict[str, list[str]] = {}
    for name in comparison.names:
        by_verdict.setdefault(verdict_words(comparison.match(name)), []).append(name)
    groups = sorted(by_verdict.items(), key=lambda group: -len(group[1]))
    text = "; ".join(f"{_subject(verdict)}: {', '.join(names)}" for verdict, names in groups)
    return f"{text[:1].upper()}{text[1:]}."


def prompts_words(comparison: ModelComparison) -> str:
    """What the models were measured on."""
    n_prompts = comparison.provenance["prompts"]
    tasks = comparison.summary.task.values
    numbers = list(dict.fromkeys(map(int, tasks)))
    if len(numbers) == 1:
        where = f"the same for all, of {task_words(comparison, numbers[0])}"
    else:
        tasks_words = [f"({n + 1}) {task_words(comparison, n)}" for n in sorted(numbers)]
        where = f"of the task it was trained on: {'; '.join(tasks_words)}"
    return (
        f"{n_prompts:,} prompts for each model, {where}. Errors are of the models' own predictions."
    )


def calibration_words(comparison: ModelComparison) -> str:
    """How often such verdicts are right where the truth is known, as the verdicts quote it."""
    quoted = (comparison.match(name).verdict.error_rate for name in comparison.names)
    sentences = list(dict.fromkeys(sentence for sentence in quoted if sentence))
    return " ".join(sentences) or quoted_error_rate(comparison.provenance["prompts"])


def _subject(verdict: str) -> str:
    if verdict == "none":
        return "none of the references"
    return verdict.replace("nearest: ", "nearest to ")
