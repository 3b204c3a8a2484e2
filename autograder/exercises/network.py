"""Chapter 6: networks of two and of many layers, an epoch of training, and a bug hunt."""

import copy
import itertools
import math
from collections.abc import Callable

import numpy as np

import backprop
from autograder.checking.call import call
from autograder.checking.compare import same
from autograder.checking.derivation import Derivation
from autograder.checking.draw import KINK, labels, normal
from autograder.checking.exercise import Case, Exercise
from autograder.checking.score import Finding
from autograder.checking.stages import (
    Guess,
    Stage,
    examples_counted,
    first_wrong,
    forward_is_right,
    probe,
    which_were_used,
)
from autograder.checking.structure import flatten
from autograder.checking.words import listing
from autograder.exercises.cross_entropy import cross_entropy_grad, softmax_without_shift

CHAPTER = "06-network"

# tiny_network_slope


def _tiny_cases():
    import sympy

    return [("", tuple(sympy.symbols("x y w1 w2")))]


def _tiny_slope(x, y, w1, w2):
    import sympy

    return sympy.diff((w2 * sympy.tanh(w1 * x) - y) ** 2, w1)


tiny_network_slope = Derivation(
    "tiny_network_slope",
    CHAPTER,
    2,
    "tiny_network_slope(x, y, w1, w2)",
    _tiny_cases,
    expected=_tiny_slope,
    formula="with a = tanh(w1 * x): 2 * (w2 * a - y) * w2 * (1 - a**2) * x",
)


@tiny_network_slope.wheat
def factor_by_factor(x, y, w1, w2):
    import sympy

    a = sympy.tanh(w1 * x)
    return 2 * (w2 * a - y) * w2 * (1 - a**2) * x


@tiny_network_slope.wheat
def with_cosh(x, y, w1, w2):
    import sympy

    return 2 * x * w2 * (w2 * sympy.tanh(w1 * x) - y) / sympy.cosh(w1 * x) ** 2


@tiny_network_slope.wheat
def unevaluated(x, y, w1, w2):
    import sympy

    return sympy.Derivative((w2 * sympy.tanh(w1 * x) - y) ** 2, w1)


@tiny_network_slope.wheat
def with_exponentials(x, y, w1, w2):
    import sympy

    e = sympy.exp(2 * w1 * x)
    return 8 * (w2 * (e - 1) / (e + 1) - y) * w2 * x * e / (e + 1) ** 2


@tiny_network_slope.wheat
def one_link_of_the_chain_at_a_time(x, y, w1, w2):
    import sympy

    z, a, y_hat = sympy.symbols("z a y_hat")
    links = [sympy.diff((y_hat - y) ** 2, y_hat), sympy.diff(w2 * a, a), sympy.diff(sympy.tanh(z), z), x]
    return sympy.prod(links).subs(y_hat, w2 * a).subs(a, sympy.tanh(z)).subs(z, w1 * x)


@tiny_network_slope.wheat
def multiplied_out(x, y, w1, w2):
    import sympy

    return sympy.expand(sympy.diff((y - w2 * sympy.tanh(x * w1)) ** 2, w1))


def _tiny(
    *,
    two=2,
    error=lambda x, y, w1, w2, a: w2 * a - y,
    outer=lambda x, w1, w2: w2,
    gate=lambda x, w1, w2, a: 1 - a**2,
    inner=lambda x, w1: x,
):
    """The chain of five factors with one of them replaced."""

    def slope(x, y, w1, w2):
        import sympy

        a = sympy.tanh(w1 * x)
        return two * error(x, y, w1, w2, a) * outer(x, w1, w2) * gate(x, w1, w2, a) * inner(x, w1)

    return slope


def _tanh_again(x, w1, w2, a):
    import sympy

    return 1 - sympy.tanh(a) ** 2


def _tanh_of_the_product(x, w1):
    import sympy

    return sympy.tanh(w1 * x)


def _tanh_at_the_weight(x, w1, w2, a):
    import sympy

    return 1 - sympy.tanh(w1) ** 2


def _one_over_cosh(x, w1, w2, a):
    import sympy

    return 1 / sympy.cosh(w1 * x)


def _tanh_of_the_output(x, y, w1, w2, a):
    import sympy

    return sympy.tanh(w2 * a) - y


def _times_its_slope(x, w1, w2):
    import sympy

    return w2 * (1 - sympy.tanh(w2 * sympy.tanh(w1 * x)) ** 2)


_TINY_CHAFFS = (
    ("factor-2-missing", "the 2 of the square is missing.", "What is the derivative of u²?", _tiny(two=1)),
    ("outer-weight-missing", "the way back through w2 is missing.", "ŷ = w2·a: what is ∂ŷ/∂a?",
     _tiny(outer=lambda x, w1, w2: 1)),
    ("activation-slope-missing", "the slope of the tanh is missing.", "a = tanh(z): what is ∂a/∂z?",
     _tiny(gate=lambda x, w1, w2, a: 1)),
    ("input-missing", "the last factor, x, is missing.", "z = w1·x: what is ∂z/∂w1?", _tiny(inner=lambda x, w1: 1)),
    ("error-missing", "the error ŷ − y is missing.", "What is the derivative of u² in u?",
     _tiny(error=lambda x, y, w1, w2, a: 1)),
    ("sign-flipped", "the error was taken as y − ŷ.", "For ŷ > y, should the loss rise with ŷ?",
     _tiny(error=lambda x, y, w1, w2, a: y - w2 * a)),
    ("slope-of-the-sigmoid", "a(1 − a) is the slope of the sigmoid; the activation here is a tanh.",
     "How steep is tanh at 0, where a = 0?", _tiny(gate=lambda x, w1, w2, a: a * (1 - a))),
    ("square-missing", "the slope of the tanh lacks a square: 1 − a stands there.",
     "How steep is tanh where a = −0.9? Can it be steeper than 1?", _tiny(gate=lambda x, w1, w2, a: 1 - a)),
    ("slope-at-the-prediction", "the tanh's slope was taken at ŷ instead of at a.",
     "Which number came out of the tanh: a, or w2·a?", _tiny(gate=lambda x, w1, w2, a: 1 - (w2 * a) ** 2)),
    ("slope-before-the-tanh", "the tanh's slope was written with z = w1·x; a belongs there, what came out of the tanh.",
     "At z = 0.9, how steep is the tanh? And what is a there?", _tiny(gate=lambda x, w1, w2, a: 1 - (w1 * x) ** 2)),
    ("square-missing", "the slope of the tanh, as one over a hyperbolic cosine, lacks its square.",
     "What is 1 − tanh², written with cosh?", _tiny(gate=_one_over_cosh)),
    ("tanh-on-the-output", "a tanh was applied to the output as well.", "Which unit of this network has a tanh?",
     _tiny(error=_tanh_of_the_output, outer=_times_its_slope)),
    ("tanh-applied-again", "a went through the tanh once more before its slope was taken.",
     "a = tanh(z) has been through the tanh. Write the slope with a itself.", _tiny(gate=_tanh_again)),
    ("slope-at-the-weight", "the tanh's slope was taken at w1 instead of at w1·x.",
     "At which z does the forward pass use the tanh?", _tiny(gate=_tanh_at_the_weight)),
    ("wrong-weight", "w1 stands where the way back leads through w2.", "ŷ = w2·a: what is ∂ŷ/∂a?",
     _tiny(outer=lambda x, w1, w2: w1)),
    ("wrong-variable", "this is the slope in the input x, not in w1.", "z = w1·x: what is ∂z/∂w1, and what is ∂z/∂x?",
     _tiny(inner=lambda x, w1: w1)),
    ("wrong-variable", "this is the slope in w2, not in w1.", "Which weight is nearer to the input?",
     _tiny(outer=lambda x, w1, w2: 1, gate=lambda x, w1, w2, a: 1, inner=_tanh_of_the_product)),
    ("error-without-weight", "the error was taken as a − y; the prediction is w2·a.", "What does the network predict?",
     _tiny(error=lambda x, y, w1, w2, a: a - y)),
    ("error-squared", "the error is still squared; a square's slope has it to the power 1.",
     "What is the derivative of u² in u?", _tiny(error=lambda x, y, w1, w2, a: (w2 * a - y) ** 2)),
    ("loss-returned", "this is the loss; asked for is how it changes with w1.", "Which variable is nudged?",
     _tiny(two=1, error=lambda x, y, w1, w2, a: (w2 * a - y) ** 2, outer=lambda x, w1, w2: 1,
           gate=lambda x, w1, w2, a: 1, inner=lambda x, w1: 1)),
)  # fmt: skip
for _cause, _text, _hint, _function in _TINY_CHAFFS:
    tiny_network_slope.chaff(_cause, _text, _hint)(_function)


# Two layers


def two_layer_case(rng: np.random.Generator, name: str, N: int, D: int, H: int, C: int, y=None) -> Case:
    """No pre-activation near the kink, every hidden unit seen on both sides; of one example, units on both sides."""
    for _ in range(1000):
        params = {"W1": normal(rng, D, H), "b1": normal(rng, H), "W2": normal(rng, H, C), "b2": normal(rng, C)}
        X = normal(rng, N, D)
        Z1 = X @ params["W1"] + params["b1"]
        axis = 0 if N > 1 else 1
        if np.abs(Z1).min() > KINK and ((Z1 > 0).any(axis=axis) & (Z1 < 0).any(axis=axis)).all():
            break
    y = labels(rng, N, C) if y is None else y
    if N == 1:
        y[0] = np.argmin(_forward(params, X)[2])  # were the network sure of its label, loss and gradients would be 0
    return Case(name, (params, X, y), {"N": N, "D": D, "H": H, "C": C})


def _pull_rows_apart(W: np.ndarray, b: np.ndarray, A: np.ndarray) -> None:
    """Change the last layer so that all logits of a row move alike, by −600 to 600: no exponential overflows yet."""
    unit = np.argmax(np.ptp(A, axis=0))
    scale = 1200 / np.ptp(A[:, unit])
    W[unit] += scale
    b -= scale * A[:, unit].min() + 600


def two_layer_cases(rng: np.random.Generator) -> list[Case]:
    large = two_layer_case(rng, "large logits", 7, 5, 2, 3)
    large.args[0]["W2"] *= 2000
    large.args[2][0] = np.argmin(
        _forward(*large.args[:2])[2][0]
    )  # were all predictions right, all gradients would be 0
    apart = two_layer_case(rng, "logits of one row far from those of another", 7, 5, 2, 3)
    _pull_rows_apart(apart.args[0]["W2"], apart.args[0]["b2"], _forward(*apart.args[:2])[1])
    turned = two_layer_case(rng, "params in another order", 5, 2, 7, 3)
    turned = Case(turned.name, (dict(reversed(turned.args[0].items())), *turned.args[1:]), turned.sizes)
    return [
        two_layer_case(rng, "7 × 5 → 2 → 3", 7, 5, 2, 3),
        two_layer_case(rng, "13 × 3 → 5 → 7", 13, 3, 5, 7),
        two_layer_case(rng, "N = 1", 1, 5, 7, 3),
        two_layer_case(rng, "square", 5, 5, 5, 5),
        two_layer_case(rng, "two classes", 11, 5, 3, 2),
        two_layer_case(rng, "one label repeated", 7, 2, 3, 5, np.full(7, 1)),
        turned,
        Case(large.name, large.args, large.sizes, group="stability"),
        Case(apart.name, apart.args, apart.sizes, group="stability"),
    ]


def _whole(answer: dict[str, np.ndarray]) -> np.ndarray:
    return np.concatenate([a.ravel() for a in answer.values()])


def _first_wrong_step(exercise: Exercise, make_stages, f) -> Finding | None:
    """Where the backward pass first goes wrong."""
    draws = _staged(exercise, make_stages, f)
    return first_wrong(draws) if draws else None


def _staged(exercise: Exercise, make_stages, f) -> list:
    """Stages and the learner's answer, on draws of our own: with batches of two lengths."""
    draws = []
    for seed, N in ((1, 3), (2, 2)):
        args, stages = make_stages(np.random.default_rng(seed), N)
        answer = probe(exercise, f, args)
        if answer is None:
            return []
        draws.append((stages, answer))
    return draws


def _examples_of_the_batch(exercise: Exercise, make_case, f) -> Finding | None:
    """Are the gradients those of some of the examples only, or are examples counted unequally?"""
    batches = []
    for seed, N in ((3, 7), (4, 11)):
        args = params, X, y = make_case(np.random.default_rng(seed), N).args
        answer = probe(exercise, f, args)
        if answer is None:
            return None
        parts = [flatten(exercise.reference(params, X[[n]], y[[n]]), exercise.outputs) for n in range(N)]
        batches.append((np.stack([_whole(part) / N for part in parts]), _whole(answer)))
    return examples_counted(batches)


def _only_rescaled(exercise: Exercise, make_case, f) -> Finding | None:
    """Do the gradients point the right way, with their length cut to a fixed one?"""
    each, together = [], []
    for seed, N in ((3, 7), (4, 11)):
        args = make_case(np.random.default_rng(seed), N).args
        answer = probe(exercise, f, args)
        if answer is None:
            return None
        right = flatten(exercise.reference(*args), exercise.outputs)
        norms = {name: np.linalg.norm(a) for name, a in answer.items()}
        if not all(
            same(a * np.linalg.norm(right[name]), right[name] * norms[name], 1e-7) for name, a in answer.items()
        ):
            return None
        each += norms.values()
        together.append(np.linalg.norm(list(norms.values())))
    for lengths, what in ((each, "each of them"), (together, "all of them together")):
        if np.allclose(lengths, lengths[0], rtol=1e-6):
            return Finding(
                f"Your gradients point the right way, but the length of {what} is always {lengths[0]:.3g}.",
                "normalised",
                "the gradients are divided by their norm, or clipped to one.",
                "A gradient tells how steep it is, too. Which line takes that away?",
            )
    return None


def _parameters_moved(exercise: Exercise, make_case, f) -> Finding | None:
    """Are the gradients hidden in updated parameters?"""
    args = params, *_ = make_case(np.random.default_rng(5), 7).args
    answer = probe(exercise, f, args)
    if answer is None:
        return None
    right = _whole(flatten(exercise.reference(*args), exercise.outputs))
    before = _whole(flatten(params, exercise.outputs))
    rate = np.vdot(before - _whole(answer), right) / np.vdot(right, right)
    if abs(rate) < 1e-9 or not same(before - _whole(answer), rate * right, 1e-7):
        return None
    return Finding(
        f"Your answer is `params` − {rate:.4g} × the right gradients.",
        "updated-parameters-returned",
        "a step was taken, and the new parameters were returned; asked for are the gradients.",
        "Which function takes the step: this one, or the one that calls it?",
    )


