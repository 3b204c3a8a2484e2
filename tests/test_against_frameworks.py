"""Every function of ``backprop`` against PyTorch and TensorFlow, in float64: values and gradients to 1e-10."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import mutually_broadcastable_shapes

import backprop
from backprop import MLP, SGD, Tensor, minibatches
from backprop.network import mlp_loss_and_grads

N, D, C = 7, 5, 3  # distinct primes: a wrong axis or a wrong factor shows
X = np.random.default_rng(4).standard_normal((N, D))
y = np.array([0, 2, 1, 1, 0, 2, 2])
T = np.random.default_rng(5).dirichlet(np.ones(C), size=N)
t = np.array([0, 1, 1, 0, 0.5, 0.2, 1])

seeds = st.integers(0, 2**32 - 1)
sizes = st.integers(1, 6)


def close(ours, theirs):
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-10)


def torch_pullback(f: Callable, inputs, upstream=None):
    leaves = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in inputs]
    value = f(*leaves)
    grads = torch.autograd.grad(value, leaves, None if upstream is None else torch.tensor(upstream))
    return value.detach().numpy(), [g.numpy() for g in grads]


def tf_pullback(f: Callable, inputs, upstream=None):
    leaves = [tf.Variable(x, dtype=tf.float64) for x in inputs]
    with tf.GradientTape() as tape:
        value = f(*leaves)
    grads = tape.gradient(value, leaves, None if upstream is None else tf.constant(upstream))
    return value.numpy(), [g.numpy() for g in grads]


@dataclass
class Pair:
    """A function with its backward pass, and what PyTorch and TensorFlow call it.

    ``backward(G, *inputs)`` gives one gradient for each input, ``G`` being the upstream gradient.
    """

    forward: Callable
    backward: Callable
    in_torch: Callable
    in_tf: Callable
    shapes: list[tuple[int, ...]]


def softmax_jacobian_rows(G, Z):
    return [np.stack([backprop.softmax_jacobian(p).T @ g for g, p in zip(G, backprop.softmax(Z), strict=True)])]


F, nn = torch.nn.functional, tf.nn
PAIRS = {
    "mse": Pair(
        lambda Y_hat: backprop.mse(Y_hat, T),
        lambda G, Y_hat: [G * backprop.mse_grad(Y_hat, T)],
        lambda Y_hat: F.mse_loss(Y_hat, torch.tensor(T)),
        lambda Y_hat: tf.reduce_mean(tf.math.squared_difference(Y_hat, T)),
        [(N, C)],
    ),
    "logsumexp": Pair(
        backprop.logsumexp,
        lambda G, Z: [G * backprop.softmax(Z)],
        lambda Z: Z.logsumexp(-1, keepdim=True),
        lambda Z: tf.reduce_logsumexp(Z, -1, keepdims=True),
        [(N, C)],
    ),
    "log_softmax": Pair(
        backprop.log_softmax,
        lambda G, Z: [G - backprop.softmax(Z) * G.sum(axis=-1, keepdims=True)],
        lambda Z: Z.log_softmax(-1),
        nn.log_softmax,
        [(N, C)],
    ),
    "softmax": Pair(
        backprop.softmax,
        lambda G, Z: [backprop.softmax_backward(G, backprop.softmax(Z))],
        lambda Z: Z.softmax(-1),
        nn.softmax,
        [(N, C)],
    ),
    "softmax_jacobian": Pair(backprop.softmax, softmax_jacobian_rows, lambda Z: Z.softmax(-1), nn.softmax, [(N, C)]),
    "cross_entropy": Pair(
        lambda Z: backprop.cross_entropy(Z, y),
        lambda G, Z: [G * backprop.cross_entropy_grad(Z, y)],
        lambda Z: F.cross_entropy(Z, torch.tensor(y)),
        lambda Z: tf.reduce_mean(nn.sparse_softmax_cross_entropy_with_logits(y, Z)),
        [(N, C)],
    ),
    "soft_cross_entropy": Pair(
        lambda Z: backprop.soft_cross_entropy(Z, T),
        lambda G, Z: [G * backprop.soft_cross_entropy_grad(Z, T)],
        lambda Z: F.cross_entropy(Z, torch.tensor(T)),
        lambda Z: tf.reduce_mean(nn.softmax_cross_entropy_with_logits(T, Z)),
        [(N, C)],
    ),
    "bce_with_logits": Pair(
        lambda z: backprop.bce_with_logits(z, t),
        lambda G, z: [G * backprop.bce_with_logits_grad(z, t)],
        lambda z: F.binary_cross_entropy_with_logits(z, torch.tensor(t)),
        lambda z: tf.reduce_mean(nn.sigmoid_cross_entropy_with_logits(t, z)),
        [(N,)],
    ),
    "sigmoid": Pair(
        backprop.sigmoid,
        lambda G, Z: [backprop.sigmoid_backward(G, backprop.sigmoid(Z))],
        torch.sigmoid,
        tf.sigmoid,
        [(N, D)],
    ),
    "tanh": Pair(np.tanh, lambda G, Z: [backprop.tanh_backward(G, np.tanh(Z))], torch.tanh, tf.tanh, [(N, D)]),
    "relu": Pair(backprop.relu, lambda G, Z: [backprop.relu_backward(G, Z)], torch.relu, nn.relu, [(N, D)]),
    "linear": Pair(
        backprop.linear,
        lambda G, X, W, b: backprop.linear_backward(G, X, W),
        lambda X, W, b: F.linear(X, W.T, b),
        lambda X, W, b: X @ W + b,
        [(N, D), (D, C), (C,)],
    ),
    "linear_mse": Pair(
        lambda w, b: backprop.mse(X @ w + b, t),
        lambda G, w, b: [G * g for g in backprop.linear_mse_grads(X, t, w, b)],
        lambda w, b: F.mse_loss(torch.tensor(X) @ w + b, torch.tensor(t)),
        lambda w, b: tf.reduce_mean((tf.linalg.matvec(X, w) + b - t) ** 2),
        [(D,), ()],
    ),
}


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("scale", [1, 30])
def test_value_and_gradients_agree(name, scale):
    pair, rng = PAIRS[name], np.random.default_rng(0)
    inputs = [scale * rng.standard_normal(shape) for shape in pair.shapes]
    value = pair.forward(*inputs)
    upstream = rng.standard_normal(np.shape(value))
    for theirs, grads in (
        torch_pullback(pair.in_torch, inputs, upstream),
        tf_pullback(pair.in_tf, inputs, upstream),
    ):
        close(value, theirs)
        for ours, grad in zip(pair.backward(upstream, *inputs), grads, strict=True):
            close(ours, grad)


@given(mutually_broadcastable_shapes(signature="(n,k),(k,m)->(n,m)", max_dims=2, max_side=3), seeds)
def test_matmul_backward_agrees_for_any_batch_shapes(shapes, seed):
    rng = np.random.default_rng(seed)
    A, B = (rng.standard_normal(shape) for shape in shapes.input_shapes)
    dY = rng.standard_normal(shapes.result_shape)
    ours = backprop.matmul_backward(dY, A, B)
    for pullback, matmul in ((torch_pullback, torch.matmul), (tf_pullback, tf.matmul)):
        value, grads = pullback(matmul, (A, B), dY)
        close(A @ B, value)
        for grad, expected in zip(ours, grads, strict=True):
            close(grad, expected)


@given(st.integers(1, 9), st.integers(1, 7), st.sampled_from([1.0, 30.0, 1e4]), seeds)
def test_loss_and_gradient_at_once_agree_with_pytorch(N, C, scale, seed):
    rng = np.random.default_rng(seed)
    Z, y = scale * rng.standard_normal((N, C)), rng.integers(0, C, N)
    before = Z.copy()
    loss, dZ = backprop.cross_entropy_and_grad(Z, y)
    leaf = torch.tensor(Z, requires_grad=True)
    theirs = torch.nn.functional.cross_entropy(leaf, torch.tensor(y))
    theirs.backward()
    close(loss, theirs.detach().numpy())
    close(dZ, leaf.grad.numpy())
    np.testing.assert_array_equal(Z, before)


@given(mutually_broadcastable_shapes(num_shapes=2, max_dims=4, max_side=3), seeds)
def test_unbroadcast_agrees_for_any_shapes(shapes, seed):
    rng = np.random.default_rng(seed)
    inputs = [rng.standard_normal(shape) for shape in shapes.input_shapes]
    G = rng.standard_normal(shapes.result_shape)
    for pullback in (torch_pullback, tf_pullback):
        _, grads = pullback(lambda a, b: a + b, inputs, G)
        for x, grad in zip(inputs, grads, strict=True):
            close(backprop.unbroadcast(G, x.shape), grad)


def mlp_loss(activation, matmul_loss):
    """The network's loss in a framework, of its parameters as one flat list W, b, W, b, …"""

    def loss(X, y, *flat):
        A = X
        for i in range(0, len(flat) - 2, 2):
            A = activation(A @ flat[i] + flat[i + 1])
        return matmul_loss(A @ flat[-2] + flat[-1], y)

    return loss


