"""Training on series and tasks: layers, readouts, pairs of inputs and what follows."""

from xmass.training import connectivity as connectivity
from xmass.training import surrogate as surrogate
from xmass.training.data import Generator as Generator
from xmass.training.grid import TrainedGrid as TrainedGrid
from xmass.training.horn import HORNSeqLayer as HORNSeqLayer
from xmass.training.horn import HORNSeqNetwork as HORNSeqNetwork
from xmass.training.losses import L1 as L1
from xmass.training.losses import L2 as L2
from xmass.training.losses import R2 as R2
from xmass.training.losses import Accuracy as Accuracy
from xmass.training.losses import CrossEntropy as CrossEntropy
from xmass.training.losses import Huber as Huber
from xmass.training.losses import Loss as Loss
from xmass.training.losses import MeanAbsoluteError as MeanAbsoluteError
from xmass.training.losses import MeanSquaredError as MeanSquaredError
from xmass.training.mass import MassLayer as MassLayer
from xmass.training.nvar import NVAR as NVAR
from xmass.training.online import LMS as LMS
from xmass.training.online import RLS as RLS
from xmass.training.optimizers import adam as adam
from xmass.training.pairs import forecast_pairs as forecast_pairs
from xmass.training.recurrent import GRU as GRU
from xmass.training.recurrent import LSTM as LSTM
from xmass.training.recurrent import RNN as RNN
from xmass.training.recurrent import Linear as Linear
from xmass.training.recurrent import OverTime as OverTime
from xmass.training.reservoir import Reservoir as Reservoir
from xmass.training.ridge import Ridge as Ridge
from xmass.training.sequential import Layer as Layer
from xmass.training.sequential import Sequential as Sequential
from xmass.training.spiking import ALIF as ALIF
from xmass.training.spiking import LIF as LIF
from xmass.training.spiking import LeakyReadout as LeakyReadout
from xmass.training.stored import load_trained as load_trained
from xmass.training.synapse import Alpha as Alpha
from xmass.training.synapse import Conductance as Conductance
from xmass.training.synapse import Current as Current
from xmass.training.synapse import Exponential as Exponential
from xmass.training.synapse import MagnesiumBlock as MagnesiumBlock
from xmass.training.trained import Trained as Trained
from xmass.training.trainer import Trainer as Trainer

__all__ = [
    "Accuracy",
    "adam",
    "ALIF",
    "Alpha",
    "Conductance",
    "connectivity",
    "CrossEntropy",
    "Current",
    "Exponential",
    "forecast_pairs",
    "Generator",
    "GRU",
    "HORNSeqLayer",
    "HORNSeqNetwork",
    "Huber",
    "L1",
    "L2",
    "Layer",
    "LeakyReadout",
    "LIF",
    "Linear",
    "LMS",
    "load_trained",
    "Loss",
    "LSTM",
    "MagnesiumBlock",
    "MassLayer",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "NVAR",
    "OverTime",
    "R2",
    "Reservoir",
    "Ridge",
    "RLS",
    "RNN",
    "Sequential",
    "surrogate",
    "Trained",
    "TrainedGrid",
    "Trainer",
]
