"""Hypothesis strategies: connectomes, parameter sweeps and chunk sizes. They need the extra ``test``.

A law holds for every example that they make: relabelling regions relabels the result, a batch equals its runs, chunks change nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from xmass.labelled.schema import DISTANCES, MATRIX_DIMS, REGION, REGION_OTHER, SUBJECT, UNITS, WEIGHTS

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

__all__ = ["chunk_sizes", "connectomes", "sweeps"]

Bounds = Mapping[str, tuple[float, float]]


def connectomes(
    *, min_regions: int = 2, max_regions: int = 5, distances: bool = True, max_subjects: int = 0, max_distance: float = 50.0
) -> SearchStrategy[xr.Dataset]:
    """Connectomes: labelled regions in any order, some absent edges, not symmetric.

    Parameters
    ----------
    min_regions, max_regions : int
        Number of regions.
    distances : bool
        With ``distances`` up to ``max_distance`` [mm], whole numbers.
    max_subjects : int
        With the dim ``subject`` if at least 1.

    Returns
    -------
    SearchStrategy
        Of Datasets ``weights([subject,] region, region_other)`` in [0, 1].

    Raises
    ------
    ValueError
        If there can be no region.
    ModuleNotFoundError
        Without hypothesis: install the extra ``test``.

    Examples
    --------
    >>> from hypothesis import given
    >>> @given(connectomes(max_regions=3))
    ... def regions_are_the_same_on_both_axes(sc):
    ...     assert list(sc.region.values) == list(sc.region_other.values)
    >>> regions_are_the_same_on_both_axes()
    """
    from hypothesis import strategies as st

    if not 1 <= min_regions <= max_regions:
        raise ValueError(f"min_regions={min_regions} and max_regions={max_regions}, needs 1 <= min_regions <= max_regions.")

    @st.composite
    def draw_connectome(draw: Any) -> xr.Dataset:
        n = draw(st.integers(min_regions, max_regions))
        labels = draw(st.permutations([f"R{i}" for i in range(n)]))
        subjects = draw(st.integers(1, max_subjects)) if max_subjects else 0
        rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        shape = (subjects, n, n) if subjects else (n, n)
        kept = rng.uniform(size=shape) < draw(st.sampled_from([0.0, 0.5, 1.0]))
        dims = (SUBJECT, *MATRIX_DIMS) if subjects else MATRIX_DIMS
        coords = {REGION: labels, REGION_OTHER: labels} | ({SUBJECT: [f"s{i}" for i in range(subjects)]} if subjects else {})
        ds = xr.Dataset({WEIGHTS: (dims, np.where(kept, rng.uniform(0.05, 1.0, shape), 0.0) * ~np.eye(n, dtype=bool))}, coords)
        if distances:
            lengths = rng.integers(0, int(max_distance) + 1, (n, n)).astype(np.float64)
            ds[DISTANCES] = (MATRIX_DIMS, lengths, {UNITS: "mm"})
        return ds

    return draw_connectome()


def sweeps(bounds: Bounds | None = None, *, max_size: int = 4) -> SearchStrategy[xr.Dataset]:
    """Parameter Datasets: every parameter has a dim of its own, or all share the dim ``point``.

    Parameters
    ----------
    bounds : mapping of str to (float, float), optional
        Smallest and largest value by path; ``a`` and ``w`` of :class:`xmass.HopfStep` unless given.
    max_size : int
        Largest size of a dim.

    Returns
    -------
    SearchStrategy
        Of Datasets that ``run`` takes.

    Examples
    --------
    >>> from hypothesis import given
    >>> @given(sweeps({"a": (-0.1, 0.1)}))
    ... def values_are_within_the_bounds(p):
    ...     assert abs(p.a).max() <= 0.1
    >>> values_are_within_the_bounds()
    """
    from hypothesis import strategies as st

    limits = dict(bounds or {"a": (-0.2, 0.2), "w": (0.1, 0.5)})

    @st.composite
    def draw_sweep(draw: Any) -> xr.Dataset:
        shared, size = draw(st.booleans()), draw(st.integers(1, max_size))
        found = {}
        for path, (low, high) in limits.items():
            number = st.floats(low, high, allow_nan=False, allow_subnormal=False)
            n = size if shared else draw(st.integers(1, max_size))
            found[path] = ("point" if shared else f"{path}_value", draw(st.lists(number, min_size=n, max_size=n)))
        return xr.Dataset(found)

    return draw_sweep()


def chunk_sizes(*, max_size: int = 4) -> SearchStrategy[int]:
    """Runs per chunk, from 1 to ``max_size``.

    Examples
    --------
    >>> from hypothesis import given
    >>> @given(chunk_sizes(max_size=3))
    ... def is_small(size):
    ...     assert 1 <= size <= 3
    >>> is_small()
    """
    from hypothesis import strategies as st

    return st.integers(1, max_size)
