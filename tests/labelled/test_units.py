"""Units: brainunit, pint and strings agree, values are right to 1e-12, and everything wrong is refused with a message that helps."""

from __future__ import annotations

import ast
import re
import subprocess
import sys

import brainunit as u
import dask.array
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pint
import pint_xarray
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from xmass.labelled import unit_bridge, unit_names, units

OURS = [
    *["ms", "s", "min", "h", "1/ms", "1/s", "rad", "deg", "rad/ms", "Hz", "kHz", "mm", "m", "mm/ms", "m/s", "nA", "pA", "mV", "uV", "mV/s"],
    *[
        "1/ms^0.5",
        "nA*ms^0.5",
        "mV/ms^0.5",
        "Hz/nA",
        "Hz/pA",
        "nA/Hz",
        "1/(ms*Hz)",
        "1",
        "%",
        "uA/cm^2",
        "nS",
        "pF",
        "T",
        "K",
        "kg",
        "mV^2",
    ],
]
REGISTRY = pint_xarray.unit_registry
numbers = st.floats(-1e6, 1e6, allow_subnormal=False)


def pint_factor(source: str, target: str) -> float:
    return REGISTRY.Quantity(1.0, source).to(REGISTRY.parse_units(target)).magnitude


# ---- strings and units ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", OURS)
def test_a_unit_survives_every_way_round(text):
    assert units.canonical(text) == text, "kept as declared"
    unit = units.to_unit(text)
    assert units.to_unit(unit) is unit
    assert units.factor(units.to_pint(text), text) == pytest.approx(1, rel=1e-12)
    assert units.to_pint(units.to_pint(text)) == units.to_pint(text) == REGISTRY.parse_units(text)
    if text != "1/(ms*Hz)":  # brainunit makes this the number 10^3
        assert units.factor(units.canonical(unit), text) == pytest.approx(1, rel=1e-12)
        assert REGISTRY.parse_units(units.canonical(unit)).is_compatible_with(REGISTRY.parse_units(text))


@pytest.mark.parametrize(
    ("text", "stored"),
    {
        "": "1",
        "dimensionless": "1",
        "a.u.": "1",
        " mm / ms ": "mm/ms",
        "mm ms-1": "mm/ms",
        "mm ms^-1": "mm/ms",
        "1/ms**0.5": "1/ms^0.5",
        "ms^-0.5": "ms^-0.5",
        "µA/cm²": "uA/cm^2",
        "s-1": "1/s",
        "spikes/s": "Hz",
        "seconds": "s",
        "millisecond": "ms",
        "millivolts / second": "mV/s",
        "percent": "%",
        "nA*ms^0.5": "nA*ms^0.5",
        "1/(ms Hz)": "1/(ms*Hz)",
        "1/Hz/ms": "1/Hz/ms",
    }.items(),
)
def test_canonical_keeps_what_was_declared_and_normalises_how_it_is_written(text, stored):
    assert units.canonical(text) == stored
    assert units.canonical(stored) == stored


def test_canonical_of_units_and_of_nothing():
    assert units.canonical(None) == "1"
    assert units.canonical(u.UNITLESS) == "1"
    assert units.canonical(u.mm / u.ms) == "mm/ms"
    assert units.canonical(u.ms**-0.5) == "1/ms^0.5"
    assert units.canonical(u.parse_unit("1/ms^0.5")) == "1/ms^0.5"  # prints as "10.0^1.5 * 1 / s^0.5", which nothing can parse
    assert units.canonical(REGISTRY.Unit("microampere / centimeter**2")) == "uA/cm^2"


@pytest.mark.parametrize("text", ["foo", "mV^", "10^3", "-", "*ms", "(mV", "mV)", "degC", "5 ms", "mm/foo"])
def test_a_text_that_is_no_unit_is_refused(text):
    with pytest.raises(ValueError, match=r"cannot be read: write it like 'mV'"):
        units.canonical(text)


def test_a_unit_of_the_wrong_type_is_refused():
    with pytest.raises(TypeError, match=r"not float 3\.0"):
        units.canonical(3.0)


def test_a_brainunit_unit_that_is_only_a_number_asks_for_a_string():
    with pytest.raises(ValueError, match=r"give the unit as a string, for example '1/\(ms\*Hz\)'"):
        units.canonical(u.ms**-1 / u.Hz)


def test_symbols_that_skip_the_look_up_mean_the_same_to_brainunit_and_pint():
    for symbol in sorted(unit_names.COMMON):
        units.to_pint(symbol)  # compares magnitude and dimension


