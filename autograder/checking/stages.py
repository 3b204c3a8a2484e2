"""Stagewise diagnosis of networks: the learner's own intermediate gradients, recovered from the answer.

A weight's gradient is ``A.T @ dZ``. On inputs with fewer examples than features the learner's ``dZ`` follows
from it by least squares, without a look into the function. The first intermediate that is wrong, counted from
the loss, is where the mistake was made; what it equals instead often says which.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from autograder.checking.compare import same
from autograder.checking.score import Finding


@dataclass(frozen=True)
class Stage:
    """One linear layer on the way back.

    Attributes
    ----------
    weight : name of its weight's gradient among the outputs.
    gradient : name of the gradient of its pre-activation, such as ``"dZ1"``.
    inputs : name and value of what the layer multiplies with its weight.
    expected : the right gradient of its pre-activation.
    formula : how that is computed, in the book's words.
    context : arrays that a wrong formula may have used instead, by name.
    """

    weight: str
    gradient: str
    inputs: tuple[str, np.ndarray]
    expected: np.ndarray
    formula: str
    context: dict[str, np.ndarray]


_GATES: list[tuple[str, Callable[[np.ndarray], np.ndarray]]] = [
    ("", lambda t: np.ones_like(t)),
    (" * {}", lambda t: t),
    (" * ({} > 0)", lambda t: (t > 0).astype(float)),
    (" * ({} < 0)", lambda t: (t < 0).astype(float)),
    (" * {} * (1 - {})", lambda t: t * (1 - t)),
    (" * (1 - {}**2)", lambda t: 1 - t**2),
    (" * sign({})", np.sign),
]


def first_wrong(draws: list[tuple[list[Stage], dict[str, np.ndarray]]]) -> Finding | None:
    """The first wrong stage, if all draws agree on it.

    Parameters
    ----------
    draws : for each of some inputs the stages, from the loss to the input, and the learner's answer.
    """
    for i in range(len(draws[0][0])):
        stages = [stages[i] for stages, _ in draws]
        answers = [answer.get(stage.weight) for stage, (_, answer) in zip(stages, draws, strict=True)]
        rights = [stage.inputs[1].T @ stage.expected for stage in stages]
        if any(
            a is None or a.shape != r.shape or not np.isfinite(a).all() for a, r in zip(answers, rights, strict=True)
        ):
            return None
        if all(same(a, r, 1e-7) for a, r in zip(answers, rights, strict=True)):
            continue
        return _other_inputs(stages, answers) or _wrong_gradient(stages, answers)
    return None


def _other_inputs(stages: list[Stage], answers: list[np.ndarray]) -> Finding | None:
    """The gradient is right, and was multiplied with something else than the layer's input."""
    stage = stages[0]
    for name in stage.context:
        if all(
            len(s.context[name]) == len(s.expected) and same(a, s.context[name].T @ s.expected, 1e-7)
            for s, a in zip(stages, answers, strict=True)
        ):
            return Finding(
                f"The gradient `{stage.weight}` is `{name}.T @ {stage.gradient}`.",
                "wrong-layer-input",
                f"`{name}` stands where `{stage.inputs[0]}` belongs, the input of that layer.",
                "What did this layer multiply with its weight in the forward pass?",
            )
    return None


def _wrong_gradient(stages: list[Stage], answers: list[np.ndarray]) -> Finding | None:
    """Recover the learner's gradient of the pre-activation, and say what it is."""
    recovered = []
    for stage, a in zip(stages, answers, strict=True):
        A = stage.inputs[1]
        dZ = np.linalg.lstsq(A.T, a, rcond=None)[0]
        if not same(A.T @ dZ, a, 1e-6):
            return None
        recovered.append(dZ)
    stage = stages[0]
    where = f"The first wrong step, counted from the loss, is the gradient `{stage.gradient}`"
    if not any(dZ.any() for dZ in recovered):
        return Finding(
            f"{where}: yours is zero.",
            "all-zeros",
            "the gradient stops there: it is multiplied with zeros, or an array was prepared and never filled.",
            f"Print what comes into the line that computes `{stage.gradient}`, and what comes out.",
        )
    names = [name for name, array in stage.context.items() if array.shape == stage.expected.shape]
    for (pattern, function), base, factor in itertools.product(_GATES, names, names):
        if pattern or base == factor:
            values = [s.context[base] * function(s.context[factor]) for s in stages]
            if all(same(dZ, value, 1e-6) for dZ, value in zip(recovered, values, strict=True)):
                formula = base + pattern.replace("{}", factor)
                return Finding(
                    f"{where}: yours equals `{formula}`.",
                    "wrong-step",
                    f"`{formula}` stands where `{stage.formula}` belongs: something is missing, or another array "
                    "was taken.",
                    f"Write down how `{stage.gradient}` follows from what comes after it, one factor at a time.",
                )
    return Finding(
        f"{where}: whatever comes after it is right.",
        "wrong-step",
        f"the mistake is in the line that computes `{stage.gradient}`, or in something that only it uses.",
        f"Print your `{stage.gradient}` and check it against (upstream) × (local slope) for one example by hand.",
    )
