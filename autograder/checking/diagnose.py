"""From a wrong answer to its likely cause: a ladder of hypotheses.

A hypothesis counts only if it reproduces the answer in *all* cases that it speaks of. The first
rung that does so wins; if none does, the worst entry is shown and no cause is named.
"""

from __future__ import annotations

import copy
import itertools
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from autograder.checking.call import call
from autograder.checking.compare import agrees, cosine, same
from autograder.checking.hypotheses import without_example, wrong_inputs
from autograder.checking.score import Finding
from autograder.checking.structure import WrongStructure, flatten, read

if TYPE_CHECKING:
    from autograder.checking.exercise import Exercise, Record

Wrong = dict[str, dict[str, np.ndarray | None]]
AXES = {"N": "examples", "D": "features", "M": "outputs", "C": "classes", "H": "hidden units"}


def diagnose(exercise: Exercise, f: Callable, records: list[Record], wrong: Wrong) -> list[Finding]:
    """Findings for the outputs that are wrong; ``wrong`` maps output and case to a mask of wrong entries."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):  # the learner's numbers may be inf, nan or huge
        warnings.simplefilter("ignore")
        try:
            return _climb(exercise, f, records, wrong)
        except Exception as error:  # a check never raises; that its diagnosis failed is said
            what = f"The answer is not right. (Looking for the cause failed with `{type(error).__name__}`.)"
            return [Finding(what, next_step="Please report this answer to the authors of the book.")]


def _climb(exercise: Exercise, f: Callable, records: list[Record], wrong: Wrong) -> list[Finding]:
    named = _named_mistake(exercise, records, wrong)
    if named is not None:
        return [_with_the_good(named, wrong, records)]

    raised = [record for record in records if record.call.error is not None]
    answered = [record for record in records if record.call.error is None]
    findings: list[Finding] = []
    if raised:
        findings.append(_raised_in_some_cases(exercise, raised, answered))
    if (shapeless := _no_structure(answered)) is not None:
        findings.append(shapeless)
    answered = [record for record in answered if record.answer]
    if findings:
        named = _named_mistake(exercise, answered, wrong) if answered else None
        return [*findings, named] if named else findings

    bad = [name for name in wrong if any(r.case.name in wrong[name] for r in answered)]
    if (finding := _common_factor(bad, answered)) is not None:
        return [_with_the_good(finding, wrong, records)]
    for rung in (_kept_from_the_first_call, _wrong_input, _example_left_out):
        if not exercise.oracle and (finding := rung(exercise, answered, wrong)) is not None:
            return [_with_the_good(finding, wrong, records)]
    if exercise.explain is not None and (finding := exercise.explain(f)) is not None:
        return [_with_the_good(finding, wrong, records)]
    by_cause: dict[str, list[str]] = {}
    single: dict[str, Finding] = {}
    for name in bad:
        single[name] = _one_output(exercise, f, name, answered, wrong[name])
        by_cause.setdefault(f"{single[name].cause}|{single[name].likely}", []).append(name)
    for names in by_cause.values():
        *others, nearest = names  # outputs are listed from the input to the loss; a mistake spreads the other way
        finding = single[nearest]
        if others:
            listing = _listing([f"`{name}`" for name in others])
            verb = "is" if len(others) == 1 else "are"
            more = f"The same holds for {listing}." if finding.cause else f"{listing} {verb} wrong as well."
            if finding.cause == "outputs-swapped":
                more = f"{listing} {verb} out of place as well."
            finding = replace(finding, what=f"{finding.what} {more}")
        findings.append(finding)
    findings[-1] = _with_the_good(findings[-1], wrong, records)
    return findings


def _with_the_good(finding: Finding, wrong: Wrong, records: list[Record]) -> Finding:
    """Add to a finding which outputs are right; of networks of several depths, those that all have."""
    good = [f"`{name}`" for name in wrong if not wrong[name] and all(name in record.expected for record in records)]
    if not good:
        return finding
    remark = f"{_listing(good)} {'is' if len(good) == 1 else 'are'} right."
    return replace(finding, next_step=f"{finding.next_step} ({remark})".strip())


def _cases(records: list[Record]) -> str:
    """ "the case “N = 1”", "the cases “7 × 5” and “square”"; at most three are named."""
    names = _listing([f"“{record.case.name}”" for record in records[:3]])
    return f"the case{'s' if len(records) > 1 else ''} {names}" + (" and others" if len(records) > 3 else "")


def _listing(items: list[str]) -> str:
    return " and ".join([", ".join(items[:-1]), items[-1]]) if len(items) > 1 else "".join(items)


def _kept_from_the_first_call(exercise: Exercise, records: list[Record], wrong: Wrong) -> Finding | None:
    """Right in the first case, and wrong in the same case with other numbers."""
    first, last = records[0].case.name, records[-1].case.name
    if not last.startswith(first) or last == first or any(first in bad for bad in wrong.values()):
        return None
    if not any(last in bad for bad in wrong.values()):
        return None
    return Finding(
        f"The first call is right; a later call with other numbers, of the same shapes (“{last}”), is not.",
        "remembers",
        "something is kept from an earlier call: a global variable, a mutable default argument, a cached array.",
        "Which variables of your function were not created inside it?",
    )


def _predicted(exercise: Exercise, args: tuple) -> dict[str, np.ndarray] | None:
    """What the reference gives for some arguments; None if it can't take them."""
    outcome = call(exercise.reference, copy.deepcopy(args))
    return None if outcome.error is not None else flatten(outcome.value, exercise.outputs)


