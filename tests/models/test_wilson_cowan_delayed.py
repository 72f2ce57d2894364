"""The delayed Wilson-Cowan model against a plain NumPy loop that keeps every past state, and against its characteristic equation.

Another simulator froze the delayed terms of this model at their initial value when it ran under its Simulator.
"""

from __future__ import annotations

import numpy as np
import pytest
import scipy.optimize
import xarray as xr

import xmass as xm
from tests.oracles import wilson_cowan as oracle

DELAYS = {"ee": 2.0, "ei": 1.5, "ie": 2.0, "ii": 1.5}
READS = {"ee": 0, "ei": 1, "ie": 0, "ii": 1}
"""Row of the state that each connection reads."""
ACTIVE = np.array([0.462465, 0.243364])
"""The upper fixed point of the base model, which delays do not move."""
LOOPS = ("euler", "heun", "rk4", "exp_euler")


def steps_of(delays, dt):
    return {name: np.rint(np.asarray(ms) / dt).astype(int) for name, ms in delays.items()}


def loop(start, drive, steps, dt, count, scheme, *, edges=None, k=0.0, history=None):
    """States ``(step, state, region)`` of nodes with local delays in steps, coupled through e by weights and delays in steps.

    ``start`` is (state, region); ``history`` (steps back, state, region) ends with the start; constant by default.
    """
    size = start.shape[1]
    weights, far = edges if edges is not None else (np.zeros((size, size)), np.zeros((size, size), int))
    longest = max(*(int(np.max(d)) for d in steps.values()), int(far.max()))
    path = np.empty((longest + count + 1, *start.shape))
    path[: longest + 1] = start if history is None else history[-longest - 1 :]
    every, now = np.arange(size), longest

    def read(own, at, back, row, region):
        """A state ``back`` steps before ``at`` steps from now; without delay the stage's own."""
        if at == 0.5:
            return 0.5 * (read(own, 0, back, row, region) + read(own, 1, back, row, region))
        return np.where(back == 0, own[row, region], path[now + int(at) - np.maximum(back, int(at)), row, region])

    def local(x, at):
        return {name: read(x, at, np.broadcast_to(steps[name], size), READS[name], every) for name in READS}

    def rates(x, at, past=None):
        past = local(x, at) if past is None else past
        columns = np.broadcast_to(every, far.shape)
        received = k * (weights * read(x, at, far, 0, columns)).sum(axis=1)
        f_e = oracle.F(12 * past["ee"] - 4 * past["ei"] + drive + received, 1.2, 2.8)
        f_i = oracle.F(13 * past["ie"] - 11 * past["ii"], 1, 4)
        return np.array([-x[0] + (1 - x[0]) * f_e, -x[1] + (1 - x[1]) * f_i])

    for _ in range(count):
        x = path[now]
        k0 = rates(x, 0)
        if scheme == "euler":
            new = x + dt * k0
        elif scheme == "heun":
            new = x + dt / 2 * (k0 + rates(x + dt * k0, 1))
        elif scheme == "rk4":
            k1 = rates(x + dt / 2 * k0, 0.5)
            k2 = rates(x + dt / 2 * k1, 0.5)
            new = x + dt / 6 * (k0 + 2 * k1 + 2 * k2 + rates(x + dt * k2, 1))
        else:  # each state's own derivative: -1 - F where all reads are delayed
            slope = (rates(x + 1.0, 0, local(x, 0)) - rates(x, 0, local(x, 0)))  # fmt: skip
            new = x + np.expm1(dt * slope) / slope * k0
        now += 1
        path[now] = new
    return path[longest + 1 :]


def column(*values):
    return np.array(values, float)[:, None]


# ---- a lone node
@pytest.mark.long
@pytest.mark.parametrize("scheme", LOOPS)
def test_delayed_terms_follow_the_state(scheme):
    """Not frozen at the start: from constant (0.3, 0.2) a frozen node would settle where its input stays that of the start."""
    run = xm.Simulator(xm.WilsonCowanDelayedStep(), dt=0.1, method=scheme, precision="float64").run(
        20.0, initial={"rE": 0.3, "rI": 0.2}, inputs={"e": 0.5}
    )
    expected = loop(column(0.3, 0.2), 0.5, steps_of(DELAYS, 0.1), 0.1, 200, scheme)
    found = np.stack([run.rE.values, run.rI.values], axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-11)  # 200 steps of the same arithmetic, near a focus that attracts
    x_e, x_i = 12 * 0.3 - 4 * 0.2 + 0.5, 13 * 0.3 - 11 * 0.2
    frozen = [f / (1 + f) for f in (oracle.F(x_e, 1.2, 2.8), oracle.F(x_i, 1, 4))]
    assert np.abs(found[-1, :, 0] - frozen).max() > 0.05


