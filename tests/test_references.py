"""The reference of every exercise against what it claims to be.

A gradient is validated in three ways that share nothing: the complex step (Squire & Trapp 1998), PyTorch's autograd,
and the remainder of the Taylor series, which falls as h² if the gradient is right and as h if it isn't. A function is
compared with PyTorch's. For the others there is a statement that does not speak of how they are computed.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
import sympy
import torch
from scipy.optimize import brentq

from autograder.exercises import EXERCISES
from test_against_frameworks import PAIRS, C, D, F, N, T, X, close, sgd_epochs, t, torch_mlp_loss, torch_pullback, y

# Gradients


@dataclass
class Gradient:
    """What an exercise's reference is the vector-Jacobian product of.

    Attributes
    ----------
    function : of the inputs, in NumPy; it takes complex arrays. Where it looks at a sign or a maximum, it looks
        at that of the real part: away from kinks that makes no difference, and the complex step needs no dual numbers.
    in_torch : the same in PyTorch.
    shapes : of the inputs.
    backward : from the reference, the upstream gradient and the inputs, one gradient for each input.
    linear : True if the function is linear, at least near the inputs: the Taylor remainder is rounding then.
    """

    function: Callable
    in_torch: Callable
    shapes: list[tuple[int, ...]]
    backward: Callable
    linear: bool = False


def relu(Z):
    return np.where(Z.real > 0, Z, 0)


def softmax(Z):
    E = np.exp(Z - Z.real.max(axis=-1, keepdims=True))
    return E / E.sum(axis=-1, keepdims=True)


def log_likelihood(Z, targets):
    return np.sum(targets * np.log(softmax(Z)))


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def network(*flat):
    """The loss of a network with weights and biases W, b, W, b, … on X and y."""
    A = X
    for W, b in zip(flat[:-2:2], flat[1:-2:2], strict=True):
        A = relu(A @ W + b)
    return -log_likelihood(A @ flat[-2] + flat[-1], np.eye(C)[y]) / N


def network_in_torch(*flat):
    return torch_mlp_loss(torch.tensor(X), torch.tensor(y), *flat)


def two_layer_backward(f, G, *flat):
    names = ("W1", "b1", "W2", "b2")
    grads = f(dict(zip(names, flat, strict=True)), X, y)
    return [G * grads[name] for name in names]


def pairs(flat):
    return list(zip(flat[::2], flat[1::2], strict=True))


def mlp_backward(f, G, *flat):
    return [G * g for pair in f(pairs(flat), X, y) for g in pair]


def step_backward(f, G, *flat):
    """From one step of gradient descent, the gradients that it took."""
    lr = 0.5
    return [
        G * (p - q) / lr
        for old, new in zip(pairs(flat), f(pairs(flat), X, y, lr), strict=True)
        for p, q in zip(old, new, strict=True)
    ]


EPS = 1e-2
MASK = np.random.default_rng(6).random((N, D)) > 0.3
TWO_LAYERS = [(D, 4), (4,), (4, C), (C,)]
THREE_LAYERS = [(D, 4), (4,), (4, 3), (3,), (3, C), (C,)]


def batchnorm(X, gamma, beta):
    centred = X - X.mean(axis=0)
    return gamma * centred / np.sqrt((centred**2).mean(axis=0) + EPS) + beta


def batchnorm_backward(f, G, X, gamma, beta):
    return f(G, EXERCISES["batchnorm_forward"].reference(X, gamma, beta, EPS)[1])


CROSS_ENTROPY = Gradient(
    lambda Z: -log_likelihood(Z, np.eye(C)[y]) / N,
    PAIRS["cross_entropy"].in_torch,
    [(N, C)],
    lambda f, G, Z: [G * f(Z, y)],
)
BATCHNORM = Gradient(
    batchnorm,
    lambda X, gamma, beta: F.batch_norm(X, None, None, gamma, beta, training=True, eps=EPS),
    [(N, D), (D,), (D,)],
    batchnorm_backward,
)
UNBROADCAST = Gradient(
    lambda a: np.broadcast_to(a, (2, 3, 5)),
    lambda a: a.broadcast_to(2, 3, 5),
    [(3, 1)],
    lambda f, G, a: [f(G, a.shape)],
    linear=True,
)
LINEAR_MSE = Gradient(
    lambda w, b: ((X @ w + b - t) ** 2).mean(),
    PAIRS["linear_mse"].in_torch,
    [(D,), ()],
    lambda f, G, w, b: [G * g for g in f(X, t, w, float(b))],
)
TWO_LAYER = Gradient(network, network_in_torch, TWO_LAYERS, two_layer_backward)
GRADIENTS = {
    "mse_grad": Gradient(
        lambda Y_hat: ((Y_hat - T) ** 2).mean(),
        PAIRS["mse"].in_torch,
        [(N, C)],
        lambda f, G, Y_hat: [G * f(Y_hat, T)],
    ),
    "linear_mse_grads": LINEAR_MSE,
    "fix_linear_mse_grads": LINEAR_MSE,
    "softmax_jacobian": Gradient(softmax, lambda z: z.softmax(-1), [(C,)], lambda f, G, z: [G @ f(softmax(z))]),
    "cross_entropy_grad": CROSS_ENTROPY,
    "fix_cross_entropy_grad": CROSS_ENTROPY,
    "fix_network_5": CROSS_ENTROPY,
    "soft_cross_entropy_grad": Gradient(
        lambda Z: -log_likelihood(Z, T) / N,
        PAIRS["soft_cross_entropy"].in_torch,
        [(N, C)],
        lambda f, G, Z: [G * f(Z, T)],
    ),
    "bce_with_logits_grad": Gradient(
        lambda z: -(t * np.log(sigmoid(z)) + (1 - t) * np.log(sigmoid(-z))).mean(),
        PAIRS["bce_with_logits"].in_torch,
        [(N,)],
        lambda f, G, z: [G * f(z, t)],
    ),
    "linear_backward": Gradient(
        lambda X, W, b: X @ W + b,
        PAIRS["linear"].in_torch,
        PAIRS["linear"].shapes,
        lambda f, G, X, W, b: f(G, X, W),
    ),
    "relu_backward": Gradient(relu, torch.relu, [(N, D)], lambda f, G, Z: [f(G, Z)], linear=True),
    "sigmoid_backward": Gradient(sigmoid, torch.sigmoid, [(N, D)], lambda f, G, Z: [f(G, sigmoid(Z))]),
    "tanh_backward": Gradient(np.tanh, torch.tanh, [(N, D)], lambda f, G, Z: [f(G, np.tanh(Z))]),
    "softmax_backward": Gradient(softmax, lambda Z: Z.softmax(-1), [(N, C)], lambda f, G, Z: [f(G, softmax(Z))]),
    "unbroadcast": UNBROADCAST,
    "fix_unbroadcast": UNBROADCAST,
    "matmul_backward": Gradient(np.matmul, torch.matmul, [(2, 1, 3, 5), (7, 5, 2)], lambda f, G, A, B: f(G, A, B)),
    "two_layer_grads": TWO_LAYER,
    "fix_network_1": TWO_LAYER,
    "fix_network_2": TWO_LAYER,
    "mlp_grads": Gradient(network, network_in_torch, THREE_LAYERS, mlp_backward),
    "fix_network_4": Gradient(network, network_in_torch, THREE_LAYERS, step_backward),
    "batchnorm_backward": BATCHNORM,
    "fix_batchnorm_backward": BATCHNORM,
    "dropout_backward": Gradient(
        lambda X: X * MASK / (1 - 0.3),
        lambda X: torch.where(torch.tensor(MASK), X / (1 - 0.3), 0.0),
        [(N, D)],
        lambda f, G, X: [f(G, MASK, 0.3)],
        linear=True,
    ),
    "l2_grad": Gradient(
        lambda W: np.sum(np.sin(W)) + 0.7 * np.sum(W**2),
        lambda W: W.sin().sum() + 0.7 * W.norm() ** 2,
        [(D, C)],
        lambda f, G, W: [G * f(W, np.cos(W), 0.7)],
    ),
}
RESIDUAL_WS = list(0.5 * np.random.default_rng(8).standard_normal((3, D, D)))


def residual(tanh, product):
    def forward(h):
        for W in RESIDUAL_WS:
            h = h + tanh(product(h, W))
        return h

    return forward


GRADIENTS |= {  # the bug clinic's
    "fix_mse_sign": Gradient(
        lambda theta: ((X @ theta - t) ** 2).mean(),
        lambda theta: ((torch.tensor(X) @ theta - torch.tensor(t)) ** 2).mean(),
        [(D,)],
        lambda f, G, theta: [G * f(theta, X, t)],
    ),
    "fix_theta_slope": Gradient(
        lambda theta: -log_likelihood(X[0] @ theta, T[0]),
        lambda theta: -(torch.tensor(T[0]) * (torch.tensor(X[0]) @ theta).log_softmax(-1)).sum(),
        [(D, C)],
        lambda f, G, theta: [G * f(T[0], X[0], theta)],
    ),
    "fix_residual_backward": Gradient(
        residual(np.tanh, np.matmul),
        residual(torch.tanh, lambda h, W: h @ torch.tensor(W)),
        [(N, D)],
        lambda f, G, A: [f(G, A, RESIDUAL_WS)],
    ),
}
HERE = {name: gradient for name, gradient in GRADIENTS.items() if name in EXERCISES}


def drawn(name, seed=0):
    """Inputs, an upstream gradient, and the gradients that the reference gives for them."""
    gradient, rng = HERE[name], np.random.default_rng(seed)
    inputs = [rng.standard_normal(shape) for shape in gradient.shapes]
    G = rng.standard_normal(np.shape(gradient.function(*inputs)))
    grads = [np.asarray(g) for g in gradient.backward(EXERCISES[name].reference, G, *inputs)]
    assert [g.shape for g in grads] == [x.shape for x in inputs]
    return gradient, inputs, G, grads


@pytest.mark.parametrize("name", HERE)
def test_gradient_by_complex_step(name):
    gradient, inputs, G, grads = drawn(name)
    for i, grad in enumerate(grads):
        expected = np.empty(inputs[i].shape)
        for index in np.ndindex(expected.shape):
            nudged = [x.astype(complex) for x in inputs]
            nudged[i][index] += 1e-30j
            expected[index] = np.sum(G * gradient.function(*nudged)).imag / 1e-30
        np.testing.assert_allclose(grad, expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", HERE)
def test_gradient_by_autograd(name):
    gradient, inputs, G, grads = drawn(name)
    value, expected = torch_pullback(gradient.in_torch, inputs, G)
    close(gradient.function(*inputs), value)
    for ours, theirs in zip(grads, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-13)


def remainders(gradient, inputs, G, grads, steps):
    """How far the function is from its tangent, at several distances along one random direction."""
    rng = np.random.default_rng(9)
    direction = [rng.standard_normal(x.shape) for x in inputs]
    slope = sum(np.vdot(v, grad) for v, grad in zip(direction, grads, strict=True))
    start = np.sum(G * gradient.function(*inputs))
    moved = [np.sum(G * gradient.function(*(x + h * v for x, v in zip(inputs, direction, strict=True)))) for h in steps]
    return np.abs(np.array(moved) - start - steps * slope)


STEPS = np.logspace(-2.5, -4, 7)


@pytest.mark.parametrize("name", HERE)
def test_gradient_by_the_taylor_remainder(name):
    gradient, inputs, G, grads = drawn(name)
    R = remainders(gradient, inputs, G, grads, STEPS)
    if gradient.linear:
        assert R.max() < 1e-12
    else:
        assert np.polyfit(np.log(STEPS), np.log(R), 1)[0] == pytest.approx(2.0, abs=0.05)


@pytest.mark.parametrize("name", HERE)
def test_the_three_ways_find_an_entry_that_is_off_by_a_hundredth(name):
    gradient, inputs, G, grads = drawn(name)
    grads[0] = grads[0].copy()
    worst = np.argmax(np.abs(grads[0]))
    grads[0].flat[worst] *= 1.01
    _, expected = torch_pullback(gradient.in_torch, inputs, G)
    assert not np.allclose(grads[0], expected[0], rtol=1e-12, atol=1e-13)
    steps = np.logspace(-4, -6, 5)  # near enough for the wrong slope to outweigh the curve
    R = remainders(gradient, inputs, G, grads, steps)
    assert np.polyfit(np.log(steps), np.log(R), 1)[0] < 1.5


# Functions


FUNCTIONS = {  # exercise -> arguments, and what PyTorch gives for them
    "mse": ((X, 2 * X[::-1]), lambda A, B: F.mse_loss(A, B)),
    "log_softmax": ((30 * X,), lambda Z: Z.log_softmax(-1)),
    "cross_entropy": ((30 * X[:, :C], y), F.cross_entropy),
    "bce_with_logits": ((30 * X[:, 0], t), F.binary_cross_entropy_with_logits),
    "batchnorm_forward": (
        (X, X[0], X[1], EPS),
        lambda X, gamma, beta, eps: F.batch_norm(X, None, None, gamma, beta, training=True, eps=eps.item()),
    ),
}


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name in EXERCISES])
def test_function_is_pytorchs(name):
    args, in_torch = FUNCTIONS[name]
    ours = EXERCISES[name].reference(*args)
    close(ours[0] if isinstance(ours, tuple) else ours, in_torch(*(torch.tensor(a) for a in args)))


# Statements about the others

STATEMENTS: dict[str, Callable] = {}


def states(*names):
    """Register a statement about the reference of some exercises: a function of the reference."""

    def register(statement):
        STATEMENTS.update(dict.fromkeys(names, statement))
        return statement

    return register


@states("two_layer_loss")
def _(f):
    rng = np.random.default_rng(1)
    flat = [rng.standard_normal(shape) for shape in TWO_LAYERS]
    close(f(dict(zip(("W1", "b1", "W2", "b2"), flat, strict=True)), X, y), network_in_torch(*map(torch.tensor, flat)))


@states("gradient_descent")
def _(f):
    """On a bowl every step shrinks the distance to the centre by the same matrix."""
    rng = np.random.default_rng(2)
    A = rng.standard_normal((3, 3))
    H, centre, start, lr, tol = np.eye(3) + A.T @ A, rng.standard_normal(3), rng.standard_normal(3), 0.05, 1e-4
    theta, steps = f(lambda theta: H @ (theta - centre), start, lr, tol, 10_000)
    values, vectors = np.linalg.eigh(H)

    def distance(k):
        return vectors @ ((1 - lr * values) ** k * (vectors.T @ (start - centre)))

    np.testing.assert_allclose(theta, centre + distance(steps), rtol=1e-10)
    assert np.linalg.norm(H @ distance(steps)) <= tol < np.linalg.norm(H @ distance(steps - 1))


@states("max_learning_rate")
def _(f):
    """At this rate, and at no other, the error neither dies out nor explodes."""
    for data in (X, X.T, 3 * X[:, :1], X[:1]):
        hessian = 2 / len(data) * data.T @ data
        factors = np.linalg.eigvalsh(np.eye(data.shape[1]) - f(data) * hessian)
        assert factors.min() == pytest.approx(-1, abs=1e-12)
        assert factors.max() <= 1 + 1e-12


@states("train_epoch", "fix_network_3")
def _(f):
    """PyTorch's SGD over the batches of the same permutation."""
    rng = np.random.default_rng(3)
    params = pairs([rng.standard_normal(shape) for shape in THREE_LAYERS])
    order = np.random.default_rng(4).permutation(N)
    batches = [order[i : i + 3] for i in range(0, N, 3)]
    expected, _ = sgd_epochs(params, X, y, 0.1, batches)
    for ours, theirs in zip(itertools.chain(*f(params, X, y, 0.1, 3, np.random.default_rng(4))), expected, strict=True):
        close(ours, theirs)


