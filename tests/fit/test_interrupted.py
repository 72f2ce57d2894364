"""A stored fit that breaks off goes on with the same numbers, with every backend."""

from __future__ import annotations

import optax
import pytest
import xarray as xr

import xmass as xm

RUN = dict(duration=30.0, monitors=["x", "y"], initial={"x": 0.1, "y": 0.0})
GOALS = [xm.objectives.timeseries_rmse("x", name="in_x"), xm.objectives.timeseries_rmse("y", name="in_y")]
BACKENDS = [
    xm.fit.GradientBackend(optax.adam(optax.exponential_decay(0.2, 5, 0.9))),
    xm.fit.ScipyBackend(),
    xm.fit.ScipyBackend("least_squares"),
    xm.fit.EvolutionBackend(),
    xm.fit.NevergradBackend(),
    xm.fit.GridBackend(levels=6),
    xm.fit.ParetoBackend(8),
]


class PowerCut(Exception):
    pass


@pytest.mark.long
@pytest.mark.parametrize("backend", BACKENDS, ids=lambda backend: getattr(backend, "method", type(backend).__name__))
def test_a_stored_fit_that_breaks_off_goes_on_bit_for_bit(backend, tmp_path):
    made = [xm.Simulator(xm.HopfStep(a=a, w=w), dt=0.1).run(**RUN) for a, w in ((0.2, 0.3), (0.1, 0.25))]
    mixed = xr.Dataset({"x": made[0].x, "y": made[1].y})  # of which no parameters fit both
    recorded = xr.concat([made[0][["x", "y"]], mixed], xr.DataArray(["A", "B"], dims="subject", name="subject"), coords="minimal")
    sim = xm.Simulator(xm.HopfStep(a=xm.Param(0.12, bounds=(0.05, 0.3)), w=xm.Param(0.25, bounds=(0.1, 0.5))), dt=0.1)

    def fit(**options):
        goal = GOALS if backend.several else GOALS[0]
        return xm.Fitter(sim, objective=goal, backend=backend, run=RUN).fit(recorded, n_steps=6, seed=0, **options)

    def cut(now):
        if now.step == 3:
            raise PowerCut

    with pytest.raises(PowerCut):
        fit(store=tmp_path / "fit.zarr", callbacks=[cut])
    steps = []
    resumed = fit(store=tmp_path / "fit.zarr", callbacks=[lambda now: steps.append(now.step)]).load()
    whole = fit()
    assert steps[0] == 3
    for name in whole.data_vars:
        xr.testing.assert_equal(resumed[name].variable, whole[name].variable)