def test_delays_do_not_move_the_fixed_points():
    starts = xr.Dataset({"initial.rE": ("start", [0.1, 0.4]), "initial.rI": ("start", [0.05, 0.24])})
    sim = xm.Simulator(xm.WilsonCowanDelayedStep(), dt=0.1, precision="float64")
    end = sim.run(200.0, starts).isel(time=-1, region=0)
    np.testing.assert_allclose([end.rE[1], end.rI[1]], ACTIVE, atol=1e-6)
    np.testing.assert_allclose([end.rE[0], end.rI[0]], 0.0, atol=1e-6)
    # from there on nothing moves, for any delays
    more = xr.Dataset({f"delay_{n}": ("d", [0.0, 1.0, 7.3]) for n in DELAYS})
    still = sim.run(5.0, more, initial={"rE": float(end.rE[1]), "rI": float(end.rI[1])})
    assert float(abs(still.rE - end.rE[1]).max()) < 1e-7


@pytest.mark.long
def test_without_delay_it_is_the_base_model():
    options = dict(initial={"rE": 0.3, "rI": 0.1}, inputs={"e": 0.7, "i": 0.2})
    zero = xm.WilsonCowanDelayedStep(delay_ee=0, delay_ei=0, delay_ie=0, delay_ii=0)
    for scheme in LOOPS:
        found, same = (
            xm.Simulator(m, dt=0.1, method=scheme, precision="float64").run(10.0, **options) for m in (zero, xm.WilsonCowanStep())
        )
        for name in ("rE", "rI"):
            np.testing.assert_allclose(found[name], same[name], rtol=1e-12)


def test_every_connection_has_a_delay_of_its_own():
    delays = {"ee": 0.3, "ei": 1.1, "ie": 0.0, "ii": 2.4}
    model = xm.WilsonCowanDelayedStep(**{f"delay_{n}": d for n, d in delays.items()})
    run = xm.Simulator(model, dt=0.1, precision="float64").run(10.0, initial={"rE": 0.3, "rI": 0.1}, inputs={"e": 1.0})
    expected = loop(column(0.3, 0.1), 1.0, steps_of(delays, 0.1), 0.1, 100, "heun")
    np.testing.assert_allclose(np.stack([run.rE.values, run.rI.values], axis=1), expected, rtol=1e-11)


def test_a_history_is_read():
    lag = np.arange(-20, 1) * 0.1
    past = 0.3 + 0.1 * np.sin(3 * lag)
    history = xr.DataArray(past, dims="lag", coords={"lag": ("lag", -lag, {"units": "ms"})})
    run = xm.Simulator(xm.WilsonCowanDelayedStep(), dt=0.1, precision="float64").run(5.0, initial={"rE": history, "rI": 0.2})
    rows = np.stack([past, np.full(21, 0.2)], axis=1)[:, :, None]
    expected = loop(rows[-1], 0.0, steps_of(DELAYS, 0.1), 0.1, 50, "heun", history=rows)
    np.testing.assert_allclose(np.stack([run.rE.values, run.rI.values], axis=1), expected, rtol=1e-11)
    constant = loop(rows[-1], 0.0, steps_of(DELAYS, 0.1), 0.1, 50, "heun")
    assert np.abs(constant - expected).max() > 1e-3


# ---- linear theory
def root(drive, delays, guess):
    """A root of the characteristic equation at the active fixed point, by Newton's method on the determinant."""
    E, I = scipy.optimize.root(lambda x: oracle.base(*x, drive, 0.0), ACTIVE, tol=1e-14).x
    x_e, x_i = 12 * E - 4 * I + drive, 13 * E - 11 * I
    f_e, f_i = oracle.F(x_e, 1.2, 2.8), oracle.F(x_i, 1, 4)
    g_e, g_i = (
        (1 - r) * a * oracle.sigma(a * (x - t)) * oracle.sigma(-a * (x - t)) for r, a, x, t in ((E, 1.2, x_e, 2.8), (I, 1.0, x_i, 4.0))
    )

    def determinant(z):
        late = {n: np.exp(-z * d) for n, d in delays.items()}
        m = [[-1 - f_e + 12 * g_e * late["ee"] - z, -4 * g_e * late["ei"]], [13 * g_i * late["ie"], -1 - f_i - 11 * g_i * late["ii"] - z]]
        return m[0][0] * m[1][1] - m[0][1] * m[1][0]

    z = complex(guess)
    for _ in range(50):
        z -= determinant(z) / ((determinant(z + 1e-6) - determinant(z - 1e-6)) / 2e-6)
    assert abs(determinant(z)) < 1e-12
    return z, (E, I)


