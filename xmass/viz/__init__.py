"""Figures of what xmass computes; matplotlib is imported by the functions that draw.

A figure of one panel takes ``ax=`` and returns the Axes. A figure of several panels, as with ``col=``, takes a sequence of Axes and returns
the Figure.
"""

from xmass.viz.comparison import plot_comparison as plot_comparison
from xmass.viz.comparison import plot_fc_comparison as plot_fc_comparison
from xmass.viz.connectome import plot_connectome as plot_connectome
from xmass.viz.dynamics import plot_bifurcation as plot_bifurcation
from xmass.viz.dynamics import plot_phase_portrait as plot_phase_portrait
from xmass.viz.fit import plot_fit as plot_fit
from xmass.viz.interactive import interactive as interactive
from xmass.viz.matrices import plot_connectivity as plot_connectivity
from xmass.viz.matrices import plot_fcd as plot_fcd
from xmass.viz.matrices import plot_functional_connectivity as plot_functional_connectivity
from xmass.viz.series import plot_bold as plot_bold
from xmass.viz.series import plot_stimulus as plot_stimulus
from xmass.viz.series import plot_timeseries as plot_timeseries
from xmass.viz.spectra import plot_power_spectrum as plot_power_spectrum
from xmass.viz.sweep import plot_sweep as plot_sweep
from xmass.viz.uncertainty import plot_identifiability as plot_identifiability
from xmass.viz.uncertainty import plot_profile as plot_profile
