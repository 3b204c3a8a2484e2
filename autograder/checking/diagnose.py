"""From a wrong answer to its likely cause: a ladder of hypotheses.

A hypothesis counts only if it reproduces the answer in *all* cases that it speaks of. The first
rung that does so wins; if none does, the worst entry is shown and no cause is named.
"""

from __future__ import annotations

import copy
import itertools
import re
import time
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from autograder.checking import combinations, errors, values, variants
from autograder.checking.call import call
from autograder.checking.compare import agrees, cosine, same
from autograder.checking.hypotheses import example_weights, one_example, without_example, wrong_inputs
from autograder.checking.score import Finding
from autograder.checking.structure import WrongStructure, flatten, named_arrays, read
from autograder.checking.words import cases, difference, listing

if TYPE_CHECKING:
    from autograder.checking.exercise import Exercise, Record

SECONDS = 0.3  # for all that is tried by running the reference or a mistake again, once no mistake's name fits
Wrong = dict[str, dict[str, np.ndarray | None]]


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
    named = _named_mistake(exercise, f, records, wrong)
    if named is not None:
        return [_with_the_good(exercise, named, wrong, records)]

    until = time.thread_time() + SECONDS
    raised = [record for record in records if record.call.error is not None]
    answered = [record for record in records if record.call.error is None]
    findings: list[Finding] = []
    if raised:
        findings.append(_raised_in_some_cases(exercise, raised, answered))
    if (shapeless := _no_structure(answered)) is not None:
        findings.append(shapeless)
    answered = [record for record in answered if record.answer]
    if findings:
        named = _named_mistake(exercise, f, answered, wrong) if answered else None
        if named is None and (found := variants.search(exercise, f, records, list(wrong), until)) is not None:
            findings[0] = _because(findings[0], found)
        return [*findings, named] if named else findings

    bad = [name for name in wrong if any(r.case.name in wrong[name] for r in answered)]
    if (finding := values.common_factor(bad, answered)) is not None:
        return [_with_the_good(exercise, finding, wrong, records)]
    nothing = all(not r.answer[name].any() for r in answered for name in bad if name in r.answer)
    if not exercise.oracle and not nothing and (kept := _kept_from_the_first_call(exercise, answered, wrong)):
        return [_with_the_good(exercise, kept, wrong, records)]
    for rung in (_wrong_input, _example_left_out, _examples_weighted):
        if not exercise.oracle and not nothing and (finding := rung(exercise, answered, wrong, until)) is not None:
            return [_with_the_good(exercise, finding, wrong, records)]
    if (again := exercise.again(f, records[0])) is not None:
        return [again]
    explained = exercise.explain(f) if exercise.explain is not None else None
    if explained is not None and not _vague(explained):
        return [_with_the_good(exercise, explained, wrong, records)]
    if (
        explained is not None
        and (found := variants.search(exercise, f, records, bad, until)) is not None
        and found.outputs == bad
    ):
        explained = _because(explained, found)
    single = {name: _one_output(exercise, f, name, answered, wrong[name]) for name in bad}
    vague = [name for name in bad if _vague(single[name])]
    if explained is not None and vague:
        return [_with_the_good(exercise, explained, wrong, records)]
    if vague == bad and (found := _scaled_mistake(exercise, answered, bad, until)) is not None:
        return [_with_the_good(exercise, found, wrong, records)]
    if vague and (found := variants.search(exercise, f, records, vague, until)) is not None:
        single |= {name: _because(single[name], found) for name in found.outputs}
    elif vague == bad and (found := _named_but_for_extremes(exercise, f, answered, wrong)) is not None:
        return [_with_the_good(exercise, found, wrong, records)]
    by_cause: dict[str, list[str]] = {}
    for name in bad:
        by_cause.setdefault(f"{single[name].cause}|{single[name].likely}", []).append(name)
    for names in by_cause.values():
        *others, nearest = names  # outputs are listed from the input to the loss; a mistake spreads the other way
        finding = single[nearest]
        if others:
            listed = listing([f"`{name}`" for name in others])
            verb = "is" if len(others) == 1 else "are"
            more = f"The same holds for {listed}." if finding.cause else f"{listed} {verb} wrong as well."
            if finding.cause == "outputs-swapped":
                more = f"{listed} {verb} out of place as well."
            finding = replace(finding, what=f"{finding.what} {more}")
        findings.append(finding)
    findings[-1] = _with_the_good(exercise, findings[-1], wrong, records)
    return findings


