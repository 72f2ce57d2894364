"""What sensors outside or inside the head measure of the activity of regions, and the noise of sensors."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax

from xmass.core.model import Value, parameter
from xmass.core.observe import Block, Observation, Timing

Normalise = Literal["l1", "l2"] | None
Reference = Literal["average"] | None


def _checked(normalise: Any, reference: Any = None) -> None:
    if normalise not in (None, "l1", "l2"):
        raise ValueError(f"normalise={normalise!r}, needs None, 'l1' or 'l2'.")
    if reference not in (None, "average"):
        raise ValueError(f"reference={reference!r}, needs None or 'average'.")


def _matrix(gain: jax.Array, regions: int, normalise: Normalise, reference: Reference) -> jax.Array:
    """The gain ``(sensor, region, run or 1)``: rows scaled, then the mean over sensors removed."""
    gain = gain.reshape(-1, regions, gain.shape[-1])
    if normalise is not None:
        size = jnp.abs(gain).sum(axis=1, keepdims=True) if normalise == "l1" else jnp.sqrt((gain * gain).sum(axis=1, keepdims=True))
        gain = gain / jnp.where(size > 0, size, 1.0)
    return gain - gain.mean(axis=0, keepdims=True) if reference == "average" else gain


def _project(gain: jax.Array, values: jax.Array) -> jax.Array:
    """Sensors ``(time, sensor, run)`` of sources ``(time, region, run)``."""
    if gain.shape[-1] == 1:
        return jnp.einsum("sn,tnr->tsr", gain[..., 0], values, precision=lax.Precision.HIGHEST)
    return jnp.einsum("snr,tnr->tsr", gain, values, precision=lax.Precision.HIGHEST)


class EEG(Observation):
    r"""Scalp potentials: sources in regions, times a gain.

    .. math:: y_s(t) = \sum_i G_{si}\, c\, x_i(t)

    Parameters
    ----------
    of : str, Observation or callable
        The source x, such as the output ``eeg`` of the Jansen-Rit model.
    gain : DataArray or "sphere"
        G ``(sensor, region)`` [V/(nA m)]: from :func:`xmass.sphere_lead_field`, or of a head model. Aligned by region label. By default
        the embedded head, :func:`xmass.head_lead_field` of the connectome's ``centres``, which shows patterns and no more.
    scale : float or DataArray
        c, the dipole moment [nA m] that a unit of the source stands for; it may differ by region.
    reference : {None, "average"}
        Subtract the mean over sensors.
    normalise : {None, "l1", "l2"}
        Divide each row of the gain by its sum of absolute values or its root of squares first: the result is then a moment [nA m].
    dim : str
        The dim of the result beside time, which the gain has.
    name : str
        Prefix of the parameters, ``eeg.scale`` and ``eeg.gain``.

    References
    ----------
    Sarvas (1987), doi:10.1088/0031-9155/32/1/004.

    Examples
    --------
    >>> import xmass as xm
    >>> import xarray as xr
    >>> gain = xr.DataArray([[1e-6, 0.0], [0.0, 2e-6], [1e-6, 1e-6]], dims=("sensor", "region"), coords={"sensor": ["Fz", "Cz", "Pz"]})
    >>> sim = xm.Simulator(xm.HopfStep(w=0.3), dt=1.0, regions=2)
    >>> run = sim.run(10.0, monitors={"v": xm.EEG(of="x", gain=gain)}, initial={"x": 0.1})
    >>> dict(run.v.sizes), run.v.attrs["units"]
    ({'v_time': 10, 'sensor': 3}, 'V')
    """

    of: Any = eqx.field(static=True, kw_only=True)
    scale: Value = parameter(1.0, "nA*m/source", "dipole moment of a unit of the source")
    gain: Value = parameter("sphere", "V/(nA*m)", "potential of a unit of moment", dims=("space", "input"))
    reference: Reference = eqx.field(default=None, static=True, kw_only=True)
    normalise: Normalise = eqx.field(default=None, static=True, kw_only=True)
    dim: str = eqx.field(default="sensor", static=True, kw_only=True)
    name: str = eqx.field(default="eeg", static=True, kw_only=True)

    def __check_init__(self) -> None:
        _checked(self.normalise, self.reference)

    @property
    def unit(self) -> str:  # type: ignore[override]
        """Unit of the result."""
        return "V" if self.normalise is None else "nA*m"

    @property
    def space(self) -> str:  # type: ignore[override]
        """Dim of the result."""
        return self.dim

    def timing(self, row: float) -> Timing:
        return Timing(1, 1)

    def init(self, like: jax.Array) -> tuple:
        return ()

    def step(self, state: tuple, block: Block, timing: Timing, row: Any) -> tuple[tuple, jax.Array]:
        gain = _matrix(self.gain, block.values.shape[1], self.normalise, self.reference)
        return state, _project(gain, self.scale * block.values)


class MEG(Observation):
    r"""Magnetic fields at magnetometers: sources in regions, times a gain.

    .. math:: y_s(t) = \sum_i G_{si}\, c\, x_i(t)

    Parameters
    ----------
    of : str, Observation or callable
        The source x.
    gain : DataArray or "sphere"
        G ``(sensor, region)`` [T/(nA m)]: from :func:`xmass.sphere_lead_field`, or of a head model. Aligned by region label. By default
        the embedded head, :func:`xmass.head_lead_field` of the connectome's ``centres`` and ``orientations``.
    scale : float or DataArray
        c, the dipole moment [nA m] that a unit of the source stands for; it may differ by region.
    normalise : {None, "l1", "l2"}
        Divide each row of the gain by its sum of absolute values or its root of squares first: the result is then a moment [nA m].
    dim : str
        The dim of the result beside time, which the gain has.
    name : str
        Prefix of the parameters.

    References
    ----------
    Sarvas (1987), doi:10.1088/0031-9155/32/1/004.

    Examples
    --------
    >>> import xmass as xm
    >>> import xarray as xr
    >>> gain = xr.DataArray([[1e-15, 0.0], [0.0, 2e-15]], dims=("sensor", "region"))
    >>> sim = xm.Simulator(xm.HopfStep(w=0.3), dt=1.0, regions=2)
    >>> sim.run(10.0, monitors={"b": xm.MEG(of="x", gain=gain)}, initial={"x": 0.1}).b.attrs["units"]
    'T'
    """

    of: Any = eqx.field(static=True, kw_only=True)
    scale: Value = parameter(1.0, "nA*m/source", "dipole moment of a unit of the source")
    gain: Value = parameter("sphere", "T/(nA*m)", "field of a unit of moment", dims=("space", "input"))
    normalise: Normalise = eqx.field(default=None, static=True, kw_only=True)
    dim: str = eqx.field(default="sensor", static=True, kw_only=True)
    name: str = eqx.field(default="meg", static=True, kw_only=True)

    def __check_init__(self) -> None:
        _checked(self.normalise)

    @property
    def unit(self) -> str:  # type: ignore[override]
        """Unit of the result."""
        return "T" if self.normalise is None else "nA*m"

    @property
    def space(self) -> str:  # type: ignore[override]
        """Dim of the result."""
        return self.dim

    def timing(self, row: float) -> Timing:
        return Timing(1, 1)

    def init(self, like: jax.Array) -> tuple:
        return ()

    def step(self, state: tuple, block: Block, timing: Timing, row: Any) -> tuple[tuple, jax.Array]:
        gain = _matrix(self.gain, block.values.shape[1], self.normalise, None)
        return state, _project(gain, self.scale * block.values)


class SEEG(Observation):
    r"""Potentials at electrodes inside the brain: sources in regions, times a gain.

    .. math:: y_s(t) = \sum_i G_{si}\, c\, x_i(t)

    Parameters
    ----------
    of : str, Observation or callable
        The source x.
    gain : DataArray
        G ``(sensor, region)`` [V/(nA m)]: from :func:`xmass.unbounded_lead_field` or :func:`xmass.sphere_lead_field`, or of a head model.
    scale : float or DataArray
        c, the dipole moment [nA m] that a unit of the source stands for; it may differ by region.
    reference : {None, "average"}
        Subtract the mean over contacts.
    normalise : {None, "l1", "l2"}
        Divide each row of the gain by its sum of absolute values or its root of squares first: the result is then a moment [nA m].
    dim : str
        The dim of the result beside time, which the gain has.
    name : str
        Prefix of the parameters.

    References
    ----------
    Sarvas (1987), doi:10.1088/0031-9155/32/1/004.

    Examples
    --------
    >>> import xmass as xm
    >>> import xarray as xr
    >>> gain = xr.DataArray([[1e-6, 0.0], [0.0, 2e-6]], dims=("sensor", "region"), coords={"sensor": ["A1", "A2"]})
    >>> sim = xm.Simulator(xm.HopfStep(w=0.3), dt=1.0, regions=2)
    >>> sim.run(10.0, monitors={"v": xm.SEEG(of="x", gain=gain)}, initial={"x": 0.1}).v.sensor.values.tolist()
    ['A1', 'A2']
    """

    of: Any = eqx.field(static=True, kw_only=True)
    scale: Value = parameter(1.0, "nA*m/source", "dipole moment of a unit of the source")
    gain: Value = parameter(..., "V/(nA*m)", "potential of a unit of moment", dims=("space", "input"))
    reference: Reference = eqx.field(default=None, static=True, kw_only=True)
    normalise: Normalise = eqx.field(default=None, static=True, kw_only=True)
    dim: str = eqx.field(default="sensor", static=True, kw_only=True)
    name: str = eqx.field(default="seeg", static=True, kw_only=True)

    def __check_init__(self) -> None:
        _checked(self.normalise, self.reference)

    @property
    def unit(self) -> str:  # type: ignore[override]
        """Unit of the result."""
        return "V" if self.normalise is None else "nA*m"

    @property
    def space(self) -> str:  # type: ignore[override]
        """Dim of the result."""
        return self.dim

    def timing(self, row: float) -> Timing:
        return Timing(1, 1)

    def init(self, like: jax.Array) -> tuple:
        return ()

    def step(self, state: tuple, block: Block, timing: Timing, row: Any) -> tuple[tuple, jax.Array]:
        gain = _matrix(self.gain, block.values.shape[1], self.normalise, self.reference)
        return state, _project(gain, self.scale * block.values)


class MeasurementNoise(Observation):
    r"""A series with the noise of its measurement added: independent in time, normal, with a given covariance.

    .. math:: y(t) = x(t) + C^{1/2} z(t), \qquad \langle z z^T\rangle = I

    The square root is the symmetric one, which exists for a covariance of any rank (that of average-referenced sensors, too). The
    numbers are those of the run's ``seed``, whatever the blocks, and the same in ``xm.observe``.

    Parameters
    ----------
    of : str, Observation or callable
        What is measured: of sensors such as :class:`EEG`, or of regions such as :class:`BOLDSignal`.
    covariance : float or DataArray
        C, in the unit of the series squared: a matrix over its dim, ``(sensor, sensor_other)``; a variance of each entry ``(sensor)``; or
        one variance of all.
    name : str
        Prefix of the parameter, and of the stream of its numbers.

    References
    ----------
    Engemann, Gramfort (2015), doi:10.1016/j.neuroimage.2014.12.040, on the covariance of the noise of sensors.

    Examples
    --------
    >>> import xmass as xm
    >>> sim = xm.Simulator(xm.HopfStep(w=0.3), dt=1.0, regions=2)
    >>> noisy = xm.MeasurementNoise(of=xm.TemporalAverage(of="x", period=5.0), covariance=0.01)
    >>> sim.run(100.0, monitors={"v": noisy}, initial={"x": 0.1}, seed=1).v.sizes["v_time"]
    20
    """

    random: ClassVar[bool] = True

    of: Any = eqx.field(static=True, kw_only=True)
    covariance: Value = parameter(..., "source*source", "covariance", dims=("space", "space_other"))
    name: str = eqx.field(default="measurement", static=True, kw_only=True)

    def timing(self, row: float) -> Timing:
        return Timing(1, 1)

    def init(self, like: jax.Array) -> tuple[jax.Array]:
        n, given = like.shape[0], jnp.asarray(self.covariance)
        if n == 1 or given.ndim < 2 or given.shape[0] != n * n:
            return (jnp.sqrt(given),)
        size, axes = jnp.linalg.eigh(jnp.moveaxis(given.reshape(n, n, -1), -1, 0))
        return (jnp.einsum("rik,rk,rjk->rij", axes, jnp.sqrt(jnp.maximum(size, 0.0)), axes, precision=lax.Precision.HIGHEST),)

    def memory(self, entries: int) -> int:
        return entries

    def step(self, state: tuple[jax.Array], block: Block, timing: Timing, row: Any) -> tuple[tuple[jax.Array], jax.Array]:
        root, z = state[0], block.normals
        if root.ndim < 3:
            return state, block.values + root * z
        root = jnp.broadcast_to(root, (z.shape[2], *root.shape[1:]))
        return state, block.values + jnp.einsum("rij,tjr->tir", root, z, precision=lax.Precision.HIGHEST)
