"""Scores of simulated against recorded data: each names its variables, its direction, and a differentiable function of arrays."""

from xmass.analysis.custom import DatasetObjective as DatasetObjective
from xmass.objectives.bold_sd_ratio import bold_sd_ratio as bold_sd_ratio
from xmass.objectives.combine import Combined as Combined
from xmass.objectives.combine import combine as combine
from xmass.objectives.cosine_sim import cosine_sim as cosine_sim
from xmass.objectives.custom import custom as custom
from xmass.objectives.edge_fc_corr import edge_fc_corr as edge_fc_corr
from xmass.objectives.fc_corr import fc_corr as fc_corr
from xmass.objectives.fc_rmse import fc_rmse as fc_rmse
from xmass.objectives.fcd import fcd as fcd
from xmass.objectives.fcd_ks import fcd_ks as fcd_ks
from xmass.objectives.fcd_wasserstein import fcd_wasserstein as fcd_wasserstein
from xmass.objectives.lagged_cov import lagged_cov as lagged_cov
from xmass.objectives.mean_fc import mean_fc as mean_fc
from xmass.objectives.metastability_diff import metastability_diff as metastability_diff
from xmass.objectives.objective import Objective as Objective
from xmass.objectives.spectrum_rmse import spectrum_rmse as spectrum_rmse
from xmass.objectives.timeseries_rmse import timeseries_rmse as timeseries_rmse
