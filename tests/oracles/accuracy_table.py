"""Measures the agreement with ../shared/reference and writes it into docs/accuracy.md, between the two markers.

Run from the root of the repository: ``python -m tests.oracles.accuracy_table``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.oracles import references
from tests.oracles.references import Comparison

PAGE = Path(__file__).parents[2] / "docs" / "accuracy.md"
BEGIN, END = "<!-- table: python -m tests.oracles.accuracy_table -->", "<!-- end of table -->"
INTRODUCTION = """# Accuracy

What the library computes, beside trajectories that other people's simulators and plain numpy computed from the same
equations, parameters, initial states and steps: the largest difference of any variable at any stored time, as a fraction
of that variable's range. The code that measures it writes the table; the tests (`tests/models/test_reference_models.py`
and its neighbours) assert the tolerances.

* Networks run with `Simulator(frozen_coupling=True)`, as they were computed there: the coupling is held over the step. By
  default it is taken at each stage's own time.
* TVB keeps weights, delayed states and the coupling sum in float32; its network runs are only good to the tolerance given
  with them. The `numpy` runs are float64.
* `analysis_*` are computed from recordings. The reference correlates strict upper triangles for FCD; its spectrum is per noise
  bandwidth of the window and not per Hz, and is converted; its phases are taken without removing the mean that is left after
  the filter, and so are ours in that row.
* float32 is held to 1e-4 of the range. The balloon model in steps of 1 ms, around f = v = q = 1, is at the limit of
  float32; by default it takes steps of up to 4 ms. Rounding moves the phase of what runs freely: the network of
  Jansen-Rit columns is held to 5e-4 after 5000 steps, the discharges of the Epileptor to 5e-3.
"""


def rows(precision: str) -> Iterator[Comparison]:
    """Every comparison with a run of the same scheme."""
    for case in references.MODELS:
        for run in references.runs_of("model", case):
            yield references.compare_model(case, run, precision=precision)
    for case in references.NETWORKS:
        for run in references.runs_of("network", case):
            yield references.compare_network(case, run, precision=precision)
    for run in references.runs_of("stimulus", "generic_2d_oscillator"):
        yield references.compare_stimulus(run, precision=precision)
    yield references.compare_balloon("numpy_heun", precision=precision)
    for kind in ("temporal_average", "subsample"):
        yield references.compare_average(kind, precision=precision)
    for case in ("first_order_volterra", "gamma"):
        yield references.compare_hrf(case, precision=precision)
    yield references.compare_lead_field(precision=precision)
    for number in (1, 2, 3):
        yield references.compare_fc(number, precision=precision)
        yield references.compare_fcd(number, precision=precision)
    yield references.compare_fc_distances(precision=precision)
    yield references.compare_fcd_distances(precision=precision)
    yield references.compare_power(precision=precision)
    yield references.compare_order_parameter(precision=precision)


def table() -> str:
    """The table in Markdown."""
    lines = ["| case | reference run | scheme | float64 | tolerance | float32 | tolerance |", "|---|---|---|---|---|---|---|"]
    for double, single in zip(rows("float64"), rows("float32"), strict=True):
        values = (double.deviation, double.tolerance, single.deviation, single.tolerance)
        measured = " | ".join(f"{v:.1e}" for v in values)
        lines.append(f"| `{double.case}` | {double.run} | {double.scheme} | {measured} |")
    return "\n".join(lines)


def write(page: Path, text: str) -> None:
    """Put the table between the markers of the page; what stands around it is kept."""
    old = page.read_text(encoding="utf-8") if page.exists() else f"{INTRODUCTION}\n{BEGIN}\n{END}\n"
    before, rest = old.split(BEGIN)
    after = rest.split(END)[1]
    page.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    write(PAGE, table())
