"""Rungs of the ladder that compare numbers: factors, terms, slopes, and other ways in which values are related.

Each takes (record, answer, expected) of every case, with equal shapes, and gives a finding or None.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from autograder.checking.at_hand import at_hand
from autograder.checking.call import call
from autograder.checking.compare import agrees, same
from autograder.checking.score import Finding
from autograder.checking.structure import WrongStructure, flatten, read
from autograder.checking.words import difference, listing

if TYPE_CHECKING:
    from autograder.checking.exercise import Exercise, Record

Function = Callable[[np.ndarray], np.ndarray]
AXES = {"N": "examples", "D": "features", "M": "outputs", "C": "classes", "H": "hidden units"}
Wide = list[tuple["Record", np.ndarray, np.ndarray]]


def _ratio(a: np.ndarray, r: np.ndarray) -> float | None:
    """The number c with a = c·r in every entry, if there is one."""
    norm = float(np.vdot(r, r))
    if not np.isfinite(a).all() or norm == 0:
        return None
    c = float(np.vdot(r, a)) / norm
    return c if c != 0 and agrees(a / c, r, 1e-7).all() else None


def common_factor(names: list[str], records: list[Record]) -> Finding | None:
    """One factor that explains all outputs that are wrong, in all cases."""
    ratios, cases = [], set()
    finite = [r for r in records if all(np.isfinite(a).all() for a in r.answer.values())]
    endless = [r for r in records if not any(r is other for other in finite)]
    if endless and (
        len(finite) < 4
        or any(r.case.group != "stability" and min(r.case.sizes.values(), default=1) > 1 for r in endless)
    ):
        return None
    for record in finite:
        for name in names:
            r, a = record.expected.get(name), record.answer.get(name)
            if r is None or not r.any():
                continue
            if a is None or a.shape != r.shape or (c := _ratio(a.astype(float), r)) is None:
                return None
            ratios.append((record.case.sizes, c))
            cases.add(record.case.name)
    if len(cases) < 3 or (in_words := formula(ratios)) is None or all(abs(c - 1) < 1e-3 for _, c in ratios):
        return None
    cause, text, likely, step = in_words
    verb = "is" if len(names) == 1 else "are"
    return Finding(
        f"{listing([f'`{name}`' for name in names])} {verb} exactly {text} × expected, in all {len(cases)} cases"
        + (f" but “{endless[0].case.name}”, where it is not finite." if endless else "."),
        cause,
        likely,
        step,
    )


def factor(exercise: Exercise, f: Callable, name: str, wide: Wide) -> Finding | None:
    ratios = [(record, _ratio(a, r)) for record, a, r in wide if r.any()]
    if not ratios or any(c is None for _, c in ratios):
        if all(np.abs(a).max(initial=0) <= 1e-12 * np.abs(r).max(initial=0) for _, a, r in wide):
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
    different = [pair for pair in off[1:] if not np.isclose(pair[1], off[0][1])] or off[1:]
    other = "".join(f" and {c:.4g} × in “{record.case.name}”" for record, c in different[:1])
    fine = [record.case.name for record, c in ratios if abs(c - 1) <= 1e-6]
    exact = f", and exactly right in “{fine[0]}”" if fine else ""
    return Finding(
        f"`{name}` points the right way, and its length is wrong: it is {off[0][1]:.4g} × expected in "
        f"“{off[0][0].case.name}”{other}{exact}.",
        "scaled",
        "a factor that is the same for all entries is missing or too much: often a mean where a sum belongs, or the "
        "reverse.",
        "Divide your answer by the expected one for two different inputs. What has that value in each?",
    )


def formula(ratios: list[tuple[dict[str, int], float]]) -> tuple[str, str, str, str] | None:
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
    for power in powers:
        if set(power.values()) <= {0, 1} and any(power.values()):
            n = [np.prod([float(sizes[axis]) ** p for axis, p in power.items()]) for sizes, _ in ratios]
            for more, sign in ((-1, "−"), (1, "+")):
                if all(k + more for k in n) and np.allclose(
                    [c * (k + more) / k for (_, c), k in zip(ratios, n, strict=True)], 1, rtol=1e-7
                ):
                    text = "·".join(axis for axis, p in power.items() if p)
                    return (
                        "one-less-in-the-denominator" if more < 0 else "one-more-in-the-denominator",
                        f"{text}/({text} {sign} 1)",
                        f"the division is by {text} {sign} 1, where the mean is taken over {text}.",
                        "A mean divides by the number of things that were added. How many are there?",
                    )
    return None


_NUMBERS = {1.0: "", -1.0: "−", 2.0: "2", -2.0: "−2", 0.5: "½", -0.5: "−½", 4.0: "4", 0.25: "¼"}


def _size_in_words(axis: str) -> str:
    return f"number of {AXES[axis]}" if axis in AXES else f"length of the axis {axis}"


def _factor_in_words(c: float, power: dict[str, int]) -> tuple[str, str, str, str] | None:
    number = next((text for value, text in _NUMBERS.items() if abs(c - value) < 1e-6 * abs(value)), None)
    top = "·".join(axis if p == 1 else f"{axis}²" for axis, p in power.items() if p > 0)
    under = "·".join(axis if p == -1 else f"{axis}²" for axis, p in power.items() if p < 0)
    if not power:
        if number == "":
            return "none", "1", "", ""
        if abs(c) < 1e-9:
            return "none", "0", "", ""
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
            "Which constants has the definition (a ½, a rate, a weight), and which does a derivative bring (the 2 of a "
            "square)? Follow each of them through your lines.",
        )
    if number is None and list(power.values()) == [1] and c and abs(1 / c - round(1 / c)) < 1e-6:
        size, (axis,) = f"{1 / c:.0f}", power
        return (
            "hard-coded-size",
            f"{axis}/{size}",
            f"the number {size} is written into the code; the number of {AXES.get(axis, 'entries')} belongs there.",
            "Take sizes from the arguments, for example from `X.shape`: the check calls your function with several.",
        )
    if number is None:
        return None
    text = f"{number}{'·' if number not in ('', '−') and top else ''}{top or ('1' if number in ('', '−') else '')}"
    text += f"/({under})" if "·" in under else f"/{under}" if under else ""
    meaning = ", ".join(f"{axis} is the {_size_in_words(axis)}" for axis in power)
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


def upstream(exercise: Exercise, f: Callable, name: str, wide: Wide) -> Finding | None:
    """Double the upstream gradient: a backward pass must double its answer."""
    if exercise.upstream is None:
        return None
    position = exercise.parameters.index(exercise.upstream)
    responses = []
    for record, a, _ in wide:
        args = list(copy.deepcopy(record.case.args))
        args[position] = args[position] * 2
        outcome = call(exercise.adapted(f), tuple(args))
        if outcome.error is not None:
            return None
        right = exercise.right(tuple(args))
        if not same(flatten(right, exercise.outputs)[name], 2 * record.expected[name]):
            return None  # this output does not come from there
        try:
            doubled, _ = read(outcome.value, right, exercise.outputs)
        except WrongStructure:
            return None
        if name not in doubled or doubled[name].shape != a.shape:
            return None
        if not a.any() and not doubled[name].any():
            continue
        responses.append((a, doubled[name].astype(float)))
    v = f"`{exercise.upstream}`"
    if not responses:
        return None
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
    (
        "absolute-value",
        np.abs,
        "entries that should be negative are positive, and right but for that.",
        "Should this entry be positive or negative? Look for an `abs`, or a difference written the other way round.",
    ),
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
    ("only-the-sign", np.sign, "only its sign is left.", "Where did the size go?"),
]


_CUTS: list[tuple[str, Callable[[np.ndarray], np.ndarray], str, str]] = [
    (
        "off-diagonal-lost",
        lambda r: np.diag(np.diag(r)) if r.ndim == 2 and r.shape[0] == r.shape[1] else 0 * r,
        "only the diagonal is filled: how one entry depends on the others was left out.",
        "Nudge one input: which outputs move? Each of them has an entry.",
    ),
    (
        "diagonal-lost",
        lambda r: r - np.diag(np.diag(r)) if r.ndim == 2 and r.shape[0] == r.shape[1] else 0 * r,
        "the diagonal is left out: how each entry depends on its own input.",
        "Nudge one input: does the output of the same index move?",
    ),
    ("negative-part-lost", lambda r: np.maximum(r, 0), "negative values were cut off.", "What clips it at 0?"),
    ("positive-part-lost", lambda r: np.minimum(r, 0), "positive values were cut off.", "What clips it at 0?"),
]


def cut_off(exercise: Exercise, f: Callable, name: str, wide: Wide) -> Finding | None:
    """Is a part of the answer, and only that, lost?"""
    for cause, change, likely, step in _CUTS:
        if all(same(a, np.asarray(change(r)), 1e-7) for _, a, r in wide):
            return Finding(difference(name, wide[0][0]), cause, likely, step)
    return None


def transform(exercise: Exercise, f: Callable, name: str, wide: Wide) -> Finding | None:
    for cause, change, likely, step in _TRANSFORMS:
        for sign in (1, -1):
            with np.errstate(all="ignore"):
                hits = [same(a, sign * np.asarray(change(r)), 1e-7) for _, a, r in wide]
            if all(hits):
                likely_signed = likely if sign == 1 else likely.rstrip(".") + ", and the sign is flipped."
                return Finding(difference(name, wide[0][0]), cause, likely_signed, step)
    for cause, way, word in (("summed-and-spread", np.sum, "sum"), ("averaged-and-spread", np.mean, "mean")):
        for axis in range(wide[0][2].ndim):
            if all(
                r.ndim > axis and same(a, np.broadcast_to(way(r, axis=axis, keepdims=True), r.shape), 1e-7)
                for _, a, r in wide
            ) and any(np.abs(a).max() > 1e-6 for _, a, _ in wide):
                return Finding(
                    difference(name, wide[0][0]),
                    cause,
                    f"all entries along axis {axis} are the {word} of the right ones.",
                    f"Which line reduces over axis {axis}, and should it?",
                )
    return None


def clipped(exercise: Exercise, f: Callable, name: str, wide: Wide) -> Finding | None:
    """Is the answer right but for a lowest and a highest value?"""
    if len(wide) < 3:
        return None
    low, high = min(a.min() for _, a, _ in wide), max(a.max() for _, a, _ in wide)
    if sum(bool(((a > low) & (a < high)).any()) for _, a, _ in wide) < 2:
        return None
    if high - low < 1e-6 * max(np.abs(r).max() for _, _, r in wide):
        return None
    if low == 0 or high == 0 or not all(same(a, np.clip(r, low, high), 1e-9) for _, a, r in wide):
        return None
    return Finding(
        f"`{name}` never goes below {low:.4g} or above {high:.4g}; between them it is right.",
        "clipped",
        "values are cut off: `np.clip`, `min`, `max`, or a small constant inside a logarithm.",
        "Is a bound asked for?",
    )


def extra_term(exercise: Exercise, f: Callable, name: str, wide: Wide) -> Finding | None:
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
        for other in at_hand(exercise, record, r.shape):
            if other == name or other == f"{name}.T":
                continue
            terms = [at_hand(exercise, rec, r.shape).get(other) for rec, _, r in wide]
            if any(t is None for t in terms):
                continue
            ratios = [_ratio(gap, t) for gap, t in zip(gaps, terms, strict=True) if t.any()]
            if None in ratios or not ratios:
                continue
            times = formula([(rec.case.sizes, c) for (rec, _, _), c in zip(wide, ratios, strict=False)])
            if times is None:
                continue
            times = "" if times[1] == "1" else f"{times[1]} · "
            return Finding(
                f"`{name}` is expected + {times}`{other}`, in all cases.",
                "extra-term",
                f"a term with `{other}` is added that does not belong there, or one that should cancel it is missing.",
                f"Through which path could `{other}` reach `{name}` on its own?",
            )
    return None


FUNCTIONS: list[tuple[str, Callable[[np.ndarray], np.ndarray]]] = [
    ("{}", lambda t: t),
    ("(1 − {})", lambda t: 1 - t),
    ("(1 + {})", lambda t: 1 + t),
    ("{}²", lambda t: t * t),
    ("(1 − {}²)", lambda t: 1 - t * t),
    ("{}·(1 − {})", lambda t: t * (1 - t)),
    ("exp({})", np.exp),
    ("({} > 0)", lambda t: (t > 0).astype(float)),
]


def extra_factor(exercise: Exercise, f: Callable, name: str, wide: Wide) -> Finding | None:
    """Is the answer the right one times, or divided by, a simple function of something at hand?"""
    for other in at_hand(exercise, wide[0][0], wide[0][2].shape):
        if other == name:
            continue
        factors = [at_hand(exercise, record, r.shape).get(other) for record, _, r in wide]
        if any(t is None for t in factors):
            continue
        for pattern, function in FUNCTIONS:
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


def local_slope(exercise: Exercise, f: Callable, name: str, wide: Wide) -> Finding | None:
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
    for slope in (mine, right):
        jumps = np.abs(np.diff(slope))[close] > 0.1 * (1 + np.abs(slope[1:][close]))
        if not np.isfinite(slope).all() or (jumps.size and jumps.mean() > 0.2):
            return None
    for text, function in _SLOPES:
        if same(mine, function(x) * np.ones_like(x), 1e-6):
            slope = text.replace("{}", other)
            return Finding(
                difference(name, wide[0][0]),
                "wrong-slope",
                f"the local slope in your code is `{slope}`.",
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


def per_row(exercise: Exercise, f: Callable, name: str, wide: Wide) -> Finding | None:
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
                difference(name, wide[0][0]),
                f"scaled-by-{word}",
                f"each {word} is right but for a factor of its own.",
                f"What is divided by, or multiplied with, along a {word}: a sum or mean over the wrong axis?",
            )
        if slices and all(np.ptp(a_line - r_line) < 1e-9 * (1 + np.abs(a_line).max()) for a_line, r_line in slices):
            return Finding(
                difference(name, wide[0][0]),
                f"offset-by-{word}",
                f"each {word} is right but for an amount of its own that is added to all its entries.",
                f"Which sum over a {word} is subtracted, and over which axis does yours run?",
            )
    return None


def rows_not_filled(exercise: Exercise, f: Callable, name: str, wide: Wide) -> Finding | None:
    """Are some rows 0, and all others right?"""
    empty = [
        (record, ~a.any(axis=tuple(range(1, a.ndim))) & r.any(axis=tuple(range(1, r.ndim))))
        for record, a, r in wide
        if r.ndim
    ]
    if len(empty) < len(wide) or not all(
        same(a[~gaps], r[~gaps], 1e-9) for (_, a, r), (_, gaps) in zip(wide, empty, strict=True)
    ):
        return None
    some = [(record, gaps) for record, gaps in empty if gaps.any() and not gaps.all()]
    if not some:
        return None
    record, gaps = some[0]
    word = "entries" if record.expected[name].ndim == 1 else "rows"
    return Finding(
        f"In the case “{record.case.name}” the {word} {listing([str(i) for i in np.flatnonzero(gaps)])} of `{name}` "
        "(numbered from 0) are 0; the others are right.",
        "rows-not-filled",
        f"a loop or a slice does not reach these {word}.",
        "Print the indices that your loop visits. Which ones does `range` leave out?",
    )


def rounded(exercise: Exercise, f: Callable, name: str, wide: Wide) -> Finding | None:
    ordinary = [(a, r) for record, a, r in wide if record.case.group != "stability"]
    with np.errstate(all="ignore"):
        if ordinary and all(agrees(a, r, 1e-3).all() for a, r in ordinary):
            if all(agrees(a, r).all() for a, r in ordinary):
                return None  # something that only large numbers show
            worst = max(float(np.max(np.abs(a - r), initial=0.0)) for a, r in ordinary)
            return Finding(
                f"`{name}` is right to a few digits only: the largest difference is {worst:.1e}, and an exact "
                "formula differs by about 1e-16.",
                "approximate",
                "a numerical derivative, a small constant added for safety (such as `+ 1e-8`), or lower precision.",
                "Is there an exact formula? Is there a constant in your code that the derivation does not have?",
            )
    return None
