"""`interp reproduce`: the paper's figures and table, computed again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from interp.commands.emit import emit, working, write_files
from interp.commands.options import MOST_PROMPTS, MOST_SEED, DeviceOption

if TYPE_CHECKING:
    from rich.console import Console

    from interp.studies.paper.reproduction import RowResult
    from interp.studies.paper.rows import Row

DEFAULT_PROMPTS = 1024


def reproduce(
    figures: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FIG",
            help="Figures, such as 3, fig10 or table1; by default all.",
            show_default=False,
        ),
    ] = None,
    checkpoint: Annotated[
        list[str] | None,
        typer.Option(
            help="Model to use in place of the shipped one of its kind; may be given several "
            "times. With d = 20 the figures are at the paper's scale.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for report.html, summary.json and the numbers (.nc)."),
    ] = None,
    document: Annotated[
        Path | None, typer.Option(help="Markdown page to write, with pictures beside it.")
    ] = None,
    prompts: Annotated[
        int, typer.Option(min=1, max=MOST_PROMPTS, help="Prompts to score on.")
    ] = DEFAULT_PROMPTS,
    seed: Annotated[int, typer.Option(min=0, max=MOST_SEED, help="Seed of all prompts.")] = 0,
    device: DeviceOption = "cpu",
    list_rows: Annotated[
        bool, typer.Option("--list", help="List the figures and what they need; compute nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcomes as JSON.")] = False,
) -> None:
    """Compute the paper's figures again, with the published numbers beside ours."""
    from interp.studies.paper.rows import find_rows

    rows = find_rows(figures or ())
    if list_rows:
        _list(rows)
        return
    with working(out, document and document.parent) as progress:
        from interp.report.markdown import write_markdown
        from interp.studies.paper.models import PaperModels
        from interp.studies.paper.page import introduction, reproduction_page
        from interp.studies.paper.paper_setup import Settings
        from interp.studies.paper.reproduction import reproduce as run
        from interp.zoo.loading import running_on

        settings = Settings(n_prompts=prompts, seed=seed)
        with running_on(device):
            results = list(run(rows, PaperModels.of(checkpoint or (), settings), progress))
        summary = [result.describe() for result in results]
        progress("writing the report", 0, 1)
        command = _command(figures or (), checkpoint or (), document, prompts, seed)
        facts = f"{settings.n_scored:,} prompts to score on, seed {seed}"
        page = reproduction_page(results, command, facts)
        if out is not None:
            files = {f"{result.row.key}.nc": result.data for result in results if result.data}
            listed = {"command": command, "rows": summary}
            write_files(out, {"report.html": page.write, **files, "summary.json": listed})
        if document is not None:
            write_markdown(page, document, "reproduction", introduction())
    pages = {"report": out and out / "report.html", "page": document}
    emit(summary, lambda console: _show(results, console), as_json=as_json, pages=pages)


MARKS = {"agrees": "[green]✓[/]", "disagrees": "[red]✗[/]", "undecided": "[dim]?[/]"}


def _show(results: Sequence[RowResult], console: Console) -> None:
    from rich.markup import escape
    from rich.padding import Padding

    for result in results:
        row = result.row
        title = f"[bold]{row.label}: {escape(row.title)}[/] – {result.outcome}"
        console.print(title, highlight=False)
        for claim in result.claims:
            published = "" if claim.published == "–" else f" (published: {claim.published})"
            for text, indent in (
                (f"{MARKS[claim.outcome]} {escape(claim.claim)}", 2),
                (f"[dim]{escape(claim.found + published)}[/]", 4),
            ):
                console.print(Padding(text, (0, 0, 0, indent)), highlight=False)
    console.print("✓ agrees, ✗ disagrees, ? undecided", highlight=False)


def _list(rows: Sequence[Row]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from interp.studies.paper.rows import ROLES
    from interp.zoo.catalogue import names

    shipped = set(names())
    table = Table(box=None, pad_edge=False)
    table.add_column("name", no_wrap=True)
    table.add_column("figure", no_wrap=True)
    table.add_column("what it shows")
    for row in rows:
        models = dict.fromkeys(ROLES[role].small for role in row.needs)
        lacking = [f"interp train {name}" for name in models if name not in shipped]
        note = ""
        if lacking:
            needs = "needs a checkpoint that is not shipped"
            note = f"\n[dim]{needs}: {', '.join(lacking)}[/]"
        table.add_row(row.key, row.label, escape(row.title) + note)
    Console().print(table, highlight=False)


def _command(
    figures: Sequence[str],
    checkpoints: Sequence[str],
    document: Path | None,
    prompts: int,
    seed: int,
) -> str:
    """What was typed, without what decides no result."""
    import shlex

    words = ["interp", "reproduce", *figures]
    for checkpoint in checkpoints:
        words += ["--checkpoint", checkpoint]
    if prompts != DEFAULT_PROMPTS:
        words += ["--prompts", str(prompts)]
    if seed:
        words += ["--seed", str(seed)]
    if document is not None:
        words += ["--document", str(document)]
    return shlex.join(words)
