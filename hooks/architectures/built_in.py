"""Models that need no training, by the name they are loaded by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from hooks.architectures import build_model
from hooks.architectures.exact import ExactModel
from hooks.model import SequenceModel


def _build(name: str, architecture: str, config: Mapping[str, Any]) -> SequenceModel:
    model = build_model(architecture, config).eval()
    assert isinstance(model, ExactModel)
    model.provenance = {"built_in": name, "task": model.config.task()}
    return model


_CONFIGS: dict[str, tuple[str, dict[str, Any]]] = {
    "newton-exact": ("newton-exact", {}),
    "newton-exact-silent": ("newton-exact", {"readable": False}),
    "newton-exact-looped": ("newton-exact", {"looped": True}),
    "gd-exact": ("gd-exact", {}),
    "gd-exact-looped": ("gd-exact", {"looped": True}),
    "gdpp-exact": ("gdpp-exact", {}),
    "gdpp-exact-looped": ("gdpp-exact", {"looped": True}),
    "ogd-exact": ("ogd-exact", {}),
}

BUILT_IN: dict[str, Callable[[], SequenceModel]] = {
    name: partial(_build, name, architecture, config)
    for name, (architecture, config) in _CONFIGS.items()
}
"""Builders of models whose algorithm is known, for d = 5 and 11 points, in evaluation mode.

Their `provenance` holds the name (`built_in`) and the task that their constants suit.
"""
