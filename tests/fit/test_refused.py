"""Wrong calls of a fit and of what follows it: each is refused by name, before anything is computed or written."""

from __future__ import annotations

import brainunit as u
import numpy as np
import pytest
import xarray as xr

import xmass as xm
from tests.fit.test_fitter import fitter, recorded

FREE = {"b": xm.Param(-0.5, bounds=(-3.0, -0.1))}
RMSE = xm.objectives.timeseries_rmse()
POINT = xr.Dataset({"gamma": -1.3})


def both(labels=("p", "q")):
    return recorded(xr.DataArray([-1.0, -2.0], dims="subject")).assign_coords(subject=list(labels))


def derived(function):
    return fitter("grid", gamma=-1.0, search=FREE, derive={"gamma": function}).fit(recorded(-1.3), n_steps=1)


def known(result, target=None, **kwargs):
    return xm.identifiability(fitter("grid"), result, recorded(-1.3) if target is None else target, sd=0.1, **kwargs)


def profiled(**kwargs):
    return xm.profile(fitter("grid"), POINT, recorded(-1.3), "gamma", **kwargs)


def stored(path):
    return fitter("grid").fit(recorded(-1.3), n_steps=1, store=path)


CALLS = [
    (lambda tmp: fitter("grid").fit(both().isel(subject=[])), ValueError, "no entry along 'subject'"),
    (lambda tmp: fitter("grid").fit(both(("p", "p"))), ValueError, "recordings repeat the label 'p' along 'subject'"),
    (lambda tmp: fitter("grid", pool=3), TypeError, "pool=3"),
    (lambda tmp: fitter("grid", pool=("subject", "subject")), TypeError, "pool="),
    (lambda tmp: fitter("grad", memory="1GB"), ValueError, "memory='1GB'"),
    (lambda tmp: fitter("grad", window=-1.0).fit(recorded(-1.3)), ValueError, r"window=-1\.0"),
    (lambda tmp: fitter(xm.fit.ParetoBackend(4), objective=[RMSE, RMSE]).fit(recorded(-1.3)), ValueError, "different names"),
    (lambda tmp: fitter("grid").fit(recorded(-1.3), callbacks=print), TypeError, "needs a list of functions"),
    (lambda tmp: fitter("grid").fit(recorded(-1.3), callbacks=[3]), TypeError, "needs a list of functions"),
    (lambda tmp: fitter("grid").fit(recorded(-1.3), chunks=3), TypeError, "chunks=3"),
    (lambda tmp: stored(3), TypeError, "store=3"),
    (lambda tmp: stored(""), TypeError, "store=''"),
    (lambda tmp: stored(tmp / "file" / "fit.zarr"), ValueError, "cannot be written"),
    (lambda tmp: stored("/proc/fit.zarr"), ValueError, "cannot be written"),
    (lambda tmp: stored(tmp / "file"), ValueError, "is not a fit of xmass"),
    (lambda tmp: derived(lambda q: "x"), TypeError, "returns a str"),
    (lambda tmp: derived(lambda q: None), TypeError, "returns a NoneType"),
    (lambda tmp: derived(lambda q: np.exp(q["b"])), TypeError, r"turns the arrays that JAX traces into numbers.*xr\.ufuncs"),
    (lambda tmp: derived(lambda q: q["b"] if q["b"] < 0 else -q["b"]), TypeError, "turns the arrays that JAX traces"),
    (lambda tmp: known(xr.Dataset({"gamma": -30.0})), ValueError, "is -30, beyond its bounds"),
    (
        lambda tmp: known(xr.Dataset({"gamma": ("subject", [-1.0, -2.0])}, {"subject": ["p", "z"]}), both()),
        ValueError,
        "other labels along",
    ),
    (lambda tmp: known(xr.Dataset({"gamma": ("subject", [-1.0, -2.0, -3.0])}), both()), ValueError, "3 entries along 'subject', needs 2"),
    (lambda tmp: fitter("grid").sample(recorded(-1.3), start={"gamma": -1.0}), TypeError, "the parameters are a dict"),
    (lambda tmp: profiled(values=[np.nan, 1.0]), ValueError, "increasing"),
    (lambda tmp: profiled(values=["a", "b"]), TypeError, "text"),
    (lambda tmp: profiled(likelihood="fc"), TypeError, r"xm\.fit\.GaussianLikelihood\('fc'\)"),
    (lambda tmp: profiled(at="V1"), TypeError, "at='V1'"),
    (lambda tmp: xm.fit.prior_sweep(fitter("grid"), recorded(-1.3), 1.5, seed=0), ValueError, r"n is 1\.5"),
    (lambda tmp: xm.calibration(fitter("grid"), recorded(-1.3), n="a"), ValueError, "n is 'a'"),
]


@pytest.mark.parametrize(("call", "error", "said"), CALLS)
def test_wrong_calls_are_refused_by_name(call, error, said, tmp_path):
    (tmp_path / "file").write_text("precious")
    with pytest.raises(error, match=said):
        call(tmp_path)
    assert (tmp_path / "file").read_text() == "precious"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_results_and_grids_in_other_units_are_converted():
    per_second = xr.Dataset({"gamma": ((), -1300.0, {"units": "1/s"})})
    np.testing.assert_allclose(known(per_second).value, [-1.3])
    np.testing.assert_allclose(profiled(values=np.array([-1300.0, -1000.0]) / u.second).gamma, [-1.3, -1.0])


def test_a_fit_without_any_finite_loss_warns():
    def nothing(simulated, recorded):
        return ((simulated.x - recorded.x) ** 2).mean(("time", "region")) * np.nan

    with pytest.warns(UserWarning, match=r"no evaluation had a finite loss.*xm\.compare"):
        fit = fitter("grid", objective=nothing).fit(recorded(-1.3), n_steps=1)
    assert bool(fit.diverged)


def test_a_damaged_state_is_named(tmp_path):
    def fit(**kwargs):
        return fitter("grid").fit(recorded(-1.3), n_steps=3, seed=0, store=tmp_path / "fit.zarr", **kwargs)

    def stop(now):
        if now.step == 1:
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        fit(callbacks=[stop])
    state = next((tmp_path / "fit.zarr.parts").glob("state-*"))
    state.write_bytes(state.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"state-00000\.npz is damaged"):
        fit()


def test_a_neural_posterior_is_of_one_connectome():
    weights = np.random.default_rng(0).uniform(size=(2, 3, 3)) * (1 - np.eye(3))
    names = ["a", "b", "c"]
    sc = xr.Dataset({"weights": (("subject", "region", "region_other"), weights)}, {"subject": ["p", "q"], "region": names})
    network = xm.Network(xm.LinearStep(gamma=-1.0), sc, coupling=xm.DiffusiveCoupling(k=0.1, source="x", target="x"))
    run = dict(duration=2.0, monitors=["x"])
    sim = xm.Simulator(network, dt=0.25)
    several = xm.Fitter(sim, objective=RMSE, run=run, search={"gamma": xm.Param(-0.5, bounds=(-3.0, -0.1))})
    with pytest.raises(ValueError, match="2 connectomes, and a neural posterior is of one"):
        xm.fit.prior_sweep(several, sim.run(**run), 60, seed=0)