torch_mlp_loss = mlp_loss(torch.relu, F.cross_entropy)
tf_mlp_loss = mlp_loss(nn.relu, lambda Z, y: tf.reduce_mean(nn.sparse_softmax_cross_entropy_with_logits(y, Z)))


def random_network(rng, layer_sizes):
    params = [(rng.standard_normal((d, m)), rng.standard_normal(m)) for d, m in pairwise(layer_sizes)]
    n = int(rng.integers(1, 9))
    return params, rng.standard_normal((n, layer_sizes[0])), rng.integers(0, layer_sizes[-1], n)


@given(st.lists(sizes, min_size=2, max_size=6), seeds)
def test_gradients_of_any_network_agree(layer_sizes, seed):
    params, X, y = random_network(np.random.default_rng(seed), layer_sizes)
    loss, grads = mlp_loss_and_grads(params, X, y)
    for pullback, f, data in (
        (torch_pullback, torch_mlp_loss, (torch.tensor(X), torch.tensor(y))),
        (tf_pullback, tf_mlp_loss, (X, y)),
    ):
        value, expected = pullback(lambda *flat, f=f, data=data: f(*data, *flat), [p for pair in params for p in pair])
        close(loss, value)
        for ours, theirs in zip([g for pair in grads for g in pair], expected, strict=True):
            close(ours, theirs)
    for ours, theirs in zip(backprop.mlp_grads(params, X, y), grads, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))


