"""The calibration as a Markdown page with pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hooks.atomic import write_text
from interp.calibration.figures import Picture
from interp.calibration.static import find_browser, static_svgs
from interp.report.text_table import TextTable

INTRODUCTION = """\
A verdict is worth what it is known to get right. Here it is asked about models whose algorithm is
known because it was built into their weights (`hooks.architectures.planted`), in the paper's
shape n = 2d, and about models in which there is nothing to find. Each run builds a model, draws
fresh prompts and asks `interp.match` with its default thresholds, at the residual stream. The
references know the constants that were planted (eta, gamma, alpha), as they do for every model
that carries its own; a trained model has none, so this calibrates the verdict's statistics, not
the choice of references. The verdict's thresholds and the formula of its intervals were chosen on
other prompts (seeds below 4000 and from 9000 on) than those of the full grid (from 4000 on), which
is reported here; the bound on lack of fit also with four trained models in view. Every planted
model runs one of the references exactly. What the verdict says of one that runs none of
them is asked by withholding the model's own reference, in a table of its own; what it says of
trained models is in [findings](findings.md).
"""


def write_document(
    path: str | Path,
    *,
    conclusions: Sequence[str],
    command: str,
    tables: Sequence[TextTable],
    pictures: Sequence[Picture],
) -> None:
    """Writes the page, and `images/calibration-<name>.svg` beside it where a browser can draw.

    Raises:
        OSError: A file cannot be written.
    """
    path = Path(path)
    drawn = static_svgs([picture.figure for picture in pictures]) if find_browser() else []
    summary = "\n".join(f"- {sentence}" for sentence in conclusions)
    parts = ["# Calibration", INTRODUCTION, summary, f"```\n{command}\n```"]
    for picture, svg in zip(pictures, drawn, strict=False):
        name = f"images/calibration-{picture.name}.svg"
        write_text(path.parent / name, svg + "\n")
        parts += [
            f"## {picture.title}", f"![{picture.title}]({name})", picture.see, picture.means
        ]  # fmt: skip
    for table in tables:
        parts += [f"## {table.title}", table.markdown(), table.note]
    text = "\n\n".join(part.strip() for part in parts if part) + "\n"
    write_text(path, text)