_ACTIVATIONS = (
    ("z itself, without any activation,", lambda z: z),
    ("tanh(z)", np.tanh),
    ("the sigmoid of z", backprop.sigmoid),
    ("log(1 + exp(z)), a softplus,", lambda z: np.logaddexp(0, z)),
    ("|z|", np.abs),
    ("z cut off below 0 and above 1", lambda z: np.clip(z, 0, 1)),
    ("z cut off below 0 and above 6", lambda z: np.clip(z, 0, 6)),
    ("1 where z is positive, else 0,", lambda z: (z > 0).astype(float)),
    ("min(z, 0)", lambda z: np.minimum(z, 0)),
    ("z² where z is positive", lambda z: np.maximum(z, 0) ** 2),
    ("z·σ(z)", lambda z: z * backprop.sigmoid(z)),
    ("exp(z) − 1 below 0, an ELU,", lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0)))),
    ("z where z is above 1, else 0,", lambda z: z * (z > 1)),
    ("a softmax over the hidden units", backprop.softmax),
)
_Z = np.concatenate([np.linspace(-7.5, -0.5, 8), np.linspace(0.4, 7.4, 8)])


def _activation_named(a: np.ndarray, at: Callable[[Callable], np.ndarray]) -> Finding | None:
    """What lies between the layers, from what becomes of the numbers ``_Z`` there.

    Parameters
    ----------
    a : what they become in the learner's network.
    at : what they would become, seen in the same way, with a given activation.
    """
    what = "Inputs of our own show what lies between the layers: "
    hint = "What should become of z = −1, and of z = 2, between the two layers? What does your line make of them?"
    relu = at(lambda z: np.maximum(z, 0))
    if np.allclose(a, relu, rtol=1e-6, atol=1e-9):
        return None
    for name, function in _ACTIVATIONS:
        if np.allclose(a, at(function), rtol=1e-6, atol=1e-9):
            return Finding(f"{what}it is not max(z, 0).", "wrong-activation", f"{name} stands where it belongs.", hint)
    below = _Z < 0
    slope = (a - relu)[below] / _Z[below]
    if np.allclose(a[~below], relu[~below], rtol=1e-6) and np.allclose(slope, slope[0], rtol=1e-6):
        return Finding(
            f"{what}z = −1 becomes {-slope[0]:.3g}.",
            "leaky",
            f"{slope[0]:.3g} of every negative z is let through: that is a leaky ReLU.",
            "What is max(z, 0) at z = −1?",
        )
    return None


def _wrong_activation_forward(exercise: Exercise, make_stages, as_params, f) -> Finding | None:
    """With W2 = 0 the gradient of W2 is a product: of what lies between the layers, and of the gradient of b2.

    Parameters
    ----------
    make_stages : of the exercise; to see whether the forward pass is wrong at all.
    as_params : makes the parameters of the exercise from two weights and two biases.
    """
    draws = _staged(exercise, make_stages, f)
    if draws and all(forward_is_right(stages, answer) for stages, answer in draws):
        return None
    H, C = len(_Z), 3
    for through_bias in (False, True):
        first = (np.zeros((1, H)), _Z.copy()) if through_bias else (_Z[None].copy(), np.zeros(H))
        args = (as_params(*first, np.zeros((H, C)), np.array([0.3, -0.2, 0.1])), np.ones((1, 1)), np.zeros(1, int))
        answer = probe(exercise, f, args)
        if answer is None:
            return None
        dW2, db2 = list(answer.values())[2:]
        if abs(db2[0]) < 1e-9 or not same(dW2, np.outer(dW2[:, 0] / db2[0], db2), 1e-7):
            return None
        a = dW2[:, 0] / db2[0]
        if through_bias and not np.allclose(a, np.maximum(_Z, 0), rtol=1e-6, atol=1e-9):
            return _bias_elsewhere(a, _Z)
        if (finding := _activation_named(a, lambda function: function(_Z[None])[0])) is not None:
            return finding
    return None


def _head_guesses(Z: np.ndarray, y: np.ndarray) -> tuple[Guess, ...]:
    """Gradients of the logits that belong to another loss, each but for a constant factor."""
    C = Z.shape[1]
    P, Y = backprop.softmax(Z), np.eye(C)[y]
    E = np.exp(Z)
    others = ((Z - (Z * Y).sum(axis=1, keepdims=True) + 1) > 0) * (1 - Y)
    family = "Which loss is it that falls: the cross-entropy of a softmax? Write its derivative by the logits."
    labels = "Print `y` beside the columns from which your code subtracts 1, row by row."
    jacobian = "The softmax couples all logits of a row. What does the right class's probability do to a wrong logit?"
    softmax = "The probabilities of one example sum to 1. Along which axis do its classes lie? Do yours?"
    return (
        Guess(Z - Y, "wrong-loss", "the gradient of a squared error between logits and labels.", family),
        Guess(
            backprop.softmax_backward(P - Y, P),
            "wrong-loss",
            "the gradient of a squared error between probabilities and labels.",
            family,
        ),
        Guess(
            (P - Y) * P * (1 - P),
            "wrong-loss",
            "P − onehot was multiplied with P(1 − P): the slope of a sigmoid, as after a squared error.",
            family,
        ),
        Guess(backprop.sigmoid(Z) - Y, "wrong-loss", "sigmoids stand where the softmax belongs.", family),
        Guess(others - Y * others.sum(axis=1, keepdims=True), "wrong-loss", "the gradient of a hinge loss.", family),
        Guess(-Y / P, "softmax-not-passed", "the gradient of the loss by the probabilities: the way back through the "
              "softmax is missing.", jacobian),
        Guess(
            -Y * (1 - P),
            "diagonal-only",
            "each probability was treated as if it depended on its own logit only: the other classes get no gradient.",
            jacobian,
        ),
        Guess(backprop.softmax(P) - Y, "softmax-twice", "the softmax was applied twice.", "Count the softmaxes."),
        Guess(
            backprop.softmax_backward(backprop.softmax(P) - Y, P),
            "softmax-twice",
            "the softmax was applied twice, forward and backward.",
            "Count the softmaxes.",
        ),
        Guess(E / E.sum(axis=0) - Y, "softmax-over-the-batch", "the softmax runs over the batch, not over the "
              "classes.", softmax),
        Guess(E / E.sum() - Y, "softmax-over-everything", "the softmax runs over the whole array.", softmax),
        Guess(-Y, "probabilities-lost", "only the labels are left of P − onehot: the probabilities are missing, or cut "
              "to whole numbers.", "Print `P` just before the labels are subtracted. Which dtype has it?"),
        Guess(P / len(y) - Y, "divided-too-early", "P is divided by N before the labels are subtracted: they are not "
              "divided.", "Which terms does the 1/N of the mean loss multiply?"),
        Guess(P - 1, "wrong-labels", "1 is subtracted from all probabilities, not only at the label.", labels),
        Guess(P * (1 - Y), "wrong-labels", "the right class gets no gradient: where 1 should be subtracted, stands 0.",
              labels),
        Guess(backprop.softmax(Z / 2) - Y, "logits-scaled", "the logits are halved before the softmax.",
              "By what are the logits divided? The definition has no such number."),
        Guess(backprop.softmax(2 * Z) - Y, "logits-scaled", "the logits are doubled before the softmax.",
              "With what are the logits multiplied? The definition has no such number."),
        Guess(backprop.softmax(np.maximum(Z, 0)) - Y, "relu-on-logits", "the logits went through a ReLU.",
              "What lies between the last layer and the softmax?"),
        Guess((backprop.softmax(np.maximum(Z, 0)) - Y) * (Z > 0), "relu-on-logits", "the logits went through a ReLU, "
              "forward and backward.", "What lies between the last layer and the softmax?"),
        Guess(P - 1 / C, "wrong-labels", "a uniform distribution was subtracted, not the labels.", labels),
        Guess(P - np.eye(C)[Z.argmax(axis=1)], "wrong-labels", "the predicted class was taken for the label.", labels),
        Guess(P - np.eye(C)[(y + 1) % C], "wrong-labels", "the labels are one too large.", labels),
        Guess(P - np.eye(C)[y - 1], "wrong-labels", "the labels are one too small.", labels),
        Guess(P - np.isin(np.arange(C), y), "wrong-labels", "1 was subtracted in every row at the labels of *all* "
              "examples: `P[:, y]` is whole columns.", "One entry a row: which pair of indices picks entry y[n] of "
              "row n?"),
    )  # fmt: skip


def _head_terms(P: np.ndarray, Y: np.ndarray) -> dict[str, np.ndarray]:
    return {"P": P, "onehot": Y, "1": np.ones_like(P)}


def _two_layer_stages(rng: np.random.Generator, N: int) -> tuple[tuple, list[Stage]]:
    """Fewer examples than features and hidden units, so that the learner's dZ1 and dZ2 can be recovered."""
    params, X, y = two_layer_case(rng, "", N, 7, 11, 5).args
    Z1, A1, Z2 = _forward(params, X)
    P, Y = backprop.softmax(Z2), np.eye(5)[y]
    dZ2 = (P - Y) / N
    back = {"dA1": dZ2, "(P / N) @ W2.T": P / N, "P @ W2.T": P, "Z2 @ W2.T": Z2}
    first = {name: d @ params["W2"].T for name, d in back.items()}
    last = {"P": P, "P / N": P / N, "Y": Y, "(Y - P) / N": -dZ2, "Z2": Z2, "Z1": Z1, "A1": A1, "X": X}
    return (params, X, y), [
        Stage("W2", "dZ2", ("A1", A1), dZ2, "(P - onehot) / N", last, "b2", _head_guesses(Z2, y), _head_terms(P, Y)),
        Stage("W1", "dZ1", ("X", X), first["dA1"] * (Z1 > 0), "dA1 * (Z1 > 0)", first | {"Z1": Z1, "A1": A1}, "b1"),
    ]


def _two_layer_batch(rng: np.random.Generator, N: int) -> Case:
    return two_layer_case(rng, "", N, 5, 3, 4)


def _explain_two_layers(f) -> Finding | None:
    return (
        _parameters_moved(two_layer_grads, _two_layer_batch, f)
        or _only_rescaled(two_layer_grads, _two_layer_batch, f)
        or _examples_of_the_batch(two_layer_grads, _two_layer_batch, f)
        or _wrong_activation_forward(
            two_layer_grads, _two_layer_stages, lambda *p: dict(zip(("W1", "b1", "W2", "b2"), p, strict=True)), f
        )
        or _first_wrong_step(two_layer_grads, _two_layer_stages, f)
    )


def _forward(params, X):
    Z1 = X @ params["W1"] + params["b1"]
    A1 = np.maximum(Z1, 0)
    return Z1, A1, A1 @ params["W2"] + params["b2"]


# A loss is one number: too little to see the steps in. So it is asked for on inputs that isolate them.


def _through(X: np.ndarray) -> dict[str, np.ndarray]:
    """Parameters with which the logits are max(X, 0)."""
    C = X.shape[1]
    return {"W1": np.eye(C), "b1": np.zeros(C), "W2": np.eye(C), "b2": np.zeros(C)}


def _at_labels(A: np.ndarray, y: np.ndarray) -> np.ndarray:
    return A[np.arange(len(y)), y]


def _hinge(Z, y):
    return (np.maximum(0, Z - _at_labels(Z, y)[:, None] + 1).sum() - len(y)) / len(y)


def _binary(Z, y):
    return np.logaddexp(0, Z) - _onehot(Z, y) * Z


def _onehot(Z, y):
    return np.eye(Z.shape[1])[y]


_P, _LOG_P = backprop.softmax, backprop.log_softmax
_LOSSES = (
    ("a sum of binary cross-entropies, with a sigmoid for each class", lambda Z, y: _binary(Z, y).sum() / len(y)),
    ("a mean of binary cross-entropies, with a sigmoid for each class", lambda Z, y: _binary(Z, y).mean()),
    ("the mean squared error between logits and labels", lambda Z, y: np.mean((Z - _onehot(Z, y)) ** 2)),
    ("a squared error between probabilities and labels, summed over the classes",
     lambda Z, y: ((_P(Z) - _onehot(Z, y)) ** 2).sum() / len(y)),
    ("a hinge loss", _hinge),
    ("1 minus the probability of the label, without a logarithm", lambda Z, y: 1 - _at_labels(_P(Z), y).mean()),
    ("minus the probability of the label, without a logarithm", lambda Z, y: -_at_labels(_P(Z), y).mean()),
    ("minus the logit of the label: the softmax's denominator is missing", lambda Z, y: -_at_labels(Z, y).mean()),
    ("the softmax's denominator alone: the logit of the label is missing", lambda Z, y: backprop.logsumexp(Z).mean()),
    ("the entropy of the probabilities: the labels play no part", lambda Z, y: -(_P(Z) * _LOG_P(Z)).sum() / len(y)),
    ("minus the mean of all log-probabilities: the labels play no part", lambda Z, y: -_LOG_P(Z).mean()),
    ("minus the sum of all log-probabilities: the labels play no part", lambda Z, y: -_LOG_P(Z).sum() / len(y)),
    ("a cross-entropy with the *predicted* classes", lambda Z, y: backprop.cross_entropy(Z, Z.argmax(axis=1))),
    ("a cross-entropy with labels one too large", lambda Z, y: backprop.cross_entropy(Z, (y + 1) % Z.shape[1])),
    ("a cross-entropy with labels one too small", lambda Z, y: backprop.cross_entropy(Z, y - 1)),
    ("a mean over `[:, y]`, where every row meets the labels of *all* examples", lambda Z, y: -_LOG_P(Z)[:, y].mean()),
    ("a cross-entropy whose softmax runs over the batch", lambda Z, y: -_at_labels(_LOG_P(Z.T).T, y).mean()),
    ("a cross-entropy whose softmax runs over the whole array",
     lambda Z, y: -_at_labels(Z - np.logaddexp.reduce(Z, axis=None), y).mean()),
    ("the logarithm of a mean, not the mean of logarithms", lambda Z, y: -np.log(_at_labels(_P(Z), y).mean())),
    ("the median over the examples, not the mean", lambda Z, y: np.median(-_at_labels(_LOG_P(Z), y))),
    ("the largest of the examples' losses, not the mean", lambda Z, y: np.max(-_at_labels(_LOG_P(Z), y))),
    ("the share of wrong predictions", lambda Z, y: np.mean(Z.argmax(axis=1) != y)),
    ("a cross-entropy of logits that were halved", lambda Z, y: backprop.cross_entropy(Z / 2, y)),
    ("a cross-entropy of logits that were doubled", lambda Z, y: backprop.cross_entropy(2 * Z, y)),
    ("the mean of squared logarithms", lambda Z, y: np.mean(_at_labels(_LOG_P(Z), y) ** 2)),
    ("the root of the cross-entropy", lambda Z, y: np.sqrt(backprop.cross_entropy(Z, y))),
    ("the sum of the logits minus that of the label: exp and log are missing",
     lambda Z, y: np.mean(Z.sum(axis=1) - _at_labels(Z, y))),
    ("the largest logit minus that of the label", lambda Z, y: np.mean(Z.max(axis=1) - _at_labels(Z, y))),
    ("the exponential of the cross-entropy, the perplexity", lambda Z, y: np.exp(backprop.cross_entropy(Z, y))),
)  # fmt: skip


