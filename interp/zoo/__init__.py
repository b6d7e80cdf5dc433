"""The checkpoints that ship with the package.

Each is a folder here: `model.safetensors`, `recipe.toml`, `metrics.csv`, `training.log`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from interp.lazy import lazy_names

if TYPE_CHECKING:
    from hooks.checkpoints import CheckpointError as CheckpointError
    from interp.zoo.catalogue import ZooEntry as ZooEntry
    from interp.zoo.catalogue import entries as entries
    from interp.zoo.catalogue import names as names
    from interp.zoo.loading import load as load

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "CheckpointError": "hooks.checkpoints",
        "ZooEntry": "interp.zoo.catalogue",
        "entries": "interp.zoo.catalogue",
        "load": "interp.zoo.loading",
        "names": "interp.zoo.catalogue",
    },
)
