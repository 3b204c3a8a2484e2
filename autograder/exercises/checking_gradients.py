"""Chapter 3: gradients by nudging, and a gradient checker of the learner's own."""

import copy
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

import backprop
from autograder.checking.call import call
from autograder.checking.compare import agrees
from autograder.checking.derivation import Derivation
from autograder.checking.exercise import Case, Exercise
from autograder.checking.score import Finding, Score
from autograder.checking.structure import WrongStructure
from autograder.checking.words import listing

CHAPTER = "03-checking-gradients"


@dataclass
class InWords(Exercise):
    """An exercise that tells its findings in words of its own: its arrays stand for something else, or hide it.

    Parameters
    ----------
    retell : from the learner's function, the cases and the findings, the findings to show.
    """

    retell: Callable[[Callable, list[Case], list[Finding]], list[Finding]] = lambda f, cases, findings: findings

    def check(self, f: Callable, seed: int) -> Score:
        """Judge a learner's function. Raises nothing that ``f`` does."""
        score = super().check(f, seed)
        if all(finding.note for finding in score.findings) or not score.written:
            return score
        cases = self.make_cases(np.random.default_rng(seed))
        told = call(self.retell, (f, cases, score.findings)).value or score.findings
        return replace(score, findings=[replace(finding, replay=score.findings[0].replay) for finding in told])

    def speaks_of_values(self, finding: Finding) -> bool:
        """Whether a finding says that a result has other values than it should."""
        names = "|".join(self.outputs)
        return re.match(rf"(In the case “[^”]*” )?`({names})[`\[]", finding.what) is not None


def one_by_one(retell: Callable[[Callable, list[Case], Finding], Finding]) -> Callable:
    """Retell each finding for itself."""
    return lambda f, cases, findings: [retell(f, cases, finding) for finding in findings]


