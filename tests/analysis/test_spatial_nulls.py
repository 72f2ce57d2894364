"""Random maps: what each method keeps, against other code and closed forms, and the p-values that they give."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.stats
import xarray as xr

import xmass as xm

N = 60
RNG = np.random.default_rng(3)


def on_a_sphere(count, rng, radius=70.0):
    points = rng.normal(size=(count, 3))
    return radius * points / np.linalg.norm(points, axis=1, keepdims=True)


POINTS = on_a_sphere(N, RNG)
LABELS = [f"r{i}" for i in range(N)]
PLACES = xr.DataArray(POINTS, dims=("region", "xyz"), coords={"region": LABELS, "xyz": ["x", "y", "z"]}, attrs={"units": "mm"})
APART = np.linalg.norm(POINTS[:, None] - POINTS[None], axis=-1)
D = xr.DataArray(APART, dims=("region", "region_other"), coords={"region": LABELS, "region_other": LABELS}, attrs={"units": "mm"})
ROOT = np.linalg.cholesky(np.exp(-APART / 30.0))  # of a field with exponential covariance


def field(count=None, seed=0):
    z = np.random.default_rng(seed).normal(size=(N,) if count is None else (count, N))
    return xr.DataArray(z @ ROOT.T, dims=("region",) if count is None else ("map", "region"), coords={"region": LABELS}, name="myelin")


def plain_moran(x):
    w = np.array([[0.0 if i == j else 1 / APART[i, j] for j in range(N)] for i in range(N)])
    z = x - x.mean()
    return N / w.sum() * sum(w[i, j] * z[i] * z[j] for i in range(N) for j in range(N)) / (z**2).sum()


def binned_variogram(maps, edges=(0, 20, 30, 40, 50)):
    """Without a kernel: half the mean square difference of all pairs in a bin."""
    i, j = np.triu_indices(N, 1)
    half = (maps[..., i] - maps[..., j]) ** 2 / 2
    return np.stack([half[..., (APART[i, j] > a) & (APART[i, j] <= b)].mean(axis=-1) for a, b in itertools.pairwise(edges)], axis=-1)


# ---- what is kept
def test_morans_i_is_the_sum_over_pairs():
    x = field()
    assert float(xm.morans_i(x, D)) == pytest.approx(plain_moran(x.values), rel=1e-12)
    white = xr.DataArray(np.random.default_rng(1).normal(size=(4000, N)), dims=("map", "region"), coords={"region": LABELS})
    expected = xm.morans_i(white, D)
    assert abs(float(expected.mean()) + 1 / (N - 1)) < 4 * float(expected.std()) / 4000**0.5  # -1/(N - 1) of independent values


def test_moran_nulls_keep_mean_variance_and_morans_i():
    x = field()
    nulls = xm.spatial_nulls(x, D, n=200, seed=4)
    assert nulls.dims == ("null", "region") and nulls.name == "myelin"
    np.testing.assert_allclose(nulls.mean("region"), x.mean(), atol=1e-12)
    np.testing.assert_allclose(nulls.std("region"), x.std(), rtol=1e-10)
    np.testing.assert_allclose(xm.morans_i(nulls, D), xm.morans_i(x, D), rtol=1e-9)
    np.testing.assert_allclose(plain_moran(nulls.values[7]), plain_moran(x.values), rtol=1e-9)
    r = xm.map_correlation(x, x, nulls).null_correlation
    assert abs(float(r.mean())) < 0.1 and float(abs(r).max()) < 0.95  # and yet they are other maps


def test_on_a_ring_moran_nulls_have_the_power_spectrum_of_the_map():
    # Weights of a ring are circulant: their eigenvectors are cosines and sines, whose signs leave the power of each frequency.
    turn = 2 * np.pi * np.arange(30) / 30
    ring = xr.DataArray(np.stack([np.cos(turn), np.sin(turn), 0 * turn], axis=1), dims=("region", "xyz"))
    x = xr.DataArray(np.random.default_rng(2).normal(size=30), dims="region")
    nulls = xm.spatial_nulls(x, ring, n=20)
    power = np.broadcast_to(np.abs(np.fft.rfft(x)) ** 2, (20, 16))
    np.testing.assert_allclose(np.abs(np.fft.rfft(nulls.values, axis=1)) ** 2, power, rtol=1e-8, atol=1e-10)


def test_random_maps_keep_the_variogram_and_shuffled_ones_do_not():
    # Means over 40 maps, since one map has few pairs of near regions; in bins of 15, 25, 35 and 45 mm, without a kernel.
    maps = field(40)
    target = binned_variogram(maps.values).mean(axis=0)
    ratio = {
        m: binned_variogram(xm.spatial_nulls(maps, D, n=30, seed=1, method=m).values).mean(axis=(0, 1)) / target
        for m in ("moran", "variogram", "shuffle")
    }
    assert np.abs(ratio["moran"] - 1).max() < 0.15
    assert np.abs(ratio["variogram"] - 1).max() < 0.4 and np.abs(ratio["variogram"][1:] - 1).max() < 0.15
    assert ratio["shuffle"][0] > 2.5  # white noise has the variance of the map at every distance


def test_the_variogram_is_near_the_plain_one():
    # A field with covariance exp(-d/30) has the semivariance 1 - exp(-d/30); the mean over 500 maps is within a few per cent of it.
    found = xm.variogram(field(500), D)
    assert found.dims == ("map", "distance") and found.distance.attrs["units"] == "mm"
    theory = 1 - np.exp(-found.distance / 30.0)
    kept = found.distance > 15  # below there are few pairs, and the kernel reaches beyond the smallest distance
    np.testing.assert_allclose(found.mean("map")[kept], theory[kept], rtol=0.08)


def test_resampled_maps_have_the_values_of_the_map():
    x = field()
    for method in ("moran", "variogram"):
        nulls = xm.spatial_nulls(x, D, n=5, method=method, resample=True)
        np.testing.assert_array_equal(np.sort(nulls, axis=-1), np.broadcast_to(np.sort(x), (5, N)))


# ---- p-values
def false_positives(method, pairs=120, n=99):
    """p-values of independent smooth maps."""
    first, second = field(pairs, seed=11), field(pairs, seed=12)
    return xm.map_correlation(first, second, xm.spatial_nulls(first, D, n=n, seed=2, method=method)).p_value.values


def test_p_values_of_independent_smooth_maps_are_uniform():
    # 120 pairs, so that the Kolmogorov-Smirnov test sees deviations of .12 and more; shuffling fails it by far.
    moran, shuffle = false_positives("moran"), false_positives("shuffle")
    assert scipy.stats.kstest(moran, "uniform").pvalue > 0.01 and (moran <= 0.05).mean() < 0.12
    assert scipy.stats.kstest(shuffle, "uniform").pvalue < 1e-3 and (shuffle <= 0.05).mean() > 0.1


def test_variogram_p_values_are_not_too_small():
    assert (false_positives("variogram", pairs=40, n=39) <= 0.05).mean() < 0.1


@pytest.mark.long
@pytest.mark.parametrize("reach", [10.0, 30.0, 60.0])
def test_false_positives_at_several_ranges(reach):
    rng = np.random.default_rng(int(reach))
    root = np.linalg.cholesky(np.exp(-APART / reach))
    a, b = (xr.DataArray(rng.normal(size=(500, N)) @ root.T, dims=("map", "region"), coords={"region": LABELS}) for _ in range(2))
    rate = {
        m: float((xm.map_correlation(a, b, xm.spatial_nulls(a, D, n=199, method=m)).p_value <= 0.05).mean()) for m in ("moran", "variogram")
    }
    assert 0.02 < rate["moran"] < 0.12 and rate["variogram"] < 0.12


def test_p_values_find_what_is_there():
    x = field()
    y = x + 0.3 * field(seed=5)
    found = xm.map_correlation(x, y, xm.spatial_nulls(x, D, n=199))
    assert float(found.p_value) == 1 / 200 and float(found.correlation) == pytest.approx(np.corrcoef(x, y)[0, 1], abs=1e-12)
    rank = xm.map_correlation(x, y, xm.spatial_nulls(x, D, n=19), method="spearman")
    assert float(rank.correlation) == pytest.approx(scipy.stats.spearmanr(x, y).statistic, abs=1e-12)
    nulls = xm.spatial_nulls(x, D, n=49, seed=8)
    by_hand = [abs(np.corrcoef(nulls[i], y)[0, 1]) >= abs(np.corrcoef(x, y)[0, 1]) for i in range(49)]
    assert float(xm.map_correlation(x, y, nulls).p_value) == (1 + sum(by_hand)) / 50


# ---- labels, dims, laziness
def test_positions_and_distances_and_any_order_are_the_same():
    x = field()
    base = xm.spatial_nulls(x, D, n=4)
    np.testing.assert_allclose(xm.spatial_nulls(x, PLACES, n=4), base, rtol=1e-9)
    turned = D.isel(region=slice(None, None, -1), region_other=RNG.permutation(N))
    np.testing.assert_allclose(xm.spatial_nulls(x, turned, n=4), base, rtol=1e-9)
    other = xm.spatial_nulls(x, D, n=4, seed=1)
    assert not np.allclose(other, base)
    xr.testing.assert_identical(xm.spatial_nulls(x, D, n=4), base)


def test_other_dims_and_dask():
    maps = field(4).assign_coords(map=list("abcd"))
    nulls = xm.spatial_nulls(maps, D, n=6)
    assert nulls.dims == ("map", "null", "region")
    xr.testing.assert_allclose(nulls.sel(map="c", drop=True), xm.spatial_nulls(maps.sel(map="c", drop=True), D, n=6))
    lazy = xm.spatial_nulls(maps.chunk(map=1), D, n=6)
    assert lazy.chunks is not None
    xr.testing.assert_identical(lazy.compute(), nulls)
    crossed = xm.map_correlation(maps, maps.rename(map="other"), nulls)
    assert crossed.p_value.dims == ("map", "other") and crossed.null_correlation.dims == ("map", "null", "other")
    assert float(crossed.correlation.sel(map="b", other="b")) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        (dict(regional=field().values), TypeError, "needs a DataArray"),
        (dict(regional=field().where(field() > 0)), ValueError, "NaN or infinite"),
        (dict(regional=0 * field()), ValueError, "one value in all regions"),
        (dict(regional=field().isel(region=slice(5)), distances=D.isel(region=slice(5), region_other=slice(5))), ValueError, "at least 8"),
        (dict(regional=field().rename(region="parcel")), ValueError, "needs one value per 'region'"),
        (dict(distances=D.isel(region=slice(1, None))), ValueError, r"lacks \['r0'\] along 'region'"),
        (dict(distances=D.isel(region_other=slice(1, None))), ValueError, r"lacks \['r0'\] along 'region_other'"),
        (dict(distances=D.expand_dims(subject=2)), ValueError, "Select a subject"),
        (
            dict(distances=D.where(D.region != "r1", 0.0).where(D.region_other != "r1", 0.0)),
            ValueError,
            "'r0' and 'r1' have the distance 0",
        ),
        (dict(distances=D * xr.DataArray(np.linspace(1, 2, N), dims="region")), ValueError, "not symmetric"),
        (dict(distances=-D), ValueError, "negative"),
        (dict(distances=APART), TypeError, "needs a DataArray"),
        (dict(n=0), ValueError, "n=0"),
        (dict(seed=-1), ValueError, "seed=-1"),
        (dict(method="spin"), ValueError, "'moran', 'variogram' or 'shuffle'"),
    ],
)
def test_what_does_not_fit_is_refused(change, error, said):
    with pytest.raises(error, match=said):
        xm.spatial_nulls(**{"regional": field(), "distances": D, **change})


def test_correlations_that_do_not_fit_are_refused():
    x = field()
    with pytest.raises(ValueError, match="needs 'null' and 'region'"):
        xm.map_correlation(x, x, x)
    with pytest.raises(ValueError, match=r"second lacks \['r0'\]"):
        xm.map_correlation(x, x.isel(region=slice(1, None)), xm.spatial_nulls(x, D, n=2))
    with pytest.raises(ValueError, match="method='kendall'"):
        xm.map_correlation(x, x, xm.spatial_nulls(x, D, n=2), method="kendall")
