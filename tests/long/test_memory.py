"""Memory does not grow with the duration when only observables are monitored."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.long

SCRIPT = """
import resource, sys
import xmass as xm
cohort = xm.datasets.make_cohort(n_subjects=1, n_regions=80).isel(subject=0, drop=True)
node = xm.WongWangExcInhStep(noise_e=xm.WhiteNoise(sigma=0.01), noise_i=xm.WhiteNoise(sigma=0.01))
net = xm.Network(node, cohort, coupling=xm.AdditiveCoupling(k=0.3, source="S_e", target="coupling"))
bold = xm.BOLDSignal(of="S_e", tr=720.0)
seen = {"fc": xm.FunctionalConnectivity(of=bold), "bold": bold}
xm.Simulator(net, dt=1.0).run(float(sys.argv[1]) * 60480.0, monitors=seen, seed=0, batch_size=16, progress=False)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def peak(minutes: int) -> int:
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(minutes)], capture_output=True, text=True, check=True)
    return int(done.stdout.split()[-1])


def test_peak_memory_is_flat_from_1_to_20_minutes():
    # The BOLD of 16 runs itself grows by 8 MB over these 20 minutes, 2 % of the process.
    assert peak(20) == pytest.approx(peak(1), rel=0.10)
