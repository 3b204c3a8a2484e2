"""How a gradient descent walks: its steps, when it stops and what it counts, told by where it looks at the slope."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from autograder.checking.call import call
from autograder.checking.score import Finding

if TYPE_CHECKING:
    from autograder.checking.exercise import Case

MOST_LOOKS = 5_000  # a walk that looks at the slope more often is not followed


@dataclass(frozen=True)
class Walk:
    """A walk by a learner's function.

    Attributes
    ----------
    case : where it starts, and with which settings.
    points : where it came by, the start first.
    slopes : the gradient at each point.
    counted : the number of steps that it reported.
    looks : how often it asked for the gradient.
    """

    case: Case
    points: list[np.ndarray]
    slopes: list[np.ndarray]
    counted: float
    looks: int

    @property
    def lr(self) -> float:
        return self.case.args[2]

    @property
    def tol(self) -> float:
        return self.case.args[3]

    @property
    def most(self) -> int:
        return self.case.args[4]

    @property
    def taken(self) -> int:
        return len(self.points) - 1

    @property
    def stuck(self) -> bool:
        """Whether it ends where steps no longer change the point: how many it took there can't be seen."""
        last = self.step(self.taken - 1) if self.taken else self.lr * self.slopes[-1]
        return bool(np.all(np.abs(last) <= 1e-14 * (1 + np.abs(self.points[-1]))))

    def step(self, k: int) -> np.ndarray:
        """The step from point ``k`` to the next one."""
        return self.points[k + 1] - self.points[k]


@dataclass(frozen=True)
class _Mistake:
    cause: str
    words: str
    hint: str


class _TooFar(Exception):
    """The walk goes on and on."""


def follow(f: Callable, case: Case) -> Walk | None:
    """Let a function walk and note where it looks at the slope; None if it breaks down or answers something else."""
    grad, theta, lr, tol, most = copy.deepcopy(case.args)
    points, looks = [np.array(theta, float)], 0

    def watched(at: np.ndarray) -> np.ndarray:
        nonlocal looks
        looks += 1
        if looks > MOST_LOOKS:
            raise _TooFar
        _come_by(points, np.array(at, float))
        return grad(at)

    outcome = call(f, (watched, theta, lr, tol, most))
    try:
        end, counted = outcome.value
        end, counted = np.array(end, float), float(counted)
    except (TypeError, ValueError):
        return None
    if end.shape != points[0].shape:
        return None
    _come_by(points, end)
    if any(p.shape != points[0].shape or not np.isfinite(p).all() for p in points):
        return None
    return Walk(case, points, [grad(p) for p in points], counted, looks)


def _come_by(points: list[np.ndarray], at: np.ndarray) -> None:
    if not np.array_equal(points[-1], at):
        points.append(at)


def explain(f: Callable, cases: list[Case]) -> Finding | None:
    """What is wrong with a gradient descent: its step, its stop, its count, or several of them."""
    walks = [walk for case in cases if (walk := follow(f, case)) is not None]
    if len(walks) < 4 or sum(walk.taken for walk in walks) < 4:
        return None
    step = _step(walks)
    if step is None:
        return _unknown_step(walks)
    stop = _stop(walks)
    if stop is None:
        return _unknown_stop(walks)
    stop, more = stop
    mistakes = [*step, *stop, *_count(walks, more)]
    if not mistakes:
        return None
    words = "; besides, ".join(mistake.words for mistake in mistakes)
    return Finding(_told(walks, mistakes[0] in step), mistakes[0].cause, f"{words}.", mistakes[0].hint)


def _told(walks: list[Walk], step_is_wrong: bool) -> str:
    """The first thing in which a walk differs from the right one."""
    if step_is_wrong:
        return _first_step(next(walk for walk in walks if walk.taken))
    for walk in walks:
        right, ends = _right_count(walk), np.linalg.norm(walk.slopes[-1])
        if walk.taken > walk.most:
            return f"In the case “{walk.case.name}” your walk takes {walk.taken} steps; `max_steps` is {walk.most}."
        if walk.taken > right:
            when = f"after {right} steps" if right else "at the start"
            return (
                f"In the case “{walk.case.name}” your walk takes {walk.taken} steps. The gradient's norm was "
                f"{np.linalg.norm(walk.slopes[right]):.4g} {when}, and `tol` is {walk.tol:g}."
            )
        if walk.taken < right:
            return (
                f"In the case “{walk.case.name}” your walk stops after {walk.taken} steps. The gradient's norm is "
                f"{ends:.4g} there, above `tol` = {walk.tol:g}, and `max_steps` is {walk.most}."
            )
    walk = next((walk for walk in walks if walk.counted != walk.taken and not walk.stuck), walks[0])
    return f"In the case “{walk.case.name}” your walk takes {walk.taken} steps and `steps` is {walk.counted:g}."


