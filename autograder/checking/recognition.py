"""Mistakes that gradients have, recognised by their numbers; and the words in which a gradient check speaks."""

import copy
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from autograder.checking.call import call
from autograder.checking.compare import agrees, cosine
from autograder.checking.exercise import Exercise, Record
from autograder.checking.jacobian import RELATIVE
from autograder.checking.problem import NEARBY, RANDOM, Problem
from autograder.checking.score import Finding
from autograder.checking.structure import named_arrays
from autograder.checking.words import difference, listing

_CUT = "Is the way cut: by `detach`, `item`, `numpy`, `no_grad`, `stop_gradient`, or a new tensor made of values?"


def recognised(problem: Problem, exercise: Exercise, records: list[Record]) -> Finding | None:
    """Mistakes that gradients have and exercises seldom: looked for before what the ladder says counts."""
    if any(record.call.error is not None or record.faults or not record.answer for record in records):
        return None
    wrong = exercise._wrong(records)
    bad = [name for name in wrong if wrong[name]]
    if not bad:
        return None
    if {case for name in bad for case in wrong[name]} == {NEARBY}:
        near = next(record for record in records if record.case.name == NEARBY)
        return Finding(
            difference(bad[0], near),
            "right-by-chance",
            "at the inputs that you gave it is right, and near by it is not: something is kept from an earlier "
            "call, or your inputs are special (ones, zeros, all equal), so that a mistake does not show.",
            "Check at random inputs.",
        )
    again = call(problem.answers, copy.deepcopy(records[0].case.args)).value
    again = dict(zip(problem.outputs, again if isinstance(again, tuple) else (again,), strict=False))
    if not all(_alike(again.get(name), a) for name, a in records[0].answer.items()):
        return Finding(
            "The same arguments gave another gradient when they came again.",
            "remembers",
            "something survives from one call to the next (a global variable, a mutable default argument, an "
            "accumulator), or a random number is drawn.",
            "Which variables of your function were not created inside it?",
        )
    for rung in (_zeros, _whole_jacobian, _handed_on, _without_upstream):
        if all((found := rung(problem, name, records)) is not None for name in bad):
            return found
    return None


def _zeros(problem: Problem, name: str, records: list[Record]) -> Finding | None:
    if any(record.answer[name].any() for record in records):
        return None
    return Finding(
        f"`{name}` is zero everywhere.",
        "all-zeros",
        "the array that was prepared for the result was never filled, or everything was multiplied by 0.",
        "Follow one entry through your lines to the result: where does it become 0?",
    )


def _whole_jacobian(problem: Problem, name: str, records: list[Record]) -> Finding | None:
    k = problem.outputs.index(name)
    jacobian, a = problem.here.high[k], records[0].answer[name]
    if a.size != jacobian.size or a.shape == records[0].expected[name].shape or not problem.here.whole:
        return None
    if not any(_alike(a.reshape(j.shape), j, 1e-5) for j in (jacobian, jacobian.T)):
        return None
    return Finding(
        difference(name, records[0]),
        "jacobian-returned",
        f"this is the whole Jacobian; it was not multiplied with `{problem.upstream}`.",
        f"Which product of the Jacobian and `{problem.upstream}` has one entry for each entry of "
        f"`{problem.names[problem.moving[k]]}`?",
    )


def _without_upstream(problem: Problem, name: str, records: list[Record]) -> Finding | None:
    answers = [record.answer[name] for record in records if record.case.name != NEARBY]
    if not all(np.isfinite(a).all() and _alike(a, answers[0]) for a in answers):
        return None
    kept = problem.here.pullback(problem.first_upstream)[problem.outputs.index(name)].value
    if _alike(answers[0], kept, 1e-5):
        return Finding(
            f"`{name}` is the one for the first upstream gradient that your function got, whatever it gets now.",
            "remembers",
            f"`{problem.upstream}`, or something made of it, is kept from the first call.",
            "Which variables of your function were not created inside it?",
        )
    return Finding(
        f"`{name}` does not depend on `{problem.upstream}`: every upstream gradient gives the same answer.",
        "upstream-forgotten",
        f"the local derivative alone was returned; it was never combined with `{problem.upstream}`.",
        "By the chain rule the answer is a product. One factor is the local derivative; which is the other?",
    )


