"""A network: a node model in every region, a connectome between them, and the couplings that use it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import xarray as xr

from xmass.core.coupling import Coupling
from xmass.core.model import NeuralMass
from xmass.labelled.connectome import check_connectome
from xmass.labelled.schema import DISTANCES, REGION, REGION_OTHER, WEIGHTS
from xmass.labelled.suggest import nearest

Delays = Literal["nearest", "ceil", "linear"]


@dataclasses.dataclass(frozen=True, eq=False)
class Network:
    """Regions with one node model, coupled through a connectome.

    Parameters
    ----------
    node : NeuralMass
        The model of every region.
    connectome : Dataset
        ``weights(..., region, region_other)`` and, with ``speed``, ``distances(..., region, region_other)`` in mm. Row
        receives, column sends. Weights are used as given, diagonal too. Further dims (subject) become dims of the result.
    speed : float, Quantity or DataArray, optional
        Conduction speed [mm/ms]. Without it there are no delays.
    coupling : Coupling or mapping of str to Coupling, optional
        One coupling, whose parameters are ``coupling.k``, or several by name: ``coupling.<name>.k``.
    delays : {"nearest", "ceil", "linear"}
        How ``distance / speed`` becomes steps: to the nearest step (half to even), up, or interpolated linearly between steps.

    Raises
    ------
    TypeError, ValueError, KeyError
        If the connectome has wrong dims, repeated or unequal labels, NaN or negative distances, or a coupling names a state
        or input that the model lacks.

    Examples
    --------
    >>> import xmass as xm
    >>> sc = xm.datasets.load_dataset("example_connectome")
    >>> net = xm.Network(xm.HopfStep(a=0.2), sc, speed=10.0, coupling=xm.DiffusiveCoupling(k=0.5, source="x", target="x"))
    >>> len(net.regions)
    8
    """

    node: NeuralMass
    connectome: xr.Dataset
    speed: Any = None
    coupling: Coupling | Mapping[str, Coupling] | None = None
    delays: Delays = "nearest"

    def __post_init__(self) -> None:
        if not isinstance(self.node, NeuralMass):
            raise TypeError(f"node is a {type(self.node).__name__}, needs a model such as xm.HopfStep().")
        if not isinstance(self.connectome, xr.Dataset):
            raise TypeError(f"connectome is a {type(self.connectome).__name__}, needs a Dataset with weights(region, region_other).")
        kept = [name for name in (WEIGHTS, DISTANCES) if name in self.connectome.data_vars]
        structural = self.connectome[kept]
        structural.attrs = {}
        object.__setattr__(self, "connectome", check_connectome(structural))
        if not self.connectome.sizes[REGION]:
            raise ValueError("the connectome has no regions, needs at least one. Look at what selected them: .sel(region=...).")
        if self.delays not in ("nearest", "ceil", "linear"):
            raise ValueError(f"delays={self.delays!r}, needs 'nearest', 'ceil' or 'linear'.")
        if self.speed is not None and DISTANCES not in self.connectome:
            raise KeyError(
                "speed is given but the connectome has no 'distances'. Add them: connectome.assign(distances=...), or drop speed=."
            )
        for key in self.coupling if isinstance(self.coupling, Mapping) else ():
            if not isinstance(key, str) or not key.isidentifier():
                raise ValueError(f"a coupling is called {key!r}, needs a name such as 'fast': its parameters are coupling.fast.k.")
        for name, coupling in self.couplings.items():
            self._check(name, coupling)

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
        if REGION in self.connectome.coords:
            return self.connectome[REGION].values
        return np.arange(self.connectome.sizes[REGION])

    @property
    def region_coords(self) -> dict[str, xr.DataArray]:
        """Coordinates along the region axes that results keep."""
        axes = {REGION, REGION_OTHER}
        return {str(n): c for n, c in self.connectome.coords.items() if n not in axes and c.ndim and set(c.dims) <= axes}

    @property
    def scalar_coords(self) -> dict[str, xr.DataArray]:
        """Coordinates of the whole connectome, such as the subject it is of."""
        return {str(n): c.reset_coords(drop=True) for n, c in self.connectome.coords.items() if not c.ndim}

    def _check(self, name: str, coupling: Coupling) -> None:
        if not isinstance(coupling, Coupling):
            raise TypeError(
                f"{name} is a {type(coupling).__name__}, needs a coupling such as xm.DiffusiveCoupling(source='x', target='x')."
            )
        model = type(self.node).__name__
        sources = [s.name for s in self.node.states] + [o.name for o in self.node.outputs if not o.uses_input]
        targets = [i.name for i in self.node.inputs]
        if coupling.source not in sources:
            raise ValueError(f"{name} has source={coupling.source!r}, which {model} lacks{nearest(coupling.source, sources)}")
        if coupling.target not in targets:
            raise ValueError(f"{name} has target={coupling.target!r}, which {model} lacks{nearest(coupling.target, targets)}")
        if coupling.source not in [s.name for s in self.node.states] and self.speed is not None:
            raise ValueError(f"{name} has source={coupling.source!r}, an output; a delayed coupling needs a state.")