def _first_step(walk: Walk) -> str:
    i = int(np.argmax(np.abs(walk.step(0) + walk.lr * walk.slopes[0])))
    old, new, g = (float(a.flat[i]) for a in (walk.points[0], walk.points[1], walk.slopes[0]))
    return (
        f"In the case “{walk.case.name}” an entry of `theta` is {old:.4g} at the start, its gradient {g:.4g}, and `lr` "
        f"{walk.lr:g}. Your first step takes it to {new:.4g}."
    )


def _right_count(walk: Walk) -> int:
    """After how many steps of this walk it should have stopped; one more than were taken if it stops too early."""
    small = [k for k, g in enumerate(walk.slopes) if np.linalg.norm(g) <= walk.tol]
    return min([*small, walk.most, walk.taken + 1])


# Steps

_LOST = "Write down one step by hand: the point, its gradient, `lr`, and the new point."
_STEPS: list[tuple[_Mistake, Callable[[Walk, int], np.ndarray]]] = [
    (
        _Mistake("uphill", "the step adds the gradient: it climbs", "Which way does the gradient point?"),
        lambda w, k: w.lr * w.slopes[k],
    ),
    (
        _Mistake("learning-rate-unused", "the learning rate is not used", "Where in your update does `lr` appear?"),
        lambda w, k: -w.slopes[k],
    ),
    (
        _Mistake(
            "uphill",
            "the step adds the gradient, so that it climbs, and does not use the learning rate",
            "Which way does the gradient point?",
        ),
        lambda w, k: w.slopes[k],
    ),
    (
        _Mistake(
            "gradient-computed-once",
            "every step uses the gradient of the start: it is not computed anew",
            "The slope changes as you walk. Where in your loop is `grad` called?",
        ),
        lambda w, k: -w.lr * w.slopes[0],
    ),
    (
        _Mistake(
            "gradient-computed-once",
            "the gradient was computed at the start and never again: all steps go in one direction",
            "The slope changes as you walk. Where in your loop is `grad` called?",
        ),
        lambda w, k: -w.lr * w.slopes[0] * (w.most if w.looks == 1 else np.nan),
    ),
    (
        _Mistake(
            "normalised",
            "the gradient is divided by its norm: all steps are equally long",
            "Should steps shrink as the slope flattens?",
        ),
        lambda w, k: -w.lr * w.slopes[k] / (np.linalg.norm(w.slopes[k]) or 1.0),
    ),
    (
        _Mistake(
            "sign-only",
            "only the signs of the gradient are used: all steps are equally long",
            "Should steps shrink as the slope flattens?",
        ),
        lambda w, k: -w.lr * np.sign(w.slopes[k]),
    ),
    (
        _Mistake(
            "norm-as-direction",
            "the gradient's norm, one number, is subtracted from every entry of `theta`",
            "The norm says when to stop. Which array says where to go?",
        ),
        lambda w, k: np.full_like(w.points[k], -w.lr * np.linalg.norm(w.slopes[k])),
    ),
    (
        _Mistake(
            "gradient-averaged",
            "the mean of the gradient, one number, is subtracted from every entry of `theta`",
            "Each entry of `theta` has a slope of its own. Which line makes one number of them?",
        ),
        lambda w, k: np.full_like(w.points[k], -w.lr * np.mean(w.slopes[k])),
    ),
    (
        _Mistake(
            "one-entry-moves",
            "only the first entry of `theta` is changed",
            "Each entry of `theta` has a slope of its own. Which of them does your update reach?",
        ),
        lambda w, k: -w.lr * w.slopes[k] * (np.arange(w.slopes[k].size) == 0).reshape(w.slopes[k].shape),
    ),
    (
        _Mistake("absolute-value", "the gradient's absolute value is subtracted", "Where does a sign disappear?"),
        lambda w, k: -w.lr * np.abs(w.slopes[k]),
    ),
    (
        _Mistake("squared", "the gradient is squared in the step", "Which power of the gradient is in the rule?"),
        lambda w, k: -w.lr * w.slopes[k] ** 2,
    ),
    (
        _Mistake("lr-squared", "the learning rate is multiplied in twice", "How often does `lr` appear on the way?"),
        lambda w, k: -(w.lr**2) * w.slopes[k],
    ),
    (
        _Mistake("divided-by-lr", "the gradient is divided by the learning rate", "A small `lr` means small steps."),
        lambda w, k: -w.slopes[k] / w.lr,
    ),
    (
        _Mistake(
            "rate-decays",
            "the learning rate is divided by the number of the step: it shrinks on the way",
            "The contract has one `lr` for the whole walk. Which variable of your step changes from round to round?",
        ),
        lambda w, k: -w.lr / (k + 1) * w.slopes[k],
    ),
    (
        _Mistake(
            "rate-decays",
            "the learning rate is divided by the root of the number of the step: it shrinks on the way",
            "The contract has one `lr` for the whole walk. Which variable of your step changes from round to round?",
        ),
        lambda w, k: -w.lr / np.sqrt(k + 1) * w.slopes[k],
    ),
    (
        _Mistake(
            "point-not-slope",
            "the point itself is subtracted where its gradient belongs: `theta` shrinks towards 0",
            "Print what you subtract in the first round, beside `grad(theta)`.",
        ),
        lambda w, k: -w.lr * w.points[k],
    ),
    (
        _Mistake(
            "old-slope",
            "each step uses the gradient of the point before: a new one is computed too late",
            "In which order do you step and compute the gradient?",
        ),
        lambda w, k: -w.lr * w.slopes[max(k - 1, 0)],
    ),
]


