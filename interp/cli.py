"""The command line: `interp COMMAND …`.

Commands live in `interp.commands`, one a file; this module registers them and is the one place
where errors become sentences and exit codes.
"""

from __future__ import annotations

import codecs
import io
import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from interp import __version__
from interp.commands import COMMANDS
from interp.errors import EXPECTED_ERRORS, describe_error

EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130

SPIN_COUNT = 1000
"""How often an OpenMP thread looks for work before it sleeps. The default of libgomp, 300,000, is
faster by some 2 % on an idle machine; where another process wants a core, threads that spin keep
those they wait for from running, and `interp match` takes three times as long and more."""


def build_app() -> typer.Typer:
    """The application with every command of `COMMANDS`; imports none of their dependencies."""
    app = typer.Typer(
        name="interp",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_options)
    for name, where in COMMANDS.items():
        module, function = where.split(":")
        app.command(name, no_args_is_help=False)(getattr(import_module(module), function))
    return app


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one command and ends the process.

    The exit code is 0, 2 for bad input (one sentence on stderr says what), or 130 after Ctrl-C.
    With `--debug` anywhere among the arguments the traceback is shown as well.
    """
    _wait_asleep()
    _print_in_any_encoding()
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in arguments
    arguments = [_at_home(argument) for argument in arguments if argument != "--debug"]
    try:
        build_app()(arguments, prog_name="interp")
    except SystemExit as ending:
        if ending.code == EXIT_INTERRUPTED:  # typer's answer to a KeyboardInterrupt
            print("interp: interrupted", file=sys.stderr)
        raise
    except EXPECTED_ERRORS as error:
        if debug:
            traceback.print_exc()
        print(f"interp: {describe_error(error)}", file=sys.stderr)
        sys.exit(EXIT_BAD_INPUT)


def _at_home(argument: str) -> str:
    """An argument with its `~`, which shells leave as it is in `--out=~/run`, expanded."""
    option, equals, value = argument.rpartition("=") if argument[:2] == "--" else ("", "", argument)
    return f"{option}{equals}{Path(value).expanduser()}" if value.startswith("~/") else argument


def _wait_asleep() -> None:
    """Shortens the spinning of OpenMP threads, which is settled when torch is imported."""
    if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & set(os.environ):
        os.environ["GOMP_SPINCOUNT"] = str(SPIN_COUNT)


PLAIN = str.maketrans({"≥": ">=", "≤": "<=", "–": "-", "—": "-", "…": "...", "×": "x", "κ": "kappa",
                       "²": "^2", "✓": "+", "✗": "-", "’": "'", "“": '"', "”": '"'})  # fmt: skip
"""What stands for a sign that the output's encoding does not have."""


def _print_in_any_encoding() -> None:
    """Replaces what a terminal of another encoding than UTF-8 cannot show, in place of failing."""
    codecs.register_error(
        "interp-plain",
        lambda error: (_plain(error.object[error.start : error.end]), error.end),  # type: ignore[attr-defined]
    )
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and "utf" not in stream.encoding.lower():
            stream.reconfigure(errors="interp-plain")


def _plain(text: str) -> str:
    return text.translate(PLAIN).encode("ascii", "replace").decode("ascii")


def _show_version(wanted: bool | None) -> None:
    if wanted:
        print(f"interp {__version__}")
        raise typer.Exit


def _options(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error; goes anywhere.")
    ] = False,
    show_version: Annotated[
        bool | None,
        typer.Option("--version", help="Show the version.", is_eager=True, callback=_show_version),
    ] = None,
) -> None:
    """Tells which algorithm a trained sequence model runs in its forward pass."""


if __name__ == "__main__":
    main()
