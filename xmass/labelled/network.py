"""A network: a node model in every region, a connectome between them, and the couplings that use it."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import xarray as xr

from xmass.core.coupling import Coupling
from xmass.core.model import Mixed, NeuralMass, declared_parameters
from xmass.labelled.connectome import check_connectome, places_of
from xmass.labelled.parts import check_between, check_parts
from xmass.labelled.regions import align_regions
from xmass.labelled.schema import DISTANCES, REGION, REGION_OTHER, SPEED, WEIGHTS
from xmass.labelled.suggest import nearest

Delays = Literal["nearest", "ceil", "linear"]


@dataclasses.dataclass(frozen=True, eq=False)
class Network:
    """Regions with one node model, or with several, coupled through a connectome.

    Parameters
    ----------
    node : NeuralMass or mapping of str to NeuralMass
        The model of every region. Several models by name: states, parameters, inputs, outputs and monitors are then
        ``<name>.<state>`` and so on, values of one model on its regions, NaN elsewhere.
    connectome : Dataset or mapping of str to Dataset
        ``weights(..., region, region_other)`` and, with ``speed``, ``distances(..., region, region_other)`` in mm. Row
        receives, column sends. Weights are used as given, diagonal too. Further dims (subject) become dims of the result.
        Weights with the dim ``time`` vary during a run; each sample holds until the next. A mapping gives each coupling, by its
        name, a connectome of its own over the same regions: its paths are ``coupling.<name>.weights`` and so on.
    speed : float, Quantity or DataArray, or mapping of str to them, optional
        Conduction speed [mm/ms]. Without it there are no delays. A mapping goes with one of connectomes.
    coupling : Coupling or mapping of str to Coupling, optional
        One coupling, whose parameters are ``coupling.k``, or several by name: ``coupling.<name>.k``.
    delays : {"nearest", "ceil", "linear"}
        How ``distance / speed`` becomes steps: to the nearest step (half to even), up, or interpolated linearly between steps.
    assignment : DataArray of str, optional
        With several models, the name of that of each ``region``.

    Raises
    ------
    TypeError, ValueError, KeyError
        If the connectome has wrong dims, repeated or unequal labels, NaN or negative distances, a coupling names a state
        or input that the model lacks, or the assignment does not give every region a model and every model a region.

    Examples
    --------
    >>> import xmass as xm
    >>> sc = xm.datasets.load_dataset("example_connectome")
    >>> net = xm.Network(xm.HopfStep(a=0.2), sc, speed=10.0, coupling=xm.DiffusiveCoupling(k=0.5, source="x", target="x"))
    >>> len(net.regions)
    8
    """

    node: NeuralMass | Mapping[str, NeuralMass]
    connectome: xr.Dataset | Mapping[str, xr.Dataset]
    speed: Any = None
    coupling: Coupling | Mapping[str, Coupling] | None = None
    delays: Delays = "nearest"
    assignment: xr.DataArray | None = None
    places: xr.Dataset | None = dataclasses.field(default=None, init=False, repr=False)
    """Positions of the regions, where the connectome has them: for sensors that are given no gain."""

    def __post_init__(self) -> None:
        for name in ("node", "coupling", "speed"):  # a mapping of the caller may change later
            if isinstance(getattr(self, name), Mapping):
                object.__setattr__(self, name, dict(getattr(self, name)))
        if not isinstance(self.node, NeuralMass | Mapping):
            raise TypeError(f"node is a {type(self.node).__name__}, needs a model such as xm.HopfStep(), or several by name.")
        for key in self.coupling if isinstance(self.coupling, Mapping) else ():
            if not isinstance(key, str) or not key.isidentifier():
                raise ValueError(f"a coupling is called {key!r}, needs a name such as 'fast': its parameters are coupling.fast.k.")
        object.__setattr__(self, "places", places_of(self.connectome))
        object.__setattr__(self, "connectome", self._checked_connectome())
        if self.delays not in ("nearest", "ceil", "linear"):
            raise ValueError(f"delays={self.delays!r}, needs 'nearest', 'ceil' or 'linear'.")
        self._check_speed()
        object.__setattr__(self, "assignment", self._checked_assignment())
        for name, coupling in self.couplings.items():
            self._check(name, coupling)

    def _checked_connectome(self) -> xr.Dataset | dict[str, xr.Dataset]:
        """Weights and distances alone, checked; of several connectomes all in the region order of the first."""
        given = self.connectome
        if not isinstance(given, Mapping) or isinstance(given, xr.Dataset):
            return _structural(given, "connectome")
        names = list(self.coupling) if isinstance(self.coupling, Mapping) else []
        if sorted(map(str, given)) != sorted(names):
            raise ValueError(
                f"connectome has {sorted(map(str, given))}, needs one for each coupling, by its name: {sorted(names)}. "
                "One Dataset serves all couplings."
            )
        checked = {name: _structural(ds, f"connectome[{name!r}]") for name, ds in given.items()}
        labelled = next((name for name in names if REGION in checked[name].coords), None)
        if labelled is not None:
            return {name: _in_order(checked[name], checked[labelled][REGION].values, name, labelled) for name in names}
        if len({ds.sizes[REGION] for ds in checked.values()}) > 1:
            raise ValueError(f"the connectomes have {[ds.sizes[REGION] for ds in checked.values()]} regions, need the same.")
        return {name: checked[name] for name in names}

    def _check_speed(self) -> None:
        several = isinstance(self.connectome, Mapping) and not isinstance(self.connectome, xr.Dataset)
        if isinstance(self.speed, Mapping) and not several:
            raise ValueError("speed is a mapping and the connectome is one Dataset. Give one speed, or a connectome for each coupling.")
        unknown = sorted(set(self.speed) - set(self.connectome)) if isinstance(self.speed, Mapping) else []
        if unknown:
            raise ValueError(f"speed has {unknown}, which are no couplings; needs some of {sorted(map(str, self.connectome))}.")
        for prefix, ds in self.connectomes.items():
            if self.speed_of(prefix) is not None and DISTANCES not in ds:
                which = f"connectome[{prefix.split('.')[1]!r}]" if prefix else "the connectome"
                raise KeyError(
                    f"speed is given but {which} has no 'distances'. Add them: connectome.assign(distances=...), or drop that speed."
                )

    def _checked_assignment(self) -> xr.DataArray | None:
        """The name of each region's model, in the order of the regions."""
        given = self.assignment
        if isinstance(self.node, NeuralMass):
            if given is not None:
                raise ValueError("assignment is given with one model, needs several by name: Network({'hopf': ..., 'seizure': ...}, ...).")
            return None
        check_parts(self.node)
        if not isinstance(given, xr.DataArray) or given.dims != (REGION,):
            raise TypeError(
                "several models need assignment, a DataArray over 'region' with the name of each region's model: "
                f"xr.DataArray([...], dims='region'), names {sorted(self.node)}."
            )
        aligned = align_regions(given, self.regions, "assignment")
        names = [str(v) for v in aligned.values.tolist()]
        unknown, unused = sorted(set(names) - set(self.node)), sorted(set(self.node) - set(names))
        if unknown or unused:
            said = [f"{what} {which}" for what, which in (("names unknown models", unknown), ("gives no region to", unused)) if which]
            raise ValueError(f"assignment {' and '.join(said)}; the models are {sorted(self.node)}, and each needs a region.")
        return xr.DataArray(np.array(names, dtype=object), dims=REGION)

    @functools.cached_property
    def model(self) -> NeuralMass:
        """The model of every region: the one, or all as one."""
        if isinstance(self.node, NeuralMass):
            return self.node
        assert self.assignment is not None
        names = self.assignment.values.tolist()
        return Mixed(tuple(self.node.items()), tuple(tuple(n == key for n in names) for key in self.node))

    @property
    def connectomes(self) -> dict[str, xr.Dataset]:
        """Connectomes by the prefix of their paths: "" where one serves all couplings, else ``coupling.<name>.``."""
        if isinstance(self.connectome, xr.Dataset):
            return {"": self.connectome}
        return {f"coupling.{name}.": ds for name, ds in self.connectome.items()}

    def prefix_of(self, path: str) -> str:
        """The prefix of the connectome that a coupling uses."""
        return "" if isinstance(self.connectome, xr.Dataset) else f"{path}."

    def speed_of(self, prefix: str) -> Any:
        """The speed of the connectome with that prefix; None: no delays."""
        if isinstance(self.speed, Mapping):
            return self.speed.get(prefix.removeprefix("coupling.").removesuffix("."))
        return self.speed

    @property
    def first(self) -> xr.Dataset:
        """The connectome whose labels the regions have."""
        return next(iter(self.connectomes.values()))

    @property
    def couplings(self) -> dict[str, Coupling]:
        """Couplings by their path: ``coupling``, or ``coupling.<name>``."""
        if self.coupling is None:
            return {}
        if isinstance(self.coupling, Mapping):
            return {f"coupling.{name}": c for name, c in self.coupling.items()}
        return {"coupling": self.coupling}

    @property
    def regions(self) -> np.ndarray:
        """Region labels, 0..N-1 where the connectome has none."""
        if REGION in self.first.coords:
            return self.first[REGION].values
        return np.arange(self.first.sizes[REGION])

    @property
    def region_coords(self) -> dict[str, xr.DataArray]:
        """Coordinates along the region axes that results keep."""
        axes = {REGION, REGION_OTHER}
        return {str(n): c for n, c in self.first.coords.items() if n not in axes and c.ndim and set(c.dims) <= axes}

    @property
    def scalar_coords(self) -> dict[str, xr.DataArray]:
        """Coordinates of the whole connectome, such as the subject it is of."""
        return {str(n): c.reset_coords(drop=True) for n, c in self.first.coords.items() if not c.ndim}

    def _check(self, name: str, coupling: Coupling) -> None:
        if not isinstance(coupling, Coupling):
            raise TypeError(
                f"{name} is a {type(coupling).__name__}, needs a coupling such as xm.DiffusiveCoupling(source='x', target='x')."
            )
        model = type(self.model).__name__ if isinstance(self.node, NeuralMass) else "the network"
        sources = [s.name for s in self.model.states] + [o.name for o in self.model.outputs if not o.uses_input]
        targets = [i.name for i in self.model.inputs]
        if coupling.source not in sources:
            raise ValueError(f"{name} has source={coupling.source!r}, which {model} lacks{nearest(coupling.source, sources)}")
        if coupling.target not in targets:
            raise ValueError(f"{name} has target={coupling.target!r}, which {model} lacks{nearest(coupling.target, targets)}")
        clash = {d.name for d in declared_parameters(type(coupling))} & {WEIGHTS, DISTANCES, SPEED}
        if clash:
            raise ValueError(f"{name} declares the parameters {sorted(clash)}, which are those of a connectome. Call them otherwise.")
        if isinstance(self.model, Mixed):
            check_between(name, coupling)