@pytest.mark.parametrize("symbol", ["mcd", "AU"])
def test_a_name_that_brainunit_and_pint_read_differently_is_refused(symbol):
    with pytest.raises(ValueError, match=r"mean different units|cannot be read"):
        units.to_pint(symbol)


def test_pint_knows_names_that_brainunit_does_not():
    assert units.factor("kilopascal", "kPa") == 1.0


PAIRS = [
    *[("ms", "s"), ("s", "ms"), ("h", "ms"), ("ms", "min"), ("m/s", "mm/ms"), ("Hz", "1/ms"), ("1/ms", "kHz"), ("mV/s", "mV/ms")],
    *[("1/ms^0.5", "1/s^0.5"), ("nA*s^0.5", "nA*ms^0.5"), ("Hz/nA", "Hz/pA"), ("1/(ms*Hz)", "1"), ("%", "1"), ("deg", "rad")],
    *[("uA/cm^2", "nA/mm^2"), ("rad/ms", "1/s")],
]


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_factors_equal_those_of_pint(source, target):
    assert units.factor(source, target) == pytest.approx(pint_factor(source, target), rel=1e-12)
    assert units.same_dimension(source, target)


def test_powers_of_ten_are_exact():
    assert [units.factor("s", "ms"), units.factor("ms", "s"), units.factor("Hz", "1/ms")] == [1000.0, 0.001, 0.001]
    assert [units.factor("m/s", "mm/ms"), units.factor("min", "ms"), units.factor("nA", "A")] == [1.0, 60000.0, 1e-9]
    values = np.arange(1.0, 1001.0)
    np.testing.assert_array_equal(units.to_declared(values * u.ms, "s", "t"), values / 1000)  # rounded once


def test_same_dimension_ignores_scale_and_angle():
    assert units.same_dimension("rad/ms", u.Hz)
    assert units.same_dimension(None, "rad")
    assert not units.same_dimension("mV", REGISTRY.Unit("mV*s"))


@pytest.mark.parametrize(("source", "target"), [("mV", "mm"), ("1", "ms"), ("ms", "1/ms"), ("nA", "mV")])
def test_factor_refuses_another_dimension(source, target):
    with pytest.raises(ValueError, match=f"{source} cannot be converted to {target}: the dimensions differ"):
        units.factor(source, target)


# ---- cycles and radians -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [10 * u.Hz, 0.3 / u.ms, 0.3 * u.kHz, REGISTRY.Quantity(10.0, "Hz")])
def test_cycles_are_not_taken_for_radians(value):
    # 10 Hz is 0.0628 rad/ms, not 0.01. brainunit makes 1/ms and kHz one unit, so that 0.3 / u.ms may be either.
    with pytest.raises(ValueError, match=r"w came in k?Hz, needs rad/ms: Hz counts cycles.*2 \* np.pi \* f \* u.radian"):
        units.to_declared(value, "rad/ms", "w")


def test_radians_are_not_taken_for_cycles():
    with pytest.raises(ValueError, match=r"Divide by 2 \* np.pi \* u.radian"):
        units.in_unit(0.3 * u.radian / u.ms, "Hz", "f")


def test_what_the_message_advises_works():
    assert units.in_unit(2 * np.pi * 10 * u.Hz * u.radian, "rad/ms", "w") == pytest.approx(0.02 * np.pi, rel=1e-15)
    assert units.in_unit(0.3 * u.radian / u.ms, "rad/ms", "w") == 0.3
    assert units.in_unit(0.3 * u.radian / u.ms / (2 * np.pi * u.radian), "Hz", "f") == pytest.approx(300 / (2 * np.pi), rel=1e-15)


def test_a_rate_without_cycles_may_be_an_angular_one():
    assert units.in_unit(REGISTRY.Quantity(0.3, "1/ms"), "rad/ms", "w") == 0.3
    assert units.to_declared(xr.DataArray(0.3, attrs={"units": "1/ms"}), "rad/ms", "w").attrs == {"units": "rad/ms"}
    assert units.in_unit(180 * u.degree, "rad", "phase") == pytest.approx(np.pi, rel=1e-15)


# ---- values -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"), [(3, 3.0), (0.1, 0.1), (np.float32(0.5), 0.5), (np.int64(7), 7.0), (np.arange(3), [0, 1, 2])]
)
def test_a_bare_number_is_in_the_declared_unit(value, expected):
    result = units.to_declared(value, "mm/ms", "speed")
    assert type(result) is np.ndarray
    assert result.dtype == np.float64
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("make", [np.asarray, jnp.asarray, list, tuple, lambda v: jnp.asarray(v, jnp.bfloat16), dask.array.from_array])
def test_arrays_of_every_kind_become_float64(make):
    result = units.to_declared(make(np.array([1.0, 2.0, 0.5], np.float32)), "1", "a")
    assert type(result) is np.ndarray
    assert result.dtype == np.float64
    np.testing.assert_array_equal(result, [1, 2, 0.5])


