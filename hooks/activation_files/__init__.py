"""Activations on disk, for and from other tools: `.npz`, safetensors and Zarr; `.pt` is read too.

A file holds `xs` [prompt, point, dim], `ys` [prompt, point], `predictions` [prompt, point] and,
for every kind of site, one array [layer, prompt, point, d_model] named after it, with the layers'
numbers in `<kind>_layers`.
"""

from hooks.activation_files.activation_file import ActivationFile, open_activations
from hooks.activation_files.answers import check_answers_hidden
from hooks.activation_files.reader import ActivationFileError
from hooks.activation_files.writer import write_activations

__all__ = [
    "ActivationFile",
    "ActivationFileError",
    "check_answers_hidden",
    "open_activations",
    "write_activations",
]
