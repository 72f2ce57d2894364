"""Fitting: from recordings to parameters, and how sure they are."""

from xmass.fit.evolution import EvolutionBackend
from xmass.fit.fc_covariance import fc_covariance
from xmass.fit.fitter import Fitter
from xmass.fit.gradient import GradientBackend
from xmass.fit.grid import GridBackend
from xmass.fit.likelihood import GaussianLikelihood
from xmass.fit.neural import NeuralPosterior, neural_posterior, prior_sweep
from xmass.fit.nevergrad_backend import NevergradBackend
from xmass.fit.nuts import NutsBackend
from xmass.fit.pareto import ParetoBackend
from xmass.fit.scipy_backend import ScipyBackend

__all__ = [
    "EvolutionBackend",
    "Fitter",
    "GaussianLikelihood",
    "GradientBackend",
    "GridBackend",
    "NeuralPosterior",
    "NevergradBackend",
    "NutsBackend",
    "ParetoBackend",
    "ScipyBackend",
    "fc_covariance",
    "neural_posterior",
    "prior_sweep",
]
