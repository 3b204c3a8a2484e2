"""The rung of the ladder that asks: which small change of a right answer gives the learner's answer?"""

from __future__ import annotations

import copy
import itertools
import re
import time
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from autograder.checking.call import call
from autograder.checking.compare import same
from autograder.checking.mutants import Mutant, mutants
from autograder.checking.structure import Flat, WrongStructure, read

if TYPE_CHECKING:
    from autograder.checking.exercise import Exercise, Record

SECONDS = 0.25  # for one search: a check must answer at once


NEXT_STEP = {
    "reduction-swapped": "Say aloud what each reduction in your code collects. Does the definition speak of a sum, a "
    "mean, a largest value?",
    "axis-swapped": "Write the shape of each array beside its line. Which axis may disappear, and which must stay?",
    "reduction-left-out": "What does each entry of the result collect, and from how many entries?",
    "factor-left-out": "Go back through the derivation one factor at a time, and tick each off in your code.",
    "term-left-out": "Through how many paths does the input reach the result? Each adds a term.",
    "sign-flipped": "Put in small numbers by hand: which sign must come out?",
    "times-for-over": "Put in one number that is 2 and all others 1: must the result grow or shrink?",
    "transpose-left-out": "Write the shape of each factor beside it: (n, k) @ (k, m) gives (n, m).",
    "comparison-turned": "Try one value on each side of the border, and the border itself.",
    "accumulation-lost": "Print the variable in each round of the loop: does it grow, or start anew?",
    "statement-left-out": "Follow one small input through your lines, with a pencil: which step has no line?",
    "call-left-out": "Read your lines aloud as mathematics, and compare them with the definition.",
    "other-function": "Read your lines aloud as mathematics, and compare them with the definition.",
    "constant-changed": "Look at each number in your code: where does it come from?",
    "condition-changed": "Say in words when the condition should hold, then try one input for each answer.",
    "name-swapped": "Read each name in your code: is it the one that the derivation has there?",
    "outputs-swapped": "Compare the order in your `return` with the signature.",
    "range-shortened": "Print the indices that your loop or slice visits. Which one is missing, or too many?",
    "argument-left-out": "Look up the functions that you call: what do they do if that argument is not given?",
}
OTHERWISE = "Follow one small input through your lines, with a pencil, and compare each step with the derivation."


class Explanation(NamedTuple):
    """A variant that answers as the learner does: slug, words, a hint, and the outputs that it explains."""

    cause: str
    likely: str
    next_step: str
    outputs: list[str]


def _explanation(mutant: Mutant, besides: str, outputs: list[str]) -> Explanation:
    words = f"{mutant.words}; and {besides}" if besides else f"{mutant.words}."
    return Explanation(mutant.operator, words, NEXT_STEP.get(mutant.operator, OTHERWISE), outputs)


class _Kept:
    """An iterator whose items are kept, so that variants are made once, and only as many as are asked for."""

    def __init__(self, items: Iterator[Mutant]):
        self._items, self._kept = items, []

    def __iter__(self) -> Iterator[Mutant]:
        for i in itertools.count():
            if i == len(self._kept):
                item = next(self._items, None)
                if item is None:
                    return
                self._kept.append(item)
            yield self._kept[i]


@cache
def kept_mutants(function: Callable, outputs: tuple[str, ...], guesses: bool) -> Iterable[Mutant]:
    """The variants of a function, made only once."""
    return _Kept(mutants(function, outputs, guesses))


def _candidates(exercise: Exercise) -> Iterator[tuple[Mutant, str]]:
    """Variants of the reference, of right answers in other styles, and of the named mistakes: those are double."""
    for function in (exercise.reference, *exercise.wheats):
        for mutant in kept_mutants(function, exercise.outputs, False):
            yield mutant, ""
    for mutant in kept_mutants(exercise.reference, exercise.outputs, True):
        yield mutant, ""
    for chaff in exercise.chaffs:
        for mutant in kept_mutants(chaff.function, exercise.outputs, False):
            if not _mends(mutant):
                yield mutant, chaff.misconception


