"""Six small gradient checks as they are often written, tried on this book's answers.

Each is our own re-creation of one habit, and all else is done well: every shape and every entry is compared with the
right gradient (except where the habit is to do otherwise), on three draws of the exercise's ordinary case. What a
check without any such habit accepts on the same inputs is counted beside.
"""

import copy
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np

from autograder.checking.exercise import Exercise
from autograder.exercises import EXERCISES

DRAWS = 3
# Exercises that ask for a gradient, and those that ask for its function.
FORWARD = {
    "mse_grad": "mse",
    "cross_entropy_grad": "cross_entropy",
    "bce_with_logits_grad": "bce_with_logits",
    "two_layer_grads": "two_layer_loss",
}


def is_gradient(exercise: object) -> bool:
    """Whether an exercise asks for gradients of arrays. (The bug hunts do, too; their chaffs are those of others.)"""
    return (
        isinstance(exercise, Exercise)
        and exercise.adapt is None
        and exercise.name.endswith(("_grad", "_grads", "_backward"))
    )


@cache
def _args(name: str, draw: int) -> tuple:
    return EXERCISES[name].make_cases(np.random.default_rng(draw))[0].args


@cache
def _right(name: str, draw: int) -> object:
    return EXERCISES[name].right(_args(name, draw))


@cache
def _large_args(name: str, draw: int) -> tuple:
    """The ordinary case as in training: a batch of a hundred and more, upstream gradients that carry its 1/N."""
    exercise = EXERCISES[name]
    case = exercise.make_cases(np.random.default_rng(draw))[0]
    if exercise.upstream is not None:
        position = exercise.parameters.index(exercise.upstream)
        return tuple(a / 100 if i == position else a for i, a in enumerate(case.args))
    N = case.sizes["N"]
    return tuple(
        np.concatenate([a] * 15) if isinstance(a, np.ndarray) and a.ndim and len(a) == N else a for a in case.args
    )


