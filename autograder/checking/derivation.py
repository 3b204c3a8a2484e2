"""Derivation exercises: the learner types an expression, and any equal one is right."""

import itertools
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from autograder.checking.call import TimeLimit, call, not_written
from autograder.checking.exercise import Answers, Chaff, from_the_notebook
from autograder.checking.score import Finding, Score, replay_line
from autograder.checking.variants import SECONDS, kept_mutants
from autograder.checking.words import listing

POINTS = 8
PRECISION = 40
TOLERANCE = 1e-12
MOST_OPERATIONS = 60  # of expressions that SymPy takes apart in no time


@dataclass
class Derivation(Answers):
    """A step of a derivation, as a function of SymPy symbols that returns an expression, or a list of them.

    Parameters
    ----------
    name, chapter, points, signature : as in the notebook.
    make_cases : gives ``(name, args)``: the arguments are symbols, tuples of symbols, or integers.
    expected : from the same arguments, the right expression or list.
    simplex : True if the symbols are probabilities that sum to 1; expressions that are equal only
        then are right.
    formula : the expression that is asked for, shown only after many tries.
    """

    name: str
    chapter: str
    points: float
    signature: str
    make_cases: Callable[[], list[tuple[str, tuple]]]
    expected: Callable[..., Any]
    simplex: bool = False
    formula: str = ""
    wheats: list[Callable] = field(default_factory=list)
    chaffs: list[Chaff] = field(default_factory=list)

    def check(self, f: Callable, seed: int) -> Score:
        """Judge a learner's expression at random points, to 12 digits."""
        rng = np.random.default_rng(seed)
        replay = replay_line(f, self.name, seed)
        pairs: list[tuple] = []  # (answer, expected, where) for every case, point and entry
        for case, args in self.make_cases():
            try:
                answer = _read(f, args, self.expected(*args), self.signature)
                outcome = call(self._evaluate, (answer, _sequence(self.expected(*args)), args, rng, case))
                if isinstance(outcome.error, _Refused):
                    raise outcome.error
                if outcome.error is not None:
                    raise _Refused(_NOT_A_NUMBER)
                pairs += outcome.value
            except _Refused as refused:
                finding = refused.finding
                if case:
                    finding = Finding(f"For {case}: {finding.what}", finding.cause, finding.likely, finding.next_step)
                return self._score(0.0, seed, [finding], replay, "")
        summary = f"Compared at {POINTS} random points, seed {seed}."
        if all(_close(a, r) for a, r, _ in pairs):
            return self._score(float(self.points), seed, [], replay, summary)
        return self._score(0.0, seed, [self._diagnose(f, pairs, seed), *from_the_notebook(f)], replay, summary)

    def _evaluate(
        self, answer: list, expected: list, args: tuple, rng: np.random.Generator, case: str = ""
    ) -> list[tuple]:
        import sympy

        symbols = [
            s for arg in args for s in (arg if isinstance(arg, tuple) else (arg,)) if isinstance(s, sympy.Symbol)
        ]
        strange = sorted({str(s) for a in answer for s in a.free_symbols - set(symbols)})
        if strange:
            raise _Refused(
                Finding(
                    f"The expression contains `{', '.join(strange)}`, which is not among the arguments.",
                    cause="foreign-symbol",
                    next_step=f"Write it in terms of {', '.join(f'`{s}`' for s in symbols)} alone.",
                )
            )
        result = []
        for _ in range(POINTS):
            numbers = [sympy.Rational(int(n), 128) for n in rng.permutation(np.arange(8, 120))[: len(symbols)]]
            if self.simplex:
                numbers = [n / sum(numbers) for n in numbers]
            point = dict(zip(symbols, numbers, strict=True))
            at = "At " + ", ".join(f"{symbol} = {float(n):.3g}" for symbol, n in point.items())
            for i, (a, r) in enumerate(zip(answer, expected, strict=True)):
                which = f"entry {i} of your list" if len(expected) > 1 else "your expression"
                where = f"{at} (for {case}) {which}" if case else f"{at} {which}"
                result.append((a.subs(point).evalf(PRECISION), r.subs(point).evalf(PRECISION), where))
        return result

    def _diagnose(self, f: Callable, pairs: list, seed: int) -> Finding:
        for chaff in self.chaffs:
            if self._gives(chaff.function, f, seed):
                return Finding(self._example(pairs), chaff.cause, chaff.misconception, chaff.hint)
        if all(_close(a, r, 1e-3) for a, r, _ in pairs):
            return Finding(
                self._example(pairs),
                "approximate",
                "a difference quotient with a small h, or rounded constants: nearly the derivative, not it.",
                "In the quotient, let h go to 0 on paper: which terms are left?",
            )
        factors = [a / r for a, r, _ in pairs if r != 0]
        if all(_close(a, 0) for a, _, _ in pairs):
            return Finding(
                "Your expression is always 0.",
                "all-zeros",
                "something was differentiated that does not depend on the variable, or two terms cancel.",
                "Nudge the variable in an example with numbers: does the loss change?",
            )
        if factors and all(_close(q, factors[0]) for q in factors) and all(_close(a, 0) for a, r, _ in pairs if r == 0):
            c = factors[0]
            if _close(c, -1):
                return Finding(
                    "Your expression is exactly −1 × expected.",
                    "sign-flipped",
                    "a difference taken the other way round, or the inner derivative of a minus lost.",
                    "Put in numbers: should the loss rise or fall when the variable grows?",
                )
            return Finding(
                f"Your expression is exactly {float(c):.6g} × expected.",
                "constant-factor",
                "a constant of the derivative is missing or too much.",
                "What does the derivative of a square bring down? Are there constants in the definition?",
            )
        offsets = [a - r for a, r, _ in pairs]
        if all(_close(d, offsets[0]) for d in offsets):
            return Finding(
                f"Your expression is expected {'+' if offsets[0] > 0 else '−'} {abs(float(offsets[0])):.6g}.",
                "constant-offset",
                "a constant term survived, or was lost, in the derivative.",
                "What is the derivative of a constant?",
            )
        if (finding := self._compared(f, pairs)) is not None:
            return finding
        if (finding := call(self._varied, (f, pairs, seed)).value) is not None:
            return finding
        return Finding(
            self._example(pairs),
            next_step="Differentiate one step at a time: outermost function first, then what is inside it.",
        )

    def _varied(self, f: Callable, pairs: list, seed: int) -> Finding | None:
        """Which small change of a right derivation gives the learner's expression?"""
        cases = self.make_cases()
        _, args = cases[0]
        theirs = _read(f, args, self.expected(*args), self.signature)
        end = time.thread_time() + SECONDS
        for function in (self.expected, *self.wheats, *(chaff.function for chaff in self.chaffs)):
            for mutant in kept_mutants(function, (), False):
                if time.thread_time() > end:
                    return None
                try:
                    wrong = _sequence(mutant.function(*args))
                    alike = len(wrong) == len(theirs) and self._same_at_a_point(theirs, wrong, args, seed)
                    if not alike or not self._gives(mutant.function, f, seed):
                        continue
                except Exception:  # a variant may be nonsense
                    continue
                step = "Differentiate one step at a time, outermost function first, and compare each step with yours."
                return Finding(self._example(pairs), mutant.operator, f"{mutant.words}.", step)
        return None

    def _same_at_a_point(self, theirs: list, wrong: list, args: tuple, seed: int) -> bool:
        """A quick look before all points are compared."""
        import sympy

        symbols = [s for arg in args for s in (arg if isinstance(arg, tuple) else (arg,)) if hasattr(s, "free_symbols")]
        numbers = np.random.default_rng(seed).uniform(0.1, 0.9, len(symbols))
        if self.simplex:
            numbers /= numbers.sum()
        point = dict(zip(symbols, numbers, strict=True))
        return all(
            _close(a.subs(point), sympy.sympify(b).subs(point), 1e-9) for a, b in zip(theirs, wrong, strict=True)
        )

    def _compared(self, f: Callable, pairs: list) -> Finding | None:
        """The quotient or the difference of the expressions that differ first, if it can be written in few symbols."""
        import sympy

        case, args = self.make_cases()[0]
        right = self.expected(*args)

        def simplest() -> tuple | None:
            mine, expected = _read(f, args, right, self.signature), [sympy.sympify(r) for r in _sequence(right)]
            same = [sympy.expand(a - r) == 0 for a, r in zip(mine, expected, strict=True)]
            if all(same) or sum(sympy.count_ops(a) for a in mine) > MOST_OPERATIONS:
                return None
            a, r = mine[same.index(False)], expected[same.index(False)]
            symbols = [] if a.free_symbols else sorted(map(str, r.free_symbols))
            return same, sympy.cancel(a / r), sympy.expand(a - r), symbols

        outcome = call(simplest, ())
        if outcome.value is None:
            return None
        same, quotient, difference, forgotten = outcome.value
        if quotient == 0:
            return None
        which, well = "your expression", ""
        if isinstance(right, list):
            which = f"entry {same.index(False)} of your list"
            good = [str(i) for i, fine in enumerate(same) if fine]
            well = f" For {case}, {_entries(good)} right." if good else ""
        what = self._example(pairs) + well
        if forgotten:
            return Finding(
                what,
                "a-number",
                f"{which} is a number: it does not depend on {listing([f'`{name}`' for name in forgotten])}.",
                "A slope differs from place to place. Write it for any place, with the letters.",
            )
        if quotient.count_ops() <= 5:
            return Finding(
                what,
                "wrong-factor",
                f"{which} is the right one times `{quotient}`.",
                "Which factor of the chain is missing, one too many, or written for another variable?",
            )
        if difference.count_ops() <= 5:
            return Finding(
                what,
                "wrong-term",
                f"{which} is the right one plus `{difference}`.",
                "Which term does not belong there, or lost its sign?",
            )
        return None

    def _gives(self, function: Callable, f: Callable, seed: int) -> bool:
        import sympy

        for _, args in self.make_cases():
            rng = np.random.default_rng(seed)
            theirs = _read(f, args, self.expected(*args), self.signature)
            wrong = _sequence(sympy.sympify(function(*args)))
            if len(theirs) != len(wrong) or not self._same_at_a_point(theirs, wrong, args, seed):
                return False
            if not all(_close(a, b) for a, b, _ in self._evaluate(theirs, wrong, args, rng)):
                return False
        return True

    @staticmethod
    def _example(pairs: list) -> str:
        a, r, where = next(pair for pair in pairs if not _close(*pair[:2]))
        digits = 6 if _number(a, 6) != _number(r, 6) else 15
        return f"{where} is {_number(a, digits)}; it should be {_number(r, digits)}."

    def _score(self, points: float, seed: int, findings: list[Finding], replay: str, summary: str) -> Score:
        findings = [replace(finding, replay="" if finding.cause == "not-written" else replay) for finding in findings]
        return Score(self.name, points, float(self.points), seed, summary, findings)


