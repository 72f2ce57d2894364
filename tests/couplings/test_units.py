"""Units of coupling parameters follow from what is sent and where it arrives."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import pytest

import xmass as xm


class Saturating(xm.Coupling):
    """A coupling whose slope is per unit of the source."""

    k: Any = xm.parameter(1.0, "target/source", "strength")
    gain: Any = xm.parameter(1.0, "1/source", "slope")
    offset: Any = xm.parameter(0.0, "target", "offset")
    source: str = eqx.field(static=True, kw_only=True)
    target: str = eqx.field(static=True, kw_only=True)

    def post(self, total, own, strength):
        return self.k * total + self.offset


@pytest.mark.parametrize(
    ("node", "source", "target", "units"),
    [
        (xm.HopfStep(), "x", "x", ("1/ms", "1", "1/ms")),
        (xm.MontbrioPazoRoxinStep(), "r", "I", ("1/(1/ms)", "1/(1/ms)", "1")),
        (xm.WongWangExcInhStep(), "S_e", "coupling", ("1", "1", "1")),
    ],
)
def test_words_in_a_unit_are_replaced(node, source, target, units):
    sc = xm.datasets.load_dataset("example_connectome")
    listed = xm.Simulator(xm.Network(node, sc, coupling=Saturating(source=source, target=target)), dt=0.01).parameters()
    for name, unit in zip(("k", "gain", "offset"), units, strict=True):
        assert xm.units.factor(listed[f"coupling.{name}"].attrs["units"], unit) == 1.0
