"""Diagnosis of networks: what an answer tells of the steps, and of the examples, that it was made from.

A weight's gradient is ``A.T @ dZ``. On inputs with fewer examples than features the learner's ``dZ`` follows
from it by least squares, without a look into the function. The first intermediate that is wrong, counted from
the loss, is where the mistake was made; what it equals instead often says which. In the same way a sum over
the batch tells how often each of its examples was counted.
"""

import copy
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

import backprop
from autograder.checking.call import call
from autograder.checking.compare import same
from autograder.checking.exercise import Exercise
from autograder.checking.score import Finding
from autograder.checking.structure import WrongStructure, flatten, read

Flat = dict[str, np.ndarray]


@dataclass(frozen=True)
class Guess:
    """A wrong value that has a name: its slug, what the learner did, and where to look next."""

    value: np.ndarray
    cause: str
    likely: str
    next_step: str


@dataclass(frozen=True)
class Stage:
    """One linear layer on the way back.

    Attributes
    ----------
    weight : name of the gradient of its weight among the outputs.
    gradient : name of the gradient of its pre-activation, such as ``"dZ1"``.
    inputs : name and value of what the layer multiplies with its weight.
    expected : the right gradient of its pre-activation.
    formula : how that is computed, in the book's words.
    context : arrays that a wrong formula may have used instead, by name.
    bias : name of the gradient of its bias among the outputs.
    guesses : wrong gradients of the pre-activation, each but for a constant factor.
    terms : arrays of which a wrong gradient may be a sum, with other factors than the right one.
    """

    weight: str
    gradient: str
    inputs: tuple[str, np.ndarray]
    expected: np.ndarray
    formula: str
    context: Flat
    bias: str = ""
    guesses: tuple[Guess, ...] = ()
    terms: Flat = field(default_factory=dict)


def probe(exercise: Exercise, f: Callable, args: tuple) -> Flat | None:
    """What a learner's function gives for some arguments; None if it fails, or if shapes or precision are others."""
    right = exercise.reference(*copy.deepcopy(args))
    try:
        answer, faults = read(call(f, copy.deepcopy(args)).value, right, exercise.outputs)
    except WrongStructure:
        return None
    expected = flatten(right, exercise.outputs)
    if faults or any(answer[name].shape != r.shape or answer[name].dtype != np.float64 for name, r in expected.items()):
        return None
    return {name: answer[name].astype(float) for name in expected}


_GATES: list[tuple[str, Callable[[np.ndarray], np.ndarray]]] = [
    ("", np.ones_like),
    (" * {}", lambda t: t),
    (" * ({} > 0)", lambda t: (t > 0).astype(float)),
    (" * ({} < 0)", lambda t: (t < 0).astype(float)),
    (" * {} * (1 - {})", lambda t: t * (1 - t)),
    (" * (1 - {}**2)", lambda t: 1 - t**2),
    (" * sign({})", np.sign),
    (" * sigmoid({})", backprop.sigmoid),
    (" * sigmoid({}) * (1 - sigmoid({}))", lambda t: backprop.sigmoid(t) * backprop.sigmoid(-t)),
    (" * (1 - tanh({})**2)", lambda t: 1 - np.tanh(t) ** 2),
]
_INPUTS: list[tuple[str, Callable[[np.ndarray], np.ndarray]]] = [
    ("{}", lambda t: t),
    ("np.maximum({}, 0)", lambda t: np.maximum(t, 0)),
    ("({} > 0)", lambda t: (t > 0).astype(float)),
    ("abs({})", np.abs),
    ("tanh({})", np.tanh),
    ("sigmoid({})", backprop.sigmoid),
]
_SUMS: list[tuple[str, Callable[[np.ndarray], np.ndarray]]] = [
    ("{}.sum(axis=0)", lambda d: d.sum(axis=0)),
    ("{}.mean(axis=0)", lambda d: d.mean(axis=0)),
    ("-{}.sum(axis=0)", lambda d: -d.sum(axis=0)),
    ("{}.max(axis=0)", lambda d: d.max(axis=0)),
    ("abs({}).sum(axis=0)", lambda d: np.abs(d).sum(axis=0)),
    ("{}[0]", lambda d: d[0]),
    ("{}[-1]", lambda d: d[-1]),
    ("{}.sum()` for every unit, not `{}.sum(axis=0)", lambda d: np.full(d.shape[1], d.sum())),
]