def _wrong_head(f, last_resort: bool = False) -> Finding | None:
    """On positive inputs and identity weights the logits are the inputs: is the loss of known logits right?

    As a last resort that it is not is told even if the loss has no name.
    """
    draws = []
    for seed, N, C in ((1, 3, 5), (2, 7, 4), (3, 1, 3)):
        rng = np.random.default_rng(seed)
        Z = 0.1 + 3 * rng.random((N, C))
        y = labels(rng, N, C)
        answer = probe(two_layer_loss, f, (_through(Z), Z, y))
        if answer is None:
            return None
        draws.append((Z, y, float(answer["loss"])))
    if all(np.isclose(loss, backprop.cross_entropy(Z, y), rtol=1e-8) for Z, y, loss in draws):
        return None
    Z, y, loss = next(d for d in reversed(draws) if not np.isclose(d[2], backprop.cross_entropy(*d[:2]), rtol=1e-8))
    what = "With identity weights, no biases and positive inputs the logits are the inputs; your loss is wrong even "
    what += f"there. In a batch of {len(y)} it should be {backprop.cross_entropy(Z, y):.4g} and is {loss:.4g}."
    ratios = [loss / backprop.cross_entropy(Z, y) for Z, y, loss in draws]
    for text, factors in (
        ("N", [len(y) for _, y, _ in draws]),
        ("1/N", [1 / len(y) for _, y, _ in draws]),
        ("1/C", [1 / Z.shape[1] for Z, *_ in draws]),
        ("−1", [-1.0 for _ in draws]),
    ):
        if np.allclose(ratios, factors, rtol=1e-8):
            return Finding(
                what,
                "wrong-factor",
                f"the loss of known logits is {text} × the right one; and that is not all.",
                "What does the mean divide by, and which sign has a loss? After that, look at the layers.",
            )
    for name, function in _LOSSES:
        values = [function(Z, y) for Z, y, _ in draws]
        if all(np.isclose(loss, value, rtol=1e-8) for (_, _, loss), value in zip(draws, values, strict=True)):
            return Finding(
                what,
                "wrong-loss",
                f"this is {name}.",
                "Take the logits of one example and its label, and write down the loss of it step by step.",
            )
    uniform = [-_LOG_P(Z).mean() for Z, *_ in draws]
    shares = [(loss - backprop.cross_entropy(Z, y)) / (u - backprop.cross_entropy(Z, y))
              for (Z, y, loss), u in zip(draws, uniform, strict=True)]  # fmt: skip
    if np.allclose(shares, shares[0], rtol=1e-6):
        return Finding(
            what,
            "labels-smoothed",
            f"a share of {shares[0]:.3g} of each label is spread over all classes.",
            "The contract has plain labels. Which line of yours changes them?",
        )
    if not last_resort:
        return None
    return Finding(
        what,
        "wrong-step",
        "the mistake is in the loss itself, or in a step that this network does not have.",
        "Take the logits of one example and its label, and write down the loss of it step by step.",
    )


def _wrong_activation(f) -> Finding | None:
    """Where the loss of known logits is right, it tells what became of inputs of either sign on their way."""

    def seen(x: np.ndarray, through_bias: bool) -> float | None:
        """The difference between the two logits, from the losses with either label."""
        params, X = _through(x[None]), x[None]
        if through_bias:
            params, X = params | {"b1": x}, np.zeros_like(X)
        losses = [probe(two_layer_loss, f, (params, X, np.array([label]))) for label in (1, 0)]
        return None if None in losses else float(losses[0]["loss"] - losses[1]["loss"])

    def at(function: Callable) -> np.ndarray:
        return np.array([function(np.array([[z, 0.5]])) @ [1, -1] for z in _Z]).ravel() + 0.5

    for through_bias in (False, True):
        found = [seen(np.array([z, 0.5]), through_bias) for z in _Z]
        if None in found:
            return None
        a = np.array(found) + 0.5
        if through_bias and not np.allclose(a, at(lambda z: np.maximum(z, 0)), rtol=1e-6, atol=1e-9):
            return _bias_elsewhere(a, at(lambda z: z))
        if (finding := _activation_named(a, at)) is not None:
            return finding
    return None


def _bias_elsewhere(a: np.ndarray, z: np.ndarray) -> Finding | None:
    """The ReLU is right for X @ W1; what becomes of b1, alone?"""
    if np.allclose(a, z, rtol=1e-6, atol=1e-9):
        return Finding(
            "A negative `b1` has an influence even where X is 0: it gets past the ReLU.",
            "bias-after-the-relu",
            "`b1` is added after the ReLU.",
            "What does the ReLU look at: X @ W1, or all of Z1?",
        )
    if np.ptp(a) < 1e-9:
        return Finding(
            "`b1` has no influence on what lies between the layers.",
            "bias-left-out",
            "the bias of the first layer is not added.",
            "What are the two parts of a linear layer?",
        )
    return None


def _shift_of_logits(f) -> Finding | None:
    """The same number added to all logits of a row changes no loss, unless something lies between them."""
    rng = np.random.default_rng(6)
    params, X, y = _two_layer_batch(rng, 7).args
    low = params | {"b2": params["b2"] - 20}
    answers = [probe(two_layer_loss, f, (p, X, y)) for p in (params, low)]
    if None in answers or np.isclose(answers[0]["loss"], answers[1]["loss"], rtol=1e-7):
        return None
    if not np.isclose(answers[1]["loss"], np.log(4), rtol=1e-7):
        return None
    return Finding(
        "With 20 subtracted from all of `b2` your loss is ln C, as if all logits were equal; it should not change.",
        "relu-on-logits",
        "negative logits are cut off: they went through a ReLU.",
        "What lies between Z2 and the loss?",
    )


def _losses_counted(f) -> Finding | None:
    """One example is moved at a time: does the loss follow it, and as far as it should?"""
    used, lengths, unequal = [], [], False
    for seed, N in ((1, 7), (2, 11)):
        rng = np.random.default_rng(seed)
        params, X, y = _two_layer_batch(rng, N).args
        moves = []
        for n in range(N):
            other = X.copy()
            other[n] = 2 * normal(rng, X.shape[1])
            before, after = probe(two_layer_loss, f, (params, X, y)), probe(two_layer_loss, f, (params, other, y))
            if before is None or after is None:
                return None
            right = backprop.two_layer_loss(params, other, y) - backprop.two_layer_loss(params, X, y)
            moves.append((after["loss"] - before["loss"]) / right)
        counts = np.array(moves, dtype=float)
        used.append(np.flatnonzero(np.abs(counts) > 1e-9))
        lengths.append(N)
        unequal = unequal or not np.allclose(counts[used[-1]], counts.max(), rtol=1e-6)
    if unequal or all(len(u) == N for u, N in zip(used, lengths, strict=True)):
        return None
    return Finding(
        "When some of the examples are moved, your loss stays where it is.",
        "example-left-out",
        f"{which_were_used(used, lengths)}.",
        "Over which indices does your loop run, or your slice reach? A batch has the rows 0 to N − 1, whatever N.",
    )


def _term_without_data(f) -> Finding | None:
    """Is the loss off by a term that depends on the parameters alone, such as a penalty on the weights?"""
    rng = np.random.default_rng(7)
    params, X, y = _two_layer_batch(rng, 7).args
    gaps = []
    for inputs, factor in ((X, 1), (normal(rng, *X.shape), 1), (X, 2)):
        scaled = {key: factor * value for key, value in params.items()}
        answer = probe(two_layer_loss, f, (scaled, inputs, y))
        if answer is None:
            return None
        gaps.append(float(answer["loss"]) - backprop.two_layer_loss(scaled, inputs, y))
    if abs(gaps[0]) < 1e-9 or not np.isclose(gaps[0], gaps[1], rtol=1e-6):
        return None
    penalty = "; it grows with the weights, as a penalty on them does" if abs(gaps[2]) > 1.1 * abs(gaps[0]) else ""
    return Finding(
        f"Whatever the inputs, your loss is {abs(gaps[0]):.4g} too {'large' if gaps[0] > 0 else 'small'}.",
        "extra-term",
        f"a term is added that does not depend on the data{penalty}.",
        "Does the contract speak of anything but the mean cross-entropy?",
    )


def _bounded(f) -> Finding | None:
    """Does the loss of one example stop growing where its label becomes very improbable?"""
    gaps = np.array([5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 640.0])
    answers = [
        probe(two_layer_loss, f, (_through(Z), Z, np.zeros(1, int))) for Z in np.array([[[1.0, 1 + g]] for g in gaps])
    ]
    if None in answers:
        return None
    losses = np.array([float(answer["loss"]) for answer in answers])
    right = np.log1p(np.exp(-gaps)) + gaps
    good = np.isclose(losses, right, rtol=1e-3)
    if good.all() or not good[0] or np.ptp(losses[~good]) > 1e-2 * losses[-1] or not np.isfinite(losses).all():
        return None
    return Finding(
        f"However improbable a label is, your loss of one example is never above {losses[-1]:.4g}.",
        "bounded",
        f"probabilities are kept above {np.exp(-losses[-1]):.1g}: by a clip, or a constant in the logarithm.",
        "Is there a constant in your code that the derivation does not have? The logarithm can be taken on paper.",
    )


def _explain_loss(f) -> Finding | None:
    return (
        _wrong_head(f)
        or _losses_counted(f)
        or _wrong_activation(f)
        or _shift_of_logits(f)
        or _bounded(f)
        or _term_without_data(f)
        or _wrong_head(f, last_resort=True)
    )


two_layer_loss = Exercise(
    "two_layer_loss",
    CHAPTER,
    3,
    "two_layer_loss(params, X, y)",
    ("loss",),
    reference=backprop.two_layer_loss,
    make_cases=two_layer_cases,
    explain=_explain_loss,
    formula="cross_entropy(relu(X @ W1 + b1) @ W2 + b2, y)",
)


@two_layer_loss.wheat
def by_logaddexp(params, X, y):
    Z = np.dot(np.clip(np.dot(X, params["W1"]) + params["b1"], 0, None), params["W2"]) + params["b2"]
    return np.mean(np.logaddexp.reduce(Z, axis=1) - Z[np.arange(len(y)), y])


@two_layer_loss.wheat
def one_example_at_a_time(params, X, y):
    W1, b1, W2, b2 = params["W1"], params["b1"], params["W2"], params["b2"]
    losses = []
    for x, k in zip(X, y, strict=True):
        a = x @ W1 + b1
        a = a * (a > 0)
        z = a @ W2 + b2
        m = np.max(z)
        losses.append(m + np.log(np.sum(np.exp(z - m))) - z[k])
    return sum(losses) / len(losses)


@two_layer_loss.wheat
def with_onehot_and_where(params, X, y):
    Z1 = X @ params["W1"] + params["b1"]
    Z2 = np.where(Z1 > 0, Z1, 0) @ params["W2"] + params["b2"]
    S = Z2 - Z2.max(1, keepdims=True)
    L = S - np.log(np.exp(S).sum(1, keepdims=True))
    return -(L * np.eye(Z2.shape[1])[y]).sum() / len(X)


@two_layer_loss.wheat
def with_a_column_of_ones(params, X, y):
    ones = np.ones((len(X), 1))
    A1 = np.maximum(np.hstack([X, ones]) @ np.vstack([params["W1"], params["b1"]]), 0)
    Z2 = np.hstack([A1, ones]) @ np.vstack([params["W2"], params["b2"]])
    m = Z2.max(axis=1)
    return np.average(m + np.log(np.exp(Z2 - m[:, None]).sum(axis=1)) - np.take_along_axis(Z2, y[:, None], 1)[:, 0])


@two_layer_loss.wheat
def loss_with_examples_in_columns(params, X, y):
    A1 = np.maximum(params["W1"].T @ X.T + params["b1"][:, None], 0)
    Z2 = params["W2"].T @ A1 + params["b2"].reshape(-1, 1)
    Z2 = Z2 - Z2.max(axis=0)
    return np.array(-np.sum((Z2 - np.log(np.exp(Z2).sum(axis=0)))[y, range(len(y))]) / len(y))


@two_layer_loss.wheat
def in_plain_python(params, X, y):
    def layer(x, W, b):
        return [sum(x_i * w for x_i, w in zip(x, column, strict=True)) + c for column, c in zip(W.T, b, strict=True)]

    total = 0.0
    for x, label in zip(X, y, strict=True):
        a = [max(0.0, z) for z in layer(x, params["W1"], params["b1"])]
        z = layer(a, params["W2"], params["b2"])
        total -= z[label] - max(z) - math.log(sum(math.exp(v - max(z)) for v in z))
    return total / len(y)


def _two_layer_chaff_loss(relu=lambda Z: np.maximum(Z, 0), b1=True, b2=True, loss=backprop.cross_entropy):
    def function(params, X, y):
        Z1 = X @ params["W1"] + (params["b1"] if b1 else 0)
        with np.errstate(all="ignore"):
            return loss(relu(Z1) @ params["W2"] + (params["b2"] if b2 else 0), y)

    return function


def _slow_cross_entropy(Z, y):
    P = np.exp(Z) / np.exp(Z).sum(axis=1, keepdims=True)
    return -np.mean(np.log(P[np.arange(len(y)), y]))


def _bias_after_the_relu(params, X, y):
    A1 = np.maximum(X @ params["W1"], 0) + params["b1"]
    return backprop.cross_entropy(A1 @ params["W2"] + params["b2"], y)


for _cause, _text, _hint, _function in (
    ("no-activation", "there is no ReLU between the layers.", "What lies between the two linear layers?",
     _two_layer_chaff_loss(relu=lambda Z: Z)),
    ("bias-left-out", "`b1` is not added.", "Each layer is X @ W + b.", _two_layer_chaff_loss(b1=False)),
    ("bias-left-out", "the biases are not added.", "Each layer is X @ W + b.",
     _two_layer_chaff_loss(b1=False, b2=False)),
    ("bias-left-out", "`b2` is not added.", "Each layer is X @ W + b.", _two_layer_chaff_loss(b2=False)),
    ("relu-on-logits", "the logits went through a ReLU as well.", "After the last layer there is no ReLU: logits may "
     "be negative.", _two_layer_chaff_loss(loss=lambda Z, y: backprop.cross_entropy(np.maximum(Z, 0), y))),
    ("sum-not-mean", "the examples are summed, not averaged.", "Repeat the batch twice: the loss should stay the same.",
     _two_layer_chaff_loss(loss=lambda Z, y: backprop.cross_entropy(Z, y) * len(y))),
    ("no-shift", "the softmax overflows at large logits.", "Use a shifted log-softmax: `backprop.log_softmax`.",
     _two_layer_chaff_loss(loss=_slow_cross_entropy)),
    ("bias-after-the-relu", "`b1` is added after the ReLU.", "What does the ReLU look at: X @ W1, or all of Z1?",
     _bias_after_the_relu),
    ("global-shift", "one maximum was taken for the whole batch: a row far below it becomes 0/0, or log 0.",
     "How many maxima does a batch of N rows need?",
     _two_layer_chaff_loss(loss=lambda Z, y: _slow_cross_entropy(Z - Z.max(), y))),
    ("sign-flipped", "the minus of the cross-entropy is missing.", "Can the loss be negative?",
     _two_layer_chaff_loss(loss=lambda Z, y: -backprop.cross_entropy(Z, y))),
    ("softmax-twice", "the logits went through a softmax before the cross-entropy, which has one.", "Count the "
     "softmaxes.", _two_layer_chaff_loss(loss=lambda Z, y: backprop.cross_entropy(backprop.softmax(Z), y))),
    ("tanh-not-relu", "a tanh stands where the ReLU belongs.", "Which activation does the chapter use?",
     _two_layer_chaff_loss(relu=np.tanh)),
    ("leaky", "the ReLU lets a part of the negative values through.", "What is max(z, 0) at z = −1?",
     _two_layer_chaff_loss(relu=lambda Z: np.where(Z > 0, Z, 0.01 * Z))),
    ("absolute-not-relu", "an absolute value stands where the ReLU belongs.", "What is max(z, 0) at z = −1?",
     _two_layer_chaff_loss(relu=np.abs)),
    ("squared-error", "this is a squared error between probabilities and one-hot labels.", "Where is the logarithm?",
     _two_layer_chaff_loss(loss=lambda Z, y: backprop.mse(backprop.softmax(Z), np.eye(Z.shape[1])[y]))),
    ("sigmoid-not-relu", "a sigmoid stands where the ReLU belongs.", "Which activation does the chapter use?",
     _two_layer_chaff_loss(relu=backprop.sigmoid)),
    ("relu-on-the-inputs", "the ReLU was applied to X; it belongs after the first layer.", "Which numbers may be "
     "negative, and which not: the inputs, or what the second layer gets?",
     lambda params, X, y: _two_layer_chaff_loss(relu=lambda Z: Z)(params, np.maximum(X, 0), y)),
):  # fmt: skip
    two_layer_loss.chaff(_cause, _text, _hint)(_function)