def optimizer_states(name, optimizer, arguments, state):
    """The trajectory over ten steps is that of ``torch.optim``; ``arguments`` gives those after w, g and the state."""

    @states(name)
    def _(f):
        rng = np.random.default_rng(5)
        w = rng.standard_normal((3, 2))
        memory = [np.zeros((3, 2)) for _ in range(state)]
        leaf = torch.tensor(w, requires_grad=True)
        theirs = optimizer([leaf])
        for step in range(1, 11):
            g = rng.standard_normal((3, 2))
            leaf.grad = torch.tensor(g)
            theirs.step()
            w, *memory = f(w, g, *memory, *arguments(step))
            close(w, leaf.detach().numpy())


optim = torch.optim
optimizer_states("momentum_step", lambda p: optim.SGD(p, 0.1, momentum=0.8), lambda step: (0.1, 0.8), 1)
optimizer_states("rmsprop_step", lambda p: optim.RMSprop(p, 0.1, 0.9, 1e-3), lambda step: (0.1, 0.9, 1e-3), 1)
optimizer_states("adagrad_step", lambda p: optim.Adagrad(p, 0.1, eps=1e-3), lambda step: (0.1, 1e-3), 1)
for adam in ("adam_step", "fix_adam_step"):
    optimizer_states(adam, lambda p: optim.Adam(p, 0.1, (0.8, 0.9), 1e-3), lambda step: (step, 0.1, 0.8, 0.9, 1e-3), 2)
