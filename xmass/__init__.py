"""Whole-brain modelling with labelled data: a run maps a Dataset of parameters to a Dataset of trajectories."""

from xmass import accessor, analysis, datasets, fit, io, objectives, scale, stimuli, training, viz
from xmass._version import __version__
from xmass.analysis.avalanches import avalanches
from xmass.analysis.bootstrap import bootstrap
from xmass.analysis.compare import compare
from xmass.analysis.connectivity import average_fc, functional_connectivity
from xmass.analysis.correlation import lagged_fc, partial_correlation, seed_map
from xmass.analysis.critical import critical
from xmass.analysis.decision import decision
from xmass.analysis.distributions import ks_distance, wasserstein_distance
from xmass.analysis.dynamic import fcd, fcd_distribution
from xmass.analysis.edges import edge_fc, edge_series
from xmass.analysis.gradients import connectivity_gradients
from xmass.analysis.graph import graph_measures
from xmass.analysis.inhibition import critical_coupling, inhibition_control
from xmass.analysis.iterative_inhibition import iterative_inhibition_control
from xmass.analysis.linear import linear_twin
from xmass.analysis.linear_check import twin_check
from xmass.analysis.perturb import heterogeneity, lesion
from xmass.analysis.perturb_response import evoked_response, perturbational_complexity
from xmass.analysis.perturb_st import perturbational_complexity_st
from xmass.analysis.phase import amplitude_envelope, envelope_correlation, metastability, order_parameter, phase, phase_locking
from xmass.analysis.power import band_pass, peak_frequency, power_spectrum
from xmass.analysis.preprocess import preprocess
from xmass.analysis.spatial_nulls import map_correlation, morans_i, spatial_nulls, variogram
from xmass.analysis.spectra import intrinsic_frequency
from xmass.analysis.stability import fixed_points
from xmass.analysis.structure_function import sc_fc_coupling
from xmass.core import prior as priors
from xmass.core.coloured import BlueNoise, ColoredNoise, PinkNoise, VioletNoise
from xmass.core.coupling import Coupling
from xmass.core.model import Input, NeuralMass, Output, Past, State, Uniform, parameter, time_field
from xmass.core.multiplicative import ItoNoise, StratonovichNoise
from xmass.core.noise import BrownianNoise, GaussianNoise, Noise, OUProcess, WhiteNoise
from xmass.core.observe import Block, Observation, Timing
from xmass.core.param import Param
from xmass.couplings import (
    AdditiveCoupling,
    DiffusiveCoupling,
    HyperbolicTangentCoupling,
    LaplacianCoupling,
    SigmoidalCoupling,
    SigmoidalJansenRitCoupling,
    SineCoupling,
)
from xmass.fit.calibration import calibration
from xmass.fit.fitter import Fitter
from xmass.fit.identifiability import identifiability
from xmass.fit.profile import profile
from xmass.labelled import units
from xmass.labelled.connectome import cortical, normalize, spectral_radius
from xmass.labelled.from_equations import model_from_equations
from xmass.labelled.head import head_lead_field
from xmass.labelled.leadfield import electrodes_1020, sphere_lead_field, unbounded_lead_field
from xmass.labelled.network import Network
from xmass.models import (
    CoombesByrneStep,
    CoombesByrneSynapseStep,
    Epileptor2DStep,
    EpileptorStep,
    FitzHughNagumoStep,
    Generic2dOscillatorStep,
    HopfStep,
    HORNStep,
    JansenRitStep,
    KuramotoStep,
    LarterBreakspearStep,
    LinearStep,
    LorenzStep,
    MontbrioPazoRoxinStep,
    ReducedWongWangStep,
    StuartLandauStep,
    ThresholdLinearStep,
    VanDerPolStep,
    WilsonCowanAdaptiveStep,
    WilsonCowanDelayedStep,
    WilsonCowanDivisiveInputStep,
    WilsonCowanDivisiveStep,
    WilsonCowanLinearStep,
    WilsonCowanNoSaturationStep,
    WilsonCowanSimplifiedStep,
    WilsonCowanStep,
    WilsonCowanSymmetricStep,
    WilsonCowanThreePopulationStep,
    WongWangExcInhStep,
    WongWangNoDecisionStep,
    WongWangStep,
)
from xmass.models.catalogue import list_models
from xmass.observations import (
    EEG,
    MEG,
    SEEG,
    BOLDSignal,
    DoubleExponential,
    FirstOrderVolterra,
    FunctionalConnectivity,
    FunctionalConnectivityDynamics,
    Gamma,
    HRFBold,
    Mean,
    MeasurementNoise,
    Metastability,
    MixtureOfGammas,
    OrderParameter,
    PowerSpectrum,
    ResponseKernel,
    Subsample,
    TemporalAverage,
    Variance,
)
from xmass.observations.average import whole_rows
from xmass.scale.plan import plan
from xmass.simulator import Simulator, observe, rerun
from xmass.training.horn import HORNSeqLayer, HORNSeqNetwork