_TWO_LAYER_FORMULA = (
    "dZ2 = cross_entropy_grad(Z2, y); dZ1 = (dZ2 @ W2.T) * (Z1 > 0); "
    "W2: A1.T @ dZ2, b2: dZ2.sum(axis=0), W1: X.T @ dZ1, b1: dZ1.sum(axis=0)"
)

two_layer_grads = Exercise(
    "two_layer_grads",
    CHAPTER,
    8,
    "two_layer_grads(params, X, y)",
    ("grads",),
    reference=backprop.two_layer_grads,
    make_cases=two_layer_cases,
    explain=_explain_two_layers,
    formula=_TWO_LAYER_FORMULA,
)


@two_layer_grads.wheat
def written_out(params, X, y):
    _, A1, Z2 = _forward(params, X)
    P = np.exp(Z2 - Z2.max(axis=1, keepdims=True))
    P /= P.sum(axis=1, keepdims=True)
    P[range(len(y)), y] -= 1
    P /= len(y)
    dZ1 = P @ params["W2"].T
    dZ1[A1 <= 0] = 0
    return dict(W2=A1.T @ P, b2=P.sum(0), W1=X.T @ dZ1, b1=dZ1.sum(0))


@two_layer_grads.wheat
def example_by_example(params, X, y):
    grads = {key: np.zeros_like(value) for key, value in params.items()}
    for x, label in zip(X, y, strict=True):
        Z1, A1, Z2 = _forward(params, x[None])
        dZ2 = backprop.softmax(Z2)[0]
        dZ2[label] -= 1
        dZ1 = (params["W2"] @ dZ2) * (Z1[0] > 0)
        for key, g in (("W2", np.outer(A1[0], dZ2)), ("b2", dZ2), ("W1", np.outer(x, dZ1)), ("b1", dZ1)):
            grads[key] += g / len(y)
    return grads


@two_layer_grads.wheat
def by_einsum(params, X, y):
    Z1, A1, Z2 = _forward(params, X)
    dZ2 = (backprop.softmax(Z2) - np.eye(Z2.shape[1])[y]) / len(X)
    dZ1 = np.einsum("nc,hc->nh", dZ2, params["W2"]) * (Z1 >= 0)
    return {
        "W1": np.einsum("nd,nh->dh", X, dZ1),
        "b1": np.einsum("nh->h", dZ1),
        "W2": np.einsum("nh,nc->hc", A1, dZ2),
        "b2": np.einsum("nc->c", dZ2),
    }


@two_layer_grads.wheat
def divides_at_the_end(params, X, y):
    Z1, A1, Z2 = _forward(params, X)
    dZ2 = backprop.softmax(Z2)
    dZ2[np.arange(len(y)), y] -= 1
    dZ1 = np.where(Z1 > 0, dZ2 @ params["W2"].T, 0.0)
    grads = {"W2": A1.T @ dZ2, "b2": dZ2.sum(axis=0), "W1": X.T @ dZ1, "b1": dZ1.sum(axis=0)}
    return {key: g / len(X) for key, g in grads.items()}


@two_layer_grads.wheat
def means_where_nothing_was_divided(params, X, y):
    _, A1, Z2 = _forward(params, X)
    dZ2 = backprop.softmax(Z2)
    dZ2[range(len(y)), y] -= 1  # N times the gradient: so the biases take means, and the products are divided
    dZ1 = dZ2.dot(params["W2"].T) * (A1 > 0)
    return {
        "b2": np.mean(dZ2, axis=0),
        "W2": np.dot(A1.T, dZ2) / len(X),
        "b1": np.mean(dZ1, axis=0),
        "W1": np.dot(X.T, dZ1) / len(X),
    }


@two_layer_grads.wheat
def with_columns_of_ones(params, X, y):
    ones = np.ones((len(X), 1))
    X1 = np.hstack([X, ones])
    A1 = np.maximum(X1 @ np.vstack([params["W1"], params["b1"]]), 0)
    A2 = np.hstack([A1, ones])
    both = np.vstack([params["W2"], params["b2"]])
    dZ2 = backprop.cross_entropy_grad(A2 @ both, y)
    dZ1 = (dZ2 @ both.T)[:, :-1] * (A1 > 0)
    second, first = A2.T @ dZ2, X1.T @ dZ1
    return {"W1": first[:-1], "b1": first[-1], "W2": second[:-1], "b2": second[-1]}


@two_layer_grads.wheat
def examples_in_columns(params, X, y):
    W1, W2 = params["W1"].T, params["W2"].T
    Z1 = W1 @ X.T + params["b1"][:, None]
    A1 = np.maximum(Z1, 0)
    Z2 = W2 @ A1 + params["b2"][:, None]
    E = np.exp(Z2 - Z2.max(axis=0))
    dZ2 = (E / E.sum(axis=0) - np.eye(len(E))[y].T) / X.shape[0]
    dZ1 = (W2.T @ dZ2) * (Z1 > 0)
    return {"W1": (dZ1 @ X).T, "b1": dZ1.sum(axis=1), "W2": (dZ2 @ A1.T).T, "b2": dZ2.sum(axis=1)}


@two_layer_grads.wheat
def single_precision(params, X, y):
    params = {key: value.astype(np.float32) for key, value in params.items()}
    return backprop.two_layer_grads(params, X.astype(np.float32), y)


def _two_layer(
    *,
    dlogits=lambda Z2, y: backprop.cross_entropy_grad(Z2, y),
    back=lambda d2, W2: d2 @ W2.T,
    gate=lambda dA1, Z1: dA1 * (Z1 > 0),
    bias=lambda d: d.sum(axis=0),
    hidden=lambda A1, Z1: A1,
    activation=lambda Z1: np.maximum(Z1, 0),
    finish=lambda grads, params, X: grads,
):
    """The backward pass of two layers with one step replaced."""

    def function(params, X, y):
        Z1 = X @ params["W1"] + params["b1"]
        A1 = activation(Z1)
        Z2 = A1 @ params["W2"] + params["b2"]
        with np.errstate(all="ignore"):
            d2 = dlogits(Z2, y)
            d1 = gate(back(d2, params["W2"]), Z1)
            grads = {"W1": X.T @ d1, "b1": bias(d1), "W2": hidden(A1, Z1).T @ d2, "b2": bias(d2)}
            return finish(grads, params, X)

    return function


_NO_GATE = _two_layer(gate=lambda dA1, Z1: dA1)
_GATE_ON_GRADIENT = _two_layer(gate=lambda dA1, Z1: dA1 * (dA1 > 0))
_BIAS_MEAN = _two_layer(bias=lambda d: d.mean(axis=0))

_TWO_LAYER_CHAFFS = (
    ("sum-not-mean", "the division by N is missing: these are the gradients of the *sum* of the losses.",
     "Repeat the batch twice. The loss stays the same; do your gradients?",
     _two_layer(dlogits=lambda Z, y: backprop.cross_entropy_grad(Z, y) * len(y))),
    ("sign-flipped", "onehot − P stands where P − onehot belongs: every gradient points downhill.",
     "At the right class, should raising the logit raise or lower the loss?",
     _two_layer(dlogits=lambda Z, y: -backprop.cross_entropy_grad(Z, y))),
    ("no-gate", "the ReLU has no backward pass: `dZ1` is `dA1`.",
     "What happened in the forward pass between Z1 and A1? Its slope is missing on the way back.", _NO_GATE),
    ("gate-on-gradient", "the gate looks at the gradient `dA1`, not at the pre-activation `Z1`.",
     "What decides whether a unit was on in the forward pass?", _GATE_ON_GRADIENT),
    ("gate-multiplies-activation", "`dA1` is multiplied with the activation A1 instead of the ReLU's slope.",
     "How steep is max(z, 0) at z = 3: is it 3?", _two_layer(gate=lambda dA1, Z1: dA1 * np.maximum(Z1, 0))),
    ("gate-inverted", "the gate is open where Z1 is negative.", "Where is max(z, 0) flat?",
     _two_layer(gate=lambda dA1, Z1: dA1 * (Z1 < 0))),
    ("bias-gradient-averaged", "the bias gradients are averaged over the batch a second time; the 1/N is in dZ2 "
     "already.", "Count the divisions by N on the way to `b2`.", _BIAS_MEAN),
    ("pre-activation-not-activation", "`W2`'s gradient was formed with Z1; the second layer's input is A1, after the "
     "ReLU.", "What does the second layer multiply with W2?", _two_layer(hidden=lambda A1, Z1: Z1)),
    ("no-activation", "there is no ReLU, neither forward nor backward.", "What lies between the two linear layers?",
     _two_layer(activation=lambda Z1: Z1, gate=lambda dA1, Z1: dA1)),
    ("sigmoid-slope", "the slope of a sigmoid stands where the ReLU's belongs.", "Which activation is in between?",
     _two_layer(gate=lambda dA1, Z1: dA1 * np.maximum(Z1, 0) * (1 - np.maximum(Z1, 0)))),
    ("no-activation", "there is no ReLU in the forward pass.", "What lies between the two linear layers?",
     _two_layer(activation=lambda Z1: Z1)),
    ("bias-left-out", "the biases are not added on the way forward.", "Each layer is X @ W + b.",
     lambda params, X, y: backprop.two_layer_grads(params | {"b1": 0 * params["b1"], "b2": 0 * params["b2"]}, X, y)),
    ("onehot-missing", "dZ2 is P / N; the labels are not subtracted.", "The rows of dZ2 sum to 0. Do yours?",
     _two_layer(dlogits=lambda Z, y: backprop.softmax(Z) / len(y))),
    ("no-shift", "the softmax overflows at large logits: inf/inf is nan.", "Shift each row by its maximum.",
     _two_layer(dlogits=lambda Z, y: (softmax_without_shift(Z) - np.eye(Z.shape[1])[y]) / len(y))),
    ("divided-by-N-twice", "the gradients are divided by N twice.", "Count the divisions by N.",
     _two_layer(dlogits=lambda Z, y: backprop.cross_entropy_grad(Z, y) / len(y))),
    ("mean-over-all-elements", "dZ2 is divided by N·C; the mean is over N.", "How many terms are averaged?",
     _two_layer(dlogits=lambda Z, y: backprop.cross_entropy_grad(Z, y) / Z.shape[1])),
    ("global-shift", "one maximum was taken for the whole batch: a row far below it becomes 0/0.",
     "How many maxima does a batch of N rows need?",
     _two_layer(dlogits=lambda Z, y: (softmax_without_shift(Z - Z.max()) - np.eye(Z.shape[1])[y]) / len(y))),
    ("tanh-not-relu", "the activation is a tanh, forward and backward.", "Which activation does the chapter use?",
     _two_layer(activation=np.tanh, gate=lambda dA1, Z1: dA1 * (1 - np.tanh(Z1) ** 2))),
    ("sigmoid-not-relu", "the activation is a sigmoid, forward and backward.", "Which activation does the chapter use?",
     _two_layer(activation=backprop.sigmoid,
                gate=lambda dA1, Z1: dA1 * backprop.sigmoid(Z1) * backprop.sigmoid(-Z1))),
    ("leaky", "the ReLU lets a part of the negative values through, forward and backward.",
     "What is max(z, 0) at z = −1, and how steep is it there?",
     _two_layer(activation=lambda Z1: np.where(Z1 > 0, Z1, 0.01 * Z1),
                gate=lambda dA1, Z1: dA1 * np.where(Z1 > 0, 1, 0.01))),
    ("leaky", "the slope of a leaky ReLU stands where the ReLU's belongs.", "How steep is max(z, 0) at z = −1?",
     _two_layer(gate=lambda dA1, Z1: dA1 * np.where(Z1 > 0, 1, 0.01))),
    ("transposed", "the weight gradients are transposed.", "A gradient has the shape of its parameter.",
     _two_layer(finish=lambda g, params, X: {k: v.T.copy() for k, v in g.items()})),
    ("weights-gradient-only-last", "the first layer's gradients are zero: the gradient stopped at the second layer.",
     "How does the gradient get from Z2 to A1?",
     _two_layer(gate=lambda dA1, Z1: np.zeros_like(dA1))),
)  # fmt: skip
for _cause, _text, _hint, _function in _TWO_LAYER_CHAFFS:
    two_layer_grads.chaff(_cause, _text, _hint)(_function)


# L layers


