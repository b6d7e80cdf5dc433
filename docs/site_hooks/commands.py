"""The page of the command line, from the help that every command prints."""

from __future__ import annotations

from typing import Any

import click
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from typer.main import get_command

from interp.cli import build_app

HEAD = """# Command line

`interp COMMAND --help` prints what stands here. Bad input ends with one sentence and exit code 2,
Ctrl-C with 130; `--debug` anywhere among the arguments shows the traceback.
"""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the page."""
    group: Any = get_command(build_app())
    context = click.Context(group, info_name="interp")
    sections = [_section(name, group.commands[name], context) for name in group.commands]
    files.append(File.generated(config, "commands.md", content="\n\n".join([HEAD, *sections])))
    return files


def _section(name: str, command: Any, parent: click.Context) -> str:
    context = click.Context(command, info_name=name, parent=parent)
    usage = " ".join(["interp", name, *command.collect_usage_pieces(context)])
    parts = [f"## {name}", f"```text\n{usage}\n```", _paragraphs(command.help or "")]
    rows = [row for item in command.params if (row := item.get_help_record(context))]
    if rows:
        lines = [f"| `{flags}` | {_cell(text)} |" for flags, text in rows]
        parts.append("\n".join(["| option | what it does |", "|---|---|", *lines]))
    return "\n\n".join(parts)


def _paragraphs(text: str) -> str:
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
