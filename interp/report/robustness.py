"""The report of a sweep of conditions: its sentences and page."""

from __future__ import annotations

from pathlib import Path

from interp.analyses.condition_sweep import BREAKING_EXCESS, ConditionSweep, Law
from interp.analyses.variations import VARIATIONS
from interp.plots.robustness import plot_condition_errors, plot_condition_steps, plot_needs
from interp.report.page import Lead, Page, card_html
from interp.report.section import Section, written_section
from interp.report.table import MISSING, Column, Table
from interp.versions import versions_text
from probes.references import reference_class

UNITS = (
    "The model's error, and in brackets that of the best possible answer (least squares, or ridge "
    "at the noise), in units of the error of predicting 0:"
)
HEAVY = (
    "A model breaks where its error exceeds the best possible one by "
    f"{100 * BREAKING_EXCESS:.0f} % of that of predicting 0 more than in training, beyond chance."
)


def write_report(sweep: ConditionSweep, path: str | Path) -> None:
    """Writes the page, one HTML file that opens offline, atomically.

    Raises:
        OSError: The file cannot be written; an existing one is left as it was.
    """
    sweep_page(sweep).write(path)


def text(sweep: ConditionSweep) -> str:
    """Where the model breaks and how large its errors are, a sentence a line."""
    return "\n".join((*broken(sweep), UNITS, *errors(sweep), *left_out(sweep)))


def card(sweep: ConditionSweep) -> str:
    """Where the model breaks, as a fragment of HTML for notebooks."""
    *sentences, meaning = broken(sweep)
    return card_html(
        kicker=f"{sweep.provenance['checkpoint']} away from its training",
        headline=" ".join(sentences),
        paragraphs=(UNITS, *errors(sweep)),
        notes=(meaning, *left_out(sweep)),
    )


def sweep_page(sweep: ConditionSweep) -> Page:
    """The page of a sweep of conditions."""
    provenance = sweep.provenance
    checkpoint = provenance["checkpoint"]
    return Page(
        title=f"{checkpoint}: away from training",
        kicker="Conditions",
        heading=f"{checkpoint} away from its training",
        lead=Lead(paragraphs=(*broken(sweep), UNITS, *errors(sweep), *left_out(sweep))),
        sections=tuple(_section(sweep, name) for name in sweep.varied),
        facts=(
            ("Model", provenance["architecture"]),
            ("Task", ", ".join(f"{key} = {value}" for key, value in provenance["task"].items())),
            (
                "Prompts",
                f"{provenance['prompts']:,} under each condition, as many to fit read-outs",
            ),
            ("Seed", provenance["seed"]),
            ("Command", provenance["command"]),
            ("Versions", versions_text(provenance["versions"])),
        ),
    )


def broken(sweep: ConditionSweep) -> tuple[str, ...]:
    """Where the model breaks, one sentence for each property, and what that means."""
    sentences = []
    for name in sweep.varied:
        values = sweep.breaks(name)
        where = f"at {', '.join(f'{value:,g}' for value in values)}" if values else "nowhere"
        sentences.append(f"{VARIATIONS[name].title}: the model breaks {where}.")
    return (*sentences, HEAVY)


def errors(sweep: ConditionSweep) -> tuple[str, ...]:
    """The model's error in training and at both ends, one sentence for each property."""
    return tuple(_errors(sweep, name) for name in sweep.varied)


def left_out(sweep: ConditionSweep) -> tuple[str, ...]:
    """What was not varied, and why."""
    return tuple(
        f"{VARIATIONS[name].title}: left out, {reason}." for name, reason in sweep.left_out.items()
    )


def sweep_tables(sweep: ConditionSweep) -> tuple[Table, ...]:
    """For each property a row a value: errors, and the steps that the last layer is most like."""
    return tuple(_table(sweep, name) for name in sweep.varied)


def _table(sweep: ConditionSweep, name: str) -> Table:
    data = sweep.table(name).isel(layer=-1)
    last = int(data.layer)
    references = list(map(str, data.reference.values))
    columns = [Column(name, name), Column("model", "model"), Column("layer", f"layer {last}")]
    columns += [Column("best", "best"), *(Column(key, key) for key in references)]
    rows = []
    for index, value in enumerate(data.value.values):
        row = data.isel(value=index)
        found = {"model": row.model_error, "layer": row.error, "best": row.best_error}
        cells = {key: f"{error.item() / row.zero_error.item():.3g}" for key, error in found.items()}
        if row.failure.item():
            cells = dict.fromkeys(found, MISSING)
        for key in references:
            here = row.sel(reference=key)
            step, cosine = here.best_step.item(), here.similarity.item()
            cells[key] = MISSING if step != step else f"{step:,.4g} ({cosine:.2f})"
        rows.append({name: f"{value:,g}", **cells})
    title = (
        f"{VARIATIONS[name].title}: error relative to predicting 0, and the steps most like layer "
        f"{last} with their SimE"
    )
    return Table.of(name, title, columns, rows)


def _errors(sweep: ConditionSweep, name: str) -> str:
    table = sweep.table(name)
    title = VARIATIONS[name].title
    failed = [f"{value:g}" for value in table.value.values[table.failure.values != ""]]
    relative = (table.model_error / table.zero_error).dropna("value")
    best = (table.best_error / table.zero_error).dropna("value")
    if not relative.size:
        return f"{title}: the model leaves the range of numbers at every value."
    own = table.attrs["own"]
    values = relative.value.values
    quoted = sorted({values[0], values[-1], *values[values == own]}, key=lambda v: v != own)
    text = ", ".join(
        f"{relative.sel(value=value):.3g} ({best.sel(value=value):.3g}) "
        f"{'in training' if value == own else f'at {value:,g}'}"
        for value in quoted
    )
    useless = table.value.values[
        (table.model_error_interval.sel(bound="low") > table.zero_error).values
    ]
    if useless.size:
        text += f"; worse than predicting 0 at {', '.join(f'{value:,g}' for value in useless)}"
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
    note, more = None, ""
    if name == "kappa":
        pictures.append(plot_needs(table))
        more = f" {written_section('conditions', 'kappa').see}"
        note = laws_words(sweep.laws())
    return written_section(
        "conditions",
        "any",
        pictures,
        name=name,
        tables=[_table(sweep, name)],
        note=note,
        title=VARIATIONS[name].title,
        more=more,
    )


def laws_words(laws: tuple[Law, ...]) -> str | None:
    """How the references' steps grow with the condition number."""
    if not laws:
        return None
    return f"Steps that the references need, as measured: {'; '.join(map(_law_words, laws))}."


def _law_words(law: Law) -> str:
    reference = reference_class(law.reference)
    if reference.steps_with_kappa == "the logarithm of κ":
        return f"{reference.label} {law.per_doubling:.2f} more for twice κ"
    return f"{reference.phrase} in proportion to κ^{law.exponent:.2f}"