def _handed_on(problem: Problem, name: str, records: list[Record]) -> Finding | None:
    inputs = [dict(named_arrays(record.case.args, (problem.upstream, *problem.names))) for record in records]
    for other in inputs[0]:
        if all(
            a.shape == record.expected[name].shape and _alike(a, arrays[other])
            for record, arrays in zip(records, inputs, strict=True)
            for a in [record.answer[name]]
        ):
            meant = problem.names[problem.moving[problem.outputs.index(name)]]
            return Finding(
                f"`{name}` is the argument `{other}`, unchanged.",
                "input-returned",
                "the step that this function stands for has not been taken.",
                f"Nudge one entry of `{meant}`: by what factor does the result follow?",
            )
    return None


def few_entries(problem: Problem) -> Finding | None:
    """Are nearly all entries right, and the same few wrong for different upstream gradients?"""
    wrong = []
    for case in [case for case in problem.cases(np.random.default_rng(problem.seed)) if case.name in RANDOM][:2]:
        answer = call(problem.answers, copy.deepcopy(case.args)).value
        parts = answer if isinstance(answer, tuple) else (answer,)
        right = [gradient.value for gradient in problem.gradients(case.args)]
        if len(parts) != len(right) or any(np.shape(a) != r.shape for a, r in zip(parts, right, strict=True)):
            return None
        parts = [np.asarray(a, float) for a in parts]
        wrong.append([~agrees(a, r) for a, r in zip(parts, right, strict=True)])
    bad = [name for name, mask in zip(problem.outputs, wrong[0], strict=True) if mask.any()]
    if len(bad) != 1 or any(not np.array_equal(a, b) for a, b in zip(*wrong, strict=True)):
        return None
    k = problem.outputs.index(bad[0])
    mask, a, r, compared = wrong[0][k], parts[k], right[k], int(problem.gradients(case.args)[k].compared.sum())
    if mask.sum() > max(1, 0.05 * compared) or compared < 4:
        return None
    index = np.unravel_index(int(np.argmax(np.where(mask, np.abs(a - r), 0))), r.shape)
    entry = f"`{bad[0]}[{', '.join(map(str, index))}]`"
    only = "only this entry is wrong" if mask.sum() == 1 else f"only {mask.sum()} entries are wrong"
    return Finding(
        f"{entry} should be {r[index] + 0.0:.6g} and is {a[index] + 0.0:.6g}. Of the {compared} that were compared "
        f"{only}; the cosine between your gradient and the right one is {cosine(a, r):.6f}.",
        "few-entries",
        "the formula is right, and something is done to these entries alone: an index, a border, a mask.",
        "What is special about this entry: its place, or its value?",
    )


def in_words(problem: Problem, finding: Finding) -> Finding:
    """A finding of the ladder, said for one set of inputs."""
    if finding.cause == "returned-none":
        leave_out = "An input that needs no gradient can be left out of the check: `lambda x: f(x, c)`."
        if problem.library.differentiates:
            return replace(
                finding,
                what=finding.what.replace("The function returned", "The gradient found is"),
                likely="no way leads back from the result to that input.",
                next_step=f"{_CUT} {leave_out}",
            )
        return replace(finding, next_step=f"{finding.next_step} {leave_out}".strip())
    if finding.cause == "raised" and "does not require grad" in finding.what:
        return replace(finding, likely="no way leads back from the result to the inputs.", next_step=_CUT)
    if finding.cause == "argument-changed" and problem.library.differentiates:
        return replace(finding, next_step=finding.next_step.replace(".copy()", ".clone()"))
    if finding.cause == "constant-factor" and (found := re.search(r"exactly (\S+) × expected", finding.what)):
        factor = abs(_number(found[1]))
        arrays = [*zip(_moving_names(problem), problem.here.shapes, strict=True), ("the result", problem.shapes[0])]
        lengths = [
            (n, f"the length of axis {axis} of {name}") for name, shape in arrays for axis, n in enumerate(shape)
        ]
        lengths += [(int(np.prod(shape)), f"the number of entries of {name}") for name, shape in arrays]
        for n, what in lengths:
            for value, step in (
                (n, "a sum stand where a mean belongs"),
                (1 / n, "a mean stand where a sum belongs"),
            ):
                if n > 1 and np.isclose(factor, value, rtol=1e-5):
                    return replace(finding, next_step=f"{n} is also {what}: does {step}?")
    return finding


