"""Checkpoints in and out, one format a file."""

from hooks.checkpoints.error import CheckpointError
from hooks.checkpoints.formats import FORMATS, load_checkpoint
from hooks.checkpoints.fu_run import load_fu_run
from hooks.checkpoints.huggingface import load_huggingface, save_ends, save_huggingface
from hooks.checkpoints.native import save_checkpoint

__all__ = [
    "FORMATS",
    "CheckpointError",
    "load_checkpoint",
    "load_fu_run",
    "load_huggingface",
    "save_checkpoint",
    "save_ends",
    "save_huggingface",
]
