"""What an exercise is, and how an answer to it is judged: contract first, then values, then the diagnosis."""

import copy
import dis
import importlib
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property, wraps
from typing import Any

import numpy as np

from autograder.checking.call import SECONDS_PER_CALL, Call, TimeLimit, call, functions_of, not_written
from autograder.checking.compare import agrees, is_single, same
from autograder.checking.errors import raised
from autograder.checking.example import worked_example
from autograder.checking.score import Finding, Score, replay_line
from autograder.checking.structure import Flat, WrongStructure, flatten, named_arrays, read


@dataclass(frozen=True)
class Case:
    """One set of inputs.

    Attributes
    ----------
    name : what is special about it, such as ``"N = 1"``.
    args : arguments of the function.
    sizes : lengths of the axes by name, such as ``{"N": 7, "D": 5}``; distinct primes, so that a
        factor tells which axis it came from.
    group : cases of one group earn points together.
    """

    name: str
    args: tuple
    sizes: dict[str, int] = field(default_factory=dict)
    group: str = "values"


@dataclass(frozen=True)
class Chaff:
    """A wrong answer as learners give it: its slug, the misconception in a sentence, and a hint.

    Several mistakes may fail alike: whatever cuts a graph, for example. ``tells`` are names one of which stands in the
    code of such an answer, and by which it is told from the others; without any, numbers and errors decide alone.
    """

    function: Callable
    cause: str
    misconception: str
    hint: str
    tells: tuple[str, ...] = ()


class Answers:
    """The answers that an exercise's tests are made of: lists ``wheats``, correct ones, and ``chaffs``, wrong ones."""

    wheats: list[Callable]
    chaffs: list[Chaff]

    def wheat(self, function: Callable) -> Callable:
        """Register a correct answer in unusual style."""
        self.wheats.append(function)
        return function

    def chaff(self, cause: str, misconception: str, hint: str, tells: tuple[str, ...] = ()) -> Callable:
        """Register a wrong answer; the order of registration is the order of plausibility."""

        def register(function: Callable) -> Callable:
            self.chaffs.append(Chaff(function, cause, misconception, hint, tells))
            return function

        return register


@dataclass
class Record:
    """One case, what was expected of it, and what the learner's function answered."""

    case: Case
    right: Any  # what the reference answers
    expected: Flat
    answer: Flat = field(default_factory=dict)
    faults: dict[str, WrongStructure] = field(default_factory=dict)
    call: Call = field(default_factory=Call)
    changed: list[str] = field(default_factory=list)  # arguments that the call changed
    shared: list[tuple[str, str]] = field(default_factory=list)  # results that share memory, and with what
    intermediates: Flat | None = None  # what the reference computes on the way, once somebody asks for it
    at_hand: dict[tuple[int, ...], Flat] = field(default_factory=dict)  # the same, by the shape that was asked for


