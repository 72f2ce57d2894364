"""Observations: what a lab measures, computed during a run or from a stored trajectory."""

from xmass.observations.average import Subsample, TemporalAverage
from xmass.observations.bold import BOLDSignal
from xmass.observations.connectivity import FunctionalConnectivity
from xmass.observations.hrf import HRFBold
from xmass.observations.kernels import DoubleExponential, FirstOrderVolterra, Gamma, MixtureOfGammas, ResponseKernel
from xmass.observations.leadfield import EEG, MEG, SEEG, MeasurementNoise

__all__ = [
    "BOLDSignal",
    "DoubleExponential",
    "EEG",
    "FirstOrderVolterra",
    "FunctionalConnectivity",
    "Gamma",
    "HRFBold",
    "MEG",
    "MeasurementNoise",
    "MixtureOfGammas",
    "ResponseKernel",
    "SEEG",
    "Subsample",
    "TemporalAverage",
]
