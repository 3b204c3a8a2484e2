"""Chapter 7: steps that learn.

A wrong step is explained by enumeration. An update rule is a handful of places, each of which one may fill
rightly or in one of several wrong ways: which average, which correction, where ε goes, the sign. The explanation
is the combination with the fewest wrong places that gives the learner's numbers.
"""

import copy
import functools
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np

import backprop
from autograder.checking.call import call
from autograder.checking.compare import agrees, tolerance
from autograder.checking.derivation import Derivation
from autograder.checking.draw import normal
from autograder.checking.exercise import Case, Exercise
from autograder.checking.score import Finding
from autograder.checking.structure import WrongStructure, flatten, read
from autograder.checking.words import listing

CHAPTER = "07-optimizers"

# Cases

_SETTINGS = {"lr": 1e-3, "beta": 0.9, "beta1": 0.9, "beta2": 0.999, "rho": 0.99, "eps": 1e-8, "weight_decay": 0.01}
_RANGES = {
    "lr": (0.05, 0.5),
    "beta": (0.5, 0.95),
    "beta1": (0.5, 0.8),
    "beta2": (0.82, 0.98),
    "rho": (0.55, 0.95),
    "eps": (0.1, 0.4),
    "weight_decay": (0.1, 0.6),
}
_MEANS, _SQUARES = {"momentum_step": "v"}, {"rmsprop_step": "s", "adagrad_step": "s"}  # Adam has one of each


def _states(name: str) -> tuple[str, str]:
    """Names of the states of an exercise that hold gradients, and squares; empty where it has none."""
    adam = "adam" in name
    return ("m", "v") if adam else (_MEANS.get(name, ""), _SQUARES.get(name, ""))


@functools.cache
def _optimizer_cases(name: str, parameters: tuple[str, ...]) -> Callable[[np.random.Generator], list[Case]]:
    """A function that draws the cases of one exercise: the same situations for every optimizer."""
    mean, square = _states(name)

    def case(rng, words, shape, t, scale=1.0, zero_state=False, usual=False, **settings) -> Case:
        g = scale * normal(rng, *shape)  # a state that the optimizer does not have goes under an empty name
        values = {"w": normal(rng, *shape), "g": g, "t": t}
        values[mean] = np.zeros(shape) if zero_state else scale * normal(rng, *shape)
        values[square] = np.zeros(shape) if zero_state else scale**2 * rng.uniform(0.1, 2, shape)
        values |= {key: float(rng.uniform(*_RANGES[key])) for key in parameters if key in _RANGES}
        values |= (_SETTINGS if usual else {}) | settings
        steps = f", t = {t}" if "t" in parameters else ""
        return Case(words + steps, tuple(values[key] for key in parameters))

    def zeros_among(rng) -> Case:
        made = case(rng, "zeros in g", (11,), 3, eps=1e-3)
        args = dict(zip(parameters, made.args, strict=True))
        args["g"][[0, 2, 5]] = 0.0
        for state in (mean, square):
            if state:
                args[state][[2, 3]] = 0.0  # at 2 all is zero; at 0 and 5 the gradient alone; at 3 the state alone
        return made

    def cases(rng: np.random.Generator) -> list[Case]:
        return [
            case(rng, "7 × 5", (7, 5), 17),
            case(rng, "the first step", (13,), 1, zero_state=True, eps=1e-3),
            case(rng, "a vector of 11", (11,), 2),
            case(rng, "a single entry", (1,), 2),
            case(rng, "square", (5, 5), 1000, eps=0.03),
            zeros_among(rng),
            case(rng, "gradients of different sizes", (3, 7), 5, scale=10.0 ** rng.uniform(-4, 2, (3, 7)), eps=1e-3),
            case(rng, "small gradients", (7,), 4, scale=1e-4, eps=1e-4),
            case(rng, "the usual settings, first step", (5, 3), 1, zero_state=True, usual=True),
            case(rng, "the usual settings", (5, 2), 12, usual=True),
        ]

    return cases


# A run of steps: what is handed on must be all that a step knows

STEPS_OF_A_RUN = 25


def _in_a_run(exercise: Exercise, f: Callable, seed: int) -> Finding | None:
    """Run the learner's function on a quadratic bowl, each step on what the one before returned."""
    rng = np.random.default_rng(seed)
    for case in exercise.make_cases(rng):
        answer = _read(exercise, f, copy.deepcopy(case.args))
        if answer is None or not _agree(answer, flatten(exercise.right(case.args), exercise.outputs)):
            return None  # a wrong step is told by the cases
    shape = (3, 2)
    curvature, centre = rng.uniform(0.2, 2, shape), normal(rng, *shape)
    values = {key: float(rng.uniform(*_RANGES[key])) for key in exercise.parameters if key in _RANGES}
    values |= dict.fromkeys(exercise.outputs, np.zeros(shape)) | {"w": normal(rng, *shape), "lr": 0.05}
    kept: list[tuple[int, str, np.ndarray, np.ndarray]] = []
    for step in range(1, STEPS_OF_A_RUN + 1):
        values |= {"g": curvature * (values["w"] - centre), "t": step}
        args = tuple(values[key] for key in exercise.parameters)
        right, before = flatten(exercise.right(args), exercise.outputs), copy.deepcopy(args)
        answer = _read(exercise, f, args)
        if answer is None or not _agree(answer, right):
            what = f"In a run of {STEPS_OF_A_RUN} steps, each on what the one before returned, step {step} goes wrong."
            again = _read(exercise, f, before)
            if answer is not None and again is not None and _agree(again, answer):
                given = ", ".join(f"`{key}` = {value}" for key, value in zip(exercise.parameters, before, strict=True))
                return Finding(what, next_step=f"Call your function with the arguments of that step: {given}.")
            return Finding(
                what,
                "remembers",
                "something besides the arguments decides: a state that the function keeps for itself, or a count of "
                "its calls.",
                "All that a step may know comes in through its arguments. Which variable of yours lives longer?",
            )
        values |= answer
        for then, name, array, snapshot in kept:
            if not np.array_equal(array, snapshot):
                return Finding(
                    f"In a run, step {step} changed the `{name}` that step {then} had returned.",
                    "shared-memory",
                    "results are written into an array that lives on between calls.",
                    "Make a new array for the result in every call.",
                )
        kept += [(step, name, array, array.copy()) for name, array in answer.items()]
    return None


def _read(exercise: Exercise, f: Callable, args: tuple) -> dict[str, np.ndarray] | None:
    """The learner's answer as arrays by name; None if it can't be read, or has other shapes."""
    outcome = call(f, args)
    if outcome.error is not None:
        return None
    right = exercise.right(args)
    try:
        answer, faults = read(outcome.value, right, exercise.outputs)
    except WrongStructure:
        return None
    expected = flatten(right, exercise.outputs)
    if faults or any(answer[name].shape != expected[name].shape for name in expected):
        return None
    return answer


def _agree(answer: dict[str, np.ndarray], right: dict[str, np.ndarray]) -> bool:
    return all(agrees(answer[name], right[name]).all() for name in right)


# Which choices were made? Every array below is "wide": the entries of all examples side by side, so that a formula
# of the arguments is evaluated once for all of them.


@dataclass(frozen=True)
class Choice:
    """A wrong way to fill a place of a rule: its value from the wide arguments, in words, and a hint.

    ``{}`` in the words stands for the thing that the place is about; it may be two things at once.
    """

    cause: str
    words: str
    hint: str
    value: Callable[[SimpleNamespace], np.ndarray | float | tuple]


@dataclass(frozen=True)
class Place:
    """A place of a rule: what it is about, what belongs there, and what else may stand there, by plausibility."""

    about: str
    right: Callable[[SimpleNamespace], np.ndarray | float | tuple]
    wrong: list[Choice] = field(default_factory=list)


Mistakes = list[tuple[str, Choice]]