def _entries(numbers: list[str]) -> str:
    return f"entr{'y' if len(numbers) == 1 else 'ies'} {listing(numbers)} {'is' if len(numbers) == 1 else 'are'}"


_NOT_A_NUMBER = Finding(
    "The expression does not become a number when numbers are put in, or takes too long to.",
    "wrong-type",
    next_step="Return an ordinary expression in the arguments: sums, products, powers, functions of SymPy.",
)


class _Refused(Exception):
    """The answer can't be compared; carries the finding that says why."""

    def __init__(self, finding: Finding):
        super().__init__(finding.what)
        self.finding = finding


def _read(f: Callable, args: tuple, expected: Any, signature: str) -> list:
    import sympy

    outcome = call(f, args)
    error = outcome.error
    name = signature.split("(")[0]
    if not_written(error):
        raise _Refused(
            Finding(
                "Not written yet.",
                cause="not-written",
                next_step=f"Replace `raise NotImplementedError` in `{name}` by your expression, run that cell, "
                "then this one.",
            )
        )
    if isinstance(error, TimeLimit):
        raise _Refused(Finding("Your function was still running after 2 seconds.", "endless"))
    if error is not None:
        text = str(error).strip().splitlines()
        what = f"Your function raised `{type(error).__name__}{': ' + text[0] if text else ''}`"
        step = f"It is called with SymPy symbols: `{signature}`. Use `sympy.exp`, not `math.exp` or `np.exp`."
        if found := re.search(r"no callable (\w+) method", str(error)):
            step = f"It is called with SymPy symbols, which NumPy doesn't know: use `sympy.{found[1]}`."
        elif "bool" in str(error).lower():
            step = "SymPy does not count with True and False: write `int(j == k)`, or an `if … else`."
        raise _Refused(Finding(f"{what} at {outcome.where}." if outcome.where else f"{what}.", "raised", "", step))
    value = outcome.value
    if value is None:
        raise _Refused(Finding("The function returned `None`.", "returned-none", "", "Is there a `return`?"))
    if isinstance(value, str):
        raise _Refused(
            Finding("The function returned text.", "wrong-type", "", "Return the expression itself, without quotes.")
        )
    many = isinstance(expected, list)
    reading = call(lambda: [_expression(a).doit() for a in (_items(value, len(expected)) if many else [value])], ())
    answer = reading.value
    if reading.error is not None:
        kind = f"a list of {len(expected)} SymPy expressions" if many else "one SymPy expression"
        got = "one expression" if isinstance(value, sympy.Expr) else f"a `{type(value).__name__}`"
        step = f"Collect all {len(expected)} of them in a list." if many else f"`{signature}`"
        raise _Refused(Finding(f"Expected {kind}; got {got}.", "wrong-type", "", step))
    if many and len(answer) != len(expected):
        raise _Refused(
            Finding(
                f"Expected {len(expected)} expressions; got {len(answer)}.",
                "wrong-count",
                "",
                "The arguments have other lengths in other cases: build the list in a loop over them.",
            )
        )
    return answer


def _items(value: Any, count: int) -> list:
    import sympy

    if isinstance(value, dict):
        raise TypeError
    if isinstance(value, sympy.MatrixBase | np.ndarray):
        return list(value.flatten() if isinstance(value, np.ndarray) else value)
    return list(itertools.islice(value, count + 1))


def _expression(value: Any):
    import sympy

    if isinstance(value, str | bool):
        raise TypeError
    expression = sympy.sympify(value)
    if not isinstance(expression, sympy.Expr) or expression.is_Matrix:
        raise TypeError
    return expression


def _sequence(value: Any) -> list:
    return list(value) if isinstance(value, list | tuple) or hasattr(value, "__iter__") else [value]


def _close(a, b, tolerance: float = TOLERANCE) -> bool:
    try:
        return bool(abs(complex(a) - complex(b)) <= tolerance * max(1.0, abs(complex(b))))
    except (TypeError, ValueError, OverflowError):
        return False


def _number(a, digits: int) -> str:
    try:
        return f"{float(a):.{digits}g}"
    except (TypeError, ValueError):
        return str(a)