optimizer_states(
    "adamw_step",
    lambda p: optim.AdamW(p, 0.1, (0.8, 0.9), 1e-3, weight_decay=0.05),
    lambda step: (step, 0.1, 0.8, 0.9, 1e-3, 0.05),
    2,
)


@states("cosine_schedule")
def _(f):
    """PyTorch's cosine annealing after a straight line from 0."""
    total, warmup, peak = 23, 5, 0.3
    optimizer = optim.SGD([torch.zeros(1, requires_grad=True)], peak)
    annealing = optim.lr_scheduler.CosineAnnealingLR(optimizer, total - warmup)
    close([f(step, total, warmup, peak) for step in range(warmup)], np.linspace(0, peak, warmup, endpoint=False))
    for step in range(warmup, total + 1):
        assert f(step, total, warmup, peak) == pytest.approx(annealing.get_last_lr()[0], abs=1e-12)
        optimizer.step()
        annealing.step()


@states("he_init")
def _(f):
    """Normal, variance 2/fan-in; and what it is for: the mean square survives a layer with a ReLU."""
    W = f(400, 500, np.random.default_rng(6))
    assert W.shape == (400, 500)
    standard = W / math.sqrt(2 / 400)
    assert [np.mean(standard**k) for k in (1, 2, 3, 4)] == pytest.approx([0, 1, 0, 3], abs=0.05)
    A = np.maximum(np.random.default_rng(7).standard_normal((2000, 400)), 0)
    assert np.mean((A @ W) ** 2) == pytest.approx(2 * np.mean(A**2), rel=0.05)


