"""Node models, one file per family."""

from xmass.models.generic2d import Generic2dOscillatorStep
from xmass.models.hopf import HopfStep
from xmass.models.linear import LinearStep
from xmass.models.montbrio import MontbrioPazoRoxinStep
from xmass.models.wilson_cowan import WilsonCowanStep
from xmass.models.wong_wang import WongWangExcInhStep

__all__ = [
    "Generic2dOscillatorStep",
    "HopfStep",
    "LinearStep",
    "MontbrioPazoRoxinStep",
    "WilsonCowanStep",
    "WongWangExcInhStep",
]
