"""`interp capture`: a checkpoint's activations in a file, for other tools."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from interp.commands.emit import working
from interp.commands.options import MOST_PROMPTS, CheckpointArgument, DeviceOption

if TYPE_CHECKING:
    from hooks.captured import Captured


class FinalNorm(StrEnum):
    """What the model's last LayerNorm is applied to before it is saved."""

    official = "official"
    all = "all"
    none = "none"


def capture(
    checkpoint: CheckpointArgument,
    prompts: Annotated[
        Path,
        typer.Option(
            metavar="FILE.npz",
            help="Prompts: xs by prompt, point and dim, and ys by prompt and point.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="File to write, its format told by its ending: .npz, .safetensors or .zarr.",
            show_default=False,
        ),
    ],
    sites: Annotated[
        str, typer.Option(help="Kinds of site, comma-separated; every layer of each.")
    ] = "resid_post",
    raw: Annotated[
        bool, typer.Option("--raw", help="All tokens, not only those where points are predicted.")
    ] = False,
    final_norm: Annotated[
        FinalNorm,
        typer.Option(help="Apply the last LayerNorm to the last layer, every layer or none."),
    ] = FinalNorm.official,
    batch_size: Annotated[
        int, typer.Option(min=1, max=MOST_PROMPTS, help="Prompts in memory at a time.")
    ] = 512,
    device: DeviceOption = "cpu",
    parents: Annotated[
        bool, typer.Option("--parents", help="Make the folders above the file that are missing.")
    ] = False,
) -> None:
    """Save predictions and activations on given prompts: one array per kind of site."""
    with working() as progress:
        from hooks.activation_files import write_activations
        from hooks.capture import capture as run
        from interp.tasks.prompt_file import read_prompts
        from interp.versions import library_versions
        from interp.zoo.loading import load

        file = read_prompts(prompts)
        model = load(checkpoint, device=device)
        kinds = list(dict.fromkeys(map(str.strip, sites.split(","))))
        batches = run(
            model,
            file.stream(batch_size),
            [site for kind in kinds for site in model.sites(kind)],
            final_norm=final_norm.value,
            positions="tokens" if raw else "predictions",
        )
        metadata = {
            "checkpoint": checkpoint,
            "prompts": str(prompts),
            "final_norm": final_norm.value,
            "positions": "tokens" if raw else "predictions",
            "points_from": 0 if raw else model.first_point,
            "versions": library_versions(),
        }
        watched = _watched(batches, lambda done: progress("capturing", done, file.n_prompts))
        write_activations(out, watched, file.n_prompts, metadata=metadata, parents=parents)
    print(out)


def _watched(batches: Iterable[Captured], report: Callable[[int], None]) -> Iterator[Captured]:
    done = 0
    for batch in batches:
        yield batch
        done += len(batch.xs)
        report(done)
