"""Chapter 6: networks of two and of many layers, an epoch of training, and a bug hunt."""

import copy
import itertools

import numpy as np

import backprop
from autograder.checking.call import call
from autograder.checking.derivation import Derivation
from autograder.checking.draw import KINK, labels, normal
from autograder.checking.exercise import Case, Exercise
from autograder.checking.score import Finding
from autograder.checking.stages import Stage, first_wrong
from autograder.checking.structure import WrongStructure, read
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
    "tiny_network_slope", CHAPTER, 2, "tiny_network_slope(x, y, w1, w2)", _tiny_cases, expected=_tiny_slope
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


def _tiny_without(factor):
    def slope(x, y, w1, w2):
        import sympy

        a = sympy.tanh(w1 * x)
        factors = {"two": 2, "error": w2 * a - y, "w2": w2, "gate": 1 - a**2, "x": x}
        return sympy.prod([value for name, value in factors.items() if name != factor])

    return slope


for _factor, _cause, _text, _hint in (
    ("two", "factor-2-missing", "the 2 of the square is missing.", "What is the derivative of u²?"),
    ("w2", "outer-weight-missing", "the way back through w2 is missing.", "ŷ = w2·a: what is ∂ŷ/∂a?"),
    ("gate", "activation-slope-missing", "the slope of the tanh is missing.", "a = tanh(z): what is ∂a/∂z?"),
    ("x", "input-missing", "the last factor, x, is missing.", "z = w1·x: what is ∂z/∂w1?"),
    ("error", "error-missing", "the error ŷ − y is missing.", "What is the derivative of u² in u?"),
):
    tiny_network_slope.chaff(_cause, _text, _hint)(_tiny_without(_factor))


@tiny_network_slope.chaff("sign-flipped", "the error was taken as y − ŷ.", "For ŷ > y, should the loss rise with ŷ?")
def _(x, y, w1, w2):
    return -_tiny_slope(x, y, w1, w2)


@tiny_network_slope.chaff(
    "wrong-variable", "this is the slope in w2, not in w1.", "Which weight is nearer to the input?"
)
def _(x, y, w1, w2):
    import sympy

    return sympy.diff((w2 * sympy.tanh(w1 * x) - y) ** 2, w2)


# Two layers


def _two_layer_case(rng: np.random.Generator, name: str, N: int, D: int, H: int, C: int, y=None) -> Case:
    """Inputs on which no pre-activation is near the kink and every hidden unit is seen on both sides."""
    for _ in range(1000):
        params = {"W1": normal(rng, D, H), "b1": normal(rng, H), "W2": normal(rng, H, C), "b2": normal(rng, C)}
        X = normal(rng, N, D)
        Z1 = X @ params["W1"] + params["b1"]
        if np.abs(Z1).min() > KINK and (N == 1 or ((Z1 > 0).any(axis=0) & (Z1 < 0).any(axis=0)).all()):
            break
    y = labels(rng, N, C) if y is None else y
    return Case(name, (params, X, y), {"N": N, "D": D, "H": H, "C": C})


def _two_layer_cases(rng: np.random.Generator) -> list[Case]:
    large = _two_layer_case(rng, "large logits", 7, 5, 3, 2)
    large.args[0]["W2"] *= 2000
    turned = _two_layer_case(rng, "params in another order", 5, 2, 3, 2)
    turned = Case(turned.name, (dict(reversed(turned.args[0].items())), *turned.args[1:]), turned.sizes)
    return [
        _two_layer_case(rng, "7 × 5 → 3 → 2", 7, 5, 3, 2),
        _two_layer_case(rng, "13 × 3 → 5 → 7", 13, 3, 5, 7),
        _two_layer_case(rng, "N = 1", 1, 5, 3, 2),
        _two_layer_case(rng, "square", 5, 5, 5, 5),
        _two_layer_case(rng, "one label repeated", 7, 2, 3, 5, np.full(7, 1)),
        turned,
        Case(large.name, large.args, large.sizes, group="stability"),
    ]