def first_wrong(draws: list[tuple[list[Stage], Flat]]) -> Finding | None:
    """The first wrong stage, if all draws agree on it.

    Parameters
    ----------
    draws : for each of some inputs the stages, from the loss to the input, and the learner's answer.
    """
    for i in range(len(draws[0][0])):
        stages = [stages[i] for stages, _ in draws]
        weights = [answer.get(stage.weight) for stage, (_, answer) in zip(stages, draws, strict=True)]
        biases = [answer.get(stage.bias) for stage, (_, answer) in zip(stages, draws, strict=True)]
        rights = [stage.inputs[1].T @ stage.expected for stage in stages]
        if not all(map(_comparable, weights, rights)):
            return None
        if not all(same(a, r, 1e-7) for a, r in zip(weights, rights, strict=True)):
            finding = _other_inputs(stages, weights)
            if finding is None and _bias_is_right(stages, biases):
                finding = _wrong_weight(stages, weights)
            return finding or _wrong_gradient(stages, weights)
        if (finding := _wrong_bias(stages, biases)) is not None:
            return finding
    return None


def _comparable(a: np.ndarray | None, r: np.ndarray) -> bool:
    return a is not None and a.shape == r.shape and bool(np.isfinite(a).all())


def _other_inputs(stages: list[Stage], answers: list[np.ndarray]) -> Finding | None:
    """The gradient is right, and was multiplied with something else than the layer's input."""
    stage = stages[0]
    sources = [s.context | dict([s.inputs]) for s in stages]
    for name, (pattern, function) in itertools.product(sources[0], _INPUTS):
        if all(
            len(source[name]) == len(s.expected) and same(a, function(source[name]).T @ s.expected, 1e-7)
            for s, a, source in zip(stages, answers, sources, strict=True)
        ):
            text = pattern.replace("{}", name)
            return Finding(
                f"The gradient `{stage.weight}` is `{text}.T @ {stage.gradient}`.",
                "wrong-layer-input",
                f"`{text}` stands where `{stage.inputs[0]}` belongs, the input of that layer.",
                "What did this layer multiply with its weight in the forward pass?",
            )
    return None


def _bias_is_right(stages: list[Stage], answers: list[np.ndarray | None]) -> bool:
    rights = [s.expected.sum(axis=0) for s in stages]
    return all(map(_comparable, answers, rights)) and all(
        same(a, r, 1e-7) for a, r in zip(answers, rights, strict=True)
    )


def forward_is_right(stages: list[Stage], answer: Flat) -> bool:
    """Whether the gradient of the last bias is right, which no wrong forward pass would give."""
    return _bias_is_right(stages[:1], [answer.get(stages[0].bias)])


def _wrong_weight(stages: list[Stage], answers: list[np.ndarray]) -> Finding:
    """The bias's gradient is right, so that of the pre-activation is: only the weight's own line is wrong."""
    stage = stages[0]
    what = f"`{stage.bias}` is right, so `{stage.gradient}` is; `{stage.weight}` is not."
    likely = f"the mistake is in the line that computes `{stage.weight}`."
    if (formula := _named_gradient(stages, _recovered(stages, answers))) is not None:
        likely = f"`{stage.inputs[0]}.T` is multiplied with `{formula}`, not with `{stage.gradient}`."
    return Finding(
        what,
        "wrong-weight-gradient",
        likely,
        f"Nudge one weight of that layer: which entry of `{stage.inputs[0]}` does it carry, and where to?",
    )


def _recovered(stages: list[Stage], answers: list[np.ndarray]) -> list[np.ndarray] | None:
    """The learner's gradients of the pre-activation, by least squares, if the answers are made from any."""
    recovered = []
    for stage, a in zip(stages, answers, strict=True):
        A = stage.inputs[1]
        dZ = np.linalg.lstsq(A.T, a, rcond=None)[0]
        if not same(A.T @ dZ, a, 1e-6):
            return None
        recovered.append(dZ)
    return recovered


def _named_gradient(stages: list[Stage], recovered: list[np.ndarray] | None) -> str | None:
    """A recovered gradient as the product of two arrays that were at hand."""
    names = [name for name, array in stages[0].context.items() if array.shape == stages[0].expected.shape]
    for (pattern, function), base, factor in itertools.product(_GATES, names, names):
        if recovered is not None and (pattern or base == factor):
            values = [s.context[base] * function(s.context[factor]) for s in stages]
            if all(same(dZ, value, 1e-6) for dZ, value in zip(recovered, values, strict=True)):
                return base + pattern.replace("{}", factor)
    return None