def _matches(record: Record, predicted: dict[str, np.ndarray] | None, factor: float = 1.0) -> bool:
    if predicted is None or predicted.keys() != record.answer.keys() or record.faults:
        return False
    return all(_equal_with_nan(factor * predicted[name], a) for name, a in record.answer.items())


def _wrong_input(exercise: Exercise, records: list[Record], wrong: Wrong) -> Finding | None:
    """Is the answer right for inputs that are mistaken in some way, in all cases?"""
    first = max(records, key=lambda record: sum(a.size for a in record.answer.values()))
    for cause, words, change in wrong_inputs(first.case.args, exercise.parameters):
        if not _matches(first, _predicted_with(exercise, first, change)):
            continue
        told = [record for record in records if record.answer]
        if all(_matches(record, _predicted_with(exercise, record, change)) for record in told):
            name = next(name for name in wrong if wrong[name])
            worst = next(record for record in told if record.case.name in wrong[name])
            return Finding(
                _difference(name, worst),
                cause,
                f"{words}; everything else is right.",
                "Find the line where it comes in, and look at what is done with it.",
            )
    return None


def _predicted_with(exercise: Exercise, record: Record, change: Callable) -> dict[str, np.ndarray] | None:
    args = change(copy.deepcopy(record.case.args))
    return None if args is None else _predicted(exercise, args)


def _example_left_out(exercise: Exercise, records: list[Record], wrong: Wrong) -> Finding | None:
    """Is the answer that of the batch without its first or last example?"""
    told = []
    for record in records:
        lengths = list(record.case.sizes.values())
        if record.answer and record.case.sizes.get("N", 0) > 1 and lengths.count(record.case.sizes["N"]) == 1:
            told.append(record)  # in a square case, other axes are as long as the batch
    if len(told) < 3:
        return None
    for i, word in enumerate(("first", "last")):
        for keeps_n in (True, False):
            for record in told:
                N = record.case.sizes["N"]
                _, args = list(without_example(record.case.args, N))[i]
                factor = (N - 1) / N if keeps_n else 1.0
                if not _matches(record, _predicted(exercise, args), factor):
                    break
            else:
                name = next(name for name in wrong if wrong[name])
                return Finding(
                    _difference(name, told[0]),
                    "example-left-out",
                    f"the {word} example of the batch is left out; everything else is right.",
                    "Over which indices does your loop run, or your slice reach? A batch has the rows 0 to N − 1.",
                )
    return None


def _no_structure(records: list[Record]) -> Finding | None:
    """Answers that could not be read at all, in some of the cases."""
    bad = [record for record in records if record.faults and not record.answer]
    if not bad:
        return None
    fault = next(iter(bad[0].faults.values()))
    return Finding(f"In {_cases(bad)}: {fault}", fault.cause, next_step=fault.next_step)


def _raised_in_some_cases(exercise: Exercise, raised: list[Record], answered: list[Record]) -> Finding:
    where = _cases(raised)
    finding = exercise._raised(raised[0], where)
    alike = {record.case.name for record in answered}
    if isinstance(raised[0].call.error, ValueError) and alike and all("square" in name for name in alike):
        return Finding(
            f"{finding.what} It runs only in {', '.join(f'“{name}”' for name in sorted(alike))}.",
            "fits-only-square",
            "a product whose factors fit only where matrices are square: one is not transposed, or they stand in "
            "the wrong order.",
            "Write the shape of each factor beside it: (n, k) @ (k, m) gives (n, m).",
        )
    if not answered:
        return finding
    return Finding(f"{finding.what} It runs in {_cases(answered)}.", finding.cause, finding.likely, finding.next_step)


def _named_mistake(exercise: Exercise, records: list[Record], wrong: Wrong) -> Finding | None:
    """Does a chaff of this exercise give the learner's answer, or fail as it does, in every case?"""
    for chaff in exercise.chaffs:
        if all(_gives(exercise, chaff.function, record) for record in records):
            raised = next((record for record in records if record.call.error is not None), None)
            if raised is not None:
                what = exercise._raised(raised, f"the case “{raised.case.name}”").what
                return Finding(what, chaff.cause, chaff.misconception, chaff.hint)
            bad = [name for name in wrong if any(record.case.name in wrong[name] for record in records)]
            if not bad:
                return None
            factor = _common_factor(bad, records)
            worst = next(record for record in records if record.case.name in wrong[bad[0]])
            what = factor.what if factor else _difference(bad[0], worst)
            return Finding(what, chaff.cause, chaff.misconception, chaff.hint)
    return None


def _gives(exercise: Exercise, function: Callable, record: Record) -> bool:
    outcome = call(function, copy.deepcopy(record.case.args))
    if outcome.error is not None or record.call.error is not None:
        return _alike(outcome.error, record.call.error)
    right = exercise.reference(*copy.deepcopy(record.case.args))
    try:
        answer, faults = read(outcome.value, right, exercise.outputs)
    except WrongStructure:
        return False
    if faults.keys() != record.faults.keys() or answer.keys() != record.answer.keys():
        return False
    return all(_equal_with_nan(answer[name], a) for name, a in record.answer.items())


def _alike(a: BaseException | None, b: BaseException | None) -> bool:
    return a is not None and b is not None and type(a) is type(b) and str(a).split()[:3] == str(b).split()[:3]