def _first_wrong_step(exercise: Exercise, make_stages, f) -> Finding | None:
    """Where the backward pass first goes wrong, on two draws of its own."""
    draws = []
    for seed in (1, 2):
        args, stages = make_stages(np.random.default_rng(seed))
        try:
            answer, _ = read(call(f, args).value, exercise.reference(*args), exercise.outputs)
        except WrongStructure:
            return None
        draws.append((stages, {name: a.astype(float) for name, a in answer.items()}))
    return first_wrong(draws)


def _two_layer_stages(rng: np.random.Generator) -> tuple[tuple, list[Stage]]:
    """Fewer examples than features and hidden units, so that the learner's dZ1 and dZ2 can be recovered."""
    params, X, y = _two_layer_case(rng, "", 3, 7, 11, 5).args
    Z1, A1, Z2 = _forward(params, X)
    P, Y = backprop.softmax(Z2), np.eye(5)[y]
    dZ2 = (P - Y) / 3
    dA1 = dZ2 @ params["W2"].T
    last = {"P": P, "P / N": P / 3, "Y": Y, "(Y - P) / N": -dZ2, "Z2": Z2, "Z1": Z1, "A1": A1, "X": X}
    first = {"dA1": dA1, "Z1": Z1, "A1": A1, "X": X}
    return (params, X, y), [
        Stage("W2", "dZ2", ("A1", A1), dZ2, "(P - onehot) / N", last),
        Stage("W1", "dZ1", ("X", X), dA1 * (Z1 > 0), "dA1 * (Z1 > 0)", first),
    ]


def _forward(params, X):
    Z1 = X @ params["W1"] + params["b1"]
    A1 = np.maximum(Z1, 0)
    return Z1, A1, A1 @ params["W2"] + params["b2"]


two_layer_loss = Exercise(
    "two_layer_loss",
    CHAPTER,
    3,
    "two_layer_loss(params, X, y)",
    ("loss",),
    reference=backprop.two_layer_loss,
    make_cases=_two_layer_cases,
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


def _two_layer_chaff_loss(relu=lambda Z: np.maximum(Z, 0), b1=True, b2=True, loss=backprop.cross_entropy):
    def function(params, X, y):
        Z1 = X @ params["W1"] + (params["b1"] if b1 else 0)
        with np.errstate(all="ignore"):
            return loss(relu(Z1) @ params["W2"] + (params["b2"] if b2 else 0), y)

    return function


def _slow_cross_entropy(Z, y):
    P = np.exp(Z) / np.exp(Z).sum(axis=1, keepdims=True)
    return -np.mean(np.log(P[np.arange(len(y)), y]))


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
):  # fmt: skip
    two_layer_loss.chaff(_cause, _text, _hint)(_function)


two_layer_grads = Exercise(
    "two_layer_grads",
    CHAPTER,
    8,
    "two_layer_grads(params, X, y)",
    ("grads",),
    reference=backprop.two_layer_grads,
    make_cases=_two_layer_cases,
    explain=lambda f: _first_wrong_step(two_layer_grads, _two_layer_stages, f),
)


@two_layer_grads.wheat
def written_out(params, X, y):
    _, A1, Z2 = _forward(params, X)
    P = np.exp(Z2 - Z2.max(axis=1, keepdims=True))
    P /= P.sum(axis=1, keepdims=True)
    P[range(len(y)), y] -= 1
    P /= len(y)
    back = P @ params["W2"].T
    back[A1 <= 0] = 0
    return dict(W2=A1.T @ P, b2=P.sum(0), W1=X.T @ back, b1=back.sum(0))


@two_layer_grads.wheat
def example_by_example(params, X, y):
    grads = {key: np.zeros_like(value) for key, value in params.items()}
    for x, k in zip(X, y, strict=True):
        z1, a1, z2 = _forward(params, x[None])
        d2 = backprop.softmax(z2)[0]
        d2[k] -= 1
        d1 = (params["W2"] @ d2) * (z1[0] > 0)
        for key, g in (("W2", np.outer(a1[0], d2)), ("b2", d2), ("W1", np.outer(x, d1)), ("b1", d1)):
            grads[key] += g / len(y)
    return grads