def _step(walks: list[Walk]) -> list[_Mistake] | None:
    """The mistakes of the step: none, one, or None if it is not known."""
    going = [walk for walk in walks if walk.taken]
    if _fits(going, lambda w, k: -w.lr * w.slopes[k]):
        return []
    for mistake, rule in _STEPS:
        if _fits(going, rule):
            return [mistake]
    ratios = [
        (walk.lr, float(np.vdot(walk.slopes[k], walk.step(k)) / np.vdot(walk.slopes[k], walk.slopes[k])))
        for walk in going
        for k in range(walk.taken)
        if walk.slopes[k].any()
    ]
    if not ratios:
        return None
    for words, c, rule in (
        ("the step is {:.4g} × `lr` × gradient", ratios[0][1] / ratios[0][0], lambda w, k: w.lr * w.slopes[k]),
        ("the step is {:.4g} × gradient, whatever `lr` is", ratios[0][1], lambda w, k: w.slopes[k]),
    ):
        if _fits(going, lambda w, k, c=c, rule=rule: c * rule(w, k)):
            return [_Mistake("constant-factor", words.format(c).replace("-", "−"), _LOST)]
    return _momentum(going)


def _fits(walks: list[Walk], rule: Callable[[Walk, int], np.ndarray]) -> bool:
    return all(
        np.allclose(walk.step(k), rule(walk, k), rtol=1e-6, atol=1e-9 * (1 + np.abs(walk.points[k]).max()))
        for walk in walks
        for k in range(walk.taken)
    )


def _momentum(walks: list[Walk]) -> list[_Mistake] | None:
    """Does each step contain a part of the one before?"""
    first = next((walk for walk in walks if walk.taken > 2), None)
    if first is None:
        return None
    rest, before = first.step(1) + first.lr * first.slopes[1], first.step(0)
    beta = float(np.vdot(rest, before) / (np.vdot(before, before) or 1.0))
    if abs(beta) > 1e-6 and _fits(walks, lambda w, k: (beta * w.step(k - 1) if k else 0.0) - w.lr * w.slopes[k]):
        words = f"each step contains {beta:.3g} × the step before: that is momentum, or a variable that adds up"
        return [_Mistake("momentum", words, "Which variable of your step is not made anew in each round?")]
    return None


