"""Parameters of references given on the command line."""

from __future__ import annotations

import pytest

from interp.commands.match import read_parameters


def test_parameters_are_read_by_reference():
    found = read_parameters(["gd.eta=0.01", "gd++.eta=2e-3", "gd++.gamma=1", "rls.lam=.5"])
    assert found == {"gd": {"eta": 0.01}, "gd++": {"eta": 0.002, "gamma": 1}, "rls": {"lam": 0.5}}


@pytest.mark.parametrize(
    "text", ["gd.eta", "eta=1", "gd.eta=fast", "gd.eta=nan", ".eta=1", "gd.=1"]
)
def test_another_form_is_refused(text):
    with pytest.raises(ValueError, match="must be NAME"):
        read_parameters([text])