@given(numbers, st.sampled_from(PAIRS))
def test_quantities_convert_as_pint_does(number, pair):
    source, target = pair
    expected = number * pint_factor(source, target)
    for value in (u.Quantity(number, unit=units.to_unit(source)), REGISTRY.Quantity(number, source)):
        np.testing.assert_allclose(units.to_declared(value, target, "p"), expected, rtol=1e-12)


def test_array_quantities_convert():
    for value in (np.array([1, 2]) * u.second, u.Quantity(jnp.array([1.0, 2.0]), unit=u.second), REGISTRY.Quantity(np.array([1, 2]), "s")):
        result = units.to_declared(value, "ms", "t")
        assert (type(result), result.dtype) == (np.ndarray, np.float64)
        np.testing.assert_array_equal(result, [1000, 2000])


def test_a_quantity_of_another_registry_converts():
    assert units.milliseconds(pint.UnitRegistry().Quantity(2.0, "s"), "dt") == 2000.0


def test_a_number_with_the_scale_of_its_units_converts():
    assert units.in_unit(0.641e-3 / (u.ms * u.Hz), "1/(ms*Hz)", "gamma") == 0.641e-3
    assert units.in_unit(0.641, "1/(ms*Hz)", "gamma") == 0.641
    assert units.in_unit(0.641 / (u.second * u.Hz), "1/(ms*Hz)", "gamma") == 0.641e-3


@pytest.mark.parametrize("value", [5 * u.mV, REGISTRY.Quantity(5.0, "mV"), xr.DataArray(5.0, attrs={"units": "mV"})])
def test_another_dimension_is_refused_by_name(value):
    with pytest.raises(
        ValueError, match=r"speed came in mV, needs mm/ms: the dimensions differ. Give for example 1.5 \* u.mm / u.ms \(import"
    ):
        units.to_declared(value, "mm/ms", "speed")


@pytest.mark.parametrize("unit", [unit for unit in OURS if unit not in ("1", "rad", "deg", "%", "1/(ms*Hz)")])
def test_the_call_that_a_message_shows_works(unit):
    with pytest.raises(ValueError, match="needs") as caught:
        units.to_declared(xr.DataArray(1.0, attrs={"units": "mol"}), unit, "p")
    code = re.search(r"for example (.*?)(?: \(import|, or)", str(caught.value))[1].replace("xm.units", "units")
    ast.parse(code)
    assert units.in_unit(eval(code, {"u": u, "units": units}), unit, "p") == pytest.approx(1.5, rel=1e-12)


REFUSED = {
    "text": ("0.1 ms", "dt is str '0.1 ms', needs a number"),
    "bytes": (b"1", "dt is bytes"),
    "bool": (True, "dt is bool True"),
    "bool array": (np.array([True]), r"booleans \(bool\)"),
    "numpy bool": (np.True_, "booleans"),
    "bool in a list": ([True, 1.0], "dt is bool True"),
    "complex": (1j, "complex numbers"),
    "None": (None, "dt is NoneType"),
    "None in a list": ([1.0, None], "dt is NoneType"),
    "timedelta": (np.timedelta64(3, "s"), "time differences"),
    "date": (np.datetime64("2020-01-01"), "dates"),
    "unit": (u.ms, r"dt is the unit ms, needs a quantity: for example 1.5 \* u.ms"),
    "pint unit": (REGISTRY.Unit("ms"), "dt is the unit ms"),
    "list of quantities": ([1 * u.ms, 2 * u.ms], r"list of quantities, needs one quantity: for example np.array\(\[1, 2\]\) \* u.ms"),
    "list of pint quantities": ([REGISTRY.Quantity(1.0, "ms")], "list of quantities"),
    "ragged": ([[1.0], [1.0, 2.0]], "cannot be read as an array"),
    "object": (object(), "objects"),
    "set": ({1.0}, "objects"),
    "text array": (np.array(["a"]), "text"),
    "text in a DataArray": (xr.DataArray(["a"]), "text"),
    "bool in a DataArray": (xr.DataArray([True]), "booleans"),
    "bool in a quantity": (u.Quantity(True, unit=u.ms), "booleans"),
    "Dataset": (xr.Dataset(), r"dt is Dataset, needs.*make it a DataArray, with .to_xarray\(\) or ds\[...\]"),
    "Series": (pd.Series([1.0]), "dt is Series"),
    "units no text": (xr.DataArray(1.0, attrs={"units": 3}), r"dt has attrs\['units'\] = 3"),
}