VAGUE = {
    None,
    "special-case",
    "examples-mixed",
    "shape-in-some-cases",
    "wrong-shape",
    "scaled",
    "scaled-by-row",
    "scaled-by-column",
    "offset-by-row",
    "offset-by-column",
    "not-linear-in-upstream",
    "wrong-slope",
    "wrong-step",
    "raised",
}


def _scaled_mistake(exercise: Exercise, records: list[Record], bad: list[str], until: float) -> Finding | None:
    """A named mistake, and a factor besides."""
    finite = [r for r in records if r.answer and all(np.isfinite(a).all() for a in r.answer.values())]
    found = variants.scaled_mistake(exercise, finite, until) if len(finite) == len(records) else None
    if found is None:
        return None
    chaff, factor = found
    worst = next(r for r in finite if not same(r.answer.get(bad[0]), r.expected.get(bad[0])))
    if size := variants.written_out(factor):
        return Finding(
            difference(bad[0], worst),
            "hard-coded-size",
            f"the number {size} is written into the code, where a size belongs that differs from case to case.",
            "Take sizes from the arguments, for example from `X.shape`: the check calls your function with several.",
        )
    return Finding(
        difference(bad[0], worst),
        chaff.cause,
        f"{chaff.misconception.rstrip('.')}. Besides, all is {factor} × what that would give.",
        chaff.hint,
    )


def _named_but_for_extremes(exercise: Exercise, f: Callable, records: list[Record], wrong: Wrong) -> Finding | None:
    """A named mistake that gives the answer in all ordinary cases, if not where the numbers are extreme."""
    ordinary = [record for record in records if record.case.group == records[0].case.group]
    if len(ordinary) < 3 or len(ordinary) == len(records):
        return None
    found = _named_mistake(exercise, f, ordinary, wrong)
    if found is None:
        return None
    others = [r for r in records if all(r is not other for other in ordinary)]
    return replace(found, what=f"{found.what} In {cases(others)} something else is wrong besides.")


def why_raised(exercise: Exercise, f: Callable, records: list[Record]) -> Finding | None:
    """A cause for a function that raises in every case: a mistake that raises the very same errors."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            if (named := _named_mistake(exercise, f, records, {})) is not None:
                return named
            found = variants.search(exercise, f, records, [])
        except Exception:  # the error itself is told in any case
            return None
    return _because(errors.raised(exercise, records[0], "every case"), found) if found else None


def _because(finding: Finding, explanation: variants.Explanation) -> Finding:
    cause, likely, next_step, _ = explanation
    return replace(finding, cause=cause, likely=likely, next_step=next_step)


def _vague(finding: Finding) -> bool:
    """Whether a finding says where the answer is wrong rather than what was done."""
    return finding.cause in VAGUE and "your code is `" not in finding.likely and "stands where" not in finding.likely


def _with_the_good(exercise: Exercise, finding: Finding, wrong: Wrong, records: list[Record]) -> Finding:
    """Add to a finding which outputs are right; of networks of several depths, those that all have.

    Where many answers are right, an output may only agree with another that is wrong: then nothing is said; nor of what
    a check measures besides the results, such as `steps taken`.
    """
    if exercise.oracle is not None:
        return finding
    results = [name for name in wrong if " " not in name and all(name in record.expected for record in records)]
    good = [f"`{name}`" for name in results if not wrong[name]]
    if not good:
        return finding
    remark = f"{listing(good)} {'is' if len(good) == 1 else 'are'} right."
    return replace(finding, next_step=f"{finding.next_step} ({remark})".strip())


def _kept_from_the_first_call(exercise: Exercise, records: list[Record], wrong: Wrong) -> Finding | None:
    """Right in the first case, and wrong in the same case with other numbers."""
    first, last = records[0].case.name, records[-1].case.name
    if not last.startswith(first) or last == first or any(first in bad for bad in wrong.values()):
        return None
    if not any(last in bad for bad in wrong.values()):
        return None
    seen: set[tuple] = set()
    for record in records:
        shapes = tuple(a.shape for _, a in named_arrays(record.case.args, exercise.parameters))
        if shapes not in seen and any(record.case.name in bad for bad in wrong.values()):
            return None  # wrong where nothing can have been kept: right by chance in the first case
        seen.add(shapes)
    return Finding(
        f"The first call is right; a later call with other numbers, of the same shapes (“{last}”), is not.",
        "remembers",
        "something is kept from an earlier call: a global variable, a mutable default argument, a cached array.",
        "Which variables of your function were not created inside it?",
    )


def _predicted(exercise: Exercise, args: tuple) -> dict[str, np.ndarray] | None:
    """What the reference gives for some arguments; None if it can't take them."""
    try:
        return flatten(exercise.right(args), exercise.outputs)
    except Exception:  # labels out of range, a matrix that has no inverse
        return None


