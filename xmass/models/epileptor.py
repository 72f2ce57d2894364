"""The Epileptor, a phenomenological model of partial seizures, and its reduction to two states."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from xmass.core.model import Input, NeuralMass, Output, State, Value, parameter
from xmass.core.noise import Noise


def permittivity_target(x1: Any, z: Any, x0: Any, modification: Any) -> Any:
    """What z relaxes to: 4 (x1 - x0), with a seventh power that returns a negative z, or by ``modification`` a sigmoid of x1."""
    linear = 4.0 * (x1 - x0) + jnp.where(z < 0.0, -0.1 * z**7, 0.0)
    saturating = x0 + 3.0 * jax.nn.sigmoid((x1 + 0.5) / 0.1)
    return modification * saturating + (1.0 - modification) * linear


class EpileptorStep(NeuralMass):
    r"""Epileptor: seizure onset, discharge and offset by a slow permittivity variable.

    .. math::
        \dot x_1 &= t\,(y_1 - z + I_{ext} + K_{vf} c_1 + f_1 x_1) + I_{x_1}, \qquad
        \dot y_1 = t\,(c - d x_1^2 - y_1) + I_{y_1} \\
        \dot z &= t\,r\,(h - z + K_s c_1) + I_z \\
        \dot x_2 &= t\,(-y_2 + x_2 - x_2^3 + I_{ext2} + b_b g - 0.3(z - 3.5) + K_f c_2) + I_{x_2}, \qquad
        \dot y_2 = t\,(-y_2 + f_2)/\tau + I_{y_2} \\
        \dot g &= -0.01\,t\,(g - 0.1 x_1) + I_g

    .. math::
        f_1 = \begin{cases} -a x_1^2 + b x_1 & x_1 < 0 \\ s - x_2 + 0.6 (z - 4)^2 & x_1 \ge 0 \end{cases} \qquad
        f_2 = \begin{cases} 0 & x_2 < -0.25 \\ a_a (x_2 + 0.25) & x_2 \ge -0.25 \end{cases}

    .. math::
        h = m\left[x_0 + \frac{3}{1 + e^{-(x_1 + 0.5)/0.1}}\right] + (1 - m)\left[4 (x_1 - x_0) - 0.1 z^7 [z < 0]\right]

    ``x1``, ``y1`` make the fast discharges, ``x2``, ``y2`` the spike-wave events, ``z`` moves the node slowly into and out of
    the seizure, ``g`` is a low-pass filter of x1. An isolated node seizes for ``x0`` above -2.06204 (defaults otherwise).
    Coupling goes to ``c1`` (x1 of other regions) and ``c2`` (x2 of other regions). Their gains ``Kvf``, ``Ks``, ``Kf`` are 0 by
    default: a network does nothing until one of them is set. The output ``lfp`` is x2 - x1. Take dt = 0.05 ms with ``heun``,
    whose limit of stability is reached at 0.1 ms, or 0.1 ms with ``rk4``.

    Parameters
    ----------
    a, b, c, d : float or DataArray
        Coefficients of the first subsystem.
    r : float or DataArray
        Rate of the permittivity z relative to x1.
    x0 : float or DataArray
        Excitability: about -2.4 in healthy tissue, -1.6 in tissue that seizes.
    Iext, Iext2 : float or DataArray
        Currents of the two subsystems.
    slope : float or DataArray
        Linear term of x1 in a seizure, s above.
    tau : float or DataArray
        Slowness of y2.
    aa, bb : float or DataArray
        Gain of f2, and of g in the second subsystem.
    Kvf, Kf, Ks : float or DataArray
        Gain of c1 in x1, of c2 in x2, and of c1 in z (permittivity coupling).
    tt : float, Quantity or DataArray
        Time scale of all equations, t above [1/ms].
    modification : float or DataArray
        m above: 0 for the linear target of z, 1 for the sigmoid.
    noise_x1, noise_y1, noise_z, noise_x2, noise_y2, noise_g, noise_c1, noise_c2 : Noise, optional
        Noise of the inputs.

    References
    ----------
    Jirsa, Stacey, Quilichini, Ivanov, Bernard (2014), doi:10.1093/brain/awu133; coupling and the sigmoid after Proix et al.
    (2014), doi:10.1523/JNEUROSCI.1068-14.2014. Signs and scales are those of later work: the first paper writes f1 with the
    opposite sign, and g as an integral.

    Examples
    --------
    >>> import xmass as xm
    >>> run = xm.Simulator(xm.EpileptorStep(), dt=0.05).run(1000.0, monitors=["x1", "lfp"])
    >>> round(float(run.time[run.x1[:, 0] > 0][0]))      # ms: the seizure begins
    604
    """

    category: ClassVar[str] = "physiological"
    use_case: ClassVar[str] = "Seizure onset, spread and offset"
    states: ClassVar[tuple[State, ...]] = (
        State("x1", -1.5, "1", "potential of the fast discharges"),
        State("y1", -10.0, "1", "recovery of the fast discharges"),
        State("z", 3.5, "1", "permittivity, slow"),
        State("x2", -1.0, "1", "potential of the spike-wave events"),
        State("y2", 0.0, "1", "recovery of the spike-wave events"),
        State("g", 0.0, "1", "low-pass filter of x1"),
    )
    inputs: ClassVar[tuple[Input, ...]] = (
        Input("x1", "1/ms", "added to dx1/dt"),
        Input("y1", "1/ms", "added to dy1/dt"),
        Input("z", "1/ms", "added to dz/dt"),
        Input("x2", "1/ms", "added to dx2/dt"),
        Input("y2", "1/ms", "added to dy2/dt"),
        Input("g", "1/ms", "added to dg/dt"),
        Input("c1", "1", "x1 of other regions, scaled by Kvf and Ks"),
        Input("c2", "1", "x2 of other regions, scaled by Kf"),
    )
    outputs: ClassVar[tuple[Output, ...]] = (Output("lfp", "1", "local field potential, x2 - x1"),)

    noise_x1: Noise | None = None
    noise_y1: Noise | None = None
    noise_z: Noise | None = None
    noise_x2: Noise | None = None
    noise_y2: Noise | None = None
    noise_g: Noise | None = None
    noise_c1: Noise | None = None
    noise_c2: Noise | None = None
    a: Value = parameter(1.0, "1", "cubic coefficient of x1")
    b: Value = parameter(3.0, "1", "quadratic coefficient of x1")
    c: Value = parameter(1.0, "1", "constant of y1")
    d: Value = parameter(5.0, "1", "quadratic coefficient of y1")
    r: Value = parameter(0.00035, "1", "relative rate of z")
    x0: Value = parameter(-1.6, "1", "excitability")
    Iext: Value = parameter(3.1, "1", "current of the first subsystem")
    slope: Value = parameter(0.0, "1", "linear term of x1 in a seizure")
    Iext2: Value = parameter(0.45, "1", "current of the second subsystem")
    tau: Value = parameter(10.0, "1", "slowness of y2")
    aa: Value = parameter(6.0, "1", "gain of f2")
    bb: Value = parameter(2.0, "1", "gain of g in the second subsystem")
    Kvf: Value = parameter(0.0, "1", "gain of c1 in x1")
    Kf: Value = parameter(0.0, "1", "gain of c2 in x2")
    Ks: Value = parameter(0.0, "1", "gain of c1 in z")
    tt: Value = parameter(1.0, "1/ms", "time scale")
    modification: Value = parameter(0.0, "1", "0: linear target of z, 1: sigmoid")

    def lfp(self, s: SimpleNamespace, u: SimpleNamespace) -> Any:
        """Local field potential."""
        return s.x2 - s.x1

    def drift(self, s: SimpleNamespace, u: SimpleNamespace) -> dict[str, Any]:
        f1 = jnp.where(s.x1 < 0.0, -self.a * s.x1**2 + self.b * s.x1, self.slope - s.x2 + 0.6 * (s.z - 4.0) ** 2)
        f2 = jnp.where(s.x2 < -0.25, 0.0, self.aa * (s.x2 + 0.25))
        h = permittivity_target(s.x1, s.z, self.x0, self.modification)
        x1 = s.y1 - s.z + self.Iext + self.Kvf * u.c1 + f1 * s.x1
        x2 = -s.y2 + s.x2 - s.x2**3 + self.Iext2 + self.bb * s.g - 0.3 * (s.z - 3.5) + self.Kf * u.c2
        return dict(
            x1=self.tt * x1 + u.x1,
            y1=self.tt * (self.c - self.d * s.x1**2 - s.y1) + u.y1,
            z=self.tt * self.r * (h - s.z + self.Ks * u.c1) + u.z,
            x2=self.tt * x2 + u.x2,
            y2=self.tt * (f2 - s.y2) / self.tau + u.y2,
            g=-0.01 * self.tt * (s.g - 0.1 * s.x1) + u.g,
        )


class Epileptor2DStep(NeuralMass):
    r"""Epileptor reduced to two states: discharge and permittivity.

    .. math::
        \dot x_1 &= t\,(c - a x_1^3 + (b - d) x_1^2 - z + I_{ext} + K_{vf} c_1) + I_{x_1} \\
        \dot z &= t\,r\,(h - z + K_s c_1) + I_z

    with h as in :class:`EpileptorStep`: :math:`4(x_1 - x_0)` for ``modification=0`` and z ≥ 0. With the default parameters the
    first equation is :math:`-x_1^3 - 2 x_1^2 + 1 - z + I_{ext}`. It is what remains of the first subsystem of EpileptorStep when
    y1 follows x1 at once, so both have the same (x1, z) at rest and the same threshold ``x0`` = -2.06204. A seizure is the upper
    branch of the cubic, without the fast discharges; the cubic holds on that branch too, as in the paper.

    Parameters
    ----------
    a, b, c, d : float or DataArray
        Coefficients of the first subsystem; only b - d counts.
    r : float or DataArray
        Rate of the permittivity z relative to x1, 1/tau0 in the paper.
    x0 : float or DataArray
        Excitability.
    Iext : float or DataArray
        Current.
    Kvf, Ks : float or DataArray
        Gain of c1 in x1 and in z (permittivity coupling).
    tt : float, Quantity or DataArray
        Time scale of both equations, t above [1/ms].
    modification : float or DataArray
        0 for the linear target of z, 1 for the sigmoid.
    noise_x1, noise_z, noise_c1 : Noise, optional
        Noise of the inputs.

    References
    ----------
    Proix, Bartolomei, Chauvel, Bernard, Jirsa (2014), doi:10.1523/JNEUROSCI.1068-14.2014.

    Examples
    --------
    >>> import xmass as xm
    >>> run = xm.Simulator(xm.Epileptor2DStep(x0=-2.2), dt=1.0, precision="float64").run(40000.0)
    >>> x1, z = float(run.x1[-1, 0]), float(run.z[-1, 0])
    >>> abs(z - 4 * (x1 + 2.2)) < 1e-6      # at rest
    True
    """

    category: ClassVar[str] = "physiological"
    use_case: ClassVar[str] = "Seizure spread in large networks"
    states: ClassVar[tuple[State, ...]] = (
        State("x1", -1.5, "1", "discharge"),
        State("z", 3.5, "1", "permittivity, slow"),
    )
    inputs: ClassVar[tuple[Input, ...]] = (
        Input("x1", "1/ms", "added to dx1/dt"),
        Input("z", "1/ms", "added to dz/dt"),
        Input("c1", "1", "x1 of other regions, scaled by Kvf and Ks"),
    )

    noise_x1: Noise | None = None
    noise_z: Noise | None = None
    noise_c1: Noise | None = None
    a: Value = parameter(1.0, "1", "cubic coefficient of x1")
    b: Value = parameter(3.0, "1", "quadratic coefficient of x1")
    c: Value = parameter(1.0, "1", "constant of y1")
    d: Value = parameter(5.0, "1", "quadratic coefficient of y1")
    r: Value = parameter(0.00035, "1", "relative rate of z")
    x0: Value = parameter(-1.6, "1", "excitability")
    Iext: Value = parameter(3.1, "1", "current")
    Kvf: Value = parameter(0.0, "1", "gain of c1 in x1")
    Ks: Value = parameter(0.0, "1", "gain of c1 in z")
    tt: Value = parameter(1.0, "1/ms", "time scale")
    modification: Value = parameter(0.0, "1", "0: linear target of z, 1: sigmoid")

    def drift(self, s: SimpleNamespace, u: SimpleNamespace) -> dict[str, Any]:
        x1 = self.c - self.a * s.x1**3 + (self.b - self.d) * s.x1**2 - s.z + self.Iext + self.Kvf * u.c1
        h = permittivity_target(s.x1, s.z, self.x0, self.modification)
        return dict(x1=self.tt * x1 + u.x1, z=self.tt * self.r * (h - s.z + self.Ks * u.c1) + u.z)
