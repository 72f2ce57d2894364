"""Free numbers as parameters: labelled arrays of the free and the derived ones, made in a way that JAX can differentiate."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from xmass.fit.layout import Layout, Space
from xmass.labelled.parameters import Spec
from xmass.labelled.schema import MATRIX_DIMS, UNITS
from xmass.labelled.suggest import nearest
from xmass.labelled.units import factor

Derive = Mapping[str, Callable[[Mapping[str, xr.DataArray]], Any]]


class Known(Mapping[str, xr.DataArray]):
    """What a derived parameter may read: the free parameters, those derived before it, and every other one at its value."""

    def __init__(self, found: dict[str, xr.DataArray], fixed: Mapping[str, xr.DataArray]) -> None:
        self._found, self._fixed = found, fixed
        self.read: set[str] = set()

    def __getitem__(self, path: str) -> xr.DataArray:
        self.read.add(path)
        if path in self._found:
            return self._found[path]
        if path in self._fixed:
            return self._fixed[path]
        raise KeyError(f"derive reads {path!r}, which is no parameter and not searched{nearest(path, [*self._found, *self._fixed])}")

    def __iter__(self) -> Iterator[str]:
        return iter({**self._fixed, **self._found})

    def __len__(self) -> int:
        return len({**self._fixed, **self._found})


@dataclasses.dataclass(frozen=True, eq=False)
class Points:
    """The free parameters of a fit and what follows from them.

    ``c`` is ``(*sizes, layout.size)`` in the coordinates of ``space``; the dims of a labelled value are those of ``sizes``, then its own.
    """

    layout: Layout
    space: Space
    inner: Mapping[str, tuple[str, ...]]
    """Own dims of each free parameter."""
    labels: Mapping[str, xr.DataArray]
    """Labels of dims, where they have some."""
    derive: Derive
    fixed: Mapping[str, xr.DataArray]
    """Every other parameter of the system at its value."""
    specs: Mapping[str, Spec]
    """Parameters that a run takes."""
    first: np.ndarray
    """Coordinates ``(fits, size)`` of the values that the parameters were given."""

    def free(self, c: Any, sizes: Mapping[str, int]) -> dict[str, xr.DataArray]:
        """The free parameters as labelled arrays, in their declared units."""
        lead = tuple(sizes.values())
        made = jax.vmap(functools.partial(self.layout.to_values, space=self.space))(jnp.reshape(c, (-1, c.shape[-1])))
        found = {}
        for path, values in made.items():
            dims = (*sizes, *self.inner[path])
            data = jnp.reshape(values, (*lead, *values.shape[1:]))
            coords = {d: self.labels[d] for d in dims if d in self.labels and self.labels[d].size == data.shape[dims.index(d)]}
            unit = self.specs[path].unit if path in self.specs else ""
            found[path] = xr.DataArray(data, dims=dims, coords=coords, attrs={UNITS: unit} if unit else {}, name=path)
        return found

    def values(self, c: Any, sizes: Mapping[str, int]) -> dict[str, xr.DataArray]:
        """The parameters that a run takes: free ones and derived ones, in their declared units."""
        return {path: value for path, value in self._made(c, sizes)[0].items() if path in self.specs}

    def check_read(self, c: Any, sizes: Mapping[str, int]) -> None:
        """Refuses a free or derived number that is no parameter and that nothing reads: a name that is spelled wrong."""
        found, read = self._made(c, sizes)
        for path in (p for p in found if p not in self.specs and p not in read):
            where = "derive" if path in self.derive else "search"
            raise KeyError(f"{where} has {path!r}, which is not a parameter, and no derive reads it{nearest(path, list(self.specs))}")

    def check_apart(self, c: Any, sizes: Mapping[str, int]) -> None:
        """Refuses derived parameters of one point that follow from the numbers of another, as a mean over subjects does."""
        first = jnp.zeros(c.shape).reshape(-1, c.shape[-1]).at[0].set(1.0).reshape(c.shape)
        _, moved = jax.jvp(lambda x: {n: rows(v, sizes) for n, v in self._made(x, sizes)[0].items()}, (c,), (first.astype(c.dtype),))
        for name in self.derive:
            if bool((jnp.abs(moved[name][1:]) > 0).any()):
                raise ValueError(
                    f"derive[{name!r}] mixes what is fitted apart: its values have the dims {tuple(sizes)} beside their own, and are to be "
                    "the same whatever else runs. Name the dim of a reduction: q['a'].mean('region'), not q['a'].mean()."
                )

    def _made(self, c: Any, sizes: Mapping[str, int]) -> tuple[dict[str, xr.DataArray], set[str]]:
        """Free and derived numbers, and which of them derived ones have read."""
        found, read = self.free(c, sizes), set()
        for name, function in self.derive.items():
            known = Known(found, self.fixed)
            try:
                made = function(known)
            except (jax.errors.TracerArrayConversionError, jax.errors.ConcretizationTypeError, ValueError) as error:
                if type(error) is ValueError and "truth value" not in str(error):
                    raise
                raise TypeError(
                    f"derive[{name!r}] turns the arrays that JAX traces into numbers ({type(error).__name__}). Build it from arithmetic, "
                    "methods of xarray such as .mean('region') and .where(), xr.ufuncs (xr.ufuncs.log, not np.log), and xr.apply_ufunc "
                    "over functions of jax.numpy."
                ) from None
            found[name] = self._declared(name, made)
            read |= known.read
        return found, read

    def _declared(self, name: str, value: Any) -> xr.DataArray:
        """A derived value in its declared unit, its regions in the order of the network."""
        if not isinstance(value, xr.DataArray):
            if not np.ndim(value) and (isinstance(value, jax.Array) or np.asarray(value).dtype.kind in "fiu"):
                return xr.DataArray(jnp.asarray(value), attrs={UNITS: self.specs[name].unit} if name in self.specs else {})
            raise TypeError(
                f"derive[{name!r}] returns a {type(value).__name__} of shape {np.shape(value)}, needs a number or a DataArray: it is "
                "given DataArrays, so arithmetic on them keeps the dims."
            )
        if name not in self.specs:
            return value
        wanted, given = self.specs[name].unit, value.attrs.get(UNITS, "")
        if given and given != wanted:
            try:
                value = value * factor(given, wanted)
            except ValueError as error:
                raise ValueError(
                    f"derive[{name!r}] returns a value in {given!r}: {error} Arithmetic keeps the unit of what it begins with; "
                    f"say that of the result: (...).assign_attrs(units={wanted!r})."
                ) from None
        if all(d in value.dims for d in MATRIX_DIMS):
            value = value.transpose(..., *MATRIX_DIMS)
        for dim in (d for d in value.dims if d in self.labels and d in value.coords):
            labels, own = self.labels[dim].values.tolist(), value[dim].values.tolist()
            if own != labels:
                if sorted(map(str, own)) != sorted(map(str, labels)):
                    raise ValueError(f"derive[{name!r}] has other labels along {dim!r} than the fit. Select the same: .sel({dim}=...).")
                value = value.isel({dim: [own.index(label) for label in labels]})
        return value.assign_attrs({UNITS: wanted})

    def penalty(self, c: Any) -> Any:
        """What regularisation adds to the loss ``(fits, k)`` of points ``(fits, k, size)``."""
        values = functools.partial(self.layout.to_values, space=self.space)

        def one(point: Any, first: Any) -> Any:
            return self.layout.penalty(point, self.space, values(first))

        return jax.vmap(jax.vmap(one, (0, None)))(c, jnp.asarray(self.first, c.dtype))


def rows(value: xr.DataArray, sizes: Mapping[str, int]) -> Any:
    """A value over every run: ``(run, *own dims)``, runs in the order of ``sizes``."""
    own = [d for d in value.dims if d not in sizes]
    missing = [d for d in sizes if d not in value.dims]
    ordered = value.transpose(*(d for d in sizes if d in value.dims), *own)
    data = jnp.asarray(ordered.data)
    for position, dim in enumerate(sizes):
        if dim in missing:
            data = jnp.expand_dims(data, position)
    tail = tuple(value.sizes[d] for d in own)
    return jnp.broadcast_to(data, (*sizes.values(), *tail)).reshape(-1, *tail)
