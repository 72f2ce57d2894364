"""Feedback inhibition control of the reduced Wong-Wang network: the local inhibition that keeps every region at a wanted rate."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
import xarray as xr

from xmass.core.model import declared_parameters
from xmass.labelled.connectome import connectome_weights
from xmass.labelled.schema import LONG_NAME, MATRIX_DIMS, REGION, REGION_OTHER, UNITS
from xmass.labelled.suggest import nearest
from xmass.labelled.units import to_declared
from xmass.models import inhibition as formulas
from xmass.models.wong_wang import WongWangExcInhStep

FIELDS = formulas.ExcInhParameters._fields


def inhibition_control(
    connectome: xr.Dataset | xr.DataArray,
    G: float | xr.DataArray,
    *,
    target_rate: float | xr.DataArray | None = None,
    parameters: Mapping[Any, Any] | None = None,
) -> xr.DataArray:
    """The ``J_i`` that keeps every region of a Wong-Wang excitatory-inhibitory network at one firing rate, in closed form.

    Hand it to ``run`` as the parameter ``J_i``, beside the same ``G`` as ``coupling.k``. It is exact for a network without
    noise below :func:`critical_coupling`; noise raises the rates somewhat, and beyond that coupling they leave the target.

    Parameters
    ----------
    connectome : Dataset or DataArray
        ``weights(..., region, region_other)``, scaled as they are in the network; other dims (subject) are kept.
    G : float or DataArray
        The global coupling, with any dims of its own, or with those of the connectome (a value for each subject).
    target_rate : float or DataArray, optional
        Wanted rate of the excitatory populations [Hz], with ``region`` or any other dims; by default the rate of one uncoupled
        region at rest, 3.0773 Hz with the parameters of the model.
    parameters : mapping of str to float or DataArray, optional
        Parameters of ``WongWangExcInhStep`` that differ from its defaults, with any dims: also a Dataset. A bare number is in its units.

    Returns
    -------
    DataArray
        ``J_i`` [nA] with the dims of ``G``, those of ``target_rate``, ``parameters`` and the connectome, and ``region``.

    Warns
    -----
    UserWarning
        Where ``G`` reaches the critical coupling, which it names.

    Raises
    ------
    KeyError
        For a parameter that the model does not have, or a connectome without weights.
    TypeError
        If ``G`` or a parameter is neither a number nor a DataArray.
    ValueError
        For NaN, a rate that is not positive, labels that the connectome does not have, or a target
        that would need negative inhibition, or an inhibitory gating variable above 1.

    References
    ----------
    Deco et al. 2014, J Neurosci 34:7886, doi:10.1523/JNEUROSCI.5068-13.2014.

    Examples
    --------
    >>> import xarray as xr
    >>> weights = xr.DataArray([[0.0, 1.0], [0.5, 0.0]], dims=("region", "region_other"))
    >>> inhibition_control(weights, xr.DataArray([0.0, 0.4], dims="k")).round(4).values.tolist()
    [[1.0, 1.0], [1.2521, 1.126]]
    """
    work = working_point(connectome, G, target_rate, parameters)
    J_i = controlled(work)
    if not isinstance(work.G.data, jax.core.Tracer):
        _check(J_i, inhibitory_gating(work))
        _warn_beyond(work.G, _critical(work.weights, work.p, work.point), float(work.point.rate.mean()))
    return J_i


class WorkingPoint(NamedTuple):
    """A network and the rate wanted of it: weights, global coupling, parameters, and the excitatory population at that rate."""

    weights: xr.DataArray
    G: xr.DataArray
    p: formulas.ExcInhParameters
    point: formulas.OperatingPoint

    @property
    def drive(self) -> xr.DataArray:
        """The summed gating that every region receives, before the global coupling."""
        S_e = self.point.S_e.rename({REGION: REGION_OTHER}) if REGION in self.point.S_e.dims else self.point.S_e
        if REGION_OTHER in self.weights.coords and REGION_OTHER in S_e.dims:
            S_e = S_e.assign_coords({REGION_OTHER: self.weights[REGION_OTHER]})
        return (self.weights * S_e).sum(REGION_OTHER)


def working_point(
    connectome: xr.Dataset | xr.DataArray,
    G: float | xr.DataArray,
    target_rate: float | xr.DataArray | None,
    parameters: Mapping[Any, Any] | None,
) -> WorkingPoint:
    """What :func:`inhibition_control` was asked for, checked and labelled."""
    weights = _weights(connectome)
    G = _labelled(G, "G", "1", weights)
    if clash := [d for d in G.dims if d in MATRIX_DIMS]:
        raise ValueError(f"G has the dims {G.dims}, needs one global coupling for all regions: take {clash} out with G.isel({clash[0]}=0).")
    p = _parameters(parameters, weights)
    target = None if target_rate is None else _target(target_rate, weights)
    return WorkingPoint(weights, G, p, operating_point(p, target))


def controlled(work: WorkingPoint) -> xr.DataArray:
    """The inhibition that keeps a working point, in closed form."""
    J_i = xr.apply_ufunc(
        lambda coupling, rate, current, S_e, *values: formulas.controlled_inhibition(
            formulas.ExcInhParameters(*values), formulas.OperatingPoint(rate, current, S_e), coupling
        ),
        *(work.G * work.drive, *work.point, *work.p),
        dask="parallelized",
        output_dtypes=[np.float64],
    )
    own = [d for value in (*work.p, *work.point) for d in value.dims if d != REGION]
    order = dict.fromkeys([*work.G.dims, *own, *work.weights.dims, REGION])
    J_i = J_i.transpose(*(d for d in order if d != REGION_OTHER and d != REGION), REGION).rename("J_i")
    J_i.attrs = {UNITS: "nA", LONG_NAME: "local inhibition that keeps the target rate"}
    return J_i


def inhibitory_gating(work: WorkingPoint) -> xr.DataArray:
    """The inhibitory gating variable at a working point."""
    return xr.apply_ufunc(
        lambda coupling, S_e, *values: formulas.inhibitory_gating(formulas.ExcInhParameters(*values), S_e, coupling),
        *(work.G.compute() * work.drive, work.point.S_e, *work.p),
    )


def critical_coupling(
    connectome: xr.Dataset | xr.DataArray,
    *,
    target_rate: float | xr.DataArray | None = None,
    parameters: Mapping[Any, Any] | None = None,
) -> xr.DataArray:
    """The global coupling up to which :func:`inhibition_control` holds: there an eigenvalue of the noise-free network reaches zero.

    It is 1.2 to 1.4 over the spectral radius for symmetric weights and the parameters of the model. Another, active state exists
    beside the controlled one from a somewhat smaller coupling on, and noise finds it.

    Parameters
    ----------
    connectome, target_rate, parameters
        As for :func:`inhibition_control`.

    Returns
    -------
    DataArray
        ``(...)``: one value for each connectome, target and parameter set; infinite where every coupling is stable, 0 where
        even uncoupled regions are not.

    Raises
    ------
    KeyError, TypeError, ValueError
        As :func:`inhibition_control`.

    Examples
    --------
    >>> import xarray as xr
    >>> weights = xr.DataArray([[0.0, 1.0], [1.0, 0.0]], dims=("region", "region_other"))
    >>> round(float(critical_coupling(weights)), 3)
    1.245
    """
    weights = _weights(connectome)
    p = _parameters(parameters, weights)
    target = None if target_rate is None else _target(target_rate, weights)
    return _critical(weights, p, operating_point(p, target))


def _weights(connectome: xr.Dataset | xr.DataArray) -> xr.DataArray:
    if not isinstance(connectome, xr.Dataset | xr.DataArray):
        raise TypeError(
            f"the connectome is a {type(connectome).__name__}, needs a Dataset with weights(region, region_other) or those weights. "
            "Make them with xr.DataArray(array, dims=('region', 'region_other'))."
        )
    weights = connectome_weights(connectome)
    labels = [name for name in weights.coords if name not in weights.indexes]  # positions and flags of regions do not belong to J_i
    return weights.drop_vars(labels).astype(np.float64).compute()


def _labelled(value: Any, name: str, unit: str, weights: xr.DataArray) -> xr.DataArray:
    """A number, quantity or DataArray as a finite DataArray in ``unit``, in the order of the labels of the connectome."""
    if isinstance(value, jax.core.Tracer) or (isinstance(value, xr.DataArray) and isinstance(value.data, jax.core.Tracer)):
        return xr.DataArray(value)
    if isinstance(value, str | bool):
        raise TypeError(f"{name} is {value!r}, needs a number or a DataArray.")
    data = to_declared(value, unit, name)
    if not isinstance(data, xr.DataArray):
        if np.ndim(data):
            raise TypeError(
                f"{name} is an array of shape {np.shape(data)} without named dims, needs a number or a DataArray. "
                f"Name them with xr.DataArray({name}, dims='k')."
            )
        data = xr.DataArray(data)
    if not bool(np.isfinite(data).all()):
        raise ValueError(f"{name} has NaN or infinite values, needs finite ones. Leave those points out with {name}.dropna(dim).")
    for dim in [d for d in data.dims if d in weights.dims]:
        if dim in data.indexes and dim in weights.indexes and not data.indexes[dim].equals(weights.indexes[dim]):
            wanted = weights.indexes[dim]
            if not data.indexes[dim].is_unique or set(wanted) != set(data.indexes[dim]):
                odd = sorted(map(str, set(wanted) ^ set(data.indexes[dim]))) or "repeated labels"
                raise ValueError(
                    f"{name} and the connectome have different labels in {dim!r} ({odd}), needs the same. Select with .sel({dim}=labels)."
                )
            data = data.sel({dim: wanted})
        elif data.sizes[dim] != weights.sizes[dim]:
            raise ValueError(f"{name} has {data.sizes[dim]} values along {dim!r}, needs {weights.sizes[dim]} as the connectome has.")
    return data


def _parameters(given: Mapping[Any, Any] | None, weights: xr.DataArray) -> formulas.ExcInhParameters:
    values: dict[str, Any] = dict(formulas.ExcInhParameters()._asdict())
    for name, value in (given or {}).items():
        if name not in FIELDS:
            raise KeyError(f"{name!r} is not a parameter of WongWangExcInhStep{nearest(name, FIELDS)}")
        values[name] = value
    units = {declared.name: declared.unit for declared in declared_parameters(WongWangExcInhStep)}
    return formulas.ExcInhParameters(*(_labelled(value, name, units[name], weights) for name, value in values.items()))


def _target(target_rate: float | xr.DataArray, weights: xr.DataArray) -> xr.DataArray:
    target = _labelled(target_rate, "target_rate", "Hz", weights)
    if not bool((target > 0).all()):
        raise ValueError(f"target_rate is {float(target.min()):g} Hz at its smallest, needs more than 0. The model rests at 3.08 Hz.")
    return target


def operating_point(p: formulas.ExcInhParameters, target: xr.DataArray | None) -> formulas.OperatingPoint:
    """The excitatory population at a rate [Hz], by default that of an uncoupled region at rest."""

    def point(*values: np.ndarray) -> tuple[np.ndarray, ...]:
        found = formulas.operating_point(formulas.ExcInhParameters(*values[: len(FIELDS)]), *values[len(FIELDS) :])
        return tuple(np.broadcast_arrays(*found, *values)[: len(found)])

    rate, current, S_e = xr.apply_ufunc(point, *p, *(() if target is None else (target,)), output_core_dims=[[], [], []])
    return formulas.OperatingPoint(rate, current, S_e)


def _critical(weights: xr.DataArray, p: formulas.ExcInhParameters, point: formulas.OperatingPoint) -> xr.DataArray:
    regional = [value.expand_dims({REGION: weights.sizes[REGION]}) if REGION not in value.dims else value for value in (*p, *point)]

    def solve(weights: np.ndarray, *values: np.ndarray) -> float:
        return formulas.critical_coupling(
            formulas.ExcInhParameters(*values[: len(FIELDS)]), formulas.OperatingPoint(*values[len(FIELDS) :]), weights
        )

    core = [MATRIX_DIMS, *([REGION],) * len(regional)]
    critical = xr.apply_ufunc(solve, weights, *regional, input_core_dims=core, vectorize=True, output_dtypes=[np.float64])
    critical.attrs = {UNITS: "1", LONG_NAME: "critical global coupling"}
    return critical.rename("critical_coupling")


def _check(J_i: xr.DataArray, S_i: xr.DataArray) -> None:
    for name, value, bad, needed in (
        ("J_i", J_i, J_i < 0, "inhibition of 0 nA or more"),
        ("S_i", S_i, S_i > 1, "a gating variable of 1 or less, the bound of the model"),
    ):
        places = np.argwhere(bad.values)
        if len(places):
            which = zip(value.dims, places[0], strict=True)
            place = {str(d): value[d].values[i].item() if d in value.coords else int(i) for d, i in which}
            raise ValueError(
                f"the target rate would need {name} = {float(value.values[tuple(places[0])]):.3g} at {place}, needs {needed}. "
                "Give a lower target_rate, or other parameters."
            )


def _warn_beyond(G: xr.DataArray, critical: xr.DataArray, rate: float) -> None:
    G = G.compute()
    beyond = critical <= G
    if not bool(beyond.any()):
        return
    over = beyond.any([d for d in beyond.dims if d not in critical.dims])
    shown = critical.where(over).stack(all=critical.dims).dropna("all") if critical.dims else critical.expand_dims("all")
    limits = []
    for value in shown[:3]:
        names = {d: value[d].item() for d in critical.dims if d in critical.coords}
        limits.append(f"{float(value):.4g}" + (f" ({', '.join(f'{d}={v}' for d, v in names.items())})" if names else ""))
    more = f" and {shown.sizes['all'] - 3} more" if shown.sizes["all"] > 3 else ""
    warnings.warn(
        f"G = {float(G.where(beyond).max()):.4g} is beyond the critical coupling {', '.join(limits)}{more}: there the controlled state is "
        f"unstable and the regions leave the rate of {rate:.3g} Hz. Keep G below it; see critical_coupling(connectome).",
        stacklevel=3,
    )