def _unknown_step(walks: list[Walk]) -> Finding:
    walk = next(walk for walk in walks if walk.taken and not _fits([walk], lambda w, k: -w.lr * w.slopes[k]))
    return Finding(
        f"{_first_step(walk)} The right step takes it somewhere else, or a later one does."
        if np.allclose(walk.step(0), -walk.lr * walk.slopes[0])
        else _first_step(walk),
        "wrong-step",
        "the step is not `lr` times the gradient of the present point, downhill.",
        _LOST,
    )


# When to stop

_NORM = "The contract speaks of the Euclidean norm of the gradient: the root of the sum of all squared entries."
_ONE_ENTRY = "With the gradient (0, 4), has the walk arrived?"
_OTHER_THING = "Which quantity does the contract compare with `tol`, and which one does your condition?"
_QUANTITIES: list[tuple[_Mistake | None, Callable[[Walk, int], float]]] = [
    (None, lambda w, k: np.linalg.norm(w.slopes[k])),
    (
        _Mistake("step-not-gradient", "the length of the step, `lr` times the gradient, is compared with `tol`", _NORM),
        lambda w, k: w.lr * np.linalg.norm(w.slopes[k]),
    ),
    (
        _Mistake(
            "step-not-gradient", "the length of the last step, the change of `theta`, is compared with `tol`", _NORM
        ),
        lambda w, k: np.linalg.norm(w.step(k - 1)) if k else np.inf,
    ),
    (
        _Mistake("largest-entry-not-norm", "the largest entry of the gradient is compared with `tol`", _NORM),
        lambda w, k: np.abs(w.slopes[k]).max(),
    ),
    (
        _Mistake("squared-norm", "the square of the norm is compared with `tol`: the root is missing", _NORM),
        lambda w, k: np.sum(w.slopes[k] ** 2),
    ),
    (
        _Mistake("sum-not-norm", "the sum of the absolute entries is compared with `tol`", _NORM),
        lambda w, k: np.abs(w.slopes[k]).sum(),
    ),
    (
        _Mistake("mean-square-not-norm", "the root of the *mean* square is compared with `tol`", _NORM),
        lambda w, k: np.sqrt(np.mean(w.slopes[k] ** 2)),
    ),
    (
        _Mistake("mean-square-not-norm", "the mean of the squares is compared with `tol`", _NORM),
        lambda w, k: np.mean(w.slopes[k] ** 2),
    ),
    (
        _Mistake("mean-not-norm", "the mean of the absolute entries is compared with `tol`", _NORM),
        lambda w, k: np.abs(w.slopes[k]).mean(),
    ),
    (
        _Mistake("spectral-norm", "for a matrix the largest singular value is taken, not the Euclidean norm", _NORM),
        lambda w, k: np.linalg.norm(w.slopes[k], 2),
    ),
    (
        _Mistake("one-small-entry", "it stops as soon as *one* entry of the gradient is small", _ONE_ENTRY),
        lambda w, k: np.abs(w.slopes[k]).min(),
    ),
    (
        _Mistake(
            "sign-in-condition",
            "the entries are compared with `tol` without their absolute value: a steep negative slope counts as small",
            "Is −5 less than 0.001? Is a slope of −5 flat?",
        ),
        lambda w, k: w.slopes[k].max(),
    ),
    (
        _Mistake(
            "sign-in-condition",
            "it stops as soon as one entry, without its absolute value, is below `tol`",
            "Is −5 less than 0.001? Is a slope of −5 flat?",
        ),
        lambda w, k: w.slopes[k].min(),
    ),
    (
        _Mistake("sum-not-norm", "the sum of the entries is compared with `tol`: positive and negative cancel", _NORM),
        lambda w, k: abs(w.slopes[k].sum()),
    ),
    (
        _Mistake(
            "mean-not-norm", "the mean of the entries is compared with `tol`: positive and negative cancel", _NORM
        ),
        lambda w, k: abs(w.slopes[k].mean()),
    ),
    (
        _Mistake("sum-not-norm", "the sum of the entries is compared with `tol`, with its sign", _NORM),
        lambda w, k: w.slopes[k].sum(),
    ),
    (
        _Mistake("first-entry-only", "only the first entry of the gradient is compared with `tol`", _ONE_ENTRY),
        lambda w, k: abs(w.slopes[k].flat[0]),
    ),
    (
        _Mistake("point-not-slope", "the norm of `theta` itself is compared with `tol`", _OTHER_THING),
        lambda w, k: np.linalg.norm(w.points[k]),
    ),
    (
        _Mistake(
            "change-of-gradient",
            "the *change* of the gradient is compared with `tol`",
            "On a straight slope the gradient does not change at all. Has the walk arrived there?",
        ),
        lambda w, k: np.linalg.norm(w.slopes[k] - w.slopes[k - 1]) if k else np.inf,
    ),
    (
        _Mistake(
            "change-of-gradient",
            "the *change* of the gradient's norm is compared with `tol`",
            "On a straight slope the gradient does not change at all. Has the walk arrived there?",
        ),
        lambda w, k: abs(np.linalg.norm(w.slopes[k]) - np.linalg.norm(w.slopes[k - 1])) if k else np.inf,
    ),
    (
        _Mistake("step-not-gradient", "the largest entry of the last step is compared with `tol`", _NORM),
        lambda w, k: np.abs(w.step(k - 1)).max() if k else np.inf,
    ),
    (
        _Mistake("step-not-gradient", "the squared length of the last step is compared with `tol`", _NORM),
        lambda w, k: np.sum(w.step(k - 1) ** 2) if k else np.inf,
    ),
    (
        _Mistake(
            "relative-norm",
            "the norm is compared with `tol` times the norm at the start",
            "Start very near to the minimum. Should the walk begin?",
        ),
        lambda w, k: np.linalg.norm(w.slopes[k]) / (np.linalg.norm(w.slopes[0]) or 1.0),
    ),
    (
        _Mistake(
            "tolerance-unused", "the tolerance stops nothing", "When is the walk over before the steps are used up?"
        ),
        lambda w, k: np.inf,
    ),
]
_RELATIONS = [
    (None, lambda q, tol: q <= tol),
    (
        _Mistake(
            "strictly-less",
            "it stops when that is less than `tol`; equal should do",
            "What happens when both are equal?",
        ),
        lambda q, tol: q < tol,
    ),
]
_WHEN = [  # the first point at which it looks, or minus the distance between looks; how many steps later it stops
    (None, 0, 0),
    (
        _Mistake(
            "steps-before-it-looks",
            "it takes one more step after it has seen that the slope is flat: the look comes after the step, and is "
            "at the old slope",
            "Start at the minimum: your walk should stay there.",
        ),
        0,
        1,
    ),
    (
        _Mistake(
            "steps-before-it-looks",
            "it takes a step before it looks for the first time",
            "Start at the minimum: your walk should stay there.",
        ),
        1,
        0,
    ),
    *(
        (
            _Mistake(
                "looks-too-rarely",
                f"it looks whether to stop only at every {m}th step" if m > 2 else "it looks only at every other step",
                "The walk should end as soon as the slope is flat. In which rounds does your code look?",
            ),
            -m,
            0,
        )
        for m in (2, 5, 10)
    ),
]
_LIMITS = [
    (None, 0),
    (
        _Mistake(
            "one-step-too-few",
            "at most `max_steps` − 1 steps are taken",
            "With `max_steps` of 1, how often does your loop run?",
        ),
        -1,
    ),
    (
        _Mistake(
            "one-step-too-many",
            "one step more than `max_steps` may be taken",
            "With `max_steps` of 0, how often does your loop run?",
        ),
        1,
    ),
    (
        _Mistake("limit-unused", "`max_steps` stops nothing", "When is the walk over if the slope never becomes flat?"),
        MOST_LOOKS,
    ),
]


