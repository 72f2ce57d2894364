"""The flat vector: names, both spaces, labels, held entries."""

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

from xmass.core.param import Param
from xmass.core.prior import Normal
from xmass.fit.layout import layout_of

REGION = {"region": np.array(["L", "R", "M"])}
PAIR = {"region": np.array(["L", "R"]), "region_other": np.array(["L", "R"])}


def values(layout, c, space):
    with jax.enable_x64(True):
        return {k: np.asarray(v) for k, v in layout.to_values(jnp.asarray(c, jnp.float64), space).items()}


def several():
    by_region = xr.DataArray([3.0, 1.0, 2.0], dims="region", coords={"region": ["M", "L", "R"]})
    return layout_of(
        {
            "a": (Param(0.25, bounds=(-1.0, 1.0)), {}),
            "b": (Param(by_region, bounds=(0.0, None)), REGION),
            "tau": (Param(10.0, bounds=(1.0, 100.0), transform="log"), {}),
            "w": (Param(0.5), {}),
            "p": (Param(1 / 3, transform="simplex", dims="region"), REGION),
        }
    )


def test_names_and_order():
    assert several().names == ("a", "b[L]", "b[R]", "b[M]", "tau", "w", "p[L]", "p[R]")
    assert several().size == 8


def test_the_box_is_linear_or_logarithmic_between_finite_bounds_and_free_elsewhere():
    layout = several()
    box = layout.start("box")
    assert box[0] == pytest.approx(1.25 / 2)  # (0.25 - -1) / 2
    assert box[4] == pytest.approx(0.5)  # 10 is half way from 1 to 100 on a logarithmic scale
    boxed = np.array([True, False, False, False, True, False, False, False])
    np.testing.assert_array_equal(layout.lower("box"), np.where(boxed, 0.0, -np.inf))
    np.testing.assert_array_equal(layout.upper("box"), np.where(boxed, 1.0, np.inf))
    np.testing.assert_array_equal(box[~boxed], layout.start("free")[~boxed])
    assert not np.isfinite(layout.lower("free")).any()
    assert not np.isfinite(layout.upper("free")).any()


@pytest.mark.parametrize("space", ["box", "free"])
def test_the_start_gives_the_starting_values_by_label(space):
    found = values(several(), several().start(space), space)
    np.testing.assert_allclose(found["a"], 0.25, rtol=1e-14)
    np.testing.assert_allclose(found["b"], [1.0, 2.0, 3.0], rtol=1e-14)
    np.testing.assert_allclose(found["tau"], 10.0, rtol=1e-14)
    np.testing.assert_allclose(found["w"], 0.5, rtol=1e-14)
    np.testing.assert_allclose(found["p"], [1 / 3] * 3, rtol=1e-14)