__all__ = [
    "AdditiveCoupling",
    "BOLDSignal",
    "Block",
    "BlueNoise",
    "BrownianNoise",
    "ColoredNoise",
    "CoombesByrneStep",
    "CoombesByrneSynapseStep",
    "Coupling",
    "DiffusiveCoupling",
    "DoubleExponential",
    "EEG",
    "Epileptor2DStep",
    "EpileptorStep",
    "FirstOrderVolterra",
    "Fitter",
    "FitzHughNagumoStep",
    "FunctionalConnectivity",
    "FunctionalConnectivityDynamics",
    "Gamma",
    "GaussianNoise",
    "Generic2dOscillatorStep",
    "HORNStep",
    "HORNSeqLayer",
    "HORNSeqNetwork",
    "HRFBold",
    "HopfStep",
    "HyperbolicTangentCoupling",
    "Input",
    "ItoNoise",
    "JansenRitStep",
    "KuramotoStep",
    "LaplacianCoupling",
    "LarterBreakspearStep",
    "LinearStep",
    "LorenzStep",
    "MEG",
    "Mean",
    "MeasurementNoise",
    "Metastability",
    "MixtureOfGammas",
    "MontbrioPazoRoxinStep",
    "Network",
    "NeuralMass",
    "Noise",
    "OUProcess",
    "Observation",
    "OrderParameter",
    "Output",
    "Param",
    "Past",
    "PinkNoise",
    "PowerSpectrum",
    "ReducedWongWangStep",
    "ResponseKernel",
    "SEEG",
    "SigmoidalCoupling",
    "SigmoidalJansenRitCoupling",
    "Simulator",
    "SineCoupling",
    "State",
    "StratonovichNoise",
    "StuartLandauStep",
    "Subsample",
    "TemporalAverage",
    "ThresholdLinearStep",
    "Timing",
    "Uniform",
    "VanDerPolStep",
    "Variance",
    "VioletNoise",
    "WhiteNoise",
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
    "__version__",
    "accessor",
    "amplitude_envelope",
    "analysis",
    "avalanches",
    "average_fc",
    "band_pass",
    "bootstrap",
    "calibration",
    "compare",
    "connectivity_gradients",
    "cortical",
    "critical",
    "critical_coupling",
    "datasets",
    "decision",
    "edge_fc",
    "edge_series",
    "electrodes_1020",
    "envelope_correlation",
    "evoked_response",
    "fcd",
    "fcd_distribution",
    "fit",
    "fixed_points",
    "functional_connectivity",
    "graph_measures",
    "head_lead_field",
    "heterogeneity",
    "identifiability",
    "inhibition_control",
    "intrinsic_frequency",
    "io",
    "iterative_inhibition_control",
    "ks_distance",
    "lagged_fc",
    "lesion",
    "linear_twin",
    "list_models",
    "map_correlation",
    "metastability",
    "model_from_equations",
    "morans_i",
    "normalize",
    "objectives",
    "observe",
    "order_parameter",
    "parameter",
    "partial_correlation",
    "peak_frequency",
    "perturbational_complexity",
    "perturbational_complexity_st",
    "phase",
    "phase_locking",
    "plan",
    "power_spectrum",
    "preprocess",
    "priors",
    "profile",
    "rerun",
    "sc_fc_coupling",
    "scale",
    "seed_map",
    "spatial_nulls",
    "spectral_radius",
    "sphere_lead_field",
    "stimuli",
    "time_field",
    "training",
    "twin_check",
    "unbounded_lead_field",
    "units",
    "variogram",
    "viz",
    "wasserstein_distance",
    "whole_rows",
]