def _stop(walks: list[Walk]) -> tuple[list[_Mistake], int] | None:
    """The mistakes of the condition: the fewest with which every walk stops where it does.

    Returns
    -------
    the mistakes, and how many steps more than ``max_steps`` may be taken; None if no condition fits.
    """
    options = [_QUANTITIES, _RELATIONS, _WHEN, _LIMITS]
    best: tuple[list[_Mistake], int] | None = None
    for i, (_, quantity) in enumerate(_QUANTITIES):
        sizes = [[float(quantity(walk, k)) for k in range(len(walk.points))] for walk in walks]
        for choice in itertools.product([i], *(range(len(option)) for option in options[1:])):
            mistakes = [option[c][0] for option, c in zip(options, choice, strict=True) if option[c][0] is not None]
            if best is not None and len(mistakes) >= len(best[0]):
                continue
            (_, small), (_, first, later), (_, more) = (
                option[c] for option, c in zip(options[1:], choice[1:], strict=True)
            )
            if all(
                _stops_there(walk, sizes, small, first, later, more) for walk, sizes in zip(walks, sizes, strict=True)
            ):
                best = mistakes, more
    return best


def _stops_there(walk: Walk, sizes: list[float], small: Callable, first: int, later: int, more: int) -> bool:
    """Whether a condition ends a walk where it ended."""
    looks = range(first, len(sizes)) if first >= 0 else range(0, len(sizes), -first)
    flat = next((k for k in looks if small(sizes[k], walk.tol)), None)
    end = len(sizes) if flat is None else flat + later  # one step more than it took, if nothing was flat
    predicted = min(end, max(walk.most + more, 0))
    return predicted >= walk.taken if walk.stuck else predicted == walk.taken


