"""`interp intervene`: does a checkpoint depend on what is found in it?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from interp.commands.emit import emit, working, write_files
from interp.commands.options import (
    MOST_PROMPTS,
    BatchSizeOption,
    CheckpointArgument,
    DeviceOption,
    JsonOption,
    OpenOption,
    SeedOption,
    TaskOption,
)

if TYPE_CHECKING:
    import xarray
    from rich.console import Console


def intervene(
    checkpoint: CheckpointArgument,
    task: TaskOption = None,
    prompts: Annotated[
        int,
        typer.Option(
            min=16,
            max=MOST_PROMPTS,
            help="Prompts to intervene on; read-outs take four times more.",
        ),
    ] = 256,
    seed: SeedOption = 0,
    device: DeviceOption = "cpu",
    batch_size: BatchSizeOption = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for report.html, summary.json and ablation.nc, layer_order.nc, "
            "interchange.nc and steering.nc."
        ),
    ] = None,
    as_json: JsonOption = False,
    open_report: OpenOption = False,
) -> None:
    """Take away, repeat and swap parts of a checkpoint, and move what its layers hold.

    What is held at a query is taken from another prompt, or moved from one iterate to another.
    """
    import shlex
    import sys

    out = out or (Path("interp-intervene") if open_report else None)
    with working(out) as progress:
        from interp.analyses.ablation import ablate
        from interp.analyses.interchange import interchange
        from interp.analyses.layer_order import reorder_layers
        from interp.analyses.steering import steer
        from interp.report.intervention_tables import interchange_table, layer_order_table
        from interp.tasks.compatibility import task_of
        from interp.tasks.prompt_file import read_task
        from interp.zoo.loading import load

        model = load(checkpoint, device=device)
        chosen = read_task(task) if task else task_of(model)
        options: dict[str, Any] = {"n_prompts": prompts, "seed": seed, "progress": progress}
        ablation = ablate(model, chosen, batch_size=batch_size or min(prompts, 512), **options)
        options["n_prompts"] = max(prompts, 64)
        reordered = reorder_layers(model, chosen, batch_size=batch_size, **options)
        options["n_prompts"] = max(4 * prompts, 64, 2 * model.config.d_model)
        interchanged = interchange(model, chosen, **options)
        steering = steer(model, chosen, **options | {"n_prompts": prompts})
        origin = {"checkpoint": checkpoint, "task": chosen.describe()}
        summary = {**origin, **_summary(ablation, steering)}
        tables = {
            "layer_order": layer_order_table(reordered),
            "interchange": interchange_table(interchanged),
        }
        summary |= {name: table.records for name, table in tables.items()}
        if out is not None:
            from interp.report.interventions import intervention_page

            progress("writing the report", 0, 1)
            provenance = {key: summary[key] for key in (*origin, "prompts", "seed", "versions")}
            provenance["command"] = shlex.join(["interp", *sys.argv[1:]])
            found = (reordered, interchanged)
            page = intervention_page(ablation, steering, provenance, *found)
            datasets = {
                "ablation.nc": ablation,
                "layer_order.nc": reordered,
                "interchange.nc": interchanged,
                "steering.nc": steering,
            }
            write_files(out, {**datasets, "report.html": page.write, "summary.json": summary})

    def show(console: Console) -> None:
        from interp.report.intervention_tables import ablation_table, in_terminal, steering_tables
        from interp.report.interventions import findings

        for table in (ablation_table(ablation), *tables.values(), *steering_tables(steering)):
            console.print(table.title, style="italic", markup=False, highlight=False)
            if len(table.frame):
                console.print(table.to_terminal(in_terminal(table), "±"))
            console.print()
        for sentence in findings(ablation, steering, reordered, interchanged):
            console.print(sentence, highlight=False, markup=False)

    pages = {"report": out and out / "report.html"}
    emit(summary, show, as_json=as_json, pages=pages, open_page=open_report)


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