@given(sizes, sizes, sizes, seeds)
def test_two_layer_network_is_the_network_of_two_layers(d, h, c, seed):
    params, X, y = random_network(np.random.default_rng(seed), [d, h, c])
    (W1, b1), (W2, b2) = params
    named = {"W1": W1, "b1": b1, "W2": W2, "b2": b2}
    loss, [(dW1, db1), (dW2, db2)] = mlp_loss_and_grads(params, X, y)
    close(backprop.two_layer_loss(named, X, y), loss)
    grads = backprop.two_layer_grads(named, X, y)
    assert grads.keys() == named.keys()
    for name, expected in {"W1": dW1, "b1": db1, "W2": dW2, "b2": db2}.items():
        close(grads[name], expected)


def sgd_epochs(params, X, y, lr, batches):
    """Plain SGD in PyTorch over given batches."""
    flat = [torch.tensor(p, requires_grad=True) for pair in params for p in pair]
    optimizer = torch.optim.SGD(flat, lr)
    losses = []
    for batch in batches:
        optimizer.zero_grad()
        loss = torch_mlp_loss(torch.tensor(X[batch]), torch.tensor(y[batch]), *flat)
        loss.backward()
        optimizer.step()
        losses.append(loss.item() * len(batch))
    return [p.detach().numpy() for p in flat], losses