@pytest.mark.parametrize(("value", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_number_is_refused(value, message):
    with pytest.raises(TypeError, match=message):
        units.to_declared(value, "ms", "dt")


@pytest.mark.parametrize("text", ["foo", "degC", "mV^"])
def test_an_unreadable_units_attribute_names_the_parameter(text):
    with pytest.raises(ValueError, match=r"I_ext: the unit .* cannot be read.* It needs nA: for example 1.5 "):
        units.to_declared(xr.DataArray(1.0, attrs={"units": text}), "nA", "I_ext")


def test_an_offset_temperature_is_refused():
    with pytest.raises(ValueError, match="T: the unit"):
        units.to_declared(REGISTRY.Quantity(20.0, "degC"), "K", "T")


@pytest.mark.parametrize(
    ("value", "message"), [([1.0], r"shape \(1,\)"), (np.nan, "is nan"), (np.inf * u.ms, "is inf"), (np.ones(2) * u.ms, "shape")]
)
def test_a_time_is_one_finite_number(value, message):
    with pytest.raises(ValueError, match=message):
        units.milliseconds(value, "dt")


def test_times_from_every_source():
    for value in (
        720,
        720.0,
        0.72 * u.second,
        0.012 * u.minute,
        REGISTRY.Quantity(0.72, "s"),
        xr.DataArray(0.72, attrs={"units": "s"}),
        jnp.float32(720),
    ):
        assert units.milliseconds(value, "tr") == pytest.approx(720.0, rel=1e-15)
        assert type(units.milliseconds(value, "tr")) is float


# ---- DataArrays -------------------------------------------------------------------------------------------------------------------


def array(unit=None, dtype=np.float64) -> xr.DataArray:
    return xr.DataArray(
        np.array([[1, 2, 3], [4, 5, 6]], dtype),
        dims=("k", "region"),
        coords={"region": ["a", "b", "c"], "k": ("k", [0.1, 0.2], {"units": "1/ms"}), "size": ("region", [1.0, 2, 3], {"units": "mm"})},
        name="tau",
        attrs={"long_name": "time constant"} | ({} if unit is None else {"units": unit}),
    )


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int32])
@pytest.mark.parametrize(("unit", "scale"), [(None, 1), ("ms", 1), ("s", 1000), ("milliseconds", 1)])
def test_a_data_array_keeps_everything_but_its_unit(unit, scale, dtype):
    given = array(unit, dtype)
    before = given.copy(deep=True)
    result = units.to_declared(given, "ms", "tau")
    xr.testing.assert_identical(result, (array("ms") * scale).assign_attrs(array("ms").attrs))
    assert result.dtype == np.float64
    xr.testing.assert_identical(given, before)


def test_a_lazy_data_array_stays_lazy():
    def never(block):
        raise AssertionError("computed")

    source = array("s")
    lazy = source.copy(
        data=dask.array.map_blocks(never, dask.array.from_array(source.data, chunks=(1, 3)), dtype=float, meta=np.empty((0, 0)))
    )
    result = units.to_declared(lazy, "ms", "tau")
    assert result.chunks == ((1, 1), (3,))
    with pytest.raises(AssertionError, match="computed"):
        result.compute()
    np.testing.assert_array_equal(units.to_declared(source.chunk(k=1), "ms", "tau").compute(), source.data * 1000)


def test_a_jax_backed_data_array_becomes_numpy():
    result = units.to_declared(array("s").copy(data=jnp.ones((2, 3))), "ms", "tau")
    assert type(result.data) is np.ndarray
    np.testing.assert_array_equal(result, 1000.0)


@pytest.mark.parametrize("chunk", [None, {"k": 1}])
@pytest.mark.parametrize("view", [units.quantify, lambda da: da.pint.quantify()])
def test_a_pint_data_array_converts(view, chunk):
    given = array("s") if chunk is None else array("s").chunk(chunk)
    result = units.to_declared(view(given), "ms", "tau")
    assert (result.chunks is None) == (chunk is None)
    xr.testing.assert_identical(result.compute(), units.to_declared(array("s"), "ms", "tau"))


def test_a_pint_data_array_of_another_dimension_is_refused():
    with pytest.raises(ValueError, match="tau came in mV, needs ms"):
        units.to_declared(units.quantify(array("mV")), "ms", "tau")


