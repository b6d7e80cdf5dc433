"""A short form of the campaign of `mutations.py`: another seed finds what is fixed for good."""

from __future__ import annotations

import pytest
from mutations import KINDS, run

COUNTS = {"grid": 8, "run": 30, "result": 10, "npz": 20, "pt": 20, "prompts": 20, "training": 15}
"""Damaged files of a kind; of all others, 40."""
SLOW = {"huggingface"}
"""Left to the long form: transformers takes seconds to import."""


@pytest.mark.parametrize("name", [name for name in KINDS if name not in SLOW])
def test_a_damaged_file_is_answered_rightly_or_by_a_sentence(name: str) -> None:
    outcome = run(name, seed=7, count=COUNTS.get(name, 40))
    assert outcome.failures == []
    assert outcome.sentences
