"""Objectives that are functions of two Datasets."""

from __future__ import annotations

from collections.abc import Callable

import xarray as xr

from xmass.analysis.custom import DatasetObjective
from xmass.objectives.objective import Direction


def custom(
    function: Callable[[xr.Dataset, xr.Dataset], xr.DataArray],
    *,
    name: str | None = None,
    direction: Direction = "min",
    best: float | None = None,
    meaning: str = "",
) -> DatasetObjective:
    """A score of one's own, written as a function of the simulated and the recorded Dataset.

    Wherever an objective is taken, so is a plain function of two Datasets, as one where small is good and whose name is the function's.

    Parameters
    ----------
    function : callable
        ``function(simulated, recorded)`` returns a DataArray with one number for each run: it reduces time and region by name, and keeps
        every other dim, whatever these are (a sweep, the runs of a fit). ``recorded`` has the regions and the shared labels of
        ``simulated``, in its order; the dim of time and its stamps are those of each side (``bold_time`` of a run). Dims with labels that
        differ do not meet (a ValueError).
    name : str, optional
        The name in the result; by default that of the function.
    direction : {"min", "max"}
        Whether small or large is good.
    best : float, optional
        The score of equal data.
    meaning : str
        One line for the attributes of the result.

    Returns
    -------
    DatasetObjective
        For ``compare``, ``combine`` and ``Fitter``.

    Raises
    ------
    TypeError
        If ``function`` is none.
    ValueError
        If there is no name, or the direction is neither.

    Notes
    -----
    A fit by gradients calls the function with arrays that JAX traces: it must be built from arithmetic, methods of xarray such as ``mean``,
    ``std``, ``where`` and ``sel``, ``xr.ufuncs`` (``xr.ufuncs.log``, not ``np.log``), ``xr.apply_ufunc`` over functions of ``jax.numpy``,
    and those of xmass that take such arrays: ``xm.functional_connectivity``, ``lagged_fc``, ``fcd``, ``power_spectrum``, ``edge_fc``,
    ``phase``, ``amplitude_envelope``, ``envelope_correlation``, ``order_parameter``, ``metastability``. Where it turns them into NumPy
    arrays (``.values``, ``np.log``, SciPy) it has no gradient: the fit says so, and backends without gradients still take it.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> import xmass as xm
    >>> def variance_ratio(simulated, recorded):
    ...     return abs(simulated.bold.var("time").mean("region") / recorded.bold.var("time").mean("region") - 1)
    >>> bold = xr.DataArray(np.random.default_rng(0).normal(size=(2, 50, 4)), dims=("k", "time", "region"), name="bold")
    >>> score = xm.compare(bold.to_dataset(), bold.isel(k=0).to_dataset(), xm.objectives.custom(variance_ratio, best=0.0))
    >>> float(score.variance_ratio[0]), score.variance_ratio.dims, score.variance_ratio.attrs["direction"]
    (0.0, ('k',), 'min')
    """
    given = getattr(function, "__name__", "custom")
    return DatasetObjective(
        function,
        (given if given.isidentifier() else "custom") if name is None else name,
        direction,
        best,
        meaning or (function.__doc__ or "").split("\n")[0],
    )
