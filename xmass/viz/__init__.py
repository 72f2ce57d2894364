"""Figures of what xmass computes; matplotlib is imported by the functions that draw."""

from xmass.viz.matrices import plot_connectome as plot_connectome
from xmass.viz.matrices import plot_fc as plot_fc
from xmass.viz.matrices import plot_fc_comparison as plot_fc_comparison
from xmass.viz.series import plot_bold as plot_bold
from xmass.viz.series import plot_timeseries as plot_timeseries
from xmass.viz.sweep import plot_sweep as plot_sweep
