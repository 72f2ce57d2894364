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


def test_a_fit_that_a_callback_stopped_is_stored_so_far_and_goes_on(tmp_path):
    made = xr.concat([xm.Simulator(xm.HopfStep(a=a, w=0.3), dt=0.1).run(**RUN) for a in (0.2, 0.1)], "subject")[["x"]]
    sim = xm.Simulator(xm.HopfStep(a=xm.Param(0.12, bounds=(0.05, 0.3)), w=0.3), dt=0.1)
    fitter = xm.Fitter(sim, objective=GOALS[0], backend=xm.fit.GridBackend(points=4, levels=4), run=RUN)
    options = dict(n_steps=4, seed=0, store=tmp_path / "fit.zarr", chunks={"subject": 1})

    def stop(now):
        return now.step == 1

    first = fitter.fit(made, callbacks=[stop], **options)
    assert first.attrs["stopped"] == "by a callback after step 2 of 4"
    assert first.a.notnull().values.tolist() == [True, False]
    xr.testing.assert_identical(xr.open_zarr(tmp_path / "fit.zarr", consolidated=False).load(), first)
    with pytest.raises(ValueError, match="in 2 parts"):
        fitter.fit(made, **{**options, "chunks": {}})
    steps = []
    second = fitter.fit(made, callbacks=[lambda now: steps.append(now.step) or (len(steps) > 2 and stop(now))], **options)
    assert steps == [2, 3, 0, 1]  # after the step at which it stopped
    third = fitter.fit(made, **options).load()
    whole = fitter.fit(made, n_steps=4, seed=0, chunks={"subject": 1})
    assert second.a.notnull().all() and "stopped" in second.attrs and "stopped" not in third.attrs
    for name in whole.data_vars:
        xr.testing.assert_equal(third[name].variable, whole[name].variable)
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["fit.zarr"]


def test_an_interrupted_front_is_the_front_so_far():
    made = xm.Simulator(xm.HopfStep(a=0.2, w=0.3), dt=0.1).run(**RUN)
    mixed = xr.Dataset({"x": made.x, "y": 2 * made.y})
    sim = xm.Simulator(xm.HopfStep(a=xm.Param(0.12, bounds=(0.05, 0.3)), w=0.3), dt=0.1)
    fitter = xm.Fitter(sim, objective=GOALS, backend=xm.fit.ParetoBackend(4), run=RUN)

    def interrupt(now):
        if now.step == 1:
            raise KeyboardInterrupt

    with pytest.warns(UserWarning, match="interrupted after step 2 of 9"):
        front = fitter.fit(mixed, n_steps=9, seed=0, callbacks=[interrupt])
    whole = fitter.fit(mixed, n_steps=2, seed=0)
    assert front.attrs["stopped"] == "interrupted after step 2 of 9"
    assert set(front.data_vars) == set(whole.data_vars)
    for name in whole.data_vars:
        xr.testing.assert_equal(front[name].variable, whole[name].variable)
