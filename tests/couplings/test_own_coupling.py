"""A coupling written by a user, with several signals and a matrix of its own: simulated, swept, stored, made again, refused."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import numpy as np
import pytest
import xarray as xr

import xmass as xm
from tests.counting import compilations
from tests.couplings.cases import HOPF, XX, connectome, over, start

SC = connectome()


class Moments(xm.Coupling):
    """Sends a value beside a shift and a one; sums with a power of the weights."""

    k: Any = xm.parameter(1.0, "target/source", "strength")
    shift: Any = xm.parameter(0.1, "source", "what is taken off before the sum and added after it")
    power: int = eqx.field(default=2, static=True, kw_only=True)
    source: str = eqx.field(static=True, kw_only=True)
    target: str = eqx.field(static=True, kw_only=True)

    def weighting(self, weights):
        return weights**self.power

    def pre(self, x):
        return x - self.shift, 0 * x + 1

    def post(self, total, own, strength):
        shifted, ones = total
        return self.k * (shifted + self.shift * ones)


def simulator(coupling, speed, **options):
    return xm.Simulator(xm.Network(HOPF, SC, speed=speed, coupling=coupling), dt=0.1, **options)


@pytest.mark.parametrize("speed", [None, 5.0])
def test_two_signals_and_a_matrix_of_its_own(speed):
    # The shift cancels: what is left is an additive coupling with squared weights.
    squared = SC.assign(weights=SC.weights**2)
    plain = xm.Simulator(xm.Network(HOPF, squared, speed=speed, coupling=xm.AdditiveCoupling(k=0.3, **XX)), dt=0.1, precision="float64")
    own = simulator(Moments(k=0.3, **XX), speed, precision="float64")
    np.testing.assert_allclose(own.run(20.0, initial=start()).x, plain.run(20.0, initial=start()).x, rtol=0, atol=1e-13)


def test_strength_is_the_row_sum_of_what_is_summed_with():
    class Strength(Moments):
        def post(self, total, own, strength):
            return self.k * (total[1] - strength) + 0 * self.shift

    x = simulator(Strength(k=1.0, **XX), None).run(5.0, initial=start()).x
    np.testing.assert_allclose(x, simulator(xm.AdditiveCoupling(k=0.0, **XX), None).run(5.0, initial=start()).x, rtol=0, atol=1e-5)


@pytest.mark.long
@pytest.mark.parametrize("speed", [None, 5.0])
def test_swept_chunked_stored_and_made_again(speed, tmp_path):
    sim = simulator({"own": Moments(**XX), "other": xm.DiffusiveCoupling(k=0.1, **XX)}, speed)
    p = xr.Dataset({"coupling.own.shift": over([0.0, 0.2, 0.5], "shift"), "coupling.own.k": over([0.1, 0.2], "k")})
    if speed:
        p["speed"] = over([2.0, 4.0], "v")
    whole = sim.run(10.0, p, initial=start())
    assert whole.x.dims == ("shift", "k", *(("v",) if speed else ()), "time", "region")
    xr.testing.assert_identical(sim.run(10.0, p, initial=start(), chunks={"k": 1}).compute(), whole)
    stored = sim.run_to_zarr(tmp_path / "s.zarr", 10.0, p, initial=start(), chunks={"shift": 1})
    np.testing.assert_array_equal(stored.x, whole.x)
    with pytest.raises(ValueError, match=r"the record's system has the class .*Moments"):
        xm.rerun(whole)
    np.testing.assert_array_equal(xm.rerun(whole, sim=sim).x, whole.x)


def test_another_power_is_another_run():
    sims = [simulator(Moments(k=0.3, power=n, **XX), None) for n in (1, 2)]
    first, second = (s.run(5.0, initial=start()) for s in sims)
    assert first.attrs["config_hash"] != second.attrs["config_hash"] and not np.array_equal(first.x, second.x)
    with pytest.raises(ValueError, match="not what the result was made from"):
        xm.rerun(first, sim=sims[1])


def test_two_with_equal_matrices_compile_once_and_sum_with_one():
    both = {"a": Moments(k=0.1, **XX), "b": Moments(k=0.2, shift=0.3, **XX)}
    one = simulator(Moments(k=0.3, **XX), 5.0, precision="float64").run(5.0, initial=start()).x
    np.testing.assert_allclose(simulator(both, 5.0, precision="float64").run(5.0, initial=start()).x, one, rtol=0, atol=1e-13)
    with compilations() as count:
        simulator({"a": Moments(k=0.5, **XX), "b": Moments(k=0.1, **XX)}, 5.0, precision="float64").run(5.0, initial=start())
    assert count.number == 0


def test_a_tuple_of_one_is_a_tuple():
    class One(Moments):
        def pre(self, x):
            return (x,)

        def post(self, total, own, strength):
            return self.k * total[0] + 0 * self.shift

    for speed in (None, 5.0):
        expected = simulator(xm.AdditiveCoupling(k=0.3, **XX), speed, precision="float64").run(5.0, initial=start()).x
        found = simulator(One(k=0.3, power=1, **XX), speed, precision="float64").run(5.0, initial=start()).x
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-14)


def test_arguments_may_have_other_names():
    class Renamed(Moments):
        def post(self, summed, mine, row):
            return self.k * (summed[0] + self.shift * summed[1])

    np.testing.assert_array_equal(
        simulator(Renamed(k=0.3, **XX), 5.0).run(5.0, initial=start()).x, simulator(Moments(k=0.3, **XX), 5.0).run(5.0, initial=start()).x
    )


# ---- what is refused
def variant(**methods):
    return type("Variant", (Moments,), methods)(**XX)


@pytest.mark.parametrize(
    ("coupling", "said"),
    [
        (variant(pre=lambda self, x: [x, x]), "Variant.pre returns a list"),
        (variant(pre=lambda self, x: ()), "Variant.pre returns an empty tuple"),
        (variant(pre=lambda self, x: (x, x.sum(0))), r"Variant.pre returns shape \(2,\)"),
        (variant(pre=lambda self, x: (x, x, x)), "Variant.post cannot be evaluated .* too many values to unpack"),
        (variant(post=lambda self, total, own, strength: total), "Variant.post returns a tuple"),
        (variant(post=xm.Coupling.post), "does not define what a region receives"),
    ],
)
def test_signals_of_a_wrong_form_are_refused_before_a_run(coupling, said):
    with pytest.raises((TypeError, ValueError), match=said):
        simulator(coupling, None)


@pytest.mark.parametrize("speed", [None, 5.0])
@pytest.mark.parametrize(
    ("weighting", "error", "said"),
    [
        (lambda self, w: w * self.k, TypeError, r"weighting reads coupling\.k, which may differ between runs"),
        (lambda self, w: np.where(w > self.k, w, 0.0), TypeError, r"weighting reads coupling\.k"),
        (lambda self, w: w ** float(self.shift), TypeError, r"weighting reads coupling\.shift"),
        (lambda self, w: w.sum(axis=-1), ValueError, r"weighting of Variant returns shape \(1, 1, 4\) .* needs the same"),
        (lambda self, w: np.log(np.where(w > 0, w, np.nan)), ValueError, "weighting of Variant returns NaN or infinity"),
    ],
)
def test_a_matrix_that_cannot_be_is_refused(weighting, error, said, speed):
    with pytest.raises(error, match=said):
        simulator(variant(weighting=weighting), speed).run(1.0)


def test_a_coupling_may_not_call_a_parameter_like_those_of_a_connectome():
    class Fast(Moments):
        speed: Any = xm.parameter(1.0, "1", "of what")

    with pytest.raises(ValueError, match="coupling declares the parameters \\['speed'\\], which are those of a connectome"):
        simulator(Fast(**XX), None)
