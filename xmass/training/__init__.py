"""Training on series and tasks: layers, readouts, pairs of inputs and what follows."""

from xmass.training import connectivity as connectivity
from xmass.training import surrogate as surrogate
from xmass.training.horn import HORNSeqLayer as HORNSeqLayer
from xmass.training.horn import HORNSeqNetwork as HORNSeqNetwork
from xmass.training.mass import MassLayer as MassLayer
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
from xmass.training.spiking import ALIF as ALIF
from xmass.training.spiking import LIF as LIF
from xmass.training.spiking import LeakyReadout as LeakyReadout
from xmass.training.synapse import Alpha as Alpha
from xmass.training.synapse import Conductance as Conductance
from xmass.training.synapse import Current as Current
from xmass.training.synapse import Exponential as Exponential
from xmass.training.synapse import MagnesiumBlock as MagnesiumBlock
from xmass.training.trained import Trained as Trained

__all__ = [
    "HORNSeqLayer",
    "HORNSeqNetwork",
    "ALIF",
    "Alpha",
    "Conductance",
    "Current",
    "Exponential",
    "GRU",
    "LIF",
    "LSTM",
    "LeakyReadout",
    "Linear",
    "MagnesiumBlock",
    "MassLayer",
    "NVAR",
    "OverTime",
    "RLS",
    "RNN",
    "Reservoir",
    "Ridge",
    "Sequential",
    "Trained",
    "connectivity",
    "forecast_pairs",
    "surrogate",
]
