"""Training on series and tasks: layers, readouts, pairs of inputs and what follows."""

from xmass.training.nvar import NVAR as NVAR
from xmass.training.online import RLS as RLS
from xmass.training.pairs import forecast_pairs as forecast_pairs
from xmass.training.reservoir import Reservoir as Reservoir
from xmass.training.ridge import Ridge as Ridge
from xmass.training.trained import Trained as Trained

__all__ = ["NVAR", "RLS", "Reservoir", "Ridge", "Trained", "forecast_pairs"]