def _matches(record: Record, predicted: dict[str, np.ndarray] | None, factor: float = 1.0) -> bool:
    if predicted is None or predicted.keys() != record.answer.keys() or record.faults:
        return False
    return all(_equal_with_nan(factor * predicted[name], a) for name, a in record.answer.items())


def _wrong_input(exercise: Exercise, records: list[Record], wrong: Wrong, until: float) -> Finding | None:
    """Is the answer right for inputs that are mistaken in some way, in all cases?"""
    first = max(records, key=lambda record: sum(a.size for a in record.answer.values()))
    for cause, words, change in wrong_inputs(first.case.args, exercise.parameters):
        if time.thread_time() > until:
            return None
        if not _matches(first, _predicted_with(exercise, first, change)):
            continue
        told = [record for record in records if record.answer]
        if all(_matches(record, _predicted_with(exercise, record, change)) for record in told):
            name = next(name for name in wrong if wrong[name])
            worst = next(record for record in told if record.case.name in wrong[name])
            return Finding(
                difference(name, worst),
                cause,
                f"{words}; everything else is right.",
                "Find the line where it comes in, and look at what is done with it.",
            )
    return None


def _predicted_with(exercise: Exercise, record: Record, change: Callable) -> dict[str, np.ndarray] | None:
    args = change(copy.deepcopy(record.case.args))
    return None if args is None else _predicted(exercise, args)


def _example_left_out(exercise: Exercise, records: list[Record], wrong: Wrong, until: float) -> Finding | None:
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
            if time.thread_time() > until:
                return None
            for record in told:
                N = record.case.sizes["N"]
                _, args = list(without_example(record.case.args, N))[i]
                factor = (N - 1) / N if keeps_n else 1.0
                if not _matches(record, _predicted(exercise, args), factor):
                    break
            else:
                name = next(name for name in wrong if wrong[name])
                return Finding(
                    difference(name, told[0]),
                    "example-left-out",
                    f"the {word} example of the batch is left out; everything else is right.",
                    "Over which indices does your loop run, or your slice reach? A batch has the rows 0 to N − 1.",
                )
    return None


def _examples_weighted(exercise: Exercise, records: list[Record], wrong: Wrong, until: float) -> Finding | None:
    """Is the answer a sum over the batch in which some examples count too little, or too much?"""
    found: list[tuple[Record, np.ndarray]] = []
    bad = [name for name in wrong if wrong[name]]
    for record in records:
        lengths = list(record.case.sizes.values())
        N = record.case.sizes.get("N", 0)
        if time.thread_time() > until:
            return None
        if not 1 < N < 20 or lengths.count(N) > 1 or not record.answer:
            continue
        singles = [_predicted(exercise, one_example(record.case.args, N, n)) for n in range(N)]
        if None in singles or (weights := example_weights(record.expected, singles, record.answer, bad)) is None:
            continue
        found.append((record, np.round(weights, 6)))
    odd = [(record, w) for record, w in found if 0 < (w != 1).sum() < len(w)]
    if not found or len(odd) < len(found):
        return None
    record, w = odd[0]
    said = []
    for weight in sorted(set(w[w != 1])):
        n = np.flatnonzero(w == weight)
        which = f"{'example' if len(n) == 1 else 'examples'} {listing([str(i) for i in n])}"
        said.append(
            f"{which} {'is' if len(n) == 1 else 'are'} {f'counted {weight:.4g} times' if weight else 'left out'}"
        )
    return Finding(
        f"In the case “{record.case.name}” {listing(said)}; the others of the batch count once (numbered from 0).",
        "example-left-out" if 0 in w else "example-weighted",
        "a loop or a slice skips some rows of the batch or visits some twice, or an index repeats.",
        "Print the indices of the rows that your code visits. A batch has the rows 0 to N − 1.",
    )


def _no_structure(records: list[Record]) -> Finding | None:
    """Answers that could not be read at all, in some of the cases."""
    bad = [record for record in records if record.faults and not record.answer]
    if not bad:
        return None
    fault = next(iter(bad[0].faults.values()))
    return Finding(f"In {cases(bad)}: {fault}", fault.cause, next_step=fault.next_step)