def _wrong_bias(stages: list[Stage], answers: list[np.ndarray | None]) -> Finding | None:
    """The weight's gradient is right and the bias's is not: what was collected instead, and how?"""
    stage = stages[0]
    rights = [s.expected.sum(axis=0) for s in stages]
    if not all(map(_comparable, answers, rights)) or all(map(same, answers, rights)):
        return None
    if not any(a.any() for a in answers):
        return Finding(
            f"`{stage.weight}` is right, so `{stage.gradient}` is; `{stage.bias}` is zero.",
            "all-zeros",
            "an array was prepared for the gradient of the bias and never filled.",
            f"Which line of yours fills `{stage.bias}`, and from what?",
        )
    names = [name for name, array in stage.context.items() if array.shape == stage.expected.shape]
    for name, (pattern, function) in itertools.product((stage.gradient, *names), _SUMS):
        sources = [s.expected if name == stage.gradient else s.context[name] for s in stages]
        if all(same(a, function(source), 1e-7) for a, source in zip(answers, sources, strict=True)):
            return Finding(
                f"`{stage.weight}` is right, so `{stage.gradient}` is; `{stage.bias}` is `"
                + pattern.replace("{}", f"({name})" if " " in name else name)
                + "`.",
                "wrong-bias-gradient",
                "the gradient of the bias is collected from another array, or in another way, than it should be.",
                "Nudge one bias: which rows move, and which gradient does each of them carry? They add up.",
            )
    return None


def _wrong_gradient(stages: list[Stage], answers: list[np.ndarray]) -> Finding | None:
    """Recover the learner's gradient of the pre-activation, and say what it is."""
    if (recovered := _recovered(stages, answers)) is None:
        return None
    stage = stages[0]
    where = f"The first wrong step, counted from the loss, is the gradient `{stage.gradient}`"
    if not any(dZ.any() for dZ in recovered):
        return Finding(
            f"{where}: yours is zero.",
            "all-zeros",
            "the gradient stops there: it is multiplied with zeros, or an array was prepared and never filled.",
            f"Print what comes into the line that computes `{stage.gradient}`, and what comes out.",
        )
    if (text := _factor_of_the_right_one(stages, recovered)) is not None:
        return Finding(
            f"{where}: yours is {text} × the right one.",
            "wrong-factor-on-the-way",
            f"on the way back to `{stage.gradient}` there is a factor, or a division, that does not belong there.",
            "The mean over the batch is taken once, in the loss. Where else does your code multiply or divide?",
        )
    for i, guess in enumerate(stage.guesses):
        if all(_proportional(dZ, s.guesses[i].value) for dZ, s in zip(recovered, stages, strict=True)):
            return Finding(f"{where}.", guess.cause, guess.likely, guess.next_step)
    if (formula := _named_gradient(stages, recovered)) is not None:
        return Finding(
            f"{where}: yours equals `{formula}`.",
            "wrong-step",
            f"`{formula}` stands where `{stage.formula}` belongs: something is missing, or another array was taken.",
            f"Write down how `{stage.gradient}` follows from what comes after it, one factor at a time.",
        )
    if (formula := _as_a_sum(stages, recovered)) is not None:
        return Finding(
            f"{where}: yours equals `{formula}`.",
            "wrong-step",
            f"`{formula}` stands where `{stage.formula}` belongs: the same terms, with other factors.",
            "Where does each of these factors come from? Follow the labels to the line where they are subtracted.",
        )
    return Finding(
        f"{where}: whatever comes after it is right.{_rows(stages, recovered)}",
        "wrong-step",
        f"the mistake is in the line that computes `{stage.gradient}`, or in something that only it uses.",
        f"Print your `{stage.gradient}` and check it against (upstream) × (local slope) for one example by hand.",
    )


def _as_a_sum(stages: list[Stage], recovered: list[np.ndarray]) -> str | None:
    """The gradient as a sum of terms over N, each with a factor, if the factors are the same in all draws."""
    names = list(stages[0].terms)
    factors = []
    for s, dZ in zip(stages, recovered, strict=True):
        columns = np.stack([s.terms[name].ravel() for name in names], axis=1) if names else np.zeros((dZ.size, 0))
        solution = np.linalg.lstsq(columns, dZ.ravel(), rcond=None)[0]
        if not names or not same(columns @ solution, dZ.ravel(), 1e-6):
            return None
        factors.append(solution * len(dZ))
    if not all(np.allclose(f, factors[0], rtol=1e-5, atol=1e-9) for f in factors):
        return None
    parts = [
        f"{'-' if f < 0 else '+'} {abs(f):.3g}{'' if name == '1' else f' * {name}'}"
        for f, name in zip(factors[0], names, strict=True)
        if abs(f) > 1e-9
    ]
    return f"({' '.join(parts).removeprefix('+ ')}) / N"


def _rows(stages: list[Stage], recovered: list[np.ndarray]) -> str:
    """Which rows, columns or entries of a wrong gradient are right, if only some are."""
    good = [
        np.isclose(dZ, s.expected, rtol=1e-6, atol=1e-9 * np.abs(s.expected).max())
        for dZ, s in zip(recovered, stages, strict=True)
    ]
    for axis, word in ((1, "rows"), (0, "columns")):
        lines = [g.all(axis=axis) for g in good]
        if any(line.any() for line in lines):
            share = f"{sum(int(line.sum()) for line in lines)} of {sum(len(line) for line in lines)}"
            return f" On inputs of ours, {share} of its {word} are right."
    if any(g.any() for g in good):
        return (
            f" On inputs of ours, {sum(int(g.sum()) for g in good)} of {sum(g.size for g in good)} entries are right."
        )
    return ""