def _pairs(answer: object, right: object) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Results beside the right ones, every one of them."""
    if isinstance(right, dict):
        for key in right:
            yield from _pairs(answer[key], right[key])
    elif isinstance(right, tuple | list):
        for a, r in zip(answer, right, strict=True):
            yield from _pairs(a, r)
    else:
        yield np.asarray(answer, dtype=float), np.asarray(right)


def _relative_error(a: np.ndarray, r: np.ndarray) -> float:
    return float(np.max(np.abs(a - r) / np.maximum(1e-8, np.abs(a) + np.abs(r))))


def plain(exercise: Exercise, f: Callable, draw: int) -> bool:
    pairs = _pairs(f(*copy.deepcopy(_args(exercise.name, draw))), _right(exercise.name, draw))
    return all(a.shape == r.shape and np.allclose(a, r, rtol=1e-4, atol=1e-7) for a, r in pairs)


def all_ones(exercise: Exercise, f: Callable, draw: int) -> bool:
    position = exercise.parameters.index(exercise.upstream)
    args = list(_args(exercise.name, draw))
    args[position] = np.ones_like(args[position])
    pairs = list(_pairs(f(*copy.deepcopy(args)), exercise.right(tuple(args))))
    return all(a.shape == r.shape for a, r in pairs) and sum(np.linalg.norm(a - r) for a, r in pairs) < 1e-6


def loose_tolerance(exercise: Exercise, f: Callable, draw: int) -> bool:
    pairs = _pairs(f(*copy.deepcopy(_args(exercise.name, draw))), _right(exercise.name, draw))
    return all(a.shape == r.shape and np.allclose(a, r, rtol=1e-2, atol=1e-2) for a, r in pairs)


def loose_tolerance_on_small_slopes(exercise: Exercise, f: Callable, draw: int) -> bool:
    args = _large_args(exercise.name, draw)
    pairs = _pairs(f(*copy.deepcopy(args)), exercise.right(args))
    return all(a.shape == r.shape and np.allclose(a, r, rtol=1e-2, atol=1e-2) for a, r in pairs)


def learners_keys(exercise: Exercise, f: Callable, draw: int) -> bool:
    def agree(a: object, r: object) -> bool:
        if isinstance(r, dict):
            return all(agree(a[key], r[key]) for key in a)
        if isinstance(r, tuple | list):
            return all(agree(a[i], r[i]) for i in range(len(a)))
        return np.shape(a) == np.shape(r) and np.allclose(a, r, rtol=1e-5, atol=1e-6)

    return agree(f(*copy.deepcopy(_args(exercise.name, draw))), _right(exercise.name, draw))


def own_forward(exercise: Exercise, f: Callable, draw: int) -> bool:
    answer = f(*copy.deepcopy(_args(exercise.name, draw)))
    return any(_fits(answer, numeric) for numeric in _numeric_gradients(FORWARD[exercise.name], draw))


def _fits(answer: object, numeric: object) -> bool:
    try:
        return all(a.shape == n.shape and _relative_error(a, n) < 1e-5 for a, n in _pairs(answer, numeric))
    except (KeyError, TypeError, ValueError):
        return False


@cache
def _numeric_gradients(name: str, draw: int) -> list:
    """Central differences of every registered answer to an exercise, right and wrong, in its first argument."""
    exercise, gradients = EXERCISES[name], []
    for forward in [*exercise.wheats, *(chaff.function for chaff in exercise.chaffs)]:
        try:
            gradients.append(_numeric_gradient(forward, copy.deepcopy(_args(name, draw))))
        except Exception:  # a forward pass that fails has no gradient
            continue
    return gradients


def _numeric_gradient(forward: Callable, args: tuple, h: float = 1e-5) -> object:
    def of(array: np.ndarray) -> np.ndarray:
        gradient = np.zeros_like(array)
        for index in np.ndindex(*array.shape):
            middle, values = array[index], []
            for array[index] in (middle + h, middle - h):
                values.append(np.sum(forward(*copy.deepcopy(args))))
            array[index] = middle
            gradient[index] = (values[0] - values[1]) / (2 * h)
        return gradient

    return {key: of(a) for key, a in args[0].items()} if isinstance(args[0], dict) else of(args[0])


def one_direction(exercise: Exercise, f: Callable, draw: int) -> bool:
    rng = np.random.default_rng(draw)
    pairs = _pairs(f(*copy.deepcopy(_args(exercise.name, draw))), _right(exercise.name, draw))
    return all(a.shape == r.shape and _same_along_a_direction(rng, a, r) for a, r in pairs)


def _same_along_a_direction(rng: np.random.Generator, a: np.ndarray, r: np.ndarray) -> bool:
    direction = rng.random(r.shape)
    direction /= np.linalg.norm(direction)
    mine, right = float(np.vdot(direction, a)), float(np.vdot(direction, r))
    return abs(mine - right) <= 1e-5 * direction.sum() + 1e-3 * abs(right)


def missed_in_one_direction(tries: int = 1000) -> float:
    """How often one random direction misses one entry of a thousand that is 1 % off."""
    rng, missed = np.random.default_rng(0), 0
    for _ in range(tries):
        dZ, W = rng.standard_normal((50, 3)), rng.standard_normal((20, 3))
        r = dZ @ W.T
        a = r.copy()
        a.flat[rng.integers(a.size)] *= 1.01
        missed += _same_along_a_direction(rng, a, r)
    return missed / tries


def broadcasting(exercise: Exercise, f: Callable, draw: int) -> bool:
    pairs = _pairs(f(*copy.deepcopy(_args(exercise.name, draw))), _right(exercise.name, draw))
    return all(_relative_error(a, r) < 1e-5 for a, r in pairs)


def _has_several_results(exercise: Exercise) -> bool:
    return isinstance(_right(exercise.name, 0), dict | tuple | list)


@dataclass(frozen=True)
class SmallCheck:
    """A small check: what it does, in whose manner, and to which exercises it can be put."""

    title: str
    manner: str
    accepts: Callable[[Exercise, Callable, int], bool]
    applies: Callable[[Exercise], bool] = lambda exercise: True


SMALL_CHECKS = (
    SmallCheck("none of these habits", "", plain),
    SmallCheck(
        "the upstream gradient is all ones",
        "CMU 10-414, homework 1",
        all_ones,
        lambda exercise: exercise.upstream is not None,
    ),
    SmallCheck("rtol = atol = 1e-2", "minitorch", loose_tolerance),
    SmallCheck(
        "the same, on small slopes",
        "minitorch",
        loose_tolerance_on_small_slopes,
        lambda exercise: exercise.upstream is not None or "N" in exercise.make_cases(np.random.default_rng(0))[0].sizes,
    ),
    SmallCheck("only what the learner returned is compared", "deeplearning.ai", learners_keys, _has_several_results),
    SmallCheck(
        "numeric gradient of the learner's own forward pass",
        "CS231n, UDL notebook 7.2",
        own_forward,
        lambda exercise: exercise.name in FORWARD,
    ),
    SmallCheck("one random direction", "PyTorch's fast mode, JAX, autograd", one_direction),
    SmallCheck("shapes need only broadcast", "CS231n", broadcasting),
)


@dataclass(frozen=True)
class Verdicts:
    """What a small check says of the answers to one exercise: indices of wheats refused and chaffs accepted."""

    exercise: str
    check: int
    wheats_refused: tuple[int, ...]
    chaffs_accepted: tuple[int, ...]


def compare(name: str) -> list[Verdicts]:
    """Put every small check that applies to every answer to an exercise."""
    exercise = EXERCISES[name]

    def accepted(check: SmallCheck, f: Callable) -> bool:
        try:
            return all(check.accepts(exercise, f, draw) for draw in range(DRAWS))
        except Exception:  # the answer fails, or has another structure: the check fails with it
            return False

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return [
            Verdicts(
                name,
                i,
                tuple(k for k, wheat in enumerate(exercise.wheats) if not accepted(check, wheat)),
                tuple(k for k, chaff in enumerate(exercise.chaffs) if accepted(check, chaff.function)),
            )
            for i, check in enumerate(SMALL_CHECKS)
            if check.applies(exercise)
        ]


@dataclass(frozen=True)
class Incomplete:
    """Answers of which something is missing: how many exercises have several results, and who accepts how many."""

    exercises: int
    empty: int
    shortened: int
    ours: int


def incomplete_answers() -> Incomplete:
    """Try the check that compares only what the learner returned, and ours, on answers without some or all results."""
    exercises = [e for e in EXERCISES.values() if is_gradient(e) and _has_several_results(e)]

    def keeping(exercise: Exercise, count: int | None) -> Callable:
        def answer(*args: object) -> object:
            right = exercise.reference(*args)
            return dict(list(right.items())[:count]) if isinstance(right, dict) else right[:count]

        return answer

    return Incomplete(
        len(exercises),
        *(sum(learners_keys(e, keeping(e, count), 0) for e in exercises) for count in (0, -1)),
        sum(e.check(keeping(e, count), seed).passed for e in exercises for count, seed in ((0, 1), (-1, 1))),
    )
