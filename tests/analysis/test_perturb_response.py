"""Evoked responses and perturbational complexity against definitions written out, and against the statistics they promise."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import xarray as xr
from scipy.linalg import expm
from scipy.stats import binom, norm

import xmass as xm
from xmass.analysis.perturb_response import lempel_ziv


def trials(
    response: np.ndarray | None = None, *, n: int = 20, before: int = 40, after: int = 25, regions: int = 4, seed: int = 0
) -> xr.DataArray:
    """White noise (batch, time, region), and from the onset at 40 ms a response (time, region) in every trial."""
    after, regions = (after, regions) if response is None else response.shape
    values = np.random.default_rng(seed).normal(size=(n, before + after, regions))
    if response is not None:
        values[:, before:] += response
    time = ("time", np.arange(1, before + after + 1) * 1.0, {"units": "ms", "axis": "T"})
    coords = {"time": time, "region": [f"R{i}" for i in range(regions)]}
    return xr.DataArray(values, dims=("batch", "time", "region"), coords=coords, name="x", attrs={"units": "mV"})


def words_by_definition(sequence: str) -> int:
    """Each word is the shortest piece of what is left that does not occur in all before its own last symbol."""
    words, start = 0, 0
    while start < len(sequence):
        stop = start + 1
        while stop <= len(sequence):
            piece, seen = sequence[start:stop], sequence[: stop - 1]
            if not any(seen[i : i + len(piece)] == piece for i in range(len(seen) - len(piece) + 1)):
                break
            stop += 1
        words, start = words + 1, stop
    return words


def bits(text: str) -> np.ndarray:
    return np.array([int(c) for c in text])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", 0),
        ("0", 1),
        ("1", 1),
        ("0" * 50, 2),  # 0 | 000...
        ("01" * 50, 3),  # 0 | 1 | 0101...
        ("0001101001000101", 6),  # 0 001 10 100 1000 101: the example of Lempel and Ziv
        ("0010", 3),  # 0 01 0: the last word is cut off
    ],
)
def test_lempel_ziv_of_sequences_whose_words_are_known(text, words):
    assert lempel_ziv(bits(text)) == words


def test_lempel_ziv_is_its_definition_on_every_short_sequence():
    for length in range(1, 13):
        for symbols in product("01", repeat=length):
            text = "".join(symbols)
            assert lempel_ziv(bits(text)) == words_by_definition(text), text


@pytest.mark.parametrize("p", [0.02, 0.2, 0.5])
def test_lempel_ziv_is_its_definition_on_longer_ones(p):
    rng = np.random.default_rng(int(100 * p))
    for _ in range(5):
        one = rng.random(300) < p
        assert lempel_ziv(one) == words_by_definition("".join("01"[int(b)] for b in one))


@pytest.mark.parametrize("p", [0.1, 0.5])
def test_complexity_of_coin_throws_tends_to_their_entropy(p):
    # c log2(n) / n -> H with probability 1; at n = 40000 what is left is of the order of log(log n) / log n, about 10 %
    n = 40_000
    entropy = -p * np.log2(p) - (1 - p) * np.log2(1 - p)
    words = lempel_ziv(np.random.default_rng(1).random(n) < p)
    assert words * np.log2(n) / (n * entropy) == pytest.approx(1.0, abs=0.12)


def test_evoked_response_by_hand():
    x = trials(n=7, regions=3)
    found = xm.evoked_response(x, onset=40)
    values = x.values
    mean = values.mean(0) - values.mean(0)[:40].mean(0)
    np.testing.assert_allclose(found.evoked, mean, atol=1e-14)
    np.testing.assert_allclose(found.evoked_se, values.std(0, ddof=1) / np.sqrt(7), rtol=1e-12)
    np.testing.assert_allclose(found.gmfp, [np.sqrt(np.mean((row - row.mean()) ** 2)) for row in mean], rtol=1e-12)
    assert [found[n].attrs["units"] for n in ("evoked", "evoked_se", "gmfp")] == ["mV"] * 3
    short = xm.evoked_response(x, onset=40, baseline=10)
    np.testing.assert_allclose(short.evoked, values.mean(0) - values.mean(0)[30:40].mean(0), atol=1e-14)  # stamps 31 to 40
    seconds = x.assign_coords(time=("time", x.time.values / 1000, {"units": "s", "axis": "T"}))
    np.testing.assert_array_equal(xm.evoked_response(seconds, onset=0.04, baseline=0.01).evoked, short.evoked)


def test_evoked_response_of_a_linear_network_within_its_error():
    sc = xm.datasets.load_dataset("example_connectome")
    node = xm.LinearStep(gamma=-0.2, noise_x=xm.WhiteNoise(sigma=0.05))
    sim = xm.Simulator(xm.Network(node, sc, coupling=xm.AdditiveCoupling(k=0.02, source="x", target="x")), dt=0.1)
    kick = xm.stimuli.pulse(0.3, onset=30, width=5, region=["R2"])
    run = sim.run(60.0, inputs={"x": kick}, monitors=["x"], batch_size=200, seed=4, sample_every=1.0)
    found = xm.evoked_response(run.x, onset=30)
    system = -0.2 * np.eye(8) + 0.02 * sc.weights.values
    push = 0.3 * np.eye(8)[2]
    charged = np.linalg.solve(system, (expm(5 * system) - np.eye(8)) @ push)
    exact = expm(10 * system) @ charged  # at 45 ms
    error = (found.evoked - exact).sel(time=45) / found.evoked_se.sel(time=45)
    assert abs(error).max() < 4  # of 8 regions: 5e-4 by chance
    assert float(found.evoked.sel(time=35, region="R2")) / float(found.evoked_se.sel(time=35, region="R2")) > 20
    assert float(found.gmfp.idxmax("time")) == 35.0


def test_other_dims_are_kept_in_place_and_lazy_is_the_same():
    x = xr.concat([trials(seed=i) for i in range(3)], dim="k").assign_coords(k=("k", [0.1, 0.2, 0.3], {"units": "1/ms"}))
    x = x.assign_coords(seed=("batch", np.arange(20)), hemisphere=("region", list("LRLR")))
    for turned in (x, x.transpose("time", "k", "region", "batch")):
        found = xm.evoked_response(turned, onset=40)
        assert found.evoked.dims == ("k", "time", "region") and found.gmfp.dims == ("k", "time")
        assert found.k.attrs == {"units": "1/ms"} and found.time.attrs == x.time.attrs and "hemisphere" in found.coords
        np.testing.assert_allclose(found.evoked.sel(k=0.2), xm.evoked_response(x.sel(k=0.2), onset=40).evoked, atol=1e-14)
        pci = xm.perturbational_complexity(turned, onset=40, surrogates=100)
        assert pci.pci.dims == ("k",) and pci.significant.dims == ("k", "time", "region")
        assert pci.k.attrs == {"units": "1/ms"} and pci.time.attrs == x.time.attrs and pci.time[0] == 41
        for lazy in (turned.chunk({"k": 1, "time": 13}), turned.chunk({"batch": 5})):
            later = xm.evoked_response(lazy, onset=40)
            assert later.evoked.chunks is not None
            xr.testing.assert_allclose(later.compute(), found, atol=1e-14)
            later_pci = xm.perturbational_complexity(lazy, onset=40, surrogates=100)
            assert later_pci.pci.chunks is not None
            xr.testing.assert_identical(later_pci.compute(), pci)
    single = xm.evoked_response(x.astype(np.float32), onset=40)
    assert {single[name].dtype for name in single} == {np.dtype(np.float32)}


@pytest.mark.parametrize("function", [xm.evoked_response, lambda x, onset: xm.perturbational_complexity(x, onset=onset, surrogates=100)])
def test_sensors_are_as_good_as_regions(function):
    x = trials(np.full((25, 4), 1.0) * [0, 1, 2, 3])
    xr.testing.assert_identical(function(x.rename(region="sensor"), onset=40), function(x, onset=40).rename(region="sensor"))
    with pytest.raises(ValueError, match="one of them"):
        function(x.expand_dims(sensor=2), onset=40)


def test_one_run_without_noise_has_no_error_of_the_mean():
    x = trials().isel(batch=0)
    found = xm.evoked_response(x, onset=40, trials=None)
    assert set(found) == {"evoked", "gmfp"}
    np.testing.assert_allclose(found.evoked, x - x[:40].mean("time"), atol=1e-14)


def test_the_threshold_is_that_of_the_largest_of_gaussian_means():
    # without a response: the largest of 25 * 4 independent |N(0, 1/20)|, of which (2 Phi(z) - 1)^100 = 1 - alpha is the quantile
    x = trials(n=20, before=2000)
    exact = norm.ppf((1 + (1 - 0.05) ** (1 / 100)) / 2) / np.sqrt(20)
    found = xm.perturbational_complexity(x, onset=2000, alpha=0.05, surrogates=2000).threshold
    # error of the quantile of 2000 draws: sqrt(0.05 * 0.95 / 2000) / density, 0.9 %; 40000 samples in the pool add less
    assert float(found) == pytest.approx(exact, rel=0.03)


def test_noise_alone_is_significant_as_often_as_promised():
    runs, alpha = 150, 0.2
    x = xr.concat([trials(n=10, before=200, seed=100 + i) for i in range(runs)], dim="run")
    found = xm.perturbational_complexity(x, onset=200, alpha=alpha, surrogates=200)
    alarms = int(found.significant.any(["time", "region"]).sum())
    # the range of a binomial count that is left once in 1e4; the finite pool and number of surrogates widen it by a little
    assert binom.ppf(1e-4, runs, alpha) - 3 <= alarms <= binom.ppf(1 - 1e-4, runs, alpha) + 3
    assert (found.pci.where(~found.significant.any(["time", "region"]), drop=True) == 0).all()


def by_definition(pattern: np.ndarray) -> float:
    """PCI of a binary matrix (time, region), written out."""
    rows = sorted(range(pattern.shape[1]), key=lambda i: -pattern[:, i].sum())
    text = "".join("01"[int(pattern[t, i])] for t in range(pattern.shape[0]) for i in rows)
    p = text.count("1") / len(text)
    return words_by_definition(text) * np.log2(len(text)) / (len(text) * -(p * np.log2(p) + (1 - p) * np.log2(1 - p)))


def test_a_strong_response_gives_back_its_pattern_and_its_complexity():
    rng = np.random.default_rng(7)
    rich = rng.random((60, 8)) < 0.4
    plain = np.zeros((60, 8), bool)
    plain[:20] = True  # everything on, then everything off
    local = np.zeros((60, 8), bool)
    local[:, 2] = True
    found = {}
    for name, pattern in {"rich": rich, "plain": plain, "local": local}.items():
        sign = np.where(rng.random(pattern.shape) < 0.5, -1.0, 1.0)
        # what is planted is 20 times the threshold; another sample passes in 1 run of 500, and the seed is fixed
        pci = xm.perturbational_complexity(trials(20.0 * pattern * sign, n=30, before=200), onset=200, alpha=0.002)
        np.testing.assert_array_equal(pci.significant, pattern)
        assert float(pci.pci) == pytest.approx(by_definition(pattern), rel=1e-12)
        p = pattern.mean()
        assert float(pci.source_entropy) == pytest.approx(-p * np.log2(p) - (1 - p) * np.log2(1 - p), rel=1e-12)
        found[name] = float(pci.pci)
    assert found["rich"] > 0.9 and max(found["plain"], found["local"]) < 0.2


def test_gains_offsets_and_labels_do_not_matter():
    rng = np.random.default_rng(3)
    pattern = np.array([np.arange(60) < 5 + 7 * i for i in range(6)]).T  # a different count for each region
    x = trials(rng.normal(size=pattern.shape) * 5 * pattern, n=20, before=150)
    first = xm.perturbational_complexity(x, onset=150, surrogates=200)
    scale = xr.DataArray([1.0, 1e-6, 30.0, -2.0, 5.0, 0.1], dims="region")
    offset = xr.DataArray([0.0, 1.0, -70.0, 2.0, 5.0, 1e3], dims="region")
    other = xm.perturbational_complexity(x * scale + offset, onset=150, surrogates=200)
    np.testing.assert_array_equal(other.significant, first.significant)
    assert float(other.pci) == float(first.pci)
    turned = xm.perturbational_complexity(x.isel(region=[3, 0, 5, 1, 2, 4]), onset=150, surrogates=200)
    # the threshold moves by the order of summation only
    np.testing.assert_array_equal(turned.significant.sel(region=x.region.values), first.significant)
    assert float(turned.pci) == float(first.pci)


def test_nothing_everything_and_what_is_no_number():
    everything = xm.perturbational_complexity(trials(np.full((20, 4), 50.0)), onset=40, surrogates=100)
    assert bool(everything.significant.all()) and float(everything.pci) == 0.0 and float(everything.source_entropy) == 0.0
    x = xr.concat([trials(seed=i) for i in range(3)], dim="k")
    x[0, 3, 50, 1] = np.nan
    x[1, :, :40, 2] = 1.0
    found = xm.perturbational_complexity(x, onset=40, surrogates=100)
    assert np.isnan(found.pci).values.tolist() == [True, True, False] and not found.significant[:2].any()
    answer = xm.evoked_response(x, onset=40)
    assert np.isnan(answer.evoked[0, 50]).values.tolist() == [False, True, False, False]


def test_only_the_response_that_is_asked_for():
    x = trials(after=60)
    found = xm.perturbational_complexity(x, onset=40, baseline=20, response=30, surrogates=100)
    assert found.time.values.tolist() == [41.0 + i for i in range(30)]
    same = xm.perturbational_complexity(x.sel(time=slice(21, 70)), onset=40, surrogates=100)
    xr.testing.assert_identical(found, same)
    other = xm.perturbational_complexity(x, onset=40, baseline=20, response=30, surrogates=100, seed=1)
    assert float(other.threshold) != float(found.threshold)


@pytest.mark.parametrize("function", [xm.evoked_response, xm.perturbational_complexity])
@pytest.mark.parametrize(
    ("change", "options", "error", "message"),
    [
        (lambda x: x.values, {}, TypeError, "DataArray"),
        (lambda x: x.isel(batch=0), {}, ValueError, "needs the trials 'batch'"),
        (lambda x: x.isel(region=0), {}, ValueError, "needs 'region'"),
        (lambda x: x.drop_vars("time"), {}, ValueError, "no coordinate on 'time'"),
        (lambda x: x, {"onset": 0.5}, ValueError, "0 samples in the baseline"),
        (lambda x: x, {"onset": 65}, ValueError, "0 in the response"),
        (lambda x: x, {"onset": 900}, ValueError, "needs both"),
        (lambda x: x, {"baseline": -5}, ValueError, "needs both"),
        (lambda x: x.isel(time=slice(None, None, -1)), {}, ValueError, "increase|evenly"),
    ],
)
def test_what_is_refused(function, change, options, error, message):
    with pytest.raises(error, match=message):
        function(change(trials()), **{"onset": 40, **options})


@pytest.mark.parametrize("options", [{"alpha": 0.0}, {"alpha": 1.0}, {"alpha": 0.001}, {"surrogates": 50}, {"surrogates": 100.5}])
def test_levels_that_have_no_quantile(options):
    with pytest.raises(ValueError, match="at least 1 / alpha"):
        xm.perturbational_complexity(trials(), onset=40, **options)