def _proportional(a: np.ndarray, b: np.ndarray) -> bool:
    norm = float(np.vdot(b, b))
    return norm > 0 and bool(a.any()) and same(a, b * (np.vdot(a, b) / norm), 1e-6)


def _factor_of_the_right_one(stages: list[Stage], recovered: list[np.ndarray]) -> str | None:
    """The number by which the gradient is off, as text: of the batch's length, or the same in all draws."""
    if not all(_proportional(dZ, s.expected) for dZ, s in zip(recovered, stages, strict=True)):
        return None
    factors = [
        float(np.vdot(dZ, s.expected) / np.vdot(s.expected, s.expected))
        for dZ, s in zip(recovered, stages, strict=True)
    ]
    lengths = [len(s.expected) for s in stages]
    for text, power in (("N", 1), ("1/N", -1), ("1/N²", -2)):
        if np.allclose(factors, [float(N) ** power for N in lengths], rtol=1e-6):
            return text
    alike = np.allclose(factors, factors[0], rtol=1e-6) and not np.isclose(factors[0], 1, rtol=1e-4)
    return f"{factors[0]:.4g}" if alike else None


def examples_counted(batches: list[tuple[np.ndarray, np.ndarray]]) -> Finding | None:
    """Which examples were left out of a sum over the batch, or counted more often than others.

    Parameters
    ----------
    batches : of different lengths. For each, what every example adds to the right answer, ``(N, size)``,
        and the learner's answer, ``(size,)``; ``size`` must not be less than ``N``.
    """
    counts = []
    for parts, answer in batches:
        if not np.isfinite(answer).all():
            return None
        count = np.linalg.lstsq(parts.T, answer, rcond=None)[0]
        if not same(parts.T @ count, answer, 1e-7):
            return None
        counts.append(np.where(np.abs(count) < 1e-7, 0.0, count))
    if all(np.ptp(count) < 1e-6 for count in counts) or not all(map(_look_counted, counts)):
        return None
    text = "Your answer is the sum of what the examples of the batch add to it, but not all count alike: "
    text += f"in a batch of {len(counts[0])} they count " + ", ".join(f"{c + 0.0:.3g}" for c in counts[0]) + "."
    if any((count == 0).any() for count in counts):
        return Finding(
            text,
            "example-left-out",
            f"{which_were_used([np.flatnonzero(count) for count in counts], [len(count) for count in counts])}.",
            "Over which indices does your loop run, or your slice reach? A batch has the rows 0 to N − 1, whatever N.",
        )
    return Finding(
        text,
        "examples-counted-unequally",
        "some examples enter more often, or with another factor, than others.",
        "Follow one example through your loop: how often is it added, and multiplied with what?",
    )


def _look_counted(counts: np.ndarray) -> bool:
    """Whether numbers may come from counting: small multiples of one of them, not just any coefficients."""
    if counts.min() < 0 or not counts.any():
        return False
    multiples = counts / counts[counts > 0].min()
    return bool(multiples.max() < 10 and np.allclose(multiples, np.round(multiples), atol=1e-6))


def which_were_used(used: list[np.ndarray], lengths: list[int]) -> str:
    """Which indices of each batch were used, in words."""

    def always(pattern: Callable[[int], list[int] | range]) -> bool:
        return all(list(u) == list(pattern(N)) for u, N in zip(used, lengths, strict=True))

    k = len(used[0])
    missing = sorted(set(range(lengths[0])) - set(used[0].tolist()))
    if always(lambda N: [N - 1]):
        return "only the last example is used"
    if always(lambda N: range(min(k, N))):
        return f"only the first {k} examples are used" if k > 1 else "only the first example is used"
    if always(lambda N: range(N - 1)):
        return "the last example is left out"
    if always(lambda N: range(1, N)):
        return "the first example is left out"
    if always(lambda N: range(0, N, 2)) or always(lambda N: range(1, N, 2)):
        return "only every second example is used"
    if always(lambda N: range(N // 2)):
        return "only the first half of the batch is used"
    if len(missing) == 1 and always(lambda N: [n for n in range(N) if n != missing[0]]):
        return f"example {missing[0]} is left out"
    some = ", ".join(map(str, missing[:4])) + (" and others" if len(missing) > 4 else "")
    return f"in a batch of {lengths[0]} these examples are left out: {some}"