@two_layer_grads.wheat
def by_einsum(params, X, y):
    Z1, A1, Z2 = _forward(params, X)
    d2 = (backprop.softmax(Z2) - np.eye(Z2.shape[1])[y]) / len(X)
    d1 = np.einsum("nc,hc->nh", d2, params["W2"]) * (Z1 >= 0)
    return {
        "W1": np.einsum("nd,nh->dh", X, d1),
        "b1": np.einsum("nh->h", d1),
        "W2": np.einsum("nh,nc->hc", A1, d2),
        "b2": np.einsum("nc->c", d2),
    }


@two_layer_grads.wheat
def divides_at_the_end(params, X, y):
    Z1, A1, Z2 = _forward(params, X)
    d2 = backprop.softmax(Z2)
    d2[np.arange(len(y)), y] -= 1
    d1 = np.where(Z1 > 0, d2 @ params["W2"].T, 0.0)
    grads = {"W2": A1.T @ d2, "b2": d2.sum(axis=0), "W1": X.T @ d1, "b1": d1.sum(axis=0)}
    return {key: g / len(X) for key, g in grads.items()}


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
    ("onehot-missing", "dZ2 is P / N; the labels are not subtracted.", "The rows of dZ2 sum to 0. Do yours?",
     _two_layer(dlogits=lambda Z, y: backprop.softmax(Z) / len(y))),
    ("no-shift", "the softmax overflows at large logits: inf/inf is nan.", "Shift each row by its maximum.",
     _two_layer(dlogits=lambda Z, y: (softmax_without_shift(Z) - np.eye(Z.shape[1])[y]) / len(y))),
    ("divided-by-N-twice", "the gradients are divided by N twice.", "Count the divisions by N.",
     _two_layer(dlogits=lambda Z, y: backprop.cross_entropy_grad(Z, y) / len(y))),
    ("mean-over-all-elements", "dZ2 is divided by N·C; the mean is over N.", "How many terms are averaged?",
     _two_layer(dlogits=lambda Z, y: backprop.cross_entropy_grad(Z, y) / Z.shape[1])),
    ("transposed", "the weight gradients are transposed.", "A gradient has the shape of its parameter.",
     _two_layer(finish=lambda g, params, X: {k: v.T.copy() for k, v in g.items()})),
    ("weights-gradient-only-last", "the first layer's gradients are zero: the gradient stopped at the second layer.",
     "How does the gradient get from Z2 to A1?",
     _two_layer(gate=lambda dA1, Z1: np.zeros_like(dA1))),
)  # fmt: skip
for _cause, _text, _hint, _function in _TWO_LAYER_CHAFFS:
    two_layer_grads.chaff(_cause, _text, _hint)(_function)


# L layers


def _mlp_case(rng: np.random.Generator, name: str, N: int, sizes: list[int]) -> Case:
    for _ in range(1000):
        params = [(normal(rng, d, m), normal(rng, m)) for d, m in itertools.pairwise(sizes)]
        X = normal(rng, N, sizes[0])
        A, far = X, True
        for W, b in params[:-1]:
            Z = A @ W + b
            both = ((Z > 0).any(axis=0) & (Z < 0).any(axis=0)).all()
            far = far and np.abs(Z).min() > KINK and (N == 1 or both)
            A = np.maximum(Z, 0)
        if far:
            break
    return Case(name, (params, X, labels(rng, N, sizes[-1])), {"N": N, "C": sizes[-1]})


