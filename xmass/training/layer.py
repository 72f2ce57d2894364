"""What NVAR and Reservoir share: features out of a stream of inputs, which a readout is fitted to."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

if TYPE_CHECKING:
    from xmass.training.grid import TrainedGrid
    from xmass.training.trained import Readout, Trained

Fixed = Mapping[str, Any]


class FeatureLayer(abc.ABC):
    """Fixed features of a series; only the readout behind them is fitted. A subclass is a frozen dataclass."""

    @property
    @abc.abstractmethod
    def memory(self) -> int:
        """Samples at the start of a series whose features do not count, unless ``washout=`` says otherwise."""

    @abc.abstractmethod
    def names(self, inputs: Sequence[str]) -> tuple[str, ...]:
        """A name for each feature."""

    @abc.abstractmethod
    def fixed(self, inputs: int) -> dict[str, Any]:
        """The weights that are drawn and never fitted."""

    @abc.abstractmethod
    def start(self, batch: int, inputs: int) -> np.ndarray:
        """The state before the first sample, ``(batch, ...)``."""

    @abc.abstractmethod
    def step(self, fixed: Fixed, state: Any, u: Any, noise: Any) -> tuple[Any, Any]:
        """State and features ``(batch, feature)`` after the inputs ``u (batch, input)``."""

    @abc.abstractmethod
    def run(self, u: np.ndarray, *, training: bool = False) -> np.ndarray:
        """Features ``(batch, time, feature)`` of inputs ``(batch, time, input)``, every series from the start."""

    @property
    def kernel(self) -> FeatureLayer:
        """What :meth:`step` needs besides ``fixed``: layers with the same one share what was compiled."""
        return self

    def transform(self, ds: xr.Dataset, *, x: str | Sequence[str], features: str | Sequence[str] = "feature") -> xr.DataArray:
        """The features themselves, each series from the start.

        Parameters
        ----------
        ds : Dataset
            Series with one time dim of one step.
        x, features : str or sequence of str
            As in :meth:`fit`.

        Returns
        -------
        DataArray
            ``(..., time, feature)``; the coordinate ``feature`` has the names. The first :attr:`memory` samples are warm-up.

        Raises
        ------
        ValueError
            If data are missing or not finite.
        KeyError
            If there is no variable of a name.
        """
        from xmass.training.fitting import features_of

        return features_of(self, ds, x=x, features=features)

    def fit(
        self,
        ds: xr.Dataset,
        *,
        x: str | Sequence[str],
        y: str | Sequence[str] | None = None,
        readout: Readout | None = None,
        features: str | Sequence[str] = "feature",
        target: Literal["state", "increment"] = "state",
        washout: int | None = None,
    ) -> Trained | TrainedGrid:
        """Fit the readout to a Dataset.

        Parameters
        ----------
        ds : Dataset
            Series with one time dim of one step. Every other dim that is no feature is a batch: its series are separate, none remembers
            another, and all are samples of one fit.
        x : str or sequence of str
            Variables that come in.
        y : str or sequence of str, optional
            Variables to be found at the same time. Their dims that ``x`` has not, as ``horizon``, are kept. Without ``y`` the readout
            predicts ``x`` one step later, and what is returned can forecast.
        readout : Ridge, RLS, LMS or any object with ``fit(X, Y)`` and ``predict(X)``, optional
            :class:`Ridge` if not given. An object of your own is copied.
        features : str or sequence of str
            Dims that count as inputs, not as a batch.
        target : "state" or "increment"
            Without ``y``: whether the readout gives the next state, or how far it is from the present one.
        washout : int, optional
            Samples at the start of each series that are not fitted, :attr:`memory` if not given.

        Returns
        -------
        Trained or TrainedGrid
            With ``predict(ds)``, ``forecast(n_steps, from_=ds)``, ``weights``, ``history`` and ``save(path)``. If a hyper-parameter of the
            layer has dims, all of these have them in front.

        Raises
        ------
        ValueError
            If data are missing, not finite, too few, or in steps that differ; if a dim or unit does not match.
        KeyError
            If there is no variable of a name.
        """
        from xmass.training.fitting import fit_layer

        return fit_layer(self, ds, x=x, y=y, readout=readout, features=features, target=target, washout=washout)


@partial(jax.jit, static_argnames="layer")
def scan(layer: FeatureLayer, fixed: Fixed, state: Any, u: Any, noise: Any) -> tuple[Any, Any]:
    """Last state and features ``(time, batch, feature)`` of inputs ``(time, batch, input)``."""
    return jax.lax.scan(lambda s, z: layer.step(fixed, s, z[0], z[1]), state, (u, noise))


@partial(jax.jit, static_argnames=("layer", "steps", "increment"))
def closed_loop(
    layer: FeatureLayer, fixed: Fixed, state: Any, last: Any, weights: Any, intercept: Any, *, steps: int, increment: bool
) -> Any:
    """``(steps, batch, input)``: each output is the next input. ``last`` is the first input, ``state`` the one before it."""

    def advance(carry: tuple[Any, Any], _: None) -> tuple[tuple[Any, Any], Any]:
        s, u = carry
        s, f = layer.step(fixed, s, u, jnp.zeros((), u.dtype))
        new = f @ weights + intercept
        new = new + u if increment else new
        return (s, new), new

    return jax.lax.scan(advance, (state, last), None, length=steps)[1]
