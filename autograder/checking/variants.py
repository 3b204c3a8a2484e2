"""The rung of the ladder that asks: which small change of a right answer gives the learner's answer?"""

from __future__ import annotations

import builtins
import copy
import itertools
import re
import time
import types
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

import backprop
from autograder.checking.call import call, functions_of
from autograder.checking.compare import same
from autograder.checking.mutants import Mutant, mutants
from autograder.checking.structure import Flat, WrongStructure, read
from autograder.checking.values import formula

if TYPE_CHECKING:
    from autograder.checking.exercise import Chaff, Exercise, Record

SECONDS = 0.25  # for one search: a check must answer at once
AT_LEAST = 0.08  # however long the other rungs took


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


SAME_ERROR_BY_CHANCE = ("name-swapped", "index-changed")  # many of them raise what another mistake raises


class Explanation(NamedTuple):
    """A variant that answers as the learner does: slug, words, a hint, and the outputs that it explains."""

    cause: str
    likely: str
    next_step: str
    outputs: list[str]


def _explanation(mutant: Mutant, besides: str, outputs: list[str], known: set[str] | None) -> Explanation:
    words = mutant.words if known is None else _in_known_words(mutant.words, known)
    words = f"{words}; and {besides}" if besides else f"{words}."
    return Explanation(mutant.operator, words, NEXT_STEP.get(mutant.operator, OTHERWISE), outputs)


_ORDINARY = re.findall(
    r"\w+",
    """np sum mean max min maximum minimum argmax argmin abs exp log sqrt square tanh sign where dot outer prod std var
    norm clip sort cumsum transpose T swapaxes reshape ravel broadcast_to expand_dims newaxis zeros ones eye diag arange
    copy astype shape size axis keepdims""",
)
_KNOWN = {*_ORDINARY, *dir(builtins), *backprop.__all__}


def names_in(f: Callable) -> set[str]:
    """The names that a learner's function or class uses, in functions inside it, too; of none if it won't tell."""
    waiting: list = [function.__code__ for function in functions_of(f)]
    names: set[str] = set()
    while waiting:
        code = waiting.pop()
        if isinstance(code, types.CodeType):
            names |= {*code.co_varnames, *code.co_names, *code.co_cellvars}
            waiting += code.co_consts
    return names


def _in_known_words(words: str, known: set[str]) -> str:
    """The words without names that the learner has never seen: a variant comes from somebody else's code."""

    def strange(code: str) -> bool:
        return any(name not in known | _KNOWN for name in re.findall(r"[^\W\d]\w*", code))

    words = re.sub(r", (?:where|in) `([^`]+)`(?: is computed)?", lambda m: m[0] if m[1] in known else "", words)
    words = re.sub(
        r"the loop over `([^`]+)` misses its (\w+) element",
        lambda m: f"the {m[2]} element is left out of a loop, a slice or a sum" if strange(m[1]) else m[0],
        words,
    )
    words = re.sub(
        r"\bthe (term|factor|condition|comparison) `([^`]+)`",
        lambda m: f"a {m[1]}" if strange(m[2]) else m[0],
        words,
    )
    words = re.sub(r"`([^`]+)`", lambda m: "something" if strange(m[1]) else m[0], words)
    return words.replace("something stands where something belongs", "one array stands where another belongs")


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