def moderate(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Numbers of either sign, between ½ and 1½ in size."""
    return np.array(rng.choice([-1.0, 1.0], size=shape) * rng.uniform(0.5, 1.5, size=shape))


class Watched:
    """A function of an array that notes where it is evaluated; at each place it has a random value of its own."""

    def __init__(self, seed: int, is_complex: bool = False):
        self._rng = np.random.default_rng(seed)
        self._is_complex = is_complex
        self._places: dict[tuple, int] = {}
        self.points: list[np.ndarray] = []
        self.values: list[complex] = []

    def __call__(self, x: Any) -> Any:
        point = np.array(x)
        key = (point.shape, (point + 0.0).tobytes())
        if key not in self._places:
            self._places[key] = len(self.points)
            real, imaginary = self._rng.standard_normal(2)
            size = float(np.abs(point.imag).max(initial=0.0)) or 1.0
            self.points.append(point)
            self.values.append(np.complex128(real + 1j * imaginary * size) if self._is_complex else float(real))
        value = self.values[self._places[key]]
        return value if point.dtype.kind == "c" or not self._is_complex else value.real


_ALL_NUDGED = (
    "all-entries-nudged",
    "all entries of `x` are nudged at the same time, so that all slopes are mixed into one number.",
    "How does f change if only `x[0]` moves? Which array has a nudge in one place?",
)
_ROW_NUDGED = (
    "row-nudged",
    "a whole row of `x` is nudged at once: `x[i]` with one index is a row of a matrix.",
    "How many entries has a matrix of shape (2, 3), and how many rounds does your loop make?",
)
_NUDGE_KEPT = (
    "nudge-kept",
    "entries that had their turn stay nudged: a nudge is not taken back before the next one.",
    "Print the array that you hand to `f` in the second round of the loop.",
)
_NOT_CALLED = ("f-not-called", "`f` is never called.", "What tells how steep a function is?")


def _other_shape(points: list[np.ndarray], x: np.ndarray) -> tuple[str, str, str] | None:
    """Is f called with arrays of another shape than that of x?"""
    odd = next((point for point in points if point.shape != x.shape), None)
    if odd is None:
        return None
    return (
        "other-shape",
        f"`f` is called with an array of shape {odd.shape} where `x` has shape {x.shape}; `f` wants the whole array, "
        "with one entry nudged.",
        "Print the shape of what you hand to `f`.",
    )


def _worst_entry(exercise: Exercise, f: Callable, cases: list[Case]) -> str:
    """The first case that is wrong, and the entry in it that is most so, with as many digits as it takes."""
    for case in cases:
        r = np.asarray(exercise.right(case.args))
        a = np.asarray(call(f, copy.deepcopy(case.args)).value)
        if a.dtype.kind not in "fiub":
            continue
        if a.shape != r.shape:
            return f"In the case “{case.name}” `grad` should have shape {r.shape} and has {a.shape}."
        if not agrees(a, r).all():
            i = tuple(map(int, np.unravel_index(int(np.argmax(np.abs(a - r))), r.shape)))
            digits = next(n for n in (6, 9, 12, 17) if n == 17 or f"{a[i]:.{n}g}" != f"{r[i]:.{n}g}")
            numbers = f"should be {r[i]:.{digits}g} and is {a[i]:.{digits}g}"
            return f"In the case “{case.name}” `{_entry(i, 'grad')}` {numbers}."
    return ""


def _entry(i: tuple[int, ...], name: str = "x") -> str:
    return f"{name}[{', '.join(map(str, i))}]" if i else name


def _without_axis(finding: Finding) -> Finding:
    """Say so if a function raised since an array of shape () has no axis."""
    signs = ("len() of unsized", "0-d", "too many indices", "tuple index out of range")
    if _is_raised(finding) and "shape ()" in finding.what and any(sign in finding.what for sign in signs):
        return replace(
            finding,
            cause="no-axis",
            likely="an array of shape () has one entry and no axis: there is no `len(x)`, no `x[0]` and no row.",
            next_step="What do `x.size`, `x.shape` and `list(np.ndindex(x.shape))` give for `x = np.array(0.5)`?",
        )
    return finding


def _is_raised(finding: Finding) -> bool:
    return "your function raised" in finding.what


def _is_chaff(exercise: Exercise, finding: Finding) -> bool:
    return finding.likely in [chaff.misconception for chaff in exercise.chaffs]


# central_difference


def _central_cases(rng: np.random.Generator) -> list[Case]:
    a, b, A = moderate(rng, 5), moderate(rng, 7), moderate(rng, 3, 3)
    zeros = moderate(rng, 7)
    zeros[rng.permutation(7)[:3]] = 0.0
    whole = rng.choice([-2.0, -1.0, 1.0, 2.0], size=(2, 3))

    def of_a_vector(x):
        return np.exp(a @ x / 2) + np.sum(x**3)

    def of_rows(X):
        return np.sin(X[0] @ X[1]) * np.sum(np.exp(X[2])) + np.sum(np.sum(X, axis=0) ** 3)

    def of_a_square(X):
        return np.sum(A * np.exp(X @ X / 3))

    def of_three_axes(T):
        return np.sum(A * np.tanh(T[0] @ T[1].T)) + np.sum(np.cos(T[:, :, 0]))

    def of_whole_numbers(X):
        return np.exp(X[0] @ X[1] / 7) + np.sum(np.sin(X))

    return [
        Case("a vector of 5", (of_a_vector, moderate(rng, 5), 0.1)),
        Case("a matrix, 3 × 2", (of_rows, moderate(rng, 3, 2), 0.03)),
        Case("a square, 3 × 3", (of_a_square, moderate(rng, 3, 3), 0.02)),
        Case("three axes, 2 × 3 × 2", (of_three_axes, moderate(rng, 2, 3, 2), 0.01)),
        Case("some entries are 0", (lambda x: np.sum(b * np.exp(x)) + np.sum(x) ** 3, zeros, 0.003)),
        Case("one entry", (lambda x: x[0] ** 3 + np.exp(2 * x[0]), moderate(rng, 1), 0.07)),
        Case("a number, shape ()", (lambda x: np.sin(2 * x) + x**3, moderate(rng), 0.05), group="number"),
        Case("x of whole numbers", (of_whole_numbers, whole, 0.02), group="whole numbers"),
    ]


_STEP = 0.25  # so that nudges of the probes below are exact
MOST_PLACES = 60  # where f is looked at: a central difference of six entries takes twelve


class _Stencil(NamedTuple):
    """What an answer makes of the values of f: each entry of the gradient is a sum of weights times values."""

    offsets: list[np.ndarray]  # of the places from x
    weights: np.ndarray  # (places, *shape of x)


def _stencil(f: Callable, x: np.ndarray, h: float) -> _Stencil | tuple[str, str, str] | None:
    """Where a learner's central_difference looks at f, and with which weights: found by random values of f.

    Cause, likely cause in words and next step, where the places alone tell it; None if nothing can be told.
    """
    values, answers, places, runs = [], [], [], 1
    while len(answers) < runs:
        watched = Watched(len(answers))
        outcome = call(f, (watched, x.copy(), h))
        places = watched.points
        if (odd := _other_shape(places, x)) is not None:
            return odd
        if outcome.error is not None:
            return None
        answer = np.asarray(outcome.value)
        if (cause := _told_by_places(places, answer, x)) is not None:
            return cause
        if answer.dtype.kind not in "fiu" or answer.shape != x.shape:
            return None
        if len(places) > MOST_PLACES:
            return None
        values.append(watched.values)
        answers.append(answer.ravel().astype(float))
        runs = len(places) + 3
    if len({len(row) for row in values}) > 1:
        return None
    V, G = np.array(values), np.array(answers)
    weights = np.linalg.lstsq(V, G, rcond=None)[0]
    if not np.allclose(V @ weights, G, atol=1e-6 * (1 + np.abs(G).max())):
        return None
    weights[np.abs(weights) < 1e-7 * max(np.abs(weights).max(initial=0.0), 1e-300)] = 0.0
    return _Stencil([place - x for place in places], weights.reshape(len(places), *x.shape))


def _told_by_places(places: list[np.ndarray], answer: np.ndarray, x: np.ndarray) -> tuple[str, str, str] | None:
    """What the places alone tell, and the kind of the result."""
    if not places:
        return _NOT_CALLED
    nudged = [place for place in places if (place != x).any()]
    if x.size > 1 and answer.shape != x.shape and nudged and all((place != x).all() for place in nudged):
        return _ALL_NUDGED
    return None


def _central_explained(f: Callable) -> Finding | None:
    """What is done wrong, from the places where f is looked at and the weights that its values get."""
    probes = (
        ("a vector of three", np.array([0.5, -1.25, 2.0])),
        ("a matrix, 2 × 3", np.array([[0.5, -1.25, 2.0], [1.5, -0.75, 3.0]])),
        ("three axes, 2 × 1 × 2", np.array([[[0.5, -1.25]], [[2.0, 3.0]]])),
        ("a vector in which entries are 0", np.array([0.0, -1.25, 0.0])),
        ("one entry", np.array([1.5])),
        ("a number of shape ()", np.array(0.5)),
    )
    for name, x in probes:
        found = _stencil(f, x, _STEP)
        if isinstance(found, _Stencil):
            cause = _why_not_central(f, x, found)
            if cause is not None:
                slug, likely, step, i = cause
                return Finding(f"Tried on {name} with h = {_STEP}, {_in_terms_of_f(x, found, i)}", slug, likely, step)
        elif found is not None:
            return Finding("`grad` is not right.", *found)
    return None


def _in_terms_of_f(x: np.ndarray, stencil: _Stencil, i: tuple[int, ...]) -> str:
    """An entry of the answer as a sum of values of f, in words."""
    terms = []
    for offset, weight in zip(stencil.offsets, stencil.weights[(slice(None), *i)], strict=True):
        if weight == 0:
            continue
        moved = [j for j in np.ndindex(x.shape) if abs(offset[j]) > 1e-12]
        places = [f"{_entry(j)} {'+' if offset[j] > 0 else '−'} {abs(offset[j]):.3g}" for j in moved[:3]]
        more = " …" if len(moved) > 3 else ""
        terms.append((weight, f"(f at {listing(places)}{more})" if moved else "(f at x)"))
    if not terms:
        return f"your `{_entry(i, 'grad')}` does not depend on the values of `f`."
    text = f" {_sign(1)} ".join(f"{weight:.4g} × {place}" for weight, place in terms[:4])
    text = text.replace("+ -", "− ")
    return f"your `{_entry(i, 'grad')}` is {text}{' …' if len(terms) > 4 else ''}."


def _sign(number: float) -> str:
    return "+" if number >= 0 else "−"


Cause = tuple[str, str, str, tuple[int, ...]]


def _why_not_central(f: Callable, x: np.ndarray, stencil: _Stencil) -> Cause | None:
    """Slug, likely cause, next step, and an entry that shows it; None if the stencil is right."""
    entries = list(np.ndindex(x.shape))
    used = {i: [(d, w) for d, w in zip(stencil.offsets, stencil.weights[(slice(None), *i)], strict=True) if w]
            for i in entries}  # fmt: skip
    empty = [i for i in entries if not used[i]]
    if len(empty) == len(entries):
        return (
            "values-unused",
            "`f` is called, but what it answers does not reach the result.",
            "Follow the two values of `f` through your lines: where do they end?",
            entries[0],
        )
    if empty:
        return (
            "entries-left-out",
            f"{len(empty)} of the {len(entries)} entries of the gradient are never filled.",
            "Print the indices that your loop visits.",
            empty[0],
        )
    for i in entries:
        if (moved := _other_entries_moved(x, i, used[i])) is not None:
            return (*moved, i)
    i = entries[-1]
    return _why_not_central_in(f, x, {i: [(float(d[i]), w) for d, w in used[i]] for i in entries}, i)


def _other_entries_moved(x: np.ndarray, i: tuple[int, ...], terms: list) -> tuple[str, str, str] | None:
    """Are entries other than the i-th nudged for entry i of the gradient?"""
    for d, _ in terms:
        moved = [j for j in np.ndindex(x.shape) if abs(d[j]) > 1e-12]
        others = [j for j in moved if j != i]
        if not others:
            continue
        if len(moved) == x.size:
            return _ALL_NUDGED
        if x.ndim > 1 and all(j[0] == i[0] for j in moved) and len(moved) == x[0].size:
            return _ROW_NUDGED
        if i in moved and all(j < i for j in others):
            return _NUDGE_KEPT
        return (
            "wrong-entry-nudged",
            f"for `{_entry(i, 'grad')}`, the entry `{_entry(others[0])}` is nudged.",
            "Print, for each round of the loop, the index that is nudged and the index that is filled.",
        )
    return None


def _why_not_central_in(f: Callable, x: np.ndarray, used: dict, i: tuple[int, ...]) -> Cause | None:
    """As above, where for every entry of the gradient only that entry of x is nudged."""
    h = _STEP
    half = _stencil(f, x, h / 2)
    steps = {abs(d) for terms in used.values() for d, _ in terms if d}
    if isinstance(half, _Stencil) and steps:
        again = {float(abs(d).max(initial=0)) for d in half.offsets if d.any()}
        if np.allclose(sorted(again), sorted(steps), rtol=1e-6):
            likely = f"`h` is not used for the nudge: the step is always {min(steps):.3g}."
            return "h-ignored", likely, "Where does `h` appear in your code?", i
    own_steps = {j: {abs(d) for d, _ in terms if d} for j, terms in used.items()}
    if len(steps) > 1 and all(len(own) == 1 for own in own_steps.values()):
        (first,), (last,) = own_steps[min(used)], own_steps[max(used)]
        likely = f"the step depends on the entry: it is {first:.3g} for `{_entry(min(used))}` and {last:.3g} for "
        likely += f"`{_entry(max(used))}`, where h is {h}."
        return "relative-step", likely, "The contract says how large the step is. What is it at an entry of 0?", i
    if not np.allclose([s / h for s in steps], np.round([4 * s / h for s in steps]) / 4):
        likely = f"the step is {min(steps):.3g}, and h is {h}."
        return "other-step", likely, "Which line computes the nudge?", i
    shape = {j: sorted((round(4 * d / h) / 4, w) for d, w in terms) for j, terms in used.items()}
    places = {tuple(k for k, _ in terms) for terms in shape.values()}
    if len(places) > 1:
        odd = next(j for j, terms in shape.items() if tuple(k for k, _ in terms) != (-1, 1))
        return (
            "entries-treated-differently",
            f"the places where `f` is looked at are not the same for all entries: for `{_entry(odd, 'grad')}` they are "
            "others.",
            "Print the arrays that you hand to `f`, two for each entry.",
            odd,
        )
    (ks,) = places
    if ks != (-1.0, 1.0):
        return (*_OTHER_PLACES.get(ks, _other_places(ks)), i)
    below, above = (np.array([terms[n][1] for terms in shape.values()]) for n in (0, 1))
    if np.allclose(above, below):
        likely = "the two values of `f` are added; how much `f` changes is their difference."
        return "sum-not-difference", likely, "What comes out for a constant function?", i
    if not np.allclose(above, -below):
        likely = "the two values of `f` get different weights."
        return "unequal-weights", likely, "What comes out for a constant function?", i
    if isinstance(half, _Stencil) and (wrong := _why_not_divided_rightly(above, half.weights)) is not None:
        return (*wrong, i)
    return None


_OTHER_PLACES = {
    (0.0, 1.0): (
        "forward-difference",
        "this is the forward difference: `f` is looked at above `x` and at `x` itself, never below it. Its error "
        "shrinks as h, not as h².",
        "“Central” means: `x` lies in the middle. Between which two places?",
    ),
    (-1.0, 0.0): (
        "backward-difference",
        "this is the backward difference: `f` is looked at below `x` and at `x` itself, never above it. Its error "
        "shrinks as h, not as h².",
        "“Central” means: `x` lies in the middle. Between which two places?",
    ),
    (-0.5, 0.5): (
        "half-step",
        "the steps are h/2 to either side; the contract asks for a full `h` to either side.",
        "How far apart are the two places where you look at `f`? How far should they be?",
    ),
    (-2.0, 2.0): (
        "double-step",
        "the steps are 2h to either side.",
        "After the first nudge the entry is off by `h`. Where is it after the second?",
    ),
    (-2.0, -1.0, 1.0, 2.0): (
        "higher-order",
        "this is a difference of higher order, from four places; the contract asks for the one from two places.",
        "How often is `f` called for each entry?",
    ),
    (-1.0, 0.0, 1.0): (
        "three-places",
        "`f` at `x` itself enters as well: it belongs to the second derivative, not to a central difference.",
        "What does your expression give for f(x) = x, at x = 5?",
    ),
    (0.0,): (
        "no-nudge",
        "`f` is looked at in `x` alone: the nudge never reaches it.",
        "Print the array that you hand to `f`. Is one entry of it changed?",
    ),
    (1.0,): (
        "one-value-only",
        "only the value above `x` is used; nothing is subtracted from it.",
        "A slope is a difference divided by a distance. Which difference?",
    ),
    (0.0, 2.0): (
        "nudge-not-taken-back",
        "the second place is at 2h, or at `x`: the steps do not go to either side of `x`.",
        "After the first nudge the entry is off by `h`. By how much must it move to be off by `-h`?",
    ),
}


def _other_places(ks: tuple[float, ...]) -> tuple[str, str, str]:
    places = listing([f"x {_sign(k)} {abs(k):g}·h" if k else "x" for k in ks])
    return (
        "other-places",
        f"`f` is looked at in {places}.",
        "“Central” means: `x` lies in the middle between the two places, at the distance `h` from each.",
    )


def _why_not_divided_rightly(above: np.ndarray, above_at_half: np.ndarray) -> tuple[str, str, str] | None:
    """The weights of f(x + h) at two steps tell by what the difference was divided."""
    h, weight = _STEP, float(above[0])
    if not np.allclose(above, weight):
        likely = "the difference is not divided by the same number for all entries."
        return "other-divisor", likely, "Which number should the difference be divided by, and does it depend on `x`?"
    other = float(np.abs(above_at_half).max())
    power = math.log2(abs(weight) / other)  # the weight is proportional to h to this power
    factor = weight / h ** round(power)
    if abs(power - round(power)) > 1e-6:
        return "other-divisor", "the divisor is not right.", "How far apart are the two places where you look at `f`?"
    if round(power) == -1 and math.isclose(factor, 0.5):
        return None
    if round(power) == -1 and math.isclose(factor, -0.5):
        likely = "the difference is taken the other way round: f below minus f above."
        return "sign-flipped", likely, "For f(x) = x the slope is 1. What does yours give?"
    if round(power) == 1:
        return (
            "multiplied-by-h",
            "the difference is multiplied by `h`: without brackets, `/ 2 * h` divides by 2 and then multiplies by `h`.",
            "Put in numbers: what is `8 / 2 * 4` in Python?",
        )
    if round(power) == 0:
        return (
            "not-divided-by-h",
            "the difference of the two values is not divided by their distance.",
            "A slope is rise over run. Which number is the run?",
        )
    if round(power) == -1 and math.isclose(abs(factor), 1):
        return (
            "divided-by-h",
            "the difference is divided by `h`, so that the result is twice too large"
            + (", and its sign is flipped." if factor < 0 else "."),
            "How far apart are the two places where you look at `f`?",
        )
    return (
        "other-divisor",
        f"the difference is divided by {1 / abs(factor):.4g}·h{f'^{-round(power)}' if round(power) != -1 else ''}.",
        "How far apart are the two places where you look at `f`?",
    )


def _left_over(f: Callable, cases: list[Case], finding: Finding) -> Finding:
    """Say so if x was nudged in place and put back but for rounding."""
    if finding.cause != "argument-changed":
        return finding
    args = copy.deepcopy(cases[0].args)
    call(f, args)
    after, before = (next(a for a in some if isinstance(a, np.ndarray)) for some in (args, cases[0].args))
    if not np.allclose(after, before, rtol=1e-12, atol=1e-12):
        return finding
    return replace(
        finding,
        what="Your function changed its argument `x`: by no more than rounding, but for good.",
        likely="`x` is nudged in place, and `+ h`, `− 2h`, `+ h` do not lead back to the very number that was there.",
        next_step="Keep the old number in a variable and put it back, or nudge a copy.",
    )


def _by_the_stencil(f: Callable, cases: list[Case], finding: Finding) -> Finding:
    """Where f is looked at, and with which weights, tells more than the numbers, or than an error inside of f."""
    raised = _is_raised(finding)
    if _is_chaff(central_difference, finding) or not (raised or central_difference.speaks_of_values(finding)):
        return _left_over(f, cases, finding)
    found = _central_explained(f)
    if raised:
        told = found is not None and found.cause == "other-shape"
        return replace(found, what=finding.what) if told else _without_axis(finding)
    what = _worst_entry(central_difference, f, cases)
    if found is None:
        return replace(finding, what=what) if what and finding.what.startswith("In the case") else finding
    return replace(found, what=found.what if "f at" in found.what or not what else what)


central_difference = InWords(
    "central_difference",
    CHAPTER,
    4,
    "central_difference(f, x, h)",
    ("grad",),
    reference=backprop.central_difference,
    make_cases=_central_cases,
    explain=_central_explained,
    retell=one_by_one(_by_the_stencil),
    formula="grad[i] = (f(x + h·e_i) − f(x − h·e_i)) / (2h), where e_i is 1 at entry i and 0 elsewhere",
)


@central_difference.wheat
def with_unit_arrays(f, x, h):
    grad = np.empty(x.shape)
    for i in range(x.size):
        e = np.zeros(x.size)
        e[i] = h
        e = e.reshape(x.shape)
        grad.flat[i] = (f(x + e) - f(x - e)) / (2 * h)
    return grad


@central_difference.wheat
def saves_and_restores(f, x, h):
    x = np.asarray(x, dtype=float)
    grad = np.zeros_like(x)
    it = np.nditer(x, flags=["multi_index"], op_flags=["readwrite"])
    while not it.finished:
        i = it.multi_index
        old = x[i]
        x[i] = old + h
        above = f(x)
        x[i] = old - h
        below = f(x)
        x[i] = old
        grad[i] = (above - below) / (2.0 * h)
        it.iternext()
    return grad


@central_difference.wheat
def halves_of_each_side(f, x, h):
    def at(i, step):
        y = np.array(x, dtype=np.float64)
        y.flat[i] += step
        return f(y) / (2 * h)

    return np.reshape([at(i, h) - at(i, -h) for i in range(np.size(x))], np.shape(x))


@central_difference.wheat
def rows_of_an_identity(f, x, h):
    E = h * np.eye(x.size)
    slopes = [f(x + e.reshape(x.shape)) - f(x - e.reshape(x.shape)) for e in E]
    return np.array(slopes).reshape(x.shape) / h * 0.5


@central_difference.wheat
def by_apply_along_an_axis(f, x, h):
    def slope(e):
        return 0.5 * (f(x + h * e.reshape(x.shape)) - f(x - h * e.reshape(x.shape))) / h

    return np.apply_along_axis(slope, 1, np.eye(x.size)).reshape(x.shape)


@central_difference.wheat
def one_mask_after_another(f, x, h):
    grad = np.zeros(x.shape, order="F")
    for i, _ in np.ndenumerate(x):
        mask = np.zeros(x.shape, bool)
        mask[i] = True
        grad[i] = f(np.where(mask, x + h, x)) - f(np.where(mask, x - h, x))
    grad /= 2 * h
    return grad


@central_difference.wheat
def mean_of_forward_and_backward(f, x, h):
    here = f(x)
    grad = np.zeros(np.shape(x))
    for i in np.ndindex(*np.shape(x)):
        y = x.astype(float)
        y[i] = x[i] + h
        forward = (f(y) - here) / h
        y[i] = x[i] - h
        grad[i] = (forward + (here - f(y)) / h) / 2
    return grad


@central_difference.wheat
def lists_and_numbers(f, x, h):
    flat = [float(v) for v in x.ravel()]

    def value(i, v):
        return float(f(np.array([*flat[:i], v, *flat[i + 1 :]]).reshape(x.shape)))

    slopes = [(value(i, v + h) - value(i, v - h)) / (h + h) for i, v in enumerate(flat)]
    return np.array(slopes).reshape(x.shape).tolist()


def _central(
    *,
    places=(1.0, -1.0),
    weights=(1.0, -1.0),
    divisor=lambda h: 2 * h,
    step=lambda h, v: h,
    dtype=float,
    nudge=lambda y, x, i, s: y.__setitem__(i, x[i] + s),
    indices=lambda x: np.ndindex(x.shape),
):
    """Central differences with one thing done otherwise."""

    def function(f, x, h):
        grad = np.zeros(x.shape)
        for i in indices(x):
            total = 0.0
            for place, weight in zip(places, weights, strict=True):
                y = x.astype(dtype) if dtype else x.copy()
                nudge(y, x, i, place * step(h, x[i]))
                total += weight * f(y)
            grad[i] = total / divisor(h)
        return grad

    return function


for _cause, _text, _hint, _function in (
    ("divided-by-h", "the difference is divided by `h`, so that the result is twice too large.",
     "How far apart are the two places where you look at `f`?", _central(divisor=lambda h: h)),
    ("forward-difference", "this is the forward difference: `f` is looked at above `x` and at `x` itself. Its error "
     "shrinks as h, not as h².", "“Central” means: `x` lies in the middle. Between which two places?",
     _central(places=(1.0, 0.0), divisor=lambda h: h)),
    ("multiplied-by-h", "the difference is multiplied by `h`: without brackets, `/ 2 * h` divides by 2 and then "
     "multiplies by `h`.", "Put in numbers: what is `8 / 2 * 4` in Python?", _central(divisor=lambda h: 2 / h)),
    ("forward-difference", "the places are those of a forward difference, and the divisor is that of a central one.",
     "“Central” means: `x` lies in the middle. Between which two places?", _central(places=(1.0, 0.0))),
    ("backward-difference", "this is the backward difference: `f` is looked at below `x` and at `x` itself. Its error "
     "shrinks as h, not as h².", "“Central” means: `x` lies in the middle. Between which two places?",
     _central(places=(0.0, -1.0), divisor=lambda h: h)),
    ("sign-flipped", "the difference is taken the other way round: f below minus f above.",
     "For f(x) = x the slope is 1. What does yours give?", _central(weights=(-1.0, 1.0))),
    ("h-ignored", "`h` is not used: the step is 1e-5, whatever is asked for.", "Where does `h` appear in your code?",
     _central(step=lambda h, v: 1e-5, divisor=lambda h: 2e-5)),
    ("relative-step", "the step is relative: `h` times the size of the entry.",
     "The contract says how large the step is. What is it at an entry of 0?",
     lambda f, x, h: _with_relative_steps(f, x, h)),
    ("not-divided-by-h", "the difference of the two values is not divided by their distance.",
     "A slope is rise over run. Which number is the run?", _central(divisor=lambda h: 1.0)),
    ("half-step", "the steps are h/2 to either side; the contract asks for a full `h` to either side.",
     "How far apart are the two places where you look at `f`? How far should they be?",
     _central(places=(0.5, -0.5), divisor=lambda h: h)),
    ("higher-order", "this is a difference of higher order, from four places; the contract asks for the one from two "
     "places.", "How often is `f` called for each entry?",
     _central(places=(-2.0, -1.0, 1.0, 2.0), weights=(1 / 6, -8 / 6, 8 / 6, -1 / 6))),
    ("nudge-kept", "the entries that had their turn stay nudged: a nudge is not taken back before the next one.",
     "Print the array that you hand to `f` in the second round of the loop.",
     lambda f, x, h: _without_taking_back(f, x, h)),
    ("all-entries-nudged", "all entries of `x` are nudged at the same time, so that all slopes are mixed into one "
     "number.", "How does f change if only `x[0]` moves? Which array has a nudge in one place?",
     _central(nudge=lambda y, x, i, s: y.__setitem__(..., x + s))),
    ("sum-not-difference", "the two values of `f` are added; how much `f` changes is their difference.",
     "What comes out for a constant function?", _central(weights=(1.0, 1.0))),
    ("three-places", "this is a second derivative: `f` at `x` itself enters with the weight −2.",
     "What does your expression give for f(x) = x, at x = 5?",
     _central(places=(1.0, 0.0, -1.0), weights=(1.0, -2.0, 1.0), divisor=lambda h: h * h)),
):  # fmt: skip
    central_difference.chaff(_cause, _text, _hint)(_function)


def _with_relative_steps(f, x, h):
    grad = np.zeros(x.shape)
    for i in np.ndindex(x.shape):
        step = h * max(abs(x[i]), 1e-8)
        y = x.astype(float)
        y[i] = x[i] + step
        above = f(y)
        y[i] = x[i] - step
        grad[i] = (above - f(y)) / (2 * step)
    return grad


def _without_taking_back(f, x, h):
    above, below, grad = x.astype(float), x.astype(float), np.zeros(x.shape)
    for i in np.ndindex(x.shape):
        above[i] += h
        below[i] -= h
        grad[i] = (f(above) - f(below)) / (2 * h)
    return grad


@central_difference.chaff(
    "row-nudged",
    "`range(len(x))` counts rows, and `x[i]` is a whole row of a matrix: all its entries are nudged at once.",
    "How many entries has a matrix of shape (3, 2), and how many rounds does your loop make?",
)
def _(f, x, h):
    grad = np.zeros(x.shape)
    for i in range(len(x)):
        above, below = x.astype(float), x.astype(float)
        above[i] += h
        below[i] -= h
        grad[i] = (f(above) - f(below)) / (2 * h)
    return grad


@central_difference.chaff(
    "argument-changed",
    "`x` is nudged in place, and `+ h`, `- 2h`, `+ h` do not lead back to the very number that was there.",
    "Keep the old number in a variable and put it back, or nudge a copy.",
)
def _(f, x, h):
    x_float = x if x.dtype.kind == "f" else x.astype(float)
    grad = np.zeros(x.shape)
    for i in np.ndindex(x.shape):
        x_float[i] += h
        above = f(x_float)
        x_float[i] -= 2 * h
        below = f(x_float)
        x_float[i] += h
        grad[i] = (above - below) / (2 * h)
    return grad


@central_difference.chaff(
    "wrong-shape",
    "the gradient is returned as a flat list of slopes.",
    "Which shape has the gradient of a function of a matrix?",
)
def _(f, x, h):
    return backprop.central_difference(f, x, h).ravel()


# complex_step


def _complex_cases(rng: np.random.Generator) -> list[Case]:
    a, b, c = moderate(rng, 5), moderate(rng, 3), moderate(rng, 7)
    whole = rng.choice([-2.0, -1.0, 1.0, 2.0], size=(2, 3))

    def of_a_vector(x):
        return np.exp(a @ x / 2) + np.sum(x * x * x)

    def of_rows(X):
        return np.sin(X[0] @ X[1]) + np.sum(np.exp(np.sum(X, axis=0) / 2)) / X[2, 0]

    def of_three_axes(T):
        return np.sum(np.cos(T[0] @ T[1].T)) + np.prod(T[:, 0, 0])

    def of_whole_numbers(X):
        return np.exp(X[0] @ X[1] / 7) + np.sum(np.sin(X))

    return [
        Case("a vector of 5", (of_a_vector, moderate(rng, 5))),
        Case("a matrix, 3 × 2", (of_rows, moderate(rng, 3, 2))),
        Case("three axes, 2 × 3 × 2", (of_three_axes, moderate(rng, 2, 3, 2))),
        Case("a steep function", (lambda x: np.sum(b * np.sin(300 * x)), moderate(rng, 3))),
        Case("small slopes of a large value", (lambda x: 1e6 + np.sum(c * np.tanh(x)), moderate(rng, 7))),
        Case("one entry", (lambda x: np.log(x[0] * x[0] + 1) / (2 + np.sin(x[0])), moderate(rng, 1))),
        Case("a number, shape ()", (lambda x: np.sin(2 * x) * np.exp(x / 2), moderate(rng)), group="number"),
        Case("x of whole numbers", (of_whole_numbers, whole), group="whole numbers"),
    ]


def _complex_adapted(f: Callable) -> Callable:
    """Refuse complex gradients in the words of this exercise."""

    def run(g: Callable, x: np.ndarray) -> Any:
        grad = f(g, x)
        try:
            kind = np.asarray(grad).dtype.kind
        except ValueError:
            kind = ""
        if kind == "c":
            raise WrongStructure(
                "part-not-taken",
                "`grad` is complex: `f` answers with a complex number, and only one of its two parts is the slope.",
                "Write f(x + ih) ≈ f(x) + ih·f′(x). In which part does the slope stand, and times what?",
            )
        return grad

    return run


def _complex_explained(f: Callable) -> Finding | None:
    """What is done wrong, from the places where f is looked at and what is made of its values."""
    for x in (
        np.array([0.5, -1.25, 2.0]),
        np.array([[0.5, -1.25, 2.0], [1.5, -0.75, 3.0]]),
        np.array(0.5),
        np.array([1, -2, 3]),
    ):
        cause = _why_not_complex_step(f, x)
        if cause is not None:
            return Finding("`grad` is not right.", *cause)
    return None


def _why_not_complex_step(f: Callable, x: np.ndarray) -> tuple[str, str, str] | None:
    watched = Watched(0, is_complex=True)
    outcome = call(f, (watched, x.copy()))
    if (odd := _other_shape(watched.points, x)) is not None:
        return odd
    if outcome.error is not None:
        return None
    if not watched.points:
        return _NOT_CALLED
    offsets = [point - x for point in watched.points if (point != x).any()]
    if not offsets and any(point.dtype.kind == "c" for point in watched.points):
        likely = "`f` is looked at in `x` alone: the step is 0, or so small that Python takes it for 0."
        return "step-too-small", likely, "Print your step. The smallest number with all its digits is 2e-308."
    if not offsets:
        return (
            "imaginary-part-lost",
            "`f` is looked at in `x` alone: the imaginary nudge never arrives. An array of real numbers drops the "
            "imaginary part of what is stored in it.",
            "Print the array that you hand to `f`, and its `dtype`.",
        )
    if not any(np.iscomplex(d).any() for d in offsets):
        return (
            "real-step",
            "the nudge is a real number: this is a finite difference, which is right to some ten digits at best.",
            "In which direction does the complex step go?",
        )
    if any(d.real.any() for d in offsets):
        return (
            "real-part-nudged",
            "the nudge has a real part as well: the slope is taken beside `x`.",
            "What is `(1 + 1j) * h`, and what is `1j * h`?",
        )
    for d in offsets:
        moved = np.flatnonzero(d)
        if len(moved) == x.size > 1:
            return _ALL_NUDGED
        if len(moved) > 1 and x.ndim == 2 and len({np.unravel_index(j, x.shape)[0] for j in moved}) == 1:
            return _ROW_NUDGED
        if len(moved) > 1:
            return _NUDGE_KEPT
    steps = [float(np.abs(d).max()) for d in offsets]
    if max(steps) > 1.001 * min(steps):
        return (
            "relative-step",
            "the size of the step depends on the entry, and one size is divided by for all.",
            "Print the nudge of each entry. By what is its imaginary part divided?",
        )
    if len({int(np.flatnonzero(d)[0]) for d in offsets}) < x.size:
        likely = f"only {len(offsets)} of the {x.size} entries of `x` get a nudge."
        return "entries-left-out", likely, "Print the indices that your loop visits."
    return _why_not_read_rightly(f, x, steps[0])


_TAYLOR = "f(x + ih) ≈ f(x) + ih·f′(x). In which part does the slope stand, and times what?"


def _why_not_read_rightly(f: Callable, x: np.ndarray, h: float) -> tuple[str, str, str] | None:
    """The nudges are right. What is made of the values: of their real parts, and of their imaginary parts over h?"""
    values, answers, runs = [], [], 1
    while len(answers) < runs:
        watched = Watched(len(answers), is_complex=True)
        answer = np.asarray(call(f, (watched, x.copy())).value)
        if answer.dtype.kind != "f" or answer.shape != x.shape or len(watched.points) > MOST_PLACES:
            return None
        values.append([v.real for v in watched.values] + [v.imag / h for v in watched.values])
        answers.append(answer.ravel())
        runs = 2 * len(watched.points) + 3
    V, G = np.array(values), np.array(answers)
    scale = np.abs(G).max()
    if scale == 0:
        likely = "`f` is called rightly, but what it answers does not reach the result."
        return "values-unused", likely, "Follow the imaginary part through your lines: where does it end?"
    weights = np.linalg.lstsq(V, G / scale, rcond=None)[0]
    if not np.allclose(V @ weights, G / scale, atol=1e-6):
        return _not_linear(watched, x, G[-1] / scale, h, scale)
    offsets = [(point - x).imag.ravel() for point in watched.points]
    real, imaginary = np.split(weights, 2)
    read = sum(np.sign(d) * w for d, w in zip(offsets, imaginary, strict=True)) * scale
    if np.abs(read).max() < 1e-6 * scale:
        return "real-part-taken", "the real part was taken. That is the value of f, not its slope.", _TAYLOR
    if not np.allclose(read, read[0], rtol=1e-6):
        return "other-divisor", "not all imaginary parts are divided by the same number.", _TAYLOR
    if np.abs(sum(real)).max() > 1e-6:
        return "real-part-added", "the real part, which is the value of f, enters the result.", _TAYLOR
    return _why_not_divided_by_the_step(float(read[0]), h)


def _why_not_divided_by_the_step(c: float, h: float) -> tuple[str, str, str] | None:
    """The answer is c times the imaginary part over h."""
    for size, cause, likely in (
        (0.5, "divided-by-2h", "the imaginary part is divided by 2h; but there is one step only, and nothing is "
         "subtracted"),
        (2.0, "divided-by-h", "two imaginary parts are subtracted, a step h to either side, and divided by h"),
        (h, "not-divided-by-h", "the imaginary part is not divided by the step"),
        (h * h, "multiplied-by-h", "the imaginary part is multiplied by the step, not divided by it"),
        (1 / h, "divided-twice", "the imaginary part is divided by the step twice"),
    ):  # fmt: skip
        if math.isclose(abs(c), size, rel_tol=1e-6):
            return cause, likely + ("." if c > 0 else "; and the sign is flipped."), _TAYLOR
    if math.isclose(c, -1, rel_tol=1e-6):
        likely = "the sign is flipped: the imaginary step goes down, or a minus is too much."
        return "sign-flipped", likely, "For f(x) = x the slope is 1. What does yours give?"
    if not math.isclose(c, 1, rel_tol=1e-6):
        return "other-divisor", f"the result is {c:.4g} times the imaginary part over the step.", _TAYLOR
    if h > 1e-7:
        return (
            "step-too-large",
            f"the step is {h:.3g}: the slope is right to a few digits only. Nothing is subtracted here, so the step "
            "may be far smaller than in a difference.",
            "The error shrinks as h². Which h makes it smaller than 1e-16, whatever the function?",
        )
    if h < 1e-300:
        likely = f"the step is {h:.3g}: the smallest numbers that Python knows have few digits left."
        return "step-too-small", likely, "The smallest number with all its digits is 2e-308. Keep well above it."
    return None


def _not_linear(watched: Watched, x: np.ndarray, g: np.ndarray, h: float, scale: float) -> tuple[str, str, str] | None:
    """Is the answer an absolute value, or an angle? ``g`` is in units of ``scale``."""
    values = {int(np.flatnonzero(p != x)[0]): v for p, v in zip(watched.points, watched.values, strict=True)
              if (p != x).any()}  # fmt: skip
    w = np.array([values[i] for i in range(x.size)])
    for wrong, cause, likely in (
        (np.abs(w.imag), "sign-lost", "an absolute value is taken of the imaginary part."),
        (np.abs(w), "absolute-value", "the absolute value of the complex number was taken."),
        (np.angle(w), "angle-taken", "the angle of the complex number was taken."),
    ):
        if any(np.allclose(g, wrong / divisor / scale, rtol=1e-6, atol=0) for divisor in (1, h, 2 * h)):
            return cause, likely, "Can a slope be negative?" if cause == "sign-lost" else _TAYLOR
    return None


def _by_its_places(f: Callable, cases: list[Case], finding: Finding) -> Finding:
    """Where f is looked at tells more than the numbers (a slope times 1e-20 is as good as 0), or than an error in f."""
    raised = _is_raised(finding)
    if not (raised or complex_step.speaks_of_values(finding)) or (_is_chaff(complex_step, finding) and raised):
        return _left_over(f, cases, finding)
    found = _complex_explained(f)
    if found is None or (raised and found.cause != "other-shape"):
        return _without_axis(finding)
    return replace(found, what=finding.what if raised else _worst_entry(complex_step, f, cases) or finding.what)


complex_step = InWords(
    "complex_step",
    CHAPTER,
    3,
    "complex_step(f, x)",
    ("grad",),
    reference=backprop.complex_step,
    make_cases=_complex_cases,
    explain=_complex_explained,
    adapt=_complex_adapted,
    retell=one_by_one(_by_its_places),
    formula="grad[i] = Im f(x + i·h·e_i) / h, with h as small as 1e-20",
)


@complex_step.wheat
def with_eps_as_the_step(f, x):
    h = np.finfo(float).eps
    grad = np.zeros(np.shape(x))
    for i in range(np.size(x)):
        z = np.array(x, dtype=np.complex128)
        z.flat[i] += h * 1j
        grad.flat[i] = np.imag(f(z)) / h
    return grad


@complex_step.wheat
def imaginary_units(f, x):
    E = 1e-100j * np.eye(x.size)
    return np.array([f(x + e.reshape(x.shape)).imag for e in E]).reshape(x.shape) / 1e-100


@complex_step.wheat
def a_step_to_either_side(f, x):
    h = 1e-30
    grad = np.empty(x.shape)
    for i in np.ndindex(*x.shape):
        e = np.zeros(x.shape)
        e[i] = h
        grad[i] = (f(x + 1j * e) - f(x - 1j * e)).imag / (2 * h)
    return grad


@complex_step.wheat
def by_a_quotient(f, x):
    h = 1e-25
    slopes = []
    for i in range(x.size):
        z = x.ravel() + 0j
        z[i] = complex(z[i].real, h)
        slopes.append(float((f(z.reshape(x.shape)) / h).imag))
    return np.reshape(slopes, x.shape)


@complex_step.wheat
def part_by_part(f, x):
    z = np.zeros(x.shape, dtype=complex)
    z.real = x
    grad = np.zeros_like(x, dtype=float)
    for i, _ in np.ndenumerate(x):
        z.imag[i] = 1e-200
        grad[i] = f(z).imag * 1e200
        z.imag[i] = 0.0
    return grad


@complex_step.wheat
def returns_lists(f, x):
    def slope(i):
        mask = (np.arange(x.size) == i).reshape(x.shape)
        return f(np.where(mask, x + 1e-15j, x)).imag / 1e-15

    return np.array([slope(i) for i in range(x.size)]).reshape(x.shape).tolist()


@complex_step.wheat
def just_small_enough(f, x):
    grad = np.zeros(x.shape)
    for i in np.ndindex(x.shape):
        z = x.astype(complex)
        z[i] = z[i] + 1e-8j
        grad[i] = f(z).imag / 1e-8
    return grad


def _complex(
    *,
    h=1e-20,
    step=lambda h: 1j * h,
    read=lambda w, h: w.imag / h,
    nudge=lambda z, i, s: z.__setitem__(i, z[i] + s),
    fresh=True,
    dtype=complex,
):
    """A complex step with one thing done otherwise."""

    def function(f, x):
        grad = np.zeros(x.shape)
        z = x.astype(dtype)
        for i in np.ndindex(x.shape):
            z = x.astype(dtype) if fresh else z
            nudge(z, i, step(h))
            grad[i] = read(np.complex128(f(z)), h)
        return grad

    return function


for _cause, _text, _hint, _function in (
    ("real-step", "the nudge is a real number: this is a central difference, right to some ten digits at best.",
     "In which direction does the complex step go?", lambda f, x: backprop.central_difference(f, x, 1e-6)),
    ("step-too-large", "the step is 1e-3, as in a difference: the slope is right to a few digits only.",
     "The error shrinks as h². Which h makes it smaller than 1e-16, whatever the function?", _complex(h=1e-3)),
    ("step-too-large", "the step is 1e-5, as in a central difference: the slope is right to a few digits only.",
     "Nothing is subtracted here. What then keeps the step from being far smaller?", _complex(h=1e-5)),
    ("not-divided-by-h", "the imaginary part is not divided by the step.",
     "f(x + ih) ≈ f(x) + ih·f′(x). What stands beside the slope in the imaginary part?",
     _complex(read=lambda w, h: w.imag)),
    ("real-part-taken", "the real part was taken. That is the value of f, not its slope.",
     "f(x + ih) ≈ f(x) + ih·f′(x). In which part does the slope stand?", _complex(read=lambda w, h: w.real / h)),
    ("divided-by-2h", "the imaginary part is divided by 2h, as a central difference is; but there is one step only.",
     "f(x + ih) ≈ f(x) + ih·f′(x). Where would a 2 come from?", _complex(read=lambda w, h: w.imag / (2 * h))),
    ("all-entries-nudged", "all entries of `x` are nudged at the same time, so that all slopes are added up.",
     "Which array has a nudge in one place?", _complex(nudge=lambda z, i, s: z.__setitem__(..., z + s))),
    ("sign-flipped", "the sign is flipped: the imaginary step goes down, and nothing makes up for it.",
     "For f(x) = x the slope is 1. What does yours give?", _complex(step=lambda h: -1j * h)),
    ("absolute-value", "the absolute value of the complex number was taken, not its imaginary part.",
     "f(x + ih) ≈ f(x) + ih·f′(x). In which part does the slope stand?", _complex(read=lambda w, h: abs(w) / h)),
    ("nudge-kept", "the entries that had their turn stay nudged: a nudge is not taken back before the next one.",
     "Print the array that you hand to `f` in the second round of the loop.", _complex(fresh=False)),
    ("step-too-large", "the step is 1e-6: the slope of a steep function is right to a few digits only.",
     "Nothing is subtracted here. What then keeps the step from being far smaller?", _complex(h=1e-6)),
    ("sign-lost", "an absolute value is taken of the imaginary part.", "Can a slope be negative?",
     _complex(read=lambda w, h: abs(w.imag) / h)),
):  # fmt: skip
    complex_step.chaff(_cause, _text, _hint)(_function)


@complex_step.chaff(
    "imaginary-part-lost",
    "the nudged copy is an array of real numbers. It drops the imaginary part of what is stored in it (NumPy warns): "
    "`f` never sees the nudge.",
    "Print the nudged array, and its `dtype`.",
)
def _(f, x):
    grad = np.zeros(x.shape)
    for i in np.ndindex(x.shape):
        z = x.copy()
        z[i] = np.real(z[i] + 1e-20j)
        grad[i] = np.imag(f(z)) / 1e-20
    return grad


@complex_step.chaff(
    "row-nudged",
    "`range(len(x))` counts rows, and `x[i]` is a whole row of a matrix: all its entries are nudged at once.",
    "How many entries has a matrix of shape (3, 2), and how many rounds does your loop make?",
)
def _(f, x):
    grad = np.zeros(x.shape)
    for i in range(len(x)):
        z = x.astype(complex)
        z[i] += 1e-20j
        grad[i] = f(z).imag / 1e-20
    return grad


@complex_step.chaff(
    "part-not-taken",
    "`f` answers with a complex number, and only one of its two parts is the slope.",
    "f(x + ih) ≈ f(x) + ih·f′(x). In which part does the slope stand?",
)
def _(f, x):
    grad = np.zeros(x.shape, dtype=complex)
    for i in np.ndindex(x.shape):
        z = x.astype(complex)
        z[i] += 1e-20j
        grad[i] = (f(z) - f(x)) / 1e-20j
    return grad


# gradcheck: twelve wrong gradients, eight right ones

RIGHT = (
    "a linear function",
    "a gradient of size 1e10",
    "a gradient of size 1e-6",
    "a constant function",
    "entries of mixed sizes, some of them 0",
    "a number, shape ()",
    "a matrix, 2 × 3",
    "x of whole numbers",
)


def _pairs(rng: np.random.Generator) -> list[Case]:
    """Eight gradients that are right and twelve that are wrong; a wrong one earns points together with a right one."""

    def wave(*shape, size=1.0, negative=False):
        """A function, its gradient, and a place. No entry of the gradient is near 0, and no value far from them."""
        c, x = size * moderate(rng, *shape), moderate(rng, *shape)
        c = -np.abs(c) if negative else c
        return lambda x: np.sum(c * np.exp(x / 2)), lambda x: c * np.exp(x / 2) / 2, x

    def spoilt(change, *shape, **options):
        f, grad, x = wave(*shape, **options)
        return f, lambda x: change(grad(x)), x

    def one_off(g):
        ordinary = np.sort(np.abs(g))[len(g) // 2]
        return np.where(np.abs(g) == ordinary, 1.05 * g, g)

    slopes, kinds = moderate(rng, 5), rng.permutation([3.0, 0.3, 0.03])
    mixed = np.concatenate([moderate(rng, 3) / kinds / 3, [-1.0, -0.5]])
    small = np.where(rng.permutation(7) < 2, 0.03, 1.0) * moderate(rng, 7)
    square, signs = moderate(rng, 5, 5), np.array([1, -1, 1, -1, 1])

    def of_mixed_sizes(x):
        return np.sum(np.sinh(kinds * x[:3])) + np.sum(np.maximum(x[3:], 0) ** 2)

    def grad_of_mixed_sizes(x):
        return np.concatenate([kinds * np.cosh(kinds * x[:3]), 2 * np.maximum(x[3:], 0)])

    def of_a_number(x):
        return np.sin(x) * np.exp(x / 2)

    def grad_of_a_number(x):
        return np.asarray((np.cos(x) + np.sin(x) / 2) * np.exp(x / 2))

    def of_a_matrix(X):
        return np.exp(X[0] @ X[1] / 4)

    def of_two_terms(x):
        return np.sum(np.exp(x)) + 0.1 * np.sum(np.exp(2 * x))

    def with_small_entries(x):
        return np.sum(small * np.exp(x / 2))

    right = iter(
        [
            (lambda x: np.sum(slopes * x), lambda x: slopes.copy(), moderate(rng, 5)),
            wave(3, size=1e10),
            wave(3, size=1e-6, negative=True),
            (lambda x: 0.7, lambda x: np.zeros(5), moderate(rng, 5)),
            (of_mixed_sizes, grad_of_mixed_sizes, mixed),
            (of_a_number, grad_of_a_number, np.array(np.abs(moderate(rng)) / 1.5)),
            (of_a_matrix, lambda X: X[::-1] / 4 * of_a_matrix(X), moderate(rng, 2, 3)),
            (
                lambda x: np.sum(np.exp(x / 4)),
                lambda x: np.exp(x / 4) / 4,
                rng.permutation([-3.0, -2.0, -1.0, 1.0, 2.0, 3.0])[:4],
            ),
        ]
    )
    wrong = {
        "the sign flipped": spoilt(np.negative, 5),
        "a gradient of size 1e-3, divided by N twice": spoilt(lambda g: g / 307, 5, size=1 / 307),
        "twice the right one": spoilt(lambda g: 2 * g, 5),
        "all zeros": spoilt(np.zeros_like, 5),
        "small entries with the wrong sign": (
            with_small_entries, lambda x: np.sign(np.abs(small) - 0.1) * small * np.exp(x / 2) / 2, moderate(rng, 7)
        ),
        "a term forgotten": (of_two_terms, np.exp, moderate(rng, 5)),
        "a square matrix, transposed": (
            lambda X: np.sum(square * np.exp(X / 2)), lambda X: (square * np.exp(X / 2) / 2).T.copy(),
            moderate(rng, 5, 5)
        ),
        "wrong where x is negative": (
            lambda x: np.sum(np.abs(x) ** 3) / 3, lambda x: x * x, np.abs(moderate(rng, 5)) * signs
        ),
        "one entry of 101 off by 5 %": spoilt(one_off, 101),
        "right in the first entry only": spoilt(lambda g: np.append(g[:1], 1.5 * g[1:]), 7, negative=True),
        "shape (5,) where x has (5, 1)": spoilt(np.ravel, 5, 1),
        "nan in one entry": spoilt(lambda g: np.where(np.arange(5) == 2, np.nan, g), 5),
    }  # fmt: skip
    cases = []
    for i, (name, pair) in enumerate(wrong.items()):
        if i < len(RIGHT):
            cases.append(Case(RIGHT[i], next(right), group=name))
        cases.append(Case(name, pair, group=name))
    return cases


def _as_verdict(f: Callable) -> Callable:
    """A checker as a function that answers 1 for True and −1 for False."""

    def run(*pair: Any) -> np.ndarray:
        try:
            verdict = f(*pair)
        except AssertionError as error:
            raise WrongStructure(
                "raises-for-false",
                "Your checker raised `AssertionError`, where its answer should be `False`.",
                "The contract is a verdict, `True` or `False`, for whoever asks. Which function compares without "
                "raising?",
            ) from error
        if isinstance(verdict, np.ndarray) and verdict.ndim == 0:
            verdict = verdict[()]
        if isinstance(verdict, bool | np.bool_):
            return np.array(1.0 if verdict else -1.0)
        raise _no_verdict(verdict)

    return run


def _no_verdict(answer: Any) -> WrongStructure:
    """What is wrong with an answer that is neither True nor False."""
    if answer is None:
        step = "Is there a `return` on every path, also after the loop?"
        return WrongStructure("returned-none", "Your checker returned `None`, neither `True` nor `False`.", step)
    if isinstance(answer, np.ndarray | list) and np.asarray(answer).dtype.kind == "b":
        what = f"Your checker returned {np.size(answer)} verdicts, one for each entry; it should give one."
        return WrongStructure("verdict-for-each-entry", what, "How many of them must be true for the gradient to be?")
    if isinstance(answer, int | float | np.number | np.ndarray):
        number = f"the number {float(answer):.3g}" if np.ndim(answer) == 0 else f"an array of shape {np.shape(answer)}"
        what = f"Your checker returned {number}; it should say `True` or `False`."
        return WrongStructure("error-returned", what, "How small must an error be to count as none?")
    what = f"Your checker returned a `{type(answer).__name__}`; it should say `True` or `False`."
    return WrongStructure("wrong-type", what, "The contract: `gradcheck(f, grad, x) -> bool`.")


def _verdict(f: Callable, *pair: Any) -> bool | None:
    """What a learner's checker says about a gradient; None if nothing."""
    outcome = call(_as_verdict(f), pair)
    return None if outcome.error is not None else bool(outcome.value > 0)


def _misjudged(f: Callable, cases: list[Case], finding: Finding) -> Finding:
    """The gradients that the learner's checker is wrong about, as a table, and why it is."""
    if _is_raised(finding):
        return _raises(f, cases, finding)
    if not gradcheck.speaks_of_values(finding):
        return _left_over(f, cases, finding)
    verdicts = {case.name: _verdict(f, *copy.deepcopy(case.args)) for case in cases}
    missed = [name for name, verdict in verdicts.items() if verdict != (name in RIGHT)]
    if not missed:
        what = "Your checker was wrong about a gradient, and right about it when it was asked again."
        return Finding(what, *_CHANGES_ITS_MIND[1:])
    what = f"Your checker is wrong about {len(missed)} of the {len(cases)} gradients that it was shown."
    rows = [
        (name, str(name in RIGHT), {True: "True", False: "False", None: "no answer"}[verdicts[name]]) for name in missed
    ]
    told = _flaws_that_explain(f, verdicts, missed) or Finding(
        what, None, "", "Take the first gradient of the table. Print every number that your checker compares."
    )
    return replace(told, what=what, table=(("gradient", "should be", "yours"), *rows))


def _raises(f: Callable, cases: list[Case], finding: Finding) -> Finding:
    """A checker that raises where it should say False, or where x has no axis."""
    raising = [case.name for case in cases if call(f, copy.deepcopy(case.args)).error is not None]
    if len(raising) > 5 and not set(raising) & set(RIGHT):
        return replace(
            finding,
            cause="raises-for-false",
            likely="a wrong gradient makes the checker raise; the contract asks for `False`.",
            next_step="The contract is a verdict, for whoever asks. What should stand where you `raise`?",
        )
    return _without_axis(finding)


class _Flaw(NamedTuple):
    """One thing that a checker does wrong, and the gradients that it can explain."""

    explains: Callable[[str], bool]
    cause: str
    likely: str
    next_step: str


def _flaws_that_explain(f: Callable, verdicts: dict[str, bool | None], missed: list[str]) -> Finding | None:
    """The first flaws that together explain all the verdicts that are wrong."""
    found: list[_Flaw] = []
    for flaw in _flaws(f, verdicts):
        explained = {name for name in missed if flaw.explains(name)}
        if explained and flaw.cause not in [other.cause for other in found]:
            missed = [name for name in missed if name not in explained]
            found.append(flaw)
        if not missed:
            break
    if not found:
        return None
    likely = " Besides, ".join(flaw.likely for flaw in found[:3])
    return Finding("", found[0].cause, likely, found[0].next_step)


def _any(name: str) -> bool:
    return True


def _is_right(name: str) -> bool:
    return name in RIGHT


def _is_wrong(name: str) -> bool:
    return name not in RIGHT


def _flaws(f: Callable, verdicts: dict[str, bool | None]) -> Iterator[_Flaw]:
    """What a checker does wrong, the plainest things first; each is found by trying the checker."""
    said = {name: verdict for name, verdict in verdicts.items() if verdict is not None}
    look = _look(f, np.array([[0.5, -1.25], [2.0, 0.75], [-1.5, 3.0]]))
    if look is not None and not look.asked:
        yield _Flaw(_any, "gradient-not-called", "`grad` is never called.", "Which two things should be compared?")
    elif look is not None and not all(np.array_equal(place, look.x) for place in look.asked):
        likely = "`grad` is asked for the gradient at another place than `x`: at a nudged one."
        yield _Flaw(_any, "gradient-elsewhere", likely, "Which array do you hand to `grad`, and has it been nudged?")
    elif look is not None and not look.offsets:
        likely = "`f` is never looked at beside `x`, so that nothing is measured."
        yield _Flaw(_any, "f-not-nudged", likely, "How is a slope found from values of `f`?")
    if all(said.values()):
        yield _Flaw(_any, "always-true", "it says `True` to everything.", "On which line could it say `False`?")
    elif not any(said.values()):
        yield _Flaw(_any, "always-false", "it says `False` to everything.", "On which line could it say `True`?")
    elif all(verdict != (name in RIGHT) for name, verdict in said.items()):
        likely = "every verdict is the opposite of the right one."
        yield _Flaw(_any, "inverted", likely, "Read the line that decides aloud. What does it say of a large error?")
    if look is not None and look.offsets:
        yield from _flaws_of_coverage(look)
    yield from _flaws_of_comparing(f)
    yield from _flaws_at_special_places(f, said)
    yield from _flaws_of_size(f, look)


class _Look(NamedTuple):
    """How a checker looks at f."""

    x: np.ndarray
    offsets: list[np.ndarray]  # of the places from x, other than x itself
    asked: list[np.ndarray]  # the places where it called the gradient
    accepted: bool | None


def _look(f: Callable, x: np.ndarray) -> _Look | None:
    """Show a checker a linear function with its right gradient, and watch."""
    points, asked = [], []
    c = np.linspace(1.0, 2.0, x.size).reshape(x.shape)

    def watched(y):
        points.append(np.array(y, dtype=complex))
        return np.sum(c * y)

    def grad(y):
        asked.append(np.array(y))
        return c.copy()

    accepted = _verdict(f, watched, grad, x.copy())
    if any(point.shape != x.shape for point in points):
        return None
    return _Look(x, [point - x for point in points if (point != x).any()], asked, accepted)


def _flaws_of_coverage(look: _Look) -> Iterator[_Flaw]:
    """Is every entry nudged, on its own or in several directions?"""
    joint = [d for d in look.offsets if np.count_nonzero(d) > 1]
    if joint and len(joint) < len(look.offsets) and _grows(look.offsets):
        yield _Flaw(
            _any,
            "nudge-kept",
            "the nudge of an entry is not taken back before the next entry has its turn.",
            "Print the array that you hand to `f` in the second round of the loop.",
        )
    if not look.accepted:
        return  # it may have stopped early
    moved = sorted({tuple(map(int, j)) for d in look.offsets for j in np.argwhere(d)})
    if len(moved) < look.x.size:
        yield _Flaw(
            _is_wrong,
            "some-entries-only",
            f"of the {look.x.size} entries of a matrix, only {listing([f'`{_entry(j)}`' for j in moved[:3]])} "
            f"{'is' if len(moved) == 1 else 'are'} nudged: the rest of the gradient is never looked at.",
            "How many entries has the gradient, and how many does your loop visit? Where does it `return`?",
        )
    elif joint and np.linalg.matrix_rank([(d / np.abs(d).max()).ravel() for d in look.offsets], tol=1e-6) == 1:
        alike = np.allclose(joint[0], joint[0].flat[0])
        yield _Flaw(
            _is_wrong,
            "one-direction",
            "all entries are nudged by the same amount at once, so that only the sum of the gradient is compared."
            if alike
            else "`f` is looked at along one direction only, so that errors can hide.",
            "Two entries of a gradient are off, one by as much as the other, with opposite signs. What do you see?",
        )


_CHANGES_ITS_MIND = _Flaw(
    _any,
    "one-random-look",
    "asked about the same gradient again, it changes its mind: it looks at entries or directions that are drawn at "
    "random, and at too few of them.",
    "How many entries has the gradient, and how many of them does one call of your checker look at?",
)


def _grows(offsets: list[np.ndarray]) -> bool:
    """Whether each nudge comes on top of those before it."""
    sizes = [np.count_nonzero(d) for d in offsets]
    return sizes == sorted(sizes) and sizes[0] == 1


def _accepts(f: Callable, c: np.ndarray, claimed: np.ndarray) -> bool | None:
    """Whether a checker takes ``claimed`` for the gradient ``c`` of a linear function: no step of it is too large."""
    return _verdict(f, lambda x: np.sum(c * x), lambda x: claimed.copy(), np.full(c.shape, 0.5))


def _flaws_of_comparing(f: Callable) -> Iterator[_Flaw]:
    """Are the two gradients compared rightly, entry by entry? Tried on a linear function."""
    c = np.array([1.0, -1.5, 0.75, 2.0, -1.25])
    at = np.arange(5)
    if len({_accepts(f, c, np.where(at < 2, 1.5 * c, c)) for _ in range(8)}) > 1:
        yield _CHANGES_ITS_MIND
        return
    if not _accepts(f, c, c):
        if all(_accepts(f, c, wrong) for wrong in (-c, 3 * c, c + 5, np.roll(c, 1))):
            yield _Flaw(
                _any,
                "verdict-reversed",
                "True and False have changed places: it accepts what is far off, and refuses what is right.",
                "Your last comparison: is it True when the error is small, or when it is large?",
            )
            return
        for k in (2.0, 0.5, -1.0, -2.0, 1e5, 1e-5):
            if _accepts(f, c, k * c):
                yield _Flaw(
                    _any,
                    "difference-wrong",
                    f"it takes {k:g} times the right gradient for right: the difference that it is compared with is "
                    "itself wrong by that factor.",
                    "What does your difference give for f(x) = 3x?",
                )
        return
    flipped, doubled, turned = _accepts(f, c, -c), _accepts(f, c, 2 * c), _accepts(f, c, np.roll(c, 1))
    seen = [i for i in at if not _accepts(f, c, np.where(at == i, 1.5 * c, c))]
    if _accepts(f, c, c + 5) != _accepts(f, c, c - 5) or _accepts(f, c, 4 * c) != _accepts(f, c, 0.25 * c):
        yield _Flaw(
            _is_wrong,
            "one-sided-error",
            "errors count in one direction only: a difference is compared with the tolerance as it is, without its "
            "sign being dropped.",
            "Is −5 smaller than 1e-6?",
        )
    elif _accepts(f, -abs(c), -abs(c)) is False or _accepts(f, -abs(c), -1.5 * abs(c)) != _accepts(
        f, abs(c), 1.5 * abs(c)
    ):
        yield _Flaw(
            _any,
            "tolerance-with-a-sign",
            "gradients with negative entries are judged otherwise than positive ones: the size that an error is "
            "compared with, or divided by, has kept its sign.",
            "What does your line that decides become for a gradient whose entries are all negative?",
        )
    elif not doubled and _accepts(f, c, np.where(at == 2, c, 2 * c)) and _accepts(f, c, np.where(at == 3, c, 2 * c)):
        yield _Flaw(
            _is_wrong,
            "one-good-entry-is-enough",
            "one entry that agrees is enough for `True`, however wrong the others are.",
            "`any`, or `all`? And where in the loop does your function `return`?",
        )
    elif seen and seen != [i for i in at if not _accepts(f, c, np.where(at == i, 0.5 * c, c))]:
        yield _Flaw(
            _is_wrong,
            "one-sided-error",
            "where all other entries agree, an entry that is too large is seen and one that is too small is not, or "
            "the other way round: the sign of a difference is dropped too late.",
            "Four differences are 0 and one is −5. What does each of your functions make of them, the innermost first?",
        )
    elif 0 < len(seen) < 5:
        which = {(0,): "the first", (4,): "the last"}.get(tuple(seen), listing([f"number {i}" for i in seen]))
        yield _Flaw(
            _is_wrong,
            "some-entries-only",
            f"of five entries of the gradient, only {which} {'counts' if len(seen) == 1 else 'count'}: an error of "
            "50 % in another one is not seen.",
            "Follow the error of one entry through your lines. Where is it overwritten, or left out?",
        )
    elif flipped and turned and not doubled:
        yield _Flaw(
            _is_wrong,
            "only-lengths-compared",
            "the lengths of the two gradients are compared: neither the signs of the entries nor their order matters.",
            "Two arrows of the same length may point anywhere. What must be small if they are the same?",
        )
    elif turned and not doubled and _accepts(f, c, c + np.array([1.0, -1.0, 1.0, -1.0, 0.0])):
        yield _Flaw(
            _is_wrong,
            "only-sums-compared",
            "the sums, or the means, of the two gradients or of their errors are compared: errors cancel.",
            "Two entries of a gradient are off, one by as much as the other, with opposite signs. What do you see?",
        )
    elif turned and not doubled:
        yield _Flaw(
            _is_wrong,
            "order-ignored",
            "the order of the entries does not matter: the same numbers at other places are taken for right.",
            "Which entry of the one gradient is compared with which of the other?",
        )
    elif flipped and not doubled:
        yield _Flaw(
            _is_wrong,
            "sign-lost",
            "the sign does not matter: absolute values or squares of the gradients are compared.",
            "Of what do you take the absolute value: of each gradient, or of their difference?",
        )
    elif doubled and not turned and _accepts(f, c, 10 * c):
        yield _Flaw(
            _is_wrong,
            "length-ignored",
            "only the direction of the gradients is compared (a cosine, vectors of length 1, or signs): a wrong factor "
            "is not seen" + (", nor is the sign." if flipped else "."),
            "The cosine between a vector and twice that vector is 1. What else must agree?",
        )
    if _accepts(f, c, np.where(at == 2, np.nan, c)) and not turned:
        yield _Flaw(
            lambda name: "nan" in name,
            "nan-passes",
            "nan slips through: every comparison with nan is `False`, so that an error of nan is never found too "
            "large.",
            "What is `np.nan > 1e-6`? And `np.nan < 1e-6`?",
        )
    if _accepts(f, c[:, None], c) and not turned:
        yield _Flaw(
            lambda name: name.startswith("shape"),
            "shape-ignored",
            "the shapes are not compared: flattened, the numbers agree.",
            "Which shape must the gradient of a function of a (5, 1) array have?",
        )
    if _accepts(f, np.zeros(5), np.zeros(5)) is False:
        yield _Flaw(
            lambda name: name == "a constant function" or "some of them 0" in name,
            "zero-over-zero",
            "where both gradients are 0, the relative error is 0/0: that is nan, and nan is not below the tolerance.",
            "What does your relative error give for 0 and 0? What should it?",
        )


def _flaws_at_special_places(f: Callable, said: dict[str, bool]) -> Iterator[_Flaw]:
    """Is x handled whatever its number of axes?"""
    refused = [name for name in RIGHT if said.get(name) is False]
    if refused == ["a number, shape ()"]:
        yield _Flaw(
            _is_right,
            "number-refused",
            "an array of shape () is not handled: it has one entry, and no axis to loop over.",
            "What does `list(np.ndindex(()))` give, and what `range(x.size)`?",
        )
    if refused == ["entries of mixed sizes, some of them 0"]:
        yield _Flaw(
            _is_right,
            "zero-entries-refused",
            "entries that are 0, or far smaller than the others, are refused: beside such an entry even rounding looks "
            "large, and 0/0 is nan.",
            "Which two numbers are compared at an entry where both gradients are 0?",
        )
    if refused == ["a matrix, 2 × 3"]:
        yield _Flaw(
            _is_right,
            "matrix-refused",
            "arrays with two axes are not handled: a loop over `len(x)` visits rows, not entries.",
            "How many entries has a matrix of shape (2, 3), and how many rounds does your loop make?",
        )


def _threshold(f: Callable, size: float, n: int = 5, single: bool = False) -> float:
    """The relative error, of all entries or of one of them, from which on a checker says False."""
    c = size * np.where(np.arange(n) % 2, -1.0, 1.0)
    off = (np.arange(n) == n // 2) if single else np.ones(n)
    low, high = -13.0, 3.0
    for _ in range(9):
        middle = (low + high) / 2
        low, high = (middle, high) if _accepts(f, c, c * (1 + 10**middle * off)) else (low, middle)
    return 10 ** ((low + high) / 2)


def _flaws_of_size(f: Callable, look: _Look | None) -> Iterator[_Flaw]:
    """How large an error is let through, does that depend on the gradient's size, and is the step fit for it?"""
    at_one, small, large = _threshold(f, 1.0), _threshold(f, 1e-3), _threshold(f, 1e3)
    steps = [float(np.abs(d).max()) for d in look.offsets] if look is not None else []
    if 1e-12 < at_one < 500 and small > 100 * at_one and large < at_one / 100:
        yield _Flaw(
            lambda name: "size" in name,
            "absolute-tolerance",
            f"the tolerance is absolute: errors up to {at_one:.1g} are let through and larger ones are not, whether "
            "the gradient is tiny or huge.",
            "An error of 0.001: is it large for a slope of 0.001? And for one of 1,000,000?",
        )
    one = _threshold(f, 1.0, 101, single=True)
    if one > 5 * _threshold(f, 1.0, 5, single=True) and one > 0.01:
        yield _Flaw(
            lambda name: name.startswith("one entry of"),
            "errors-averaged",
            f"the errors are averaged: among 101 entries, one that is off by {one:.0%} drowns.",
            "Which error decides whether a gradient is right: the mean one, or another?",
        )
    if at_one > 500:
        yield _Flaw(
            _is_wrong,
            "error-not-seen",
            "however wrong the numbers of `grad` are, they are let through: they do not enter the comparison, or its "
            "tolerance is huge.",
            "Print the two numbers that your last comparison compares, for a gradient that is twice the right one.",
        )
    elif at_one > 2e-3:
        yield _Flaw(
            _is_wrong,
            "tolerance-too-loose",
            f"the tolerance is loose: errors of {100 * at_one:.2g} % are let through.",
            "How exact is a central difference with a good step? How far above that need the tolerance be?",
        )
    if steps and min(steps) < 1e-9:
        yield _Flaw(
            _is_right,
            "step-too-small",
            f"the step is {min(steps):.2g}: the two values of `f` agree in nearly all their digits, and little but "
            "rounding is left of their difference.",
            "Look at the V-curve of this chapter: where is its lowest point?",
        )
    if steps and not any(np.allclose(d, -e, rtol=1e-3, atol=0) for d in look.offsets for e in look.offsets):
        yield _Flaw(
            _is_right,
            "forward-difference",
            "`f` is looked at on one side of `x` only. The error of such a difference shrinks as h, and the tolerance "
            "is tighter than that.",
            "Which difference has an error that shrinks as h²?",
        )
    if at_one < 3e-8:
        yield _Flaw(
            _is_right,
            "tolerance-too-tight",
            f"the tolerance is tight: a relative error of {max(at_one, 1e-12):.1g} is too much for it, and differences "
            "are not that exact.",
            "How exact is a central difference at the best step of the V-curve?",
        )
    if steps and max(steps) > 2e-5:
        yield _Flaw(
            _is_right,
            "step-too-large",
            f"the step is {max(steps):.2g}: for this tolerance, the difference is not near enough to the slope.",
            "Look at the V-curve of this chapter: where is its lowest point?",
        )
    elif steps and min(steps) < 5e-7:
        yield _Flaw(
            _is_right,
            "step-too-small",
            f"the step is {min(steps):.2g}: for this tolerance, rounding spoils too many digits of the difference.",
            "Look at the V-curve of this chapter: where is its lowest point?",
        )


gradcheck = InWords(
    "gradcheck",
    CHAPTER,
    7,
    "gradcheck(f, grad, x)",
    ("verdict",),
    reference=backprop.gradcheck,
    make_cases=_pairs,
    oracle=lambda verdict, *pair: gradcheck.right(pair),
    adapt=_as_verdict,
    explain=lambda f: Finding("`verdict` is not right.", "misjudged"),  # told at length below
    retell=one_by_one(_misjudged),
    formula="grad(x) has the shape of x, and |grad(x) − central difference| ≤ 1e-6 · (size of the gradient) everywhere",
)


@gradcheck.wheat
def entry_by_entry(f, grad, x):
    g = np.asarray(grad(x))
    if g.shape != x.shape:
        return False
    h = 1e-5
    for i in np.ndindex(x.shape):
        y = x.astype(float)
        y[i] = x[i] + h
        above = f(y)
        y[i] = x[i] - h
        numeric = (above - f(y)) / (2 * h)
        error = abs(numeric - g[i]) / max(1e-8, abs(numeric) + abs(g[i]))
        if not error < 1e-5:
            return False
    return True


@gradcheck.wheat
def by_norms(f, grad, x):
    g, n = grad(x), backprop.central_difference(f, x, 1e-6)
    if np.shape(g) != np.shape(n):
        return False
    size = np.linalg.norm(g) + np.linalg.norm(n)
    return size == 0 or np.linalg.norm(g - n) / size < 1e-6


@gradcheck.wheat
def by_allclose(f, grad, x):
    return np.allclose(backprop.central_difference(f, x, 1e-5), grad(x), rtol=1e-5, atol=1e-8)


@gradcheck.wheat
def with_tolerances_of_pytorch(f, grad, x):
    x = x.astype(np.float64)
    numeric, claimed = np.zeros(x.shape), np.array(grad(x), dtype=float)
    flat = x.reshape(-1)
    for i in range(flat.size):
        old = flat[i]
        flat[i] = old + 1e-6
        above = f(x)
        flat[i] = old - 1e-6
        below = f(x)
        flat[i] = old
        numeric.reshape(-1)[i] = (above - below) / 2e-6
    same_shape = claimed.shape == numeric.shape
    return bool(same_shape and np.all(np.abs(numeric - claimed) <= 1e-5 + 1e-3 * np.abs(numeric)))


@gradcheck.wheat
def along_random_directions(f, grad, x):
    rng, g = np.random.default_rng(), np.asarray(grad(x), dtype=float)
    if g.shape != x.shape:
        return False
    for _ in range(10):
        v = rng.standard_normal(x.shape)
        numeric = (f(x + 1e-5 * v) - f(x - 1e-5 * v)) / 2e-5
        exact = np.vdot(g, v)
        if not abs(numeric - exact) <= 1e-5 * (np.linalg.norm(g) * np.linalg.norm(v) + abs(numeric)):
            return False
    return True


@gradcheck.wheat
def relative_to_the_largest_entry(f, grad, x):
    claimed = np.array(grad(x))
    if claimed.shape != x.shape or np.isnan(claimed).any():
        return False
    error = np.max(np.abs(backprop.central_difference(f, x, 1e-4) - claimed))
    return np.bool_(error <= 1e-4 * np.abs(claimed).max())


@gradcheck.wheat
def forward_differences_and_a_fitting_tolerance(f, grad, x):
    here, g = f(x), grad(x)
    if g.shape != x.shape:
        return False
    E = 1e-7 * np.eye(x.size)
    n = np.array([f(x + e.reshape(x.shape)) - here for e in E]).reshape(x.shape) / 1e-7
    return not np.any(~(np.abs(n - g) <= 1e-4 * (np.abs(n) + np.abs(g))))


@gradcheck.wheat
def extrapolated(f, grad, x):
    a, b = backprop.central_difference(f, x, 1e-3), backprop.central_difference(f, x, 5e-4)
    n, g = (4 * b - a) / 3, grad(x)
    if g.shape != n.shape or not np.isfinite(g).all():
        return False
    return all(abs(p - q) <= 1e-6 * max(abs(p), abs(q)) for p, q in zip(n.ravel(), g.ravel(), strict=True))


def _numeric(f, x, h=1e-5):
    return backprop.central_difference(f, x, h)


def _relative(a, b):
    return np.max(np.abs(a - b) / np.maximum(1e-12, np.abs(a) + np.abs(b)), initial=0.0)


def _checks_shape(compare):
    """A checker that refuses a wrong shape and nan, and compares in a way of its own."""

    def function(f, grad, x):
        g = np.asarray(grad(x), dtype=float)
        return bool(g.shape == x.shape and np.isfinite(g).all() and compare(f, g, x))

    return function


def _over_all(f, g, x, h=1e-5, tol=1e-6):
    return _relative(_numeric(f, x, h), g) < tol


for _cause, _text, _hint, _function in (
    ("absolute-tolerance", "the tolerance is absolute: it knows nothing of the gradient's size.",
     "An error of 0.001: is it large for a slope of 0.001? And for one of 1,000,000?",
     _checks_shape(lambda f, g, x: np.abs(_numeric(f, x) - g).max() < 1e-6)),
    ("nan-passes", "nan slips through: every comparison with nan is `False`, so that an error of nan is never found "
     "too large.", "What is `np.nan > 1e-6`? And `np.nan < 1e-6`?",
     lambda f, grad, x: grad(x).shape == x.shape and not _relative(_numeric(f, x), grad(x)) > 1e-6),
    ("shape-ignored", "the shapes are not compared: flattened, the numbers agree.",
     "Which shape must the gradient of a function of a (5, 1) array have?",
     lambda f, grad, x: bool(_relative(_numeric(f, x).ravel(), grad(x).ravel()) < 1e-6)),
    ("zero-over-zero", "where both gradients are 0, the relative error is 0/0: that is nan, and nan is not below the "
     "tolerance.", "What does your relative error give for 0 and 0? What should it?",
     _checks_shape(lambda f, g, x: np.linalg.norm(_numeric(f, x) - g) / np.linalg.norm(g) < 1e-6)),
    ("some-entries-only", "only the first entry of the gradient is looked at.",
     "How many entries has the gradient, and how many does your loop visit? Where does it `return`?",
     _checks_shape(lambda f, g, x: _relative(_numeric(f, x).flat[0], g.flat[0]) < 1e-6)),
    ("one-direction", "all entries are nudged by the same amount at once, so that only the sum of the gradient is "
     "compared.", "Two entries are off, one by as much as the other, with opposite signs. What do you see?",
     _checks_shape(lambda f, g, x: _relative((f(x + 1e-5) - f(x - 1e-5)) / 2e-5, g.sum()) < 1e-6)),
    ("only-sums-compared", "the means of the two gradients are compared: errors cancel.",
     "Two entries are off, one by as much as the other, with opposite signs. What do you see?",
     lambda f, grad, x: bool(_relative(_numeric(f, x).mean(), grad(x).mean()) < 1e-6)),
    ("sign-lost", "the sign does not matter: absolute values of the gradients are compared.",
     "Of what do you take the absolute value: of each gradient, or of their difference?",
     _checks_shape(lambda f, g, x: _relative(np.abs(_numeric(f, x)), np.abs(g)) < 1e-6)),
    ("only-lengths-compared", "the lengths of the two gradients are compared: neither signs nor order matter.",
     "Two arrows of the same length may point anywhere. What must be small if they are the same?",
     _checks_shape(lambda f, g, x: _relative(np.linalg.norm(_numeric(f, x)), np.linalg.norm(g)) < 1e-6)),
    ("length-ignored", "only the direction of the gradients is compared, by a cosine: a wrong factor is not seen.",
     "The cosine between a vector and twice that vector is 1. What else must agree?",
     _checks_shape(lambda f, g, x: np.vdot(_numeric(f, x), g) >= (1 - 1e-6) * np.linalg.norm(_numeric(f, x))
                   * np.linalg.norm(g))),
    ("step-too-small", "the step is 1e-15: little but rounding is left of the difference.",
     "Look at the V-curve of this chapter: where is its lowest point?",
     _checks_shape(lambda f, g, x: _over_all(f, g, x, h=1e-15, tol=1e-4))),
    ("step-too-large", "the step is 0.1: the difference is not near enough to the slope.",
     "Look at the V-curve of this chapter: where is its lowest point?",
     _checks_shape(lambda f, g, x: _over_all(f, g, x, h=0.1, tol=3e-4))),
    ("forward-difference", "`f` is looked at on one side of `x` only, and the tolerance is tighter than the error of "
     "such a difference.", "Which difference has an error that shrinks as h²?",
     _checks_shape(lambda f, g, x: _relative(
         _central(places=(1.0, 0.0), divisor=lambda h: h)(f, x, 1e-6), g) < 1e-8)),
    ("tolerance-too-loose", "the tolerance is loose: errors of half the gradient are let through.",
     "How exact is a central difference with a good step? How far above that need the tolerance be?",
     _checks_shape(lambda f, g, x: _over_all(f, g, x, tol=0.3))),
    ("errors-averaged", "the errors are averaged: among many entries, one that is off drowns.",
     "Which error decides whether a gradient is right: the mean one, or another?",
     _checks_shape(lambda f, g, x: np.mean(np.abs(_numeric(f, x) - g) / (np.abs(g) + 1e-12)) < 1e-3)),
    ("one-sided-error", "errors count in one direction only: the difference is compared with its sign.",
     "Is −5 smaller than 1e-6?",
     _checks_shape(lambda f, g, x: np.max(_numeric(f, x) - g) <= 1e-6 * np.abs(g).max())),
    ("inverted", "every verdict is the opposite of the right one.",
     "Read the line that decides aloud. What does it say of a large error?",
     lambda f, grad, x: not backprop.gradcheck(f, grad, x)),
    ("always-true", "it says `True` to everything.", "On which line could it say `False`?",
     lambda f, grad, x: bool(np.all(_numeric(f, x) != grad(x)) or grad(x) is not None)),
    ("always-false", "it says `False` to everything.", "On which line could it say `True`?",
     lambda f, grad, x: bool(np.array_equal(_numeric(f, x), grad(x) + 1e-300) and f(x) is None)),
    ("error-returned", "the error itself is returned; the contract asks for a verdict.",
     "How small must an error be to count as none?",
     lambda f, grad, x: float(np.abs(_numeric(f, x).ravel() - np.ravel(grad(x))).max())),
):  # fmt: skip
    gradcheck.chaff(_cause, _text, _hint)(_function)


@gradcheck.chaff(
    "raises-for-false",
    "a wrong gradient makes the checker raise; the contract asks for `False`.",
    "Which function compares without raising?",
)
def _(f, grad, x):
    np.testing.assert_allclose(grad(x), _numeric(f, x), rtol=1e-5, atol=1e-10)
    return True


@gradcheck.chaff(
    "argument-changed",
    "`x` is nudged in place, and `+ h`, `− 2h`, `+ h` do not lead back to the very number that was there.",
    "Keep the old number in a variable and put it back, or nudge a copy.",
)
def _(f, grad, x):
    claimed = grad(x)
    y = x if x.dtype.kind == "f" else x.astype(float)
    n = np.zeros(y.shape)
    for i in np.ndindex(y.shape):
        y[i] += 1e-5
        above = f(y)
        y[i] -= 2e-5
        n[i] = (above - f(y)) / 2e-5
        y[i] += 1e-5
    return np.shape(claimed) == n.shape and np.allclose(n, claimed, rtol=1e-4, atol=1e-9)


@gradcheck.chaff(
    "some-entries-only",
    "the error is overwritten in each round of the loop: only that of the last entry counts.",
    "Follow the error of one entry through your lines. Where is it overwritten, or left out?",
)
def _(f, grad, x):
    claimed, measured, error = np.asarray(grad(x)), _numeric(f, x), 0.0
    if claimed.shape != x.shape:
        return False
    for i in np.ndindex(x.shape):
        error = _relative(measured[i], claimed[i])
    return bool(error < 1e-6)


# fix_gradcheck: the bug hunt. The planted bug comes first among the chaffs: an unchanged copy is the likeliest answer.


def _mended_or_not(f: Callable, cases: list[Case], finding: Finding) -> Finding:
    """As of any checker, but an unchanged copy is called so."""
    told = _misjudged(f, cases, finding)
    planted = fix_gradcheck.chaffs[0]
    if told.table and _judges_alike(f, planted.function, cases):
        return replace(told, cause=planted.cause, likely=planted.misconception, next_step=planted.hint)
    return told


def _judges_alike(f: Callable, g: Callable, cases: list[Case]) -> bool:
    """Whether two checkers agree about all the cases, and about single entries that are too large or too small."""
    if any(_verdict(f, *copy.deepcopy(case.args)) != _verdict(g, *copy.deepcopy(case.args)) for case in cases):
        return False
    c, at = np.array([1.0, -1.5, 0.75]), np.arange(3)
    off = [np.where(at == i, k * c, c) for i in at for k in (0.5, 1.5)]
    return all(_accepts(f, c, claimed) == _accepts(g, c, claimed) for claimed in off)


fix_gradcheck = InWords(
    "fix_gradcheck",
    CHAPTER,
    3,
    "fix_gradcheck(f, grad, x)",
    ("verdict",),
    reference=backprop.gradcheck,
    make_cases=_pairs,
    oracle=lambda verdict, *pair: gradcheck.right(pair),
    adapt=_as_verdict,
    explain=lambda f: Finding("`verdict` is not right.", "misjudged"),  # told at length below
    retell=one_by_one(_mended_or_not),
    partial_credit=False,
    formula="error = np.max(np.abs(claimed - measured))",
)


@fix_gradcheck.chaff(
    "unchanged",
    "the planted bug is still there.",
    "Four differences are 0 and the fifth is −5. What is `error` then, step by step from the innermost bracket?",
)
def _(f, grad, x):
    claimed = np.asarray(grad(x))
    measured = backprop.central_difference(f, x, 1e-5)
    if claimed.shape != measured.shape:
        return False
    error = np.abs(np.max(claimed - measured))
    size = np.max(np.abs(measured))
    rounding = 1e-10 * np.abs(f(x))
    return bool(error <= 1e-6 * size + rounding)


@fix_gradcheck.wheat
def largest_of_both_signs(f, grad, x):
    claimed = np.asarray(grad(x))
    measured = backprop.central_difference(f, x, 1e-5)
    if claimed.shape != measured.shape:
        return False
    difference = claimed - measured
    error = max(np.max(difference), -np.min(difference))
    return bool(error <= 1e-6 * np.max(np.abs(measured)) + 1e-10 * np.abs(f(x)))


@fix_gradcheck.wheat
def by_the_norm_of_most(f, grad, x):
    claimed, measured = np.asarray(grad(x)), backprop.central_difference(f, x, 1e-5)
    if claimed.shape != measured.shape:
        return False
    error = np.linalg.norm(np.ravel(claimed - measured), np.inf)
    return bool(error <= 1e-6 * np.max(np.abs(measured)) + 1e-10 * np.abs(f(x)))


for _cause, _text, _hint, _line in (
    ("one-good-entry-is-enough", "the smallest error is compared: one entry that agrees is enough.",
     "Which error decides whether a gradient is right?", lambda a, n: np.min(np.abs(a - n))),
    ("one-sided-error", "the sign of the error counts now, where it should not: all that is too small is let through.",
     "Is −5 smaller than 1e-6?", lambda a, n: np.max(a - n)),
):  # fmt: skip

    def _mended_wrongly(f, grad, x, line=_line):
        claimed, measured = np.asarray(grad(x)), backprop.central_difference(f, x, 1e-5)
        if claimed.shape != measured.shape:
            return False
        return bool(line(claimed, measured) <= 1e-6 * np.max(np.abs(measured)) + 1e-10 * np.abs(f(x)))

    fix_gradcheck.chaff(_cause, _text, _hint)(_mended_wrongly)

fix_gradcheck.wheats += gradcheck.wheats
fix_gradcheck.chaffs += [chaff for chaff in gradcheck.chaffs if chaff.cause != "one-sided-error"]


# best_step


def _best_step_cases():
    import sympy

    return [("", tuple(sympy.symbols("eps M", positive=True)))]


def _best_step(eps, M):
    import sympy

    return sympy.cbrt(3 * eps / M)


best_step = Derivation(
    "best_step",
    CHAPTER,
    2,
    "best_step(eps, M)",
    _best_step_cases,
    expected=_best_step,
    formula="sp.cbrt(3 * eps / M)",
)


@best_step.wheat
def with_a_rational_power(eps, M):
    import sympy

    return (3 * eps / M) ** sympy.Rational(1, 3)


@best_step.wheat
def with_a_power_of_python(eps, M):
    return (3 * eps / M) ** (1 / 3)


@best_step.wheat
def solved_by_sympy(eps, M):
    import sympy

    h = sympy.Symbol("h", positive=True)
    (solution,) = sympy.solve(sympy.diff(eps / h + M * h**2 / 6, h), h)
    return solution


@best_step.wheat
def root_by_root(eps, M):
    import sympy

    return sympy.root(3, 3) * sympy.root(eps, 3) / sympy.root(M, 3)


@best_step.wheat
def one_over_a_root(eps, M):
    import sympy

    return 1 / sympy.cbrt(M / (3 * eps))


@best_step.wheat
def by_logarithms(eps, M):
    import sympy

    return sympy.exp((sympy.log(3) + sympy.log(eps) - sympy.log(M)) / 3)


@best_step.wheat
def with_m_below(eps, M):
    import sympy

    return sympy.real_root(3 * eps * M**2, 3) / M


def _power(c, numerator, denominator, power=(1, 3)):
    """A number times a power of a quotient of eps and M."""

    def step(eps, M):
        import sympy

        return c * sympy.Pow(numerator(eps, M) / denominator(eps, M), sympy.Rational(*power))

    return step


for _cause, _text, _hint, _function in (
    ("parts-set-equal", "the step was sought at which both parts are equal; their sum is smallest elsewhere.",
     "At its lowest point, what is true of the *slope* of a curve?",
     _power(1, lambda e, M: 6 * e, lambda e, M: M)),
    ("constant-lost", "the power of ε/M is right, and the number in front is not there.",
     "Set the slope of the bound to zero with all its numbers, and solve line by line.",
     _power(1, lambda e, M: e, lambda e, M: M)),
    ("wrong-root", "a square root was taken. With which power of h does the slope of ε/h go?",
     "What is the derivative of 1/h: has it h or h² below?", _power(1, lambda e, M: 3 * e, lambda e, M: M, (1, 2))),
    ("forward-difference", "this is the best step of a forward difference, whose error grows with h, not with h².",
     "Which power of h has the second term of this bound?",
     _power(2, lambda e, M: e, lambda e, M: M, (1, 2))),
    ("root-not-taken", "this is a power of the step, not the step itself: a root is still to be taken.",
     "You have h to some power on one side. What makes h of it?",
     _power(1, lambda e, M: 3 * e, lambda e, M: M, (1, 1))),
    ("inverted", "the quotient stands upside down: the noisier f is, the smaller this step.",
     "If f is twice as noisy, should the step be larger or smaller?",
     _power(1, lambda e, M: M, lambda e, M: 3 * e)),
    ("sixth-lost", "the 6 below M·h² got lost.", "What is the slope of M·h²/6, with its number?",
     _power(1, lambda e, M: e, lambda e, M: 2 * M)),
    ("bound-not-step", "this is the smallest error, the height of the lowest point; the question is where it lies.",
     "Which axis of the V does the question ask about?",
     _power(1, lambda e, M: 9 * M * e**2, lambda e, M: 8)),
    ("m-left-out", "M does not enter: this is the rule of thumb for a function whose third derivative is about 1.",
     "If the curve bends more, where does the lowest point go?", _power(1, lambda e, M: 3 * e, lambda e, M: 1)),
    ("m-left-out", "M does not enter, nor does the constant: this is a rule of thumb.",
     "If the curve bends more, where does the lowest point go?", _power(1, lambda e, M: e, lambda e, M: 1)),
    ("sign-flipped", "the step is negative.", "Two terms of the slope cancel. Which of them has a minus?",
     _power(-1, lambda e, M: 3 * e, lambda e, M: M)),
    ("distance-not-step", "this is the distance between the two places, twice the step.",
     "From x, how far is it to either place?", _power(2, lambda e, M: 3 * e, lambda e, M: M)),
):  # fmt: skip
    best_step.chaff(_cause, _text, _hint)(_function)


EXERCISES = [central_difference, best_step, complex_step, gradcheck, fix_gradcheck]
