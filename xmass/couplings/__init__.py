"""Couplings between regions, one file per kind."""

from xmass.couplings.additive import AdditiveCoupling
from xmass.couplings.diffusive import DiffusiveCoupling

__all__ = ["AdditiveCoupling", "DiffusiveCoupling"]
