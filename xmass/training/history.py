"""The history of a fit: entries as they come, and the Dataset that they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from xmass.training.runs import Runs

ABOUT: dict[str, dict[str, str]] = {
    "learning_rate": {"long_name": "learning rate of the last update"},
    "gradient_norm": {"long_name": "norm of the gradient before clipping"},
    "seconds": {"long_name": "time of the epoch", "units": "s"},
    "step": {"long_name": "updates so far"},
}


class History:
    """Entries of a history: numbers of each run by name and split."""

    def __init__(self, runs: Runs) -> None:
        self.runs = runs
        self.columns: dict[tuple[str, str], list[np.ndarray]] = {}
        self.seconds: list[float] = []
        self.steps: list[int] = []

    def __len__(self) -> int:
        return len(self.steps)

    def add(self, rows: Mapping[str, Mapping[str, Any]], seconds: float, step: int) -> None:
        """One entry."""
        for split, row in rows.items():
            for name, value in row.items():
                self.columns.setdefault((name, split), []).append(np.asarray(value))
        self.seconds.append(seconds)
        self.steps.append(step)

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything as arrays, from which :meth:`restore` goes on."""
        made = {f"history.{split}.{name}": np.stack(v) for (name, split), v in self.columns.items()}
        return {**made, "seconds": np.asarray(self.seconds), "steps": np.asarray(self.steps, np.int64)}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Take up what :meth:`arrays` gave."""
        self.seconds, self.steps = arrays["seconds"].tolist(), arrays["steps"].tolist()
        for path, values in arrays.items():
            if path.startswith("history."):
                split, _, name = path.removeprefix("history.").partition(".")
                self.columns[name, split] = list(values)

    def dataset(self, attrs: Mapping[str, Any]) -> xr.Dataset:
        """``(run..., epoch, split)``."""
        splits = sorted({s for _, s in self.columns}, key=["train", "validation"].index)
        made: dict[str, tuple[Any, ...]] = {}
        for name in dict.fromkeys(n for n, _ in self.columns):
            own = [np.stack(self.columns[name, s]) for s in splits if (name, s) in self.columns]
            if name in ("learning_rate", "gradient_norm"):
                values = np.moveaxis(own[0], 0, -1)
                label = f"{name}.now" if name in self.runs.dims else name
                made[label] = (("epoch",), values, ABOUT[name])
                continue
            values = np.moveaxis(np.stack(own, axis=-1), 0, -2)
            made[name] = (("epoch", "split"), values, {"long_name": name})
        ds = self.runs.labelled(made, {"split": splits})
        ds["seconds"] = ("epoch", np.asarray(self.seconds, float), ABOUT["seconds"])
        step = ("epoch", np.asarray(self.steps, np.int64), ABOUT["step"])
        return ds.assign_coords(epoch=np.arange(1, len(self) + 1), step=step).assign_attrs(attrs)


def saved(state: Any, history: History, done: int) -> dict[str, np.ndarray]:
    """A state and a history as arrays."""
    leaves = {f"state.{k:04d}": np.asarray(leaf) for k, leaf in enumerate(jax.device_get(jax.tree.leaves(state)))}
    return {**leaves, **history.arrays(), "done": np.asarray(done, np.int64)}


def restored(state: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """A state of the same form with the values of :func:`saved`."""
    leaves, tree = jax.tree.flatten(state)
    found = [arrays.get(f"state.{k:04d}") for k in range(len(leaves) + 1)]
    if found[-1] is not None or any(f is None or (f.shape, f.dtype) != (a.shape, a.dtype) for f, a in zip(found[:-1], leaves, strict=True)):
        raise ValueError("the checkpoint holds the state of another optimizer or network: choose another path, or make the same call.")
    return jax.tree.unflatten(tree, [jnp.asarray(f) for f in found[:-1]])