@dataclass
class Exercise(Answers):
    """An exercise: its contract, its cases, its reference, and the answers that its tests are made of.

    Parameters
    ----------
    name, chapter, points : as in the notebook.
    signature : of the function to write, such as ``"linear_backward(dZ, X, W)"``.
    outputs : names of the results, in order.
    reference : a correct implementation; None where ``answers`` brings it.
    make_cases : draws the cases from a random generator.
    upstream : the argument in which the answer must be linear, if there is one.
    oracle : for exercises with more than one right answer: given the learner's answer and the
        arguments, the right answer that is nearest. Takes the place of ``reference`` in the verdict.
    properties : further demands, each a function of the learner's function that gives a Finding or None.
    may_alias : True if the result may share memory with an argument.
    explain : a rung of the ladder of its own: from the learner's function a Finding, or None.
    partial_credit : False if only a right answer earns points.
    adapt : for contracts that speak of more than arrays (graphs, generators): makes of a function that
        keeps the contract one from the cases' arguments to arrays. It raises WrongStructure for an answer
        that can't be read. Reference, wheats, chaffs and the learner's function all go through it.
    arguments : names of the cases' arguments, where ``adapt`` takes others than the signature has.
    formula : the line of code or mathematics that is asked for, shown only after many tries.
    answers : name of the module that registers the reference, the wheats and the chaffs, where that is another one: it
        is imported when one of them is needed. So an exercise about PyTorch can be listed without importing PyTorch.
    """

    name: str
    chapter: str
    points: float
    signature: str
    outputs: tuple[str, ...]
    reference: Callable | None
    make_cases: Callable[[np.random.Generator], list[Case]]
    upstream: str | None = None
    oracle: Callable[..., Any] | None = None
    properties: tuple[Callable[[Callable, int], Finding | None], ...] = ()
    may_alias: bool = False
    explain: Callable[[Callable], Finding | None] | None = None
    partial_credit: bool = True
    adapt: Callable[[Callable], Callable] | None = None
    arguments: tuple[str, ...] = ()
    formula: str = ""
    answers: str = ""
    wheats: list[Callable] = field(default_factory=list)
    chaffs: list[Chaff] = field(default_factory=list)

    def __post_init__(self):
        if self.answers and self.reference is None:
            del self.reference, self.wheats, self.chaffs  # whoever asks for one of them meets __getattr__

    def __getattr__(self, name: str) -> Any:
        if name not in ("reference", "wheats", "chaffs"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        self.wheats, self.chaffs = [], []
        importlib.import_module(self.answers)
        return self.__dict__[name]

    def refer(self, function: Callable) -> Callable:
        """Register the reference."""
        self.reference = function
        return function

    def adapted(self, f: Callable) -> Callable:
        """A function that keeps the contract, as one from the cases' arguments to arrays."""
        return f if self.adapt is None else wraps(f)(self.adapt(f))

    def right(self, args: tuple) -> Any:
        """What the reference answers; it gets copies."""
        return self.adapted(self.reference)(*copy.deepcopy(args))

    @cached_property
    def parameters(self) -> tuple[str, ...]:
        if self.arguments:
            return self.arguments
        inside = self.signature[self.signature.index("(") + 1 : self.signature.rindex(")")]
        return tuple(part.strip() for part in inside.split(","))

    def check(self, f: Callable, seed: int) -> Score:
        """Judge a learner's function. Raises nothing that ``f`` does."""
        from autograder.checking.diagnose import diagnose, why_raised

        replay = replay_line(f, self.name, seed)
        cases = self.make_cases(np.random.default_rng(seed))
        first = self.make_cases(np.random.default_rng([seed, 1]))[0]  # same shapes: finds what is kept between calls
        cases.append(replace(first, name=f"{first.name}, other numbers"))
        records = self._run(f, cases)
        stop = self._stopped(records, len(cases))
        if stop is not None:
            written = stop.cause != "not-written"
            error = records[0].call.error
            if error is not None and not isinstance(error, TimeLimit) and not not_written(error):
                stop = why_raised(self, f, records) or stop
            score = self._score(0.0, seed, [stop, *(from_the_notebook(f) if written else [])], replay, "")
            return replace(score, example=worked_example(self, records) if written else None)

        wrong = self._wrong(records)
        conduct = self._conduct(f, records, wrong, seed)
        findings = diagnose(self, f, records, wrong) if any(wrong.values()) else []
        causes = {finding.cause for finding in findings}
        conduct = [finding for finding in conduct if finding.cause not in causes]
        findings = conduct + findings if self._all_wrong(records, wrong) else findings + conduct
        findings += (from_the_notebook(f) if findings else []) + _notes(records)
        points = self._points(records, wrong, conduct)
        summary = f"{len(records)} cases, seed {seed}: " + "; ".join(record.case.name for record in records) + "."
        return replace(self._score(points, seed, findings, replay, summary), example=worked_example(self, records))

    def _run(self, f: Callable, cases: list[Case]) -> list[Record]:
        records = []
        for case in cases:
            right = self.right(case.args)
            record = Record(case, right, flatten(right, self.outputs))
            records.append(record)
            args = copy.deepcopy(case.args)
            record.call = call(self.adapted(f), args)
            if isinstance(record.call.error, WrongStructure):
                record.faults = dict.fromkeys(record.expected, record.call.error)
                record.call.error = None
            elif record.call.error is None:
                reading = call(read, (record.call.value, right, self.outputs))
                if isinstance(reading.error, WrongStructure):
                    record.faults = dict.fromkeys(record.expected, reading.error)
                elif reading.error is not None:
                    record.call.error = reading.error
                else:
                    record.answer, record.faults = reading.value
            if self.oracle is not None and record.answer and not record.faults:
                nearest = self.oracle(record.call.value, *copy.deepcopy(case.args))
                record.expected = flatten(nearest, self.outputs)
            if isinstance(record.call.error, TimeLimit) or not_written(record.call.error):
                break
            if record.call.error is None:
                self._watch(record, args)
        return records

    def _watch(self, record: Record, args: tuple) -> None:
        """Note on the record what the call did to its arguments."""
        before = dict(named_arrays(record.case.args, self.parameters))
        after = dict(named_arrays(args, self.parameters))
        record.changed = [
            name
            for name in before | after
            if name not in before or name not in after or not _identical(before[name], after[name])
        ]
        if not self.may_alias:
            for name, a in record.answer.items():
                record.shared += [(name, other) for other, b in after.items() if np.shares_memory(a, b)]
                record.shared += [
                    (name, other) for other, b in record.answer.items() if other > name and np.shares_memory(a, b)
                ]

    def _stopped(self, records: list[Record], expected: int) -> Finding | None:
        """A finding that ends the check: not written, endless, or failing in the same way in every case."""
        error = records[-1].call.error
        if not_written(error):
            return Finding(
                "Not written yet.",
                cause="not-written",
                next_step=f"Replace `raise NotImplementedError` in `{self.name}` by your code, run that cell, "
                "then this one.",
            )
        if isinstance(error, TimeLimit):
            return Finding(
                f"In the case “{records[-1].case.name}” your function was still running after "
                f"{SECONDS_PER_CALL:g} seconds, at {records[-1].call.where or 'a place in a library'}.",
                cause="endless",
                likely="a loop whose condition never becomes false, or far more work than is needed.",
                next_step="Print the loop's variable in the first ten rounds. Does it move towards the end?",
            )
        errors = {type(record.call.error).__name__ for record in records}
        if all(record.call.error is not None for record in records) and len(errors) == 1:
            return raised(self, records[0], "every case")
        if all(record.faults and not record.answer for record in records):
            fault = next(iter(records[0].faults.values()))
            return Finding(f"{fault}", cause=fault.cause, next_step=fault.next_step or f"`{self.signature}`")
        return None

    def _wrong(self, records: list[Record]) -> dict[str, dict[str, np.ndarray | None]]:
        """For every output the cases, by name, in which it is wrong: a mask of its entries, None if no array."""
        wrong: dict[str, dict[str, np.ndarray | None]] = {}
        for record in records:
            for name, r in record.expected.items():
                bad = wrong.setdefault(name, {})
                a = record.answer.get(name)
                if a is None or a.shape != r.shape:
                    bad[record.case.name] = None
                elif not (good := agrees(a, r) | self._rounding(record, name)).all():
                    bad[record.case.name] = ~good
        return wrong

    def _rounding(self, record: Record, name: str) -> np.ndarray | bool:
        """For an answer in single precision the entries that err no more than the reference would in that precision."""
        a, r = record.answer[name], record.expected[name]
        if self.oracle is not None or not is_single(a):
            return False
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            try:
                single = flatten(self.right(_in_single_precision(record.case.args)), self.outputs)[name]
                error = np.abs(single - r).max(initial=0.0)
            except Exception:  # a reference that takes double precision only
                error = np.finfo(np.float32).eps * np.abs(r).max(initial=0.0)
            return np.abs(a - r) <= 20 * error

    def _all_wrong(self, records: list[Record], wrong: dict) -> bool:
        return not any(self._share(records, wrong, name, group) for name in wrong for group in self._groups(records))

    @staticmethod
    def _groups(records: list[Record]) -> list[str]:
        return list(dict.fromkeys(record.case.group for record in records))

    @staticmethod
    def _share(records: list[Record], wrong: dict, name: str, group: str) -> float | None:
        """1 if an output is right in a group of cases, 0 if not; None if the group can't tell: it is zero there."""
        cases = [
            r.case.name
            for r in records
            if r.case.group == group and name in r.expected and (r.expected[name].any() or r.case.name in wrong[name])
        ]
        return float(not any(case in wrong[name] for case in cases)) if cases else None

    def _points(self, records: list[Record], wrong: dict, conduct: list[Finding]) -> float:
        """Each output, in each group of cases, earns its share of 80 %; good conduct the other 20 %."""
        if not any(wrong.values()) and not conduct:
            return float(self.points)
        groups = self._groups(records)
        if not self.partial_credit or not any(self._share(records, wrong, name, groups[0]) for name in wrong):
            return 0.0  # special cases earn nothing where the general one is wrong
        parts = [self._share(records, wrong, name, group) for name in wrong for group in groups]
        earned = float(np.mean([part for part in parts if part is not None]))
        return round(self.points * (0.8 * earned + (0.0 if conduct else 0.2)), 2)

    def _conduct(self, f: Callable, records: list[Record], wrong: dict, seed: int) -> list[Finding]:
        """Faults that right values can hide: changed arguments, shared memory, memory of earlier calls."""
        findings = []
        changed = sorted({name for record in records for name in record.changed})
        if changed:
            names = ", ".join(f"`{name}`" for name in changed)
            findings.append(
                Finding(
                    f"Your function changed its argument {names}.",
                    cause="argument-changed",
                    likely="an operation in place (`-=`, `*=`, `a[...] = …`) on an array that belongs to the caller.",
                    next_step=_how_to_copy(changed[0]),
                )
            )
        if self._all_wrong(records, wrong):
            return findings
        shared = next((pair for record in records for pair in record.shared if not wrong[pair[0]]), None)
        if shared and not changed:
            findings.append(
                Finding(
                    f"The result `{shared[0]}` shares its memory with `{shared[1]}`: a later change to one changes "
                    "the other.",
                    cause="shared-memory",
                    likely="an array, or a view of it, was returned instead of a new array.",
                    next_step="Return a copy of it.",
                )
            )
        if not findings:
            findings += [finding for test in self.properties if (finding := test(f, seed)) is not None]
        if not findings and (again := self.again(f, records[0])) is not None:
            findings.append(again)
        return findings

    def again(self, f: Callable, record: Record) -> Finding | None:
        """The first case once more, after all the others: the answer must be what it was."""
        if record.call.error is not None or not record.answer:
            return None
        second = call(self.adapted(f), copy.deepcopy(record.case.args))
        reading = call(read, (second.value, record.right, self.outputs))
        answer = reading.value[0] if reading.error is None else {}
        if all(
            same(answer.get(name), a, 1e-12) or np.array_equal(answer.get(name), a, equal_nan=True)
            for name, a in record.answer.items()
        ):
            return None
        return Finding(
            "The same arguments gave another answer when your function was called again.",
            cause="remembers",
            likely="something survives from one call to the next (a global variable, a mutable default argument, "
            "an accumulator), or a random number is drawn.",
            next_step="Which variables of your function were not created inside it?",
        )

    def _score(self, points: float, seed: int, findings: list[Finding], replay: str, summary: str) -> Score:
        findings = [replace(finding, replay="" if finding.cause == "not-written" else replay) for finding in findings]
        return Score(self.name, points, float(self.points), seed, summary, findings)


def _how_to_copy(name: str) -> str:
    whole = re.split(r"[.[]", name)[0]
    if whole == name:
        return f"Copy first (`{name}.copy()`), or make a new array: `a = a * 2`, not `a *= 2`."
    return (
        "Make new arrays (`a = a * 2`, not `a *= 2`), or copy the arrays themselves: a copy of "
        f"`{whole}` would hold the same ones."
    )


def from_the_notebook(f: Callable) -> list[Finding]:
    """A remark if a wrong answer reads numbers or arrays that are not its own: a notebook's `N`, say."""
    names = {
        i.argval
        for function in functions_of(f)
        for i in dis.get_instructions(function)
        if i.opname == "LOAD_GLOBAL"
        and isinstance(function.__globals__.get(i.argval), int | float | np.ndarray | np.number)
    }
    if not names:
        return []
    listing = ", ".join(f"`{name}`" for name in sorted(names))
    return [
        Finding(
            f"Your function reads {listing} from the notebook, not from its arguments.",
            "global-variable",
            "a size or an array of the notebook is used, and the arguments have others.",
            "Take sizes from the arguments, for example `N = len(X)` or `N, C = Z.shape`.",
            note=True,
        )
    ]


def _notes(records: list[Record]) -> list[Finding]:
    """Remarks that cost no points: the function printed or warned."""
    printed = next((record.call.printed for record in records if record.call.printed), "")
    notes = []
    if printed:
        notes.append(Finding(f"Your function printed: `{_cut(printed, 60)}`", "prints", note=True))
    warned = next((record for record in records if record.call.warnings), None)
    if warned is not None:
        notes.append(
            Finding(
                f"In the case “{warned.case.name}” there was a warning: `{_cut(warned.call.warnings[0], 90)}`",
                "warns",
                note=True,
            )
        )
    return notes


def _cut(text: str, width: int) -> str:
    """The first line, to that many characters; a longer one ends with a whole word."""
    line = next(iter(text.strip().splitlines()), "")
    return line if len(line) <= width else f"{line[:width].rpartition(' ')[0] or line[:width]} …"


def _in_single_precision(value: Any) -> Any:
    if isinstance(value, np.ndarray) and value.dtype == np.float64:
        return value.astype(np.float32)
    if isinstance(value, dict):
        return {key: _in_single_precision(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(_in_single_precision(item) for item in value)
    return value


def _identical(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()