@states("clip_by_global_norm")
def _(f):
    """PyTorch's, but for the 1e-6 that it adds to the norm."""
    arrays = [X, 3 * X[0], np.array(0.5)]
    for most in (0.7, 1e3):
        leaves = [torch.zeros(a.shape, dtype=torch.float64, requires_grad=True) for a in arrays]
        for leaf, a in zip(leaves, arrays, strict=True):
            leaf.grad = torch.tensor(a)
        expected = torch.nn.utils.clip_grad_norm_(leaves, most).item()
        clipped, norm = f(arrays, most)
        assert norm == pytest.approx(expected, rel=1e-12)
        for ours, leaf in zip(clipped, leaves, strict=True):
            np.testing.assert_allclose(ours, leaf.grad.numpy(), rtol=1e-6)


@states("dropout_forward")
def _(f):
    """Each entry is 0 or divided by the probability to be kept, which is 1 − p; so the mean stays."""
    A, p = np.full((300, 400), 2.0), 0.3
    Y, mask = f(A, p, np.random.default_rng(8))
    np.testing.assert_array_equal(Y != 0, mask)
    np.testing.assert_allclose(Y[Y != 0], 2 / 0.7, rtol=1e-12)
    assert np.mean(mask) == pytest.approx(0.7, abs=0.01)


