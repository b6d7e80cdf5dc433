"""`interp match`: which algorithm do a checkpoint's layers run?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from interp.commands.options import (
    CHECKPOINT_HELP,
    MOST_PROMPTS,
    BatchSizeOption,
    DeviceOption,
    JsonOption,
    OpenOption,
    PointsOption,
    ReadoutKind,
    ReadoutOption,
    SeedOption,
    TaskOption,
    check_checkpoint,
)

if TYPE_CHECKING:
    import xarray
    from rich.console import Console
    from rich.table import Table

    from hooks.activation_files import ActivationFile
    from hooks.model import SequenceModel
    from interp.results.result import MatchResult


def match(
    checkpoint: Annotated[
        str | None,
        typer.Argument(
            metavar="CHECKPOINT",
            help=CHECKPOINT_HELP,
            show_default=False,
            callback=check_checkpoint,
        ),
    ] = None,
    activations: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Saved activations in place of a checkpoint: .npz, .safetensors or .zarr with xs, "
            "ys and, for each kind of site, an array by layer, prompt, point and d_model.",
            show_default=False,
        ),
    ] = None,
    task: TaskOption = None,
    sites: Annotated[
        str | None,
        typer.Option(
            help="Kinds of site, comma-separated, the verdict being about the first; "
            "by default resid_post and attn_out."
        ),
    ] = None,
    readout: ReadoutOption = ReadoutKind.matched,
    show: Annotated[
        list[str] | None,
        typer.Option(
            metavar="VIEW",
            help="In the report: anatomy (what each layer is made of; the default with 512 prompts "
            "or more), sites (what half of a layer does the work), weights (those that predictions "
            "imply), heads, patterns, influence (what each example is worth), all or none; repeat "
            "it or separate by commas.",
            show_default=False,
        ),
    ] = None,
    parameter: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME.FIELD=VALUE",
            help="Parameter of a reference, such as gd.eta=0.01, or gd.eta=fit "
            "for what suits the layers; repeat it for more. References "
            "that are not compared by default, such as gd++, are compared if one is given.",
            show_default=False,
        ),
    ] = None,
    prompts: Annotated[
        int, typer.Option(min=128, max=MOST_PROMPTS, help="Prompts to evaluate on.")
    ] = 4096,
    points: PointsOption = None,
    seed: SeedOption = 0,
    device: DeviceOption = "cpu",
    batch_size: BatchSizeOption = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for report.html, result.nc and summary.json."),
    ] = None,
    as_json: JsonOption = False,
    open_report: OpenOption = False,
) -> None:
    """Say which reference algorithm the layers of a checkpoint follow, and how fast."""
    from interp.commands.emit import emit, working, write_files  # here for the speed of start-up

    if (checkpoint is None) == (activations is None):
        raise ValueError("give either a checkpoint or --activations FILE")
    if activations is not None and task is not None:
        raise ValueError("--task cannot be given with --activations, which have their prompts")
    parameters = read_parameters(parameter or ())
    out = out or (Path("interp-report") if open_report else None)
    with working(out) as progress:
        from interp.analyses.match import match as run
        from interp.analyses.match_settings import MatchSettings
        from interp.analyses.views import usual_views
        from interp.tasks.prompt_file import read_task

        settings = MatchSettings(
            site_kinds=None if sites is None else tuple(map(str.strip, sites.split(","))),
            readout=readout.value,
            n_prompts=prompts,
            seed=seed,
            batch_size=batch_size,
            points=points,
            show=tuple(show or ()),
        )
        model = _load(checkpoint, activations, device)
        if show is None:
            settings = replace(settings, show=usual_views(model, prompts))
        result = run(
            model,
            read_task(task) if task else None,
            settings,
            parameters=parameters,
            progress=progress,
        )
        if out is not None:
            progress("writing the report", 0, 1)
            files = {"result.nc": result.save, "report.html": result.write_report}
            write_files(out, {**files, "summary.json": result.summary()})
    emit(
        result.summary(),
        lambda console: _show(result, console),
        as_json=as_json,
        pages={"report": out and out / "report.html"},
        open_page=open_report,
    )


def read_parameters(texts: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Parameters of references by name, from texts such as "gd.eta=0.01" or "gd.eta=fit".

    Raises:
        ValueError: A text is of another form.
    """
    parameters: dict[str, dict[str, Any]] = {}
    for text in texts:
        place, _, value = text.partition("=")
        name, _, field = place.rpartition(".")
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not (name and field and (math.isfinite(number) or value == "fit")):
            raise ValueError(
                f"--parameter must be NAME.FIELD=NUMBER, such as gd.eta=0.01, or gd.eta=fit, got "
                f"{text!r}"
            )
        chosen = int(value) if value.isdigit() else value if value == "fit" else number
        parameters.setdefault(name, {})[field] = chosen
    return parameters


def _load(
    checkpoint: str | None, activations: Path | None, device: str
) -> SequenceModel | ActivationFile:
    if activations is not None:
        from hooks.activation_files import open_activations

        return open_activations(activations)
    from interp.zoo.loading import load

    assert checkpoint is not None
    return load(checkpoint, device=device)


def _show(result: MatchResult, console: Console) -> None:
    from rich.markup import escape
    from rich.panel import Panel

    from interp.report.verdict_text import short_answer, verdict_text

    console.print(_layer_table(result))
    text = "\n\n".join(verdict_text(result).lines)
    console.print(Panel(escape(text), title=f"[bold]{escape(short_answer(result.verdict))}[/bold]"))


def _layer_table(result: MatchResult) -> Table:
    """Error of every layer's read-out and its best match with every reference that has steps."""
    from rich.table import Table

    from interp.points import points_words
    from interp.results.selection import AT_LEAST

    layers = result.layers.isel(site=0)
    names = [name for name in result.references if result.reference(name).sizes["step"] > 1]
    read = points_words(result.provenance.get("points"), result.provenance["task"]["n_points"])
    at = read and f", {read}"
    table = Table(
        "layer",
        "error/d",
        title=f"best-matching step of each reference and its SimE, {layers.site.item()}{at}",
        box=None,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    columns = [[str(layer) for layer in layers.layer.values]]
    columns.append([f"{error:.4f}" for error in layers.mean_error.values])
    for name in names:
        table.add_column(name.replace("-", "-\n"), no_wrap=True)
        scores = result.reference(name).isel(site=0)
        steps = _steps(scores)
        if any(text.startswith(AT_LEAST) for text in steps):
            table.caption = f"{AT_LEAST}: the last step that was compared"
        width = max(5, *map(len, steps))
        cosines = map(_cosine, scores.best_similarity.values)
        columns.append([f"{n:>{width}} {c}" for n, c in zip(steps, cosines, strict=True)])
    for row in zip(*columns, strict=True):
        table.add_row(*row)
    return table


def _steps(scores: xarray.Dataset) -> list[str]:
    """Best steps of the layers, marked where there are no further ones to compare."""
    from interp.results.selection import AT_LEAST, is_last_step

    counts = scores.best_step.values
    return [
        (AT_LEAST if is_last else "") + (f"{count:.1f}" if count < 100 else f"{count:.0f}")
        for count, is_last in zip(counts, is_last_step(scores), strict=True)
    ]


def _cosine(value: float) -> str:
    """Two digits and no leading zero, so that six references fit beside each other."""
    return f"{value:.2f}".replace("0.", ".", 1) if 0 <= value < 1 else f"{value:.1f}"
