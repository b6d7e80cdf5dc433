"""Changing what a model computes while it runs, one kind of change a file.

Every intervention is a set of TransformerLens forward hooks: `with intervene(model, …):` adds them
and takes them out again, also after an exception, whatever other hooks the model has.
"""

from __future__ import annotations

from hooks.interventions.ablation import METHODS, Ablate, Method
from hooks.interventions.intervention import ForwardHooks, Intervention, intervene
from hooks.interventions.layer import AblateLayer
from hooks.interventions.patching import Patch, record
from hooks.interventions.shift import Shift

__all__ = [
    "METHODS",
    "Ablate",
    "AblateLayer",
    "ForwardHooks",
    "Intervention",
    "Method",
    "Patch",
    "Shift",
    "intervene",
    "record",
]