def _mlp_cases(rng: np.random.Generator) -> list[Case]:
    large = _mlp_case(rng, "large logits", 7, [5, 3, 2])
    large.args[0][-1][0][...] *= 2000
    return [
        _mlp_case(rng, "5 → 3 → 2", 7, [5, 3, 2]),
        _mlp_case(rng, "3 → 5 → 7 → 2", 11, [3, 5, 7, 2]),
        _mlp_case(rng, "one layer, no ReLU", 7, [5, 3]),
        _mlp_case(rng, "N = 1", 1, [3, 5, 2]),
        _mlp_case(rng, "square: 3 → 3 → 3 → 3", 13, [3, 3, 3, 3]),
        _mlp_case(rng, "five layers", 13, [2, 3, 5, 3, 5, 2]),
        Case(large.name, large.args, large.sizes, group="stability"),
    ]


def _mlp_stages(rng: np.random.Generator) -> tuple[tuple, list[Stage]]:
    """Three layers, all wider than the batch is long, so that every dZ can be recovered."""
    params, X, y = _mlp_case(rng, "", 2, [5, 7, 11, 3]).args
    inputs, Zs = [X], []
    for W, b in params:
        Zs.append(inputs[-1] @ W + b)
        inputs.append(np.maximum(Zs[-1], 0))
    P, Y = backprop.softmax(Zs[2]), np.eye(3)[y]
    dZ = (P - Y) / 2
    context = {"P": P, "P / N": P / 2, "Y": Y, "(Y - P) / N": -dZ, "Z2": Zs[1], "A2": inputs[2]}
    stages = [Stage("dW[2]", "dZ3", ("A2", inputs[2]), dZ, "(P - onehot) / N", context)]
    for i in (1, 0):
        dA = dZ @ params[i + 1][0].T
        dZ = dA * (Zs[i] > 0)
        name = f"A{i}" if i else "X"
        context = {f"dA{i + 1}": dA, f"Z{i + 1}": Zs[i], f"A{i + 1}": inputs[i + 1], name: inputs[i]}
        stages.append(Stage(f"dW[{i}]", f"dZ{i + 1}", (name, inputs[i]), dZ, f"dA{i + 1} * (Z{i + 1} > 0)", context))
    return (params, X, y), stages