def _mends(mutant: Mutant) -> bool:
    """Whether a change of a wrong answer takes away what is wrong with it: then there are no two mistakes."""
    return any(sign in mutant.words for sign in ("1e-", "clip", "eps"))


def search(exercise: Exercise, records: list[Record], bad: list[str]) -> Explanation | None:
    """The first variant that answers as the learner's function does, in every case.

    Parameters
    ----------
    records : cases with the learner's answers.
    bad : names of the outputs that are wrong.

    Returns
    -------
    its explanation; None if no variant is found in the time that a check has.
    """
    told = [record for record in records if record.answer and not record.faults]
    if not told and any(_says_little(record.call.error) for record in records):
        return None
    first = min(
        told or records, key=lambda record: (_uninformative(record, bad), sum(a.size for a in record.answer.values()))
    )
    others = [record for record in records if record is not first]
    outcome = call(_search, (exercise, first, others, bad))
    return outcome.value


def _uninformative(record: Record, bad: list[str]) -> bool:
    """Whether a case can hardly tell one mistake from another: small, or right by chance."""
    return record.case.sizes.get("N", 2) == 1 or any(
        name in record.expected and same(record.answer.get(name), record.expected[name]) for name in bad
    )


def _search(exercise: Exercise, first: Record, others: list[Record], bad: list[str]) -> Explanation | None:
    partly: dict[str, Explanation] = {}
    end = time.perf_counter() + SECONDS
    right = exercise.right(first.case.args)
    with np.errstate(all="ignore"):
        for mutant, besides in _candidates(exercise):
            if time.perf_counter() > end:
                break
            answer = _answer(exercise, mutant.function, first, right)
            if first.call.error is not None:
                if _same_error(answer, first.call.error) and all(_alike(exercise, mutant, r, bad) for r in others):
                    return _explanation(mutant, besides, bad)
                continue
            if not isinstance(answer, dict) or answer.keys() != first.answer.keys():
                continue
            hits = [name for name in first.answer if name not in partly and _equal(answer[name], first.answer[name])]
            names = [name for name in hits if name in bad]
            if not names:
                continue
            if len(hits) == len(first.answer) and all(_alike(exercise, mutant, r, list(r.expected)) for r in others):
                return _explanation(mutant, besides, bad)
            names = [
                name
                for name in names
                if not _equal(answer[name], first.expected[name])
                and all(_alike(exercise, mutant, r, [name]) for r in others)
            ]
            partly |= {name: _explanation(mutant, besides, names) for name in names}
    return next(iter(partly.values()), None)


def _answer(exercise: Exercise, function: Callable, record: Record, right: Any) -> Flat | BaseException:
    """What a variant answers, or the exception that it raises."""
    try:
        value = exercise.adapted(function)(*copy.deepcopy(record.case.args))
        answer, faults = read(value, right, exercise.outputs)
    except WrongStructure as fault:
        return fault
    except Exception as error:
        return error
    return next(iter(faults.values())) if faults else answer


def _alike(exercise: Exercise, mutant: Mutant, record: Record, names: list[str]) -> bool:
    answer = _answer(exercise, mutant.function, record, exercise.right(record.case.args))
    if record.call.error is not None:
        return _same_error(answer, record.call.error)
    if not isinstance(answer, dict):
        return isinstance(answer, WrongStructure) and any(
            fault.cause == answer.cause for fault in record.faults.values()
        )
    return all(name not in record.expected or _equal(answer.get(name), record.answer.get(name)) for name in names)


def _same_error(answer: Flat | BaseException, error: BaseException) -> bool:
    return type(answer) is type(error) and str(answer) == str(error)


def _says_little(error: BaseException | None) -> bool:
    """Whether an error's message holds no sizes, so that many mistakes would raise the same."""
    return not re.search(r"\d.*\d", str(error))


def _equal(a: np.ndarray | None, b: np.ndarray | None) -> bool:
    if a is None or b is None or a.shape != b.shape:
        return False
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return np.array_equal(np.isfinite(a), np.isfinite(b)) and np.allclose(a, b, rtol=1e-9, equal_nan=True)
    return same(a, b, 1e-9)
