"""What only a run that continues another, or borrows from its result, can get wrong: dims, clocks and observers of that other run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from xmass.labelled.monitors import Graph
from xmass.labelled.parameters import Spec
from xmass.labelled.schema import INITIAL
from xmass.labelled.suggest import nearest
from xmass.labelled.values import Dims, Value


def check_sweeps(dims: Dims, specs: Mapping[str, Spec], values: Mapping[str, Value]) -> None:
    """A labelled dim called like a parameter says what that parameter was: the parameter varies along it."""
    for name in dims.labels:
        if name in specs and (name not in values or name not in values[name].dims):
            origin = dims.origin[name]
            raise ValueError(
                f"{origin} brings the dim {name!r}, the name of a parameter that is not given along it: the result would be labelled with "
                f"values that were not simulated. Give the parameter too: params=xr.Dataset({{{name!r}: ({name!r}, values)}}), or rename "
                f"the dim: .rename({{{name!r}: '{name}_before'}})."
            )


def check_observers(graph: Graph, given: Iterable[str], start: int) -> None:
    """An observation with a state starts with the run, or goes on from a state that is given whole."""
    given = set(given)
    for observation in graph.observations:
        paths = [f"{INITIAL}.{observation.name}.{n}" for n in observation.state_names]
        missing = [p for p in paths if p not in given]
        if not missing or (len(missing) == len(paths) and not start):
            continue
        if len(missing) < len(paths):
            raise ValueError(
                f"initial lacks {missing}, and has the rest of the state of {observation.name!r}. Give all of it or none: "
                f"initial.drop_vars({[p for p in paths if p in given]})."
            )
        raise ValueError(
            f"the run continues at step {start} and initial lacks {missing}: {observation.name!r} would start at rest in the middle. Run "
            "the first part with that monitor too, or start a new clock: initial.drop_vars('initial.step')."
        )


def unknown_initial(path: str, others: Iterable[str], known: Iterable[str]) -> KeyError:
    """The error for a ``path`` in ``initial=`` that the run does not have; ``others`` are all paths given there."""
    parts, known = path.split("."), list(known)
    if len(parts) == 3 and not any(k.startswith(f"{INITIAL}.{parts[1]}.") for k in known):
        name = parts[1]
        same = [p for p in others if p.startswith(f"{INITIAL}.{name}.")]
        return KeyError(
            f"initial has {path!r}, part of the state of {name!r}, an observation or noise that this run has not. Give it again as in the "
            f"first part, monitors={{..., {name!r}: ...}} if it is an observation, or leave its state behind: initial.drop_vars({same})."
        )
    return KeyError(f"initial has {path!r}, which is unknown{nearest(path, [k for k in known if k.startswith(INITIAL)])}")
