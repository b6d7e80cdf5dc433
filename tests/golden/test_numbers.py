"""Numbers of commands stay as recorded on the same kind of processor; see `cases` and `digest`."""

import json
from pathlib import Path

import pytest
from cases import NAMES, RECORDS, run
from digest import differences


@pytest.mark.golden
@pytest.mark.parametrize("name", NAMES)
def test_numbers_are_those_on_record(name: str, tmp_path: Path) -> None:
    expected = json.loads((RECORDS / f"{name}.json").read_text(encoding="utf-8"))
    found = run(name, tmp_path)
    lines = [
        line
        for file, record in expected.items()
        for line in differences(record, found.get(file, {}))
    ]
    assert not lines, "\n".join([f"{len(lines)} differences", *lines[:20]])
