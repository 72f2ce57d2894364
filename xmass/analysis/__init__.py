"""What is computed from a stored series, and its comparison with recordings: Dataset in, Dataset out, lazy if the input is."""

from xmass.analysis.compare import compare as compare
from xmass.analysis.connectivity import average_fc as average_fc
from xmass.analysis.connectivity import functional_connectivity as functional_connectivity
from xmass.analysis.correlation import lagged_fc as lagged_fc
from xmass.analysis.correlation import partial_correlation as partial_correlation
from xmass.analysis.correlation import seed_map as seed_map
from xmass.analysis.critical import critical as critical
from xmass.analysis.decision import decision as decision
from xmass.analysis.distributions import ks_distance as ks_distance
from xmass.analysis.distributions import wasserstein_distance as wasserstein_distance
from xmass.analysis.dynamic import fcd as fcd
from xmass.analysis.dynamic import fcd_distribution as fcd_distribution
from xmass.analysis.edges import edge_fc as edge_fc
from xmass.analysis.edges import edge_series as edge_series
from xmass.analysis.power import band_pass as band_pass
from xmass.analysis.power import peak_frequency as peak_frequency
from xmass.analysis.power import power_spectrum as power_spectrum
from xmass.analysis.preprocess import preprocess as preprocess
from xmass.analysis.spectra import intrinsic_frequency as intrinsic_frequency
from xmass.analysis.stability import fixed_points as fixed_points
from xmass.analysis.structure_function import sc_fc_coupling as sc_fc_coupling
