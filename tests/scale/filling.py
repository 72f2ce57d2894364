"""Run by the tests as a process of its own: fills a store chunk by chunk, slowly enough to be stopped between two of them.

``python -m tests.scale.filling STORE SECONDS_PER_CHUNK``
"""

from __future__ import annotations

import sys
import time
from typing import Any

import xarray as xr

from tests.scale.cases import DURATION, arguments, network, sweep
from xmass.scale import work

CHUNKS = {"a": 1}


def fill(store: str, **kwargs: Any) -> xr.Dataset:
    return network().run_to_zarr(store, DURATION, sweep(8, 3), chunks=CHUNKS, **arguments() | kwargs)


def main(store: str, pause: float) -> None:
    simulate = work.block

    def slow(*args, **kwargs):
        ds = simulate(*args, **kwargs)
        time.sleep(pause)
        return ds

    work.block = slow
    fill(store)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
