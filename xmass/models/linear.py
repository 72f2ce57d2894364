"""Linear nodes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, ClassVar

from xmass.core.model import Input, NeuralMass, State, Value, parameter
from xmass.core.noise import Noise


class LinearStep(NeuralMass):
    r"""A linear node, :math:`\dot x = \gamma x + I_x`.

    Parameters
    ----------
    gamma : float, Quantity or DataArray
        Growth rate [1/ms], negative for relaxation; the fixed point is :math:`-I_x/\gamma`.
    noise_x : Noise, optional
        Noise of the direct input.

    References
    ----------
    Sanz-Leon et al. (2015), doi:10.1016/j.neuroimage.2015.01.002.

    Examples
    --------
    >>> import xmass as xm
    >>> xm.Simulator(xm.LinearStep(gamma=-1.0), dt=0.1).run(1.0, monitors=["x"]).x.sizes["time"]
    10
    """

    category: ClassVar[str] = "phenomenological"
    use_case: ClassVar[str] = "Linear response, exact covariances"
    states: ClassVar[tuple[State, ...]] = (State("x", 0.01, "1", "activity"),)
    inputs: ClassVar[tuple[Input, ...]] = (Input("x", "1/ms", "added to dx/dt"),)

    noise_x: Noise | None = None
    gamma: Value = parameter(-10.0, "1/ms", "growth rate")

    def drift(self, s: SimpleNamespace, u: SimpleNamespace) -> dict[str, Any]:
        return dict(x=self.gamma * s.x + u.x)
