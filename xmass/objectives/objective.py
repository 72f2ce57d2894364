"""What an objective is: a named score of two arrays, and which variables they come from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

Direction = Literal["max", "min"]
Takes = Literal["fc", "lagged", "fcd", "spectrum", "series", "paired"]


class Variables(NamedTuple):
    """The variable taken from each side; None means the one data variable that both sides have."""

    simulated: str | None
    recorded: str | None


@dataclass(frozen=True)
class Objective:
    """A score of simulated data against recorded data.

    Parameters
    ----------
    function : callable
        ``function(simulated, recorded)`` of two arrays, numpy or jax; it reduces the last two axes (three of lagged FC) and broadcasts the
        others.
    name : str
        The name of the score in the result of ``compare``.
    direction : {"max", "min"}
        Whether large or small is good.
    takes : {"fc", "lagged", "fcd", "spectrum", "series", "paired"}
        What ``function`` is given: two FC matrices ``(..., region, region)`` (a series becomes its FC, a matrix is taken as it is); two
        stacks of lagged FC ``(..., lag, region, region)``, likewise, the first at lag 0; two FCD matrices ``(..., window, window)``,
        likewise, whose numbers of windows may differ; two power spectra ``(..., frequency, region)``, likewise, at the same frequencies;
        two series ``(..., time, region)`` whose lengths may differ; or two series of one period and one length, paired sample by sample,
        in one unit.
    simulated, recorded : str, optional
        The variables; by default the one data variable that both sides have.
    meaning : str
        One line for the attributes of the result.
    same_unit : bool
        The two variables must have one unit, because the score depends on it.
    windows : (window, step)
        For ``takes="fcd"``: the windows in which a series becomes its FCD, in seconds.
    best : float, optional
        The score of equal data, for the attributes of the result.
    segment : float, optional
        For ``takes="spectrum"``: the segments in which a series becomes its spectrum, in seconds; by default an eighth of the shorter one.
    band : (low, high)
        For ``takes="spectrum"``: the frequencies that are compared, in Hz; 0 and half the sampling rate are never.
    lags : tuple of float, optional
        For ``takes="lagged"``: positive lags in seconds; by default one sample of the slower side.
    differentiable : bool
        Whether the score has a gradient that says where it is better; not so if it is constant but for jumps. Fits by gradients need it.
    residual : callable, optional
        ``residual(simulated, recorded)`` of the same arrays, ``(..., m)``, where the score is the root of the mean of its squares. Fits by
        least squares need it.

    Raises
    ------
    ValueError
        If ``direction`` or ``takes`` is none of the above, or ``name`` is empty.

    Examples
    --------
    An objective of one's own:

    >>> import numpy as np
    >>> from xmass.objectives import Objective
    >>> def largest_difference(simulated, recorded):
    ...     return abs(simulated - recorded).max(axis=(-2, -1))
    >>> mine = Objective(largest_difference, name="fc_worst", direction="min", takes="fc")
    >>> float(mine(np.eye(3), np.zeros((3, 3))))
    1.0
    """

    function: Callable[[Any, Any], Any]
    name: str
    direction: Direction
    takes: Takes = "fc"
    simulated: str | None = None
    recorded: str | None = None
    meaning: str = ""
    same_unit: bool = False
    windows: tuple[float, float] = (60.0, 3.0)
    best: float | None = None
    segment: float | None = None
    band: tuple[float, float] = (0.0, float("inf"))
    lags: tuple[float, ...] | None = None
    differentiable: bool = True
    residual: Callable[[Any, Any], Any] | None = None

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("an objective has an empty name, needs one: Objective(function, name='my_score', direction='min').")
        if self.direction not in ("max", "min"):
            raise ValueError(f"objective {self.name!r} has direction={self.direction!r}, needs 'max' or 'min'.")
        if self.takes not in get_args(Takes):
            raise ValueError(
                f"objective {self.name!r} has takes={self.takes!r}, needs 'fc', 'lagged', 'fcd', 'spectrum', 'series' or 'paired'."
            )

    @property
    def variables(self) -> Variables:
        """The variables of both sides."""
        return Variables(self.simulated, self.recorded)

    @property
    def terms(self) -> tuple[tuple[float, Objective], ...]:
        """The sum that this objective is: itself, once."""
        return ((1.0, self),)

    def __call__(self, simulated: Any, recorded: Any) -> Any:
        """Score of two arrays; see ``takes`` for what they are."""
        return self.function(simulated, recorded)

    def residuals(self, simulated: Any, recorded: Any) -> Any:
        """Residuals ``(..., m)`` of two arrays: the score is the root of the mean of their squares.

        Raises
        ------
        ValueError
            If the score is no root mean square.

        Examples
        --------
        >>> import numpy as np
        >>> from xmass.objectives import fc_rmse
        >>> fc_rmse().residuals(np.full((2, 2), 0.5), np.full((2, 2), 0.25)).tolist()
        [0.25, 0.25]
        """
        if self.residual is None:
            raise ValueError(f"objective {self.name!r} has no residuals: it is no root mean square, as fc_rmse and timeseries_rmse are.")
        return self.residual(simulated, recorded)