def _hidden_layer(rng: np.random.Generator, A: np.ndarray, m: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights and biases: no pre-activation near the kink, every unit on both sides; of one example, either side."""
    for _ in range(1000):
        W, b = normal(rng, A.shape[1], m), normal(rng, m)
        Z = A @ W + b
        axis = 0 if len(A) > 1 else 1
        if np.abs(Z).min() > KINK and ((Z > 0).any(axis=axis) & (Z < 0).any(axis=axis)).all():
            break
    return W, b


def _mlp_case(rng: np.random.Generator, name: str, N: int, sizes: list[int]) -> Case:
    X = A = normal(rng, N, sizes[0])
    params = []
    for m in sizes[1:-1]:
        params.append(_hidden_layer(rng, A, m))
        A = np.maximum(A @ params[-1][0] + params[-1][1], 0)
    params.append((normal(rng, sizes[-2], sizes[-1]), normal(rng, sizes[-1])))
    y = labels(rng, N, sizes[-1])
    if N == 1:
        y[0] = np.argmin(A @ params[-1][0] + params[-1][1])
    return Case(name, (params, X, y), {"N": N, "C": sizes[-1]})


def _mlp_cases(rng: np.random.Generator) -> list[Case]:
    large = _mlp_case(rng, "large logits", 7, [5, 3, 2])
    (W, b), (last, c) = large.args[0]
    last *= 2000
    large.args[2][0] = np.argmin(np.maximum(large.args[1][0] @ W + b, 0) @ last + c)
    apart = _mlp_case(rng, "logits of one row far from those of another", 7, [5, 2, 3])
    (W, b), (last, c) = apart.args[0]
    _pull_rows_apart(last, c, np.maximum(apart.args[1] @ W + b, 0))
    return [
        _mlp_case(rng, "5 → 2 → 3", 7, [5, 2, 3]),
        _mlp_case(rng, "3 → 5 → 2 → 7", 11, [3, 5, 2, 7]),
        _mlp_case(rng, "one layer, no ReLU", 7, [5, 3]),
        _mlp_case(rng, "N = 1", 1, [3, 5, 7]),
        _mlp_case(rng, "square: 3 → 3 → 3 → 3", 13, [3, 3, 3, 3]),
        _mlp_case(rng, "five layers", 13, [2, 3, 5, 3, 5, 3]),
        Case(large.name, large.args, large.sizes, group="stability"),
        Case(apart.name, apart.args, apart.sizes, group="stability"),
    ]


def _mlp_stages(rng: np.random.Generator, N: int, sizes=(5, 7, 11, 4), names=("dW", "db")) -> tuple[tuple, list[Stage]]:
    """Three layers, all wider than the batch is long, so that every dZ can be recovered."""
    params, X, y = _mlp_case(rng, "", N, list(sizes)).args
    inputs, Zs = [X], []
    for W, b in params:
        Zs.append(inputs[-1] @ W + b)
        inputs.append(np.maximum(Zs[-1], 0))
    P, Y = backprop.softmax(Zs[2]), np.eye(sizes[-1])[y]
    dZ = (P - Y) / N
    values = {f"Z{i + 1}": Z for i, Z in enumerate(Zs)} | {f"A{i}" if i else "X": A for i, A in enumerate(inputs[:-1])}
    context = values | {"P": P, "P / N": P / N, "Y": Y, "(Y - P) / N": -dZ}
    W, b = names
    stages = [
        Stage(
            f"{W}[2]",
            "dZ3",
            ("A2", inputs[2]),
            dZ,
            "(P - onehot) / N",
            context,
            f"{b}[2]",
            _head_guesses(Zs[2], y),
            _head_terms(P, Y),
        )
    ]
    for i in (1, 0):
        back = {f"dA{i + 1}": dZ @ params[i + 1][0].T}
        back |= {
            f"dZ{i + 2} @ params[{j}][0].T": dZ @ V.T
            for j, (V, _) in enumerate(params)
            if j != i + 1 and V.shape == params[i + 1][0].shape
        }
        dZ = back[f"dA{i + 1}"] * (Zs[i] > 0)
        source = (f"A{i}" if i else "X", inputs[i])
        formula = f"dA{i + 1} * (Z{i + 1} > 0)"
        stages.append(Stage(f"{W}[{i}]", f"dZ{i + 1}", source, dZ, formula, back | values, f"{b}[{i}]"))
    return (params, X, y), stages


def _square_stages(rng: np.random.Generator, N: int) -> tuple[tuple, list[Stage]]:
    """Hidden layers of one width: there the gate, or the weights, of another layer fit."""
    return _mlp_stages(rng, N, (7, 7, 7, 4))


def _mlp_batch(rng: np.random.Generator, N: int) -> Case:
    return _mlp_case(rng, "", N, [5, 3, 4])


def _order_reversed(f, exercise: Exercise, rest: tuple = ()) -> Finding | None:
    """Do the shapes fit if the list is read from the other end?"""
    params, X, y = _mlp_batch(np.random.default_rng(6), 7).args
    try:
        shapes = [(np.shape(W), np.shape(b)) for W, b in call(f, (copy.deepcopy(params), X, y, *rest)).value]
    except (TypeError, ValueError):
        return None
    if shapes != [(W.shape, b.shape) for W, b in reversed(params)]:
        return None
    return Finding(
        f"The shapes of your `{exercise.outputs[0]}` and `{exercise.outputs[1]}` fit if the list is read from its end.",
        "order-reversed",
        "the list runs from the last layer to the first.",
        "Entry 0 belongs to the first layer. In which order did your loop collect?",
    )


def _explain_layers(f) -> Finding | None:
    return (
        _order_reversed(f, mlp_grads)
        or _parameters_moved(mlp_grads, _mlp_batch, f)
        or _only_rescaled(mlp_grads, _mlp_batch, f)
        or _examples_of_the_batch(mlp_grads, _mlp_batch, f)
        or _wrong_activation_forward(mlp_grads, _mlp_stages, lambda W1, b1, W2, b2: [(W1, b1), (W2, b2)], f)
        or _first_wrong_step(mlp_grads, _mlp_stages, f)
        or _first_wrong_step(mlp_grads, _square_stages, f)
    )


mlp_grads = Exercise(
    "mlp_grads",
    CHAPTER,
    8,
    "mlp_grads(params, X, y)",
    ("dW", "db"),
    reference=backprop.mlp_grads,
    make_cases=_mlp_cases,
    explain=_explain_layers,
    formula="going back: (A.T @ dZ, dZ.sum(axis=0)) for each layer, then dZ = (dZ @ W.T) * (A > 0) for the one before",
)


def _mlp(
    *,
    dlogits=backprop.cross_entropy_grad,
    gate=lambda d, Z, A: d * (Z > 0),
    bias=lambda d: d.sum(axis=0),
    relu_last=False,
    gate_last=False,
    order=lambda grads: grads,
    layer_input=lambda i, inputs, Zs: inputs[i],
    activation=lambda Z: np.maximum(Z, 0),
):
    """The backward pass of L layers with one step replaced."""

    def function(params, X, y):
        inputs, Zs = [X], []
        for i, (W, b) in enumerate(params):
            Zs.append(inputs[-1] @ W + b)
            last = i == len(params) - 1
            inputs.append(activation(Zs[-1]) if not last or relu_last else Zs[-1])
        with np.errstate(all="ignore"):
            d = dlogits(inputs[-1], y)
            if gate_last:
                d = d * (Zs[-1] > 0)
            grads = [None] * len(params)
            for i in reversed(range(len(params))):
                grads[i] = (layer_input(i, inputs, Zs).T @ d, bias(d))
                if i:
                    d = gate(d @ params[i][0].T, Zs[i - 1], inputs[i])
            return order(grads)

    return function


@mlp_grads.wheat
def textbook(params, X, y):
    return _mlp()(params, X, y)


@mlp_grads.wheat
def recursion_from_layer_to_layer(params, X, y):
    def layer(i, A):
        W, b = params[i]
        Z = A @ W + b
        if i == len(params) - 1:
            dZ, later = backprop.cross_entropy_grad(Z, y), []
        else:
            dA, later = layer(i + 1, np.maximum(Z, 0))
            dZ = dA * (Z > 0)
        return dZ @ W.T, [(A.T @ dZ, dZ.sum(axis=0)), *later]

    return layer(0, X)[1]


@mlp_grads.wheat
def with_tensors_of_the_library(params, X, y):
    from backprop import Tensor

    tensors = [(Tensor(W), Tensor(b)) for W, b in params]
    A = Tensor(X)
    for i, (W, b) in enumerate(tensors):
        A = A @ W + b
        if i < len(tensors) - 1:
            A = A.relu()
    A.cross_entropy(y).backward()
    return [(W.grad, b.grad) for W, b in tensors]


@mlp_grads.wheat
def inserts_at_the_front(params, X, y):
    caches, A = [], X
    for i, (W, b) in enumerate(params):
        Z = A.dot(W) + b
        caches.append((A, Z))
        A = Z if i + 1 == len(params) else np.where(Z > 0, Z, 0)
    delta = (backprop.softmax(A) - np.eye(A.shape[1])[y]) / y.size
    grads = []
    for i in range(len(params) - 1, -1, -1):
        A, _ = caches[i]
        grads.insert(0, [A.T.dot(delta), delta.sum(0)])
        delta = delta.dot(params[i][0].T)
        if i > 0:
            delta = delta * (caches[i - 1][1] > 0)
    return tuple(tuple(g) for g in grads)


@mlp_grads.wheat
def layers_with_examples_in_columns(params, X, y):
    L, N = len(params), len(y)
    A, Z = {0: X.T}, {}
    for layer, (W, b) in enumerate(params, start=1):
        Z[layer] = W.T @ A[layer - 1] + b.reshape(-1, 1)
        A[layer] = np.maximum(Z[layer], 0) if layer < L else Z[layer]
    E = np.exp(A[L] - A[L].max(axis=0))
    dZ = E / E.sum(axis=0) - np.eye(len(E))[y].T
    grads = {}
    for layer in range(L, 0, -1):
        grads[layer] = ((dZ @ A[layer - 1].T).T / N, np.squeeze(dZ.sum(axis=1, keepdims=True), axis=1) / N)
        if layer > 1:
            dZ = (params[layer - 1][0] @ dZ) * (Z[layer - 1] > 0)
    return [grads[layer] for layer in sorted(grads)]


@mlp_grads.wheat
def layers_example_by_example(params, X, y):
    total = [[np.zeros_like(W), np.zeros_like(b)] for W, b in params]
    for x, label in zip(X, y, strict=True):
        A = [x]
        for W, b in params[:-1]:
            A.append(np.maximum(A[-1] @ W + b, 0))
        dZ = backprop.softmax(A[-1] @ params[-1][0] + params[-1][1])
        dZ[label] -= 1
        for layer in range(len(params) - 1, -1, -1):
            total[layer][0] += np.outer(A[layer], dZ)
            total[layer][1] += dZ
            dZ = (params[layer][0] @ dZ) * (A[layer] > 0)
    return zip([dW / len(y) for dW, _ in total], [db / len(y) for _, db in total], strict=True)


_MLP_CHAFFS = (
    ("sum-not-mean", "the division by N is missing.", "Repeat the batch twice: the loss stays the same. The gradients?",
     _mlp(dlogits=lambda Z, y: backprop.cross_entropy_grad(Z, y) * len(y))),
    ("sign-flipped", "onehot − P stands where P − onehot belongs.", "Should the right class's logit rise or fall?",
     _mlp(dlogits=lambda Z, y: -backprop.cross_entropy_grad(Z, y))),
    ("no-gate", "the ReLUs have no backward pass.", "What happened between Z and A on the way forward?",
     _mlp(gate=lambda d, Z, A: d)),
    ("gate-on-gradient", "the gate looks at the gradient, not at the pre-activation.", "What decides whether a unit "
     "was on?", _mlp(gate=lambda d, Z, A: d * (d > 0))),
    ("gate-multiplies-activation", "the gradient is multiplied with the activation instead of the ReLU's slope.",
     "How steep is max(z, 0) at z = 3: is it 3?", _mlp(gate=lambda d, Z, A: d * A)),
    ("order-reversed", "the list runs from the last layer to the first.", "Entry 0 belongs to the first layer; you "
     "collected from the last.", _mlp(order=lambda grads: grads[::-1])),
    ("bias-gradient-averaged", "the bias gradients are averaged over the batch a second time.", "Count the divisions "
     "by N.", _mlp(bias=lambda d: d.mean(axis=0))),
    ("relu-after-last-layer", "there is a ReLU after the last layer, forward and backward.", "Logits may be negative: "
     "no ReLU after the last layer.", _mlp(relu_last=True, gate_last=True)),
    ("relu-after-last-layer", "the logits went through a ReLU.", "Logits may be negative: no ReLU after the last "
     "layer.", _mlp(relu_last=True)),
    ("gate-after-last-layer", "the gradient of the logits went through a ReLU's gate.", "Is there a ReLU after the "
     "last layer?", _mlp(gate_last=True)),
    ("pre-activation-not-activation", "weight gradients are formed with Z; a layer's input is A, after the ReLU.",
     "What does a layer multiply with its W?", _mlp(layer_input=lambda i, inputs, Zs: Zs[i - 1] if i else inputs[0])),
    ("no-activation", "there is no ReLU between the layers on the way forward.", "What lies between two linear layers?",
     _mlp(activation=lambda Z: Z)),
    ("no-activation", "there is no ReLU between the layers.", "What lies between two linear layers?",
     _mlp(activation=lambda Z: Z, gate=lambda d, Z, A: d)),
    ("bias-left-out", "the biases are not added on the way forward.", "Each layer is X @ W + b.",
     lambda params, X, y: backprop.mlp_grads([(W, 0 * b) for W, b in params], X, y)),
    ("no-shift", "the softmax overflows at large logits.", "Shift each row by its maximum.",
     _mlp(dlogits=lambda Z, y: (softmax_without_shift(Z) - np.eye(Z.shape[1])[y]) / len(y))),
    ("onehot-missing", "the labels are not subtracted from the probabilities.", "The rows of dZ sum to 0. Do yours?",
     _mlp(dlogits=lambda Z, y: backprop.softmax(Z) / len(y))),
    ("global-shift", "one maximum was taken for the whole batch: a row far below it becomes 0/0.",
     "How many maxima does a batch of N rows need?",
     _mlp(dlogits=lambda Z, y: (softmax_without_shift(Z - Z.max()) - np.eye(Z.shape[1])[y]) / len(y))),
    ("tanh-not-relu", "the activations are tanh, forward and backward.", "Which activation does the chapter use?",
     _mlp(activation=np.tanh, gate=lambda d, Z, A: d * (1 - A**2))),
    ("sigmoid-not-relu", "the activations are sigmoids, forward and backward.", "Which activation does the chapter "
     "use?", _mlp(activation=backprop.sigmoid, gate=lambda d, Z, A: d * A * (1 - A))),
    ("leaky", "the ReLUs let a part of the negative values through, forward and backward.",
     "What is max(z, 0) at z = −1, and how steep is it there?",
     _mlp(activation=lambda Z: np.where(Z > 0, Z, 0.01 * Z), gate=lambda d, Z, A: d * np.where(Z > 0, 1, 0.01))),
    ("gate-inverted", "the gates are open where Z is negative.", "Where is max(z, 0) flat?",
     _mlp(gate=lambda d, Z, A: d * (Z < 0))),
    ("divided-by-N-twice", "the gradients are divided by N twice.", "Count the divisions by N.",
     _mlp(dlogits=lambda Z, y: backprop.cross_entropy_grad(Z, y) / len(y))),
)  # fmt: skip
for _cause, _text, _hint, _function in _MLP_CHAFFS:
    mlp_grads.chaff(_cause, _text, _hint)(_function)


# train_epoch: any order of the examples is right, so the verdict tries all of them


def _epoch_case(rng: np.random.Generator, name: str, N: int, batch_size: int, sizes: list[int], lr: float) -> Case:
    params, X, y = _mlp_case(rng, name, N, sizes).args
    params = [(0.5 * W, 0.5 * b) for W, b in params]
    generator = np.random.default_rng(int(rng.integers(2**32)))
    return Case(name, (params, X, y, lr, batch_size, generator), {"N": N, "batch_size": batch_size})


def _epoch_cases(rng: np.random.Generator) -> list[Case]:
    return [
        _epoch_case(rng, "5 examples, batches of 2", 5, 2, [3, 2, 3], 0.3),
        _epoch_case(rng, "6 examples, batches of 3", 6, 3, [2, 3, 2], 0.3),
        _epoch_case(rng, "the whole set at once", 7, 7, [3, 2, 3], 0.5),
        _epoch_case(rng, "a batch larger than the set", 3, 5, [3, 2], 0.5),
        _epoch_case(rng, "one example at a time", 4, 1, [2, 3, 2], 0.2),
        _epoch_case(rng, "a short last batch of 1", 4, 3, [2, 3, 2], 0.3),
    ]


def _orders(N: int, batch_size: int) -> list[tuple[tuple[int, ...], ...]]:
    """All ways to split N examples into batches that follow one another; the order within a batch is immaterial."""

    def split(rest: frozenset[int]):
        if not rest:
            yield ()
            return
        for batch in itertools.combinations(sorted(rest), min(batch_size, len(rest))):
            for later in split(rest - set(batch)):
                yield (batch, *later)

    return list(split(frozenset(range(N))))


def _epoch_in_order(params, X, y, lr, order):
    params = [(W.copy(), b.copy()) for W, b in params]
    for batch in order:
        backprop.SGD(params, lr).step(backprop.mlp_grads(params, X[list(batch)], y[list(batch)]))
    return params


def _nearest_epoch(answer, params, X, y, lr, batch_size, rng):
    """The outcome, over all orders of the examples, that is nearest to the learner's."""
    try:
        theirs = np.concatenate([np.ravel(np.asarray(a, dtype=float)) for pair in answer for a in pair])
    except (TypeError, ValueError):
        return backprop.train_epoch(params, X, y, lr, batch_size, rng)
    outcomes = [_epoch_in_order(params, X, y, lr, order) for order in _orders(len(X), batch_size)]

    def distance(outcome):
        ours = np.concatenate([a.ravel() for pair in outcome for a in pair])
        return np.inf if ours.shape != theirs.shape else float(np.nan_to_num(np.abs(ours - theirs).max(), nan=np.inf))

    return min(outcomes, key=distance)


def _shuffles(f, seed: int) -> Finding | None:
    """One generator must give one order, and many generators many: not always the same one, nor a few."""
    rng = np.random.default_rng(seed)
    for N, batch_size in ((4, 1), (4, 2)):
        # One layer: the dead units of a hidden one can make different orders look alike.
        params, X, y, lr, _, _ = _epoch_case(rng, "", N, batch_size, [3, 2], 0.3).args
        results = []
        for s in (*range(20), *range(6)):
            fresh = ([(W.copy(), b.copy()) for W, b in params], X.copy(), y.copy(), lr, batch_size)
            outcome = call(f, (*fresh, np.random.default_rng(s)))
            if outcome.error is not None:
                return None
            results.append(np.asarray(outcome.value[0][0], dtype=float).tobytes())
        if results[:6] != results[20:]:  # an order drawn elsewhere agrees in one try of 24, so six are compared
            return Finding(
                "Two generators with the same seed gave different epochs.",
                "other-generator",
                "the order comes from somewhere else than `rng`.",
                "Draw the permutation from `rng`, so that a run can be repeated.",
            )
        seen, orders = len(set(results)), len(_orders(N, batch_size))
        if seen == 1:
            return Finding(
                "Twenty generators with different seeds gave twenty times the same epoch.",
                "not-shuffled",
                "the examples are visited in the same order in every epoch.",
                "What is `rng` for?",
            )
        if seen <= (6 if batch_size == 1 else 2):  # by chance less than once in five million checks
            return Finding(
                f"{N} examples in batches of {batch_size} can be visited in {orders} ways; twenty generators gave only "
                f"{seen} of them.",
                "barely-shuffled",
                "the examples are not mixed freely: their order is only turned round, or whole batches change places.",
                "Every order of the examples must be equally likely. `rng.permutation(N)` gives such an order.",
            )
    return None


# With a tiny learning rate an epoch moves the parameters by a weighted sum of the examples' gradients. The weights
# follow by least squares, whatever the order was: 1/3 for an example in a batch of three.

_TINY_RATE = 1e-6
_EPOCHS = (  # what the weights of the examples tell, in batches of 3 of 7 examples and in batches of 4 of 10
    ("sum-not-mean", "the gradients of a batch were summed, or its mean was multiplied by its length.",
     "`mlp_grads` returns the mean over its batch already.", [1] * 7, [1] * 10),
    ("divided-by-batch-size", "the last, short batch was divided by `batch_size`, not by its own length.",
     "How many examples are in the last batch? `mlp_grads` takes their mean already.", [1 / 3] * 7, [1 / 4] * 10),
    ("divided-twice", "the mean gradient was divided by the batch's length once more.",
     "`mlp_grads` returns the mean over its batch already.", [1 / 9] * 6 + [1], [1 / 16] * 8 + [1 / 4] * 2),
    ("divided-twice", "the mean gradient was divided by `batch_size` once more.",
     "`mlp_grads` returns the mean over its batch already.", [1 / 9] * 6 + [1 / 3], [1 / 16] * 8 + [1 / 8] * 2),
    ("divided-by-set-size", "the gradients were divided by the length of the whole set once more.",
     "`mlp_grads` returns the mean over its batch already.", [1 / 21] * 6 + [1 / 7], [1 / 40] * 8 + [1 / 20] * 2),
    ("whole-set-each-step", "every step used the whole set.", "Which arrays go into `mlp_grads`?",
     [3 / 7] * 7, [3 / 10] * 10),
    ("one-step-only", "one step with the whole set was taken.", "How many batches has an epoch?",
     [1 / 7] * 7, [1 / 10] * 10),
    ("one-batch-only", "only the first batch was used: the loop ends, or returns, after one round.",
     "Where does your loop return?", [1 / 3] * 3 + [0] * 4, [1 / 4] * 4 + [0] * 6),
    ("last-batch-only", "only the last batch was used: the step is taken once, after the loop.",
     "Which lines are inside the loop? Each batch takes a step of its own.", [1] + [0] * 6, [1 / 2] * 2 + [0] * 8),
    ("examples-left-out", "1 of the 7 examples is not used, or not all of 10: the last, short batch is left out.",
     "With 5 examples in batches of 2, how many batches are there?", [1 / 3] * 6 + [0], [1 / 4] * 8 + [0] * 2),
    ("batch-left-out", "a whole batch is left out, the first or one in between.",
     "Print the start of each batch. Which one is missing?",
     [1 / 3] * 3 + [1] + [0] * 3, [1 / 4] * 4 + [1 / 2] * 2 + [0] * 4),
    ("equal-batches", "the batches are made equally long (as `np.array_split` does), none has `batch_size` examples "
     "and a short rest.", "With 7 examples in batches of 3, how long is each batch?",
     [1 / 3] * 3 + [1 / 2] * 4, [1 / 4] * 4 + [1 / 3] * 6),
    ("batches-counted", "`batch_size` was taken for the number of batches.", "Is `batch_size` a number of batches, or "
     "of examples?", [1 / 3] * 3 + [1 / 2] * 4, [1 / 3] * 6 + [1 / 2] * 4),
    ("overlapping-batches", "the batches overlap: the loop starts a batch at every example.",
     "By how much does the start of a batch grow from one round to the next?",
     [1 / 3, 2 / 3, 1, 1, 1, 7 / 6, 11 / 6],
     [1 / 4, 1 / 2, 3 / 4, 1, 1, 1, 1, 13 / 12, 4 / 3, 25 / 12]),
    ("two-epochs", "the whole set was visited twice.", "In an epoch every example is seen exactly once.",
     [2 / 3] * 6 + [2], [1 / 2] * 8 + [1] * 2),
    ("last-batch-filled-up", "the last, short batch was filled up with examples that had been used already.",
     "In an epoch every example is seen exactly once; the last batch may be shorter.",
     [1 / 3] * 5 + [2 / 3] * 2, [1 / 4] * 8 + [1 / 2] * 2),
    ("gradients-pile-up", "the gradients of earlier batches are added to those of later ones.",
     "Which variable holds a batch's gradient, and what is in it when the next batch begins?",
     [2 / 3] * 3 + [1] * 4, [1 / 2] * 6 + [3 / 4] * 4),
)  # fmt: skip


def _what_an_epoch_is_made_of(f) -> Finding | None:
    """What the epoch did with each array of the parameters, and with each example."""
    weights = []
    for seed, N, batch_size in ((5, 7, 3), (6, 10, 4)):
        params, X, y = _mlp_case(np.random.default_rng(seed), "", N, [6, 5, 3]).args
        params = [(0.3 * W, 0.3 * b) for W, b in params]  # no example so sure of its label that its gradient vanishes

        def run(rate, args=(params, X, y), size=batch_size):
            return probe(train_epoch, f, (*args, rate, size, np.random.default_rng(0)))

        answer, faster = run(_TINY_RATE), run(10 * _TINY_RATE)
        if answer is None or faster is None:
            return None
        before = flatten(params, train_epoch.outputs)
        moved = {name: (before[name] - answer[name]) / _TINY_RATE for name in before}
        G = _gradients_by_example(params, X, y)
        if (finding := _parameters_untouched(before, answer)) is not None:
            return finding
        finding = _not_parameters(before, answer, G) or _rate_unused(before, answer, faster)
        if finding is not None:
            return finding
        found = _weights(G, moved)
        if found is None:
            return _step_of_something_else(params, X, y, before, answer, moved, G)
        weights.append(found)
    return _weights_named(weights) or _shuffles(f, 0)


def _gradients_by_example(params, X, y) -> dict[str, np.ndarray]:
    """For every array of the parameters its gradients, one column an example."""
    rows = [flatten(backprop.mlp_grads(params, X[[n]], y[[n]]), train_epoch.outputs) for n in range(len(X))]
    return {name: np.stack([row[name].ravel() for row in rows], axis=1) for name in rows[0]}


def _weights(G: dict[str, np.ndarray], moved: dict[str, np.ndarray], besides: np.ndarray | None = None):
    """The weights with which the examples' gradients make up a step, if they do."""
    columns = np.concatenate([G[name] for name in moved])
    step = np.concatenate([moved[name].ravel() for name in moved])
    if besides is not None:
        columns = np.column_stack([columns, besides])
    solution = np.linalg.lstsq(columns, step, rcond=None)[0]
    if not np.linalg.norm(columns @ solution - step) <= 1e-3 * np.linalg.norm(step):
        return None
    return solution


def _parameters_untouched(before: dict[str, np.ndarray], answer: dict[str, np.ndarray]) -> Finding | None:
    still = [name for name in before if np.array_equal(before[name], answer[name])]
    if not still:
        return None
    if len(still) == len(before):
        return Finding(
            "The parameters that you return are those of the start.",
            "nothing-updated",
            "the steps are computed and thrown away: the new parameters are not kept, or the old ones are returned.",
            "Which variable holds the new parameters, and which one do you return?",
        )
    kinds = {name[0] for name in still}
    whole = len(kinds) == 1 and len(still) == sum(name[0] in kinds for name in before)
    kind = {"b": "the biases", "W": "the weights"}[still[0][0]] if whole else "some of the arrays"
    they = "is what it was" if len(still) == 1 else "are what they were"
    return Finding(
        f"{listing([f'`{name}`' for name in still])} {they} at the start.",
        "not-all-updated",
        f"{kind} are not updated.",
        "Over which layers, and over which two arrays of each, does your step run?",
    )


def _step_of_something_else(params, X, y, before, answer, moved, G) -> Finding | None:
    """The step is not made of the examples' gradients: what is it made of?"""
    flat = _whole(before)
    only_weights = np.concatenate([a.ravel() * (name[0] == "W") for name, a in before.items()])
    for besides in (flat, only_weights):
        if (solution := _weights(G, moved, besides)) is not None and abs(solution[-1]) > 1e-6:
            return _decay(solution[-1])
    C = len(params[-1][1])
    others = [_gradients_by_example(params, X, (y + shift) % C) for shift in range(C)]
    everything = {name: np.hstack([other[name] for other in others]) for name in G}
    if _weights(everything, moved) is not None:
        return Finding(
            "The step is made of gradients of inputs with other examples' labels.",
            "labels-torn-from-inputs",
            "X and y were not picked with the same indices.",
            "Take one example by the hand: which label does it meet in `mlp_grads`?",
        )
    if all(np.allclose(step, np.round(step), atol=1e-6) for step in moved.values()):
        return Finding(
            "Every entry moves by a whole number of learning rates.",
            "only-the-sign",
            "only the sign of the gradient is used, not its size.",
            "A steep slope should move a weight further than a gentle one. Does it?",
        )
    weights_only = {name: step for name, step in moved.items() if name[0] == "W"}
    if (counts := _weights(G, weights_only)) is not None:
        right = np.concatenate([G[name] @ counts for name in moved if name[0] == "b"])
        mine = np.concatenate([step for name, step in moved.items() if name[0] == "b"])
        factor = float(np.vdot(mine, right) / np.vdot(right, right))
        if same(mine, factor * right, 1e-3):
            return Finding(
                f"The weights move as gradients tell them to; the biases move {factor:.3g} times as far.",
                "uneven-step",
                "the biases climb where they should descend."
                if abs(factor + 1) < 1e-3
                else "the biases are updated with another factor than the weights.",
                "Put the two lines of your update side by side.",
            )
    last = {name: moved[name] for name in list(moved)[-2:]}
    if (counts := _weights(G, last)) is None:
        return None
    off = [name for name in moved if not same(moved[name].ravel(), G[name] @ counts, 1e-3)]
    return Finding(
        f"The last layer moves by a sum of the examples' gradients; {listing([f'`{name}`' for name in off])} "
        f"{'does' if len(off) == 1 else 'do'} not.",
        "uneven-step",
        "the gradients of the other arrays are not right, or are used with another factor.",
        "Put the lines that update the layers side by side. Do the gradients come from `mlp_grads`?",
    )


def _not_parameters(before, answer, G) -> Finding | None:
    """Are gradients, or steps, returned where parameters are asked for?"""
    if (counts := _weights(G, answer)) is None:
        return None
    step = np.abs(counts).max() < 100 * _TINY_RATE
    return Finding(
        "With a tiny learning rate your answer is nearly zero, and should be nearly the parameters of the start."
        if step
        else "Your answer is a sum of the examples' gradients, and should be nearly the parameters of the start.",
        "step-returned" if step else "gradients-returned",
        f"{'steps' if step else 'gradients'} were returned where the new parameters belong.",
        "Which variable holds the parameters after the last step?",
    )


def _rate_unused(before, answer, faster) -> Finding | None:
    still = [
        name
        for name in before
        if (far := np.abs(answer[name] - before[name]).max()) > 1e3 * _TINY_RATE
        and np.allclose(answer[name], faster[name], rtol=0, atol=1e-2 * far)
    ]
    if not still:
        return None
    kinds = {name[0] for name in still}
    which = {"b": "of the biases ", "W": "of the weights "}[still[0][0]] if len(kinds) == 1 else ""
    return Finding(
        f"With a tenth of the learning rate {listing([f'`{name}`' for name in still])} go as far as before.",
        "learning-rate-unused",
        f"the step {which}is not multiplied with the learning rate.",
        "Search for `lr` in your code: it belongs to every step, of weights and of biases.",
    )


def _decay(factor: float) -> Finding:
    return Finding(
        f"The step contains, besides the gradients, {factor:.3g} × the parameters.",
        "extra-term",
        "a term with the parameters themselves is added to the gradient, as a penalty on the weights would give.",
        "Does the contract speak of anything but the gradient of the cross-entropy?",
    )


def _weights_named(weights: list[np.ndarray]) -> Finding | None:
    rights = [1 / 3] * 6 + [1], [1 / 4] * 8 + [1 / 2] * 2
    off = next(
        (w for w, r in zip(weights, rights, strict=True) if not np.allclose(np.sort(w), r, atol=1e-3)), weights[0]
    )
    size = 3 if len(off) == 7 else 4
    shown = ", ".join(f"{0.0 if abs(w) < 1e-3 else w:.3g}" for w in off)
    what = (
        f"With a tiny learning rate, batches of {size} and {len(off)} examples, the step contains the examples' "
        f"gradients with the weights {shown}. Right is 1/{size} for an example in a whole batch, and "
        f"{'1 for the one' if size == 3 else '1/2 for each of the two'} in the last, short one."
    )
    flip = -1 if all((w < 1e-3).all() for w in weights) else 1

    def alike(*expected) -> bool:
        return all(
            np.allclose(np.sort(flip * w), np.sort(e), atol=1e-3 * max(np.max(e), 1e-9))
            for w, e in zip(weights, expected, strict=True)
        )

    if alike(*rights):
        if flip < 0:
            return Finding(what, "uphill", "the step adds the gradient: it climbs.", "Which way is downhill?")
        return None
    if all(np.abs(w).max() < 1e-3 for w in weights):
        return Finding(
            what,
            "rate-applied-twice",
            "the step is far too short: it is multiplied with the learning rate twice, or with a very small number.",
            "Search for `lr` in your code: how often does it enter one step?",
        )
    for cause, likely, hint, *expected in _EPOCHS:
        if alike(*expected):
            uphill = " Besides, the step adds the gradient: it climbs." if flip < 0 else ""
            return Finding(what, cause, likely[:-1] + "." + uphill, hint)
    if flip < 0:
        return Finding(what, "uphill", "the step adds the gradient: it climbs.", "Which way is downhill?")
    if (finding := _momentum(what, weights)) is not None:
        return finding
    unused = int((np.abs(off) < 1e-3).sum())
    if unused:
        used = f"{unused} of the {len(off)} examples {'was' if unused == 1 else 'were'} not used"
        hint = "In an epoch every example is seen exactly once."
        lengths = _lengths(off[np.abs(off) > 1e-3])
        if max(lengths, default=size) < size:
            return Finding(
                what,
                "wrong-batches",
                f"{used}: the batches have {listing([str(n) for n in sorted(lengths, reverse=True)])} examples.",
                f"{hint} Where does a batch begin, and where does it end? The end of a slice does not belong to it.",
            )
        if abs(off.sum() - 3) < 1e-2:  # three batches, as there should be, none of them short of an example
            twice = "drawn with replacement, in a new order for every batch, or the batches overlap"
            return Finding(what, "with-replacement", f"{used}, and some were used twice: {twice}.", hint)
        return Finding(what, "examples-left-out", f"{used}: the last, short batch?", hint)
    return _batches_named(what, weights)


def _lengths(weights: np.ndarray) -> list[int]:
    """The lengths of batches in which examples would have these weights; none if there are no such batches."""
    lengths: list[int] = []
    for weight, count in zip(*np.unique(weights.round(4), return_counts=True), strict=True):
        n = round(1 / weight) if weight > 1e-3 else 0
        if n == 0 or count % n or abs(weight * n - 1) > 1e-2:
            return []
        lengths += [n] * (count // n)
    return lengths


def _batches_named(what: str, weights: list[np.ndarray]) -> Finding:
    """Weights that no known mistake has: are they the right ones but for a factor, or those of other batches?"""
    rights = [np.sort([1 / 3] * 6 + [1]), np.sort([1 / 4] * 8 + [1 / 2] * 2)]
    factors = [np.sort(w) / right for w, right in zip(weights, rights, strict=True)]
    if all(np.allclose(f, factors[0][0], rtol=1e-3) for f in factors):
        return Finding(
            what,
            "step-scaled",
            f"every step is {factors[0][0]:.3g} times as long as it should be.",
            "Which number, besides `lr`, multiplies or divides your step?",
        )
    made = [_lengths(w) for w in weights]
    if all(made):
        return Finding(
            what,
            "wrong-batches",
            f"of 10 examples with `batch_size` 4 your code makes batches of {listing([str(n) for n in made[1]])}.",
            "Where does your code take the length of a batch from?",
        )
    values, counts = np.unique(weights[1].round(4), return_counts=True)
    if sorted(counts) == [2, 4, 4]:
        shares = sorted((w * (2 if count == 2 else 4) for w, count in zip(values, counts, strict=True)), reverse=True)
        factors = listing([f"{share:.3g}" for share in shares])
        return Finding(
            what,
            "batches-weighted",
            f"the batches count {factors} times, not once each: the step changes from batch to batch, or parameters "
            "are averaged.",
            "What, besides its own gradients and `lr`, enters the step of a batch?",
        )
    return Finding(what, "wrong-weights", "", "Count for one example how often it enters, and divided by what.")


def _momentum(what: str, weights: list[np.ndarray]) -> Finding | None:
    """Do the batches count (1 + β + β²), (1 + β) and 1, as with momentum?"""
    for beta in 4 * weights[1] - 1:
        expected = np.sort([(1 + beta + beta**2) / 4] * 4 + [(1 + beta) / 4] * 4 + [1 / 2] * 2)
        if 0.01 < beta < 1.01 and np.allclose(np.sort(weights[1]), expected, atol=1e-3):
            break
    else:
        return None
    return Finding(
        what,
        "momentum",
        f"each step carries on {beta:.3g} of the step before it: that is momentum, which this epoch does not have.",
        "What does one step depend on: on its own batch alone?",
    )


def _explain_epoch(f) -> Finding | None:
    return _order_reversed(f, train_epoch, (_TINY_RATE, 3, np.random.default_rng(0))) or _what_an_epoch_is_made_of(f)


_EPOCH_FORMULA = (
    "for each batch of rng.permutation(N): "
    "params = [(W - lr * dW, b - lr * db) for (W, b), (dW, db) in zip(params, mlp_grads(params, X[batch], y[batch]))]"
)


def _make_epoch_exercise(name: str, points: float, partial_credit: bool = True) -> Exercise:
    return Exercise(
        name,
        CHAPTER,
        points,
        f"{name}(params, X, y, lr, batch_size, rng)",
        ("W", "b"),
        reference=backprop.train_epoch,
        make_cases=_epoch_cases,
        oracle=_nearest_epoch,
        properties=(_shuffles,),
        explain=_explain_epoch,
        formula=_EPOCH_FORMULA,
        partial_credit=partial_credit,
    )


train_epoch = _make_epoch_exercise("train_epoch", 5)


@train_epoch.wheat
def shuffles_copies(params, X, y, lr, batch_size, rng):
    order = np.arange(len(X))
    rng.shuffle(order)
    X, y = X[order], y[order]
    for start in range(0, len(X), batch_size):
        grads = backprop.mlp_grads(params, X[start : start + batch_size], y[start : start + batch_size])
        params = [(W - lr * dW, b - lr * db) for (W, b), (dW, db) in zip(params, grads, strict=True)]
    return params


@train_epoch.wheat
def by_array_split(params, X, y, lr, batch_size, rng):
    params = [[W.copy(), b.copy()] for W, b in params]
    order = rng.permutation(len(y))
    for batch in np.split(order, range(batch_size, len(y), batch_size)):
        for layer, grads in zip(params, backprop.mlp_grads(params, X[batch], y[batch]), strict=True):
            layer[0] -= lr * grads[0]
            layer[1] -= lr * grads[1]
    return params


@train_epoch.wheat
def by_choice_without_replacement(params, X, y, lr, batch_size, rng):
    order = list(rng.choice(len(X), size=len(X), replace=False))
    while order:
        batch, order = order[:batch_size], order[batch_size:]
        grads = backprop.mlp_grads(params, X[batch], y[batch])
        params = [(W - lr * g[0], b - lr * g[1]) for (W, b), g in zip(params, grads, strict=True)]
    return params


@train_epoch.wheat
def by_sorting_random_keys(params, X, y, lr, batch_size, rng):
    order = np.argsort(rng.random(len(X)))
    n = -(-len(X) // batch_size)
    for i in range(n):
        batch = order[i * batch_size : min((i + 1) * batch_size, len(X))]
        grads = backprop.mlp_grads(params, X[batch], y[batch])
        params = tuple((W - lr * g[0], b - lr * g[1]) for (W, b), g in zip(params, grads, strict=True))
    return params


@train_epoch.wheat
def shuffles_one_table_of_inputs_and_labels(params, X, y, lr, batch_size, rng):
    table = rng.permutation(np.column_stack([X, y]))
    for start in range(0, len(table), batch_size):
        batch = table[start : start + batch_size]
        grads = backprop.mlp_grads(params, batch[:, :-1], batch[:, -1].astype(int))
        params = [(W - lr * dW, b - lr * db) for (W, b), (dW, db) in zip(params, grads, strict=True)]
    return params


@train_epoch.wheat
def winds_the_generator_back(params, X, y, lr, batch_size, rng):
    rows, labels_of_rows = np.arange(len(X)), np.arange(len(y))
    state = rng.bit_generator.state
    rng.shuffle(rows)
    rng.bit_generator.state = state
    rng.shuffle(labels_of_rows)
    for start in range(0, len(X), batch_size):
        batch = slice(start, start + batch_size)
        grads = backprop.mlp_grads(params, X[rows[batch]], y[labels_of_rows[batch]])
        params = [(W - lr * dW, b - lr * db) for (W, b), (dW, db) in zip(params, grads, strict=True)]
    return params


@train_epoch.wheat
def adds_up_example_by_example(params, X, y, lr, batch_size, rng):
    order = rng.permutation(len(X)).tolist()
    for batch in [order[k : k + batch_size] for k in range(0, len(X), batch_size)]:
        total = [[np.zeros_like(W), np.zeros_like(b)] for W, b in params]
        for n in batch:
            for sums, grads in zip(total, backprop.mlp_grads(params, X[n : n + 1], y[n : n + 1]), strict=True):
                sums[0] += grads[0]
                sums[1] += grads[1]
        rate = lr / len(batch)
        params = [(W - rate * dW, b - rate * db) for (W, b), (dW, db) in zip(params, total, strict=True)]
    return params


def _epoch(
    *,
    order=lambda rng, N: rng.permutation(N),
    keep_last=True,
    sign=-1.0,
    scale=lambda batch, batch_size, N: 1.0,
    label_order=None,
    stale=False,
    once=False,
):
    """An epoch with one thing done wrong."""

    def function(params, X, y, lr, batch_size, rng):
        start_params = params
        N = len(X)
        indices = order(rng, N)
        y = y if label_order is None else y[label_order(rng, N)][np.argsort(indices)]
        stop = N if keep_last else N - N % batch_size
        for start in range(0, stop, batch_size):
            batch = indices[start : start + batch_size]
            grads = backprop.mlp_grads(start_params if stale else params, X[batch], y[batch])
            rate = sign * lr * scale(batch, batch_size, N)
            params = [(W + rate * g[0], b + rate * g[1]) for (W, b), g in zip(params, grads, strict=True)]
            if once:
                break
        return [(W.copy(), b.copy()) for W, b in params]

    return function


def _epoch_of(batches, params, X, y, lr):
    for batch in batches:
        grads = backprop.mlp_grads(params, X[batch], y[batch])
        params = [(W - lr * g[0], b - lr * g[1]) for (W, b), g in zip(params, grads, strict=True)]
    return params


_TORN = _epoch(label_order=lambda rng, N: rng.permutation(N))
_EPOCH_CHAFFS = (
    ("last-batch-dropped", "the last, short batch is left out.", "With 5 examples in batches of 2, how many batches "
     "are there?", _epoch(keep_last=False)),
    ("uphill", "the step adds the gradient: it climbs.", "Which way does the gradient point?", _epoch(sign=1.0)),
    ("not-shuffled", "the examples are visited in their given order.", "What is `rng` for?",
     _epoch(order=lambda rng, N: np.arange(N))),
    ("labels-torn-from-inputs", "X and y were shuffled by two different permutations: the labels belong to other "
     "examples now.", "Draw one permutation and index both with it.", _TORN),
    ("stale-gradients", "all gradients were taken at the parameters of the start of the epoch.",
     "Each batch must see the parameters that the batch before it left behind.", _epoch(stale=True)),
    ("one-batch-only", "only the first batch was used.", "Where does your loop return?", _epoch(once=True)),
    ("barely-shuffled", "the order is only turned round: it starts at a random example and goes on as given.",
     "Every order of the examples must be equally likely.",
     _epoch(order=lambda rng, N: np.roll(np.arange(N), rng.integers(N)))),
    ("with-replacement", "examples were drawn with replacement: some came twice, others not at all.",
     "In an epoch every example is seen exactly once.", _epoch(order=lambda rng, N: rng.integers(0, N, size=N))),
    ("labels-torn-from-inputs", "X was shuffled and y was not: the labels belong to other examples now.",
     "Index both with the same permutation.", _epoch(label_order=lambda rng, N: np.arange(N))),
    ("divided-twice", "the mean gradient was divided by the batch's length once more.",
     "`mlp_grads` returns the mean over the batch already.", _epoch(scale=lambda b, size, N: 1 / len(b))),
    ("sum-not-mean", "the gradients of a batch were summed: the mean was multiplied by the batch's length.",
     "`mlp_grads` returns the mean over the batch already.", _epoch(scale=lambda b, size, N: len(b))),
    ("divided-by-batch-size", "the mean gradient was divided by the batch size once more.",
     "`mlp_grads` returns the mean over the batch already.", _epoch(scale=lambda b, size, N: 1 / size)),
    ("whole-set-each-step", "every step used the whole set instead of its batch.", "Which arrays go into `mlp_grads`?",
     lambda params, X, y, lr, batch_size, rng: _whole_set_epoch(params, X, y, lr, batch_size, rng)),
    ("equal-batches", "the batches are made equally long, as `np.array_split` does, not of `batch_size` examples and "
     "a short rest.", "With 7 examples in batches of 3, how long is each batch?",
     lambda params, X, y, lr, batch_size, rng: _epoch_of(
         np.array_split(rng.permutation(len(X)), -(-len(X) // batch_size)), params, X, y, lr)),
    ("overlapping-batches", "the batches overlap: the loop starts a batch at every example.",
     "By how much does the start of a batch grow from one round to the next?",
     lambda params, X, y, lr, batch_size, rng: _epoch_of(
         [order[k : k + batch_size] for order in [rng.permutation(len(X))] for k in range(len(X))], params, X, y, lr)),
    ("other-generator", "the order comes from NumPy's global generator, not from `rng`: the run can't be repeated.",
     "Draw the permutation from `rng`.", _epoch(order=lambda rng, N: np.random.permutation(N))),  # noqa: NPY002
)  # fmt: skip
for _cause, _text, _hint, _function in _EPOCH_CHAFFS:
    train_epoch.chaff(_cause, _text, _hint)(_function)


def _whole_set_epoch(params, X, y, lr, batch_size, rng):
    for _ in range(0, len(X), batch_size):
        grads = backprop.mlp_grads(params, X, y)
        params = [(W - lr * g[0], b - lr * g[1]) for (W, b), g in zip(params, grads, strict=True)]
    return params


@train_epoch.chaff(
    "argument-changed", "the parameters were updated in place.", "The contract: returns *new* parameters."
)
def _(params, X, y, lr, batch_size, rng):
    order = rng.permutation(len(X))
    for start in range(0, len(X), batch_size):
        batch = order[start : start + batch_size]
        backprop.SGD(params, lr).step(backprop.mlp_grads(params, X[batch], y[batch]))
    return params


# The bug hunt. The planted bug comes first among the chaffs: an unchanged copy is the likeliest wrong answer.

_UNCHANGED = "the planted bug is still there."


def _take_over(exercise: Exercise, other: Exercise, planted: str) -> None:
    """The wheats and chaffs of another exercise with the same contract, but for the one that is planted here."""
    exercise.wheats += other.wheats
    exercise.chaffs += [chaff for chaff in other.chaffs if chaff.cause != planted]


fix_network_1 = Exercise(
    "fix_network_1",
    CHAPTER,
    2,
    "fix_network_1(params, X, y)",
    ("grads",),
    reference=backprop.two_layer_grads,
    make_cases=two_layer_cases,
    partial_credit=False,
    explain=_explain_two_layers,
    formula="dZ1 = dA1 * (Z1 > 0)",
)
fix_network_1.chaff("unchanged", _UNCHANGED, "Go through the ReLU: which array says whether a unit was on?")(
    _GATE_ON_GRADIENT
)

fix_network_2 = Exercise(
    "fix_network_2",
    CHAPTER,
    2,
    "fix_network_2(params, X, y)",
    ("grads",),
    reference=backprop.two_layer_grads,
    make_cases=two_layer_cases,
    partial_credit=False,
    explain=_explain_two_layers,
    formula="b1: dZ1.sum(axis=0), b2: dZ2.sum(axis=0)",
)
fix_network_2.chaff("unchanged", _UNCHANGED, "Compare the gradients of weights and biases with finite differences: "
                    "which are off, and by which factor?")(_BIAS_MEAN)  # fmt: skip
_take_over(fix_network_1, two_layer_grads, planted="gate-on-gradient")
_take_over(fix_network_2, two_layer_grads, planted="bias-gradient-averaged")

fix_network_3 = _make_epoch_exercise("fix_network_3", 2, partial_credit=False)
fix_network_3.chaff(
    "unchanged", _UNCHANGED, "Take one example by the hand: which label does it meet after the shuffle?"
)(_TORN)
_take_over(fix_network_3, train_epoch, planted="labels-torn-from-inputs")


def _step(params, X, y, lr):
    """One step of gradient descent on the whole batch; new parameters."""
    grads = backprop.mlp_grads(params, X, y)
    return [(W - lr * dW, b - lr * db) for (W, b), (dW, db) in zip(params, grads, strict=True)]


def _step_cases(rng: np.random.Generator) -> list[Case]:
    return [
        Case(case.name, (*case.args, 0.5 if case.group == "values" else 0.01), case.sizes, case.group)
        for case in _mlp_cases(rng)
    ]


def _as_gradients(step, lr: float = 0.5):
    """From a function that takes one step, the gradients that the step implies."""

    def gradients(params, X, y):
        new = step([(W.copy(), b.copy()) for W, b in params], X, y, lr)
        return [((W - V) / lr, (b - c) / lr) for (W, b), (V, c) in zip(params, new, strict=True)]

    return gradients


def _explain_step(f) -> Finding | None:
    """What was returned, and whether the gradient that the step implies depends on the step's length."""
    if (finding := _order_reversed(f, fix_network_4, (0.5,))) is not None:
        return finding
    params, X, y = _mlp_case(np.random.default_rng(8), "", 7, [5, 3, 4, 3]).args
    short, long = (probe(fix_network_4, f, (params, X, y, lr)) for lr in (0.01, 0.5))
    if short is None or long is None:
        return None
    before = flatten(params, fix_network_4.outputs)
    right = _whole(flatten(backprop.mlp_grads(params, X, y), fix_network_4.outputs))
    for factors, cause, what in (
        ((1, 1), "gradients-returned", "the gradients"),
        ((-1, -1), "gradients-returned", "minus the gradients"),
        ((0.01, 0.5), "step-returned", "the step alone, learning rate times gradient,"),
        ((-0.01, -0.5), "step-returned", "the step alone, minus learning rate times gradient,"),
    ):
        if all(same(_whole(a), c * right, 1e-7) for a, c in zip((short, long), factors, strict=True)):
            return Finding(
                "Your answer does not contain the parameters.",
                cause,
                f"{what} were returned where the new parameters belong."
                if "gradients" in what
                else f"{what} was returned where the new parameters belong.",
                "Which variable holds the parameters after the step?",
            )
    if (finding := _parameters_untouched(before, long)) is not None:
        return finding
    implied = [{name: (before[name] - a[name]) / lr for name in before} for a, lr in ((short, 0.01), (long, 0.5))]
    for power, cause, likely in (
        (1, "rate-applied-twice", "the step is multiplied with the learning rate twice."),
        (-1, "learning-rate-unused", "the step is not multiplied with the learning rate."),
    ):
        if same(_whole(implied[0]) * 50.0**power, _whole(implied[1]), 1e-6):
            return Finding(
                f"From a learning rate of 0.01 to one of 0.5 your step grows {50.0 ** (1 + power):g} times as long.",
                cause,
                likely,
                "Search for `lr` in your code: how often does it enter one step?",
            )
    off = [name for name in before if not same(implied[0][name], implied[1][name], 1e-6)]
    if not off:
        return _explain_layers(_as_gradients(f))
    fine = [name for name in before if name not in off]
    what = "The gradient that your step implies, (before − after) / lr, depends on the learning rate: in "
    what += listing([f"`{name}`" for name in off]) + "."
    if not fine:
        return Finding(
            what,
            "forward-pass-with-new-parameters",
            "even the last layer is affected: the forward pass uses parameters that were updated already, or more than "
            "one step is taken.",
            "At which parameters are the gradients of one step taken, all of them?",
        )
    return Finding(
        what,
        "updated-before-used",
        "a weight is changed, wholly or in part, before the gradient has gone back through it.",
        "The gradient goes back through the W of the *forward* pass. Which W does your loop use?",
    )


fix_network_4 = Exercise(
    "fix_network_4",
    CHAPTER,
    2,
    "fix_network_4(params, X, y, lr)",
    ("W", "b"),
    reference=_step,
    make_cases=_step_cases,
    explain=_explain_step,
    formula="dA = dZ @ W.T before W is changed; then W - lr * A.T @ dZ and b - lr * dZ.sum(axis=0)",
    partial_credit=False,
)


def _updating_as_it_goes(params, X, y, lr):
    params = [(W.copy(), b.copy()) for W, b in params]
    inputs = [X]
    for W, b in params[:-1]:
        inputs.append(np.maximum(inputs[-1] @ W + b, 0))
    d = backprop.cross_entropy_grad(inputs[-1] @ params[-1][0] + params[-1][1], y)
    for i in reversed(range(len(params))):
        W, b = params[i]
        W -= lr * inputs[i].T @ d
        b -= lr * d.sum(axis=0)
        if i:
            d = (d @ W.T) * (inputs[i] > 0)
    return params


fix_network_4.chaff(
    "unchanged", _UNCHANGED, "The gradient goes back through the W of the *forward* pass. Which W does your loop use?"
)(_updating_as_it_goes)


@fix_network_4.wheat
def gradients_first(params, X, y, lr):
    return _step(params, X, y, lr)


@fix_network_4.wheat
def sends_on_before_it_updates(params, X, y, lr):
    new = [(W.copy(), b.copy()) for W, b in params]
    inputs = [X]
    for W, b in params[:-1]:
        inputs.append(np.maximum(inputs[-1] @ W + b, 0))
    d = backprop.cross_entropy_grad(inputs[-1] @ params[-1][0] + params[-1][1], y)
    for i in reversed(range(len(params))):
        back = d @ new[i][0].T
        new[i] = (new[i][0] - lr * inputs[i].T @ d, new[i][1] - lr * d.sum(axis=0))
        if i:
            d = back * (inputs[i] > 0)
    return new


@fix_network_4.wheat
def goes_back_through_copies(params, X, y, lr):
    old, new = copy.deepcopy(params), copy.deepcopy(params)
    A = [X]
    for W, b in old[:-1]:
        A.append(np.maximum(A[-1] @ W + b, 0))
    dZ = backprop.cross_entropy_grad(A[-1] @ old[-1][0] + old[-1][1], y)
    for layer in range(len(old) - 1, -1, -1):
        new[layer][0][...] -= lr * A[layer].T @ dZ
        new[layer][1][...] -= lr * dZ.sum(axis=0)
        dZ = (dZ @ old[layer][0].T) * (A[layer] > 0)
    return new


@fix_network_4.wheat
def collects_from_the_end(params, X, y, lr):
    A = [X]
    for W, b in params[:-1]:
        A.append(backprop.relu(backprop.linear(A[-1], W, b)))
    dZ, new = backprop.cross_entropy_grad(backprop.linear(A[-1], *params[-1]), y), []
    for (W, b), inputs in zip(params[::-1], A[::-1], strict=True):
        dA, dW, db = backprop.linear_backward(dZ, inputs, W)
        new.append((W - lr * dW, b - lr * db))
        dZ = dA * (inputs > 0)
    return tuple(new[::-1])


@fix_network_4.wheat
def by_an_optimizer_on_copies(params, X, y, lr):
    new = [(np.array(W), np.array(b)) for W, b in params]
    backprop.SGD(new, lr).step(backprop.mlp_grads(params, X, y))
    return new


@fix_network_4.wheat
def step_in_single_precision(params, X, y, lr):
    return [(W.astype(np.float32), b.astype(np.float32)) for W, b in _step(params, X, y, lr)]


@fix_network_4.chaff(
    "learning-rate-applied-twice", "the learning rate enters the step twice.", "Where does `lr` appear?"
)
def _(params, X, y, lr):
    return _step(params, X, y, lr * lr)


@fix_network_4.chaff(
    "no-gate",
    "the gradient goes back through the ReLUs as if they were not there.",
    "What happened between Z and A on the way forward?",
)
def _(params, X, y, lr):
    grads = _mlp(gate=lambda d, Z, A: d)(params, X, y)
    return [(W - lr * dW, b - lr * db) for (W, b), (dW, db) in zip(params, grads, strict=True)]


@fix_network_4.chaff(
    "divided-by-N", "the step was divided by N once more; the loss is a mean already.", "Count the divisions by N."
)
def _(params, X, y, lr):
    return _step(params, X, y, lr / len(y))


@fix_network_4.chaff("uphill", "the step adds the gradient.", "Which way does the gradient point?")
def _(params, X, y, lr):
    return _step(params, X, y, -lr)


@fix_network_4.chaff("learning-rate-unused", "the learning rate is not used.", "Where does `lr` appear?")
def _(params, X, y, lr):
    return _step(params, X, y, 1.0)


@fix_network_4.chaff("last-layer-only", "only the last layer was updated.", "Which layers does your loop visit?")
def _(params, X, y, lr):
    return [*[(W.copy(), b.copy()) for W, b in params[:-1]], _step(params, X, y, lr)[-1]]


@fix_network_4.chaff("biases-not-updated", "the biases are as they were.", "A layer has two parameters.")
def _(params, X, y, lr):
    return [(W, b.copy()) for (W, _), (_, b) in zip(_step(params, X, y, lr), params, strict=True)]


@fix_network_4.chaff("argument-changed", "the parameters were updated in place.", "Return *new* parameters.")
def _(params, X, y, lr):
    backprop.SGD(params, lr).step(backprop.mlp_grads(params, X, y))
    return params


fix_network_5 = Exercise(
    "fix_network_5",
    CHAPTER,
    2,
    "fix_network_5(Z, y)",
    ("dZ",),
    reference=backprop.cross_entropy_grad,
    make_cases=cross_entropy_grad.make_cases,
    partial_credit=False,
    formula="E = np.exp(Z - Z.max(axis=1, keepdims=True))",
)
fix_network_5.chaff("unchanged", _UNCHANGED, "Which intermediate value is the first to be inf? What keeps it small?")(
    lambda Z, y: (softmax_without_shift(Z) - np.eye(Z.shape[1])[y]) / len(y)
)


def _shifted(shift):
    """Softmax and labels with an exponent of one's own making."""

    def function(Z, y):
        with np.errstate(all="ignore"):
            return (softmax_without_shift(shift(Z)) - np.eye(Z.shape[1])[y]) / len(y)

    return function


def _nan_replaced(Z, y):
    with np.errstate(all="ignore"):
        return (np.nan_to_num(softmax_without_shift(Z)) - np.eye(Z.shape[1])[y]) / len(y)


def _shifted_above_only(Z, y):
    with np.errstate(all="ignore"):
        P = np.exp(Z - Z.max(axis=1, keepdims=True)) / np.exp(Z).sum(axis=1, keepdims=True)
        return (P - np.eye(Z.shape[1])[y]) / len(y)


for _cause, _text, _hint, _function in (
    ("divided-by-maximum", "the logits are divided by their largest; a softmax does not survive that.",
     "By what may all logits of a row be changed without changing the softmax?",
     _shifted(lambda Z: Z / np.abs(Z).max(axis=1, keepdims=True))),
    ("nan-replaced", "the nan are replaced by 0 afterwards: what was 1 is lost with them.",
     "Which entry of the softmax is 1 when a logit is far above all others? What has `nan_to_num` made of it?",
     _nan_replaced),
    ("constant-shift", "one constant is subtracted, whatever the logits are: too little for some, too much for others.",
     "Is there a constant that is right for a row of 10000s and for a row of −10000s?", _shifted(lambda Z: Z - 700)),
    ("numerator-only", "the shift is in the numerator and not in the sum below it.",
     "Do the rows of your softmax sum to 1?", _shifted_above_only),
    ("shift-added", "the maximum is added, not subtracted: the exponentials become larger still.",
     "After the shift, which is the largest exponent in a row? It should be 0.",
     _shifted(lambda Z: Z + Z.max(axis=1, keepdims=True))),
    ("wrong-shift", "the mean of the row was subtracted: the largest exponent may still be huge.",
     "After the shift, which is the largest exponent in a row? It should be 0.",
     _shifted(lambda Z: Z - Z.mean(axis=1, keepdims=True))),
    ("wrong-shift", "the minimum of the row was subtracted: the exponents become larger still.",
     "After the shift, which is the largest exponent in a row? It should be 0.",
     _shifted(lambda Z: Z - Z.min(axis=1, keepdims=True))),
    ("wrong-axis", "the maximum was taken over the batch, column by column: that changes the softmax.",
     "Which logits does one row's softmax compare? They must all be shifted by the same number.",
     _shifted(lambda Z: Z - Z.max(axis=0))),
):  # fmt: skip
    fix_network_5.chaff(_cause, _text, _hint)(_function)
_take_over(fix_network_5, cross_entropy_grad, planted="no-shift")


@fix_network_5.wheat
def through_the_log_softmax(Z, y):
    dZ = np.exp(Z - np.logaddexp.reduce(Z, axis=1, keepdims=True))
    np.subtract.at(dZ, (np.arange(len(y)), y), 1.0)
    return np.true_divide(dZ, len(y))


EXERCISES = [
    tiny_network_slope,
    two_layer_loss,
    two_layer_grads,
    mlp_grads,
    train_epoch,
    fix_network_1,
    fix_network_2,
    fix_network_3,
    fix_network_4,
    fix_network_5,
]
