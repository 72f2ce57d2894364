"""The geometry of chunks, what they leave unsaid, and what travels to the tasks."""

from __future__ import annotations

import pickle

import cloudpickle
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import xmass as xm
from tests.scale.cases import DURATION, arguments, network, resolved_of, sweep
from xmass.scale.chunks import Parcel, boxes, chunk_sizes, default_chunks, runs_of, template
from xmass.scale.store import stored_chunks


@given(st.dictionaries(st.sampled_from("abcd"), st.tuples(st.integers(1, 7), st.integers(1, 7)), max_size=4))
def test_boxes_cover_every_run_once(sizes_and_chunks):
    sizes = {d: n for d, (n, _) in sizes_and_chunks.items()}
    seen = np.zeros(tuple(sizes.values()), int)
    for box in boxes(sizes, {d: c for d, (_, c) in sizes_and_chunks.items()}).values():
        seen[tuple(slice(a, b) for a, b in box)] += 1
    assert (seen == 1).all()


def test_runs_of_a_box_are_flat_indices_in_c_order():
    resolved = resolved_of(network(), sweep(5, 3), **arguments())
    flat = np.arange(15).reshape(5, 3)
    np.testing.assert_array_equal(runs_of(resolved, ((1, 4), (0, 2))), flat[1:4, 0:2].ravel())


def test_sizes_that_are_not_named_are_whole_and_minus_one_is_too():
    resolved = resolved_of(network(), sweep(5, 3), **arguments())
    assert chunk_sizes(resolved, {}) == {"a": 5, "k": 3}
    assert chunk_sizes(resolved, {"a": 2}) == {"a": 2, "k": 3}
    assert chunk_sizes(resolved, {"a": -1, "k": 100}) == {"a": 5, "k": 3}


@pytest.mark.parametrize("dim", ["region", "region_other", "time", "mean_time", "nothing"])
def test_other_dims_are_refused_and_the_message_names_those_that_can_be_chunked(dim):
    resolved = resolved_of(network(), sweep(5, 3), **arguments())
    with pytest.raises(ValueError, match=rf"chunks names '{dim}'.*\['a', 'k'\]"):
        chunk_sizes(resolved, {dim: 2})


@pytest.mark.parametrize("size", [0, -2, 1.5, True, "auto", (2, 3), None])
def test_other_sizes_are_refused(size):
    resolved = resolved_of(network(), sweep(5, 3), **arguments())
    with pytest.raises(ValueError, match=r"chunks\['a'\]=.*positive number of runs, or -1"):
        chunk_sizes(resolved, {"a": size})


def test_a_number_for_chunks_is_refused():
    with pytest.raises(TypeError, match=r"needs a mapping.*\{'a': 8\}"):
        network().run(DURATION, sweep(), chunks=4, **arguments())


def test_a_single_run_has_no_dim_to_chunk():
    with pytest.raises(ValueError, match=r"chunks names 'a'.*single run"):
        network().run(DURATION, chunks={"a": 1}, **arguments())


def test_default_chunks_are_about_a_tile_and_share_a_connectome():
    sc = xr.concat([network().system.connectome] * 3, "subject")
    coupling = xm.DiffusiveCoupling(k=0.1, source="x", target="x")
    cohort = xm.Simulator(xm.Network(xm.HopfStep(), sc, coupling=coupling), dt=0.1)
    resolved = resolved_of(cohort, sweep(8, 6), monitors=["x"])
    chunk = default_chunks(resolved)
    assert list(resolved.sizes) == ["a", "k", "subject"]
    # 8 x 6 runs per connectome fill three tiles of 16 only together; 6 x 8 = 48 is the first multiple of both
    assert chunk == {"a": 8, "k": 6, "subject": 1}


def test_default_chunks_of_long_series_stay_small():
    # 16 runs are one tile; a run of 4 regions and 500 000 samples is 8 MB: nothing below a tile, which would only pad it
    resolved = resolved_of(network(), sweep(40, 3), monitors=["x"])
    long = resolved_of(network(), sweep(40, 3), monitors=["x"]).__class__(**{**vars(resolved), "stop": 500_000})
    assert np.prod(list(default_chunks(long).values())) <= 18
    assert np.prod(list(default_chunks(resolved).values())) >= 16


@pytest.mark.parametrize(
    ("lead", "inner", "expected"),
    [
        ((4, 2), (1000, 10), (4, 2, 1000, 10)),
        ((), (1000, 10), (1000, 10)),
        ((16,), (300_000, 10), (1, 300_000, 10)),  # 12 MB per run
        ((16,), (3_000_000, 10), (1, 750_000, 10)),  # 120 MB per run: four pieces below 32 MB
        ((2,), (0, 10), (2, 1, 10)),
    ],
)
def test_stored_pieces_are_moderate_and_divide_a_chunk(lead, inner, expected):
    assert stored_chunks(lead, inner, 4) == expected


@pytest.mark.long
@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("params", [None, sweep(2, 2)], ids=["single", "sweep"])
def test_the_template_says_all_but_the_values(params, restart):
    sim, kwargs = network(), arguments() | {"restart": restart}
    if params is not None:
        kwargs["monitors"] = {"bold": xm.BOLDSignal(of="x", tr=5.0), "x": "x", "fc": kwargs["monitors"]["fc"]}
    eager = sim.run(DURATION, params, **kwargs)
    made = template(resolved_of(sim, params, **kwargs), eager.attrs)
    assert set(made.variables) == set(eager.variables)
    for name, variable in eager.variables.items():
        other = made.variables[name]
        assert (other.dims, other.shape, other.dtype, other.attrs) == (variable.dims, variable.shape, variable.dtype, variable.attrs), name
    xr.testing.assert_identical(made.coords.to_dataset(), eager.coords.to_dataset())
    assert made.x.variable._data.strides == (0,) * made.x.ndim  # one number, whatever the size


def test_a_parcel_unpacks_once_per_process_and_carries_user_functions():
    monitors = {"square": lambda s: s.x**2}
    parcel = Parcel(resolved_of(network(), sweep(), monitors=monitors, seed=1))
    first, second = (cloudpickle.loads(cloudpickle.dumps(parcel)) for _ in range(2))
    assert first is second
    assert first.resolved.program == first.resolved.program
    assert pickle.loads(pickle.dumps(first)) is first


def test_a_parcel_leaves_out_what_tasks_do_not_need():
    params = sweep().assign_coords(note=("a", [f"{'long text ' * 1000}{i}" for i in range(5)]))
    resolved = resolved_of(network(), params, monitors=["x"], seed=1)
    assert Parcel(resolved).resolved.request.params is None
    assert Parcel(resolved).resolved.values.keys() == resolved.values.keys()
