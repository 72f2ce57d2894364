"""Node models, one file per family."""

from xmass.models.coombes_byrne import CoombesByrneStep, CoombesByrneSynapseStep
from xmass.models.epileptor import Epileptor2DStep, EpileptorStep
from xmass.models.generic2d import Generic2dOscillatorStep
from xmass.models.hopf import HopfStep, StuartLandauStep
from xmass.models.horn import HORNStep
from xmass.models.jansen_rit import JansenRitStep
from xmass.models.kuramoto import KuramotoStep
from xmass.models.larter_breakspear import LarterBreakspearStep
from xmass.models.linear import LinearStep
from xmass.models.lorenz import LorenzStep
from xmass.models.montbrio import MontbrioPazoRoxinStep
from xmass.models.relaxation import FitzHughNagumoStep, VanDerPolStep
from xmass.models.threshold_linear import ThresholdLinearStep
from xmass.models.wilson_cowan import WilsonCowanNoSaturationStep, WilsonCowanStep
from xmass.models.wilson_cowan_divisive import WilsonCowanDivisiveInputStep, WilsonCowanDivisiveStep
from xmass.models.wilson_cowan_extended import WilsonCowanAdaptiveStep, WilsonCowanDelayedStep, WilsonCowanThreePopulationStep
from xmass.models.wilson_cowan_reduced import WilsonCowanLinearStep, WilsonCowanSimplifiedStep, WilsonCowanSymmetricStep
from xmass.models.wong_wang import ReducedWongWangStep, WongWangExcInhStep
from xmass.models.wong_wang_decision import WongWangNoDecisionStep, WongWangStep

__all__ = [
    "CoombesByrneStep",
    "CoombesByrneSynapseStep",
    "Epileptor2DStep",
    "EpileptorStep",
    "FitzHughNagumoStep",
    "Generic2dOscillatorStep",
    "HORNStep",
    "HopfStep",
    "JansenRitStep",
    "KuramotoStep",
    "LarterBreakspearStep",
    "LinearStep",
    "LorenzStep",
    "MontbrioPazoRoxinStep",
    "ReducedWongWangStep",
    "StuartLandauStep",
    "ThresholdLinearStep",
    "VanDerPolStep",
    "WilsonCowanAdaptiveStep",
    "WilsonCowanDelayedStep",
    "WilsonCowanDivisiveInputStep",
    "WilsonCowanDivisiveStep",
    "WilsonCowanLinearStep",
    "WilsonCowanNoSaturationStep",
    "WilsonCowanSimplifiedStep",
    "WilsonCowanStep",
    "WilsonCowanSymmetricStep",
    "WilsonCowanThreePopulationStep",
    "WongWangExcInhStep",
    "WongWangNoDecisionStep",
    "WongWangStep",
]