@states("early_stop")
def _(f):
    """By trying every epoch: training ends when the best is ``patience`` epochs old."""
    rng = np.random.default_rng(9)
    for _ in range(200):
        losses, patience = list(rng.integers(0, 6, rng.integers(1, 12)) / 2), int(rng.integers(1, 5))
        ends = [e for e in range(len(losses)) if e - losses.index(min(losses[: e + 1])) >= patience]
        seen = losses[: ends[0] + 1] if ends else losses
        assert f(losses, patience) == losses.index(min(seen))


def random_graph(rng, size):
    nodes = []
    for _ in range(size):
        parents = tuple(nodes[i] for i in rng.integers(0, len(nodes), rng.integers(0, 3))) if nodes else ()
        slopes = tuple(map(float, rng.standard_normal(len(parents))))
        nodes.append(SimpleNamespace(parents=parents, local_grads=slopes, grad=0.0))
    return nodes


def ancestors(node):
    found = {id(node): node}
    for parent in node.parents:
        found |= ancestors(parent)
    return found


@states("topological_order")
def _(f):
    for seed in range(20):
        root = random_graph(np.random.default_rng(seed), 12)[-1]
        place = {id(node): i for i, node in enumerate(f(root))}
        assert place.keys() == ancestors(root).keys()
        assert len(f(root)) == len(place)
        for node in f(root):
            assert all(place[id(parent)] < place[id(node)] for parent in node.parents)


