"""The reproduction as a Markdown page with pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hooks.atomic import write_text
from interp.calibration.static import find_browser, static_svgs
from interp.report.text_table import TextTable
from interp.studies.paper.claims import describe_outcomes
from interp.studies.paper.reproduction import Drawing, RowResult

INTRODUCTION = """\
Every figure and the table of Fu, Chen, Jia and Sharan ([Transformers Learn to Achieve Second-Order
Convergence Rates for In-Context Linear Regression](https://arxiv.org/abs/2310.17086), NeurIPS
2024), computed again by one command each. Trained models are those that ship, at d = 5; results
about algorithms alone are at the paper's d = 20.

- Every claim is decided by a computed rule, stated beside it. What satisfies neither the rule for
  "agrees" nor the one for "disagrees" is undecided.
- A number that the paper prints for d = 20 is decided at d = 20 only. At another scale ours stands
  beside it.
- As in the paper's code, iterates are compared as they are and similarities start at the point that
  has seen no pair; intervals are 95 % bootstrap intervals over prompts.
- Layers *at work* begin at the first whose error is below 95 % of that of predicting 0 and end at
  the first whose excess over the last layer's error is below 1 % of it.
"""
IN_DOCUMENT = frozenset(
    {
        "fig2", "fig3-heatmaps", "fig3-curves", "fig4-heatmaps", "fig4-algorithms", "fig5", "fig6",
        "fig7", "fig9", "fig10", "fig11-curves", "fig26", "fig27", "table1", "zero",
    }
)  # fmt: skip
"""Drawings that the page shows; the report of the command has them all."""


def write_document(
    path: str | Path, results: Sequence[RowResult], *, command: str, facts: str
) -> None:
    """Writes the page, and `images/reproduction-<name>.svg` beside it where a browser can draw.

    Args:
        path: Of the page.
        results: What came out of every row.
        command: What was typed.
        facts: How many prompts, and their seed.

    Raises:
        OSError: A file cannot be written.
    """
    path = Path(path)
    shown = [
        drawing for result in results for drawing in result.drawings if drawing.name in IN_DOCUMENT
    ]
    drawn = static_svgs([drawing.figure for drawing in shown]) if find_browser() else []
    images = {}
    for drawing, svg in zip(shown, drawn, strict=False):
        images[drawing.name] = f"images/reproduction-{drawing.name}.svg"
        write_text(path.parent / images[drawing.name], svg + "\n")
    outcomes = [claim.outcome for result in results for claim in result.claims]
    parts = [
        "# Reproduction of the paper",
        INTRODUCTION,
        f"```sh\n{command}\n```",
        f"{facts}. {len(outcomes)} claims: **{describe_outcomes(outcomes)}**.",
        _overview(results),
        *_waiting(results),
        *(part for result in results for part in _section(result, images)),
    ]
    text = "\n\n".join(part.strip() for part in parts if part) + "\n"
    write_text(path, text)


def _overview(results: Sequence[RowResult]) -> str:
    rows = tuple(
        (
            f"[{result.row.label}](#{result.row.key})",
            result.row.title,
            result.row.says,
            f"**{result.outcome}**",
            f"`{result.row.command}`",
        )
        for result in results
    )
    header = ("figure", "what it shows", "the paper says", "outcome", "command")
    return TextTable("", header, rows).markdown().replace("--:", ":--")


def _waiting(results: Sequence[RowResult]) -> list[str]:
    """The rows that wait for a checkpoint."""
    waiting: dict[str, list[str]] = {}
    for result in results:
        for sentence in result.missing:
            waiting.setdefault(sentence, []).append(f"[{result.row.label}](#{result.row.key})")
    if not waiting:
        return []
    lines = [f"- {'; '.join(labels)}: {sentence}" for sentence, labels in waiting.items()]
    note = "A trained one is used as `interp reproduce FIG --checkpoint runs/RECIPE`."
    return ["## What waits for a checkpoint", "\n".join(lines), note]


def _section(result: RowResult, images: dict[str, str]) -> list[str]:
    row = result.row
    checks = TextTable(
        "",
        ("claim", "published", "found", "outcome", "rule"),
        tuple(
            (
                f"{claim.claim}<br>*{claim.about}*" if claim.about else claim.claim,
                claim.published,
                claim.found,
                f"**{claim.outcome}**",
                claim.rule.text,
            )
            for claim in result.claims
        ),
    )
    parts = [
        f'<a id="{row.key}"></a>\n\n## {row.label}: {row.title}',
        f"{'The paper' if row.is_published else 'Beside the paper'}: {row.says} (`{row.command}`)",
        checks.markdown().replace("--:", ":--"),
    ]
    for drawing in result.drawings:
        parts += _picture(drawing, images)
    for table in result.tables:
        parts += [f"**{table.title}**", table.markdown(), table.note]
    return parts


def _picture(drawing: Drawing, images: dict[str, str]) -> list[str]:
    if drawing.name not in images:
        return []
    return [f"![{drawing.title}]({images[drawing.name]})", drawing.see]