def _raised_in_some_cases(exercise: Exercise, raised: list[Record], answered: list[Record]) -> Finding:
    where = cases(raised)
    finding = errors.raised(exercise, raised[0], where)
    alike = {record.case.name for record in answered}
    if isinstance(raised[0].call.error, ValueError) and alike and all("square" in name for name in alike):
        return Finding(
            f"{finding.what} It runs only in {', '.join(f'“{name}”' for name in sorted(alike))}.",
            "fits-only-square",
            "a product whose factors fit only where matrices are square: one is not transposed, they stand in the "
            "wrong order, or entries should be multiplied one by one, with `*`.",
            "Write the shape of each factor beside it: (n, k) @ (k, m) gives (n, m).",
        )
    if not answered:
        return finding
    return Finding(f"{finding.what} It runs in {cases(answered)}.", finding.cause, finding.likely, finding.next_step)


def _named_mistake(exercise: Exercise, f: Callable, records: list[Record], wrong: Wrong) -> Finding | None:
    """Does a chaff of this exercise give the learner's answer, or fail as it does, in every case?"""
    names = variants.names_in(f)
    for chaff in exercise.chaffs:
        if chaff.tells and names.isdisjoint(chaff.tells):
            continue
        if all(_gives(exercise, chaff.function, record, getattr(f, "__name__", "")) for record in records):
            raised = next((record for record in records if record.call.error is not None), None)
            if raised is not None:
                what = errors.raised(exercise, raised, f"the case “{raised.case.name}”").what
                return Finding(what, chaff.cause, chaff.misconception, chaff.hint)
            bad = [name for name in wrong if any(record.case.name in wrong[name] for record in records)]
            if not bad:
                return None
            factor = values.common_factor(bad, records)
            worst = next(record for record in records if record.case.name in wrong[bad[0]])
            if bad[0] in worst.faults:
                what = f"In the case “{worst.case.name}”: {worst.faults[bad[0]]}"
            else:
                what = factor.what if factor else difference(bad[0], worst)
            return Finding(what, chaff.cause, chaff.misconception, chaff.hint)
    return None


def _gives(exercise: Exercise, function: Callable, record: Record, name: str) -> bool:
    """Whether a wrong answer does in a case what the learner's did, whose name is ``name``."""
    outcome = call(exercise.adapted(function), copy.deepcopy(record.case.args))
    if isinstance(outcome.error, WrongStructure):
        return not record.answer and any(fault.cause == outcome.error.cause for fault in record.faults.values())
    if outcome.error is not None or record.call.error is not None:
        return _alike(outcome.error, function.__name__, record.call.error, name)
    try:
        answer, faults = read(outcome.value, record.right, exercise.outputs)
    except WrongStructure:
        return False
    if faults.keys() != record.faults.keys() or answer.keys() != record.answer.keys():
        return False
    return all(_equal_with_nan(answer[name], a) for name, a in record.answer.items())


def _alike(a: BaseException | None, of: str, b: BaseException | None, name: str) -> bool:
    """Whether two errors say the same, but for the names of the functions or classes that raised them."""
    if a is None or b is None or type(a) is not type(b):
        return False
    said = (re.sub(rf"\b{re.escape(word)}\b", "", str(error)).split()[:3] for error, word in ((a, of), (b, name)))
    return next(said) == next(said)


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
    if all(_is_count(r.expected[name]) and r.answer[name].ndim == 0 for r in records):
        return _only_there(exercise, name, records, bad)
    if (finding := values.common_factor([name], records)) is not None:
        return finding
    for rung in (_transposed, _wrong_shape, _not_finite, _not_real_numbers, _other_output, _an_input):
        finding = rung(exercise, name, records)
        if finding is not None:
            return finding
    finite = [r for r in records if np.isfinite(r.answer[name]).all()]
    wide = [(r, r.answer[name].astype(float), r.expected[name].astype(float)) for r in finite]
    held: Finding | None = None
    for rung in (
        values.rows_not_filled,
        values.rounded,
        values.factor,
        values.clipped,
        values.upstream,
        values.transform,
        values.extra_term,
        values.extra_factor,
        combinations.combination,
        combinations.product,
        combinations.single_number,
        values.cut_off,
        values.local_slope,
        values.per_row,
    ):
        finding = rung(exercise, f, name, wide)
        if finding is not None and finding.cause == "not-linear-in-upstream":
            held = finding  # a later rung may say which term it is
        elif finding is not None:
            return finding
    if held is not None:
        return held
    return _only_there(exercise, name, records, bad)


