"""Every parameter of every coupling by its path: as declared, in a sweep, per region, in a unit; what does not fit is named."""

from __future__ import annotations

import brainunit as u
import numpy as np
import pytest
import xarray as xr

import xmass as xm
from tests.couplings.cases import HOPF, XX, connectome, over, start

SC = connectome()
KINDS = {
    "AdditiveCoupling": dict(k=0.2, b=0.1),
    "DiffusiveCoupling": dict(k=0.2),
    "LaplacianCoupling": dict(k=0.2),
    "SigmoidalCoupling": dict(k=0.2, a=1.2, b=0.3, slope=2.0, midpoint=0.1),
    "HyperbolicTangentCoupling": dict(k=0.2, scale=1.5),
    "SigmoidalJansenRitCoupling": dict(k=0.2, c_min=0.1, c_max=0.6, midpoint=0.3, r=2.0),
    "SineCoupling": dict(k=0.2, alpha=0.3),
}
PATHS = [(kind, name) for kind, values in KINDS.items() for name in values]


def simulate(coupling, params=None, *, speed=5.0, tile=2):
    net = xm.Network(HOPF, SC, speed=speed, coupling=coupling)
    return xm.Simulator(net, dt=0.1, method="euler", tile=tile).run(5.0, params, monitors=["x"], initial=start())


def test_every_parameter_of_every_coupling_is_here():
    declared = {}
    for name in xm.__all__:
        cls = getattr(xm, name)
        if isinstance(cls, type) and issubclass(cls, xm.Coupling) and cls is not xm.Coupling:
            sim = xm.Simulator(xm.Network(HOPF, SC, coupling=cls(**XX)), dt=0.1)
            declared[name] = {p.removeprefix("coupling.") for p in sim.parameters() if p.startswith("coupling.")}
    assert declared == {kind: set(values) for kind, values in KINDS.items()}


@pytest.mark.long
@pytest.mark.parametrize(("kind", "name"), PATHS)
def test_a_sweep_by_path_is_the_coupling_with_that_value(kind, name):
    cls, values = getattr(xm, kind), KINDS[kind]
    swept = over([values[name], 1.5 * values[name]], "value")
    alone = simulate({"link": cls(**XX, **values)}, xr.Dataset({f"coupling.link.{name}": swept})).x
    one = simulate(cls(**XX, **values), xr.Dataset({f"coupling.{name}": swept})).x
    np.testing.assert_array_equal(alone, one)
    for value in swept.values:
        declared = simulate(cls(**XX, **{**values, name: float(value)})).x
        np.testing.assert_array_equal(alone.sel(value=value), declared)
    assert float(abs(alone[0] - alone[1]).max()) > 1e-4


@pytest.mark.long
@pytest.mark.parametrize(("kind", "name"), PATHS)
def test_a_value_for_each_region_acts_on_that_region(kind, name):
    # In what is sent (pre) it belongs to the sending region, else to the receiving one. One Euler step from the start shows which.
    cls, values = getattr(xm, kind), KINDS[kind]
    sends = kind == "SigmoidalJansenRitCoupling" and name != "k"
    per_region = xr.DataArray([values[name]] * 3 + [2 * values[name]], dims="region")
    net = xm.Network(HOPF, SC, coupling=cls(**XX, **values))
    sim = xm.Simulator(net, dt=0.1, method="euler")
    plain, changed = (sim.run(0.1, p, monitors=["x"], initial=start()).x[0] for p in (None, xr.Dataset({f"coupling.{name}": per_region})))
    other = (abs(plain - changed) > 1e-5).values.tolist()
    assert other == ([True, True, True, False] if sends else [False, False, False, True])


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_delays_of_a_step_or_none_are_not_the_same(kind):
    cls = getattr(xm, kind)
    assert float(abs(simulate(cls(**XX, **KINDS[kind])).x - simulate(cls(**XX, **KINDS[kind]), speed=None).x).max()) > 1e-4