def _equal_with_nan(a: np.ndarray, b: np.ndarray) -> bool:
    if a.shape != b.shape or not np.array_equal(np.isnan(a), np.isnan(b)):
        return False
    finite = np.isfinite(a) & np.isfinite(b)
    outside = np.isinf(a) | np.isinf(b)
    return np.array_equal(a[outside], b[outside]) and same(np.where(finite, a, 0.0), np.where(finite, b, 0.0), 1e-9)


def _one_output(exercise: Exercise, f: Callable, name: str, records: list[Record], bad: dict) -> Finding:
    records = [record for record in records if name in record.expected]
    faults = [record.faults[name] for record in records if name in record.faults]
    if faults:
        return Finding(str(faults[0]), faults[0].cause, next_step=faults[0].next_step)
    for rung in (_transposed, _wrong_shape, _not_finite, _not_real_numbers, _other_output, _an_input):
        finding = rung(exercise, name, records)
        if finding is not None:
            return finding
    finite = [r for r in records if np.isfinite(r.answer[name]).all()]
    wide = [(r, r.answer[name].astype(float), r.expected[name].astype(float)) for r in finite]
    for rung in (
        _rounded,
        _factor,
        _upstream,
        _clipped,
        _transform,
        _extra_term,
        _extra_factor,
        _local_slope,
        _per_row,
    ):
        finding = rung(exercise, f, name, wide)
        if finding is not None:
            return finding
    return _only_there(exercise, name, records, bad)


def _difference(name: str, record: Record) -> str:
    """The worst entry of an output, with both numbers, or the two shapes."""
    r = record.expected[name]
    a = record.answer.get(name)
    if a is None:
        return f"In the case “{record.case.name}” `{name}` is missing."
    if a.shape != r.shape:
        return f"In the case “{record.case.name}” `{name}` should have shape {r.shape} and has {a.shape}."
    with np.errstate(all="ignore"):
        gap = np.where(np.isfinite(a), np.abs(a - r), np.inf)
    index = np.unravel_index(int(np.argmax(gap)), r.shape)
    entry = f"[{', '.join(map(str, index))}]" if r.ndim else ""
    return (
        f"In the case “{record.case.name}” `{name}{entry}` should be {float(r[index]):.6g} and is "
        f"{float(a[index]):.6g}."
    )


# Rungs that need no arithmetic: shapes, types, mix-ups.


def _transposed(exercise: Exercise, name: str, records: list[Record]) -> Finding | None:
    if not all(r.answer[name].ndim == r.expected[name].ndim == 2 for r in records):
        return None
    if not all(same(r.answer[name].T, r.expected[name], 1e-7) for r in records):
        return None
    return Finding(
        _difference(name, records[0]),
        "transposed",
        "this is the transpose of the right answer.",
        "Write the shapes of the factors side by side: which product has the shape of the thing itself?",
    )


def _wrong_shape(exercise: Exercise, name: str, records: list[Record]) -> Finding | None:
    bad = [r for r in records if r.answer[name].shape != r.expected[name].shape]
    if not bad:
        return None
    fine = _listing([f"“{r.case.name}”" for r in records if r.answer[name].shape == r.expected[name].shape])
    what = _difference(name, bad[0]) + (f" Its shape is right in {fine}." if fine else "")
    explained = [_shape_explained(r.answer[name], r.expected[name]) for r in bad]
    if all(explained):
        return Finding(what, *Counter(explained).most_common(1)[0][0])
    for other in bad[0].expected:
        if other != name and all(same(r.answer[name], r.expected.get(other), 1e-7) for r in records):
            return _swapped(name, other)
    if fine:
        return Finding(
            what,
            "shape-in-some-cases",
            "an operation that does something else where axes are 1 long, or equally long (`squeeze`, broadcasting), "
            "or that treats only some of the axes.",
            f"Print the shape of every step for an input like that of “{bad[0].case.name}”.",
        )
    return Finding(
        what,
        "wrong-shape",
        next_step=f"The gradient of a thing has the shape of the thing. Signature: `{exercise.signature}`.",
    )


def _shape_explained(a: np.ndarray, r: np.ndarray) -> tuple[str, str, str] | None:
    """Cause, likely cause in words and next step, if an answer of the wrong shape holds the right numbers."""
    if a.size == r.size and same(a.reshape(r.shape), r, 1e-7):
        word = "dropped" if a.ndim < r.ndim else "kept or added"
        likely = f"the numbers are right; an axis of length 1 was {word}."
        return "wrong-shape", likely, "Look for `keepdims`, `reshape` or `None` in an index."
    if a.ndim == r.ndim == 2 and same(a.T, r, 1e-7):
        return "transposed", "the numbers are right; the two axes have changed places.", "Which axis is which?"
    for way, verb in ((np.sum, "summed"), (np.mean, "averaged")):
        for count in range(1, a.ndim + 1):
            for axes in itertools.combinations(range(a.ndim), count):
                if any(same(way(a, axis=axes, keepdims=keep), r, 1e-7) for keep in (False, True)):
                    return (
                        f"not-{verb}",
                        f"{'axis' if count == 1 else 'axes'} {_listing([str(axis) for axis in axes])} "
                        f"{'was' if count == 1 else 'were'} not {verb} over.",
                        "Each entry of the right answer collects something from every position along an axis that it "
                        "does not have. Which operation collects?",
                    )
    for way, verb in ((np.sum, "summed"), (np.mean, "averaged")):
        for count in range(1, r.ndim + 1):
            for axes in itertools.combinations(range(r.ndim), count):
                if any(same(way(r, axis=axes, keepdims=keep), a, 1e-7) for keep in (False, True)):
                    return (
                        "reduced-too-far",
                        "the whole array was " + verb + " into one number."
                        if count == r.ndim
                        else f"axis {axes[0]} was {verb} away.",
                        "The result has one entry for each thing that can be nudged. Which axis may be reduced here?",
                    )
    return None