@pytest.mark.parametrize("space", ["box", "free"])
def test_coordinates_come_back(space):
    layout = several()
    c = np.random.default_rng(1).uniform(0.05, 0.95, (4, layout.size))
    with jax.enable_x64(True):
        made = jax.jit(jax.vmap(lambda row: layout.to_values(row, space)))(jnp.asarray(c))
    np.testing.assert_allclose(layout.to_coordinates(made, space), c, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("transform", [None, "log"])
def test_the_ends_of_the_box_are_the_bounds_exactly(transform, dtype):
    low, high = 0.1, 0.7
    layout = layout_of({"a": (Param(0.3, bounds=(low, high), transform=transform), {})})
    with jax.enable_x64(True):
        for c, bound in ((0.0, low), (1.0, high)):
            assert layout.to_values(jnp.asarray([c], dtype), "box")["a"] == dtype(bound)


def test_bounds_by_region_follow_the_labels():
    high = xr.DataArray([1.0, 2.0, 4.0], dims="region", coords={"region": ["R", "M", "L"]})
    layout = layout_of({"a": (Param(0.5, bounds=(0.0, high), dims="region"), REGION)})
    np.testing.assert_allclose(values(layout, np.ones(3), "box")["a"], [4.0, 1.0, 2.0])
    far = values(layout, np.full(3, 50.0), "free")["a"]
    np.testing.assert_allclose(far, [4.0, 1.0, 2.0])


def test_only_free_entries_have_coordinates():
    weights = xr.DataArray([[0.0, 0.2], [0.5, 0.0]], dims=("region", "region_other"))
    mask = weights.values > 0
    layout = layout_of({"weights": (Param(weights, bounds=(0.0, None)), PAIR)}, free={"weights": mask})
    assert layout.names == ("weights[L,R]", "weights[R,L]")
    np.testing.assert_allclose(values(layout, layout.start(), "free")["weights"], weights, rtol=1e-14)
    far = values(layout, [-800.0, 3.0], "free")["weights"]
    assert far[0, 0] == far[1, 1] == 0.0
    assert far[0, 1] == 0.0  # the softplus of -800 is below the smallest float
    assert far[1, 0] > 0.5
    with jax.enable_x64(True):
        slope = jax.jit(jax.jacobian(lambda c: layout.to_values(c)["weights"]))(jnp.asarray(layout.start()))
    assert (np.asarray(slope)[~mask] == 0).all()
    assert (np.asarray(slope)[0, 1] != [0, 0]).tolist() == [True, False]


def test_starting_values_may_differ_between_fits():
    start = xr.DataArray([0.2, 0.4], dims="subject", coords={"subject": ["s2", "s1"]})
    both = {"a": (Param(start, bounds=(0.0, 1.0)), {}), "b": (Param(3.0), {})}
    layout = layout_of(both, fits={"subject": np.array(["s1", "s2"]), "start": np.arange(3)})
    np.testing.assert_allclose(layout.start("box"), [[[0.4, 1.0]], [[0.2, 1.0]]])  # (subject, 1, size)
    assert layout.names == ("a", "b")


def test_one_layout_serves_jit_vmap_and_grad_in_float32():
    layout = several()
    c = jnp.asarray(layout.start(), jnp.float32)
    made = jax.jit(jax.vmap(layout.to_values))(jnp.stack([c, c]))
    assert {v.dtype for v in made.values()} == {jnp.dtype("float32")}
    slope = jax.jit(jax.grad(lambda c: sum(v.sum() for v in layout.to_values(c).values())))(c)
    assert np.isfinite(slope).all()


def test_the_density_of_coordinates_integrates_to_one():
    # A density of the value over (-inf, inf), times the stretched volume, is one of the coordinate: its integral over z is 1.
    layout = layout_of({"a": (Param(1.0, bounds=(0.0, None), prior=Normal(30.0, 2.0)), {})})
    with jax.enable_x64(True):
        z = jnp.linspace(1.0, 100.0, 4001)[:, None]
        density = np.exp(np.asarray(jax.jit(jax.vmap(lambda c: layout.log_prior(c) + layout.log_det(c)))(z)))
    assert density.sum() * 99 / 4000 == pytest.approx(1.0, abs=1e-9)


def test_log_det_of_the_vector_is_that_of_its_jacobian():
    layout = several()
    with jax.enable_x64(True):
        c = jnp.asarray(layout.start() + 0.3)

        def flat(c):
            made = layout.to_values(c)
            return jnp.concatenate([made[k].reshape(-1) if k != "p" else made[k][:-1] for k in made])

        expected = np.linalg.slogdet(np.asarray(jax.jit(jax.jacobian(flat))(c)))[1]
        found = float(jax.jit(layout.log_det)(c))
    assert found == pytest.approx(expected, rel=1e-12)


def test_penalties_are_summed():
    layout = layout_of({"a": (Param(0.5, bounds=(0.0, 1.0), reg=2.0), {}), "b": (Param(1.0, reg=1.0), {})})
    with jax.enable_x64(True):
        assert float(layout.penalty(jnp.asarray([0.75, 3.0]), "box")) == pytest.approx(2 * 0.25**2 + 2.0**2)
        moved = float(layout.penalty(jnp.asarray([0.75, 3.0]), "box", start={"a": 0.75}))
    assert moved == pytest.approx(4.0)


def test_the_start_of_a_penalty_may_be_traced_and_differ_between_fits():
    start = xr.DataArray([0.2, 0.4], dims="subject")
    layout = layout_of({"a": (Param(start, bounds=(0.0, 1.0), reg=1.0), {})}, fits={"subject": np.arange(2)})
    first = jnp.asarray(layout.start("box"), jnp.float32)
    made = jax.jit(jax.vmap(lambda c, f: layout.penalty(c, "box", layout.to_values(f, "box"))))(first + 0.1, first)
    np.testing.assert_allclose(made, [0.01, 0.01], rtol=1e-5)  # float32
    with pytest.raises(ValueError, match="a starts at other values in each fit"):
        layout.penalty(first[0], "box")


@pytest.mark.parametrize(
    ("param", "labels", "message"),
    [
        (Param(0.0, bounds=(0, 1), transform="identity"), {}, "a: transform='identity' keeps no bounds"),
        (Param(xr.DataArray([1.0, 2.0], dims="subject")), REGION, "the value of a has the dim 'subject'"),
        (Param(xr.DataArray([1.0, 2.0], dims="region")), REGION, "has 2 entries along 'region', needs 3"),
        (Param(xr.DataArray([1.0, 2.0, 3.0], dims="region", coords={"region": ["L", "R", "X"]})), REGION, "lacks .'M'. and has .'X'. more"),
        (Param(0.5, transform="simplex"), {}, "is one number, transform='simplex' needs values along a dim"),
        (Param(0.5, transform="simplex", dims="region"), REGION, "starts with the sum 1.5"),
        (Param(xr.DataArray([1.0, 0.5, -0.5], dims="region"), transform="simplex"), REGION, "needs positive values"),
        (Param(0.5, transform="ordered", dims="region"), REGION, "does not start in increasing order along 'region'"),
    ],
)
def test_errors_name_the_parameter(param, labels, message):
    with pytest.raises(ValueError, match=message):
        layout_of({"a": (param, labels)})


@pytest.mark.parametrize(
    ("param", "message"),
    [
        (Param(0.0, bounds=(0, 1)), r"a\[L\] is 0, at its bound.*give a value inside"),
        (Param(-1.0, transform="log"), r"a\[L\] is -1, which its transform 'log' does not reach"),
    ],
)
def test_a_start_without_a_coordinate_is_an_error(param, message):
    with pytest.raises(ValueError, match=message):
        layout_of({"a": (param, REGION)}).start("free")


def test_a_start_at_the_bound_is_fine_in_the_box():
    assert layout_of({"a": (Param(0.0, bounds=(0, 1)), {})}).start("box") == [0.0]


def test_held_entries_are_refused_where_a_transform_mixes_them():
    with pytest.raises(ValueError, match="needs all values along 'region' free"):
        layout_of({"a": (Param(1 / 3, transform="simplex"), REGION)}, free={"a": np.array([True, False, True])})
    by_fit = xr.DataArray([[0.0, 1.0, 1.0], [0.5, 1.0, 2.0]], dims=("subject", "region"))
    with pytest.raises(ValueError, match="differs between fits where it is held"):
        layout_of({"a": (Param(by_fit), REGION)}, fits={"subject": np.arange(2)}, free={"a": np.array([False, True, True])})


@hypothesis.given(
    labels=st.permutations(["L", "R", "M", "Q"]),
    low=st.floats(-5, 5),
    width=st.floats(1e-3, 1e3),
    parts=st.lists(st.floats(0.01, 0.99), min_size=4, max_size=4),
    transform=st.sampled_from([None, "log"]),
)
def test_any_values_between_any_bounds_come_back_under_their_labels(labels, low, width, parts, transform):
    low = abs(low) + 1e-3 if transform == "log" else low
    given = xr.DataArray(low + width * np.array(parts), dims="region", coords={"region": labels})
    layout = layout_of({"a": (Param(given, bounds=(low, low + width), transform=transform), {"region": np.array(["L", "M", "Q", "R"])})})
    expected = given.sel(region=["L", "M", "Q", "R"])
    for space in ("box", "free"):
        # 1e-9: a value 1e-2 widths from a bound of size 5 and a width of 1e-3 has lost that many of 16 digits
        np.testing.assert_allclose(values(layout, layout.start(space), space)["a"], expected, rtol=1e-9, atol=1e-12)
