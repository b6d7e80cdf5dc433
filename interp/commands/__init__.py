"""Commands, one a file. A new one is a new file and one line in `COMMANDS`.

These modules import nothing slow at their top: torch and its kin are imported in the command.
"""

from __future__ import annotations

COMMANDS: dict[str, str] = {
    "match": "interp.commands.match:match",
    "compare": "interp.commands.compare:compare",
    "algorithms": "interp.commands.algorithms:algorithms",
    "capture": "interp.commands.capture:capture",
    "intervene": "interp.commands.intervene:intervene",
    "conditions": "interp.commands.conditions:conditions",
    "emerge": "interp.commands.emerge:emerge",
    "separate": "interp.commands.separate:separate",
    "reproduce": "interp.commands.reproduce:reproduce",
    "calibrate": "interp.commands.calibrate:calibrate",
    "sweep": "interp.commands.sweep:sweep",
    "train": "interp.commands.train:train",
    "recipes": "interp.commands.recipes:recipes",
    "zoo": "interp.commands.zoo:zoo",
}
"""For each command `module:function`, in the order in which the help lists them."""
