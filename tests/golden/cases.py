"""The commands whose numbers are kept, and how a record is made anew.

`python tests/golden/cases.py CASE…` runs the cases (all, if none is named) and writes their records
to `numbers/`. Last digits differ from one kind of processor to another, and with them where a best
match lies on a plateau: before a change of the code that is to change no number, record on your own
machine, then `make golden`. A record changes otherwise only with a line in the CHANGELOG.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from digest import digest_folder

from interp.cli import main

HERE = Path(__file__).parent
RECORDS = HERE / "numbers"

CASES: dict[str, Sequence[str]] = {
    "match-gpt2": ("match", "gpt2-d5", "--prompts", "256", "--show", "weights"),
    "match-lstm": ("match", "lstm-d5", "--prompts", "256"),
    "match-newton-exact": ("match", "newton-exact", "--prompts", "256"),
    "match-ogd-exact": ("match", "ogd-exact", "--prompts", "256"),
    "match-looped-12": ("match", "looped-d5@12", "--prompts", "256"),
    "compare": ("compare", "gpt2-d5", "lstm-d5", "newton-exact", "--prompts", "128"),
    "conditions": ("conditions", "gpt2-d5", "--vary", "kappa,noise", "--prompts", "256"),
    "separate": ("separate", "gpt2-d5", "newton", "gd", "--prompts", "64"),
    "intervene": ("intervene", "gpt2-d5", "--prompts", "128"),
    "algorithms": ("algorithms", "gd", "newton", "--dims", "5", "--points", "11"),
    "calibrate": ("calibrate", "--grid", str(HERE / "grids/calibration.toml"), "--no-protocols",
                  "--no-large-samples"),
    "sweep": ("sweep", str(HERE / "grids/kappa.toml"), "--jobs", "1"),
    "reproduce": ("reproduce", "--prompts", "64"),
}  # fmt: skip


def run(name: str, folder: Path) -> dict[str, object]:
    """The record of a case, whose command writes into a folder."""
    if name == "match-attached":
        _match_attached(folder)
    else:
        try:
            main([*CASES[name], "--out", str(folder)])
        except SystemExit as ending:
            if ending.code:
                raise RuntimeError(f"{name} ended with exit code {ending.code}") from None
    return digest_folder(folder)


def _match_attached(folder: Path) -> None:
    """Matches a model as if it were foreign to the toolkit: its module behind `hooks.attach`."""
    import hooks
    import interp

    inner = interp.load("gpt2-d5-width-16")
    attached = hooks.attach(
        inner,
        lambda module, xs, ys: module(xs, ys),
        n_dims=5,
        n_points=11,
        layers="blocks.*",
        final_norm="ln_final",
    )
    result = interp.match(attached, interp.tasks.LinearRegression(), n_prompts=256)
    result.save(folder / "result.nc")
    (folder / "summary.json").write_text(json.dumps(result.summary()), encoding="utf-8")


NAMES = (*CASES, "match-attached")


if __name__ == "__main__":
    for name in sys.argv[1:] or NAMES:
        with tempfile.TemporaryDirectory() as folder:
            record = run(name, Path(folder))
        text = json.dumps(record, indent=0, sort_keys=True)
        (RECORDS / f"{name}.json").write_text(text + "\n", encoding="utf-8")
        print(name, file=sys.stderr)