@states("backward", "fix_backward")
def _(f):
    """The gradient of a node is the sum over all paths to it of the products of their slopes; calls add up."""

    def paths(node, target):
        if node is target:
            return 1.0
        return sum(slope * paths(p, target) for p, slope in zip(node.parents, node.local_grads, strict=True))

    for seed in range(20):
        nodes = random_graph(np.random.default_rng(seed), 12)
        for calls in (1, 2):
            f(nodes[-1])
            for node in nodes:
                assert node.grad == pytest.approx(calls * paths(nodes[-1], node), abs=1e-12)


@states("local_grads")
def _(f):
    operations = {
        "add": (torch.add, [0.7, -1.3]),
        "mul": (torch.mul, [0.7, -1.3]),
        "pow": (torch.pow, [0.7, -1.3]),
        "exp": (torch.exp, [-1.3]),
        "log": (torch.log, [0.7]),
        "tanh": (torch.tanh, [-1.3]),
        "relu": (torch.relu, [0.7]),
    }
    for op, (in_torch, values) in [*operations.items(), ("relu", (torch.relu, [-1.3]))]:
        _, expected = torch_pullback(in_torch, values)
        close(f(op, *values), expected)


def wavy(A):
    return float(np.sum(np.sin(A) * np.exp(A / 2)))


def wavy_grad(A):
    return np.cos(A) * np.exp(A / 2) + np.sin(A) * np.exp(A / 2) / 2