def _not_finite(exercise: Exercise, name: str, records: list[Record]) -> Finding | None:
    bad = [r for r in records if not np.isfinite(r.answer[name]).all()]
    others = [r for r in records if r not in bad]
    if not bad or any(not agrees(r.answer[name], r.expected[name]).all() for r in others):
        return None  # there is something else to be mended first
    where = "every case" if len(bad) == len(records) else _cases(bad)
    kinds = "nan" if any(np.isnan(r.answer[name]).any() for r in bad) else "inf"
    return Finding(
        f"`{name}` has {kinds} in {where}.",
        "not-finite",
        "an exponential that overflows, a division 0/0, or the logarithm of 0.",
        "`np.exp(710)` is inf, `np.log(0)` is -inf. Which intermediate value gets there first? "
        "Can the same thing be written so that it stays small?",
    )


def _not_real_numbers(exercise: Exercise, name: str, records: list[Record]) -> Finding | None:
    kinds = {r.answer[name].dtype.kind for r in records}
    if kinds <= {"i", "u", "b"} and all(r.expected[name].dtype.kind == "f" for r in records):
        dtype = records[0].answer[name].dtype
        return Finding(
            f"`{name}` has dtype `{dtype}`; expected floating-point numbers.",
            "integer-dtype",
            "a comparison or an integer array was returned, or values were stored into an array of integers.",
            "Where was the array made? `np.zeros_like(y)` takes over the dtype of `y`.",
        )
    return None


def _swapped(name: str, other: str) -> Finding:
    return Finding(
        f"`{name}` is what `{other}` should be.",
        "outputs-swapped",
        "results returned in another order, or under another's name.",
        "Compare the order in your `return` with the signature.",
    )


def _other_output(exercise: Exercise, name: str, records: list[Record]) -> Finding | None:
    for other in records[0].expected:
        if other != name and all(
            other in r.expected and same(r.answer[name], r.expected[other], 1e-7) for r in records
        ):
            return _swapped(name, other)
    return None


def _an_input(exercise: Exercise, name: str, records: list[Record]) -> Finding | None:
    from autograder.checking.exercise import _arrays

    for other in dict(_arrays(records[0].case.args, exercise.parameters)):
        inputs = [dict(_arrays(r.case.args, exercise.parameters)).get(other) for r in records]
        if all(b is not None and same(r.answer[name], b, 1e-9) for r, b in zip(records, inputs, strict=True)):
            return Finding(
                f"`{name}` is the argument `{other}`, unchanged.",
                "input-returned",
                "the step that this function stands for has not been taken.",
                f"Which line of yours should turn `{other}` into something else?",
            )
    return None


# Rungs with arithmetic. Each takes (record, answer, expected) of every case, of equal shapes.

Wide = list[tuple["Record", np.ndarray, np.ndarray]]


def _ratio(a: np.ndarray, r: np.ndarray) -> float | None:
    """The number c with a = c·r in every entry, if there is one."""
    norm = float(np.vdot(r, r))
    if not np.isfinite(a).all() or norm == 0:
        return None
    c = float(np.vdot(r, a)) / norm
    return c if c != 0 and agrees(a / c, r, 1e-7).all() else None


def _common_factor(names: list[str], records: list[Record]) -> Finding | None:
    """One factor that explains all outputs that are wrong, in all cases."""
    ratios, cases = [], set()
    for record in records:
        for name in names:
            r, a = record.expected.get(name), record.answer.get(name)
            if r is None or not r.any():
                continue
            if a is None or a.shape != r.shape or (c := _ratio(a.astype(float), r)) is None:
                return None
            ratios.append((record.case.sizes, c))
            cases.add(record.case.name)
    if len(cases) < 3 or (formula := _formula(ratios)) is None or all(abs(c - 1) < 1e-3 for _, c in ratios):
        return None
    cause, text, likely, step = formula
    verb = "is" if len(names) == 1 else "are"
    return Finding(
        f"{_listing([f'`{name}`' for name in names])} {verb} exactly {text} × expected, in all {len(cases)} cases.",
        cause,
        likely,
        step,
    )


def _factor(exercise: Exercise, f: Callable, name: str, wide: Wide) -> Finding | None:
    ratios = [(record, _ratio(a, r)) for record, a, r in wide if r.any()]
    if not ratios or any(c is None for _, c in ratios):
        if all(not a.any() for _, a, _ in wide):
            if wide[0][1].ndim == 0:
                return Finding(
                    f"`{name}` is always 0.",
                    "all-zeros",
                    "it starts at 0 and never changes.",
                    "Which line of yours should change it?",
                )
            return Finding(
                f"`{name}` is zero everywhere.",
                "all-zeros",
                "the array that was prepared for the result was never filled, or everything was multiplied by 0.",
                "Follow one entry through your lines to the result: where does it become 0?",
            )
        return None
    off = [(record, c) for record, c in ratios if abs(c - 1) > 1e-6]
    if not off or all(r.size == 1 for _, _, r in wide) or len(wide) < 2:
        return None  # any two numbers are proportional
    other = f" and {off[-1][1]:.4g} × in “{off[-1][0].case.name}”" if len(off) > 1 else ""
    exact = ", and exactly right elsewhere" if len(off) < len(ratios) else ""
    return Finding(
        f"`{name}` points the right way, and its length is wrong: it is {off[0][1]:.4g} × expected in "
        f"“{off[0][0].case.name}”{other}{exact}.",
        "scaled",
        "a factor that is the same for all entries is missing or too much: often a mean where a sum belongs, or the "
        "reverse.",
        "Divide your answer by the expected one for two different inputs. What has that value in each?",
    )