def _moving_names(problem: Problem) -> list[str]:
    return [f"`{problem.names[k]}`" for k in problem.moving]


def remarks(problem: Problem) -> list[Finding]:
    """Remarks on what was and was not compared."""
    notes = []
    if problem.library.single:
        given = listing([f"`{problem.names[k]}`" for k in problem.library.single])
        notes.append(f"{given} came in single precision and {_were(problem.library.single)} checked in double.")
    if problem.constants:
        given = listing([f"`{problem.names[k]}`" for k in problem.constants])
        notes.append(f"{given} {_were(problem.constants)} taken as constant: no gradient was returned.")
    if problem.here.kinks:
        notes.append(
            f"At {_entries(problem.here.kinks)} of the inputs {problem.f_name} has a kink: anything between its slopes "
            "on the left and on the right is accepted there."
        )
    if problem.here.unknown:
        notes.append(
            f"For {_entries(problem.here.unknown)} of the inputs {problem.f_name} has no slope that could be measured "
            "(a jump, an infinite slope, or values that are mostly rounding): nothing was compared there."
        )
    if not problem.here.whole:
        some, all_ = sum(map(len, problem.here.columns)), sum(int(np.prod(s)) for s in problem.here.shapes)
        notes.append(
            f"{some:,} of {all_:,} entries were compared one by one, and all of them together along random "
            "directions. With smaller inputs the check is complete."
        )
    digits = _digits(problem)
    if digits < 4:
        notes.append(
            f"The values of {problem.f_name} are rough, so that gradients could be compared to about {digits} "
            f"digit{'s' if digits > 1 else ''} only. Does it compute in single precision?"
        )
    return [Finding(text, note=True) for text in notes]


def _digits(problem: Problem) -> int:
    """To how many digits the largest entries can be compared."""
    worst = 0.0
    for slopes, error, scale in zip(problem.here.high, problem.here.error, problem.here.scales, strict=True):
        large = np.abs(slopes) > np.fmax(0.5 * np.abs(slopes).max(), 1e-6 * problem.here.sizes[:, None] / scale)
        worst = max(worst, float((10 * error[large] / np.abs(slopes[large])).min(initial=1.0)) if large.any() else 0.0)
    return int(-np.log10(max(worst, RELATIVE)))


def shared_memory(problem: Problem) -> list[Finding]:
    """NumPy results that share memory with what came in: fine, unless somebody changes one of them in place."""
    if problem.library.differentiates:
        return []
    args = copy.deepcopy((problem.as_output(problem.scales), *problem.inputs))
    answer = call(problem.answer, (args,)).value
    named = [(name, a) for name, a in zip([problem.upstream, *problem.names], args, strict=True)]
    for name, a in zip(problem.outputs, answer if isinstance(answer, tuple) else (answer,), strict=False):
        for other, b in named:
            if isinstance(a, np.ndarray) and isinstance(b, np.ndarray) and np.shares_memory(a, b):
                what = f"`{name}` shares its memory with `{other}`: whoever changes one in place changes the other."
                return [Finding(what, "shared-memory", note=True)]
        named.append((name, a))
    return []


def summary(problem: Problem) -> str:
    way = "a complex step" if problem.differentiator.complexes else "extrapolated differences"
    sizes = [
        f"{sum(1 for _ in columns)} of {name}"
        for name, columns in zip(_moving_names(problem), problem.here.columns, strict=True)
    ]
    return f"Compared with derivatives by {way}, entry by entry ({listing(sizes)}); seed {problem.seed}.".replace(
        "`", ""
    )


def _alike(a: Any, b: Any, rtol: float = 1e-9) -> bool:
    """Whether two arrays agree, by the larger of their entries."""
    if a is None or b is None or np.shape(a) != np.shape(b):
        return False
    a, b = np.asarray(a, float), np.asarray(b, float)
    with np.errstate(all="ignore"):
        return bool((np.abs(a - b) <= rtol * np.abs(b).max(initial=0.0)).all()) or np.array_equal(a, b, equal_nan=True)


def _number(text: str) -> float:
    text = text.replace("−", "-")
    return {"½": 0.5, "-½": -0.5, "¼": 0.25}.get(text) or float(text)


def _entries(count: int) -> str:
    return "one entry" if count == 1 else f"{count} entries"


def _were(items: Sequence) -> str:
    return "was" if len(items) == 1 else "were"
