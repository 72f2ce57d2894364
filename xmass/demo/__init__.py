"""The main job from end to end: recordings and connectomes in, a stored sweep, a comparison, a table and figures out."""

from xmass.demo.recordings import DemoError as DemoError
from xmass.demo.recordings import Recordings as Recordings
from xmass.demo.recordings import load_recordings as load_recordings
from xmass.demo.run import Outcome as Outcome
from xmass.demo.run import run_demo as run_demo
from xmass.demo.sweeps import Grid as Grid
from xmass.demo.sweeps import default_grid as default_grid
