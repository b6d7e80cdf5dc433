"""Results that are kept come back whole, or are said to be damaged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from interp.study.store import Store
from interp.study.table import join_results


@given(
    st.sampled_from(["<f8", "<f4", "<i8", "?", "<U3"]).flatmap(
        lambda kind: hnp.arrays(
            kind, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)
        )
    ),
    st.lists(st.text(max_size=4), min_size=1, max_size=3),
    st.dictionaries(st.text(min_size=1), st.one_of(st.text(), st.integers(-(2**60), 2**60))),
)
@settings(max_examples=60)
def test_a_dataset_comes_back_to_the_last_bit(tmp_path_factory, values, names, attrs):
    data = xarray.Dataset(
        {
            "values": (list("abc")[: values.ndim], values, attrs),
            "objects": ("name", np.array(names, object)),
        },
        {"name": np.array(names, object), "scalar": 1.5},
        attrs,
    )
    store = Store(tmp_path_factory.mktemp("store"), xarray.Dataset)
    store.put("key", data)
    found = store.read("key")
    xarray.testing.assert_identical(found, data)
    assert found["values"].dtype == data["values"].dtype
    assert found["values"].values.flags.writeable


def test_a_damaged_result_is_named(tmp_path: Path):
    store = Store(tmp_path, xarray.Dataset)
    store.put("one", xarray.Dataset({"a": ("x", np.arange(5.0))}))
    whole = store.path("one").read_bytes()
    for content in (b"", whole[:-3], b"text", whole.replace(b"<f8", b"<x8")):
        store.path("one").write_bytes(content)
        with pytest.raises(ValueError, match=r"one\.msgpack: not a readable result .*; delete it"):
            store.read("one")
    store.path("two").write_bytes(whole)
    with pytest.raises(ValueError, match=r"two\.msgpack: the result of another cell, one; delete"):
        store.read("two")


def test_cells_on_the_same_axes_are_joined_as_others_are():
    cells = [
        xarray.Dataset(
            {"a": ("layer", np.arange(3.0) + seed), "b": seed, "c": str(seed)},
            {"layer": [0, 1, 2]},
        )
        for seed in range(4)
    ]
    odd = xarray.Dataset({"a": ("layer", [7.0])}, {"layer": [5]})

    def joined(*tables: xarray.Dataset) -> xarray.Dataset:
        places = {("m", "t", seed): one for seed, one in enumerate(tables)}
        return join_results({"x": places}, (["m"], ["t"], [*range(len(tables))]))

    alike, mixed = joined(*cells), joined(*cells, odd)
    expected = mixed.sel(seed=range(4), layer=[0, 1, 2])
    xarray.testing.assert_identical(alike, expected)
    assert mixed.x_a.sel(seed=4, layer=5).item() == 7
    assert np.isnan(mixed.x_a.sel(seed=4, layer=0)).all()
