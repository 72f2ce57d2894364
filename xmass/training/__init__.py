"""Training on series and tasks: layers, readouts, pairs of inputs and what follows."""

from xmass.training.horn import HORNSeqLayer as HORNSeqLayer
from xmass.training.horn import HORNSeqNetwork as HORNSeqNetwork
from xmass.training.nvar import NVAR as NVAR
from xmass.training.online import RLS as RLS
from xmass.training.pairs import forecast_pairs as forecast_pairs
from xmass.training.recurrent import GRU as GRU
from xmass.training.recurrent import LSTM as LSTM
from xmass.training.recurrent import RNN as RNN
from xmass.training.recurrent import Linear as Linear
from xmass.training.recurrent import OverTime as OverTime
from xmass.training.reservoir import Reservoir as Reservoir
from xmass.training.ridge import Ridge as Ridge
from xmass.training.sequential import Sequential as Sequential
from xmass.training.trained import Trained as Trained

__all__ = [
    "HORNSeqLayer",
    "HORNSeqNetwork",
    "GRU",
    "LSTM",
    "Linear",
    "NVAR",
    "OverTime",
    "RLS",
    "RNN",
    "Reservoir",
    "Ridge",
    "Sequential",
    "Trained",
    "forecast_pairs",
]
