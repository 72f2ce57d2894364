"""Stimuli: sums of terms that a run takes as inputs."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any, ClassVar

import equinox as eqx
import numpy as np
import xarray as xr

from xmass.labelled.held import SLACK, Held
from xmass.labelled.parameters import Spec
from xmass.labelled.schema import REGION, TIME, UNITS, time_attrs
from xmass.labelled.term import Term, amplitude_of, stamps
from xmass.labelled.unit_bridge import canonical
from xmass.labelled.units import milliseconds
from xmass.labelled.values import Dims

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_POINTS = 20_000
_LINES = 8


class Stimulus(eqx.Module):
    """A stimulus: a sum of terms. Made by the functions of ``xm.stimuli``; frozen, and combined by ``+``, ``-`` and ``*``.

    Give it to a run as ``inputs={"x": stimulus}``. A step takes its value at the start of the step and holds it over the step, as of
    any input. Time is that of the run, absolute, the transient included. Run dims of its numbers become dims of the result. Regions
    are matched by label: a term with labels reaches those regions, the others get 0 of it, and a label that the system lacks is an
    error; a term without labels reaches all.

    Examples
    --------
    >>> import xmass as xm
    >>> both = xm.stimuli.pulse(1.0, onset=10, width=5) + xm.stimuli.sine(0.5, frequency=40, onset=20, stop=70)
    >>> both
    pulse(1, onset=10 ms, width=5 ms) + sine(0.5, frequency=40 Hz, phase=0 rad, onset=20 ms, stop=70 ms)
    >>> both.at([0, 10, 14.9, 15]).values.tolist()
    [0.0, 1.0, 1.0, 0.0]
    """

    terms: tuple[Term, ...] = eqx.field(converter=tuple)

    __array_ufunc__: ClassVar[None] = None  # numpy leaves arithmetic to this class

    def __check_init__(self) -> None:
        _dims_of(self)

    def __repr__(self) -> str:
        return " + ".join(map(str, self.terms))

    def __add__(self, other: Any) -> Stimulus:
        return Stimulus((*self.terms, *as_stimulus(other).terms))

    def __radd__(self, other: Any) -> Stimulus:
        _refuse_arrays(other, "+")
        return self if other == 0 else Stimulus((*as_stimulus(other).terms, *self.terms))  # sum(...) starts with 0

    def __neg__(self) -> Stimulus:
        return self * -1.0

    def __sub__(self, other: Any) -> Stimulus:
        return self + -as_stimulus(other)

    def __rsub__(self, other: Any) -> Stimulus:
        return (-self).__radd__(other)

    def __mul__(self, factor: Any) -> Stimulus:
        if isinstance(factor, Stimulus):
            raise TypeError("a stimulus is multiplied by numbers, not by another stimulus.")
        made = amplitude_of(factor, "the factor")
        return Stimulus(tuple(term.times(made) for term in self.terms))

    def __rmul__(self, factor: Any) -> Stimulus:
        _refuse_arrays(factor, "*")
        return self * factor

    def __truediv__(self, divisor: Any) -> Stimulus:
        return self * (1.0 / divisor)

    def arrays(self) -> list[tuple[str, xr.DataArray]]:
        """All numbers of all terms, with names for messages."""
        return [found for term in self.terms for found in term.arrays()]

    def hold(self, spec: Spec, dims: Dims, regions: np.ndarray, start: float, stop: float, dt: float) -> tuple[Held, ...]:
        """The terms as arrays, as the input ``spec`` needs them; series must cover the times from ``start`` to ``stop`` [ms]."""
        return tuple(term.hold(spec, dims, regions, start, stop, dt) for term in self.terms)

    def at(self, times: Any, *, unit: str | None = None) -> xr.DataArray:
        """The values at some times, as a run whose steps start there takes them.

        Parameters
        ----------
        times : array, Quantity or DataArray
            Increasing times [ms].
        unit : str, optional
            Unit of the result. By default that of the amplitudes; needed where some have one and others are bare numbers, which are in
            the unit of the input that they drive.

        Returns
        -------
        DataArray
            Run dims, time, and region where a term has that dim: all labels of all terms, in the order in which they come.

        Raises
        ------
        ValueError
            If the units do not fit, a series does not cover the times, or regions have labels in some terms and none in others.

        Examples
        --------
        >>> import xarray as xr, xmass as xm
        >>> onset = xr.DataArray([10.0, 20.0], dims="onset")
        >>> xm.stimuli.pulse(1.0, onset=onset, width=5.0, region=["A"]).at([10.0, 20.0]).squeeze("region").values.tolist()
        [[1.0, 0.0], [0.0, 1.0]]
        """
        at = stamps(times if isinstance(times, xr.DataArray) else xr.DataArray(times, dims=TIME), "times")
        if at.ndim != 1 or not at.size or not np.isfinite(at).all() or (np.diff(at) <= 0).any():
            raise ValueError("times are not a list of finite, increasing numbers: np.arange(0, 100, 0.1) for steps of 0.1 ms.")
        declared = self._unit(unit)
        regions = self._regions()
        labels = np.arange(1) if regions is None else regions
        dims = _dims_of(self)
        slack = SLACK * (float(np.diff(at).min()) if at.size > 1 else 1.0)
        shape = (at.size, labels.size, dims.runs)
        total = np.zeros(shape)
        spec = Spec("the stimulus", self, declared or "1", "")
        for term in self.hold(spec, dims, labels, float(at[0]), float(at[-1]), 0.0):
            total += np.broadcast_to(term.rows(dims.sizes, np.arange(dims.runs), at, slack), shape)
        made = xr.DataArray(
            np.moveaxis(total, -1, 0).reshape(*dims.shape, at.size, labels.size),
            dims=(*dims.sizes, TIME, REGION),
            coords={**{n: (n, c.values, c.attrs) for n, c in dims.labels.items()}, TIME: (TIME, at, time_attrs())},
            name="stimulus",
            attrs={} if declared is None else {UNITS: declared},
        )
        if regions is None:
            return made.isel({REGION: 0})
        return made.assign_coords({REGION: regions}) if any(t.labels is not None for t in self.terms) else made

    def plot(self, duration: Any = None, *, dt: Any = None, unit: str | None = None, ax: Axes | None = None) -> Axes:
        """Draw it against time, one line for each region and run.

        Parameters
        ----------
        duration : float or Quantity, optional
            How far to draw [ms]; by default until all terms have been seen.
        dt : float or Quantity, optional
            Draw it as a run with this step takes it [ms]; by default fine enough for the shortest part.
        unit : str, optional
            As in :meth:`at`.
        ax : Axes, optional

        Returns
        -------
        Axes

        Raises
        ------
        ValueError
            If ``duration`` is not one step or more, and as :meth:`at`.

        Examples
        --------
        >>> import matplotlib; matplotlib.use("agg")
        >>> import xmass as xm
        >>> xm.stimuli.ramp(1.0, onset=10, width=20).plot(50).get_xlabel()
        'time [ms]'
        """
        import matplotlib.pyplot as plt

        spans = [term.span for term in self.terms]
        stop = (max(end for end, _ in spans) or 100.0) if duration is None else milliseconds(duration, "duration")
        step = max(min(*(part / 20 for _, part in spans), stop / 500), stop / _POINTS) if dt is None else milliseconds(dt, "dt")
        if not 0 < step <= stop:
            raise ValueError(f"plot got duration={stop:g} ms and dt={step:g} ms, needs at least one step.")
        data = self.at(np.arange(round(stop / step)) * step, unit=unit)
        if ax is None:
            _, ax = plt.subplots(figsize=(9, 2.6), layout="constrained")
        others: list[Hashable] = [d for d in data.dims if d != TIME]
        lines = data.transpose(*others, TIME).values.reshape(-1, data.sizes[TIME])
        few = len(lines) <= _LINES
        colours = plt.get_cmap("tab10")(np.arange(len(lines))) if few else plt.get_cmap("viridis")(np.linspace(0, 0.95, len(lines)))
        for line, colour, name in zip(lines, colours, _names(data, others), strict=True):
            ax.stairs(line, (*data[TIME].values, stop), color=colour, linewidth=1.2 if few else 0.6, baseline=None, label=name)
        if len(lines) > 1 and few:
            ax.legend(fontsize=7, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
        elif not few:
            ax.set_title(f"{len(lines)} lines over {', '.join(map(str, others))}, from dark to light", loc="right", fontsize=7)
        shown = data.attrs.get(UNITS, "1")
        ax.set(xlabel="time [ms]", ylabel="stimulus" if shown == "1" else f"stimulus [{shown}]", xlim=(0.0, stop))
        ax.spines[["top", "right"]].set_visible(False)
        return ax

    def _unit(self, unit: str | None) -> str | None:
        """The unit of the values: as asked, else that of the amplitudes."""
        if unit is not None:
            return canonical(unit)
        found = [term.amplitude.attrs.get(UNITS) for term in self.terms]
        known = [f for f in found if f is not None]
        if known and len(known) < len(found):
            raise ValueError(
                f"the stimulus has amplitudes in {known[0]} and bare numbers, which are in the unit of the input that they drive. "
                f"Say which that is: unit={known[0]!r}."
            )
        return known[0] if known else None

    def _regions(self) -> np.ndarray | None:
        """All labels of all terms; positions where there are none, None where no term has the dim region."""
        labels = list(dict.fromkeys(v for term in self.terms for v in term.labels or ()))
        plain = {a.sizes[REGION] for _, a in self.arrays() if REGION in a.dims and REGION not in a.coords}
        if plain and (labels or len(plain) > 1):
            had = f"labels in some terms and {sorted(plain)} regions without in others" if labels else f"{sorted(plain)} in different terms"
            raise ValueError(f"the stimulus has regions with {had}. Give all of them labels: .assign_coords(region=labels).")
        if not labels:
            return np.arange(plain.pop()) if plain else None
        found = np.empty(len(labels), dtype=object)
        found[:] = labels
        return found if any(isinstance(v, str) for v in labels) else np.asarray(labels)


def _dims_of(stimulus: Stimulus) -> Dims:
    """The run dims of all terms; labels that disagree are an error."""
    dims = Dims()
    for origin, array in stimulus.arrays():
        dims.add(array, origin, skip=(TIME,))
    return dims


def _names(data: xr.DataArray, dims: list[Hashable]) -> list[str]:
    """What the lines of a figure are called."""

    def label(dim: Hashable, i: int) -> str:
        value = data[dim].values[i] if dim in data.coords else i
        return f"{dim} {value:g}" if isinstance(value, float | np.floating) else f"{dim} {value}"

    return [", ".join(label(d, i) for d, i in zip(dims, at, strict=True)) for at in np.ndindex(*(data.sizes[d] for d in dims))]


def _refuse_arrays(value: Any, sign: str) -> None:
    """Xarray hands over the numbers of a DataArray alone when it stands on the left: its labels would be lost."""
    if not isinstance(value, int | float | np.number):
        raise TypeError(
            f"a {type(value).__name__} {sign} a stimulus would lose its dims and labels. Put the stimulus first: stimulus {sign} array."
        )


def as_stimulus(value: Any) -> Stimulus:
    """A stimulus from what may stand beside one in a sum: a number, a quantity or a DataArray."""
    if isinstance(value, Stimulus):
        return value
    if callable(value) and not isinstance(value, xr.DataArray) and not hasattr(value, "unit"):
        raise TypeError(
            "a function of time cannot be added to a stimulus. Add its samples: xr.DataArray(f(ms), dims='time', coords={'time': ms})."
        )
    series = isinstance(value, xr.DataArray) and TIME in value.dims
    return Stimulus((Term("series" if series else "constant", amplitude_of(value, "what is added to the stimulus", time=True)),))
