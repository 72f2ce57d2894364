"""Readers and writers of the field's file formats."""

from xmass.io.connectome import read_connectome
from xmass.io.lead_field import read_lead_field
from xmass.io.maps import read_map
from xmass.io.netcdf import open_subjects
from xmass.io.recording import read_recording
from xmass.io.store import open, save  # noqa: A004  (read as xm.io.open)

__all__ = ["open", "open_subjects", "read_connectome", "read_lead_field", "read_map", "read_recording", "save"]