@pytest.mark.parametrize(("factor", "expected"), [(1.0, -0.0709 + 1.5303j), (1.5, 0.0132 + 1.1066j)])
def test_it_rings_and_grows_as_its_characteristic_root_says(factor, expected):
    # The rightmost roots by a Chebyshev discretisation of the generator. Delays of 1.5 times the defaults make the rest state unstable.
    delays = {n: factor * d for n, d in DELAYS.items()}
    z, (E, I) = root(0.5, delays, expected)
    assert z == pytest.approx(expected, abs=1e-4)
    model = xm.WilsonCowanDelayedStep(**{f"delay_{n}": d for n, d in delays.items()})
    sim = xm.Simulator(model, dt=0.025, precision="float64")
    x = sim.run(50.0, initial={"rE": E + 1e-6, "rI": I}, inputs={"e": 0.5}, monitors=["rE"], sample_every=20).rE.values[30:, 0] - E
    # x is a sum of two conjugate exponentials: x[n+2] = b x[n+1] + c x[n], whose roots are exp(z 0.5 ms). The next root has died out
    # by 15 ms, e^-8.5; Heun's method at 0.025 ms moves z by |z|^3 dt^2 / 6, 4e-4.
    b, c = np.linalg.lstsq(np.stack([x[1:-1], x[:-2]], axis=1), x[2:], rcond=None)[0]
    found = np.log(np.roots([1, -b, -c]).astype(complex)) / 0.5
    assert found[np.argmax(found.imag)] == pytest.approx(z, abs=1.5e-3)


def test_long_delays_make_a_rhythm_that_lasts():
    delays = {n: 2 * d for n, d in DELAYS.items()}
    model = xm.WilsonCowanDelayedStep(**{f"delay_{n}": d for n, d in delays.items()})
    x = xm.Simulator(model, dt=0.1, precision="float64").run(400.0, initial={"rE": 0.45, "rI": 0.25}, inputs={"e": 0.5}).rE.values[:, 0]
    expected = loop(column(0.45, 0.25), 0.5, steps_of(delays, 0.1), 0.1, 4000, "heun")[:, 0, 0]
    np.testing.assert_allclose(x, expected, rtol=1e-9)
    early, late = np.ptp(x[2800:3400]), np.ptp(x[3400:])
    assert early == pytest.approx(late, rel=1e-3) and late > 0.014


# ---- networks, batches, restarts
WEIGHTS = np.array([[0.0, 1.0, 0.5], [0.3, 0.0, 0.2], [0.9, 0.4, 0.0]])
LENGTHS = np.array([[0.0, 17.0, 5.0], [17.0, 0.0, 60.0], [5.0, 60.0, 0.0]])
START = np.array([[0.1, 0.45, 0.3], [0.05, 0.24, 0.1]])


def network(model, speed):
    labels = {"region": ["p", "q", "r"], "region_other": ["p", "q", "r"]}
    sc = xr.Dataset({n: (("region", "region_other"), v) for n, v in (("weights", WEIGHTS), ("distances", LENGTHS))}, labels)
    return xm.Network(model, sc, speed=speed, coupling=xm.AdditiveCoupling(k=0.4, source="rE", target="e"))


def initial():
    return {name: xr.DataArray(START[n], dims="region") for n, name in enumerate(("rE", "rI"))}


@pytest.mark.long
@pytest.mark.parametrize("scheme", ["heun", "rk4"])
@pytest.mark.parametrize("speed", [10.0, 100.0, None])
def test_local_delays_and_those_of_the_connectome_are_two_things(scheme, speed):
    # 60 mm at 10 mm/ms are 60 steps, longer than the local delays; at 100 mm/ms 6 steps, shorter; without speed none.
    run = xm.Simulator(network(xm.WilsonCowanDelayedStep(), speed), dt=0.1, method=scheme, precision="float64").run(20.0, initial=initial())
    far = np.rint(LENGTHS / speed / 0.1).astype(int) if speed is not None else np.zeros((3, 3), int)
    expected = loop(START, 0.0, steps_of(DELAYS, 0.1), 0.1, 200, scheme, edges=(WEIGHTS, far), k=0.4)
    np.testing.assert_allclose(np.stack([run.rE.values, run.rI.values], axis=1), expected, rtol=1e-10)


