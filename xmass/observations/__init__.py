"""Observations: what a lab measures, computed during a run or from a stored trajectory."""

from xmass.observations.average import Subsample, TemporalAverage
from xmass.observations.bold import BOLDSignal
from xmass.observations.connectivity import FunctionalConnectivity

__all__ = ["BOLDSignal", "FunctionalConnectivity", "Subsample", "TemporalAverage"]
