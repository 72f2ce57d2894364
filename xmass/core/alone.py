"""A noise without a model: what it would add to an input."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, ClassVar

from xmass.core.model import Input, NeuralMass, State, Uniform
from xmass.core.noise import Noise


class NoiseAlone(NeuralMass):
    """The noise itself as a state, that of each step; white noise as its mean over the step."""

    states: ClassVar[tuple[State, ...]] = (State("noise", Uniform(0.0, 0.0), "1", "noise, held over the step; the mean of white noise"),)
    inputs: ClassVar[tuple[Input, ...]] = (Input("noise", "1", "noise"),)
    noise_targets: ClassVar[dict[str, str]] = {"noise": "noise"}
    scheme: ClassVar[str] = "sampled"

    noise: Noise | None = None

    def step(self, s: SimpleNamespace, u: SimpleNamespace, w: SimpleNamespace, dt: Any) -> dict[str, Any]:
        return dict(noise=u.noise + w.noise / dt)
