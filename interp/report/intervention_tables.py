"""Tables of what interventions found."""

from __future__ import annotations

from collections.abc import Iterator

import xarray

from interp.plots.ablation import METHODS, preferred_method
from interp.report.table import Column, Table, scores
from probes.references import legend_of

CONTROLS = ("random", "shuffled")
"""How the table calls the share of the change under controls, in the order of `DIRECTIONS`."""


def in_terminal(table: Table) -> dict[str, str] | None:
    """Columns of a table that a terminal has room for, and their titles there; None for all."""
    if table.name == "layer-order":
        moved = {f"{name}_output_shift": f"{name} it" for name in ("repeat", "swap", "skip")}
        return {"layer": "layer", "gain": "its own", **moved, "repeat_effect": "rise, repeated"}
    if table.name != "interchange":
        return None
    shares = [column.key for column in table.columns if column.key.startswith("share_")]
    answers = {f"answer_{name}": f"as {name}" for name in "AB"}
    return {"layer": "layer", **answers, **{key: key.removeprefix("share_") for key in shares}}


def layer_order_table(table: xarray.Dataset) -> Table:
    """What the prediction gains and loses, a row for each layer."""
    reference = str(table.reference.values[0])
    table = table.sel(reference=reference)
    words = {"repeat": "repeated", "swap": "swapped", "skip": "skipped"}
    columns = [Column("layer", "layer", 0), Column("gain", "its own steps", 1)]
    for title, digits, name in (("", 1, "output_shift"), (", rise", 4, "effect")):
        columns += [
            Column(f"{change}_{name}", f"{word}{title}", digits, has_interval=True)
            for change, word in words.items()
        ]
    columns += [
        Column(f"{change}_ratio", f"{word}, eigenvalue ×", 2, has_interval=True)
        for change, word in words.items()
    ]
    rows = []
    for layer in table.layer.values:
        row: dict[str, float] = {
            "layer": int(layer),
            "gain": table.layer_gain.sel(layer=layer).item(),
        }
        for change in words:
            here = table.sel(layer=layer, change=change)
            for name in ("output_shift", "effect"):
                row |= scores(here, name, f"{change}_{name}")
            row |= scores(here, "output_resolved_ratio", f"{change}_ratio")
        rows.append(row)
    title = f"Steps of {legend_of(reference)} that the prediction gains, by the layer changed"
    note = (
        f"Rise of squared error / d above {table.model_error.item():.4f}, and the factor by which "
        f"the eigenvalue changes that is learnt to a half after {table.attrs['point']} examples."
    )
    return Table.of("layer-order", title, columns, rows, note)


def interchange_table(table: xarray.Dataset) -> Table:
    """Whose answer a query's state leads to, and what an iterate's does, a row for each layer."""
    columns = [Column("layer", "layer", 0)]
    columns += [
        Column(f"answer_{name}", f"answer of {name}", 2, has_interval=True) for name in "AB"
    ]
    names = [str(name) for name in table.subspace.values]
    for name in names:
        title = legend_of(name) if name in table.reference.values else name
        columns.append(Column(f"share_{name}", f"{title}: share", 2, has_interval=True))
        columns.append(Column(f"cosine_{name}", f"{title}: cosine", 3))
    rows = []
    for layer in table.layer.values:
        here = table.sel(layer=layer)
        row: dict[str, float] = {"layer": int(layer)}
        for prompt in "AB":
            row |= scores(here.sel(prompt=prompt), "answer", f"answer_{prompt}")
        for name in names:
            row |= scores(here.sel(subspace=name), "share", f"share_{name}")
            row[f"cosine_{name}"] = here.cosine.sel(subspace=name).item()
        rows.append(row)
    title = f"A query's state from another prompt, after {table.attrs['point']} examples"
    return Table.of("interchange", title, columns, rows)


def ablation_table(ablation: xarray.Dataset) -> Table:
    """What error and match curve lose without each layer, its attention, MLP and best head."""
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


def steering_tables(steering: xarray.Dataset) -> Iterator[Table]:
    """Where the predictions went against where a model that iterates would have gone."""
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