def test_an_epoch_of_training_is_pytorchs():
    rng = np.random.default_rng(2)
    params, _, _ = random_network(rng, [D, 11, C])
    X, y = rng.standard_normal((103, D)), rng.integers(0, C, 103)
    new = backprop.train_epoch(params, X, y, lr=0.1, batch_size=10, rng=np.random.default_rng(8))
    batches = list(minibatches(103, 10, np.random.default_rng(8)))
    assert len(batches[-1]) == 3
    expected, _ = sgd_epochs(params, X, y, 0.1, batches)
    for ours, theirs in zip([p for pair in new for p in pair], expected, strict=True):
        close(ours, theirs)


def test_an_epoch_of_training_is_tensorflows():
    rng = np.random.default_rng(3)
    params, _, _ = random_network(rng, [D, 11, C])
    X, y = rng.standard_normal((53, D)), rng.integers(0, C, 53)
    new = backprop.train_epoch(params, X, y, lr=0.125, batch_size=10, rng=np.random.default_rng(8))
    flat = [tf.Variable(p) for pair in params for p in pair]
    optimizer = tf.keras.optimizers.SGD(0.125)  # Keras rounds the rate to float32
    for batch in minibatches(53, 10, np.random.default_rng(8)):
        with tf.GradientTape() as tape:
            loss = tf_mlp_loss(X[batch], y[batch], *flat)
        optimizer.apply_gradients(zip(tape.gradient(loss, flat), flat, strict=True))
    for ours, theirs in zip([p for pair in new for p in pair], flat, strict=True):
        close(ours, theirs.numpy())


def test_training_a_model_is_pytorchs(capsys):
    rng = np.random.default_rng(2)
    X, y = rng.standard_normal((103, D)), rng.integers(0, C, 103)
    model = MLP([D, 11, 7, C], seed=1)
    initial = [(W.copy(), b.copy()) for W, b in model.params]
    history = backprop.train(model, SGD(model.params, 0.1), X, y, epochs=3, batch_size=10, seed=8)
    shuffle = np.random.default_rng(8)
    batches = [batch for _ in range(3) for batch in minibatches(103, 10, shuffle)]
    expected, losses = sgd_epochs(initial, X, y, 0.1, batches)
    for ours, theirs in zip([p for pair in model.params for p in pair], expected, strict=True):
        close(ours, theirs)
    close(history.loss, np.reshape(losses, (3, -1)).sum(axis=1) / 103)
    assert "training" in capsys.readouterr().err


def softmax(x):
    return x.softmax() if isinstance(x, Tensor) else x.softmax(-1)


def cross_entropy(Z, y):
    return Z.cross_entropy(y) if isinstance(Z, Tensor) else F.cross_entropy(Z, torch.tensor(y))


def deep_chain(x):
    for _ in range(3000):
        x = x * 0.999 + 0.01
    return x


def shared_everywhere(x):
    """Each step uses its input twice: 2**40 paths, which must be walked node by node."""
    for _ in range(40):
        x = x * 0.5 + x * 0.5
    return x