def _is_count(a: np.ndarray) -> bool:
    return a.ndim == 0 and a.dtype.kind in "iu"


# Rungs that need no arithmetic: shapes, types, mix-ups.


def _transposed(exercise: Exercise, name: str, records: list[Record]) -> Finding | None:
    if sum(r.expected[name].ndim == 2 and min(r.expected[name].shape) > 1 for r in records) < 2:
        return None
    if not all(same(r.answer[name].T, r.expected[name], 1e-7) for r in records):
        return None
    return Finding(
        difference(name, records[0]),
        "transposed",
        "this is the transpose of the right answer.",
        "Write the shapes of the factors side by side: which product has the shape of the thing itself?",
    )


def _wrong_shape(exercise: Exercise, name: str, records: list[Record]) -> Finding | None:
    bad = [r for r in records if r.answer[name].shape != r.expected[name].shape]
    if not bad:
        return None
    well = [r for r in records if r.answer[name].shape == r.expected[name].shape]
    fine = cases(well) if well else ""
    what = difference(name, bad[0]) + (f" Its shape is right in {fine}." if fine else "")
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
            "an operation that does something else where axes are 1 long, or equally long (`squeeze`, broadcasting, "
            "`@` where entries should be multiplied one by one), or that treats only some of the axes.",
            f"Print the shape of every step for an input like that of “{bad[0].case.name}”.",
        )
    return Finding(
        what,
        "wrong-shape",
        next_step=f"{_ABOUT_SHAPES if _is_gradient(exercise, name) else ''}Signature: `{exercise.signature}`.",
    )


_ABOUT_SHAPES = "The gradient of a thing has the shape of the thing. "


def _is_gradient(exercise: Exercise, name: str) -> bool:
    """By the names that this book gives to gradients."""
    return name.startswith("d") or "grad" in name or "grad" in exercise.name


def _shape_explained(a: np.ndarray, r: np.ndarray) -> tuple[str, str, str] | None:
    """Cause, likely cause in words and next step, if an answer of the wrong shape holds the right numbers."""
    if a.size == r.size and same(a.reshape(r.shape), r, 1e-7):
        if a.ndim == 1 and sum(n > 1 for n in r.shape) > 1:
            return "wrong-shape", "the numbers are right, in one flat row.", "Look for `ravel`, `flatten` or `reshape`."
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
                        f"{'axis' if count == 1 else 'axes'} {listing([str(axis) for axis in axes])} of your result "
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
    where = "every case" if len(bad) == len(records) else cases(bad)
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
    for other, a in named_arrays(records[0].case.args, exercise.parameters):
        if a.dtype.kind not in "fiub":
            continue
        inputs = [dict(named_arrays(r.case.args, exercise.parameters)).get(other) for r in records]
        if all(b is not None and same(r.answer[name], b, 1e-9) for r, b in zip(records, inputs, strict=True)):
            return Finding(
                f"`{name}` is the argument `{other}`, unchanged.",
                "input-returned",
                "the step that this function stands for has not been taken.",
                f"Which line of yours should turn `{other}` into something else?",
            )
    return None


def _only_there(exercise: Exercise, name: str, records: list[Record], bad: dict) -> Finding:
    """No hypothesis holds: say where it is wrong and where it is right."""
    wrong = [r for r in records if r.case.name in bad]
    right = [r for r in records if r.case.name not in bad]
    worst = wrong[0]
    a, r = worst.answer[name].astype(float), worst.expected[name].astype(float)
    what = difference(name, worst)
    if right and {r.case.group for r in wrong} == {"stability"} and np.abs(a).max() < np.abs(r).max():
        return Finding(
            f"{what} It is wrong only in {cases(wrong)}.",
            "bounded",
            "a small constant inside a logarithm (such as 1e-12), or a clip, keeps the result from growing.",
            "Is there a constant in your code that the derivation does not have? The logarithm can be taken on paper.",
        )
    if right and len(right) >= len(wrong) and len(records) > 3:
        return Finding(
            f"{what} It is wrong only in {cases(wrong)}; the other {len(right)} cases are right.",
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
        what += f" It is right in {cases(right)}."
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
    if 1 < rows.sum() < len(rows) and mask[rows].all():
        return f", all in the rows {listing([str(i) for i in np.flatnonzero(rows)])}; the other rows are right"
    if rows.sum() == 1:
        return f", all in row {int(np.argmax(rows))}"
    if columns.sum() == 1:
        return f", all in column {int(np.argmax(columns))}"
    return ""
