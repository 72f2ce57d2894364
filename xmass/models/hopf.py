"""Normal forms of the Hopf bifurcation."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, ClassVar

from xmass.core.model import Input, NeuralMass, State, Uniform, Value, parameter
from xmass.core.noise import Noise, WhiteNoise


class HopfStep(NeuralMass):
    r"""Supercritical Hopf normal form.

    .. math::
        \dot x = (a - \beta r^2)\,x - w\,y + I_x, \qquad
        \dot y = (a - \beta r^2)\,y + w\,x + I_y, \qquad r^2 = x^2 + y^2

    For ``a > 0`` a limit cycle of radius :math:`\sqrt{a/\beta}` and angular frequency ``w``; for ``a < 0`` a stable focus.
    The default initial state is the fixed point: give ``initial=``, noise or an input to leave it.

    Parameters
    ----------
    a : float, Quantity or DataArray
        Distance to the bifurcation [1/ms].
    w : float, Quantity or DataArray
        Angular frequency [rad/ms].
    beta : float, Quantity or DataArray
        Amplitude saturation [1/ms].
    noise_x, noise_y : Noise, optional
        Noise of the direct inputs.

    References
    ----------
    Freyer et al. (2011), doi:10.1523/JNEUROSCI.6590-10.2011. Deco, Kringelbach, Jirsa, Ritter (2017),
    doi:10.1038/s41598-017-03073-5.

    Examples
    --------
    >>> import xmass as xm
    >>> run = xm.Simulator(xm.HopfStep(a=0.25, w=0.3), dt=0.1).run(20.0, monitors=["x"], initial={"x": 0.1})
    >>> dict(run.sizes)
    {'time': 200, 'region': 1}
    """

    category: ClassVar[str] = "phenomenological"
    use_case: ClassVar[str] = "Oscillation onset, rhythm generation"
    states: ClassVar[tuple[State, ...]] = (State("x", 0.0, "1", "real part"), State("y", 0.0, "1", "imaginary part"))
    inputs: ClassVar[tuple[Input, ...]] = (Input("x", "1/ms", "added to dx/dt"), Input("y", "1/ms", "added to dy/dt"))

    noise_x: Noise | None = None
    noise_y: Noise | None = None
    a: Value = parameter(0.25, "1/ms", "distance to the bifurcation")
    w: Value = parameter(0.2, "rad/ms", "angular frequency")
    beta: Value = parameter(1.0, "1/ms", "amplitude saturation")

    def drift(self, s: SimpleNamespace, u: SimpleNamespace) -> dict[str, Any]:
        growth = self.a - self.beta * (s.x**2 + s.y**2)
        return dict(x=growth * s.x - self.w * s.y + u.x, y=growth * s.y + self.w * s.x + u.y)

    @classmethod
    def resting_fmri(cls, w: Value = 2 * 3.141592653589793 * 0.05e-3) -> HopfStep:
        """The slow oscillator whose ``x`` is the BOLD signal (Deco et al. 2017): a = -0.02/s, beta = 1/s, noise 0.02/√s on x and y.

        Couple it diffusively through x and through y with k of 0.5 to 2 per second on ``weights / weights.max()``, and take
        dt = 72 ms.

        Parameters
        ----------
        w : float or DataArray
            Intrinsic angular frequency [rad/ms]; 0.05 Hz unless given, see :func:`xmass.intrinsic_frequency`.

        Examples
        --------
        >>> import xmass as xm
        >>> xm.HopfStep.resting_fmri().a
        -2e-05
        """
        sigma = 0.02 / 1000**0.5
        return cls(a=-2e-5, w=w, beta=1e-3, noise_x=WhiteNoise(sigma=sigma), noise_y=WhiteNoise(sigma=sigma))


class StuartLandauStep(NeuralMass):
    r"""Stuart-Landau oscillator: the Hopf normal form whose cubic coefficient is one.

    .. math::
        \dot x = (a - r^2/\tau)\,x - w\,y + I_x, \qquad
        \dot y = (a - r^2/\tau)\,y + w\,x + I_y, \qquad r^2 = x^2 + y^2

    With :math:`z = x + iy` it is :math:`\dot z = (a + iw)z - |z|^2 z` at the default :math:`\tau` of 1 ms. For ``a > 0`` a limit cycle
    of radius :math:`\sqrt{a\tau}` and angular frequency ``w``; for ``a < 0`` a stable focus. It starts near the fixed point, at
    values drawn by the run's seed.

    Parameters
    ----------
    a : float, Quantity or DataArray
        Distance to the bifurcation [1/ms].
    w : float, Quantity or DataArray
        Angular frequency [rad/ms].
    tau : float, Quantity or DataArray
        Unit of time of the cubic term [ms]; the papers have no such parameter. It is the 1/beta of :class:`HopfStep`.
    noise_x, noise_y : Noise, optional
        Noise of the direct inputs.

    References
    ----------
    Stuart (1960), doi:10.1017/S002211206000116X. Landau (1944), C. R. Acad. Sci. URSS 44, 311.

    Examples
    --------
    >>> import xmass as xm
    >>> run = xm.Simulator(xm.StuartLandauStep(a=0.25, w=0.3), dt=0.1).run(60.0, seed=0).isel(time=-1, region=0)
    >>> round(float((run.x**2 + run.y**2) ** 0.5), 3)
    0.5
    """

    category: ClassVar[str] = "phenomenological"
    use_case: ClassVar[str] = "Amplitude and phase of coupled rhythms"
    states: ClassVar[tuple[State, ...]] = (
        State("x", Uniform(0.0, 0.05), "1", "real part"),
        State("y", Uniform(0.0, 0.05), "1", "imaginary part"),
    )
    inputs: ClassVar[tuple[Input, ...]] = (Input("x", "1/ms", "added to dx/dt"), Input("y", "1/ms", "added to dy/dt"))

    noise_x: Noise | None = None
    noise_y: Noise | None = None
    a: Value = parameter(0.25, "1/ms", "distance to the bifurcation")
    w: Value = parameter(0.2, "rad/ms", "angular frequency")
    tau: Value = parameter(1.0, "ms", "unit of time of the cubic term")

    def drift(self, s: SimpleNamespace, u: SimpleNamespace) -> dict[str, Any]:
        growth = self.a - (s.x**2 + s.y**2) / self.tau
        return dict(x=growth * s.x - self.w * s.y + u.x, y=growth * s.y + self.w * s.x + u.y)