@states("central_difference")
def _(f):
    """Exact for parabolas; otherwise the error falls as h²."""
    np.testing.assert_allclose(f(lambda A: float(np.sum(A**2)), X, 0.1), 2 * X, rtol=1e-10, atol=1e-12)
    errors = [np.abs(f(wavy, X, h) - wavy_grad(X)).max() for h in (1e-1, 1e-2, 1e-3)]
    assert np.diff(np.log10(errors)) == pytest.approx([-2, -2], abs=0.05)


@states("complex_step")
def _(f):
    np.testing.assert_allclose(f(lambda A: np.sum(np.sin(A) * np.exp(A / 2)), X), wavy_grad(X), rtol=1e-13)


@states("gradcheck", "fix_gradcheck")
def _(f):
    assert f(wavy, wavy_grad, X)
    for wrong in (lambda A: 1.001 * wavy_grad(A), lambda A: -wavy_grad(A), np.zeros_like, np.sin):
        assert not f(wavy, wrong, X)


@states("fix_cross_entropy_slopes")
def _(f):
    """Both by the complex step: the slope of H in q, whose entries are free, and the one in z."""
    p, z, h = T[0], X[0, :C], 1e-20
    q, steps = softmax(z), 1j * h * np.eye(C)
    dq, dz = f(p, z)
    np.testing.assert_allclose(dq, [-(p * np.log(q + step)).sum().imag / h for step in steps], rtol=1e-12)
    np.testing.assert_allclose(dz, [-log_likelihood(z + step, p).imag / h for step in steps], rtol=1e-12)


@states("fix_derivative")
def _(f):
    """The slope of x ↦ tanh(x) eˣ + xˣ, by hand; and the function is called once."""
    calls = []

    def g(x):
        calls.append(x)
        return x.tanh() * x.exp() + x**x

    for x in (0.3, 1.7):
        by_hand = math.exp(x) * (1 - math.tanh(x) ** 2 + math.tanh(x)) + x**x * (math.log(x) + 1)
        assert f(g, x) == pytest.approx(by_hand, rel=1e-12)
    assert len(calls) == 2


@states("to_keras")
def _(f):
    pairs = [(X, X[0]), (X.T, X[:, 0])]
    flat = f(pairs)
    assert [a.shape for a in flat] == [(N, D), (D,), (D, N), (N,)]
    assert all(np.array_equal(a, b) for a, b in zip(flat, [a for pair in pairs for a in pair], strict=True))


@states("median_seconds")
def _(f):
    """The median of the times between an idle device and the next idle device, warm-up left out."""
    took, events = iter([90.0, 5.0, 1.0, 100.0, 3.0, 2.0]), []
    time = SimpleNamespace(now=0.0, pending=0.0)

    def run():
        time.pending = next(took)
        events.append("run")

    def synchronize():
        time.now, time.pending = time.now + time.pending, 0.0

    assert f(run, synchronize, lambda: time.now, 1, 5) == 3.0
    assert events == ["run"] * 6


@states("scaled_step")
def _(f):
    """As PyTorch's scaler: the same scales, skipped steps and gradients, over many overflows and good steps."""
    rng, scale, good = np.random.default_rng(4), 1024.0, 0
    w = torch.zeros(3, requires_grad=True)
    scaler = torch.amp.GradScaler("cpu", init_scale=scale, growth_interval=3)
    scaler.scale(torch.zeros(()))  # it begins with its first loss
    optimizer = optim.SGD([w], lr=1.0)
    skipped = 0
    for _ in range(60):
        g = rng.standard_normal(3).astype(np.float32) * scale
        if rng.random() < 0.25:
            g[1] = rng.choice([np.inf, -np.inf, np.nan])
        before, w.grad = w.detach().clone(), torch.tensor(g)
        scaler.step(optimizer)
        scaler.update()
        grads, scale, good = f({"w": g}, scale, good, 3)
        skipped += grads is None
        moved = np.zeros(3) if grads is None else -grads["w"]
        np.testing.assert_allclose((w.detach() - before).numpy(), moved, rtol=1e-5, atol=1e-5)
        assert scale == scaler.get_scale()
    assert 5 < skipped < 30


