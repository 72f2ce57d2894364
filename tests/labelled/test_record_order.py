"""The record keeps order: that of dims, variables, monitors and couplings, all of which decide what a result is."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import xmass as xm
from tests.labelled.bad import SC, network, node, noisy, params
from tests.labelled.test_dims_of_results import START
from xmass.labelled.provenance import Encoder, canonical_json, decode, differences
from xmass.labelled.record import _in_order_of_dims

W, A, NOISE = ("w", [0.1, 0.2, 0.3]), ("a", [-0.1, 0.1, 0.2]), ("n", [0.1, 0.2])


def stored(value):
    """What a value is after it was written into a record and read."""
    return decode(json.loads(canonical_json(Encoder().encode(value))))


def order(ds):
    return list(ds.data_vars), list(ds.sizes), {n: v.dims for n, v in ds.data_vars.items()}


# ---------------------------------------------------------------------------------------------------------------- values
def test_a_mapping_and_a_dataset_keep_their_order():
    assert list(stored({"b": 1, "a": {"z": 1, "y": 2}})) == ["b", "a"]
    assert list(stored({"b": 1, "a": {"z": 1, "y": 2}})["a"]) == ["z", "y"]
    made = stored(xr.Dataset({"w": W, "v": (("k", "b"), np.ones((2, 3))), "a": A}))
    assert list(made.variables) == ["w", "v", "a"]
    assert list(made.sizes) == ["w", "k", "b", "a"]


SIZES = {"w": 2, "a": 3, "k": 1, "b": 4}
dims = st.lists(st.sampled_from(list(SIZES)), unique=True, min_size=1, max_size=3)


@given(st.lists(dims, min_size=1, max_size=5), st.randoms(use_true_random=False), st.booleans())
@settings(max_examples=60, deadline=None)
def test_the_dims_of_a_recorded_dataset_are_in_its_order(of_variables, random, turned):
    names = random.sample([f"p{i}" for i in range(len(of_variables))], len(of_variables))
    ds = xr.Dataset({n: (d, np.zeros([SIZES[x] for x in d])) for n, d in zip(names, of_variables, strict=True)})
    before = list(ds.sizes)
    if turned:  # the Dataset keeps its order of dims, its variables do not
        ds = ds.transpose(*random.sample(before, len(before)))
    once = _in_order_of_dims(ds)
    assert list(stored(once).sizes) == list(ds.sizes)
    xr.testing.assert_equal(once.transpose(*before), ds.transpose(*before))
    again = _in_order_of_dims(stored(once))
    assert canonical_json(Encoder().encode(again)) == canonical_json(Encoder().encode(once))


def test_an_order_is_a_difference_and_named_only_between_names_that_both_have():
    encode = Encoder().encode
    old, new = ({"parameters": encode(params(**{n: (n, [1.0]) for n in names}))} for names in (["w", "a"], ["a", "w"]))
    assert differences(old, new) == ['order of parameters: ["w", "a"] -> ["a", "w"]']
    more = {"parameters": encode(params(w=("w", [1.0]), **{"coupling.k": ("a", [1.0])}, a=("a", [1.0])))}
    assert [d.partition(":")[0] for d in differences(old, more)] == ["parameters.coupling.k"]
    assert differences({"monitors": encode({"order": 1})}, {"monitors": encode({"order": 2})}) == ["monitors.order: 1 -> 2"]


# ---------------------------------------------------------------------------------------------------------------- rerun
RUNS = {
    "params": lambda: noisy().run(1.0, params(w=W, a=A, **{"noise_x.sigma": NOISE}), seed=1),
    "params over several dims": lambda: node().run(
        1.0, params(w=(("p", "b"), [[0.1, 0.2, 0.3]] * 2), a=(("b", "p"), np.full((3, 2), 0.1))).transpose("b", "p"), initial={"x": 0.1}
    ),
    "monitors": lambda: node().run(1.0, monitors={"z": xm.TemporalAverage(of="y", period=0.5), "y": "y", "x": "x"}),
    "inputs": lambda: node().run(
        1.0, inputs={"y": xr.DataArray([0.1, 0.2], dims="w2"), "x": xr.DataArray([0.1, 0.2, 0.3], dims="a2")}, monitors=["y", "x"]
    ),
    "initial": lambda: node().run(1.0, initial={"y": xr.DataArray([0.1, 0.2], dims="r"), "x": xr.DataArray([0.1, 0.2, 0.3], dims="q")}),
    "system": lambda: xm.Simulator(xm.HopfStep(w=xr.DataArray(W[1], dims="z"), a=xr.DataArray(A[1], dims="b")), dt=0.1).run(1.0),
    "connectome": lambda: network(SC.expand_dims({"visit": 2, "arm": 3}).transpose("arm", ...)).run(1.0, initial=START),
    "seed": lambda: noisy().run(1.0, params(a=A), seed=xr.DataArray([[1, 2], [3, 4]], dims=("v", "u"))),
}


@pytest.mark.long
@pytest.mark.parametrize("make", RUNS.values(), ids=RUNS.keys())
def test_rerun_has_the_same_order(make):
    first = make()
    again = xm.rerun(first)
    assert order(again) == order(first)
    xr.testing.assert_identical(again, first)


def test_rerun_sums_couplings_in_the_same_order():
    # Three couplings onto one target: in float32, (p + q) + r and (r + q) + p differ in the last bits.
    def coupling(k):
        return xm.AdditiveCoupling(source="x", target="x", k=k)

    names = {"z": coupling(0.1), "m": coupling(0.037), "a": coupling(-0.013)}
    start = {"x": START["x"] * 0.7}
    first = network(SC, coupling=names).run(50.0, monitors=["x"], initial=start)
    other = network(SC, coupling=dict(sorted(names.items()))).run(50.0, monitors=["x"], initial=start)
    assert (first.x != other.x).any()  # the order matters here
    assert first.attrs["config_hash"] != other.attrs["config_hash"]
    xr.testing.assert_identical(xm.rerun(first), first)


def test_rerun_names_an_order_that_is_not_the_record_s():
    first = node().run(1.0, params(w=W, a=A), monitors=["x"])
    with pytest.raises(ValueError, match=r'dims: \["w", "a"\] -> \["a", "w"\]; order of parameters: \["w", "a"\] -> \["a", "w"\]'):
        xm.rerun(first, params=params(a=A, w=W))
