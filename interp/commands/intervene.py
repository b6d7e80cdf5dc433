"""`interp intervene`: does a checkpoint depend on what is found in it?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from interp.commands.emit import emit, working, write_files
from interp.commands.options import (
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

    from interp.report.table import Table

CONTROLS = ("random", "shuffled")
"""How the table calls the share of the change under controls, in the order of `DIRECTIONS`."""


def intervene(
    checkpoint: CheckpointArgument,
    task: TaskOption = None,
    prompts: Annotated[
        int, typer.Option(min=16, help="Prompts to intervene on; read-outs take four times more.")
    ] = 256,
    seed: SeedOption = 0,
    device: DeviceOption = "cpu",
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for report.html, ablation.nc, steering.nc and summary.json."),
    ] = None,
    as_json: JsonOption = False,
    open_report: OpenOption = False,
) -> None:
    """Take parts of a checkpoint away, and steer its layers from one iterate to another."""
    import shlex
    import sys

    out = out or (Path("interp-intervene") if open_report else None)
    with working(out) as progress:
        from interp.analyses.ablation import ablate
        from interp.analyses.steering import steer
        from interp.tasks.compatibility import task_of
        from interp.tasks.prompt_file import read_task
        from interp.zoo.loading import load

        model = load(checkpoint, device=device)
        chosen = read_task(task) if task else task_of(model)
        options: dict[str, Any] = {"n_prompts": prompts, "seed": seed, "progress": progress}
        ablation = ablate(model, chosen, batch_size=min(prompts, 512), **options)
        steering = steer(model, chosen, **options)
        origin = {"checkpoint": checkpoint, "task": chosen.describe()}
        summary = {**origin, **_summary(ablation, steering)}
        if out is not None:
            from interp.report.interventions import intervention_page

            progress("writing the report", 0, 1)
            provenance = {key: summary[key] for key in (*origin, "prompts", "seed", "versions")}
            provenance["command"] = shlex.join(["interp", *sys.argv[1:]])
            page = intervention_page(ablation, steering, provenance)
            datasets = {"ablation.nc": ablation, "steering.nc": steering}
            write_files(out, {**datasets, "report.html": page.write, "summary.json": summary})

    def show(console: Console) -> None:
        from interp.report.interventions import findings

        for table in (_ablation_table(ablation), *_steering_tables(steering)):
            console.print(table.title, style="italic", highlight=False)
            if len(table.frame):
                console.print(table.to_terminal())
            console.print()
        for sentence in findings(ablation, steering):
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


def _ablation_table(ablation: xarray.Dataset) -> Table:
    """What error and match curve lose without each layer, its attention, MLP and best head."""
    from interp.plots.ablation import METHODS, preferred_method
    from interp.report.table import Table

    method = preferred_method(ablation)
    reference = str(ablation.reference.values[0])
    parts = [p for p in ablation.part.values if not ablation.effect.sel(part=p).isnull().all()]
    has_heads = "head_effect" in ablation
    rows = []
    for layer in ablation.layer.values:
        here = ablation.loc[{"layer": layer, "ablation": method}]
        effects = [_score(here.sel(part=part), "effect") for part in parts]
        if has_heads and here.head_effect.notnull().any():
            head = here.head_effect.idxmax("head").item()
            effects.append(f"{head:.0f}: {_score(here.sel(head=head), 'head_effect')}")
        elif has_heads:
            effects.append("")
        shift = here.final_shift.sel(part="layer", reference=reference).item()
        rows.append((str(layer), *effects, "" if shift != shift else f"{shift:+.1f}"))
    names = ["whole layer" if part == "layer" else str(part) for part in parts]
    return Table.of_text(
        "ablation",
        f"rise of error / d ({ablation.model_error.item():.4f}) without each part, replaced "
        f"{METHODS[method]},\nand steps of {reference} that the last layer loses without the layer",
        ("layer", *names, *(["head (most)"] if has_heads else []), "steps"),
        rows,
        "",
    )


def _steering_tables(steering: xarray.Dataset) -> Iterator[Table]:
    """Where the predictions went against where a model that iterates would have gone."""
    from interp.report.table import Table

    header = ("layer", "moved", "expected", "reached", "share", "cosine", *CONTROLS)
    moved = steering.stack(case=("reference", "target", "layer", "jump"))
    moved = moved.isel(case=moved.predicted_step.notnull().values)
    if not moved.sizes["case"]:
        title = "steering: no layer holds an iterate well enough, or no move changes a prediction"
        yield Table.of_text("steering", title, header, [], "")
    rows: dict[tuple[str, str], list[tuple[str, ...]]] = {}
    for index in range(moved.sizes["case"]):
        row = moved.isel(case=index)
        own, *controls = (row.isel(direction=place) for place in range(row.sizes["direction"]))
        rows.setdefault((str(row.reference.item()), str(row.target.item())), []).append(
            (
                str(row.layer.item()),
                f"{_steps(row.step)} → {_steps(row.steered_to)}",
                _steps(row.predicted_step),
                _steps(own.reached_step),
                _score(own, "continuation"),
                f"{own.cosine.item():+.2f}",
                *(_share(control.continuation.item()) for control in controls),
            )
        )
    for (reference, target), lines in rows.items():
        final = _steps(steering.final_step.sel(reference=reference))
        title = (
            f"layers moved to another iterate of {reference}, held as {target.replace('_', ' ')}\n"
            f"(by itself the model ends at step {final}): share of the\n"
            "change that going on from there predicts, and its cosine with what happened"
        )
        yield Table.of_text("steering", title, header, lines, "")


def _score(table: xarray.Dataset, name: str) -> str:
    """A number of a dataset and half the width of its interval."""
    low, high = table[f"{name}_interval"].values.tolist()
    number = table[name].item()
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