def search(
    exercise: Exercise, f: Callable, records: list[Record], bad: list[str], until: float | None = None
) -> Explanation | None:
    """The first variant that answers as the learner's function does, in every case.

    Parameters
    ----------
    f : the learner's function: only its names are looked at.
    records : cases with the learner's answers.
    until : when to stop, on the clock ``time.thread_time``.
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
    now = time.thread_time()
    end = now + SECONDS if until is None else max(until, now + AT_LEAST)
    known = {*exercise.parameters, *exercise.outputs, *first.expected, *names_in(f)}
    return call(_search, (exercise, first, others, bad, known, end), seconds=SECONDS + AT_LEAST).value


def _uninformative(record: Record, bad: list[str]) -> bool:
    """Whether a case can hardly tell one mistake from another: small, or right by chance."""
    if record.case.sizes.get("N", 2) == 1 or any(not np.isfinite(a).all() for a in record.answer.values()):
        return True
    return any(name in record.expected and same(record.answer.get(name), record.expected[name]) for name in bad)


def _search(
    exercise: Exercise, first: Record, others: list[Record], bad: list[str], known: set[str], end: float
) -> Explanation | None:
    partly: dict[str, Explanation] = {}

    def in_all_others(mutant: Mutant, names: Callable[[Record], list[str]]) -> bool:
        return all(time.thread_time() < end and _alike(exercise, mutant, r, names(r)) for r in others)

    with np.errstate(all="ignore"):
        for mutant, besides in _candidates(exercise):
            if time.thread_time() > end:
                break
            answer = _answer(exercise, mutant.function, first)
            if first.call.error is not None:
                if mutant.operator in SAME_ERROR_BY_CHANCE:
                    continue
                if _same_error(answer, first.call.error) and in_all_others(mutant, lambda r: bad):
                    return _explanation(mutant, besides, bad, known)
                continue
            if not isinstance(answer, dict) or answer.keys() != first.answer.keys():
                continue
            hits = [name for name in first.answer if name not in partly and _equal(answer[name], first.answer[name])]
            names = [name for name in hits if name in bad]
            if not names:
                continue
            if all(_equal(answer[name], first.expected.get(name)) for name in names):
                continue  # right where the learner's answer is nearly so
            if len(hits) == len(first.answer) and in_all_others(mutant, lambda r: list(r.expected)):
                return _explanation(mutant, besides, bad, known)
            names = [
                name
                for name in names
                if not _equal(answer[name], first.expected[name]) and in_all_others(mutant, lambda r, name=name: [name])
            ]
            partly |= {name: _explanation(mutant, besides, names, known) for name in names}
    return next(iter(partly.values()), None)


def written_out(c: str) -> str:
    """The number whose reciprocal a factor is, if it looks like a size that was written into the code."""
    try:
        size = 1 / float(c)
    except (ValueError, ZeroDivisionError):
        return ""
    return f"{size:.0f}" if size > 4 and abs(size - round(size)) < 1e-3 * size else ""


def scaled_mistake(exercise: Exercise, records: list[Record], until: float) -> tuple[Chaff, str] | None:
    """A named mistake that gives the learner's answer but for one factor, which follows a formula in the sizes.

    ``until`` is a time of this thread's clock, after which no further mistake is tried.
    """
    for chaff in exercise.chaffs:
        if time.thread_time() > until:
            return None
        ratios = []
        for record in records:
            answer = _answer(exercise, chaff.function, record)
            c = _common_ratio(record.answer, answer) if isinstance(answer, dict) else None
            if c is None:
                break
            ratios += [(record.case.sizes, c)] if c else []
        else:
            if len(ratios) >= 3 and (in_words := formula(ratios)) is not None and in_words[1] not in ("0", "1"):
                return chaff, in_words[1]
    return None


def _common_ratio(a: Flat, r: Flat) -> float | None:
    """The factor between two answers; 0 if both are zero and can't tell, None if there is none."""
    if a.keys() != r.keys() or any(a[name].shape != r[name].shape for name in a):
        return None
    mine, right = (np.concatenate([flat[name].ravel().astype(float) for name in a]) for flat in (a, r))
    if not (np.isfinite(mine).all() and np.isfinite(right).all()):
        return None
    if not right.any():
        return None if mine.any() else 0.0
    c = float(right @ mine) / float(right @ right)
    return c if c and same(mine, c * right, 1e-8) else None


def _answer(exercise: Exercise, function: Callable, record: Record) -> Flat | BaseException:
    """What a variant answers, or the exception that it raises."""
    try:
        value = exercise.adapted(function)(*copy.deepcopy(record.case.args))
        answer, faults = read(value, record.right, exercise.outputs)
    except WrongStructure as fault:
        return fault
    except Exception as error:
        return error
    return next(iter(faults.values())) if faults else answer


def _alike(exercise: Exercise, mutant: Mutant, record: Record, names: list[str]) -> bool:
    answer = _answer(exercise, mutant.function, record)
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
