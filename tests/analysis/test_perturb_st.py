"""PCI-ST: against its definition written out in loops, closed forms of simple responses, and its invariances."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import xmass as xm

REST, ANSWER = 60, 40
TIME = ("time", np.arange(1.0, REST + ANSWER + 1), {"units": "ms", "axis": "T"})


def signal(response, *, noise=1e-6, seed=0):
    """A mean response (time, region) after a baseline of small noise."""
    response = np.asarray(response, float).reshape(ANSWER, -1)
    rest = noise * np.random.default_rng(seed).normal(size=(REST, response.shape[1]))
    return xr.DataArray(np.concatenate([rest, response]), dims=("time", "region"), coords={"time": TIME})


def st(x, **options):
    return xm.perturbational_complexity_st(x, **{"onset": float(REST), "trials": None, **options})


def written_out(x, k=1.2, variance=0.99, snr=1.1, steps=100):
    """The definition, entry by entry."""
    x = x.values - x.values[:REST].mean(axis=0)
    rest, answer = x[:REST], x[REST:]
    values, axes = np.linalg.eigh(answer.T @ answer)
    order = np.argsort(values)[::-1]
    total, share = 0.0, 0.0
    for i in order:
        if share >= variance * values.sum():
            break
        share += values[i]
        a, b = answer @ axes[:, i], rest @ axes[:, i]
        if np.sqrt(np.mean(a**2) / np.mean(b**2)) <= snr:
            continue
        medians = [abs(p - q) for p in b for q in b]
        best = 0.0
        for e in np.linspace(np.median(medians), max(abs(p - q) for p in a for q in a), steps):
            nst = []
            for series in (a, b):
                near = [[abs(p - q) <= e for q in series] for p in series]
                nst.append(sum(row[j] != row[j + 1] for row in near for j in range(len(row) - 1)) / len(series) ** 2)
            best = max(best, (nst[0] - k * nst[1]) * len(a))
        total += best
    return total


def test_it_is_the_definition():
    rng = np.random.default_rng(4)
    smooth = np.cumsum(rng.normal(size=(ANSWER, 3)), axis=0)
    x = signal(smooth, noise=0.5)
    found = st(x, steps=20)
    assert float(found.pci_st) == pytest.approx(written_out(x, steps=20), rel=1e-9) and float(found.pci_st) > 1
    strict = st(x, steps=20, k=2.0, variance=0.7, snr=1.5)
    assert float(strict.pci_st) == pytest.approx(written_out(x, 2.0, 0.7, 1.5, 20), rel=1e-9)


@pytest.mark.parametrize(("turns", "expected"), [(1, 1), (3, 3), (9, 9)])
def test_a_square_wave_has_as_many_transitions_as_it_turns(turns, expected):
    # The recurrence of every time changes with every turn: n rows with so many changes each, over n^2, times n.
    states = np.repeat(np.arange(turns + 1) % 2, ANSWER // (turns + 1))
    found = st(signal(np.r_[states, np.full(ANSWER - len(states), states[-1])] + 0.5))
    assert float(found.pci_st) == pytest.approx(expected) and int(found.components) == 1


def test_parts_that_do_not_overlap_add_up():
    one = np.where((np.arange(ANSWER) >= 5) & (np.arange(ANSWER) < 10), 1.0, 0.0)  # two transitions
    two = np.where((np.arange(ANSWER) >= 20) & (np.arange(ANSWER) < 32), 1.5, 0.0)
    found = st(signal(np.stack([one, two, one + 0.0 * two], axis=1)))
    assert float(found.pci_st) == pytest.approx(4.0) and int(found.components) == 2
    np.testing.assert_allclose(found.transitions, [2.0, 2.0, 0.0])
    assert found.transitions.dims == ("component",) and np.isnan(found.threshold[2])


def test_scale_rotation_and_order_change_nothing():
    rng = np.random.default_rng(1)
    x = signal(np.cumsum(rng.normal(size=(ANSWER, 4)), axis=0), noise=0.3)
    base = float(st(x).pci_st)
    turn, _ = np.linalg.qr(rng.normal(size=(4, 4)))
    for other in (1e6 * x, x.isel(region=[2, 0, 3, 1]), x.copy(data=x.values @ turn), x + 7.0):
        assert float(st(other).pci_st) == pytest.approx(base, rel=1e-6)
    sensors = x.rename(region="sensor")
    assert float(st(sensors).pci_st) == pytest.approx(base, rel=1e-12)
    assert float(st(x + 0.0 * xr.DataArray([0.0, 1.0], dims="k")).pci_st[1]) == pytest.approx(base, rel=1e-12)


def test_no_response_is_zero_and_nan_is_nan():
    assert float(st(signal(np.zeros((ANSWER, 2)), noise=0.0)).pci_st) == 0.0
    noise = np.random.default_rng(2).normal(size=(ANSWER, 3))
    assert float(st(signal(noise, noise=1.0), snr=1.5).pci_st) == 0.0  # nothing exceeds the baseline
    broken = signal(noise)
    broken[70, 0] = np.nan
    assert np.isnan(st(broken).pci_st) and np.isnan(st(broken).components)


def test_trials_other_dims_and_dask():
    rng = np.random.default_rng(3)
    mean = signal(np.cumsum(rng.normal(size=(ANSWER, 3)), axis=0), noise=0.2)
    trials = (mean + xr.DataArray(rng.normal(size=(5, REST + ANSWER, 3)), dims=("batch", *mean.dims))).assign_coords(
        seed=("batch", range(5))
    )
    found = xm.perturbational_complexity_st(trials, onset=float(REST))
    assert float(found.pci_st) == pytest.approx(float(st(trials.mean("batch")).pci_st), rel=1e-12)
    several = xr.concat([trials, 2 * trials], "k")
    both = xm.perturbational_complexity_st(several, onset=float(REST))
    assert both.pci_st.dims == ("k",) and both.transitions.dims == ("k", "component")
    np.testing.assert_allclose(both.pci_st, found.pci_st, rtol=1e-9)
    lazy = xm.perturbational_complexity_st(several.chunk(k=1), onset=float(REST))
    assert lazy.pci_st.chunks is not None
    xr.testing.assert_identical(lazy.compute(), both)


def test_windows_are_cut_by_time():
    x = signal(np.random.default_rng(0).normal(size=(ANSWER, 2)))
    short = st(x, response=20.0, baseline=30.0)
    by_hand = x.isel(time=slice(REST - 30, REST + 20))
    assert float(short.pci_st) == pytest.approx(float(xm.perturbational_complexity_st(by_hand, onset=float(REST), trials=None).pci_st))
    assert float(short.pci_st) < float(st(x).pci_st)


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        (dict(k=-1.0), ValueError, "k=-1.0"),
        (dict(variance=0.0), ValueError, "variance=0.0"),
        (dict(variance=99), ValueError, "variance=99"),
        (dict(snr=-0.1), ValueError, "snr=-0.1"),
        (dict(steps=1), ValueError, "steps=1"),
        (dict(trials="batch"), ValueError, "needs the trials 'batch'"),
        (dict(onset=1.0), ValueError, "1 samples are before the onset"),
        (dict(onset=500.0), ValueError, "choose an onset within"),
    ],
)
def test_what_does_not_fit_is_refused(options, error, said):
    with pytest.raises(error, match=said):
        st(signal(np.ones((ANSWER, 1))), **options)
    with pytest.raises(TypeError):
        st(np.ones((100, 2)))
