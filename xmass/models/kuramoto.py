"""Phase oscillators."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, ClassVar

from xmass.core.model import Input, NeuralMass, State, Uniform, Value, parameter
from xmass.core.noise import Noise

TURN = 6.283185307179586
"""A whole turn [rad]."""


class KuramotoStep(NeuralMass):
    r"""Phase oscillator, :math:`\dot\theta = \omega + I_\theta`.

    Alone it turns at its frequency. The interaction of Kuramoto's model, with delays and a phase lag, is :class:`SineCoupling` in a
    network. The phase is not wrapped: take ``np.angle(np.exp(1j * theta))`` for a value between -pi and pi.

    Parameters
    ----------
    omega : float, Quantity or DataArray
        Angular frequency [rad/ms].
    noise_theta : Noise, optional
        Noise of the phase.

    References
    ----------
    Acebrón, Bonilla, Pérez Vicente, Ritort, Spigler (2005), doi:10.1103/RevModPhys.77.137.

    Examples
    --------
    >>> import xmass as xm
    >>> sc = xm.datasets.load_dataset("example_connectome")
    >>> net = xm.Network(xm.KuramotoStep(omega=0.06), sc, speed=5.0, coupling=xm.SineCoupling(k=0.01))
    >>> dict(xm.Simulator(net, dt=0.1).run(10.0, seed=0).sizes)
    {'time': 100, 'region': 8}
    """

    category: ClassVar[str] = "network"
    use_case: ClassVar[str] = "Synchronisation of phases"
    states: ClassVar[tuple[State, ...]] = (State("theta", Uniform(0.0, TURN), "rad", "phase"),)
    inputs: ClassVar[tuple[Input, ...]] = (Input("theta", "rad/ms", "added to dtheta/dt"),)

    noise_theta: Noise | None = None
    omega: Value = parameter(0.0, "rad/ms", "angular frequency")

    def drift(self, s: SimpleNamespace, u: SimpleNamespace) -> dict[str, Any]:
        return dict(theta=self.omega + u.theta)
