"""Plans, lazy results and stores."""

from xmass.scale.failures import FailedRunsWarning
from xmass.scale.integrity import Verification, verify
from xmass.scale.state import Status, status

__all__ = ["FailedRunsWarning", "Status", "Verification", "status", "verify"]
