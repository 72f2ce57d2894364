"""The noises of a step: draws in, values held over the step and increments of states out. No process is known here by its class."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from xmass.core.kernel import rounded
from xmass.core.model import NeuralMass, bound, part_of, per_ms, seen_by
from xmass.core.noise import Noise, normal_pairs, stationary_normals, unpack

Noises = tuple[tuple[str, str, Noise], ...]
"""Path (``noise_x``), input and process of each noise."""
Carried = dict[str, dict[str, jax.Array]]
"""What the processes carry from step to step, by path and name."""


def start(noises: Noises, args: dict, given: Carried, shape: tuple[int, int], dtype: Any) -> Carried:
    """What the processes that carry something begin with: as given, else as they say themselves."""
    found = {}
    for path, _, process in noises:
        if process.carried:
            made = given[path] if path in given else _fresh(path, process, args, shape, dtype)
            found[path] = {name: jnp.broadcast_to(made[name], shape).astype(dtype) for name in process.carried}
    return found


def _fresh(path: str, process: Noise, args: dict, shape: tuple[int, int], dtype: Any) -> dict[str, Any]:
    count = process.start_draws
    numbers = stationary_normals(args["keys"][path], count, shape[0]).astype(dtype) if count else None
    draws = None if numbers is None else _correlated(args, path, numbers, (count, *shape))
    return bound(process, f"{path}.", args["params"]).start(args["dt"], draws)


def factors(noises: Noises, args: dict) -> dict[str, dict[str, Any]]:
    """What every step needs of the parameters, by path, with a column per run: shared and own draws round alike."""
    return {path: bound(process, f"{path}.", args["params"]).factors(args["dt"]) for path, _, process in noises}


def draws(noises: Noises, args: dict, first_step: jax.Array, steps: int, regions: int) -> dict[str, jax.Array]:
    """The numbers of some steps, packed in pairs."""
    return {path: normal_pairs(args["keys"][path], first_step, steps, regions) for path, _, _ in noises}


def advance(
    noises: Noises, args: dict, packed: dict, factor: dict, q: jax.Array, states: dict, held: dict, carried: Carried, model: NeuralMass
) -> tuple[dict, dict, Carried]:
    """One step, number ``q`` of the packed draws: the inputs with noise, the increments of the states, what is carried on.

    ``model`` says in which unit of time its inputs are, and which states a function of the state sees.
    """
    held, carried = dict(held), dict(carried)
    shape = next(iter(states.values())).shape
    dtype = next(iter(states.values())).dtype
    white = []
    for path, name, process in noises:
        row = lax.dynamic_index_in_dim(packed[path], q, 0, keepdims=False)
        numbers = _correlated(args, path, unpack(row, shape[0]).astype(dtype), shape)
        process = bound(process, f"{path}.", args["params"])
        if process.white:
            white.append((path, name, process, functools.partial(_draw, numbers, args["ones"], per_ms(part_of(model, name)))))
        else:
            draw = functools.partial(_draw, numbers, args["ones"], 1.0)
            value, after = process.advance(carried.get(path, {}), draw, factor[path])
            if process.carried:
                carried[path] = {n: jnp.broadcast_to(x, shape) for n, x in after.items()}
            held[name] = held[name] + value
    now = {name: seen_by(model, name, states) for _, name, _, _ in white}
    increments = {name: process.increment(draw, factor[path], now[name], now[name]) for path, name, process, draw in white}
    if any(process.looks_ahead for _, _, process, _ in white):
        moved = {n: x + increments[n] if n in increments else x for n, x in states.items()}
        ahead = {name: seen_by(model, name, moved) for name in now}
        increments = {name: process.increment(draw, factor[path], now[name], ahead[name]) for path, name, process, draw in white}
    return held, increments, carried


def _draw(numbers: jax.Array, ones: jax.Array, scale: float, size: Any) -> jax.Array:
    return rounded((size if scale == 1.0 else size * scale) * numbers, ones)


def _correlated(args: dict, path: str, numbers: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Numbers with the covariance between regions that a noise has; the same product for numbers that runs share."""
    if path not in args["roots"]:
        return numbers
    return jnp.matmul(args["roots"][path], jnp.broadcast_to(numbers, shape), precision=lax.Precision.HIGHEST)
