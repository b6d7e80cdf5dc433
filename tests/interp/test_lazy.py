from __future__ import annotations

import ast
from pathlib import Path

import pytest

import interp
import interp.zoo
from interp.lazy import lazy_names


@pytest.mark.parametrize("package", [interp, interp.zoo])
def test_every_listed_name_resolves(package):
    for name in dir(package):
        assert getattr(package, name) is not None


@pytest.mark.parametrize("package", [interp, interp.zoo])
def test_type_checkers_see_the_same_names_as_users(package):
    tree = ast.parse(Path(package.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.asname for node in block.body for alias in node.names}
    assert seen == set(dir(package))


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'interp' has no attribute 'nothing'"):
        interp.nothing  # noqa: B018


def test_a_name_may_stand_for_a_module_or_for_something_in_one():
    get, names = lazy_names("os", {"path": "os.path", "sep": "os.path"})
    assert names() == ["path", "sep"]
    assert get("sep") == get("path").sep
