"""`interp intervene`: does a checkpoint depend on what is found in it?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from interp.commands.options import (
    CheckpointArgument,
    JsonOption,
    OpenOption,
    SeedOption,
    TaskOption,
    open_in_browser,
)
from interp.commands.output_folder import claim, write_summary

if TYPE_CHECKING:
    import xarray
    from rich.table import Table

CONTROLS = ("random", "shuffled")
"""How the table calls the share of the change under controls, in the order of `DIRECTIONS`."""


def intervene(
    checkpoint: CheckpointArgument,
    task: TaskOption = None,
    prompts: Annotated[
        int, typer.Option(min=16, help="Prompts to intervene on; read-outs take four times more.")
    ] = 256,
    seed: SeedOption = 0,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for report.html, ablation.nc, steering.nc and summary.json."),
    ] = None,
    as_json: JsonOption = False,
    open_report: OpenOption = False,
) -> None:
    """Take parts of a checkpoint away, and steer its layers from one iterate to another."""
    import json

    from rich.console import Console

    from interp.commands.progress import prompt_progress

    out = out or (Path("interp-intervene") if open_report else None)
    if out is not None:
        claim(out)
    with prompt_progress(Console(stderr=True)) as progress:
        progress("loading", 0, 1)
        from interp.analyses.ablation import ablate
        from interp.analyses.steering import steer
        from interp.tasks.compatibility import task_of
        from interp.tasks.reading import read_task
        from interp.zoo.loading import load

        model = load(checkpoint)
        chosen = read_task(task) if task else task_of(model)
        options: dict[str, Any] = {"n_prompts": prompts, "seed": seed, "progress": progress}
        ablation = ablate(model, chosen, batch_size=min(prompts, 512), **options)
        steering = steer(model, chosen, **options)
        summary = {
            "checkpoint": checkpoint,
            "task": chosen.describe(),
            **_summary(ablation, steering),
        }
        if out is not None:
            progress("writing the report", 0, 1)
            _write(out, ablation, steering, summary)
    if as_json:
        print(json.dumps(summary, indent=2, allow_nan=False))
        return
    from interp.report.interventions import findings

    console = Console()
    console.print(_ablation_table(ablation), "")
    for table in _steering_tables(steering):
        console.print(table, "")
    for sentence in findings(ablation, steering):
        console.print(sentence, highlight=False, markup=False)
    if out is not None:
        console.print(f"report: {out / 'report.html'}", markup=False, soft_wrap=True)
        if open_report:
            open_in_browser(out)


def _write(
    out: Path, ablation: xarray.Dataset, steering: xarray.Dataset, summary: dict[str, Any]
) -> None:
    import shlex
    import sys

    from interp.report.interventions import intervention_page
    from interp.results.netcdf import save_netcdf

    for name, table in {"ablation.nc": ablation, "steering.nc": steering}.items():
        save_netcdf(table, out / name)
    known = ("checkpoint", "task", "prompts", "seed", "versions")
    provenance = {key: summary[key] for key in known}
    provenance["command"] = shlex.join(["interp", *sys.argv[1:]])
    intervention_page(ablation, steering, provenance).write(out / "report.html")
    write_summary(out, summary)


def _summary(ablation: xarray.Dataset, steering: xarray.Dataset) -> dict[str, Any]:
    from interp.versions import library_versions

    return {
        "prompts": ablation.attrs["n_prompts"],
        "seed": ablation.attrs["seed"],
        "level": ablation.attrs["level"],
        "model_error": ablation.model_error.item(),
        "model_error_interval": ablation.model_error_interval.values.tolist(),
        "ablation": _records(ablation, ["error", "effect", "effect_interval"])
        + _records(ablation, ["head_error", "head_effect", "head_effect_interval"]),
        "match_curve": _records(ablation, ["final_shift", "final_shift_interval"])
        + _records(ablation, ["head_final_shift", "head_final_shift_interval"]),
        "steering": _records(
            steering,
            [
                "step",
                "final_step",
                "steered_to",
                "predicted_step",
                "reached_step",
                "continuation",
                "continuation_interval",
                "cosine",
                "carried",
            ],
        ),
        "versions": library_versions(),
    }


def _records(table: xarray.Dataset, names: list[str]) -> list[dict[str, Any]]:
    """One flat record for every combination of coordinates that has values."""
    from itertools import product

    import numpy as np

    if not all(name in table for name in names):
        return []
    part = table[names]
    axes = [str(axis) for axis in part.sizes if axis != "bound"]
    records = []
    for place in product(*(part[axis].values.tolist() for axis in axes)):
        where = dict(zip(axes, place, strict=True))
        cell = part.loc[where]
        if not any(np.isnan(cell[name].values).any() for name in names):
            # JSON has no infinity, the error of a model that diverges without a part.
            values = {name: cell[name].values for name in names}
            is_finite = all(np.isfinite(value).all() for value in values.values())
            found = {name: value.tolist() if is_finite else None for name, value in values.items()}
            records.append(where | found)
    return records


def _ablation_table(ablation: xarray.Dataset) -> Table:
    """What error and match curve lose without each layer, its attention, MLP and best head."""
    from rich.table import Table

    from interp.plots.ablation import METHODS, preferred_method

    method = preferred_method(ablation)
    reference = str(ablation.reference.values[0])
    table = Table(
        "layer",
        title=f"rise of error / d ({ablation.model_error.item():.4f}) without each part, replaced "
        f"{METHODS[method]},\nand steps of {reference} that the last layer loses without the layer",
        box=None,
        pad_edge=False,
    )
    parts = [p for p in ablation.part.values if not ablation.effect.sel(part=p).isnull().all()]
    for part in parts:
        table.add_column({"layer": "whole layer"}.get(part, str(part)), no_wrap=True)
    if "head_effect" in ablation:
        table.add_column("head (most)", no_wrap=True)
    table.add_column("steps", no_wrap=True)
    for layer in ablation.layer.values:
        here = ablation.loc[{"layer": layer, "ablation": method}]
        cells = [
            _with_interval(here.effect.sel(part=p), here.effect_interval.sel(part=p)) for p in parts
        ]
        if "head_effect" in ablation and here.head_effect.notnull().any():
            head = here.head_effect.idxmax("head").item()
            effect = _with_interval(
                here.head_effect.sel(head=head), here.head_effect_interval.sel(head=head)
            )
            cells.append(f"{head:.0f}: {effect}")
        elif "head_effect" in ablation:
            cells.append("")
        shift = here.final_shift.sel(part="layer", reference=reference).item()
        cells.append("" if shift != shift else f"{shift:+.1f}")
        table.add_row(str(layer), *cells)
    return table


def _steering_tables(steering: xarray.Dataset) -> Iterator[Table | str]:
    """Where the predictions went against where a model that iterates would have gone."""
    from rich.table import Table

    moved = steering.stack(case=("reference", "target", "layer", "jump"))
    moved = moved.isel(case=moved.predicted_step.notnull().values)
    if not moved.sizes["case"]:
        yield "steering: no layer holds an iterate well enough to be moved"
        return
    tables: dict[tuple[str, str], Table] = {}
    for index in range(moved.sizes["case"]):
        row = moved.isel(case=index)
        pair = (str(row.reference.item()), str(row.target.item()).replace("_", " "))
        if pair not in tables:
            tables[pair] = Table(
                title=f"layers moved to another iterate of {pair[0]}, held as {pair[1]}\n"
                f"(by itself the model ends at step {_steps(row.final_step)}): share of the\n"
                "change that going on from there predicts, and its cosine with what happened",
                box=None,
                pad_edge=False,
            )
            for name in ("layer", "moved", "expected", "reached", "share", "cosine", *CONTROLS):
                tables[pair].add_column(name, no_wrap=True)
        shares = [row.isel(direction=i) for i in range(row.sizes["direction"])]
        tables[pair].add_row(
            str(row.layer.item()),
            f"{_steps(row.step)} → {_steps(row.steered_to)}",
            _steps(row.predicted_step),
            _steps(shares[0].reached_step),
            _with_interval(shares[0].continuation, shares[0].continuation_interval),
            f"{shares[0].cosine.item():+.2f}",
            *(_share(share.continuation.item()) for share in shares[1:]),
        )
    yield from tables.values()


def _with_interval(value: xarray.DataArray, bounds: xarray.DataArray) -> str:
    low, high = (bounds.sel(bound=name).item() for name in ("low", "high"))
    number = value.item()
    if number == float("inf"):
        return "diverges"
    if abs(number) > 1000:
        return f"{'+' if number > 0 else '-'} over 1000"
    if max(abs(number), high - low) < 10:
        return f"{number:+.3f} ± {(high - low) / 2:.3f}"
    return f"{number:+.2g} ± {(high - low) / 2:.2g}"


def _share(number: float) -> str:
    """A control's share of a change; what a push blows up is as good as lost."""
    if number != number:
        return "diverges"
    return f"{number:+.2f}" if abs(number) < 100 else "over 100"


def _steps(count: xarray.DataArray) -> str:
    value = count.item()
    return f"{value:.1f}" if value < 100 else f"{value:.0f}"