def test_regions_may_have_delays_of_their_own():
    delays = {**DELAYS, "ee": np.array([0.0, 0.5, 3.2])}
    model = xm.WilsonCowanDelayedStep(delay_ee=xr.DataArray(delays["ee"], dims="region"))
    run = xm.Simulator(network(model, 10.0), dt=0.1, precision="float64").run(20.0, initial=initial())
    far = np.rint(LENGTHS / 10.0 / 0.1).astype(int)
    expected = loop(START, 0.0, steps_of(delays, 0.1), 0.1, 200, "heun", edges=(WEIGHTS, far), k=0.4)
    np.testing.assert_allclose(np.stack([run.rE.values, run.rI.values], axis=1), expected, rtol=1e-10)


@pytest.mark.long
def test_a_sweep_of_a_delay_is_its_runs():
    sim = xm.Simulator(xm.WilsonCowanDelayedStep(), dt=0.1, tile=4)
    p = xr.Dataset({"delay_ie": ("delay_ie", [0.0, 0.5, 2.0, 5.0, 9.0])})
    sweep = sim.run(20.0, p, initial={"rE": 0.3, "rI": 0.2})
    for n in range(5):
        alone = sim.run(20.0, p.isel(delay_ie=n), initial={"rE": 0.3, "rI": 0.2})
        for name in ("rE", "rI"):
            np.testing.assert_array_equal(sweep[name].isel(delay_ie=n), alone[name])
    ends = sweep.rE.isel(time=100, region=0).values
    assert len(set(ends.tolist())) == 5


@pytest.mark.long
@pytest.mark.parametrize("lone", [True, False], ids=["lone", "network"])
def test_trials_differ_and_each_repeats_alone(lone):
    model = xm.WilsonCowanDelayedStep(noise_rE=xm.WhiteNoise(sigma=0.05), noise_e=xm.OUProcess(sigma=0.1, tau=5.0))
    sim = xm.Simulator(model if lone else network(model, 10.0), dt=0.1)
    start = {"rE": 0.46, "rI": 0.24}
    batch = sim.run(20.0, batch_size=3, seed=4, initial=start)
    assert float(batch.rE.std("batch").mean()) > 1e-3
    again = sim.run(20.0, seed=int(batch.seed[1]), initial=start)
    np.testing.assert_allclose(again.rE, batch.rE.isel(batch=1), rtol=2e-5)  # another tile width: last bits of float32


@pytest.mark.long
@pytest.mark.parametrize("lone", [True, False], ids=["lone", "network"])
@pytest.mark.parametrize("cut", [0.7, 3.0, 12.3])
def test_a_run_in_two_parts_is_the_run_in_one(lone, cut):
    model = xm.WilsonCowanDelayedStep(noise_rE=xm.WhiteNoise(sigma=0.05), delay_ie=4.0)
    sim = xm.Simulator(model if lone else network(model, 10.0), dt=0.1)
    start = {"rE": 0.46, "rI": 0.24}
    whole = sim.run(20.0, seed=5, initial=start)
    first = sim.run(cut, seed=5, initial=start, restart=True)
    rest = sim.run(20.0 - cut, initial=first)
    for name in ("rE", "rI"):
        np.testing.assert_array_equal(rest[name], whole[name].sel(time=slice(cut + 0.05, None)))
    xr.testing.assert_identical(xm.rerun(rest), rest)


def test_a_negative_delay_is_refused():
    with pytest.raises(ValueError, match=r"delay_ei.*zero or more"):
        xm.Simulator(xm.WilsonCowanDelayedStep(delay_ei=-1.0), dt=0.1).run(1.0)


def test_a_past_that_does_not_fit_is_refused_before_anything_runs():
    sim = xm.Simulator(xm.WilsonCowanDelayedStep(delay_ee=2500.0), dt=0.0001, regions=80)
    sweep = xr.Dataset({"w_ee": ("w", np.linspace(10.0, 12.0, 16))})
    with pytest.raises(ValueError, match=r"its past needs .* GB for 80 regions and 16 runs"):
        xm.plan(sim, 1.0, sweep)
