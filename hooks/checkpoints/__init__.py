"""Checkpoints in and out, one format a file."""

from hooks.checkpoints.error import CheckpointError
from hooks.checkpoints.native import load_checkpoint, save_checkpoint

__all__ = ["CheckpointError", "load_checkpoint", "save_checkpoint"]