def _formula(ratios: list[tuple[dict[str, int], float]]) -> tuple[str, str, str, str] | None:
    """A formula in the sizes of the axes that gives the ratio of every case: the simplest one."""
    axes = [axis for axis in ratios[0][0] if all(axis in sizes for sizes, _ in ratios)]
    powers = [
        dict(zip(axes, exponents, strict=True)) for exponents in itertools.product((0, 1, -1, 2, -2), repeat=len(axes))
    ]
    powers.sort(key=lambda power: sum(map(abs, power.values())))
    for power in powers:
        if sum(map(abs, power.values())) > 3:
            break
        rest = [c / np.prod([float(sizes[axis]) ** p for axis, p in power.items()]) for sizes, c in ratios]
        if np.allclose(rest, rest[0], rtol=1e-7):
            return _factor_in_words(float(rest[0]), {axis: p for axis, p in power.items() if p})
    return None


_NUMBERS = {1.0: "", -1.0: "−", 2.0: "2", -2.0: "−2", 0.5: "½", -0.5: "−½", 4.0: "4", 0.25: "¼"}


def _factor_in_words(c: float, power: dict[str, int]) -> tuple[str, str, str, str] | None:
    number = next((text for value, text in _NUMBERS.items() if abs(c - value) < 1e-6 * abs(value)), None)
    top = "·".join(axis if p == 1 else f"{axis}²" for axis, p in power.items() if p > 0)
    under = "·".join(axis if p == -1 else f"{axis}²" for axis, p in power.items() if p < 0)
    if not power:
        if number == "−":
            return (
                "sign-flipped",
                "−1",
                "a difference taken the other way round, or a minus lost.",
                "Put in small numbers by hand, or nudge one of them by 0.01: which sign must come out?",
            )
        if abs(abs(c) - 1 / np.log(2)) < 1e-6:
            return "log-base-2", f"{c:.6g}", "a logarithm to base 2 where nats are asked for.", "Use `np.log`."
        if abs(abs(c) - 1 / np.log(10)) < 1e-6:
            return "log-base-10", f"{c:.6g}", "a logarithm to base 10 where nats are asked for.", "Use `np.log`."
        sign = " and the sign is flipped" if c < 0 else ""
        return (
            "constant-factor",
            (number or f"{c:.6g}").replace("−", "−1") if number == "−" else (number or f"{c:.6g}"),
            f"a constant factor is missing or too much{sign}.",
            "Does the loss carry a ½, or a square whose derivative brings a 2? Follow that number through your lines.",
        )
    if number is None:
        return None
    text = f"{number}{'·' if number not in ('', '−') and top else ''}{top or ('1' if number in ('', '−') else '')}"
    text += f"/({under})" if "·" in under else f"/{under}" if under else ""
    meaning = ", ".join(f"{axis} is the number of {AXES[axis]}" for axis in power if axis in AXES)
    slug = "times-" + "-".join(f"{axis}" + (f"^{p}" if p != 1 else "") for axis, p in power.items())
    if set(power.values()) == {1}:
        likely = f"a sum where the definition has a mean ({meaning})"
    elif set(power.values()) == {-1}:
        likely = f"a mean where the definition has a sum, or one division too many ({meaning})"
    else:
        likely = f"an average over the wrong axis ({meaning})"
    if number:
        likely += f"; besides, a factor {number if number != '−' else '−1'}"
    return slug, text, likely + ".", "Count how often your code divides by a number of entries. How often should it?"


def _upstream(exercise: Exercise, f: Callable, name: str, wide: Wide) -> Finding | None:
    """Double the upstream gradient: a backward pass must double its answer."""
    if exercise.upstream is None:
        return None
    position = exercise.parameters.index(exercise.upstream)
    responses = []
    for record, a, _ in wide:
        args = list(copy.deepcopy(record.case.args))
        args[position] = args[position] * 2
        outcome = call(f, tuple(args))
        if outcome.error is not None:
            return None
        try:
            doubled, _ = read(outcome.value, exercise.reference(*copy.deepcopy(tuple(args))), exercise.outputs)
        except WrongStructure:
            return None
        if name not in doubled or doubled[name].shape != a.shape or not a.any():
            return None
        responses.append((a, doubled[name].astype(float)))
    v = f"`{exercise.upstream}`"
    if all(same(b, a) for a, b in responses):
        return Finding(
            f"`{name}` does not depend on {v}: twice the upstream gradient gives the same answer.",
            "upstream-forgotten",
            f"the local derivative alone was returned; it was never combined with {v}.",
            "By the chain rule the answer is a product. One factor is the local derivative; which is the other?",
        )
    if all(same(b, 4 * a) for a, b in responses):
        return Finding(
            f"Twice the upstream gradient {v} makes `{name}` four times as large.",
            "upstream-twice",
            f"{v} is used twice along one path.",
            f"Search for {v} in your code: each path to `{name}` may contain it once.",
        )
    if all(same(b, 2 * a) for a, b in responses):
        return None
    return Finding(
        f"Twice the upstream gradient {v} does not give twice the `{name}`.",
        "not-linear-in-upstream",
        f"a condition or a function is applied to {v} itself, or a term is added that does not contain it.",
        f"A backward pass is linear: {v} appears once in every term, to the power 1, and decides nothing.",
    )


