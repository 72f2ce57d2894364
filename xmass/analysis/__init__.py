"""What is computed from a stored series, and its comparison with recordings: Dataset in, Dataset out, lazy if the input is."""

from xmass.analysis.compare import compare as compare
from xmass.analysis.connectivity import average_fc as average_fc
from xmass.analysis.connectivity import functional_connectivity as functional_connectivity
from xmass.analysis.critical import critical as critical
from xmass.analysis.decision import decision as decision
from xmass.analysis.distributions import ks_distance as ks_distance
from xmass.analysis.distributions import wasserstein_distance as wasserstein_distance
from xmass.analysis.dynamic import fcd as fcd
from xmass.analysis.dynamic import fcd_distribution as fcd_distribution
from xmass.analysis.preprocess import preprocess as preprocess
from xmass.analysis.spectra import intrinsic_frequency as intrinsic_frequency
from xmass.analysis.stability import fixed_points as fixed_points