EXPRESSIONS = {  # a function of tensors, which Tensor and torch.Tensor both understand, and the tensors' shapes
    "arithmetic": (lambda a, b: (a + b) * (a - b) / (b * b + 1.5), [(2, 3), (2, 3)]),
    "numbers on either side": (lambda a: 2 - (1 + 3 * a) / 4 + 1 / (a * a + 2), [(3,)]),
    "broadcasting": (lambda a, b, c: a * b + c, [(4, 1, 3), (2, 1), ()]),
    "broadcast twice": (lambda a, b: (a + b) * b / (b * b + 1), [(5, 3), (1, 3)]),
    "reuse": (lambda a: a * a * a + a, [(3, 2)]),
    "same tensor both sides of a product": (lambda a: a @ a, [(3, 3)]),
    "powers": (lambda a: (a * a + 0.5) ** -1.5 + a**3, [(4,)]),
    "exp and log": (lambda a: (a.exp() + 1).log(), [(2, 3)]),
    "activations": (lambda a: a.relu() + a.sigmoid() * a.tanh(), [(5, 4)]),
    "softmax": (lambda a: softmax(a) * a, [(4, 3)]),
    "softmax in three dimensions": (lambda a: softmax(a) * a, [(2, 4, 3)]),
    "sums": (lambda a: a.sum(axis=0) * a.sum() + a.sum(axis=1, keepdims=True).sum(axis=0), [(3, 4)]),
    "sum over two axes": (lambda a: a * a.sum(axis=(0, 2), keepdims=True), [(2, 3, 4)]),
    "means": (lambda a: a - a.mean(axis=-1, keepdims=True) * a.mean(), [(3, 4)]),
    "reshape and transpose": (lambda a: a.reshape(3, 4).T @ a.reshape(3, 4), [(2, 6)]),
    "matrix products, batches broadcast": (lambda a, b: a @ b, [(2, 1, 3, 4), (5, 4, 2)]),
    "slices": (lambda a: a[1:, ::2] * a[:-1, ::2], [(4, 5)]),
    "indices that repeat": (lambda a: a[[0, 2, 2, 2]] * 3, [(3, 2)]),
    "pairs of indices that repeat": (lambda a: a[[0, 1, 1], [2, 0, 0]] * a[0, 2], [(2, 3)]),
    "cross-entropy of a network": (
        lambda W1, b1, W2: cross_entropy((constant(W1, X) @ W1 + b1).relu() @ W2, y) + (W2 * W2).mean(),
        [(D, 4), (4,), (4, C)],
    ),
    "deep chain": (deep_chain, [(2,)]),
    "paths that multiply": (shared_everywhere, [(2,)]),
}


def constant(like, array):
    return array if isinstance(like, Tensor) else torch.tensor(array)


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_tensor_agrees_with_pytorch(name):
    f, shapes = EXPRESSIONS[name]
    rng = np.random.default_rng(1)
    inputs = [rng.standard_normal(shape) for shape in shapes]
    leaves = [Tensor(x) for x in inputs]
    value = f(*leaves)
    upstream = rng.standard_normal(value.shape)
    value.backward(upstream)
    expected, grads = torch_pullback(f, inputs, upstream)
    close(value.data, expected)
    for leaf, grad in zip(leaves, grads, strict=True):
        close(leaf.grad, grad)


@given(mutually_broadcastable_shapes(num_shapes=3, max_dims=3, max_side=3), seeds)
def test_tensor_agrees_with_pytorch_for_any_shapes(shapes, seed):
    rng = np.random.default_rng(seed)
    inputs = [rng.standard_normal(shape) for shape in shapes.input_shapes]

    def f(a, b, c):
        return ((a * b).tanh() + c * a).sigmoid().sum() * b.mean()

    leaves = [Tensor(x) for x in inputs]
    f(*leaves).backward()
    _, grads = torch_pullback(f, inputs)
    for leaf, grad in zip(leaves, grads, strict=True):
        close(leaf.grad, grad)


def test_tensor_gradients_add_up_over_calls_as_pytorchs_do():
    ours, theirs = Tensor([1.0, 2.0]), torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
    for _ in range(3):
        (ours * ours).sum().backward()
        (theirs * theirs).sum().backward()
    close(ours.grad, theirs.grad.numpy())


def test_every_public_function_is_compared_here_or_beside():
    not_differentiated = {"datasets", "gradient_descent", "minibatches", "History"}
    files = ("test_against_frameworks", "test_optimizers", "test_misbehaving", "test_references", "test_frameworks")
    text = "".join(Path(__file__).with_name(f"{name}.py").read_text() for name in files)
    missing = [name for name in backprop.__all__ if name not in not_differentiated and name not in text]
    assert missing == []