def _structural(connectome: Any, name: str) -> xr.Dataset:
    """Weights and distances of a connectome, checked."""
    if not isinstance(connectome, xr.Dataset):
        raise TypeError(f"{name} is a {type(connectome).__name__}, needs a Dataset with weights(region, region_other).")
    structural = connectome[[v for v in (WEIGHTS, DISTANCES) if v in connectome.data_vars]]
    structural.attrs = {}
    try:
        checked = check_connectome(structural)
    except (KeyError, TypeError, ValueError) as error:
        if name == "connectome":
            raise
        raise type(error)(f"{name}: {error.args[0]}") from None
    if not checked.sizes[REGION]:
        raise ValueError(f"the {name} has no regions, needs at least one. Look at what selected them: .sel(region=...).")
    return checked


def _in_order(connectome: xr.Dataset, labels: np.ndarray, name: str, labelled: str) -> xr.Dataset:
    """A connectome in the region order of the one whose labels are taken; by position where it has none."""
    if REGION not in connectome.coords:
        if connectome.sizes[REGION] != len(labels):
            raise ValueError(f"connectome[{name!r}] has {connectome.sizes[REGION]} regions, connectome[{labelled!r}] has {len(labels)}.")
        return connectome.assign_coords({REGION: labels, REGION_OTHER: labels})
    own, wanted = connectome[REGION].values.tolist(), labels.tolist()
    missing, extra = ([str(v) for v in a if v not in b][:5] for a, b in ((wanted, set(own)), (own, set(wanted))))
    if missing or extra:
        said = " and ".join(f"{what} {found}" for what, found in (("lacks", missing), ("has unknown", extra)) if found)
        raise ValueError(
            f"connectome[{name!r}] {said} along 'region', beside connectome[{labelled!r}]: all connectomes need the same regions. Select "
            "the shared ones: .sel(region=labels, region_other=labels)."
        )
    return connectome.sel({REGION: labels, REGION_OTHER: labels})