@pytest.mark.parametrize("name", [name for name in STATEMENTS if name in EXERCISES])
def test_statement_holds(name):
    STATEMENTS[name](EXERCISES[name].reference)


# Derivations: the expression at random numbers, against PyTorch's autograd of the loss


def slope(f, value):
    return torch_pullback(f, [value])[1][0]


def softmax_ce_slope(p, k):
    return slope(lambda z: -z.log_softmax(-1)[k], np.log(p))


def adam_first_step(g, lr, eps):
    w = torch.zeros((), dtype=torch.float64, requires_grad=True)
    w.grad = torch.tensor(g, dtype=torch.float64)
    optim.Adam([w], float(lr), eps=float(eps)).step()
    return w.item()


def batchnorm_slope(x_hat, s, j):
    """From a column with this standard deviation (of which the eps is what is missing in the mean square)."""
    x = torch.tensor(s * x_hat, requires_grad=True)
    eps = s**2 - float(np.mean((s * x_hat) ** 2))
    y = (x - x.mean()) / torch.sqrt(x.var(unbiased=False) + eps)
    return [float(torch.autograd.grad(a, x, retain_graph=True)[0][j]) for a in y]


DERIVATIONS = {  # exercise -> the slope, from numbers in place of the symbols
    "mse_slope": lambda y_hat, y: slope(lambda a: (a - y) ** 2, y_hat),
    "softmax_ce_slope": softmax_ce_slope,
    "batchnorm_slope": batchnorm_slope,
    "best_step": lambda eps, M: brentq(lambda h: slope(lambda x: eps / x + M * x**2 / 6, h), 1e-3, 10, rtol=1e-14),
    "fan_out_slope": lambda a, b: slope(lambda x: x * (x * b).exp(), a),
    "adam_first_step": adam_first_step,
    "sigmoid_slope": lambda a: slope(torch.sigmoid, math.log(a / (1 - a))),
    "tiny_network_slope": lambda x, y, w1, w2: slope(lambda w: (w2 * torch.tanh(w * x) - y) ** 2, w1),
}


@pytest.mark.parametrize("name", [name for name in DERIVATIONS if name in EXERCISES])
def test_derivation_by_autograd(name):
    rng = np.random.default_rng(3)
    for _, args in EXERCISES[name].make_cases():
        numbers = {}
        for arg in args:
            if isinstance(arg, tuple):  # probabilities, or a column whose last entry makes its mean 0
                free = [entry for entry in arg if isinstance(entry, sympy.Symbol)]
                numbers |= dict(zip(free, rng.dirichlet(np.ones(len(free))), strict=True))
            elif isinstance(arg, sympy.Symbol):
                numbers[arg] = rng.uniform(0.1, 0.9)
        expected = EXERCISES[name].expected(*args)
        entries = expected if isinstance(expected, list) else [expected]
        ours = [float(entry.subs(numbers)) for entry in entries]
        values = [
            np.array([float(entry.subs(numbers)) for entry in arg]) if isinstance(arg, tuple) else numbers.get(arg, arg)
            for arg in args
        ]
        np.testing.assert_allclose(ours, np.ravel(DERIVATIONS[name](*values)), rtol=1e-12)


def test_every_exercise_is_in_one_of_the_tables():
    tables = (GRADIENTS, FUNCTIONS, STATEMENTS, DERIVATIONS)
    for name, exercise in EXERCISES.items():
        needs_a_framework = bool(getattr(exercise, "answers", ""))  # those are in test_custom_parts.py
        assert sum(name in table for table in tables) == 1 - needs_a_framework, name
