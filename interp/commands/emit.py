"""What every command does around its work: a folder, progress, files, JSON or text, the browser."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interp.progress import prompt_progress

if TYPE_CHECKING:
    from rich.console import Console


@contextmanager
def working(*folders: Path | None) -> Iterator[Callable[[str, int, int], None]]:
    """Yields a progress callback (stage, done, total), once all folders are known to be writable.

    Raises:
        OSError: A folder cannot be written.
    """
    from rich.console import Console  # for the speed of start-up

    for folder in folders:
        if folder is not None:
            claim(folder)
    with prompt_progress(Console(stderr=True)) as progress:
        progress("loading", 0, 1)
        yield progress


def write_files(out: Path, files: Mapping[str, Any]) -> None:
    """Writes a command's files into its folder, all or none; see `interp.results.run_folder`.

    Args:
        out: The folder, which is created.
        files: By name: text; an xarray dataset or tree for a name ending in `.nc`; dictionaries
            and lists for one ending in `.json`; or a function that writes to the path it is given.

    Raises:
        OSError: A file cannot be written.
    """
    from functools import partial

    from interp.results.run_folder import write_run  # for the speed of start-up

    write_run(out, {name: partial(_write, content) for name, content in files.items()})


def _write(content: Any, path: Path) -> None:
    from hooks.atomic import write_text  # for the speed of start-up
    from interp.results.netcdf import save_netcdf  # for the speed of start-up

    if callable(content):
        content(path)
    elif path.suffix == ".nc":
        save_netcdf(content, path)
    elif path.suffix == ".json":
        write_text(path, json.dumps(content, indent=2) + "\n")
    else:
        write_text(path, content)


def emit(
    summary: object,
    show: Callable[[Console], None],
    *,
    as_json: bool = False,
    pages: Mapping[str, Path | None] | None = None,
    open_page: bool = False,
) -> None:
    """Prints a result, as JSON or for people, and where its pages are.

    Args:
        summary: What `--json` prints; only this goes to standard output then.
        show: Prints the result for people.
        as_json: Whether JSON was chosen.
        pages: What people call the files that were written, and their paths; None for none.
        open_page: Whether to open the first page in the browser.
    """
    from rich.console import Console  # for the speed of start-up

    written = {label: path for label, path in (pages or {}).items() if path is not None}
    if as_json:
        print(json.dumps(summary, indent=2))
    else:
        console = Console()
        show(console)
        for label, path in written.items():
            console.print(f"{label}: {path}", soft_wrap=True, highlight=False, markup=False)
    if open_page and written:
        import webbrowser  # for the speed of start-up

        webbrowser.open(next(iter(written.values())).absolute().as_uri())


def claim(out: Path) -> None:
    """Finds out before the work, not after it, that the folder cannot be written.

    Leaves nothing behind: a command that fails later has changed no file. What commands that were
    killed left in the folder is cleared.

    Raises:
        OSError: It cannot.
    """
    existing = next(folder for folder in (out, *out.parents) if folder.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        error.filename = str(out)
        raise
    if out.is_dir():
        from hooks.atomic import clear_abandoned  # for the speed of start-up

        clear_abandoned(out)
