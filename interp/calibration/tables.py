"""What a calibration found, in tables of text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import mean, median

from interp.calibration.coverage import Coverage
from interp.calibration.figures import name_of
from interp.calibration.large_sample import TIMES
from interp.calibration.outcome import Outcome
from interp.calibration.protocols import ProtocolSteps
from interp.calibration.rates import tally_by
from interp.calibration.tally import Tally, wilson
from interp.report.text_table import TextTable
from probes.verdict import DEFAULT_CRITERIA


def tables(
    outcomes: Sequence[Outcome],
    protocols: Sequence[ProtocolSteps] = (),
    covered: Sequence[Coverage] = (),
) -> tuple[TextTable, ...]:
    """Every table that these outcomes have rows for."""
    planted = [o for o in outcomes if o.cell.expected != "none"]
    drawn = (
        _by_noise(planted),
        _by_model(planted),
        _controls(outcomes),
        _withheld([o for o in outcomes if o.cell.withheld]),
        _misfit(planted),
        _coverage(covered),
        _protocols(protocols),
        _not_right(outcomes),
    )
    return tuple(table for table in drawn if table.rows)


def _by_noise(planted: Sequence[Outcome]) -> TextTable:
    tallies = tally_by(planted, lambda o: o.cell.noise, lambda o: o.cell.n_prompts)
    return TextTable(
        "Answers by noise and prompts",
        ("noise, % of the stream's", "prompts", "runs", "right", "undecided", "wrong", "right, %"),
        tuple(
            (
                f"{100 * noise:.0f}",
                f"{n_prompts:,}",
                *_counts(tally),
                _percent(tally.right, tally.n),
            )
            for (noise, n_prompts), tally in tallies.items()
        ),
        "In brackets 95 % intervals (Wilson). Wrong is any definite answer that is not the planted "
        "algorithm, “none” included.",
    )


def _by_model(planted: Sequence[Outcome]) -> TextTable:
    rows = []
    groups: dict[tuple[str, int, float], list[Outcome]] = {}
    for o in planted:
        if o.cell.control == "planted":
            key = (o.cell.algorithm, o.cell.iterations_per_layer, o.cell.noise)
            groups.setdefault(key, []).append(o)
    for (_, _, noise), members in sorted(groups.items()):
        errors = [100 * o.relative_error for o in members if o.relative_error is not None]
        rows.append(
            (
                name_of(members[0].cell),
                f"{100 * noise:.0f}",
                *_counts(Tally.of(o.grade for o in members)),
                *(
                    (f"{mean(errors):+.1f}", f"{max(map(abs, errors)):.1f}")
                    if errors
                    else ("–", "–")
                ),
                f"{sum(map(_holds_planted, members))} of {len(errors)}" if errors else "–",
            )
        )
    header = ("planted", "noise, %", "runs", "right", "undecided", "wrong")
    return TextTable(
        "Steps per layer by model",
        (*header, "mean error of steps, %", "largest, %", "intervals that hold them"),
        tuple(rows),
        "All numbers of prompts and all dimensions together. The error is that of the steps per "
        "layer in right answers, relative to those planted. An interval holds what chance and the "
        "interpolation between grid steps may be off by; noise in the stream can shift the steps "
        "themselves a little, which the table of coverage allows for and this one does not.",
    )


def _holds_planted(outcome: Outcome) -> bool:
    if outcome.relative_error is None:
        return False
    assert outcome.low is not None
    assert outcome.high is not None
    return outcome.low <= outcome.cell.iterations_per_layer <= outcome.high


def _controls(outcomes: Sequence[Outcome]) -> TextTable:
    controls = [o for o in outcomes if o.cell.is_control]
    groups = tally_by(controls, lambda o: o.cell.control, lambda o: name_of(o.cell))
    return TextTable(
        "Controls",
        ("control", "made from", "right answer", "runs", "right", "undecided", "wrong"),
        tuple(
            (
                control,
                name,
                next(
                    o.cell.expected
                    for o in controls
                    if (o.cell.control, name_of(o.cell)) == (control, name)
                ),
                *_counts(tally),
            )
            for (control, name), tally in groups.items()
        ),
        "Random weights: every weight drawn anew. Exchanged prompts: the layers are compared on "
        "other prompts than the model read. Shuffled pairs: the model reads every y beside another "
        "x of its prompt. Newton's iteration on S = X^T X and that of GD++ on its inputs never see "
        "a y, so queries are filtered as before there; but no layer says anything about y, and the "
        "verdict takes no filtered query for an answer then.",
    )


def _by_name_and_noise(
    outcomes: Iterable[Outcome],
) -> list[tuple[tuple[str, float], list[Outcome]]]:
    groups: dict[tuple[str, float], list[Outcome]] = {}
    for o in outcomes:
        groups.setdefault((name_of(o.cell), o.cell.noise), []).append(o)
    return sorted(groups.items(), key=lambda group: group[0])


def _withheld(outcomes: Sequence[Outcome]) -> TextTable:
    return TextTable(
        "Models whose reference was withheld",
        ("planted", "noise, %", "runs", "none", "nearest only", "undecided", "named", "as"),
        tuple(
            (
                name,
                f"{100 * noise:.0f}",
                str(len(members)),
                str(sum(o.answer == "none" for o in members)),
                str(sum(o.is_nearest_only for o in members)),
                str(sum(o.grade == "undecided" for o in members)),
                str(sum(o.grade == "wrong" for o in members)),
                ", ".join(sorted({o.answer for o in members if o.grade == "wrong"})) or "–",
            )
            for (name, noise), members in _by_name_and_noise(outcomes)
        ),
        "What the verdict says of a model that runs none of the references it knows. Every variant "
        "of the algorithm was left out. “None” and “nearest only” are right; a reference that is "
        "named as a description is wrong.",
    )


def _misfit(planted: Sequence[Outcome]) -> TextTable:
    measured = (o for o in planted if o.misfit is not None)
    return TextTable(
        "Lack of fit where there is none",
        ("planted", "noise, %", "runs", "systematic misfit, %", "largest, %", "nearest only"),
        tuple(
            (
                name,
                f"{100 * noise:.0f}",
                str(len(members)),
                f"{100 * mean(o.misfit or 0.0 for o in members):.2f}",
                f"{100 * max(o.misfit or 0.0 for o in members):.2f}",
                str(sum(o.is_nearest_only for o in members)),
            )
            for (name, noise), members in _by_name_and_noise(measured)
        ),
        f"The share of the layers' squared errors that is beyond the reference that is retained "
        "and that other layers or references explain on other prompts. Above "
        f"{100 * DEFAULT_CRITERIA.largest_misfit:.0f} %, chance aside, the verdict says that the "
        "reference is the nearest and no description. Planted models run their reference exactly, "
        "so every one that is called the nearest only is a false alarm.",
    )


def _coverage(rows: Sequence[Coverage]) -> TextTable:
    lines = [
        (
            name_of(row.condition),
            f"{100 * row.condition.noise:.0f}",
            f"{row.condition.n_prompts:,}",
            f"{row.large_sample_rate:.3f} ({row.large_sample_prompts:,})",
            str(row.n),
            str(row.covered),
            str(row.planted_covered),
        )
        for row in rows
    ]
    if rows:
        n, covered = sum(row.n for row in rows), sum(row.covered for row in rows)
        lines.append(("all", "", "", "", str(n), f"{covered}: {_percent(covered, n)} %",
                      str(sum(row.planted_covered for row in rows))))  # fmt: skip
    return TextTable(
        "Coverage of the 95 % intervals of the steps per layer",
        ("planted", "noise, %", "prompts", "large sample's rate (prompts)", "intervals",
         "hold that rate", "hold the planted rate"),
        tuple(lines),
        "Intervals can be too narrow for one model and too wide for another: read the rows, and "
        "not the sum alone.",
    )  # fmt: skip


def _protocols(protocols: Sequence[ProtocolSteps]) -> TextTable:
    return TextTable(
        "Best-matching steps of layers 1, 2, …",
        ("planted", "protocol", "steps"),
        tuple(
            (name_of(found.cell), name, " ".join(f"{step:.1f}" for step in steps))
            for found in protocols
            for name, steps in {"planted": found.planted, **found.protocols}.items()
        ),
    )


def _not_right(outcomes: Sequence[Outcome]) -> TextTable:
    groups: dict[tuple[str, ...], int] = {}
    for o in outcomes:
        if o.grade != "right":
            cell = o.cell
            key = (
                name_of(cell), cell.control, f"{100 * cell.noise:.0f}", str(cell.n_dims),
                f"{cell.n_prompts:,}", o.answer, ", ".join(o.standing) or "–",
            )  # fmt: skip
            groups[key] = groups.get(key, 0) + 1
    return TextTable(
        "Every answer that was not right",
        ("model", "control", "noise, %", "d", "prompts", "answer", "left standing", "runs"),
        tuple((*key, str(count)) for key, count in sorted(groups.items())),
    )


def _counts(tally: Tally) -> tuple[str, ...]:
    return tuple(map(str, (tally.n, tally.right, tally.undecided, tally.wrong)))


def _percent(count: int, n: int) -> str:
    low, high = wilson(count, n)
    return f"{100 * count / n:.0f} ({100 * low:.0f}–{100 * high:.0f})"


def conclusions(
    outcomes: Sequence[Outcome], covered: Sequence[Coverage] = (), n_planned: int | None = None
) -> tuple[str, ...]:
    """What a reader should take away, in sentences."""
    planted = [o for o in outcomes if o.cell.expected != "none"]
    controls = [o for o in outcomes if o.cell.is_control]
    parts = []
    for label, group in (
        ("Models of known algorithm without noise", [o for o in planted if not o.cell.noise]),
        ("With noise in the stream", [o for o in planted if o.cell.noise]),
        ("Where there is nothing to find", controls),
        ("Where the algorithm was withheld", [o for o in outcomes if o.cell.withheld]),
    ):
        if group:
            tally = Tally.of(o.grade for o in group)
            parts.append(
                f"{label}: {tally.right} of {tally.n} right, {tally.undecided} undecided, "
                f"{tally.wrong} wrong{_typical_error(group)}"
            )
    if n := sum(row.n for row in covered):
        count = sum(row.covered for row in covered)
        parts.append(
            f"Of {n} intervals of the steps per layer, said to be 95 %, {count} "
            f"({100 * count / n:.1f} %) hold the rate found with {TIMES} times the prompts"
        )
    runs = f"{len(outcomes)} runs"
    if n_planned is not None and n_planned > len(outcomes):
        runs = f"The first {len(outcomes)} of the grid's {n_planned} runs"
    return tuple(f"{part}." for part in (runs, *parts))


def _typical_error(outcomes: Iterable[Outcome]) -> str:
    errors = [abs(o.relative_error) for o in outcomes if o.relative_error is not None]
    return f" (steps per layer off by {100 * median(errors):.1f} % in the median)" if errors else ""
