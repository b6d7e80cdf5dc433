"""Every name that `probes` says it has is there."""

from __future__ import annotations

import pytest

import probes


@pytest.mark.parametrize("name", probes.__all__)
def test_a_listed_name_is_found(name: str) -> None:
    assert getattr(probes, name) is not None


def test_any_other_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = probes.no_such_name
