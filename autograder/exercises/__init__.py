"""The exercises of every chapter, and :func:`check`, which judges an answer to one of them."""

import difflib
import secrets
from collections.abc import Callable

import numpy as np

from autograder.checking.derivation import Derivation
from autograder.checking.exercise import Exercise
from autograder.checking.score import Score, name_of
from autograder.exercises import (
    bug_clinic,
    bug_clinic_pytorch,
    bug_clinic_tensorflow,
    chain_rule,
    checking_gradients,
    cross_entropy,
    descent,
    devices,
    layers,
    misbehaving,
    network,
    optimizers,
    pytorch,
    tensorflow,
    three_ways,
)

EXERCISES: dict[str, Exercise | Derivation] = {
    exercise.name: exercise
    for module in (
        descent,
        cross_entropy,
        checking_gradients,
        chain_rule,
        layers,
        network,
        optimizers,
        misbehaving,
        pytorch,
        tensorflow,
        three_ways,
        devices,
        bug_clinic,
        bug_clinic_pytorch,
        bug_clinic_tensorflow,
    )
    for exercise in module.EXERCISES
}


def check(f: Callable, exercise: str | None = None, seed: int | None = None) -> Score:
    """Judge an answer to an exercise; in a notebook the result shows as a card.

    Parameters
    ----------
    f : the learner's function.
    exercise : its exercise; by default the one that has the function's name.
    seed : of the random inputs; a fresh one by default. The card shows it, and it replays the run.

    Returns
    -------
    Score
        ``passed``, ``points`` out of ``out_of``, and ``findings``. Nothing that ``f`` does raises.

    Raises
    ------
    TypeError
        if ``f`` can't be called.
    ValueError
        if there is no such exercise (the message lists near names), or the seed is none.
    """
    if not callable(f):
        raise TypeError(f"check: expected a function, got {type(f).__name__}. Write check({exercise or 'mse_grad'}).")
    if seed is not None and not (isinstance(seed, int | np.integer) and seed >= 0):
        raise ValueError(f"check: seed must be a whole number from 0 on, got {seed!r}")
    name = exercise or name_of(f)
    if name not in EXERCISES:
        near = difflib.get_close_matches(name, EXERCISES, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"the exercises are {', '.join(EXERCISES)}."
        raise ValueError(f"check: there is no exercise {name!r}; {hint} For another name: check(f, exercise='mse').")
    return EXERCISES[name].check(f, secrets.randbelow(10**6) if seed is None else int(seed))