def _fewest_mistakes(
    target: np.ndarray, places: dict[str, Place], combine: Callable, p: SimpleNamespace, most: int = 3
) -> Mistakes | None:
    """The fewest wrong choices with which the rule gives the target; None if more than ``most`` are needed.

    All combinations of so many choices are computed at once, for a few entries; what fits there must fit everywhere.
    """
    finite = np.flatnonzero(np.isfinite(target))
    if not len(finite):
        return None
    few = finite[[0, len(finite) // 2, -1]]
    right = {key: _stacked([place.right(p)], len(target)) for key, place in places.items()}
    wrong = {key: _stacked([c.value(p) for c in place.wrong], len(target)) for key, place in places.items()}
    for count in range(most + 1):
        found: list[tuple[int, Mistakes]] = []
        for keys in itertools.combinations([key for key in places if places[key].wrong], count):
            values = {}
            for key in places:
                shape = [1] * count
                if key in keys:
                    shape[keys.index(key)] = -1
                values[key] = tuple(x[:, few].reshape(*shape, len(few)) for x in (wrong if key in keys else right)[key])
            for index in np.argwhere(_equal(_combined(combine, values), target[few], target).all(axis=-1)):
                picked = dict(zip(keys, index, strict=True))
                values = {key: tuple(x[picked.get(key, 0)] for x in (wrong if key in picked else right)[key])
                          for key in places}  # fmt: skip
                if _equal(_combined(combine, values), target).all():
                    found.append((sum(index), [(places[key].about, places[key].wrong[i]) for key, i in picked.items()]))
        if found:
            return min(found, key=lambda pair: pair[0])[1]
    return None


def _stacked(values: list, entries: int) -> tuple[np.ndarray, ...]:
    """Values of one place, one a row; of a place that takes several at once, an array for each of them."""
    rows = [value if isinstance(value, tuple) else (value,) for value in values]
    return tuple(np.array([np.broadcast_to(x, entries) for x in column]) for column in zip(*rows, strict=True))


def _combined(combine: Callable, values: dict[str, tuple[np.ndarray, ...]]) -> np.ndarray:
    return combine(**{key: x[0] if len(x) == 1 else x for key, x in values.items()})


def _equal(a: np.ndarray, target: np.ndarray, whole: np.ndarray | None = None) -> np.ndarray:
    """Entry by entry; nan equals nan, since a root of something negative explains a nan.

    The tolerance is that of the ``whole`` of which ``target`` is a part.
    """
    near = np.abs(a - target) <= 1e-10 + max(1e-8, tolerance(target if whole is None else whole)) * np.abs(target)
    return near | (a == target) | (np.isnan(a) & np.isnan(target))


def _in_words(mistakes: Mistakes) -> str:
    """One sentence from the wrong choices: those in the same words are told once."""
    about: dict[str, list[str]] = {}
    for thing, choice in mistakes:
        about.setdefault(choice.words, []).append(thing)
    told = [words.replace("{}", listing(list(dict.fromkeys(things)))) for words, things in about.items()]
    if len(told) > 1:
        told[-1] = f"and {told[-1]}"
    return (", " if len(told) == 2 else "; ").join(told) + "."


# The places of a running average: new = (how much is kept) · old + (weight) · (what enters), times how it is shown.
# How much is kept, and the weight, are a·rate + c, and are given as the pair (a, c).


def _combined_average(rate, kept, old, weight, enters, shown):
    return ((kept[0] * rate + kept[1]) * old + (weight[0] * rate + weight[1]) * enters) * shown


def _new(state: str) -> Callable[[SimpleNamespace], np.ndarray]:
    return lambda p: getattr(p, f"{state}_new")


def _old(state: str) -> Callable[[SimpleNamespace], np.ndarray]:
    return lambda p: getattr(p, f"{state}_old")


def _argument(name: str) -> Callable[[SimpleNamespace], np.ndarray]:
    return lambda p: getattr(p, name)


def _fixed(about: str, name: str, *numbers: float) -> list[Choice]:
    """A number in the code where an argument belongs."""
    hint = f"Your code has a number of its own. What if the caller wants another `{name}`?"
    return [
        Choice("fixed-number", f"a fixed {number:g} stands where `{name}` belongs{about}", hint, lambda p, x=number: x)
        for number in numbers
    ]


def _rate_place(state: str, name: str, other: str) -> Place:
    """How fast an average forgets; ``other`` is the rate of the other average, or empty."""
    rate = _argument(name)
    wrong = [
        Choice(
            "weights-exchanged",
            "in {} the old value and the new one have each other's weight",
            "With a rate of 0.9, how much of the old value should survive a step?",
            lambda p: 1 - rate(p),
        )
    ]
    if other:
        wrong += [
            Choice(
                "betas-swapped",
                f"`{other}` rules the average {{}}, where `{name}` belongs",
                "One of the two is for the gradients, the other one for their squares. Which is which?",
                _argument(other),
            ),
            Choice(
                "rate-to-the-power-t",
                f"`{name}` is raised to the power `t` in the average {{}}",
                "Which of your lines is the average, and which the correction of its bias? Where does `t` belong?",
                lambda p: rate(p) ** p.t,
            ),
        ]
    hint = "How much of the old value should survive a step: follow that one factor."
    wrong += [
        Choice("rate-squared", f"`{name}` is squared in {{}}", hint, lambda p: rate(p) ** 2),
        *_fixed(" in {}", name, 0.9, 0.99, 0.999),
    ]
    return Place(f"`{state}`", rate, wrong)


_HOW_MUCH_OF_THE_OLD = "After one more step with a gradient of zero, what should be left of the old state?"
_HOW_MUCH_OF_THE_NEW = "Start from a state of zero. After one step, how much of what came in should be in it?"
_FADES = Choice(
    "nothing-fades", "the old value of {} is kept whole: nothing fades", _HOW_MUCH_OF_THE_OLD, lambda p: (0, 1)
)
_DROPPED = Choice(
    "state-ignored",
    "the old value of {} does not enter: every step starts from nothing",
    "What is the state for, that comes in as an argument?",
    lambda p: (0, 0),
)
_KEPT_WRONGLY = [
    Choice("old-weight", "the old value of {} has one minus its weight", _HOW_MUCH_OF_THE_OLD, lambda p: (-1, 1)),
    Choice("sign-flipped", "the old value of {} is subtracted", _HOW_MUCH_OF_THE_OLD, lambda p: (-1, 0)),
    Choice("lr-in-the-state", "the old value of {} is multiplied with `lr`", _HOW_MUCH_OF_THE_OLD, lambda p: (0, p.lr)),
    Choice(
        "lr-in-the-state",
        "the old value of {} is multiplied with `lr` besides",
        _HOW_MUCH_OF_THE_OLD,
        lambda p: (p.lr, 0),
    ),
]
_WEIGHT_MISSING = Choice(
    "weight-missing", "what enters {} has no weight: it comes in whole", _HOW_MUCH_OF_THE_NEW, lambda p: (0, 1)
)
_DAMPED = Choice(
    "damped",
    "what enters {} is made smaller, as in an average; here gradients are added up",
    _HOW_MUCH_OF_THE_NEW,
    lambda p: (-1, 1),
)
_WEIGHTED_PLAINLY = [
    Choice("sign-flipped", "what enters {} is subtracted, whole", _HOW_MUCH_OF_THE_NEW, lambda p: (0, -1)),
    Choice("gradient-ignored", "nothing new enters {}", "Where does the gradient come in?", lambda p: (0, 0)),
    Choice("lr-in-the-state", "`lr` is multiplied into what enters {}", "Where does `lr` act: in the state, or in "
           "the step?", lambda p: (0, p.lr)),
    Choice("lr-in-the-state", "minus `lr` is multiplied into what enters {}", "Where does `lr` act: in the state, or "
           "in the step?", lambda p: (0, -p.lr)),
    Choice("twice", "what enters {} comes in twice", _HOW_MUCH_OF_THE_NEW, lambda p: (0, 2)),
    Choice("halved", "what enters {} is halved", _HOW_MUCH_OF_THE_NEW, lambda p: (0, 0.5)),
    Choice("divided-by-the-entries", "what enters {} is divided by the number of entries", "Is there an average over "
           "entries in an update of each of them?", lambda p: (0, 1 / p.entries)),
]  # fmt: skip
_WEIGHTED_WRONGLY = [
    *_WEIGHTED_PLAINLY,
    Choice("weight-of-the-old", "what enters {} has the weight of the old value", _HOW_MUCH_OF_THE_NEW,
           lambda p: (1, 0)),
    Choice("sign-flipped", "what enters {} is subtracted", _HOW_MUCH_OF_THE_NEW, lambda p: (1, -1)),
    Choice("lr-in-the-state", "`lr` is multiplied into what enters {}, besides its weight", "Where does `lr` act: in "
           "the state, or in the step?", lambda p: (-p.lr, p.lr)),
    Choice("lr-in-the-state", "minus `lr` is multiplied into what enters {}, besides a weight", "Where does `lr` act: "
           "in the state, or in the step?", lambda p: (p.lr, -p.lr)),
    Choice("weight-wrong", "the weight of what enters {} is one plus the rate, not one minus it", _HOW_MUCH_OF_THE_NEW,
           lambda p: (1, 1)),
    Choice("negative-weight-of-the-old", "what enters {} is subtracted with the weight of the old value",
           _HOW_MUCH_OF_THE_NEW, lambda p: (-1, 0)),
]  # fmt: skip


def _gradient_enters(state: str, coupled: bool) -> Place:
    hint = f"What is `{state}` an average, or a sum, of?"
    wrong = [
        Choice("squared", "the square of the gradient enters {}, not the gradient", hint, lambda p: p.g**2),
        Choice("absolute-value", "the absolute value of the gradient enters {}", hint, lambda p: np.abs(p.g)),
        Choice("only-the-sign", "only the sign of the gradient enters {}", hint, lambda p: np.sign(p.g)),
        Choice("wrong-array", "`w` enters {}, not the gradient", hint, lambda p: p.w),
        Choice("clipped", "the gradient is clipped to ±1 before it enters {}", hint, lambda p: np.clip(p.g, -1, 1)),
        Choice("state-taken-off", "the gradient enters {} less the old state", hint, lambda p: p.g - _old(state)(p)),
    ]
    if coupled:
        wrong[:0] = _COUPLED_GRADIENTS
    return Place(f"`{state}`", lambda p: p.g, wrong)


_DECAY_APART = "In decoupled decay, what do the averages know of `weight_decay`?"
_DECAY_ENTERS = "the weight decay is mixed into the gradient that enters {}"
_COUPLED_GRADIENTS = [
    Choice("coupled-decay", _DECAY_ENTERS, _DECAY_APART, lambda p: p.g + p.weight_decay * p.w),
    Choice("coupled-decay", _DECAY_ENTERS + ", times `lr`", _DECAY_APART, lambda p: p.g + p.lr * p.weight_decay * p.w),
    Choice("coupled-decay", _DECAY_ENTERS + ", twice", _DECAY_APART, lambda p: p.g + 2 * p.weight_decay * p.w),
    Choice("coupled-decay", _DECAY_ENTERS + ", with a minus", _DECAY_APART, lambda p: p.g - p.weight_decay * p.w),
    Choice("decayed-gradient", "the gradient that enters {} is shrunk by the weight decay", _DECAY_APART,
           lambda p: p.g * (1 - p.lr * p.weight_decay)),
]  # fmt: skip


def _square_enters(state: str, mean: str, coupled: bool) -> Place:
    hint = f"What is `{state}` an average, or a sum, of?"
    wrong = [
        Choice("not-squared", "the gradient enters {} without a square", hint, lambda p: p.g),
        Choice("absolute-value", "the absolute value of the gradient enters {}, not its square", hint,
               lambda p: np.abs(p.g)),
        Choice("doubled-not-squared", "the gradient enters {} doubled, not squared", hint, lambda p: 2 * p.g),
        Choice("squared-twice", "the gradient enters {} squared twice", hint, lambda p: p.g**4),
        Choice("cubed", "the third power of the gradient enters {}", hint, lambda p: p.g**3),
        Choice("wrong-array", "the square of `w` enters {}, not that of the gradient", hint, lambda p: p.w**2),
        Choice("rooted", "the root of the gradient's size enters {}", hint, lambda p: np.sqrt(np.abs(p.g))),
        Choice("mixed-product", "gradient times `w` enters {}, not gradient times gradient", hint, lambda p: p.g * p.w),
        Choice("eps-in-the-state", "`eps` is added to the square that enters {}", "Where does `eps` belong: in the "
               "state, or in the division?", lambda p: p.g**2 + p.eps),
        Choice("clipped", "the gradient is clipped to ±1 before its square enters {}", hint,
               lambda p: np.clip(p.g, -1, 1) ** 2),
    ]  # fmt: skip
    if mean:
        wrong += [
            Choice("square-of-the-average", f"the square of the new `{mean}` enters {{}}, not that of the gradient",
                   hint, lambda p: _new(mean)(p) ** 2),
            Choice("square-of-the-average", f"the square of the old `{mean}` enters {{}}, not that of the gradient",
                   hint, lambda p: _old(mean)(p) ** 2),
            Choice("centred", f"the gradient less the new `{mean}` is squared for {{}}, as in AdaBelief", hint,
                   lambda p: (p.g - _new(mean)(p)) ** 2),
            Choice("centred", f"the gradient less the old `{mean}` is squared for {{}}", hint,
                   lambda p: (p.g - _old(mean)(p)) ** 2),
            Choice("mixed-product", f"gradient times `{mean}` enters {{}}, not gradient times gradient", hint,
                   lambda p: p.g * _new(mean)(p)),
            Choice("mixed-product", f"gradient times the old `{mean}` enters {{}}, not gradient times gradient", hint,
                   lambda p: p.g * _old(mean)(p)),
        ]  # fmt: skip
    if coupled:
        wrong[:0] = [Choice(c.cause, c.words, c.hint, lambda p, c=c: c.value(p) ** 2) for c in _COUPLED_GRADIENTS]
    return Place(f"`{state}`", lambda p: p.g**2, wrong)


def _old_place(state: str, others: tuple[str, ...], rate: str = "") -> Place:
    hint = "Which of the arguments is the state from the step before?"
    wrong = [
        Choice("wrong-array", f"the old `{other}` stands where the old `{state}` belongs", hint, _old(other))
        for other in others
    ]
    wrong += [
        Choice("wrong-array", f"`w` stands where the old `{state}` belongs", hint, lambda p: p.w),
        Choice("squared", "the old value of {} is squared", hint, lambda p: _old(state)(p) ** 2),
        Choice("rooted", "a root is taken of the old {}", hint, lambda p: np.sqrt(_old(state)(p))),
    ]
    if rate:
        wrong.append(
            Choice("corrected-too-early", "the bias of the old value of {} is corrected before the new one enters",
                   "Which comes first, the average or its correction?",
                   lambda p: _old(state)(p) / (1 - getattr(p, rate) ** p.t))
        )  # fmt: skip
    return Place(f"`{state}`", _old(state), wrong)


def _shown_place(state: str, rate: str = "", corrected: bool = False, decays: bool = False) -> Place:
    """What the new state is multiplied with before it is returned."""
    hint = "What must the next step find as its old state?"
    wrong = []
    if corrected:
        wrong.append(
            Choice(
                "corrected-state-returned",
                "what is returned for {} has its bias corrected, so that the next step averages a corrected state",
                "What must the next step find as its old state? If it gets this one, what does it correct again?",
                lambda p: 1 / (1 - getattr(p, rate) ** p.t),
            )
        )
    wrong += [
        Choice("lr-in-the-state", "what is returned for {} is multiplied with `lr`", hint, lambda p: p.lr),
        Choice("sign-flipped", "what is returned for {} has the wrong sign", hint, lambda p: -1),
    ]
    if rate:
        wrong.append(
            Choice("divided-by-a-weight", "what is returned for {} is divided by one minus its rate", hint,
                   lambda p: 1 / (1 - getattr(p, rate)))
        )  # fmt: skip
    if decays:
        wrong.append(
            Choice("decayed-state", "{} is decayed as well", "What is the weight decay for?",
                   lambda p: 1 - p.lr * p.weight_decay)
        )  # fmt: skip
    if rate:
        wrong.append(
            Choice("rate-twice", "all of {} is multiplied with its rate", _HOW_MUCH_OF_THE_NEW, _argument(rate))
        )
    return Place(f"`{state}`", lambda p: 1, wrong)


def _other_values(state: str) -> list[Choice]:
    """What may be returned for a state besides an average: tried first."""
    hint = "What must the next step find as its old state?"
    old, right = _old(state), _argument(f"{state}_right")
    largest = [
        Choice("largest-gradient", "{} holds the largest gradient so far, faded, as in AdaMax", hint,
               lambda p, rate=rate: np.maximum(getattr(p, rate, np.nan) * old(p), np.abs(p.g)))
        for rate in ("rho", "beta1", "beta2")
    ]  # fmt: skip
    return [
        *largest,
        Choice("state-not-returned", "the old value is returned for {}: the next step will not know of this one", hint,
               old),
        Choice("root-returned", "a root is returned for {}, not the state itself", hint, lambda p: np.sqrt(right(p))),
        Choice("largest-kept", "the larger of the old and the new value of {} is kept, as in AMSGrad", hint,
               lambda p: np.maximum(old(p), right(p))),
        Choice("eps-in-the-state", "`eps` is added to the {} that is returned", hint,
               lambda p: right(p) + getattr(p, "eps", np.nan)),
        Choice("root-returned", "what divides the step is returned for {}", hint,
               lambda p: np.sqrt(right(p)) + getattr(p, "eps", np.nan)),
        Choice("gradient-returned", "the gradient is returned for {}", hint, lambda p: p.g),
        Choice("gradient-returned", "the gradient's square is returned for {}", hint, lambda p: p.g**2),
        Choice("step-returned", "the step is returned for {}", hint, lambda p: p.w - p.w_right),
        Choice("step-returned", "the step, with a minus, is returned for {}", hint, lambda p: p.w_right - p.w),
        Choice("plain-mean", "what is returned for {} is the plain mean of the old value and the new one", hint,
               lambda p: (old(p) + p.g**2) / 2),
        Choice("largest-kept", "the larger of the old value and the gradient's square is kept in {}", hint,
               lambda p: np.maximum(old(p), p.g**2)),
        Choice("sum-squared", "the old value of {} and the gradient are added, and then squared", hint,
               lambda p: (old(p) + p.g) ** 2),
    ]  # fmt: skip


# The places of a step: w = rest - sign · (rate · top · fix1 / bottom**division) - late, with
# bottom = max((base · fix2 + inside)**power + outside, floor) · times. ε is in inside, outside, floor, late or times;
# if it is early, it is added before the correction: bottom = ((base + inside)**power + outside) · fix2**power.


class Eps(NamedTuple):
    """Where ε goes."""

    inside: np.ndarray | float = 0.0
    outside: np.ndarray | float = 0.0
    floor: np.ndarray | float = -np.inf
    late: np.ndarray | float = 0.0
    early: bool = False
    times: np.ndarray | float = 1.0


def _combined_step(rest, sign, rate, top, fix1=1, fix2=1, both=(1, 1), base=1, power=1, eps=None, division=0):
    fix1, fix2 = fix1 * both[0], fix2 * both[1]
    inside, outside, floor, late, early, times = eps or Eps()
    bottom = np.maximum((base * fix2 + inside) ** power + outside, floor) * times
    if np.any(early):
        bottom = np.where(early, ((base + inside) ** power + outside) * fix2**power, bottom)
    return rest - sign * (rate * top * fix1 / bottom**division) - late


_W_LOST = Choice("w-lost", "the old `w` does not enter", "What does a step start from?", lambda p: 0)
_W_UNCHANGED = Choice(
    "w-unchanged", "`w` is returned as it came: no step is taken", "Which line of yours changes `w`?", lambda p: p.w
)
_ONLY_THE_STEP = Choice(
    "only-the-step", "the step alone is returned, not the `w` that it leads to", "What does a step start from?",
    lambda p: p.w - p.w_right,
)  # fmt: skip
_SIGN_STEPS = [
    Choice("only-the-sign", f"every entry moves by `lr`: only the sign of `{name}` is left", "Where do sizes get lost?",
           lambda p, value=value: p.w - p.lr * np.sign(value(p)))
    for name, value in (("g", lambda p: p.g), ("m", lambda p: getattr(p, "m_new", np.nan)))
]  # fmt: skip
_UPHILL = Place("the step", lambda p: 1, [
    Choice("uphill", "the step is added: it goes uphill", "Which way does the gradient point, and which way is down?",
           lambda p: -1),
])  # fmt: skip


def _learning_rate(*more: Choice) -> Place:
    hint = "Follow `lr` through your lines: how often does it enter the step, and how?"
    wrong = [
        Choice("lr-missing", "`lr` does not enter the step", hint, lambda p: 1),
        Choice("lr-twice", "`lr` enters the step twice", hint, lambda p: p.lr**2),
        *more,
        Choice("lr-divides", "the step is divided by `lr`", hint, lambda p: 1 / p.lr),
        Choice("lr-rooted", "the root of `lr` is taken", hint, lambda p: np.sqrt(p.lr)),
        Choice("step-doubled", "the step is twice as long", hint, lambda p: 2 * p.lr),
        Choice("step-halved", "the step is half as long", hint, lambda p: p.lr / 2),
        *_fixed("", "lr", 0.1, 0.01, 0.001),
        Choice("step-left-out", "no step is taken", "Which line of yours takes the step?", lambda p: 0),
    ]
    return Place("the step", _argument("lr"), wrong)


def _rates_with(name: str) -> list[Choice]:
    """Learning rates into which one of the averages' rates got."""
    rate, hint = _argument(name), f"Where does `{name}` belong: in the state, or in the step?"
    return [
        Choice("rate-in-the-step", f"the step is multiplied with one minus `{name}`", hint,
               lambda p: p.lr * (1 - rate(p))),
        Choice("rate-in-the-step", f"the step is multiplied with `{name}`", hint, lambda p: p.lr * rate(p)),
        Choice("rate-in-the-step", f"the step is divided by one minus `{name}`", hint, lambda p: p.lr / (1 - rate(p))),
    ]  # fmt: skip


_RATES_WITH_T = [
    Choice("lr-fades", "`lr` is divided by `t`", "Does `lr` fade with `t` here?", lambda p: p.lr / p.t),
    Choice("lr-fades", "`lr` is divided by the root of `t`", "Does `lr` fade with `t` here?",
           lambda p: p.lr / np.sqrt(p.t)),
    Choice("lr-grows", "`lr` is multiplied with `t`", "What does `t` do to `lr` here?", lambda p: p.lr * p.t),
]  # fmt: skip


_COUNT_FROM_1 = "What is `t` in the very first step, and how large must the correction be there?"
_BY_HAND = "Start from zero and take one step by hand. What must the corrected average be then?"
_CORRECTIONS: list[tuple[str, str, str, Callable]] = [  # from the rate, the other average's rate, and t
    ("no-bias-correction", "the bias correction of {} is left out",
     "Averages start at zero. After one step from there, how large is the average beside the gradient?",
     lambda b, o, t: 1),
    ("t-off-by-one", "the bias correction of {} takes `t` one too small", _COUNT_FROM_1,
     lambda b, o, t: 1 / (1 - b ** (t - 1))),
    ("t-off-by-one", "the bias correction of {} takes `t` one too large", _COUNT_FROM_1,
     lambda b, o, t: 1 / (1 - b ** (t + 1))),
    ("t-ignored", "the bias correction of {} is that of the first step, at every `t`",
     "What becomes of the correction after a thousand steps?", lambda b, o, t: 1 / (1 - b)),
    ("betas-swapped", "the bias correction of {} takes the other beta",
     "Which rate has that average? Its correction has the same.", lambda b, o, t: 1 / (1 - o**t)),
    ("beta-times-t", "in the bias correction of {} the rate is multiplied with `t`, not raised to it",
     "How much of the zero at the start is left after `t` steps, if each keeps that share?",
     lambda b, o, t: 1 / (1 - b * t)),
    ("correction-inverted", "the bias correction of {} multiplies where it should divide",
     "Is the average too small at first, or too large?", lambda b, o, t: 1 - b**t),
    ("power-of-the-difference", "in the bias correction of {} one minus the rate is raised to `t`, not the rate alone",
     "Which comes first, the power or the difference?", lambda b, o, t: 1 / (1 - b) ** t),
    ("one-minus-missing", "the bias correction of {} divides by the share of the zero that is left, not by the rest",
     _BY_HAND, lambda b, o, t: 1 / b**t),
    ("correction-sign", "the bias correction of {} has a plus for a minus", _BY_HAND, lambda b, o, t: 1 / (1 + b**t)),
    ("correction-rooted", "the bias correction of {} is put under one root too many", _BY_HAND,
     lambda b, o, t: 1 / np.sqrt(1 - b**t)),
    ("base-and-exponent", "in the bias correction of {} `t` is raised to the power of the rate", _BY_HAND,
     lambda b, o, t: 1 / (1 - t**b)),
    ("root-of-the-rate", "in the bias correction of {} a root of the rate is taken, not a power", _BY_HAND,
     lambda b, o, t: 1 / (1 - b ** (1 / t))),
    ("fixed-number", "the bias correction of {} has a fixed 0.9 for its rate",
     "Your code has a number of its own. What if the caller wants another rate?", lambda b, o, t: 1 / (1 - 0.9**t)),
    ("fixed-number", "the bias correction of {} has a fixed 0.999 for its rate",
     "Your code has a number of its own. What if the caller wants another rate?", lambda b, o, t: 1 / (1 - 0.999**t)),
]  # fmt: skip


def _correction(state: str, name: str, other: str) -> Place:
    rate, second = _argument(name), _argument(other)
    wrong = [
        Choice(cause, words, hint, lambda p, c=correct: c(rate(p), second(p), p.t))
        for cause, words, hint, correct in _CORRECTIONS
    ]
    cause, words = "corrected-twice", "the bias of {} is corrected twice"
    if state == "v":  # a root halves the power
        cause, words = "correction-outside-root", "the bias correction of {} stands outside the root"
    hint = "Count the divisions, and look where the root ends."
    wrong.append(Choice(cause, words, hint, lambda p: 1 / (1 - rate(p) ** p.t) ** 2))
    return Place(f"`{state}`", lambda p: 1 / (1 - rate(p) ** p.t), wrong)


def _both_corrections() -> Place:
    """The same mistake in both, as factors on the right corrections."""
    wrong = [
        Choice(cause, words, hint, lambda p, c=correct: (c(p.beta1, p.beta2, p.t) * (1 - p.beta1**p.t),
                                                         c(p.beta2, p.beta1, p.t) * (1 - p.beta2**p.t)))
        for cause, words, hint, correct in _CORRECTIONS
    ]  # fmt: skip
    return Place("`m` and `v`", lambda p: (1, 1), wrong)


_EPS = "Where is `eps` added: before the root or after it, before the division or after it?"


def _eps_place(corrected: bool = False) -> Place:
    parentheses = "In `a / b + c`, what is divided by what?"
    wrong = [
        Choice("eps-inside-root", "`eps` is added under the root, not after it", _EPS, lambda p: Eps(inside=p.eps)),
        Choice("eps-missing", "`eps` is left out", "What happens where the state is zero?", lambda p: Eps()),
        Choice("parentheses", "`eps` is added to `w`, after the division: parentheses are missing", parentheses,
               lambda p: Eps(late=-p.eps)),
        Choice("parentheses", "`eps` is added to the step, after the division and not in it: parentheses are missing",
               parentheses, lambda p: Eps(late=p.eps)),
        Choice("parentheses", "`eps` is added after the division, and then multiplied with `lr`: parentheses are "
               "missing", parentheses, lambda p: Eps(late=p.lr * p.eps)),
        Choice("eps-twice", "`eps` is added twice: under the root and after it", _EPS,
               lambda p: Eps(inside=p.eps, outside=p.eps)),
        Choice("eps-squared", "the square of `eps` is added under the root", _EPS, lambda p: Eps(inside=p.eps**2)),
        Choice("eps-squared", "the square of `eps` is added", _EPS, lambda p: Eps(outside=p.eps**2)),
        Choice("eps-rooted", "the root of `eps` is added", _EPS, lambda p: Eps(outside=np.sqrt(p.eps))),
        Choice("eps-as-bound", "`eps` is a lower bound of the root, not added to it", _EPS, lambda p: Eps(floor=p.eps)),
        Choice("eps-subtracted", "`eps` is subtracted", _EPS, lambda p: Eps(outside=-p.eps)),
        Choice("eps-multiplied", "`eps` is multiplied with the root, not added to it", _EPS,
               lambda p: Eps(times=p.eps)),
        Choice("one-added", "a 1 is added where `eps` belongs", _EPS, lambda p: Eps(outside=1)),
        Choice("fixed-number", "a fixed 1e-8 stands where `eps` belongs", "What if the caller wants another `eps`?",
               lambda p: Eps(outside=1e-8)),
        Choice("eps-times-lr", "`eps` is multiplied with `lr`", _EPS, lambda p: Eps(outside=p.eps * p.lr)),
        Choice("eps-twice", "`eps` is added twice", _EPS, lambda p: Eps(outside=2 * p.eps)),
    ]  # fmt: skip
    if corrected:
        hint = "Which comes first: the bias correction, or `eps`?"
        wrong[1:1] = [
            Choice("eps-before-correction", "`eps` is added to the root before its bias correction, as in Keras: the "
                   "correction scales `eps` too", hint, lambda p: Eps(outside=p.eps, early=True)),
            Choice("eps-before-correction", "`eps` is added to the average before its bias correction, and so under "
                   "the root", hint, lambda p: Eps(inside=p.eps, early=True)),
            Choice("eps-scaled", "`eps` is multiplied with the root of a bias correction", hint,
                   lambda p: Eps(outside=p.eps * np.sqrt(1 - p.beta2**p.t))),
        ]  # fmt: skip
    return Place("`eps`", lambda p: Eps(outside=p.eps), wrong)


def _division(state: str) -> dict[str, Place]:
    units = f"If all gradients were ten times as large, how much larger would `{state}` be, and how much the step?"
    return {
        "power": Place(f"`{state}`", lambda p: 0.5, [
            Choice("root-missing", "no root is taken of {}", units, lambda p: 1),
            Choice("root-twice", "the root is taken twice of {}", units, lambda p: 0.25),
            Choice("squared", "{} is squared where its root is asked for", units, lambda p: 2),
            Choice("cube-root", "a cube root is taken of {}", units, lambda p: 1 / 3),
        ]),
        "division": Place("the step", lambda p: 1, [
            Choice("not-divided", "the step is not divided by anything", units, lambda p: 0),
            Choice("multiplied-not-divided", "the step is multiplied with what should divide it",
                   "Where gradients have been large, should the step be longer, or shorter?", lambda p: -1),
            Choice("divided-twice", "the step is divided twice", units, lambda p: 2),
        ]),
    }  # fmt: skip


def _what_moves(right: str, *more: Choice) -> Place:
    """What stands on top of the fraction, or alone; ``right`` names a state, or is ``g``."""
    hint = "What gives the direction of this step?"
    value = _argument("g") if right == "g" else _new(right)
    moves = f"`{right}`" if right == "g" else f"the new `{right}`"
    wrong = [
        *more,
        Choice("only-the-sign", f"only the sign of {moves} moves `w`", hint, lambda p: np.sign(value(p))),
        Choice("rooted", f"a root of {moves} moves `w`", hint, lambda p: np.sqrt(value(p))),
        Choice("absolute-value", f"the absolute value of {moves} moves `w`", hint, lambda p: np.abs(value(p))),
        Choice("squared-on-top", f"the square of {moves} moves `w`", hint, lambda p: value(p) ** 2),
        Choice("wrong-array", f"`w` stands where {moves} belongs", hint, lambda p: p.w),
        Choice("one-on-top", f"a 1 stands where {moves} belongs", hint, lambda p: 1),
    ]
    return Place("the step", value, wrong)


def _rest_of_w(decays: bool, *rates: str) -> Place:
    hint = "Which factor stands before the old `w`?"
    if not decays:
        wrong = [_W_LOST]
        for name in (*rates, "lr"):
            rate = _argument(name)
            wrong += [
                Choice("w-shrunk", f"the old `w` is multiplied with `{name}`", hint, lambda p, r=rate: r(p) * p.w),
                Choice("w-shrunk", f"the old `w` is multiplied with one minus `{name}`", hint,
                       lambda p, r=rate: (1 - r(p)) * p.w),
            ]  # fmt: skip
        return Place("`w`", lambda p: p.w, wrong)
    share = "With `lr` = 0 nothing may move. Does your `w` stay where it is?"
    shrink = "With a gradient of zero, does your `w` come nearer to zero? By what share of itself?"
    return Place("`w`", lambda p: p.w * (1 - p.lr * p.weight_decay), [
        Choice("no-decay", "`w` itself is not decayed", shrink, lambda p: p.w),
        Choice("decay-without-lr", "the decay of `w` is not multiplied with `lr`", share,
               lambda p: p.w * (1 - p.weight_decay)),
        Choice("decay-added", "the decay is added: it makes `w` larger", shrink,
               lambda p: p.w * (1 + p.lr * p.weight_decay)),
        Choice("decay-without-its-rate", "`weight_decay` does not enter the decay of `w`", shrink,
               lambda p: p.w * (1 - p.lr)),
        Choice("decay-doubled", "the decay is twice as strong: the slope of a penalty without its ½, or decayed twice",
               shrink, lambda p: p.w * (1 - 2 * p.lr * p.weight_decay)),
        Choice("decay-halved", "the decay is half as strong", shrink, lambda p: p.w * (1 - p.lr * p.weight_decay / 2)),
        Choice("decayed-twice", "`w` is decayed twice", shrink, lambda p: p.w * (1 - p.lr * p.weight_decay) ** 2),
        Choice("lr-twice", "`lr` enters the decay twice", shrink, lambda p: p.w * (1 - p.lr**2 * p.weight_decay)),
        Choice("decay-squared", "`weight_decay` enters twice", shrink, lambda p: p.w * (1 - p.lr * p.weight_decay**2)),
        Choice("decay-without-w", "the same amount is taken off every entry: the decay does not depend on `w`", shrink,
               lambda p: p.w - p.lr * p.weight_decay),
        Choice("decay-by-sign", "the decay goes by the sign of `w`, as with an L1 penalty", shrink,
               lambda p: p.w - p.lr * p.weight_decay * np.sign(p.w)),
        Choice("decay-of-the-gradient", "the decay is a share of the gradient, not of `w`", shrink,
               lambda p: p.w - p.lr * p.weight_decay * p.g),
        Choice("decay-of-the-square", "the decay is a share of the square of `w`", shrink,
               lambda p: p.w - p.lr * p.weight_decay * p.w**2),
        Choice("only-the-share", "what the decay takes off is kept, and the rest is lost", shrink,
               lambda p: p.w * p.lr * p.weight_decay),
        Choice("only-the-share", "the old `w` is multiplied with `weight_decay` alone", shrink,
               lambda p: p.w * p.weight_decay),
        Choice("decay-divides", "`w` is divided by one plus the share, not multiplied with one minus it", shrink,
               lambda p: p.w / (1 + p.lr * p.weight_decay)),
        Choice("decay-without-lr", "the decay is added, and not multiplied with `lr`", share,
               lambda p: p.w * (1 + p.weight_decay)),
        Choice("decay-of-the-square", "the decay is a share of half the square of `w`: that is the penalty, not its "
               "slope", shrink, lambda p: p.w - p.lr * p.weight_decay * p.w**2 / 2),
        Choice("w-times-lr", "what is left of the old `w` is multiplied with `lr`", share,
               lambda p: p.lr * (1 - p.weight_decay) * p.w),
        _W_LOST,
    ])  # fmt: skip


@dataclass(frozen=True)
class Rule:
    """The places of an update rule: of each state's average, and of the step."""

    averages: dict[str, dict[str, Place]]
    step: dict[str, Place]


def _running_average(state, name, other, enters, others=(), corrected=False, decays=False) -> dict[str, Place]:
    about = f"`{state}`"
    kept, weight = [_DROPPED, _FADES, *_KEPT_WRONGLY], [_WEIGHT_MISSING, *_WEIGHTED_WRONGLY]
    weight.append(
        Choice("weight-squared", "the weight of what enters {} is squared", _HOW_MUCH_OF_THE_NEW,
               lambda p: (0, (1 - getattr(p, name)) ** 2))
    )  # fmt: skip
    if other:
        hint = "Which rate belongs to this average? It appears twice in it."
        rate = _argument(other)
        kept.append(Choice("betas-swapped", f"the old value of {{}} is weighted with `{other}`", hint,
                           lambda p: (0, rate(p))))  # fmt: skip
        weight.append(Choice("betas-swapped", f"what enters {{}} has the weight that goes with `{other}`", hint,
                             lambda p: (0, 1 - rate(p))))  # fmt: skip
    return {
        "rate": _rate_place(state, name, other),
        "kept": Place(about, lambda p: (1, 0), kept),
        "old": _old_place(state, others, name if corrected else ""),
        "weight": Place(about, lambda p: (-1, 1), weight),
        "enters": enters,
        "shown": _shown_place(state, name, corrected, decays),
    }


def _momentum_rule() -> Rule:
    hint = "By which velocity should `w` move, and by nothing else?"
    velocity = {
        "rate": Place("`v`", _argument("beta"), [
            Choice("rate-squared", "`beta` is squared in {}", _HOW_MUCH_OF_THE_OLD, lambda p: p.beta**2),
            *_fixed(" in {}", "beta", 0.9, 0.99, 0.5),
        ]),
        "kept": Place("`v`", lambda p: (1, 0), [_DROPPED, _FADES, *_KEPT_WRONGLY]),
        "old": _old_place("v", ()),
        "weight": Place("`v`", lambda p: (0, 1), [_DAMPED, *_WEIGHTED_WRONGLY]),
        "enters": _gradient_enters("v", coupled=False),
        "shown": _shown_place("v", "beta"),
    }  # fmt: skip
    step = {
        "rest": _rest_of_w(False, "beta"),
        "sign": _UPHILL,
        "rate": _learning_rate(*_rates_with("beta")),
        "top": _what_moves(
            "v",
            Choice("velocity-unused", "the gradient alone moves `w`, not the velocity", hint, lambda p: p.g),
            Choice("old-state", "the old velocity moves `w`, from before this step", hint, lambda p: p.v_old),
            Choice("nesterov", "the step looks ahead, as Nesterov's momentum does", hint,
                   lambda p: p.g + p.beta * p.v_new),
            Choice("velocity-as-displacement", "the old velocity is added without `lr`, as if it were a distance that "
                   "`w` has moved", hint, lambda p: p.g - p.beta * p.v_old / p.lr),
            Choice("velocity-as-displacement", "the old velocity is taken off without `lr`, as if it were a distance "
                   "that `w` has moved", hint, lambda p: p.g + p.beta * p.v_old / p.lr),
            Choice("gradient-twice", "the gradient is added to the velocity once more in the step", hint,
                   lambda p: p.g + p.v_new),
            Choice("gradient-missing", "the step is that of the old velocity, faded: without this gradient", hint,
                   lambda p: p.beta * p.v_old),
            Choice("gradient-and-old-state", "the gradient and the old velocity, not faded, are added in the step",
                   hint, lambda p: p.g + p.v_old),
        ),
    }  # fmt: skip
    return Rule({"v": velocity}, step)


def _squares_rule(rate: str) -> Rule:
    """RMSProp, with the name of its rate; AdaGrad, with an empty one."""
    enters = _square_enters("s", "", coupled=False)
    if rate:
        average = _running_average("s", rate, "", enters)
    else:
        fades = [
            Choice("not-accumulated", f"the old {{}} is multiplied with a fixed {x:g}: it fades, where all squares "
                   "should be added up", "Can the sum of squares become smaller?", lambda p, x=x: (0, x))
            for x in (0.9, 0.99, 0.999, 0.5)
        ]  # fmt: skip
        weights = [
            Choice("weighted-sum", f"what enters {{}} is multiplied with a fixed {x:g}", _HOW_MUCH_OF_THE_NEW,
                   lambda p, x=x: (0, x))
            for x in (0.1, 0.01, 0.001)
        ]  # fmt: skip
        average = {
            "rate": Place("`s`", lambda p: 0),
            "kept": Place("`s`", lambda p: (0, 1), [_DROPPED, *fades]),
            "old": _old_place("s", ()),
            "weight": Place("`s`", lambda p: (0, 1), [*weights, *_WEIGHTED_PLAINLY]),
            "enters": enters,
            "shown": _shown_place("s"),
        }
    rates = (rate,) if rate else ()
    divides = "What has the update to know of this very gradient, before it divides?"
    step = {
        "rest": _rest_of_w(False, *rates),
        "sign": _UPHILL,
        "rate": _learning_rate(*(choice for r in rates for choice in _rates_with(r))),
        "top": _what_moves(
            "g",
            Choice("state-on-top", "the new `s` stands on top, not the gradient", "What gives the direction of this "
                   "step?", _new("s")),
        ),
        "base": Place("`s`", _new("s"), [
            Choice("old-state", "the old {} divides, from before this step", divides, _old("s")),
            Choice("not-averaged", "the square of this gradient alone divides, not {}", divides, lambda p: p.g**2),
            Choice("roots-added", "the root of the old {} and the gradient's size are added, not their squares",
                   divides, lambda p: (np.sqrt(p.s_old) + np.abs(p.g)) ** 2),
            Choice("halved", "half of {} stands under the root", divides, lambda p: p.s_new / 2),
            Choice("lr-in-the-division", "`lr` is multiplied with {} under the root", "Where does `lr` act?",
                   lambda p: p.lr * p.s_new),
            *(
                Choice("rate-in-the-step", f"{{}} is divided by one minus `{r}`, as if to correct a bias",
                       "Is there a bias correction here?", lambda p, r=r: p.s_new / (1 - getattr(p, r)))
                for r in rates
            ),
        ]),
        "eps": _eps_place(),
        **_division("s"),
    }  # fmt: skip
    return Rule({"s": average}, step)


def _adam_rule(decays: bool) -> Rule:
    averages = {
        "m": _running_average("m", "beta1", "beta2", _gradient_enters("m", decays), ("v",), True, decays),
        "v": _running_average("v", "beta2", "beta1", _square_enters("v", "m", decays), ("m",), True, decays),
    }

    def corrected(value: Callable, rate: str) -> Callable:
        """A value that stands in the place of a corrected average and has no correction itself."""
        return lambda p: value(p) * (1 - getattr(p, rate) ** p.t)

    hint = "What gives the direction of this step?"
    top = [
        Choice("gradient-not-average", "the gradient itself moves `w`, not its average `m`", hint,
               corrected(lambda p: p.g, "beta1")),
        Choice("old-state", "the old `m` moves `w`, from before this step", hint, _old("m")),
        Choice("averages-exchanged", "`v` stands on top, not `m`", hint, _new("v")),
        Choice("nesterov", "the step looks ahead, as Nadam does", hint,
               lambda p: p.beta1 * p.m_new + (1 - p.beta1) * p.g),
        Choice("gradient-twice", "the gradient is added to `m` in the step", hint,
               lambda p: p.m_new + p.g),
    ]  # fmt: skip
    rates = [*_rates_with("beta1"), *_RATES_WITH_T]
    if decays:
        top[:0] = [
            Choice("decay-divided", "the weight decay is added to the averaged gradient, and so is divided with it",
                   _DECAY_APART, lambda p: p.m_new + (1 - p.beta1**p.t) * p.weight_decay * p.w),
            Choice("decay-divided", "the weight decay is added to `m` before its correction and the division",
                   _DECAY_APART, lambda p: p.m_new + p.weight_decay * p.w),
        ]  # fmt: skip
        rates[:0] = [
            Choice("decay-after-the-step", "the decay shrinks the step as well, as if it were taken of the new `w`",
                   "Is the `w` that decays the one from before the step, or from after it?",
                   lambda p: p.lr * (1 - p.lr * p.weight_decay)),
            Choice("decay-after-the-step", "the decay, without `lr`, shrinks the step as well, as if it were taken of "
                   "the new `w`", "Is the `w` that decays the one from before the step, or a later "
                   "one?", lambda p: p.lr * (1 - p.weight_decay)),
            Choice("decay-in-the-step", "the step is multiplied with `weight_decay`", _DECAY_APART,
                   lambda p: p.lr * p.weight_decay),
        ]  # fmt: skip
    divides = "Which average measures how large the gradients have been?"
    step = {
        "rest": _rest_of_w(decays, "beta1", "beta2"),
        "sign": _UPHILL,
        "rate": _learning_rate(*rates),
        "top": _what_moves("m", *top),
        "both": _both_corrections(),
        "fix1": _correction("m", "beta1", "beta2"),
        "base": Place("`v`", _new("v"), [
            Choice("old-state", "the old {} divides, from before this step", divides, _old("v")),
            Choice("not-averaged", "the square of this gradient alone divides, not {}", divides,
                   corrected(lambda p: p.g**2, "beta2")),
            Choice("averages-exchanged", "`m` divides, not {}", divides, _new("m")),
            Choice("square-of-the-average", "the square of the corrected `m` divides, not {}", divides,
                   corrected(lambda p: (p.m_new / (1 - p.beta1**p.t)) ** 2, "beta2")),
        ]),
        "fix2": _correction("v", "beta2", "beta1"),
        "eps": _eps_place(corrected=True),
        **_division("v"),
    }  # fmt: skip
    return Rule(averages, step)


# The learner's function on examples of our own


_EXAMPLES = ((3, 0.07, 0.8, 0.85, 0.2, 0.3), (7, 0.3, 0.6, 0.65, 0.06, 0.14), (2, 0.11, 0.35, 0.45, 0.4, 0.21))


def _examples(exercise: Exercise) -> list[tuple]:
    """Arguments with few digits, so that an example can be told and worked out by hand; no two rates are alike."""
    rng = np.random.default_rng(7)
    mean, square = _states(exercise.name)
    made = []
    for t, lr, slow, fast, eps, decay in _EXAMPLES:
        sizes = np.round(rng.uniform(0.2, 2, (4, 5)), 2) * np.where(rng.random((4, 5)) < 0.5, -1, 1)
        sizes[1, :3] = 0.43, -1.62, 0.05  # gradients of both signs, below and above 1
        sizes[3, 2] = 0.01  # a root less than eps
        values = {"w": sizes[0], "g": sizes[1], mean: sizes[2], square: np.abs(sizes[3]), "t": t, "lr": lr}
        values |= {"beta": slow, "rho": fast, "beta1": slow, "beta2": fast, "eps": eps, "weight_decay": decay}
        made.append(tuple(values[key] for key in exercise.parameters))
    return made


def _wide(exercise: Exercise, examples: list[tuple]) -> SimpleNamespace:
    """All examples side by side; old states and right new ones under names of their own."""
    p = SimpleNamespace(entries=len(examples[0][0]))
    for key, column in zip(exercise.parameters, zip(*examples, strict=True), strict=True):
        wide = np.concatenate([np.broadcast_to(value, p.entries) for value in column])
        setattr(p, f"{key}_old" if key in exercise.outputs[1:] else key, wide)
    rights = [flatten(exercise.right(args), exercise.outputs) for args in examples]
    for key in exercise.outputs:
        setattr(p, f"{key}_right", np.concatenate([right[key] for right in rights]))
        setattr(p, f"{key}_new", getattr(p, f"{key}_right"))
    return p


def _explain_step(exercise: Exercise, rule: Rule, f: Callable) -> Finding | None:
    """What the learner's step is made of."""
    examples = _examples(exercise)
    answers = [_read(exercise, f, copy.deepcopy(args)) for args in examples]
    if any(answer is None or any(a.dtype.kind != "f" for a in answer.values()) for answer in answers):
        return None
    again = _read(exercise, f, copy.deepcopy(examples[0]))
    if again is None or not all(_equal(again[key], answers[0][key]).all() for key in again):
        return Finding(
            "The same arguments gave another answer when your function was called again.",
            "remembers",
            "something survives from one call to the next (a global variable, a count of the calls), or a random "
            "number is drawn.",
            "Which variables of your function were not created inside it?",
        )
    p = _wide(exercise, examples)
    observed = {key: np.concatenate([answer[key].astype(float) for answer in answers]) for key in exercise.outputs}
    right = {key: getattr(p, f"{key}_right") for key in exercise.outputs}
    wrong = [key for key in exercise.outputs if not _equal(observed[key], right[key]).all()]
    if all(any(_equal(observed[key], right[other]).all() for other in right) for key in wrong):
        return None  # right but for special cases; or right in another order, which the ladder finds

    mistakes, unknown = _all_mistakes(rule, p, observed)
    if unknown:
        mistakes, unknown = _in_another_order(rule, p, observed) or (mistakes, unknown)
    name = next(key for key in (*exercise.outputs[1:], "w") if key in wrong)
    gap = np.abs(observed[name] - right[name])
    entry = int(np.argmax(np.where(np.isfinite(gap), gap, np.inf)))
    what = _worked_example(exercise, p, entry, name, observed)
    if not unknown:
        causes = "-and-".join(dict.fromkeys(choice.cause for _, choice in mistakes))
        return Finding(what, causes, f"{_in_words(mistakes)} Everything else is right.", mistakes[0][1].hint)
    if all(np.allclose(observed[key], right[key], rtol=1e-3, atol=1e-4) for key in wrong):
        return None  # rounding, which the ladder finds
    shown = entry // p.entries
    return (
        _mixes_entries(exercise, f, examples[shown], what)
        or (_never_longer(p, observed["w"], what) if unknown == ["w"] else None)
        or _influences(exercise, f, examples[shown], unknown, what)
        or _right_without(exercise, f, examples, what)
        or (_does_not_scale(exercise, f, examples[shown], what) if unknown == ["w"] and not mistakes else None)
        or _part_that_is_wrong(exercise, p, observed, shown, mistakes, unknown, what)
    )


def _in_another_order(rule: Rule, p: SimpleNamespace, observed: dict) -> tuple[Mistakes, list[str]] | None:
    """The mistakes if the results are given back in another order."""
    for order in itertools.permutations(observed):
        renamed = dict(zip(order, observed.values(), strict=True))
        if order != tuple(observed):
            mistakes, unknown = _all_mistakes(rule, p, renamed, most=1)
            if not unknown:
                return [("the results", _ANOTHER_ORDER), *mistakes], []
    return None


_ANOTHER_ORDER = Choice(
    "outputs-swapped", "{} are returned in another order", "Compare your `return` with the signature.", lambda p: 0
)


def _all_mistakes(rule: Rule, p: SimpleNamespace, observed: dict, most: int = 3) -> tuple[Mistakes, list[str]]:
    """The wrong choices in all outputs, up to ``most`` in each, and the outputs that no choices explain."""
    mistakes: Mistakes = []
    unknown: list[str] = []
    bases: dict[str, list[np.ndarray]] = {}
    for state, places in rule.averages.items():
        right = getattr(p, f"{state}_right")
        bases[state] = [right]
        setattr(p, f"{state}_new", right)
        if _equal(observed[state], right).all():
            continue
        whole = next((c for c in _other_values(state) if _equal(c.value(p), observed[state]).all()), None)
        found = (
            [(f"`{state}`", whole)] if whole else _fewest_mistakes(observed[state], places, _combined_average, p, most)
        )
        bases[state].insert(0, observed[state])
        if found is None:
            unknown.append(state)
        else:
            mistakes += found
            for choice in places["shown"].wrong:
                if (f"`{state}`", choice) in found:
                    bases[state].insert(0, observed[state] / choice.value(p))
        setattr(p, f"{state}_new", bases[state][0])
    step = _mistakes_of_the_step(rule, p, observed["w"], bases, most)
    return (mistakes, [*unknown, "w"]) if step is None else (mistakes + step, unknown)


def _mistakes_of_the_step(rule: Rule, p: SimpleNamespace, w: np.ndarray, bases: dict, most: int) -> Mistakes | None:
    """The step may go on from the state that was returned, from one before that, or from the right one."""
    for choice in (_W_UNCHANGED, _ONLY_THE_STEP, *_SIGN_STEPS):
        if _equal(np.broadcast_to(choice.value(p), w.shape), w).all():
            return [("`w`", choice)]
    best = None
    for states in itertools.product(*bases.values()):
        for name, value in zip(bases, states, strict=True):
            setattr(p, f"{name}_new", value)
        found = _fewest_mistakes(w, rule.step, _combined_step, p, most if best is None else len(best) - 1)
        best = best if found is None else found
        if best == []:
            break
    return best


def _worked_example(exercise: Exercise, p: SimpleNamespace, i: int, name: str, observed: dict) -> str:
    """One entry with all its inputs, and the two numbers for it."""
    inputs = [(key, getattr(p, f"{key}_old" if key in exercise.outputs[1:] else key)[i]) for key in exercise.parameters]
    given = ", ".join(f"`{key}` = {value:g}" for key, value in inputs)
    right = getattr(p, f"{name}_right")[i]
    return f"With {given}, your `{name}` is {observed[name][i]:.6g}; it should be {right:.6g}."


# Facts that hold whatever the learner's formula is: for mistakes that no choices explain.


def _mixes_entries(exercise: Exercise, f: Callable, args: tuple, what: str) -> Finding | None:
    """Does what comes out for one entry change if all the others change?"""
    before = _read(exercise, f, copy.deepcopy(args))
    for entry in (0, 3):
        changed = copy.deepcopy(args)
        for a in changed:
            if isinstance(a, np.ndarray):
                a[np.arange(len(a)) != entry] *= 3.1
        after = _read(exercise, f, changed)
        if before is None or after is None:
            return None
        if not all(np.allclose(before[key][entry], after[key][entry], rtol=1e-9, equal_nan=True) for key in before):
            return Finding(
                what,
                "entries-mixed",
                "the entries of an array get mixed up: a sum, a mean, a norm or a maximum over a whole array is in "
                "it. Each parameter has a step, and a state, of its own.",
                "Change one entry of an array. Which entries of the result should change, and which do?",
            )
    return None


def _influences(exercise: Exercise, f: Callable, args: tuple, unknown: list[str], what: str) -> Finding | None:
    """An argument that has no influence where it should have one, or one where it should have none."""
    order = [*exercise.outputs[1:], "w"]
    before = _read(exercise, f, copy.deepcopy(args))
    right_before = flatten(exercise.right(args), exercise.outputs)
    none: dict[str, list[str]] = {}
    some: dict[str, list[str]] = {}
    for i, name in enumerate(exercise.parameters):
        changed = list(copy.deepcopy(args))
        changed[i] = changed[i] + 1 if name == "t" else changed[i] * 1.09
        after = _read(exercise, f, copy.deepcopy(tuple(changed)))
        right = flatten(exercise.right(tuple(changed)), exercise.outputs)
        if before is None or after is None:
            return None
        for key in unknown:
            if not np.isfinite(before[key]).all():
                continue
            should = not np.allclose(right[key], right_before[key], rtol=1e-10)
            does = not np.allclose(after[key], before[key], rtol=1e-10, equal_nan=True)
            if does != should:
                (none if should else some).setdefault(key, []).append(f"`{name}`")
    if not none and not some:
        return None
    key = min({*none, *some}, key=order.index)
    told = []
    if len(none.get(key, [])) > 3:
        told.append(f"a small change of the arguments does not change your `{key}`: it is rounded, or cut off")
    elif key in none:
        verb = "has" if len(none[key]) == 1 else "have"
        told.append(f"{listing(none[key])} {verb} no influence on your `{key}`")
    if key in some:
        told.append(f"your `{key}` depends on {listing(some[key])}, and should not")
    hint = f"Which arguments should `{key}` depend on, and on which does yours?"
    return Finding(what, "wrong-step", f"{'; and '.join(told)}.", hint)


def _right_without(exercise: Exercise, f: Callable, examples: list[tuple], what: str) -> Finding | None:
    """An argument that must be at fault, since all is right where it does nothing."""
    for name, neutral in (("eps", 0.0), ("weight_decay", 0.0), ("t", 10**6)):
        if name not in exercise.parameters:
            continue
        right = []
        for args in examples:
            changed = list(copy.deepcopy(args))
            changed[exercise.parameters.index(name)] = neutral
            answer = _read(exercise, f, copy.deepcopy(tuple(changed)))
            right.append(
                answer is not None and _agree(answer, flatten(exercise.right(tuple(changed)), exercise.outputs))
            )
        if all(right):
            told = "is very large" if name == "t" else "= 0"
            return Finding(
                what,
                "wrong-step",
                f"where `{name}` {told}, all is right: the mistake is in how `{name}` enters.",
                f"Find each place at which `{name}` comes in. What is done with it there?",
            )
    return None


def _never_longer(p: SimpleNamespace, w: np.ndarray, what: str) -> Finding | None:
    """Steps that are right up to a length, and never longer."""
    steps, right = w - p.w, p.w_right - p.w
    longest = np.abs(steps).max()
    if not _equal(steps, np.clip(right, -longest, longest)).all() or (np.abs(steps) == longest).sum() < 2:
        return None
    return Finding(
        what,
        "clipped",
        f"no step of yours is longer than {longest:.4g}: steps are cut off there.",
        "Is a longest step asked for?",
    )


def _does_not_scale(exercise: Exercise, f: Callable, args: tuple, what: str) -> Finding | None:
    """Twice the learning rate must double the step, and other units of the loss must not change an adaptive one."""
    mean, square = _states(exercise.name)
    tests = [("lr", {"lr": 2.0}, 2.0, "twice the `lr` does not make your step twice as long: `lr` enters it in another "
              "way, or not all of it")]  # fmt: skip
    if square:
        units = {"g": 10.0, mean: 10.0, square: 100.0, "eps": 10.0}
        tests.append(("units", units, 1.0, "if the loss is measured in other units, so that gradients and `eps` are "
                      f"ten times as large and `{square}` a hundred times, the step should stay the same; yours does "
                      "not. A root, a square or a division is missing, or one too many"))  # fmt: skip
    w = args[0]
    before = _read(exercise, f, copy.deepcopy(args))
    for name, factors, expected, text in tests:
        changed = tuple(
            value * factors.get(key, 1) if key in factors else copy.deepcopy(value)
            for key, value in zip(exercise.parameters, args, strict=True)
        )
        after = _read(exercise, f, changed)
        if before is None or after is None or not (np.isfinite(before["w"]) & np.isfinite(after["w"])).all():
            return None
        if not np.allclose(after["w"] - w, expected * (before["w"] - w), rtol=1e-6):
            hint = f"Follow `{name}` through your lines." if name == "lr" else "Write its unit beside each quantity."
            return Finding(what, "wrong-step", f"{text}.", hint)
    return None


def _part_that_is_wrong(
    exercise: Exercise, p: SimpleNamespace, observed: dict, shown: int, mistakes: Mistakes, unknown: list, what: str
) -> Finding:
    """Where the mistake is, and how the wrong numbers are related to the right ones."""
    known = f" Besides, {_in_words(mistakes)}" if mistakes else ""
    for state in unknown:
        if state == "w":
            break
        old = getattr(p, f"{state}_old")
        for text, enters in (("the gradient", p.g), ("the square of the gradient", p.g**2), ("|`g`|", np.abs(p.g))):
            weights = _mixture(observed[state], old, enters, shown)
            if weights is not None:
                return Finding(
                    what,
                    "weights",
                    f"your `{state}` is {weights[0]:.4g} × the old `{state}` + {weights[1]:.4g} × {text}, in this "
                    f"example: the wrong weights.{known}",
                    _HOW_MUCH_OF_THE_NEW,
                )
        follows = "" if "w" in unknown or mistakes else f" The step follows rightly from your `{state}`."
        return Finding(
            what,
            "wrong-step",
            f"the mistake is in what computes `{state}`.{follows}{known}",
            f"What is `{state}` made of, and with which weights? Compute this one number by hand.",
        )
    states = listing([f"`{key}`" for key in exercise.outputs[1:]])
    if not np.isfinite(observed["w"]).all():
        return Finding(
            what,
            "not-finite",
            "a root of something negative, or a division by zero, in the step: in how `w` follows from "
            f"{states}.{known}",
            "Print what is under the root, and what divides. Which is the first that is negative, or zero?",
        )
    gap, step = observed["w"] - p.w_right, p.w_right - p.w
    for text, thing in (("the step is the right one, multiplied with {}", step),
                        ("your `w` is the right one and {} × the old `w` besides", p.w),
                        ("your `w` is the right one and {} × the gradient besides", p.g),
                        ("your `w` is the right one and {} besides, in every entry", np.ones_like(gap))):  # fmt: skip
        ratio = _ratio(gap, thing, shown)
        if ratio is not None:
            number = ratio + (1 if thing is step else 0)
            return Finding(
                what,
                "scaled" if thing is step else "extra-term",
                text.format(f"{number:.4g}") + f" in this example.{known}",
                "Which of the arguments, or which product of them, has that value in this example?",
            )
    square = _states(exercise.name)[1]
    if square:
        base = getattr(p, f"{square}_right") / (1 - p.beta2**p.t if "t" in exercise.parameters else 1)
        rest = p.w * (1 - p.lr * getattr(p, "weight_decay", 0.0))
        bottom = (np.sqrt(base) + p.eps) * (rest - p.w_right) / (rest - observed["w"])
        ratio = _ratio((bottom - p.eps) ** 2, base, shown)
        if ratio is not None:
            return Finding(
                what,
                "wrong-step",
                f"what stands under your root is {ratio:.4g} × what should, in this example.{known}",
                "Which of the arguments, or which product of them, has that value in this example?",
            )
    return Finding(
        what,
        "wrong-step",
        f"the mistake is in the step: in how `w` follows from the new {states}.{known}",
        "Compute the step by hand for these numbers, one operation at a time. Which is the first that differs?",
    )


def _mixture(target: np.ndarray, old: np.ndarray, enters: np.ndarray, shown: int) -> np.ndarray | None:
    """The weights in the example that is shown, if each example is a mixture of two arrays."""
    weights = []
    for part, *parts in zip(_by_example(target), _by_example(old), _by_example(enters), strict=True):
        matrix = np.stack(parts, axis=1)
        weights.append(np.linalg.lstsq(matrix, part, rcond=None)[0])
        if not _equal(matrix @ weights[-1], part).all():
            return None
    return weights[shown]


def _ratio(a: np.ndarray, b: np.ndarray, shown: int) -> float | None:
    """The ratio of two arrays in the example that is shown, if it is the same for all entries of each example."""
    ratios = _by_example(a / b)
    same = all(np.allclose(part, part[0], rtol=1e-6, atol=0) for part in ratios)
    return float(ratios[shown][0]) if same else None


def _by_example(a: np.ndarray) -> list[np.ndarray]:
    return np.split(a, len(_EXAMPLES))


# The exercises of one step


def _optimizer(
    reference: Callable,
    points: float,
    parameters: str,
    rule: Rule,
    formula: str,
    name: str = "",
    partial_credit: bool = True,
) -> Exercise:
    """The exercise to write the reference; a ``name`` of its own if it is to mend a broken copy of it."""
    name = name or reference.__name__
    names = tuple(parameters.split(", "))
    exercise = Exercise(
        name,
        CHAPTER,
        points,
        f"{name}({parameters})",
        ("w", *(state for state in _states(name) if state)),
        reference=reference,
        make_cases=_optimizer_cases(reference.__name__, names),
        properties=(lambda f, seed: _in_a_run(exercise, f, seed),),
        explain=lambda f: _explain_step(exercise, rule, f),
        partial_credit=partial_credit,
        formula=formula,
    )
    return exercise


# momentum_step

momentum_step = _optimizer(
    backprop.momentum_step,
    3,
    "w, g, v, lr, beta",
    _momentum_rule(),
    formula="v = beta * v + g, then w = w - lr * v",
)


@momentum_step.wheat
def entry_by_entry(w, g, v, lr, beta):
    new_w, new_v = np.empty_like(w), np.empty_like(v)
    for i in np.ndindex(w.shape):
        new_v[i] = beta * v[i] + g[i]
        new_w[i] = w[i] - lr * new_v[i]
    return new_w, new_v


@momentum_step.wheat
def own_copies_in_place(w, g, v, lr, beta):
    w, v = w.copy(), v.copy()
    v *= beta
    v += g
    w -= lr * v
    return w, v


@momentum_step.wheat
def as_lists(w, g, v, lr, beta):
    v = beta * v + g
    return [(w - lr * v).tolist(), v.tolist()]


@momentum_step.wheat
def in_single_precision(w, g, v, lr, beta):
    w, g, v = (a.astype(np.float32) for a in (w, g, v))
    v = np.float32(beta) * v + g
    return w - np.float32(lr) * v, v


@momentum_step.wheat
def in_two_parts(w, g, v, lr, beta):
    return w - lr * g - lr * beta * v, g + v * beta


@momentum_step.wheat
def fortran_order(w, g, v, lr, beta):
    v = np.asfortranarray(np.add(np.multiply(beta, v), g))
    return np.subtract(w, np.multiply(lr, v)), v


@momentum_step.wheat
def by_einsum(w, g, v, lr, beta):
    v = np.einsum("i...,i->...", np.stack([v, g]), np.array([beta, 1.0]))
    return np.einsum("i...,i->...", np.stack([w, v]), np.array([1.0, -lr])), v


def _momentum(
    velocity=lambda v, g, lr, beta: beta * v + g,
    step=lambda w, g, v, new, lr, beta: w - lr * new,
    results=lambda w, v, new, lr: (w, new),
):
    """A step with momentum with one line replaced."""

    def function(w, g, v, lr, beta):
        new = velocity(v, g, lr, beta)
        return results(step(w, g, v, new, lr, beta), v, new, lr)

    return function


_TWO_CONVENTIONS = "Where does `lr` act in this convention: on what enters the velocity, or on the velocity?"
for _cause, _text, _hint, _function in (
    ("damped", "the new gradient is made smaller before it enters the velocity, as in Adam's running average. Here "
     "gradients add up, as in PyTorch.", "After many steps with the same gradient, is the velocity as large as the "
     "gradient, or larger?", _momentum(lambda v, g, lr, beta: beta * v + (1 - beta) * g)),
    ("lr-in-the-velocity", "the learning rate is multiplied into the velocity, as in the older convention. In "
     "PyTorch's the velocity holds gradients only.", _TWO_CONVENTIONS,
     _momentum(lambda v, g, lr, beta: beta * v + lr * g, lambda w, g, v, new, lr, beta: w - new)),
    ("keras-convention", "this is the convention of Keras: the velocity holds minus the learning rate times the "
     "gradient, and is added. In PyTorch's the velocity holds gradients only.", _TWO_CONVENTIONS,
     _momentum(lambda v, g, lr, beta: beta * v - lr * g, lambda w, g, v, new, lr, beta: w + new)),
    ("old-state", "`w` moves by the old velocity: it is updated before `v` is.", "In which order do your two lines "
     "stand? Which velocity knows of this gradient?",
     _momentum(step=lambda w, g, v, new, lr, beta: w - lr * v)),
    ("uphill", "the step is added: it goes uphill.", "Which way does the gradient point, and which way is down?",
     _momentum(step=lambda w, g, v, new, lr, beta: w + lr * new)),
    ("nesterov", "the step looks ahead, as Nesterov's momentum does; plain momentum is asked for.",
     "By which velocity should `w` move, and by nothing else?",
     _momentum(step=lambda w, g, v, new, lr, beta: w - lr * (g + beta * new))),
    ("velocity-unused", "`w` moves by the gradient alone: the velocity is computed, and not used.",
     "What is the velocity for?", _momentum(step=lambda w, g, v, new, lr, beta: w - lr * g)),
    ("lr-missing", "`lr` is not used: the whole velocity is taken off.", "How far does `w` move if `lr` is halved?",
     _momentum(step=lambda w, g, v, new, lr, beta: w - new)),
    ("lr-twice", "`lr` is used twice: in the velocity, and in the step.", _TWO_CONVENTIONS,
     _momentum(lambda v, g, lr, beta: beta * v + lr * g)),
    ("weights-exchanged", "`beta` stands before the gradient, and one minus `beta` before the old velocity.",
     "With `beta` = 0.9, how much of the old velocity should survive a step?",
     _momentum(lambda v, g, lr, beta: (1 - beta) * v + beta * g)),
    ("state-not-returned", "the old velocity is returned: the next step will not know of this gradient.",
     "What must the next step find as its old velocity?", _momentum(results=lambda w, v, new, lr: (w, v.copy()))),
    ("nothing-fades", "`beta` is not used: the old velocity is kept whole.", "After one more step with a gradient of "
     "zero, how large should the velocity be?", _momentum(lambda v, g, lr, beta: v + g)),
    ("beta-on-the-gradient", "`beta` is multiplied with the gradient, not with the old velocity.", "Which of the two "
     "should fade?", _momentum(lambda v, g, lr, beta: v + beta * g)),
    ("beta-on-both", "`beta` is multiplied with the sum of both: the gradient fades before it was used.",
     "Start from a velocity of zero. After one step, how much of the gradient should be in it?",
     _momentum(lambda v, g, lr, beta: beta * (v + g))),
    ("state-ignored", "the velocity that came in is not used: each step starts from zero.", "Where does `v`, the "
     "argument, enter?", _momentum(lambda v, g, lr, beta: g.copy())),
    ("outputs-swapped", "`w` and `v` are returned in the wrong order.", "Compare your `return` with the signature.",
     _momentum(results=lambda w, v, new, lr: (new, w))),
    ("sign-flipped", "the velocity holds minus the gradients, and is added. The step may be the same in a run from "
     "zero; the velocity that is handed on is not.", "In PyTorch's convention, which way does `v` point: uphill, or "
     "downhill?", _momentum(lambda v, g, lr, beta: beta * v - g, lambda w, g, v, new, lr, beta: w + lr * new)),
    ("w-unchanged", "`w` comes back as it was: the step is computed, and nothing is done with it.", "In which variable "
     "does the result of your last line end up?", _momentum(step=lambda w, g, v, new, lr, beta: w.copy())),
    ("step-returned", "the step itself is returned in place of the velocity.", "Does the velocity contain `lr`?",
     _momentum(results=lambda w, v, new, lr: (w, lr * new))),
    ("only-the-step", "the step alone is returned, not the `w` that it leads to.", "What does a step start from?",
     _momentum(step=lambda w, g, v, new, lr, beta: lr * new)),
):  # fmt: skip
    momentum_step.chaff(_cause, _text, _hint)(_function)

_IN_PLACE = "`-=` on an argument changes the caller's array. What could you do to have one of your own?"


@momentum_step.chaff("argument-changed", "`w` and `v` are updated in place: the caller's arrays change.", _IN_PLACE)
def _(w, g, v, lr, beta):
    v *= beta
    v += g
    w -= lr * v
    return w, v


# rmsprop_step

rmsprop_step = _optimizer(
    backprop.rmsprop_step,
    3,
    "w, g, s, lr, rho, eps",
    _squares_rule("rho"),
    formula="s = rho * s + (1 - rho) * g**2, then w = w - lr * g / (np.sqrt(s) + eps)",
)


@rmsprop_step.wheat
def scalar_loops(w, g, s, lr, rho, eps):
    new_w, new_s = w.copy(), s.copy()
    for i in range(w.size):
        new_s.flat[i] = rho * s.flat[i] + (1 - rho) * g.flat[i] ** 2
        new_w.flat[i] = w.flat[i] - lr * g.flat[i] / (math.sqrt(new_s.flat[i]) + eps)
    return new_w, new_s


@rmsprop_step.wheat
def as_a_correction_of_the_average(w, g, s, lr, rho, eps):
    s = s + (1 - rho) * (np.square(g) - s)
    return w - lr / (s**0.5 + eps) * g, s


@rmsprop_step.wheat
def rate_of_each_entry(w, g, s, lr, rho, eps):
    s = np.average([s, g * g], axis=0, weights=[rho, 1 - rho])
    rates = lr / (np.sqrt(s) + eps)
    return w - rates * g, s


@rmsprop_step.wheat
def own_arrays_in_place(w, g, s, lr, rho, eps):
    s = s.copy()
    s *= rho
    s += (1 - rho) * g**2
    bottom = np.sqrt(s)
    bottom += eps
    step = g / bottom
    step *= -lr
    step += w
    return step, s


@rmsprop_step.wheat
def single_precision(w, g, s, lr, rho, eps):
    w, g, s = np.float32(w), np.float32(g), np.float32(s)
    s = np.float32(rho) * s + np.float32(1 - rho) * g * g
    return w - np.float32(lr) * g / (np.sqrt(s) + np.float32(eps)), s


@rmsprop_step.wheat
def as_nested_lists(w, g, s, lr, rho, eps):
    s = rho * s + (1 - rho) * np.abs(g) ** 2
    return (w - np.divide(lr * g, np.add(np.sqrt(s), eps))).tolist(), s.tolist()


def _rms(
    average=lambda s, g, rho: rho * s + (1 - rho) * g**2,
    step=lambda w, g, s, new, lr, eps: w - lr * g / (np.sqrt(new) + eps),
    results=lambda w, s, new: (w, new),
):
    """A step of RMSProp with one line replaced."""

    def function(w, g, s, lr, rho, eps):
        new = average(s, g, rho)
        return results(step(w, g, s, new, lr, eps), s, new)

    return function


_WHERE_EPS = "Where is `eps` added in this contract: before the root is taken, or after?"
_UNITS = "If all gradients were ten times as large, how much larger would `s` be, and how much larger the step?"
_PARENTHESES = "In `a / b + c`, what is divided by what? Let `eps` be 10: which way should it change the step?"
_SQUARES_STEPS = (
    ("eps-inside-root", "`eps` is added under the root.", _WHERE_EPS,
     lambda w, g, s, new, lr, eps: w - lr * g / np.sqrt(new + eps)),
    ("root-missing", "the gradient is divided by `s` itself: the root is missing.", _UNITS,
     lambda w, g, s, new, lr, eps: w - lr * g / (new + eps)),
    ("parentheses", "`eps` is added after the division, to `w`: parentheses are missing.", _PARENTHESES,
     lambda w, g, s, new, lr, eps: w - lr * g / np.sqrt(new) + eps),
    ("parentheses", "`eps` is added to the quotient: parentheses are missing.", _PARENTHESES,
     lambda w, g, s, new, lr, eps: w - lr * (g / np.sqrt(new) + eps)),
    ("old-state", "the old `s` divides: `w` is updated before `s` is.", "In which order do your two lines stand? What "
     "divides in the very first step?", lambda w, g, s, new, lr, eps: w - lr * g / (np.sqrt(s) + eps)),
    ("eps-missing", "`eps` is not used.", "What is 0 / 0, where neither this gradient nor an earlier one was different "
     "from zero?", lambda w, g, s, new, lr, eps: w - lr * g / np.sqrt(new)),
    ("uphill", "the step is added: it goes uphill.", "Which way does the gradient point, and which way is down?",
     lambda w, g, s, new, lr, eps: w + lr * g / (np.sqrt(new) + eps)),
    ("not-divided", "`s` is kept, and not used: `w` moves by plain gradient descent.", "What is `s` for?",
     lambda w, g, s, new, lr, eps: w - lr * g),
    ("multiplied-not-divided", "the gradient is multiplied with the root, where it should be divided by it.",
     "Where gradients have been large, should the step be longer, or shorter?",
     lambda w, g, s, new, lr, eps: w - lr * g * (np.sqrt(new) + eps)),
    ("state-on-top", "`w` moves by `s`, not by the gradient.", "What gives the direction of the step? Can `s` ever be "
     "negative?", lambda w, g, s, new, lr, eps: w - lr * new / (np.sqrt(new) + eps)),
    ("lr-missing", "`lr` is not used.", "How far does `w` move if `lr` is halved?",
     lambda w, g, s, new, lr, eps: w - g / (np.sqrt(new) + eps)),
    ("squared-on-top", "the gradient on top is squared: all steps go the same way.", "Which way does `w` move where "
     "the gradient is negative?", lambda w, g, s, new, lr, eps: w - lr * g**2 / (np.sqrt(new) + eps)),
    ("eps-squared", "the square of `eps` is added under the root.", _WHERE_EPS,
     lambda w, g, s, new, lr, eps: w - lr * g / np.sqrt(new + eps**2)),
    ("eps-as-bound", "`eps` is a lower bound of the root; it should be added.", _WHERE_EPS,
     lambda w, g, s, new, lr, eps: w - lr * g / np.maximum(np.sqrt(new), eps)),
    ("w-unchanged", "`w` comes back as it was: the step is computed, and nothing is done with it.", "In which variable "
     "does the result of your last line end up?", lambda w, g, s, new, lr, eps: w.copy()),
    ("scalar-root", "`math.sqrt` takes the root of one number, and `s` is an array.", "Which root takes a whole array?",
     lambda w, g, s, new, lr, eps: w - lr * g / (math.sqrt(new) + eps)),
    ("mean-over-entries", "one root for all entries divides, of the mean of `s`.", "How many different learning rates "
     "should a vector of five parameters get?",
     lambda w, g, s, new, lr, eps: w - lr * g / (np.sqrt(np.mean(new)) + eps)),
)  # fmt: skip

for _cause, _text, _hint, _step in _SQUARES_STEPS[:3]:
    rmsprop_step.chaff(_cause, _text, _hint)(_rms(step=_step))
for _cause, _text, _hint, _function in (
    ("nothing-fades", "all squares are added up, as in AdaGrad: `rho` is not used, and nothing fades.",
     "After many steps with the same gradient, how large should `s` be?", _rms(lambda s, g, rho: s + g**2)),
    ("weight-missing", "the new square enters `s` whole, without its weight.", "After many steps with the same "
     "gradient, how large should an average of its squares be?", _rms(lambda s, g, rho: rho * s + g**2)),
    ("weights-exchanged", "the old average and the new square have each other's weight.", "With `rho` = 0.99, how much "
     "of the old average should survive a step?", _rms(lambda s, g, rho: (1 - rho) * s + rho * g**2)),
    ("not-squared", "the gradient enters `s` without a square, so that it can be negative, and its root nan.",
     "What does the S in RMS stand for?", _rms(lambda s, g, rho: rho * s + (1 - rho) * g)),
    ("absolute-value", "the absolute value of the gradient enters `s`, not its square.", "What does the S in RMS stand "
     "for?", _rms(lambda s, g, rho: rho * s + (1 - rho) * np.abs(g))),
    ("state-not-returned", "the old `s` is returned: the next step will not know of this gradient.",
     "What must the next step find as its old average?", _rms(results=lambda w, s, new: (w, s.copy()))),
    ("root-returned", "the root of `s` is returned, not `s`: the next step averages a root with a square.",
     "What must the next step find as its old average?", _rms(results=lambda w, s, new: (w, np.sqrt(new)))),
    ("state-ignored", "the `s` that came in is not used: the average starts from zero in each step.",
     "Where does `s`, the argument, enter?", _rms(lambda s, g, rho: (1 - rho) * g**2)),
    ("outputs-swapped", "`w` and `s` are returned in the wrong order.", "Compare your `return` with the signature.",
     _rms(results=lambda w, s, new: (new, w))),
    ("mean-over-entries", "one average for the whole array enters `s`: the mean of the squares of all entries.",
     "How many different learning rates should a vector of five parameters get?",
     _rms(lambda s, g, rho: rho * s + (1 - rho) * np.mean(g**2))),
    ("doubled-not-squared", "the gradient is doubled, not squared: `*` for `**`.", "Can `s` ever be negative?",
     _rms(lambda s, g, rho: rho * s + (1 - rho) * g * 2)),
    ("eps-in-the-state", "`eps` is added to the `s` that is returned.", "Where does `eps` belong: in the state, or in "
     "the division?", lambda w, g, s, lr, rho, eps: (
         w - lr * g / np.sqrt(rho * s + (1 - rho) * g**2 + eps), rho * s + (1 - rho) * g**2 + eps)),
    ("sign-flipped", "the new square is subtracted.", "Can an average of squares become smaller by a large gradient?",
     _rms(lambda s, g, rho: rho * s - (1 - rho) * g**2)),
):  # fmt: skip
    rmsprop_step.chaff(_cause, _text, _hint)(_function)
for _cause, _text, _hint, _step in _SQUARES_STEPS[3:]:
    rmsprop_step.chaff(_cause, _text, _hint)(_rms(step=_step))


@rmsprop_step.chaff("argument-changed", "`s` and `w` are updated in place: the caller's arrays change.", _IN_PLACE)
def _(w, g, s, lr, rho, eps):
    s *= rho
    s += (1 - rho) * g**2
    w -= lr * g / (np.sqrt(s) + eps)
    return w, s


# adagrad_step

adagrad_step = _optimizer(
    backprop.adagrad_step,
    2,
    "w, g, s, lr, eps",
    _squares_rule(""),
    formula="s = s + g**2, then w = w - lr * g / (np.sqrt(s) + eps)",
)


@adagrad_step.wheat
def one_entry_at_a_time(w, g, s, lr, eps):
    results = [(x, c + d * d, d) for x, d, c in zip(w.ravel(), g.ravel(), s.ravel(), strict=True)]
    new_w = np.array([x - lr * d / (c**0.5 + eps) for x, c, d in results])
    return new_w.reshape(w.shape), np.array([c for _, c, _ in results]).reshape(w.shape)


@adagrad_step.wheat
def in_place_on_copies(w, g, s, lr, eps):
    w, s = np.array(w), np.array(s)
    s += g**2
    w -= lr * g / (np.sqrt(s) + eps)
    return w, s


@adagrad_step.wheat
def by_hypot(w, g, s, lr, eps):
    root = np.hypot(np.sqrt(s), g)
    return w - lr * g / (root + eps), s + g * g


@adagrad_step.wheat
def in_half_the_precision(w, g, s, lr, eps):
    w, g, s = (a.astype("float32") for a in (w, g, s))
    s = s + g**2
    return w - lr * g / (s**0.5 + eps), s


@adagrad_step.wheat
def a_list_of_results(w, g, s, lr, eps):
    total = np.add.reduce([s, np.multiply(g, g)])
    return [np.subtract(w, np.divide(np.multiply(lr, g), np.sqrt(total) + eps)), total]


@adagrad_step.wheat
def without_touching_zeros(w, g, s, lr, eps):
    s, w = s + g**2, w.copy()
    moved = g != 0
    w[moved] -= lr * g[moved] / (np.sqrt(s[moved]) + eps)
    return w, s


def _ada(
    total=lambda s, g: s + g**2,
    step=lambda w, g, s, new, lr, eps: w - lr * g / (np.sqrt(new) + eps),
    results=lambda w, s, new: (w, new),
):
    """A step of AdaGrad with one line replaced."""

    def function(w, g, s, lr, eps):
        new = total(s, g)
        return results(step(w, g, s, new, lr, eps), s, new)

    return function


for _cause, _text, _hint, _step in _SQUARES_STEPS[:3]:
    adagrad_step.chaff(_cause, _text, _hint)(_ada(step=_step))
for _cause, _text, _hint, _function in (
    ("not-accumulated", "`s` is an average in which old squares fade, as in RMSProp. AdaGrad adds all of them up.",
     "Can AdaGrad's `s` become smaller?", _ada(lambda s, g: 0.9 * s + 0.1 * g**2)),
    ("state-ignored", "`s` is this gradient's square alone: what came in is not used.", "Where does `s`, the argument, "
     "enter?", _ada(lambda s, g: g**2)),
    ("not-squared", "the gradients are added up, not their squares: `s` can be negative, and its root nan.",
     "Steps of +1 and −1: what does your sum know of them afterwards?", _ada(lambda s, g: s + g)),
    ("absolute-value", "the absolute values of the gradients are added up, not the squares.", _UNITS,
     _ada(lambda s, g: s + np.abs(g))),
    ("state-not-returned", "the old `s` is returned: the next step will not know of this gradient.",
     "What must the next step find as its old sum?", _ada(results=lambda w, s, new: (w, s.copy()))),
    ("root-returned", "the root of `s` is returned, not `s`: the next step adds a square to a root.",
     "What must the next step find as its old sum?", _ada(results=lambda w, s, new: (w, np.sqrt(new)))),
    ("outputs-swapped", "`w` and `s` are returned in the wrong order.", "Compare your `return` with the signature.",
     _ada(results=lambda w, s, new: (new, w))),
    ("sum-over-entries", "the squares of all entries are added into one number.", "How many different learning rates "
     "should a vector of five parameters get?", _ada(lambda s, g: s + np.sum(g**2))),
    ("sum-squared", "the gradient is added to `s`, and the sum is squared.", "Which comes first: the square, or the "
     "sum?", _ada(lambda s, g: (s + g) ** 2)),
    ("sign-flipped", "the square is subtracted.", "Can a sum of squares become negative?",
     _ada(lambda s, g: s - g**2)),
    ("doubled-not-squared", "the gradient is doubled, not squared: `*` for `**`.", "Can `s` ever be negative?",
     _ada(lambda s, g: s + g * 2)),
    ("lr-in-the-state", "`lr` is multiplied into the sum.", "Where does `lr` act: in the state, or in the step?",
     lambda w, g, s, lr, eps: (w - lr * g / (np.sqrt(s + lr * g**2) + eps), s + lr * g**2)),
):  # fmt: skip
    adagrad_step.chaff(_cause, _text, _hint)(_function)
for _cause, _text, _hint, _step in _SQUARES_STEPS[3:]:
    adagrad_step.chaff(_cause, _text, _hint)(_ada(step=_step))


@adagrad_step.chaff("argument-changed", "`s` and `w` are updated in place: the caller's arrays change.", _IN_PLACE)
def _(w, g, s, lr, eps):
    s += g**2
    w -= lr * g / (np.sqrt(s) + eps)
    return w, s


# adam_first_step


def _first_step_cases():
    import sympy

    g = sympy.Symbol("g", real=True, nonzero=True)
    lr, eps = sympy.symbols("lr eps", positive=True)
    return [("", (g, lr, eps)), ("", (sympy.Integer(-3), lr, eps))]  # letters stand for positive numbers in a check


def _first_step(g, lr, eps):
    """With averages of zero, the corrected ones are the gradient and its square, whatever the rates."""
    import sympy

    return -lr * g / (sympy.sqrt(g**2) + eps)


adam_first_step = Derivation(
    "adam_first_step",
    CHAPTER,
    2,
    "adam_first_step(g, lr, eps)",
    _first_step_cases,
    expected=_first_step,
    formula="-lr * g / (Abs(g) + eps)",
)


@adam_first_step.wheat
def by_the_absolute_value(g, lr, eps):
    return -lr * g / (abs(g) + eps)


@adam_first_step.wheat
def by_the_sign(g, lr, eps):
    import sympy

    return -lr * sympy.sign(g) / (1 + eps / sympy.Abs(g))


@adam_first_step.wheat
def by_the_root_of_a_square(g, lr, eps):
    import sympy

    return lr * -g / (eps + sympy.sqrt(g**2))


@adam_first_step.wheat
def in_two_pieces(g, lr, eps):
    import sympy

    return sympy.Piecewise((-lr * g / (g + eps), g > 0), (-lr * g / (eps - g), True))


@adam_first_step.wheat
def one_over_a_sum(g, lr, eps):
    import sympy

    return -lr / (sympy.sign(g) + eps / g)


@adam_first_step.wheat
def with_the_usual_rates(g, lr, eps):
    import sympy

    beta1, beta2 = sympy.Rational(9, 10), sympy.Rational(999, 1000)
    m, v = (1 - beta1) * g, (1 - beta2) * g**2
    return -lr * (m / (1 - beta1)) / (sympy.sqrt(v / (1 - beta2)) + eps)


@adam_first_step.wheat
def the_larger_of_two(g, lr, eps):
    import sympy

    return 0 - sympy.Mul(lr, g, 1 / (sympy.Max(g, -g) + eps), evaluate=False)


def _first(top=lambda g: g, bottom=lambda size, g, eps: size + eps, step=lambda lr, ratio, eps: -lr * ratio):
    """The change in the first step with one part replaced."""

    def change(g, lr, eps):
        import sympy

        return step(lr, top(g) / bottom(sympy.Abs(g), g, eps), eps)

    return change


def _root(x):
    import sympy

    return sympy.sqrt(x)


def _thousandth(size):
    import sympy

    return size * sympy.sqrt(sympy.Rational(1, 1000))


_SQUARE_AND_ROOT = "Put in a gradient of −3. Square it, and take the root: what comes out?"
_FIRST_AVERAGES = "At t = 1, by what is each average divided? What is left of the factor in front of the gradient?"
for _cause, _text, _hint, _function in (
    ("absolute-value-missing", "the root of the square was taken to be g itself. For a negative gradient it is not.",
     _SQUARE_AND_ROOT, _first(bottom=lambda size, g, eps: g + eps)),
    ("sign-flipped", "this is what is taken off, not the change: the step goes uphill.",
     "If the gradient is positive, should w grow or shrink?", _first(step=lambda lr, ratio, eps: lr * ratio)),
    ("eps-ignored", "eps was left out, or taken to be 0.", "What does the update divide by, besides the root?",
     _first(bottom=lambda size, g, eps: size)),
    ("eps-inside-root", "eps stands under the root; in Adam it is added to the root.",
     "Which is done first in the update: the root, or the addition of eps?",
     _first(bottom=lambda size, g, eps: _root(size**2 + eps))),
    ("no-bias-correction", "the averages were used without their correction, with the usual rates 0.9 and 0.999.",
     _FIRST_AVERAGES, _first(top=lambda g: g / 10, bottom=lambda size, g, eps: _thousandth(size) + eps)),
    ("no-bias-correction", "only the average of the gradient was corrected, not that of its square.",
     _FIRST_AVERAGES, _first(bottom=lambda size, g, eps: _thousandth(size) + eps)),
    ("no-bias-correction", "only the average of the square was corrected, not that of the gradient.",
     _FIRST_AVERAGES, _first(top=lambda g: g / 10)),
    ("root-missing", "the average of the square divides the step without its root.",
     "With a gradient ten times as large, how much larger is what stands below the fraction line?",
     _first(bottom=lambda size, g, eps: size**2 + eps)),
    ("gradient-descent", "this is a step of gradient descent: nothing divides the gradient.",
     "What is the second average for?", _first(bottom=lambda size, g, eps: 1)),
    ("lr-missing", "the learning rate does not enter.", "How far does w move if lr is halved?",
     _first(step=lambda lr, ratio, eps: -ratio)),
    ("sign-lost", "the size of the gradient stands on top, too: the step goes the same way whatever its sign.",
     "With a gradient of −3, should w grow or shrink?", _first(top=lambda g: _root(g**2))),
    ("direction-ignored", "the step is one learning rate long, and always the same way; eps is left out as well.",
     "With a gradient of −3, should w grow or shrink? And what becomes of eps?",
     _first(top=lambda g: 1, bottom=lambda size, g, eps: 1)),
    ("parentheses", "eps is added to the whole step, not to what divides it.",
     "What should eps keep from being zero?", _first(bottom=lambda size, g, eps: size,
                                                     step=lambda lr, ratio, eps: eps - lr * ratio)),
    ("lr-divides", "the learning rate divides the step, where it should multiply it.",
     "How far does w move if lr is halved?", _first(step=lambda lr, ratio, eps: -ratio / lr)),
    ("averages-exchanged", "the average of the square moves w, and the gradient divides it.",
     "Which average gives the direction, and which the size to compare with?",
     _first(top=lambda g: g**2, bottom=lambda size, g, eps: size + eps)),
):  # fmt: skip
    adam_first_step.chaff(_cause, _text, _hint)(_function)


# adam_step

_ADAM = "w, g, m, v, t, lr, beta1, beta2, eps"
adam_step = _optimizer(
    backprop.adam_step,
    6,
    _ADAM,
    _adam_rule(decays=False),
    formula="m = beta1 * m + (1 - beta1) * g, v = beta2 * v + (1 - beta2) * g**2, then "
    "w = w - lr * (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + eps)",
)


@adam_step.wheat
def as_pytorch_computes_it(w, g, m, v, t, lr, beta1, beta2, eps):
    m = m + (1 - beta1) * (g - m)
    v = v * beta2 + (1 - beta2) * g * g
    denominator = np.sqrt(v) / math.sqrt(1 - beta2**t) + eps
    return w - lr / (1 - beta1**t) * m / denominator, m, v


@adam_step.wheat
def with_one_learning_rate(w, g, m, v, t, lr, beta1, beta2, eps):
    root = np.sqrt(1 - np.power(beta2, t))
    rate = lr * root / (1 - np.power(beta1, t))
    m, v = m * beta1 + g * (1.0 - beta1), v * beta2 + np.square(g) * (1.0 - beta2)
    return w - rate * m / (np.sqrt(v) + eps * root), m, v


@adam_step.wheat
def scalars_in_a_loop(w, g, m, v, t, lr, beta1, beta2, eps):
    new = [np.zeros(w.shape) for _ in range(3)]
    for i in np.ndindex(*w.shape):
        mean = beta1 * float(m[i]) + (1 - beta1) * float(g[i])
        square = beta2 * float(v[i]) + (1 - beta2) * float(g[i]) ** 2
        step = lr * mean / (1 - beta1**t) / (math.sqrt(square / (1 - beta2**t)) + eps)
        new[0][i], new[1][i], new[2][i] = w[i] - step, mean, square
    return tuple(new)


@adam_step.wheat
def all_three_in_one_array(w, g, m, v, t, lr, beta1, beta2, eps):
    averages = np.stack([m, v])
    rates = np.array([beta1, beta2]).reshape(2, *[1] * w.ndim)
    averages = rates * averages + (1 - rates) * np.stack([g, g**2])
    m_hat, v_hat = averages / (1 - rates**t)
    return [w - lr * m_hat / (v_hat**0.5 + eps), averages[0], averages[1]]


@adam_step.wheat
def copies_changed_in_place(w, g, m, v, t, lr, beta1, beta2, eps):
    w, m, v = w.copy(), m.copy(), v.copy()
    m *= beta1
    m += (1 - beta1) * g
    v *= beta2
    v += (1 - beta2) * g**2
    w -= lr * (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + eps)
    return w, m, v


@adam_step.wheat
def single_throughout(w, g, m, v, t, lr, beta1, beta2, eps):
    w, g, m, v = (a.astype(np.float32) for a in (w, g, m, v))
    return backprop.adam_step(w, g, m, v, t, lr, beta1, beta2, eps)


@adam_step.wheat
def correction_by_product(w, g, m, v, t, lr, beta1, beta2, eps):
    left1 = left2 = 1.0
    for _ in range(t):
        left1, left2 = left1 * beta1, left2 * beta2
    m, v = np.average([m, g], 0, [beta1, 1 - beta1]), np.average([v, g * g], 0, [beta2, 1 - beta2])
    return (w - lr * np.divide(m / (1 - left1), eps + np.sqrt(v / (1 - left2)))).tolist(), m.tolist(), v.tolist()


def _average_m(m, g, beta1, beta2):
    return beta1 * m + (1 - beta1) * g


def _average_v(v, g, m, beta1, beta2):
    return beta2 * v + (1 - beta2) * g**2


def _fix(m, v, t, beta1, beta2):
    return m / (1 - beta1**t), v / (1 - beta2**t)


def _adam(
    mean=_average_m,
    square=_average_v,
    fix=_fix,
    bottom=lambda v_hat, t, beta2, eps: np.sqrt(v_hat) + eps,
    step=lambda w, g, m_hat, bottom, lr, eps: w - lr * m_hat / bottom,
    used=lambda old, new: new,
    results=lambda w, old, new, fixed: (w, *new),
):
    """A step of Adam with one line replaced."""

    def function(w, g, m, v, t, lr, beta1, beta2, eps):
        new_m = mean(m, g, beta1, beta2)
        new = new_m, square(v, g, new_m, beta1, beta2)
        fixed = fix(*used((m, v), new), t, beta1, beta2)
        new_w = step(w, g, fixed[0], bottom(fixed[1], t, beta2, eps), lr, eps)
        return results(new_w, (m.copy(), v.copy()), new, fixed)

    return function


_START = "Both averages start at zero. After one step from there, how large is each beside what it is an average of?"
_COUNT = "What is `t` in the very first step?"
_BOTH = "`eps` keeps the division finite. Which root stands beside it: that of `v`, or that of the corrected `v`?"
_NEXT = "What must the next step find as its old averages? What would it correct, if they are corrected already?"
_WHICH = "One of the two rates is for the gradients, the other one for their squares. Which is which?"
_ADAM_CHAFFS = (
    ("no-bias-correction", "there is no bias correction: the averages are used as they are.", _START,
     _adam(fix=lambda m, v, t, beta1, beta2: (m, v))),
    ("eps-inside-root", "`eps` is added under the root.", "Is `eps` added before the root is taken, or after it?",
     _adam(bottom=lambda v, t, beta2, eps: np.sqrt(v + eps))),
    ("corrected-state-returned", "the corrected averages are returned, so that the next step averages what has been "
     "corrected.", _NEXT, _adam(results=lambda w, old, new, fixed: (w, *fixed))),
    ("t-off-by-one", "the bias correction counts one step too many: as if `t` were counted from 0.", _COUNT,
     _adam(fix=lambda m, v, t, beta1, beta2: _fix(m, v, t + 1, beta1, beta2))),
    ("t-off-by-one", "the bias correction counts one step too few: in the first step it divides by zero.", _COUNT,
     _adam(fix=lambda m, v, t, beta1, beta2: _fix(m, v, t - 1, beta1, beta2))),
    ("betas-swapped", "`beta1` and `beta2` have changed places.", _WHICH,
     lambda w, g, m, v, t, lr, beta1, beta2, eps: backprop.adam_step(w, g, m, v, t, lr, beta2, beta1, eps)),
    ("eps-before-correction", "`eps` is added before the bias correction, as Keras does: the correction then scales "
     "`eps` as well.", _BOTH, _adam(bottom=lambda v, t, beta2, eps: np.sqrt(v) + eps / np.sqrt(1 - beta2**t))),
    ("weight-missing", "what is new enters both averages whole, without its weight.", "After many steps with the same "
     "gradient, how large should an average be?",
     _adam(lambda m, g, beta1, beta2: beta1 * m + g, lambda v, g, m, beta1, beta2: beta2 * v + g**2)),
    ("no-bias-correction", "only `m` is corrected for its bias; `v` is used as it is.", _START,
     _adam(fix=lambda m, v, t, beta1, beta2: (_fix(m, v, t, beta1, beta2)[0], v))),
    ("no-bias-correction", "only `v` is corrected for its bias; `m` is used as it is.", _START,
     _adam(fix=lambda m, v, t, beta1, beta2: (m, _fix(m, v, t, beta1, beta2)[1]))),
    ("weights-exchanged", "in both averages the old value and the new one have each other's weight.", "With a rate of "
     "0.9, how much of the old value should survive a step?",
     _adam(lambda m, g, beta1, beta2: (1 - beta1) * m + beta1 * g,
           lambda v, g, m, beta1, beta2: (1 - beta2) * v + beta2 * g**2)),
    ("root-missing", "the step is divided by the corrected `v` itself: the root is missing.",
     "If all gradients were ten times as large, how much larger would `m` and `v` be, and how much the step?",
     _adam(bottom=lambda v, t, beta2, eps: v + eps)),
    ("t-ignored", "`t` is not used: the bias is corrected as in the first step, at every step.",
     "What becomes of the bias after a thousand steps?",
     _adam(fix=lambda m, v, t, beta1, beta2: _fix(m, v, 1, beta1, beta2))),
    ("beta-times-t", "in the bias correction the rates are multiplied with `t`, not raised to it.",
     "Which share of the zero at the start is left after `t` steps, if each step keeps the same share of it?",
     _adam(fix=lambda m, v, t, beta1, beta2: (m / (1 - beta1 * t), v / (1 - beta2 * t)))),
    ("old-state", "the averages from before this step are used: `w` is updated before they are.", "In which order do "
     "your lines stand? What do the averages know of this gradient?", _adam(used=lambda old, new: old)),
    ("uphill", "the step is added: it goes uphill.", "Which way does the gradient point, and which way is down?",
     _adam(step=lambda w, g, m, bottom, lr, eps: w + lr * m / bottom)),
    ("parentheses", "`eps` is added after the division, to `w`: parentheses are missing.", _PARENTHESES,
     _adam(bottom=lambda v, t, beta2, eps: np.sqrt(v),
           step=lambda w, g, m, bottom, lr, eps: w - lr * m / bottom + eps)),
    ("square-of-the-average", "`v` averages the square of `m`, not that of the gradient.", "What is `v` an average of?",
     _adam(square=lambda v, g, m, beta1, beta2: beta2 * v + (1 - beta2) * m**2)),
    ("betas-swapped", "both averages have the rate `beta1`.", _WHICH,
     lambda w, g, m, v, t, lr, beta1, beta2, eps: backprop.adam_step(w, g, m, v, t, lr, beta1, beta1, eps)),
    ("gradient-not-average", "the gradient itself moves `w`, not its average: `m` is computed, and not used.",
     "What is `m` for?", _adam(step=lambda w, g, m, bottom, lr, eps: w - lr * g / bottom)),
    ("correction-inverted", "the bias correction multiplies where it should divide.", "Is an average that started at "
     "zero too small, or too large?",
     _adam(fix=lambda m, v, t, beta1, beta2: (m * (1 - beta1**t), v * (1 - beta2**t)))),
    ("correction-outside-root", "the correction of `v` divides the root, not what is under it.", "Which comes first, "
     "the correction or the root?",
     _adam(fix=lambda m, v, t, beta1, beta2: (m / (1 - beta1**t), v / (1 - beta2**t) ** 2))),
    ("state-not-returned", "the old averages are returned: the next step will not know of this gradient.", _NEXT,
     _adam(results=lambda w, old, new, fixed: (w, *old))),
    ("not-squared", "the gradient enters `v` without a square, so that `v` can be negative, and its root nan.",
     "What is `v` an average of?", _adam(square=lambda v, g, m, beta1, beta2: beta2 * v + (1 - beta2) * g)),
    ("absolute-value", "the absolute value of the gradient enters `v`, not its square.", "What is `v` an average of?",
     _adam(square=lambda v, g, m, beta1, beta2: beta2 * v + (1 - beta2) * np.abs(g))),
    ("centred", "`v` averages the square of the gradient's distance from `m`, as AdaBelief does.", "What is `v` an "
     "average of?", _adam(square=lambda v, g, m, beta1, beta2: beta2 * v + (1 - beta2) * (g - m) ** 2)),
    ("largest-kept", "`v` never becomes smaller, as in AMSGrad.", "What happens to `v` after a step with a gradient of "
     "zero?", _adam(square=lambda v, g, m, beta1, beta2: np.maximum(v, beta2 * v + (1 - beta2) * g**2))),
    ("largest-gradient", "`v` holds the largest gradient, faded, as in AdaMax.", "What is `v` an average of?",
     _adam(square=lambda v, g, m, beta1, beta2: np.maximum(beta2 * v, np.abs(g)))),
    ("nesterov", "the step looks ahead, as Nadam does.", "By which average should `w` move, and by nothing else?",
     lambda w, g, m, v, t, lr, beta1, beta2, eps: _adam(
         step=lambda w, g, m_hat, bottom, lr, eps: w - lr * (beta1 * m_hat + (1 - beta1) * g / (1 - beta1**t)) / bottom
     )(w, g, m, v, t, lr, beta1, beta2, eps)),
    ("state-ignored", "the averages that came in are not used: both start from zero in each step.", "Where do `m` and "
     "`v`, the arguments, enter?",
     _adam(lambda m, g, beta1, beta2: (1 - beta1) * g, lambda v, g, m, beta1, beta2: (1 - beta2) * g**2)),
    ("lr-missing", "`lr` is not used.", "How far does `w` move if `lr` is halved?",
     _adam(step=lambda w, g, m, bottom, lr, eps: w - m / bottom)),
    ("eps-missing", "`eps` is not used.", "What is 0 / 0, where neither this gradient nor an earlier one was different "
     "from zero?", _adam(bottom=lambda v, t, beta2, eps: np.sqrt(v))),
    ("lr-fades", "`lr` is divided by the root of `t`, as in the paper's proof. PyTorch's Adam leaves it as it is.",
     "Should the thousandth step be shorter than the first, by `t` alone?",
     lambda w, g, m, v, t, lr, beta1, beta2, eps: backprop.adam_step(w, g, m, v, t, lr / np.sqrt(t), beta1, beta2,
                                                                     eps)),
    ("mean-over-entries", "one average of squares for the whole array: the mean of all entries.", "How many different "
     "learning rates should a vector of five parameters get?",
     _adam(square=lambda v, g, m, beta1, beta2: beta2 * v + (1 - beta2) * np.mean(g**2))),
    ("outputs-swapped", "the results are returned in another order.", "Compare your `return` with the signature.",
     _adam(results=lambda w, old, new, fixed: (*new, w))),
    ("w-unchanged", "`w` comes back as it was: the step is computed, and nothing is done with it.", "In which variable "
     "does the result of your last line end up?", _adam(step=lambda w, g, m, bottom, lr, eps: w.copy())),
    ("scalar-root", "`math.sqrt` takes the root of one number, and `v` is an array.", "Which root takes a whole array?",
     _adam(bottom=lambda v, t, beta2, eps: math.sqrt(v) + eps)),
    ("eps-as-bound", "`eps` is a lower bound of the root; it should be added.", _BOTH,
     _adam(bottom=lambda v, t, beta2, eps: np.maximum(np.sqrt(v), eps))),
)  # fmt: skip
for _cause, _text, _hint, _function in _ADAM_CHAFFS:
    adam_step.chaff(_cause, _text, _hint)(_function)


@adam_step.chaff("argument-changed", "`m` and `v` are updated in place: the caller's arrays change.", _IN_PLACE)
def _(w, g, m, v, t, lr, beta1, beta2, eps):
    m *= beta1
    m += (1 - beta1) * g
    v *= beta2
    v += (1 - beta2) * g**2
    m_hat, v_hat = _fix(m, v, t, beta1, beta2)
    return w - lr * m_hat / (np.sqrt(v_hat) + eps), m, v


# fix_adam_step: the planted bug comes first among the chaffs, since an unchanged copy is the likeliest wrong answer

fix_adam_step = _optimizer(
    backprop.adam_step,
    3,
    _ADAM,
    _adam_rule(decays=False),
    formula="m_hat = m / (1 - beta1**t), v_hat = v / (1 - beta2**t)",
    name="fix_adam_step",
    partial_credit=False,
)
fix_adam_step.wheats += adam_step.wheats
fix_adam_step.chaff(
    "unchanged",
    "the planted bug is still there: every step is corrected as if it were the first.",
    "Give the function the same gradient again and again. What becomes of its steps? Which argument should know how "
    "often it was called?",
)(_adam(fix=lambda m, v, t, beta1, beta2: _fix(m, v, 1, beta1, beta2)))
fix_adam_step.chaffs += [chaff for chaff in adam_step.chaffs if chaff.cause != "t-ignored"]
for _cause, _text, _hint, _function in (
    ("half-mended", "the correction of `m` is mended; that of `v` is still as if every step were the first.",
     "Two lines of the broken copy have the same fault.",
     _adam(fix=lambda m, v, t, beta1, beta2: (_fix(m, v, t, beta1, beta2)[0], _fix(m, v, 1, beta1, beta2)[1]))),
    ("half-mended", "the correction of `v` is mended; that of `m` is still as if every step were the first.",
     "Two lines of the broken copy have the same fault.",
     _adam(fix=lambda m, v, t, beta1, beta2: (_fix(m, v, 1, beta1, beta2)[0], _fix(m, v, t, beta1, beta2)[1]))),
):  # fmt: skip
    fix_adam_step.chaff(_cause, _text, _hint)(_function)


# adamw_step

adamw_step = _optimizer(
    backprop.adamw_step,
    3,
    f"{_ADAM}, weight_decay",
    _adam_rule(decays=True),
    formula="w = w - lr * weight_decay * w, and then a step of Adam",
)


@adamw_step.wheat
def decays_first(w, g, m, v, t, lr, beta1, beta2, eps, weight_decay):
    w = w.copy()
    w *= 1 - lr * weight_decay
    return backprop.adam_step(w, g, m, v, t, lr, beta1, beta2, eps)


@adamw_step.wheat
def decays_afterwards_by_the_old(w, g, m, v, t, lr, beta1, beta2, eps, weight_decay):
    new, m, v = backprop.adam_step(w, g, m, v, t, lr, beta1, beta2, eps)
    return new - lr * weight_decay * w, m, v


@adamw_step.wheat
def all_in_one_update(w, g, m, v, t, lr, beta1, beta2, eps, weight_decay):
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g**2
    update = m / (1 - beta1**t) / (np.sqrt(v / (1 - beta2**t)) + eps)
    return w - lr * (update + weight_decay * w), m, v


@adamw_step.wheat
def each_entry_alone(w, g, m, v, t, lr, beta1, beta2, eps, weight_decay):
    triples = [
        backprop.adamw_step(*(np.float64(a) for a in entry), t, lr, beta1, beta2, eps, weight_decay)
        for entry in zip(w.flat, g.flat, m.flat, v.flat, strict=True)
    ]
    return tuple(np.reshape(part, w.shape) for part in zip(*triples, strict=True))


@adamw_step.wheat
def in_float32(w, g, m, v, t, lr, beta1, beta2, eps, weight_decay):
    return backprop.adamw_step(*(a.astype("f4") for a in (w, g, m, v)), t, lr, beta1, beta2, eps, weight_decay)


@adamw_step.wheat
def lists_returned(w, g, m, v, t, lr, beta1, beta2, eps, weight_decay):
    shrunk = w - lr * weight_decay * w
    return [a.tolist() for a in with_one_learning_rate(shrunk, g, m, v, t, lr, beta1, beta2, eps)]


def _decaying(
    before=lambda w, g, lr, wd: (w * (1 - lr * wd), g),
    after=lambda new, w, g, lr, wd: new,
    adam=backprop.adam_step,
):
    """A step of AdamW with its decay, or its Adam, replaced."""

    def function(w, g, m, v, t, lr, beta1, beta2, eps, weight_decay):
        decayed, gradient = before(w, g, lr, weight_decay)
        new, m, v = adam(decayed, gradient, m, v, t, lr, beta1, beta2, eps)
        return after(new, w, g, lr, weight_decay), m, v

    return function


_APART = "What do `m` and `v` know of `weight_decay`, if the decay is decoupled?"
_SHRINKS = "With a gradient of zero and averages of zero, what share of `w` should be left after the step?"
for _cause, _text, _hint, _function in (
    ("coupled-decay", "the decay is added to the gradient, as an L2 penalty does: it goes through both averages and is "
     "divided like a gradient. That is Adam with `weight_decay`, not AdamW.", _APART,
     _decaying(lambda w, g, lr, wd: (w, g + wd * w))),
    ("decay-without-lr", "the decay is not multiplied with the learning rate.", "With `lr` = 0 nothing may move. Does "
     "your `w` stay where it is?", _decaying(lambda w, g, lr, wd: (w * (1 - wd), g))),
    ("decay-after-the-step", "the decay is taken of the new `w`, after the step: it shrinks the step too.",
     "Is the `w` that decays the one from before the step, or from after it?",
     _decaying(lambda w, g, lr, wd: (w, g), lambda new, w, g, lr, wd: new - lr * wd * new)),
    ("no-decay", "`weight_decay` is not used: this is Adam.", _SHRINKS, _decaying(lambda w, g, lr, wd: (w, g))),
    ("decay-divided", "the decay is added to the corrected `m`, before the division: where gradients are large, `w` "
     "decays less.", "Should all entries of `w` lose the same share, or not?",
     lambda w, g, m, v, t, lr, beta1, beta2, eps, weight_decay: _adam(
         step=lambda w, g, m, bottom, lr, eps: w - lr * (m + weight_decay * w) / bottom
     )(w, g, m, v, t, lr, beta1, beta2, eps)),
    ("decay-added", "the decay is added: it makes `w` larger.", _SHRINKS,
     _decaying(lambda w, g, lr, wd: (w * (1 + lr * wd), g))),
    ("decay-doubled", "the decay is twice as strong: the slope of a penalty that has no ½.", _SHRINKS,
     _decaying(lambda w, g, lr, wd: (w * (1 - 2 * lr * wd), g))),
    ("decayed-twice", "the decay is coupled and decoupled: it is in the gradient and taken off `w` as well.", _APART,
     _decaying(lambda w, g, lr, wd: (w * (1 - lr * wd), g + wd * w))),
    ("coupled-decay", "the decay is added to the gradient, multiplied with `lr`.", _APART,
     _decaying(lambda w, g, lr, wd: (w, g + lr * wd * w))),
    ("decay-by-sign", "the decay goes by the sign of `w`, as with an L1 penalty.", "Should a large `w` lose more than "
     "a small one?", _decaying(lambda w, g, lr, wd: (w - lr * wd * np.sign(w), g))),
    ("decay-without-w", "the same amount is taken off every entry: the decay does not depend on `w`.", _SHRINKS,
     _decaying(lambda w, g, lr, wd: (w - lr * wd, g))),
    ("decay-without-its-rate", "`w` decays by `lr` alone: `weight_decay` is not used.", _SHRINKS,
     _decaying(lambda w, g, lr, wd: (w * (1 - lr), g))),
    ("decayed-gradient", "the gradient is shrunk, not `w`.", "What should become smaller, if gradients are zero?",
     _decaying(lambda w, g, lr, wd: (w, g * (1 - lr * wd)))),
    ("decay-of-the-gradient", "a share of the gradient is taken off, not a share of `w`.", _SHRINKS,
     _decaying(lambda w, g, lr, wd: (w - lr * wd * g, g))),
    ("only-the-share", "`w` is multiplied with what the decay takes off, not with what it leaves.", _SHRINKS,
     _decaying(lambda w, g, lr, wd: (w * lr * wd, g))),
    ("step-left-out", "`w` decays, and takes no step.", "In which variable does the result of your last line end up?",
     _decaying(after=lambda new, w, g, lr, wd: w * (1 - lr * wd))),
    ("w-unchanged", "`w` comes back as it was: the step is computed, and nothing is done with it.", "In which variable "
     "does the result of your last line end up?", _decaying(after=lambda new, w, g, lr, wd: w.copy())),
    ("lr-twice", "the learning rate is in the decay twice.", "If `lr` is halved, what becomes of the decay of one "
     "step?", _decaying(lambda w, g, lr, wd: (w * (1 - lr * lr * wd), g))),
):  # fmt: skip
    adamw_step.chaff(_cause, _text, _hint)(_function)
for _chaff in _ADAM_CHAFFS:
    if _chaff[0] not in ("outputs-swapped", "w-unchanged"):  # these two have AdamW's own
        adamw_step.chaff(*_chaff[:3])(_decaying(adam=_chaff[3]))


@adamw_step.chaff("outputs-swapped", "the results are returned in another order.", "Compare your `return` with the "
                  "signature.")  # fmt: skip
def _(w, g, m, v, t, lr, beta1, beta2, eps, weight_decay):
    w, m, v = backprop.adamw_step(w, g, m, v, t, lr, beta1, beta2, eps, weight_decay)
    return m, v, w


@adamw_step.chaff("argument-changed", "`w` is updated in place: the caller's array changes.", _IN_PLACE)
def _(w, g, m, v, t, lr, beta1, beta2, eps, weight_decay):
    w *= 1 - lr * weight_decay
    return backprop.adam_step(w, g, m, v, t, lr, beta1, beta2, eps)


# cosine_schedule


def _schedule_cases(rng: np.random.Generator) -> list[Case]:
    def case(name: str, step: int, total: int, warmup: int, group: str = "values") -> Case:
        return Case(name, (int(step), int(total), int(warmup), float(rng.uniform(0.05, 0.9))), group=group)

    total, warmup = int(rng.integers(90, 110)), int(rng.integers(14, 20))
    third = warmup + (total - warmup) // 3
    return [
        case("a third of the way down", third, total, warmup),
        case("half-way down", warmup + 20, warmup + 40, warmup),
        case("one step after the warm-up", warmup + 1, total, warmup),
        case("step = warmup", warmup, total, warmup),
        case("one step before the end", 22, 23, 5),
        case("step = total", total, total, warmup),
        case("a long run", 30_011 + int(rng.integers(1000)), 100_003, 2003),
        case("step = 0", 0, total, warmup, "warm-up"),
        case("step = 1", 1, total, warmup, "warm-up"),
        case("in the warm-up", warmup - int(rng.integers(3, 9)), total, warmup, "warm-up"),
        case("the last step of the warm-up", warmup - 1, total, warmup, "warm-up"),
        case("warmup = 1, step = 0", 0, 17, 1, "warm-up"),
        case("warmup = 0, step = 0", 0, total, 0, "no warm-up"),
        case("warmup = 0", int(rng.integers(20, 70)), total, 0, "no warm-up"),
    ]


_CURVES = ((20, 5, 0.3), (13, 0, 0.7), (17, 4, 0.11))  # total, warmup, peak


def _explain_schedule(f: Callable) -> Finding | None:
    """Which straight line and which cosine the learner's curves are made of."""
    rows = []
    for total, warmup, peak in _CURVES:
        for step in range(total + 1):
            outcome = call(f, (step, total, warmup, peak))
            try:
                rows.append((step, total, warmup, peak, float(outcome.value)))
            except (TypeError, ValueError):
                return None
    columns = np.array(rows).T
    right = np.array([backprop.cosine_schedule(*map(int, row[:3]), row[3]) for row in rows])
    rising = columns[0] < columns[2]
    parts = {}
    for name, mask in (("warm-up", rising), ("cosine", ~rising)):
        p = SimpleNamespace(**dict(zip(("step", "total", "warmup", "peak"), columns[:4, mask], strict=True)))
        parts[name] = (p, columns[4, mask], right[mask])
    wrong = [name for name, (_, mine, r) in parts.items() if not _equal(mine, r).all()]
    if not wrong:
        return None

    p, mine, r = parts[wrong[0]]
    i = int(np.argmax(np.where(np.isfinite(mine), np.abs(mine - r), np.inf)))
    what = f"`cosine_schedule({p.step[i]:g}, {p.total[i]:g}, {p.warmup[i]:g}, {p.peak[i]:g})` is {mine[i]:.6g}; it "
    what += f"should be {r[i]:.6g}."
    mistakes: Mistakes = []
    unknown = []
    for name in wrong:
        p, mine, r = parts[name]
        found = _mistakes_of_the_curve(_WARM_UP if name == "warm-up" else _COSINE, mine, r, p)
        if found is None and name == "warm-up":
            found = _mistakes_of_the_curve(_COSINE, mine, r, p)
            found = None if found is None else [("the warm-up", _NO_WARM_UP), *found]
        if found is None:
            unknown.append(name)
        else:
            mistakes += [mistake for mistake in found if mistake not in mistakes]
    if unknown:
        return _facts_of_the_curve(what, parts, unknown, mistakes)
    causes = "-and-".join(dict.fromkeys(choice.cause for _, choice in mistakes))
    fine = "" if len(wrong) == 2 else f" The {'cosine' if wrong == ['warm-up'] else 'warm-up'} is right."
    return Finding(what, causes, f"{_in_words(mistakes)}{fine}", mistakes[0][1].hint)


@dataclass(frozen=True)
class Curve:
    """A part of the schedule: its places, how they are combined, and other curves that may stand for it."""

    places: dict[str, Place]
    combine: Callable[..., np.ndarray]
    others: list[Choice]


def _mistakes_of_the_curve(curve: Curve, mine: np.ndarray, right: np.ndarray, p: SimpleNamespace) -> Mistakes | None:
    rounded = [
        Choice("rounded", f"{{}} is rounded to {digits} digits after the point",
               "A learning rate of 0.00003 is no rarity. What becomes of it?",
               lambda p, digits=digits: np.round(right, digits))
        for digits in range(1, 6)
    ]  # fmt: skip
    for choice in (*rounded, *curve.others):
        if _equal(np.broadcast_to(choice.value(p), mine.shape), mine).all():
            return [(next(iter(curve.places.values())).about, choice)]
    return _fewest_mistakes(mine, curve.places, curve.combine, p)


def _facts_of_the_curve(what: str, parts: dict, unknown: list[str], mistakes: Mistakes) -> Finding:
    """Where a curve starts and ends, if no choices explain it."""
    besides = f" Besides, {_in_words(mistakes)}" if mistakes else ""
    p, mine, right = parts[unknown[0]]
    off, first, last = ~_equal(mine, right), p.step == p.warmup, p.step == p.total
    if unknown[0] == "warm-up":
        likely = "the warm-up is not the straight line that is asked for"
        if all(_affine(mine[p.total == total], p.step[p.total == total]) for total, warmup, _ in _CURVES if warmup):
            line = np.polyfit(p.step[:3], mine[:3], 1)
            likely = (
                f"the warm-up is a straight line, but one from {line[1]:.4g} towards {line @ (p.warmup[0], 1):.4g}, "
            )
            likely += f"with a peak of {p.peak[0]:g}"
        hint = "Which three numbers does the line depend on? Where must it start, and where must it arrive?"
        return Finding(what, "wrong-step", f"{likely}.{besides}", hint)
    if not off[~first].any():
        where = "if `warmup` is 0" if not off[p.warmup > 0].any() else "at `step` = `warmup`"
        return Finding(
            what,
            "border",
            f"only the first step of the cosine is wrong, {where}: it is treated as one of the warm-up.{besides}",
            "Which steps belong to the warm-up? How many are there, if `warmup` is 0?",
        )
    if _equal(mine[off], (p.peak * p.step / np.maximum(p.warmup, 1))[off]).all():
        return Finding(
            what,
            "border",
            f"the straight line of the warm-up goes on after `step` = `warmup`.{besides}",
            "Which is the last step of the warm-up?",
        )
    hint = "Write down progress: what is it at the peak, and what at the end?"
    runs = [p.total == total for total, _, _ in _CURVES]
    if all(_affine(mine[run], right[run]) for run in runs):
        likely = f"after the warm-up the rate falls like half a cosine, as it should, but from {mine[first][0]:.4g} to "
        likely += f"{mine[last][0]:.4g}, with a peak of {p.peak[0]:g}"
    elif all(_affine(np.log(np.abs(mine[run])), p.step[run]) for run in runs):
        likely = "after the warm-up the rate falls exponentially, not along a cosine"
    elif all(_affine(mine[run], p.step[run]) for run in runs):
        likely = (
            f"after the warm-up the rate falls in a straight line, from {mine[first][0]:.4g} to {mine[last][0]:.4g}"
        )
    else:
        likely = "the curve after the warm-up is not the half cosine that is asked for"
        facts = [f"starts at {mine[first][0]:.4g} where the peak is {p.peak[0]:g}"] * bool(off[first].any())
        facts += [f"ends at {mine[last][0]:.4g}, not at 0"] * bool(off[last].any())
        likely += f": it {' and '.join(facts)}" if facts else ", though it starts at the peak and ends at 0"
    return Finding(what, "wrong-step", f"{likely}.{besides}", hint)


def _affine(mine: np.ndarray, right: np.ndarray) -> bool:
    """Whether one curve is another one, stretched and lifted."""
    matrix = np.stack([right, np.ones_like(right)], axis=1)
    return bool(_equal(matrix @ np.linalg.lstsq(matrix, mine, rcond=None)[0], mine).all())


def _peak_place(about: str) -> Place:
    hint = "If `peak` is doubled, what should happen to the rate?"
    return Place(about, lambda p: p.peak, [
        Choice("peak-ignored", "`peak` does not enter {}", hint, lambda p: 1),
        Choice("peak-twice", "`peak` enters {} twice", hint, lambda p: p.peak**2),
        Choice("halved", "{} is half as high", "What is the rate at `step` = `warmup`?", lambda p: p.peak / 2),
        Choice("doubled", "{} is twice as high", "What is the rate at `step` = `warmup`?", lambda p: 2 * p.peak),
        Choice("sign-flipped", "{} is negative", "Can a learning rate be negative?", lambda p: -p.peak),
    ])  # fmt: skip


_ARRIVE = "At `step` = 0, and at `step` = `warmup`: what should the rate be, and what is yours?"
_RAMPS = [
    Choice("no-warm-up", "there is no warm-up: {} is at the peak from the start", _ARRIVE, lambda p: 1),
    Choice("step-plus-one", "{} is one step ahead: it counts `step` from 1", _ARRIVE,
           lambda p: (p.step + 1) / p.warmup),
    Choice("step-minus-one", "{} is one step late", _ARRIVE, lambda p: (p.step - 1) / p.warmup),
    Choice("step-plus-one", "{} is one step ahead, and arrives one step late", _ARRIVE,
           lambda p: (p.step + 1) / (p.warmup + 1)),
    Choice("warm-up-over-total", "{} is a share of `total`, not of `warmup`", _ARRIVE, lambda p: p.step / p.total),
    Choice("warm-up-over-total", "{} is a share of the steps after it", _ARRIVE,
           lambda p: p.step / (p.total - p.warmup)),
    Choice("warm-up-falls", "{} falls from the peak, where it should rise to it", _ARRIVE,
           lambda p: 1 - p.step / p.warmup),
    Choice("stays-at-zero", "{} stays at 0: whole numbers are divided with `//`, or nothing is multiplied", _ARRIVE,
           lambda p: 0 * p.step),
    Choice("one-off", "{} takes one step fewer", _ARRIVE, lambda p: p.step / (p.warmup - 1)),
    Choice("one-off", "{} takes one step more", _ARRIVE, lambda p: p.step / (p.warmup + 1)),
    Choice("warm-up-curved", "{} is a parabola, not a straight line", _ARRIVE, lambda p: (p.step / p.warmup) ** 2),
    Choice("warm-up-curved", "{} is a root, not a straight line", _ARRIVE, lambda p: np.sqrt(p.step / p.warmup)),
    Choice("warm-up-curved", "{} follows a cosine, not a straight line", _ARRIVE,
           lambda p: (1 - np.cos(np.pi * p.step / p.warmup)) / 2),
    Choice("warm-up-curved", "{} follows a sine, not a straight line", _ARRIVE,
           lambda p: np.sin(np.pi / 2 * p.step / p.warmup)),
    Choice("upside-down", "{} divides `warmup` by `step`, not `step` by `warmup`", _ARRIVE,
           lambda p: p.warmup / p.step),
    Choice("product", "{} multiplies `step` with `warmup`, where it should divide", _ARRIVE,
           lambda p: p.step * p.warmup),
    Choice("not-divided", "{} is not divided by `warmup`", _ARRIVE, lambda p: p.step),
    Choice("not-times-step", "{} does not depend on `step`: the peak is divided by `warmup`", _ARRIVE,
           lambda p: 1 / p.warmup),
]  # fmt: skip
_NO_WARM_UP = Choice(
    "no-warm-up", "there is no warm-up: the cosine's formula is used from the start", _ARRIVE, lambda p: np.nan
)
_WARM_UP = Curve(
    {"peak": _peak_place("the warm-up"), "ramp": Place("the warm-up", lambda p: p.step / p.warmup, _RAMPS)},
    lambda peak, ramp: peak * ramp,
    [
        Choice("warm-up-times-cosine", "the warm-up multiplies a cosine that has started already", _ARRIVE,
               lambda p: p.peak * p.step / p.warmup * (1 + np.cos(np.pi * p.step / p.total)) / 2),
        Choice("warm-up-times-cosine", "the warm-up multiplies a cosine that has started already", _ARRIVE,
               lambda p: p.peak * p.step / p.warmup
               * (1 + np.cos(np.pi * (p.step - p.warmup) / (p.total - p.warmup))) / 2),
    ],
)  # fmt: skip

_PROGRESS = "Progress should be 0 at `step` = `warmup` and 1 at `step` = `total`. What is yours there?"
_ENDS = "What must the rate be at `step` = `warmup`, half-way, and at `step` = `total`? What is yours?"


def _down(p: SimpleNamespace) -> np.ndarray:
    return (p.step - p.warmup) / (p.total - p.warmup)


_COSINE = Curve(
    {
        "peak": _peak_place("the cosine"),
        "half": Place("the cosine", lambda p: 0.5, [
            Choice("half-missing", "{} is not halved: it starts at twice the peak", _ENDS, lambda p: 1),
            Choice("halved-twice", "{} is halved twice", _ENDS, lambda p: 0.25),
        ]),
        "lift": Place("the cosine", lambda p: 1, [
            Choice("not-lifted", "{} is not lifted above zero: it becomes negative", _ENDS, lambda p: 0),
            Choice("lowered", "1 is subtracted from {}, not added to it", _ENDS, lambda p: -1),
        ]),
        "sign": Place("the cosine", lambda p: 1, [
            Choice("rises", "{} has a minus: it rises, where it should fall", _ENDS, lambda p: -1),
        ]),
        "angle": Place("the angle of the cosine", lambda p: np.pi, [
            Choice("whole-wave", "{} goes twice as far: down and up again", _ENDS, lambda p: 2 * np.pi),
            Choice("quarter-wave", "{} goes half as far", _ENDS, lambda p: np.pi / 2),
            Choice("pi-missing", "π is missing in {}", _ENDS, lambda p: 1),
            Choice("degrees", "{} is in degrees; NumPy's and Python's cosine take radians", _ENDS, lambda p: 180),
            Choice("degrees", "{} is turned into radians twice", _ENDS, lambda p: np.pi**2 / 180),
        ]),
        "phase": Place("the cosine", lambda p: 0, [
            Choice("sine", "a sine stands where a cosine belongs", _ENDS, lambda p: np.pi / 2),
        ]),
        "progress": Place("progress", _down, [
            Choice("warm-up-not-subtracted", "{} counts from 0 to `total`: the steps of the warm-up count as well",
                   _PROGRESS, lambda p: p.step / p.total),
            Choice("divided-by-total", "{} is divided by `total`, not by the steps after the warm-up", _PROGRESS,
                   lambda p: (p.step - p.warmup) / p.total),
            Choice("warm-up-not-subtracted", "the warm-up is not subtracted from `step` in {}", _PROGRESS,
                   lambda p: p.step / (p.total - p.warmup)),
            Choice("backwards", "{} runs backwards, from 1 to 0", _PROGRESS, lambda p: 1 - _down(p)),
            Choice("one-off", "{} is one step ahead", _PROGRESS,
                   lambda p: (p.step - p.warmup + 1) / (p.total - p.warmup)),
            Choice("one-off", "{} is one step late", _PROGRESS,
                   lambda p: (p.step - p.warmup - 1) / (p.total - p.warmup)),
            Choice("one-off", "{} arrives one step early", _PROGRESS,
                   lambda p: (p.step - p.warmup) / (p.total - p.warmup - 1)),
            Choice("one-off", "{} arrives one step early, and stays there", _PROGRESS,
                   lambda p: np.minimum((p.step - p.warmup) / (p.total - p.warmup - 1), 1)),
            Choice("one-off", "{} arrives one step late", _PROGRESS,
                   lambda p: (p.step - p.warmup) / (p.total - p.warmup + 1)),
            Choice("one-off", "{} is one step ahead, and arrives in time", _PROGRESS,
                   lambda p: (p.step - p.warmup + 1) / (p.total - p.warmup + 1)),
            Choice("whole-numbers", "{} is rounded down to a whole number: `//` for `/`", _PROGRESS,
                   lambda p: np.floor(_down(p))),
            Choice("warm-up-added", "the warm-up is added in {}, not subtracted", _PROGRESS,
                   lambda p: (p.step + p.warmup) / (p.total + p.warmup)),
            Choice("warm-up-added", "the warm-up is added to `total` in {}", _PROGRESS,
                   lambda p: (p.step - p.warmup) / (p.total + p.warmup)),
            Choice("warm-up-added", "the warm-up is added to `step` in {}", _PROGRESS,
                   lambda p: (p.step + p.warmup) / (p.total - p.warmup)),
            Choice("upside-down", "{} is upside down: what is left is divided by what is done", _PROGRESS,
                   lambda p: 1 / _down(p)),
            Choice("not-divided", "{} is not divided by anything: it counts steps", _PROGRESS,
                   lambda p: p.step - p.warmup),
            Choice("squared", "{} is squared", _PROGRESS, lambda p: _down(p) ** 2),
            Choice("rooted", "a root is taken of {}", _PROGRESS, lambda p: np.sqrt(_down(p))),
            Choice("precedence", "only `warmup` is divided, not the difference: parentheses are missing in {}",
                   _PROGRESS, lambda p: p.step - p.warmup / (p.total - p.warmup)),
            Choice("precedence", "the difference is divided by `total` alone, and `warmup` is subtracted from that: "
                   "parentheses are missing in {}", _PROGRESS, lambda p: (p.step - p.warmup) / p.total - p.warmup),
        ]),
    },
    lambda peak, half, lift, sign, angle, phase, progress: (
        peak * half * (lift + sign * np.cos(angle * progress - phase))
    ),
    [
        Choice("linear", "the rate falls in a straight line, not along a cosine", _ENDS,
               lambda p: p.peak * (1 - _down(p))),
        Choice("linear", "the rate falls in a straight line from step 0, not along a cosine", _ENDS,
               lambda p: p.peak * (1 - p.step / p.total)),
        Choice("parabola", "the rate falls along a parabola, not along a cosine", _ENDS,
               lambda p: p.peak * (1 - _down(p)) ** 2),
        Choice("constant", "the rate stays at the peak after the warm-up", _ENDS, lambda p: p.peak),
        Choice("all-zeros", "the rate is 0 after the warm-up", _ENDS, lambda p: 0),
        Choice("quarter-wave", "this is the quarter of a cosine from its peak to zero, not lifted and halved: it falls "
               "steepest at the end", "How steep is half a cosine at its end?",
               lambda p: p.peak * np.cos(np.pi / 2 * _down(p))),
        Choice("absolute-value", "the absolute value of the cosine is taken, in place of lifting it", _ENDS,
               lambda p: p.peak * np.abs(np.cos(np.pi * _down(p)))),
        Choice("clipped", "the cosine is cut off at zero, in place of being lifted", _ENDS,
               lambda p: p.peak * np.maximum(np.cos(np.pi * _down(p)), 0)),
        Choice("squared", "the curve is squared", _ENDS, lambda p: p.peak * ((1 + np.cos(np.pi * _down(p))) / 2) ** 2),
        Choice("squared", "the cosine is squared before it is lifted", _ENDS,
               lambda p: p.peak * (1 + np.cos(np.pi * _down(p)) ** 2) / 2),
        Choice("exponential", "the rate falls exponentially, not along a cosine", _ENDS,
               lambda p: p.peak * np.exp(-_down(p))),
        Choice("precedence", "only the 1 is halved: parentheses are missing", _ENDS,
               lambda p: p.peak * (0.5 + np.cos(np.pi * _down(p)))),
        Choice("precedence", "only the cosine is halved: parentheses are missing", _ENDS,
               lambda p: p.peak * (1 + np.cos(np.pi * _down(p)) / 2)),
        Choice("precedence", "only the 1 is multiplied with the peak: parentheses are missing", _ENDS,
               lambda p: p.peak * 0.5 + np.cos(np.pi * _down(p))),
        Choice("precedence", "only the 1 is multiplied with the peak: parentheses are missing", _ENDS,
               lambda p: p.peak * 0.5 + np.cos(np.pi * _down(p)) / 2),
        Choice("precedence", "π multiplies `step` alone, and `warmup` is subtracted from that: parentheses are missing",
               _ENDS,
               lambda p: p.peak * (1 + np.cos((np.pi * p.step - p.warmup) / (p.total - p.warmup))) / 2),
    ],
)  # fmt: skip

cosine_schedule = Exercise(
    "cosine_schedule",
    CHAPTER,
    3,
    "cosine_schedule(step, total, warmup, peak)",
    ("lr",),
    reference=backprop.cosine_schedule,
    make_cases=_schedule_cases,
    explain=_explain_schedule,
    formula="peak * step / warmup, then peak * (1 + cos(pi * (step - warmup) / (total - warmup))) / 2",
)


@cosine_schedule.wheat
def with_numpy(step, total, warmup, peak):
    if step < warmup:
        return np.float64(peak * step) / warmup
    return peak * 0.5 * (1 + np.cos(np.pi * (step - warmup) / (total - warmup)))


@cosine_schedule.wheat
def by_the_half_angle(step, total, warmup, peak):
    if step >= warmup:
        return peak * math.cos(math.pi / 2 * (step - warmup) / (total - warmup)) ** 2
    return step / warmup * peak


@cosine_schedule.wheat
def by_a_sine(step, total, warmup, peak):
    if step < warmup:
        return peak * (step / warmup)
    left = (total - step) / (total - warmup)
    return peak * math.sin(math.pi / 2 * left) ** 2


@cosine_schedule.wheat
def by_interpolation(step, total, warmup, peak):
    if warmup and step <= warmup:
        return np.interp(step, [0, warmup], [0, peak])
    return np.asarray(peak * (1 - np.cos(np.pi * (total - step) / (total - warmup))) / 2)


@cosine_schedule.wheat
def the_smaller_of_two(step, total, warmup, peak):
    progress = max(0.0, step - warmup) / max(1, total - warmup)
    ramp = min(1.0, step / warmup) if warmup > 0 else 1.0
    return ramp * (peak / 2 + peak / 2 * math.cos(math.pi * min(1.0, progress)))


@cosine_schedule.wheat
def all_steps_at_once(step, total, warmup, peak):
    steps = np.arange(total + 1)
    with np.errstate(all="ignore"):
        ramp = peak * steps / warmup if warmup else np.zeros(total + 1)
    curve = peak / 2 * (1 + np.cos(np.linspace(0, np.pi, total - warmup + 1)))
    return np.concatenate([ramp[:warmup], curve])[step]


@cosine_schedule.wheat
def as_a_complex_number(step, total, warmup, peak):
    if step < warmup:
        return peak - peak * (warmup - step) / warmup
    turn = np.exp(1j * np.pi * (step - warmup) / (total - warmup))
    return float((1 + turn.real) * peak / 2)


def _schedule(
    ramp=lambda step, total, warmup: step / warmup,
    progress=lambda step, total, warmup: (step - warmup) / (total - warmup),
    curve=lambda x: (1 + math.cos(math.pi * x)) / 2,
    rises=lambda step, warmup: step < warmup,
    finish=lambda share, peak: peak * share,
):
    """A schedule with one line replaced."""

    def function(step, total, warmup, peak):
        if rises(step, warmup):
            return finish(ramp(step, total, warmup), peak)
        return finish(curve(progress(step, total, warmup)), peak)

    return function


for _cause, _text, _hint, _function in (
    ("warm-up-not-subtracted", "progress counts from 0 to `total`, so that the steps of the warm-up count as well: the "
     "rate drops at the end of the warm-up.", _PROGRESS, _schedule(progress=lambda s, T, w: s / T)),
    ("no-warm-up", "there is no warm-up: the cosine starts at the first step.", "What should the rate be at `step` = "
     "0?", _schedule(progress=lambda s, T, w: s / T, rises=lambda s, w: False)),
    ("no-warm-up", "there is no warm-up: in its steps the rate is at the peak.", "What should the rate be at `step` = "
     "0?", _schedule(ramp=lambda s, T, w: 1.0)),
    ("step-plus-one", "the warm-up counts `step` from 1, so that it starts above 0 and arrives a step early.",
     "What should the rate be at `step` = 0, and at `step` = `warmup` − 1?",
     _schedule(ramp=lambda s, T, w: (s + 1) / w)),
    ("divided-by-total", "the steps since the warm-up are divided by `total`: the rate does not come down to 0.",
     _PROGRESS, _schedule(progress=lambda s, T, w: (s - w) / T)),
    ("half-missing", "the half is missing: the cosine starts at twice the peak.", _ENDS,
     _schedule(curve=lambda x: 1 + math.cos(math.pi * x))),
    ("not-lifted", "the cosine itself is used: it becomes negative half-way.", _ENDS,
     _schedule(curve=lambda x: math.cos(math.pi * x))),
    ("whole-wave", "the cosine goes through a whole wave: down, and up again.", _ENDS,
     _schedule(curve=lambda x: (1 + math.cos(2 * math.pi * x)) / 2)),
    ("linear", "the rate falls in a straight line, not along a cosine.", "How steep is the curve at its start, in its "
     "middle and at its end?", _schedule(curve=lambda x: 1 - x)),
    ("divides-by-zero", "`warmup` is divided by before it is known to be more than 0.", "Which branch is taken at "
     "`step` = 0, if `warmup` is 0?", _schedule(rises=lambda s, w: s <= w)),
    ("stays-at-zero", "the warm-up stays at 0, as it does if whole numbers are divided with `//`.",
     "What are `3 // 10` and `3 / 10`?",
     _schedule(ramp=lambda s, T, w: s // w)),
    ("whole-numbers", "progress is rounded down by `//`: the rate stays at the peak.", "What are `3 // 10` and "
     "`3 / 10`?", _schedule(progress=lambda s, T, w: (s - w) // (T - w))),
    ("warm-up-over-total", "the warm-up is a share of `total`: it does not arrive at the peak.", "At `step` = "
     "`warmup`, what does your line give?", _schedule(ramp=lambda s, T, w: s / T)),
    ("warm-up-falls", "the warm-up falls from the peak, where it should rise to it.", "What should the rate be at "
     "`step` = 0?", _schedule(ramp=lambda s, T, w: 1 - s / w)),
    ("rises", "the curve after the warm-up rises, where it should fall: the cosine has a minus, or progress runs "
     "backwards.", _ENDS,
     _schedule(curve=lambda x: (1 - math.cos(math.pi * x)) / 2)),
    ("sine", "a sine stands where the cosine belongs.", _ENDS,
     _schedule(curve=lambda x: (1 + math.sin(math.pi * x)) / 2)),
    ("pi-missing", "π is missing: the rate does not come down to 0.", "At the end of which angle is a cosine at its "
     "lowest?", _schedule(curve=lambda x: (1 + math.cos(x)) / 2)),
    ("quarter-wave", "a quarter of a wave is used, from the cosine's peak to its zero: it is steepest at the end.",
     "How steep should the curve be at its end?", _schedule(curve=lambda x: math.cos(math.pi * x / 2))),
    ("degrees", "the angle is in degrees; the cosine takes radians.", "What is `math.cos(180)`?",
     _schedule(curve=lambda x: (1 + math.cos(180 * x)) / 2)),
    ("peak-ignored", "`peak` does not enter: the rate starts at 1.", "If `peak` is doubled, what should happen to the "
     "rate?", _schedule(finish=lambda share, peak: share)),
    ("peak-ignored", "`peak` does not enter the warm-up: it rises to 1.", "What is the rate one step before the end of "
     "the warm-up, and one after it?",
     lambda step, total, warmup, peak: step / warmup if step < warmup
     else backprop.cosine_schedule(step, total, warmup, peak)),
    ("warm-up-times-cosine", "the warm-up multiplies a cosine that has been falling since step 0.", "At `step` = "
     "`warmup`, has your cosine begun to fall?",
     lambda step, total, warmup, peak: peak * (step / warmup if step < warmup else 1.0)
     * (1 + math.cos(math.pi * step / total)) / 2),
    ("constant", "the rate stays at the peak after the warm-up.", "What should the rate be at `step` = `total`?",
     _schedule(curve=lambda x: 1.0)),
    ("restarts", "the cosine starts again after `warmup` steps, as with warm restarts.", "How often should the rate be "
     "at its peak?", _schedule(progress=lambda s, T, w: ((s - w) % max(w, 1)) / max(w, 1))),
    ("one-off", "the curve arrives at 0 one step early.", _PROGRESS,
     _schedule(progress=lambda s, T, w: (s - w) / (T - w - 1))),
    ("lowest-not-zero", "the rate does not come down to 0: there is a lowest rate.", "What should the rate be at "
     "`step` = `total`?", _schedule(curve=lambda x: 0.1 + 0.9 * (1 + math.cos(math.pi * x)) / 2)),
):  # fmt: skip
    cosine_schedule.chaff(_cause, _text, _hint)(_function)

EXERCISES = [
    momentum_step,
    rmsprop_step,
    adagrad_step,
    adam_first_step,
    adam_step,
    fix_adam_step,
    adamw_step,
    cosine_schedule,
]