_TRANSFORMS: list[tuple[str, Callable[[np.ndarray], np.ndarray], str, str]] = [
    ("absolute-value", np.abs, "its sign was lost: an absolute value was taken.", "Where does a sign disappear?"),
    ("square-root", lambda r: np.sqrt(np.abs(r)), "a square root was taken.", "Which definition has a root?"),
    ("squared", np.square, "it was squared once more.", "Count the squares."),
    ("exponential", np.exp, "an exponential was taken of it.", "Is the logarithm still to be taken, or undone?"),
    ("logarithm", lambda r: np.log(np.abs(r)), "a logarithm was taken of it.", "Is the logarithm asked for?"),
    (
        "upside-down",
        lambda r: np.flip(r, axis=0) if r.ndim else r,
        "the first axis runs the other way.",
        "Look at the order of the rows.",
    ),
    (
        "mirrored",
        lambda r: np.flip(r, axis=-1) if r.ndim else r,
        "the last axis runs the other way.",
        "Look at the order of the columns.",
    ),
    ("negative-part-lost", lambda r: np.maximum(r, 0), "negative values were cut off.", "What clips it at 0?"),
    ("positive-part-lost", lambda r: np.minimum(r, 0), "positive values were cut off.", "What clips it at 0?"),
    ("only-the-sign", np.sign, "only its sign is left.", "Where did the size go?"),
]


def _transform(exercise: Exercise, f: Callable, name: str, wide: Wide) -> Finding | None:
    for cause, change, likely, step in _TRANSFORMS:
        for sign in (1, -1):
            with np.errstate(all="ignore"):
                hits = [same(a, sign * np.asarray(change(r)), 1e-7) for _, a, r in wide]
            if all(hits):
                likely_signed = likely if sign == 1 else likely.rstrip(".") + ", and the sign is flipped."
                return Finding(_difference(name, wide[0][0]), cause, likely_signed, step)
    for cause, way, word in (("summed-and-spread", np.sum, "sum"), ("averaged-and-spread", np.mean, "mean")):
        for axis in range(wide[0][2].ndim):
            if all(
                r.ndim > axis and same(a, np.broadcast_to(way(r, axis=axis, keepdims=True), r.shape), 1e-7)
                for _, a, r in wide
            ) and any(np.abs(a).max() > 1e-6 for _, a, _ in wide):
                return Finding(
                    _difference(name, wide[0][0]),
                    cause,
                    f"all entries along axis {axis} are the {word} of the right ones.",
                    f"Which line reduces over axis {axis}, and should it?",
                )
    return None


def _clipped(exercise: Exercise, f: Callable, name: str, wide: Wide) -> Finding | None:
    """Is the answer right but for a lowest and a highest value?"""
    low, high = min(a.min() for _, a, _ in wide), max(a.max() for _, a, _ in wide)
    if low == 0 or high == 0 or not all(same(a, np.clip(r, low, high), 1e-9) for _, a, r in wide):
        return None
    return Finding(
        f"`{name}` never goes below {low:.4g} or above {high:.4g}; between them it is right.",
        "clipped",
        "values are cut off: `np.clip`, `min` or `max`.",
        "Is a bound asked for?",
    )


