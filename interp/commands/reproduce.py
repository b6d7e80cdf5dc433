"""`interp reproduce`: the paper's figures and table, computed again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from interp.paper.catalogue import Row
    from interp.paper.finding import Finding

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
    prompts: Annotated[int, typer.Option(min=1, help="Prompts to score on.")] = DEFAULT_PROMPTS,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all prompts.")] = 0,
    list_rows: Annotated[
        bool, typer.Option("--list", help="List the figures and what they need; compute nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcomes as JSON.")] = False,
) -> None:
    """Compute the paper's figures again, with the published numbers beside ours."""
    import json

    from rich.console import Console

    from interp.commands.output_folder import claim, write_summary
    from interp.paper.catalogue import find_rows

    rows = find_rows(figures or ())
    if list_rows:
        _list(rows)
        return
    for folder in (out, document and document.parent):
        if folder is not None:
            claim(folder)
    from interp.commands.progress import prompt_progress

    with prompt_progress(Console(stderr=True)) as progress:
        progress("loading", 0, 1)
        from interp.paper.cast import Cast
        from interp.paper.document import write_document
        from interp.paper.reproducing import reproduce as run
        from interp.paper.settings import Settings
        from interp.paper.writing import summarise, write_reproduction

        settings = Settings(n_prompts=prompts, seed=seed)
        findings = list(run(rows, Cast.of(checkpoint or (), settings), progress))
        progress("writing the report", 0, 1)
        command = _command(figures or (), checkpoint or (), document, prompts, seed)
        facts = f"{settings.n_scored:,} prompts to score on, seed {seed}"
        if out is not None:
            write_reproduction(findings, out, command=command, facts=facts)
            write_summary(out, {"command": command, "rows": summarise(findings)})
        if document is not None:
            write_document(document, findings, command=command, facts=facts)
    if as_json:
        print(json.dumps(summarise(findings), indent=2))
    else:
        _show(findings)
        for name, path in (("report", out and out / "report.html"), ("page", document)):
            if path is not None:
                print(f"{name}: {path}")


MARKS = {"agrees": "[green]✓[/]", "disagrees": "[red]✗[/]", "cannot be told": "[dim]?[/]"}


def _show(findings: Sequence[Finding]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.padding import Padding

    console = Console(highlight=False)
    for finding in findings:
        row = finding.row
        console.print(f"[bold]{row.label}: {escape(row.title)}[/] – {finding.outcome}")
        for check in finding.checks:
            console.print(Padding(f"{MARKS[check.outcome]} {escape(check.claim)}", (0, 0, 0, 2)))
            published = "" if check.published == "–" else f" (published: {check.published})"
            console.print(Padding(f"[dim]{escape(check.found + published)}[/]", (0, 0, 0, 4)))
    console.print("✓ agrees, ✗ disagrees, ? cannot be told")


def _list(rows: Sequence[Row]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from interp.paper.roles import ROLES
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
