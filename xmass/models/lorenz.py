"""The Lorenz system."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, ClassVar

from xmass.core.model import Input, NeuralMass, State, Value, parameter
from xmass.core.noise import Noise


class LorenzStep(NeuralMass):
    r"""The Lorenz system, deterministic chaos in three variables.

    .. math::
        \tau\,\dot x = \sigma\,(y - x) + \tau I_x, \qquad
        \tau\,\dot y = x\,(\rho - z) - y + \tau I_y, \qquad
        \tau\,\dot z = x y - \beta z + \tau I_z

    No model of the brain: a case to test methods on, because much is known about it. With the defaults the largest Lyapunov exponent
    is 0.9056 per :math:`\tau`. Take a step of 0.01 of :math:`\tau`.

    Parameters
    ----------
    sigma, rho, beta : float or DataArray
        Prandtl number, Rayleigh number over its critical value, and geometry of the convection cell.
    tau : float, Quantity or DataArray
        Unit of time of the equations [ms]; the paper has no such parameter.
    noise_x, noise_y, noise_z : Noise, optional
        Noise of the direct inputs.

    References
    ----------
    Lorenz (1963), doi:10.1175/1520-0469(1963)020<0130:DNF>2.0.CO;2.

    Examples
    --------
    >>> import xmass as xm
    >>> run = xm.Simulator(xm.LorenzStep(rho=0.5), dt=0.01).run(40.0, monitors=["x"])  # rho < 1: everything comes to rest
    >>> bool(abs(run.x[-1, 0]) < 1e-6)
    True
    """

    category: ClassVar[str] = "phenomenological"
    use_case: ClassVar[str] = "Chaos, a case to test methods on"
    states: ClassVar[tuple[State, ...]] = (
        State("x", 1.0, "1", "intensity of the convection"),
        State("y", 1.0, "1", "temperature difference of the currents"),
        State("z", 1.0, "1", "distortion of the temperature profile"),
    )
    inputs: ClassVar[tuple[Input, ...]] = (
        Input("x", "1/ms", "added to dx/dt"),
        Input("y", "1/ms", "added to dy/dt"),
        Input("z", "1/ms", "added to dz/dt"),
    )

    noise_x: Noise | None = None
    noise_y: Noise | None = None
    noise_z: Noise | None = None
    sigma: Value = parameter(10.0, "1", "Prandtl number")
    rho: Value = parameter(28.0, "1", "Rayleigh number over its critical value")
    beta: Value = parameter(8 / 3, "1", "geometry of the convection cell")
    tau: Value = parameter(1.0, "ms", "unit of time of the equations")

    def drift(self, s: SimpleNamespace, u: SimpleNamespace) -> dict[str, Any]:
        return dict(
            x=self.sigma * (s.y - s.x) / self.tau + u.x,
            y=(s.x * (self.rho - s.z) - s.y) / self.tau + u.y,
            z=(s.x * s.y - self.beta * s.z) / self.tau + u.z,
        )