def _inputs_like(exercise: Exercise, record: Record, shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Arguments and outputs of a case that broadcast to a shape."""
    from autograder.checking.exercise import _arrays

    found = {}
    for name, b in [*_arrays(record.case.args, exercise.parameters), *record.expected.items()]:
        if b.dtype.kind == "f":
            for label, view in ((name, b), (f"{name}.T", b.T)) if b.ndim == 2 else ((name, b),):
                if view.shape == shape:
                    found[label] = view.astype(float)
    return found


def _extra_term(exercise: Exercise, f: Callable, name: str, wide: Wide) -> Finding | None:
    """Is the answer the right one plus a multiple of something that is at hand?"""
    record, _, r = wide[0]
    gaps = [a - r for _, a, r in wide]
    if all(np.ptp(gap) <= 1e-9 * (1 + np.abs(gap).max()) for gap in gaps) and r.size > 1:
        return Finding(
            f"Every entry of `{name}` is off by the same amount, {float(gaps[0].flat[0]):.4g} in “{record.case.name}”.",
            "constant-offset",
            "a term is added or left out that is the same for all entries.",
            "Which term of the formula does not depend on the entry?",
        )
    if r.size > 1:
        for other in _inputs_like(exercise, record, r.shape):
            if other == name or other == f"{name}.T":
                continue
            terms = [_inputs_like(exercise, rec, r.shape).get(other) for rec, _, r in wide]
            if any(t is None for t in terms):
                continue
            ratios = [_ratio(gap, t) for gap, t in zip(gaps, terms, strict=True) if t.any()]
            if None in ratios or not ratios:
                continue
            formula = _formula([(rec.case.sizes, c) for (rec, _, _), c in zip(wide, ratios, strict=False)])
            if formula is None:
                continue
            times = "" if formula[1] == "1" else f"{formula[1]} · "
            return Finding(
                f"`{name}` is expected + {times}`{other}`, in all cases.",
                "extra-term",
                f"a term with `{other}` is added that does not belong there, or one that should cancel it is missing.",
                f"Through which path could `{other}` reach `{name}` on its own?",
            )
    return None


_FUNCTIONS: list[tuple[str, Callable[[np.ndarray], np.ndarray]]] = [
    ("{}", lambda t: t),
    ("(1 − {})", lambda t: 1 - t),
    ("(1 + {})", lambda t: 1 + t),
    ("{}²", lambda t: t * t),
    ("(1 − {}²)", lambda t: 1 - t * t),
    ("{}·(1 − {})", lambda t: t * (1 - t)),
    ("exp({})", np.exp),
    ("({} > 0)", lambda t: (t > 0).astype(float)),
]


def _extra_factor(exercise: Exercise, f: Callable, name: str, wide: Wide) -> Finding | None:
    """Is the answer the right one times, or divided by, a simple function of something at hand?"""
    for other in _inputs_like(exercise, wide[0][0], wide[0][2].shape):
        if other == name:
            continue
        factors = [_inputs_like(exercise, record, r.shape).get(other) for record, _, r in wide]
        if any(t is None for t in factors):
            continue
        for pattern, function in _FUNCTIONS:
            text = pattern.replace("{}", other)
            with np.errstate(all="ignore"):
                values = [function(t) for t in factors]
                if all(same(a, r * t, 1e-7) for (_, a, r), t in zip(wide, values, strict=True)):
                    return Finding(
                        f"`{name}` is exactly expected × `{text}`, entry by entry.",
                        "extra-factor",
                        f"the factor `{text}` is one too many.",
                        "Write the local derivative on paper and compare it factor by factor.",
                    )
                if all(same(a * t, r, 1e-7) for (_, a, r), t in zip(wide, values, strict=True)):
                    return Finding(
                        f"`{name}` times `{text}`, entry by entry, would be right.",
                        "missing-factor",
                        f"the factor `{text}` is missing.",
                        "Write the local derivative on paper and compare it factor by factor.",
                    )
    return None


def _local_slope(exercise: Exercise, f: Callable, name: str, wide: Wide) -> Finding | None:
    """For an elementwise layer: the slope that the answer implies, as a function of the other argument."""
    if exercise.upstream is None or len(exercise.parameters) != 2:
        return None
    other = next(p for p in exercise.parameters if p != exercise.upstream)
    position = exercise.parameters.index(other)
    points: list[tuple[float, float, float]] = []
    for record, a, r in wide:
        upstream = record.case.args[1 - position]
        value = record.case.args[position]
        if not isinstance(value, np.ndarray) or not upstream.shape == value.shape == a.shape:
            return None
        live = np.abs(upstream) > 1e-3
        points += zip(value[live], (a / upstream)[live], (r / upstream)[live], strict=True)
    x, mine, right = (np.array(column) for column in zip(*points, strict=True))
    order = np.argsort(x)
    x, mine, right = x[order], mine[order], right[order]
    close = np.diff(x) < 1e-3 * np.ptp(x)  # a function gives near values at near points
    if not np.isfinite(mine).all() or (np.abs(np.diff(mine))[close] > 0.1 * (1 + np.abs(mine[1:][close]))).mean() > 0.2:
        return None
    for text, function in _SLOPES:
        if same(mine, function(x) * np.ones_like(x), 1e-6):
            formula = text.replace("{}", other)
            return Finding(
                _difference(name, wide[0][0]),
                "wrong-slope",
                f"the local slope in your code is `{formula}`.",
                f"At {other} = {x[len(x) // 2]:.3g} the right slope is {right[len(x) // 2]:.4g}. Draw the curve: how "
                "steep is it there?",
            )
    i = int(np.argmax(np.abs(mine - right)))
    return Finding(
        f"At {other} = {x[i]:.4g} the local slope that your answer implies is {mine[i]:.4g}; it should be "
        f"{right[i]:.4g}.",
        "wrong-slope",
        f"`{exercise.upstream}` is used rightly; its factor, the local slope, is not right.",
        "Draw the function, and read its slope there off the drawing.",
    )


_SLOPES: list[tuple[str, Callable[[np.ndarray], np.ndarray]]] = [
    ("1", np.ones_like),
    ("1/4", lambda t: 0.25 * np.ones_like(t)),
    ("{}", lambda t: t),
    ("2 * {}", lambda t: 2 * t),
    ("{}**2", lambda t: t**2),
    ("1 - {}", lambda t: 1 - t),
    ("1 + {}", lambda t: 1 + t),
    ("(1 - {})**2", lambda t: (1 - t) ** 2),
    ("1 - {}**2", lambda t: 1 - t**2),
    ("1 + {}**2", lambda t: 1 + t**2),
    ("{} * (1 - {})", lambda t: t * (1 - t)),
    ("{} * (1 + {})", lambda t: t * (1 + t)),
    ("1 - 2 * {}", lambda t: 1 - 2 * t),
    ("1 / (1 - {}**2)", lambda t: 1 / (1 - t**2)),
    ("1 / ({} * (1 - {}))", lambda t: 1 / (t * (1 - t))),
    ("tanh({})", np.tanh),
    ("1 - tanh({})**2", lambda t: 1 - np.tanh(t) ** 2),
    ("sigmoid({})", lambda t: 1 / (1 + np.exp(-t))),
    ("sigmoid({}) * (1 - sigmoid({}))", lambda t: np.exp(-t) / (1 + np.exp(-t)) ** 2),
    ("({} > 0)", lambda t: t > 0),
    ("({} < 0)", lambda t: t < 0),
    ("sign({})", np.sign),
    ("abs({})", np.abs),
    ("exp({})", np.exp),
]


def _per_row(exercise: Exercise, f: Callable, name: str, wide: Wide) -> Finding | None:
    """Rows or columns that are right but for a factor, or an offset, of their own."""
    for axis, word in ((1, "row"), (0, "column")):
        if not all(r.ndim == 2 for _, _, r in wide):
            return None
        slices = [
            (a_line, r_line)
            for _, a, r in wide
            for a_line, r_line in zip(np.moveaxis(a, 1 - axis, 0), np.moveaxis(r, 1 - axis, 0), strict=True)
            if r_line.any() and r_line.size > 1
        ]
        if slices and all(_ratio(a_line, r_line) is not None for a_line, r_line in slices):
            return Finding(
                _difference(name, wide[0][0]),
                f"scaled-by-{word}",
                f"each {word} is right but for a factor of its own.",
                f"What is divided by, or multiplied with, along a {word}: a sum or mean over the wrong axis?",
            )
        if slices and all(np.ptp(a_line - r_line) < 1e-9 * (1 + np.abs(a_line).max()) for a_line, r_line in slices):
            return Finding(
                _difference(name, wide[0][0]),
                f"offset-by-{word}",
                f"each {word} is right but for an amount of its own that is added to all its entries.",
                f"Which sum over a {word} is subtracted, and over which axis does yours run?",
            )
    return None


def _rounded(exercise: Exercise, f: Callable, name: str, wide: Wide) -> Finding | None:
    with np.errstate(all="ignore"):
        if all(agrees(a, r, 1e-3).all() for _, a, r in wide):
            worst = max(float(np.max(np.abs(a - r))) for _, a, r in wide)
            return Finding(
                f"`{name}` is right to a few digits only: the largest difference is {worst:.1e}, and an exact "
                "formula differs by about 1e-16.",
                "approximate",
                "a numerical derivative, a small constant added for safety (such as `+ 1e-8`), or lower precision.",
                "Is there an exact formula? Is there a constant in your code that the derivation does not have?",
            )
    return None


def _only_there(exercise: Exercise, name: str, records: list[Record], bad: dict) -> Finding:
    """No hypothesis holds: say where it is wrong and where it is right."""
    wrong = [r for r in records if r.case.name in bad]
    right = [r for r in records if r.case.name not in bad]
    worst = wrong[0]
    a, r = worst.answer[name].astype(float), worst.expected[name].astype(float)
    what = _difference(name, worst)
    if right and {r.case.group for r in wrong} == {"stability"} and np.abs(a).max() < np.abs(r).max():
        return Finding(
            f"{what} It is wrong only in {_cases(wrong)}.",
            "bounded",
            "a small constant inside a logarithm (such as 1e-12), or a clip, keeps the result from growing.",
            "Is there a constant in your code that the derivation does not have? The logarithm can be taken on paper.",
        )
    if right and len(right) >= len(wrong) and len(records) > 3:
        return Finding(
            f"{what} It is wrong only in {_cases(wrong)}; the other {len(right)} cases are right.",
            "special-case",
            "the general case is handled; this kind of input is not.",
            f"What is special about “{wrong[0].case.name}”? Follow such an input through your lines.",
        )
    if {r.case.name for r in right} == {r.case.name for r in records if r.case.sizes.get("N") == 1} and right:
        return Finding(
            f"{what} For a single example (N = 1) it is right.",
            "examples-mixed",
            "examples of a batch get mixed up (a sum, mean or maximum over the wrong axis, an index that picks from "
            "all rows), or a 1/N stands in the wrong place.",
            "Follow the first row of the batch through your code. Where do numbers of other rows reach it?",
        )
    if right:
        what += f" It is right in {_cases(right)}."
    mask = bad[worst.case.name]
    if r.size > 1:
        what += f" {int(mask.sum())} of {mask.size} entries differ{_pattern(mask, worst)};"
        what += f" the cosine between your answer and the right one is {cosine(a, r):.3f}."
    step = "Compute that one entry by hand, from the smallest case, and compare the lines one by one."
    if r.ndim == 0:
        step = "Compute it by hand for the smallest input that you can think of, and compare the lines one by one."
    return Finding(what, None, next_step=step)


def _pattern(mask: np.ndarray, record: Record) -> str:
    """Where the wrong entries lie, if they lie together."""
    if mask.ndim != 2 or mask.all():
        return ""
    diagonal = np.eye(*mask.shape, dtype=bool)
    if len(mask) == mask.shape[1]:
        if not (mask & ~diagonal).any():
            return ", all on the diagonal; the others are right"
        if not (mask & diagonal).any():
            return ", all off the diagonal; the diagonal is right"
    for y in (a for a in record.case.args if isinstance(a, np.ndarray) and a.dtype.kind == "i"):
        if y.shape == mask.shape[:1] and y.max() < mask.shape[1]:
            at_label = np.zeros_like(mask)
            at_label[np.arange(len(y)), y] = True
            if not (mask & ~at_label).any():
                return ", all at the label of their row; the other classes are right"
            if not (mask & at_label).any():
                return ", none at the label of its row: there all is right"
    rows, columns = mask.any(axis=1), mask.any(axis=0)
    if rows.sum() == 1:
        return f", all in row {int(np.argmax(rows))}"
    if columns.sum() == 1:
        return f", all in column {int(np.argmax(columns))}"
    return ""
