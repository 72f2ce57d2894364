"""Observations: what a lab measures, computed during a run or from a stored trajectory."""

from xmass.observations.average import Subsample, TemporalAverage
from xmass.observations.bold import BOLDSignal
from xmass.observations.connectivity import FunctionalConnectivity
from xmass.observations.dynamics import FunctionalConnectivityDynamics
from xmass.observations.hrf import HRFBold
from xmass.observations.kernels import DoubleExponential, FirstOrderVolterra, Gamma, MixtureOfGammas, ResponseKernel
from xmass.observations.leadfield import EEG, MEG, SEEG, MeasurementNoise
from xmass.observations.moments import Mean, Variance
from xmass.observations.spectrum import PowerSpectrum
from xmass.observations.synchrony import Metastability, OrderParameter

__all__ = [
    "BOLDSignal",
    "DoubleExponential",
    "EEG",
    "FirstOrderVolterra",
    "FunctionalConnectivity",
    "FunctionalConnectivityDynamics",
    "Gamma",
    "HRFBold",
    "MEG",
    "Mean",
    "MeasurementNoise",
    "Metastability",
    "MixtureOfGammas",
    "OrderParameter",
    "PowerSpectrum",
    "ResponseKernel",
    "SEEG",
    "Subsample",
    "TemporalAverage",
    "Variance",
]
