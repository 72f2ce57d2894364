"""Delayed coupling from an output, the eeg of Jansen-Rit columns: its past, given or made from the states, and continued runs."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import xmass as xm
from tests.couplings.cases import DIMS, connectome

SC = connectome(longest=40.0)
START = {"M": 0.1, "E": xr.DataArray([10.0, 12.0, 14.0, 9.0], dims="region"), "I": 6.0}
LAG = np.arange(0, 12, 0.1)


def simulator(speed=4.0, **options):
    node = xm.JansenRitStep.alpha()
    return xm.Simulator(xm.Network(node, SC, speed=speed, coupling=xm.SigmoidalJansenRitCoupling(k=10.0)), dt=0.1, **options)


def past(values, **coords):
    return xr.DataArray(values, dims="lag", coords={"lag": ("lag", LAG, {"units": "ms"})}, **coords)


@pytest.mark.long
@pytest.mark.parametrize("monitors", [None, ["eeg"], ["M"]])
def test_a_run_continues_bit_for_bit(monitors):
    whole = simulator().run(40.0, initial=START, monitors=monitors)
    first = simulator().run(17.3, initial=START, monitors=monitors, restart=True)
    assert first["initial.eeg"].dims == ("lag", "region") and first["initial.eeg"].attrs["units"] == "mV"
    second = simulator().run(22.7, initial=first, monitors=monitors)
    for name in whole.data_vars:
        np.testing.assert_array_equal(np.concatenate([first[name], second[name]]), whole[name])


def test_the_past_is_that_of_the_eeg():
    # The end state's lag runs from 0, the last step, back over the longest delay.
    first = simulator().run(20.0, initial=START, monitors=["eeg"], restart=True)
    kept = first["initial.eeg"]
    np.testing.assert_array_equal(kept.isel(lag=slice(None, 40)), first.eeg.values[::-1][:40])


def test_a_past_of_the_states_or_of_the_output():
    excitatory, inhibitory = 10 + 3 * np.cos(LAG), 4 + 2 * np.sin(LAG)
    by_states = simulator(precision="float64").run(20.0, initial={"M": 0.1, "E": past(excitatory), "I": past(inhibitory)})
    start = {"M": 0.1, "E": 13.0, "I": 4.0}
    by_output = simulator(precision="float64").run(20.0, initial={**start, "eeg": past(excitatory - inhibitory)})
    np.testing.assert_allclose(by_output.E, by_states.E, rtol=1e-13)
    constant = simulator(precision="float64").run(20.0, initial=start)
    assert float(abs(constant.E - by_states.E).max()) > 1e-3
    np.testing.assert_array_equal(simulator(precision="float64").run(20.0, initial={**start, "eeg": 9.0}).E, constant.E)


def test_a_past_arrives_when_the_delays_say():
    # One region sends a step in its past: a region that is 8 ms away sees it 8 ms later, to the step.
    labels = {"region": ["A", "B"], "region_other": ["A", "B"]}
    sc = xr.Dataset({n: (DIMS, [[0.0, 0.0], [v, 0.0]]) for n, v in (("weights", 1.0), ("distances", 32.0))}, labels)
    node, coupling = xm.JansenRitStep(), xm.SigmoidalJansenRitCoupling(k=10.0)
    sim = xm.Simulator(xm.Network(node, sc, speed=4.0, coupling=coupling), dt=0.1, method="euler", precision="float64")
    lag = np.arange(0, 8.1, 0.1)
    quiet, loud = (xr.DataArray(v, dims="lag", coords={"lag": lag}) for v in (0 * lag, np.where(lag < 4.95, 20.0, 0.0)))
    difference = sim.run(8.0, initial={"eeg": loud}).Ev - sim.run(8.0, initial={"eeg": quiet}).Ev
    seen = difference.time.where(abs(difference) > 1e-9).min("time").sel(region="B")
    # The step of 4.9 ms ago arrives 3.1 ms from now and changes Ev by the end of that step.
    assert float(seen) == pytest.approx(3.2)


@pytest.mark.long
def test_a_past_may_differ_between_regions_and_runs(tmp_path):
    wave = past(6 + 3 * np.cos(LAG))
    strength = xr.DataArray([0.5, 1.5], dims="strength", coords={"strength": [0.5, 1.5]})
    history = wave * strength * xr.DataArray([1.0, 1.1, 1.2, 1.3], dims="region")
    both = simulator(tile=2).run(10.0, initial={**START, "eeg": history})
    assert both.E.dims == ("strength", "time", "region")
    one = simulator(tile=2).run(10.0, initial={**START, "eeg": history.sel(strength=1.5, drop=True)})
    np.testing.assert_array_equal(both.E.sel(strength=1.5), one.E)
    np.testing.assert_array_equal(xm.rerun(both).E, both.E)
    p = xr.Dataset({"coupling.k": ("k", [1.0, 5.0])})
    stored = simulator(tile=2).run_to_zarr(tmp_path / "s.zarr", 10.0, p, initial={**START, "eeg": wave}, restart=True, chunks={"k": 1})
    whole = simulator(tile=2).run(20.0, p, initial={**START, "eeg": wave})
    later = simulator(tile=2).run(10.0, p, initial=stored.load())
    np.testing.assert_array_equal(later.E, whole.E.isel(time=slice(100, None)))


@pytest.mark.parametrize(
    ("sim", "initial", "error", "said"),
    [
        (
            simulator(),
            {"eeg": past(0 * LAG).isel(lag=slice(0, 20))},
            ValueError,
            r"initial\.eeg covers lags from 0 to 1\.9 ms, the delays",
        ),
        (simulator(), {"eeg": past(0 * LAG).assign_attrs(units="Hz")}, ValueError, r"initial\.eeg came in Hz, needs mV"),
        (simulator(), {"eeg": past(np.where(LAG > 3, np.nan, 1.0))}, ValueError, r"initial\.eeg holds NaN"),
        (simulator(None), {"eeg": past(0 * LAG)}, ValueError, "the past of 'eeg', an output that no delayed coupling reads"),
        (simulator(1e6), {"eeg": past(0 * LAG)}, ValueError, "the past of 'eeg', an output that no delayed coupling reads"),
        (xm.Simulator(xm.JansenRitStep(), dt=0.1), {"eeg": past(0 * LAG)}, KeyError, r"initial has 'initial\.eeg', which is unknown"),
        (
            xm.Simulator(xm.Network(xm.JansenRitStep(), SC, speed=4.0, coupling=xm.AdditiveCoupling(source="M", target="E")), dt=0.1),
            {"eeg": past(0 * LAG)},
            KeyError,
            r"initial has 'initial\.eeg', which is unknown",
        ),
    ],
)
def test_a_past_that_cannot_be_is_refused(sim, initial, error, said):
    with pytest.raises(error, match=said):
        sim.run(10.0, initial=initial)