def _other_tolerance(walks: list[Walk]) -> _Mistake | None:
    """Is the norm compared with a number of its own, or with a multiple of ``tol``?"""
    arrived = [walk for walk in walks if 0 < walk.taken < walk.most and not walk.stuck]
    going = [walk for walk in walks if walk.taken]
    norms = {id(walk): [float(np.linalg.norm(g)) for g in walk.slopes] for walk in walks}
    if len(arrived) < 2 or any(walk.taken > walk.most for walk in walks):
        return None
    for multiple in (True, False):
        low = max(norms[id(walk)][-1] / (walk.tol if multiple else 1.0) for walk in arrived)
        high = min(min(norms[id(walk)][:-1]) / (walk.tol if multiple else 1.0) for walk in going)
        if low < high:
            about = f"between {low:.3g} and {high:.3g}"
            words = f"{about} times `tol`" if multiple else f"a fixed number {about}, whatever `tol` is"
            return _Mistake("other-tolerance", f"the walk stops at another norm than `tol`: {words}", _OTHER_THING)
    return None


def _unknown_stop(walks: list[Walk]) -> Finding | None:
    if (mistake := _other_tolerance(walks)) is not None:
        return Finding(_told(walks, False), mistake.cause, f"{mistake.words}.", mistake.hint)
    walk = next((walk for walk in walks if walk.taken != _right_count(walk)), None)
    if walk is None:
        return None
    return Finding(_told([walk], False), None, "the steps are right; the condition that ends the walk is not.", _NORM)


# Counting


def _count(walks: list[Walk], more: int) -> list[_Mistake]:
    hint = "How many steps has a walk taken that starts at the minimum? And one that runs out of steps?"
    walks = [walk for walk in walks if not walk.stuck]
    if all(walk.counted == walk.taken for walk in walks):
        return []
    if all(walk.counted == 0 for walk in walks):
        return [_Mistake("counter-never-grows", "`steps` stays 0", "Which line counts a step that was taken?")]
    if all(walk.counted == walk.most for walk in walks):
        return [_Mistake("limit-returned", "`steps` is `max_steps`, however many were taken", hint)]
    arrived = {walk.counted - walk.taken for walk in walks if walk.taken < walk.most + more}
    ran_out = {walk.counted - walk.taken for walk in walks if walk.taken == walk.most + more > 0}
    for told, cause, words in (
        (({1.0}, {1.0}), "counts-one-too-many", "`steps` is one ahead: the count starts at 1"),
        (({-1.0}, {-1.0}), "counts-one-too-few", "`steps` is one behind"),
        (({0.0}, {-1.0}), "index-not-count", "`steps` is the number of the loop's last round: counted from 0"),
        (({1.0}, {0.0}), "counts-one-too-many", "`steps` is one too many where the walk arrives"),
        (({-1.0}, {0.0}), "counts-one-too-few", "`steps` is one too few where the walk arrives"),
        (({0.0}, {1.0}), "counts-one-too-many", "`steps` is one too many where the steps run out"),
    ):
        if (arrived, ran_out) == told:
            return [_Mistake(cause, words, hint)]
    if all(walk.counted == walk.looks for walk in walks):
        words = "the looks at the gradient are counted, not the steps"
        return [_Mistake("looks-counted", words, "A look at the gradient is no step. Which line steps?")]
    return [_Mistake("wrong-count", "`steps` is not the number of steps that were taken", hint)]
