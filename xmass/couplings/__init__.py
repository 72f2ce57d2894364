"""Couplings between regions, one file per kind."""

from xmass.couplings.additive import AdditiveCoupling
from xmass.couplings.diffusive import DiffusiveCoupling
from xmass.couplings.laplacian import LaplacianCoupling
from xmass.couplings.sigmoidal import HyperbolicTangentCoupling, SigmoidalCoupling, SigmoidalJansenRitCoupling
from xmass.couplings.sine import SineCoupling

__all__ = [
    "AdditiveCoupling",
    "DiffusiveCoupling",
    "HyperbolicTangentCoupling",
    "LaplacianCoupling",
    "SigmoidalCoupling",
    "SigmoidalJansenRitCoupling",
    "SineCoupling",
]