# ---- the pint view ----------------------------------------------------------------------------------------------------------------


def dataset(lazy: bool = False) -> xr.Dataset:
    ds = xr.Dataset(
        {name: (("time", "region"), np.arange(6.0).reshape(3, 2), {"units": unit}) for name, unit in zip("abcdefgh", OURS[::4])}
        | {
            "noise": ("region", [1.0, 2.0], {"units": "nA*ms^0.5", "long_name": "noise"}),
            "arbitrary": ("region", [1.0, 2.0], {"units": "a.u."}),
            "gamma": ((), 0.641, {"units": "1/(ms*Hz)"}),
            "plain": ("region", [1, 2]),
            "label": ("region", ["u", "v"], {"units": "1"}),
        },
        coords={
            "time": ("time", [0.0, 1.0, 2.0], {"units": "ms", "axis": "T"}),
            "region": ["l", "r"],
            "size": ("region", [1.0, 2], {"units": "mm"}),
        },
        attrs={"title": "test"},
    )
    return ds.chunk(time=1) if lazy else ds


@pytest.mark.parametrize("lazy", [False, True])
def test_quantify_and_back_is_the_same_dataset(lazy):
    ds = dataset(lazy)
    before = ds.copy(deep=True)
    view = units.quantify(ds)
    assert view.noise.data.units == REGISTRY.parse_units("nA*ms**0.5")
    assert view.arbitrary.data.units == REGISTRY.parse_units("dimensionless")  # pint alone reads a.u. as atomic mass unit times year
    assert view.time.attrs == ds.time.attrs
    np.testing.assert_array_equal(view.a.sel(time=1.0).data.magnitude, ds.a.sel(time=1.0))
    assert (view.a.chunks is not None) is lazy
    back = units.dequantify(view)
    xr.testing.assert_identical(back, ds)
    xr.testing.assert_identical(ds, before)
    assert not any("xmass_units" in variable.encoding for variable in back.variables.values())
    assert (back.a.chunks is not None) is lazy


def test_quantify_and_back_is_the_same_array():
    xr.testing.assert_identical(units.dequantify(units.quantify(dataset().noise)), dataset().noise)


def test_units_follow_arithmetic_in_the_view():
    view = units.quantify(array("s"))
    xr.testing.assert_identical(units.dequantify(view.pint.to("ms")).drop_attrs(), (array() * 1000).drop_attrs())
    assert units.dequantify(view.pint.to("ms")).attrs["units"] == "ms"
    assert units.dequantify(1 / view**0.5).attrs["units"] == "1/s^0.5"
    assert units.dequantify(view / view).attrs["units"] == "1"


def test_what_pint_xarray_quantified_becomes_plain_with_our_strings():
    ds = dataset().drop_vars("arbitrary")
    back = units.dequantify(ds.pint.quantify())
    assert isinstance(back.indexes["time"], pd.Index)
    xr.testing.assert_equal(back, ds)
    assert back.time.attrs == ds.time.attrs
    assert back.noise.attrs["units"] == "ms^0.5*nA"
    assert all(units.factor(back[name].attrs["units"], ds[name].attrs["units"]) == 1.0 for name in ds if "units" in ds[name].attrs)


def test_quantify_names_the_variable_that_it_cannot_read():
    with pytest.raises(ValueError, match="tau: the unit 'foo' cannot be read"):
        units.quantify(array("foo"))


def test_plain_data_pass_through():
    xr.testing.assert_identical(units.dequantify(dataset()), dataset())
    xr.testing.assert_identical(units.quantify(array()), array())


# ---- imports ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_bare_numbers_and_declared_units_import_neither_brainunit_nor_pint():
    code = """
import sys
import numpy as np, xarray as xr
from xmass.labelled import units
units.to_declared(0.1, "uA/cm^2", "I"), units.to_declared(np.ones(3), "Hz/nA", "a"), units.milliseconds(0.1, "dt")
units.to_declared(xr.DataArray([1.0], attrs={"units": "mm / ms"}), "mm/ms", "speed"), units.to_declared(xr.DataArray(1.0), "1", "k")
units.canonical("1/(ms*Hz)"), units.factor("nA*ms^0.5", "nA*ms**0.5"), units.dequantify(xr.DataArray(1.0))
print(sorted({"brainunit", "saiunit", "pint", "pint_xarray"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_public_names_are_the_ones_listed():
    assert all(callable(getattr(units, name)) for name in units.__all__)
    assert units.canonical is unit_bridge.canonical