# ---- units
def test_a_quantity_is_converted():
    fast = simulate(xm.DiffusiveCoupling(k=200.0 * u.Hz, **XX)).x
    np.testing.assert_array_equal(fast, simulate(xm.DiffusiveCoupling(k=0.2, **XX)).x)
    labelled = xr.Dataset({"coupling.k": ((), 200.0, {"units": "1/s"})})
    np.testing.assert_array_equal(simulate(xm.DiffusiveCoupling(**XX), labelled).x, fast)


@pytest.mark.parametrize(
    ("cls", "node", "ends", "name", "wrong", "needed"),
    [
        (xm.AdditiveCoupling, HOPF, XX, "k", 1.0 * u.mV, "1/ms"),
        (xm.AdditiveCoupling, HOPF, XX, "b", 1.0 * u.ms, "1/ms"),
        (xm.DiffusiveCoupling, xm.MontbrioPazoRoxinStep(), dict(source="r", target="I"), "k", 1.0 / u.ms, "ms"),
        (xm.SigmoidalCoupling, xm.JansenRitStep(), dict(source="eeg", target="E"), "a", 1.0 * u.mV, "1/mV"),
        (xm.SigmoidalJansenRitCoupling, xm.JansenRitStep(), {}, "c_max", 5.0 * u.mV, "Hz"),
        (xm.SigmoidalJansenRitCoupling, xm.JansenRitStep(), {}, "midpoint", 5.0 / u.ms, "mV"),
        (xm.SineCoupling, xm.KuramotoStep(), {}, "k", 1.0 * u.Hz, "rad/ms"),
        (xm.SineCoupling, xm.KuramotoStep(), {}, "alpha", 1.0 * u.ms, "rad"),
    ],
)
def test_a_wrong_unit_is_named(cls, node, ends, name, wrong, needed):
    sim = xm.Simulator(xm.Network(node, SC, coupling=cls(**ends, **{name: wrong})), dt=0.1)
    with pytest.raises(ValueError, match=rf"coupling\.{name} came in .*, needs {needed}"):
        sim.run(1.0, seed=0)


def test_a_rate_per_ms_is_the_rate_per_second():
    # 0.005 per ms, as other simulators write it, are the 5 Hz of the default.
    net = [xm.Network(xm.JansenRitStep(), SC, coupling=xm.SigmoidalJansenRitCoupling(**v)) for v in ({}, {"c_max": 0.005 / u.ms})]
    first, second = (xm.Simulator(n, dt=0.1).run(5.0, initial={"E": 9.0}).E for n in net)
    np.testing.assert_array_equal(first, second)


# ---- what is refused
@pytest.mark.parametrize("path", ["coupling.kk", "coupling.link.k", "k"])
def test_a_path_that_is_none_is_named(path):
    with pytest.raises(KeyError, match=rf"params has '{path}', which is not a parameter"):
        simulate(xm.DiffusiveCoupling(**XX), xr.Dataset({path: 1.0}))


def test_a_source_or_target_that_the_model_lacks_is_named():
    with pytest.raises(ValueError, match="coupling has source='z', which HopfStep lacks"):
        xm.Network(HOPF, SC, coupling=xm.DiffusiveCoupling(source="z", target="x"))
    with pytest.raises(ValueError, match="coupling has target='theta', which HopfStep lacks"):
        xm.Network(HOPF, SC, coupling=xm.SineCoupling(source="x"))
    with pytest.raises(ValueError, match="coupling has source='eeg', which HopfStep lacks"):
        xm.Network(HOPF, SC, coupling=xm.SigmoidalJansenRitCoupling())


@pytest.mark.parametrize("cls", [xm.AdditiveCoupling, xm.DiffusiveCoupling, xm.LaplacianCoupling, xm.SigmoidalCoupling])
def test_source_and_target_are_required_where_the_coupling_declares_none(cls):
    with pytest.raises(TypeError, match="source"):
        cls(k=1.0)