mlp_grads = Exercise(
    "mlp_grads",
    CHAPTER,
    8,
    "mlp_grads(params, X, y)",
    ("dW", "db"),
    reference=backprop.mlp_grads,
    make_cases=_mlp_cases,
    explain=lambda f: _first_wrong_step(mlp_grads, _mlp_stages, f),
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
    ("no-shift", "the softmax overflows at large logits.", "Shift each row by its maximum.",
     _mlp(dlogits=lambda Z, y: (softmax_without_shift(Z) - np.eye(Z.shape[1])[y]) / len(y))),
    ("onehot-missing", "the labels are not subtracted from the probabilities.", "The rows of dZ sum to 0. Do yours?",
     _mlp(dlogits=lambda Z, y: backprop.softmax(Z) / len(y))),
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
        params, X, y, lr, _, _ = _epoch_case(rng, "", N, batch_size, [2, 3, 2], 0.3).args
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


def _weights_of_the_examples(f) -> Finding | None:
    """With a tiny learning rate an epoch moves the parameters by a weighted sum of the examples' gradients.

    The weights follow by least squares, whatever the order was: 1/3 for an example in a batch of three. They tell
    what the epoch did with each example.
    """
    N, batch_size, lr = 7, 3, 1e-7
    params, X, y = _mlp_case(np.random.default_rng(5), "", N, [5, 4, 3]).args
    outcome = call(f, (copy.deepcopy(params), X.copy(), y.copy(), lr, batch_size, np.random.default_rng(0)))
    try:
        moved = [(p - np.asarray(q)) / lr for pair, new in zip(params, outcome.value, strict=True)
                 for p, q in zip(pair, new, strict=True)]  # fmt: skip
        moved = np.concatenate([m.ravel() for m in moved])
    except (TypeError, ValueError):
        return None

    def gradients(labels):
        rows = [backprop.mlp_grads(params, X[[n]], labels[[n]]) for n in range(N)]
        return np.stack([np.concatenate([g.ravel() for pair in row for g in pair]) for row in rows], axis=1)

    G = gradients(y)
    weights = np.linalg.lstsq(G, moved, rcond=None)[0]
    if np.linalg.norm(G @ weights - moved) > 1e-3 * np.linalg.norm(moved):
        others = np.hstack([gradients((y + shift) % 3) for shift in range(3)])
        if np.linalg.norm(others @ np.linalg.lstsq(others, moved, rcond=None)[0] - moved) > 1e-3 * np.linalg.norm(
            moved
        ):
            return None
        return Finding(
            "The step is made of gradients of inputs with other examples' labels.",
            "labels-torn-from-inputs",
            "X and y were not picked with the same indices.",
            "Take one example by the hand: which label does it meet in `mlp_grads`?",
        )
    what = "With a tiny learning rate, batches of 3 and 7 examples, the step contains the examples' gradients " + (
        "with the weights " + ", ".join(f"{w:.3g}" for w in weights) + ". "
    )
    right = "Right is 1/3 for an example in a batch of three, and 1 for the one in the last, short batch."
    for expected, cause, likely, hint in (
        (np.full(N, 1.0), "sum-not-mean", "the gradients of a batch were summed, or its mean was multiplied by its "
         "length.", "`mlp_grads` returns the mean over its batch already."),
        (np.full(N, 1 / 3), "divided-by-batch-size", "the last, short batch was divided by `batch_size`, not by its "
         "own length.", "How many examples are in the last batch? `mlp_grads` takes their mean already."),
        (np.full(N, 3 / N), "whole-set-each-step", "every step used the whole set.", "Which arrays go into "
         "`mlp_grads`?"),
        (np.full(N, 1 / N), "one-step-only", "one step with the whole set was taken.", "How many batches of 3 has a "
         "set of 7?"),
    ):  # fmt: skip
        if np.allclose(weights, expected, atol=1e-3):
            return Finding(what + right, cause, likely, hint)
    if (weights < -1e-3).all():
        return Finding(what + right, "uphill", "the step adds the gradient: it climbs.", "Which way is downhill?")
    unused = int((np.abs(weights) < 1e-3).sum())
    if unused:
        cause, likely = "examples-left-out", f"{unused} of the 7 examples were not used"
        twice = np.any(np.abs(weights - 2 / 3) < 1e-3)
        return Finding(
            what + right,
            "with-replacement" if twice else cause,
            likely
            + (
                ", and some were used twice: drawn with replacement, or the batches overlap."
                if twice
                else ": the last, short batch?"
            ),
            "In an epoch every example is seen exactly once.",
        )
    if any(np.allclose(np.sort(weights), [1 / 9] * 6 + [last], atol=1e-3) for last in (1, 1 / 3, 1 / 9)):
        likely = "the mean gradient was divided by the batch's length once more."
        return Finding(what + right, "divided-twice", likely, "`mlp_grads` returns the mean over its batch already.")
    if not np.allclose(np.sort(weights), [1 / 3] * 6 + [1], atol=1e-3):
        return Finding(
            what + right, "wrong-weights", "", "Count for one example how often it enters, and divided by what."
        )
    return None


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
        explain=_weights_of_the_examples,
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
    make_cases=_two_layer_cases,
    partial_credit=False,
    explain=lambda f: _first_wrong_step(two_layer_grads, _two_layer_stages, f),
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
    make_cases=_two_layer_cases,
    partial_credit=False,
    explain=lambda f: _first_wrong_step(two_layer_grads, _two_layer_stages, f),
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


fix_network_4 = Exercise(
    "fix_network_4",
    CHAPTER,
    2,
    "fix_network_4(params, X, y, lr)",
    ("W", "b"),
    reference=_step,
    make_cases=_step_cases,
    explain=lambda f: _first_wrong_step(mlp_grads, _mlp_stages, _as_gradients(f)),
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
)
fix_network_5.chaff("unchanged", _UNCHANGED, "Which intermediate value is the first to be inf? What keeps it small?")(
    lambda Z, y: (softmax_without_shift(Z) - np.eye(Z.shape[1])[y]) / len(y)
)


_take_over(fix_network_5, cross_entropy_grad, planted="no-shift")

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
