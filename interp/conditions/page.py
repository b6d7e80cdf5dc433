"""The report of a sweep of conditions: one HTML file that opens offline."""

from __future__ import annotations

from pathlib import Path

from hooks.atomic import write_text
from interp.conditions.figures import (
    plot_condition_errors,
    plot_condition_steps,
    plot_needs,
)
from interp.conditions.result import ConditionSweep, Law
from interp.conditions.variations import VARIATIONS
from interp.report.picture import with_pictures
from interp.report.section import Section
from interp.report.templating import render_page
from interp.versions import versions_text

UNITS = (
    "The model's error, and in brackets that of the best possible answer, in units of the error of "
    "predicting 0:"
)
LAWS = {
    "newton": "Newton needs steps in proportion to the logarithm of κ",
    "gd": "gradient descent in proportion to κ",
    "cg": "conjugate gradients to its root, and never more than one a dimension",
}


def write_report(sweep: ConditionSweep, path: str | Path) -> None:
    """Writes one HTML file that opens offline, atomically.

    Raises:
        OSError: The file cannot be written; an existing one is left as it was.
    """
    write_text(path, page_html(sweep))


def page_html(sweep: ConditionSweep) -> str:
    """The report's page."""
    provenance = sweep.provenance
    sections = [_section(sweep, name) for name in sweep.varied]
    facts = {
        "Model": provenance["architecture"],
        "Task": ", ".join(f"{key} = {value}" for key, value in provenance["task"].items()),
        "Prompts": f"{provenance['prompts']:,} under each condition, as many to fit read-outs",
        "Seed": str(provenance["seed"]),
        "Command": provenance["command"],
        "Versions": versions_text(provenance["versions"]),
    }
    return render_page(
        "conditions.html",
        "interp.conditions",
        checkpoint=provenance["checkpoint"],
        lead=lead(sweep),
        sections=with_pictures(sections),
        facts=[(key, value) for key, value in facts.items() if value],
    )


def lead(sweep: ConditionSweep) -> tuple[str, ...]:
    """What happens to the model, one sentence for each property."""
    left_out = [
        f"{VARIATIONS[name].title}: left out, {reason}." for name, reason in sweep.left_out.items()
    ]
    sentences = (_sentence(sweep, name) for name in sweep.varied)
    return (UNITS, *sentences, *left_out)


def _sentence(sweep: ConditionSweep, name: str) -> str:
    table = sweep.table(name)
    title = VARIATIONS[name].title
    failed = [f"{value:g}" for value in table.value.values[table.failure.values != ""]]
    relative = (table.model_error / table.zero_error).dropna("value")
    best = (table.best_error / table.zero_error).dropna("value")
    if not relative.size:
        return f"{title}: the model leaves the range of numbers at every value."
    own = table.attrs["own"]
    values = relative.value.values
    told = sorted({values[0], values[-1], *values[values == own]}, key=lambda value: value != own)
    text = ", ".join(
        f"{relative.sel(value=value):.3g} ({best.sel(value=value):.3g}) "
        f"{'in training' if value == own else f'at {value:,g}'}"
        for value in told
    )
    if failed:
        text += f"; at {', '.join(failed)} it leaves the range of numbers"
    return f"{title}: {text}."


def _section(sweep: ConditionSweep, name: str) -> Section:
    table = sweep.table(name)
    pictures = [plot_condition_errors(name, table)]
    pictures += [
        figure
        for reference in table.reference.values
        if (figure := plot_condition_steps(name, table, str(reference))) is not None
    ]
    note = None
    means = (
        "Layers that lie below the model itself still hold an answer that its own last layer "
        "misreads. A matching step that stays where it is while the error rises is an algorithm "
        "of so many steps meeting a harder problem."
    )
    if name == "kappa":
        pictures.append(plot_needs(table))
        note = _words(sweep.laws())
        means += (
            f" The references themselves, in the last picture, differ in how they meet it: "
            f"{', '.join(LAWS.values())}. A model that needs more and more steps of gradient "
            "descent to be matched, and the same number of Newton's, runs Newton's."
        )
    return Section(
        anchor=name,
        title=VARIATIONS[name].title,
        pictures=tuple(pictures),
        see=(
            "The error of layers, each with a read-out fitted on such prompts, of the model's own "
            "answer, and of the best possible one; and the step of each reference that every layer "
            "is most like, with 95 % bootstrap intervals over prompts, for layers that explain at "
            "least 5 % of y. The grey band is the value in training."
        ),
        means=means,
        note=note,
    )


def _words(laws: tuple[Law, ...]) -> str | None:
    if not laws:
        return None
    return f"Steps that the references need, as measured: {'; '.join(map(law_words, laws))}."


def law_words(law: Law) -> str:
    """How a reference's steps grow with the condition number."""
    if law.reference == "newton":
        return f"Newton {law.per_doubling:.2f} more for twice κ"
    name = {"gd": "gradient descent", "cg": "conjugate gradients"}.get(law.reference, law.reference)
    return f"{name} in proportion to κ^{law.exponent:.2f}"
