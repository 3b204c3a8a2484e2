"""The gradient check for anyone's code: right gradients pass, whatever their scale; wrong ones fail and are named."""

import doctest
import re
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
import torch
from hypothesis import given
from hypothesis import strategies as st

import backprop
from autograder import gradcheck
from autograder.checking import differences
from autograder.checking.jacobian import Differentiator
from specimen import ROOT

RNG = np.random.default_rng(0)


def draw(*shape):
    return RNG.standard_normal(shape)


def causes(verdict):
    return [finding.cause for finding in verdict.findings if not finding.note]


# Functions and their gradients


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def gelu(x):
    return 0.5 * x * (1 + np.tanh(0.8 * (x + 0.045 * x**3)))


def gelu_slope(x):
    t = np.tanh(0.8 * (x + 0.045 * x**3))
    return 0.5 * (1 + t) + 0.4 * x * (1 - t**2) * (1 + 0.135 * x**2)


ELEMENTWISE = {  # function and slope
    "exp": (np.exp, np.exp),
    "sin": (np.sin, np.cos),
    "tanh": (np.tanh, lambda x: 1 - np.tanh(x) ** 2),
    "cube": (lambda x: x**3, lambda x: 3 * x**2),
    "sigmoid": (sigmoid, lambda x: sigmoid(x) * (1 - sigmoid(x))),
    "softplus": (lambda x: np.logaddexp(0, x), sigmoid),
    "arctan": (np.arctan, lambda x: 1 / (1 + x**2)),
    "gelu": (gelu, gelu_slope),
    "abs": (np.abs, np.sign),
    "relu": (lambda x: np.maximum(x, 0), lambda x: (x > 0).astype(float)),
    "leaky": (lambda x: np.where(x > 0, x, 0.01 * x), lambda x: np.where(x > 0, 1, 0.01)),
    "x|x|": (lambda x: x * np.abs(x), lambda x: 2 * np.abs(x)),
    "huber": (lambda x: np.where(np.abs(x) < 1, x**2 / 2, np.abs(x) - 0.5), lambda x: np.clip(x, -1, 1)),
    "hardtanh": (lambda x: np.clip(x, -1, 1), lambda x: (np.abs(x) < 1).astype(float)),
    "sawtooth": (lambda x: x - np.floor(x), np.ones_like),
}
POINTS = {
    "ordinary": draw(3, 4),
    "1e-8": 1e-8 * draw(3, 4),
    "1e-3": 1e-3 * draw(5),
    "zeros": np.zeros((2, 3)),
    "ones": np.ones(3),
    "near a kink": np.array([1e-9, -1e-9, 1e-7, -1e-7, 1e-5, -1e-5, 1e-3, 1 + 1e-9, 1 - 1e-6]),
    "of many sizes": np.array([1e-8, -1e-6, 1e-4, 0.1, -1.5, 7, -9]),
    "saturated": np.array([20.3, -25.1, 15.2, 0.5]),
}


SMOOTH_THERE = [(name, point) for name in ELEMENTWISE for point in POINTS if (name, point) != ("sawtooth", "zeros")]


@pytest.mark.parametrize(("name", "point"), SMOOTH_THERE)
def test_elementwise_functions_pass_everywhere(name, point):
    f, slope = ELEMENTWISE[name]
    verdict = gradcheck(f, lambda v, x: v * slope(x), POINTS[point], seed=1)
    assert verdict, str(verdict)


def softmax_vjp(v, Z):
    P = backprop.softmax(Z)
    return P * (v - (v * P).sum(axis=-1, keepdims=True))


def cross_entropy_vjp(v, Z, y):
    return v * backprop.cross_entropy_grad(Z, y)


def affine(X, W, b):
    return X @ W + b


def affine_vjp(v, X, W, b):
    return v @ W.T, X.T @ v, v.sum(axis=0)


def layer_norm(X, gamma, beta, eps=1e-5):
    return gamma * (X - X.mean(-1, keepdims=True)) / np.sqrt(X.var(-1, keepdims=True) + eps) + beta


def layer_norm_vjp(v, X, gamma, beta, eps=1e-5):
    std = np.sqrt(X.var(-1, keepdims=True) + eps)
    X_hat, d = (X - X.mean(-1, keepdims=True)) / std, v * gamma
    dX = (d - d.mean(-1, keepdims=True) - X_hat * (d * X_hat).mean(-1, keepdims=True)) / std
    return dX, (v * X_hat).sum(axis=0), v.sum(axis=0)


def conv1d(x, w):
    return np.array([x[i : i + len(w)] @ w for i in range(len(x) - len(w) + 1)])


def conv1d_vjp(v, x, w):
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for i in range(len(v)):
        dx[i : i + len(w)] += v[i] * w
        dw += v[i] * x[i : i + len(w)]
    return dx, dw


def matmuls(A, B):
    return np.einsum("bij,bjk->bik", A, B)


def matmuls_vjp(v, A, B):
    return np.einsum("bik,bjk->bij", v, B), np.einsum("bij,bik->bjk", A, v)


def gather(T, i):
    return T[i]


def gather_vjp(v, T, i):
    dT = np.zeros_like(T)
    np.add.at(dT, i, v)
    return dT


def inverse_vjp(v, A):
    B = np.linalg.inv(A).T
    return -B @ v @ B


def solve_vjp(v, A, b):
    db = np.linalg.solve(A.T, v)
    return -np.outer(db, np.linalg.solve(A, b)), db


def pooled(x):
    return x.reshape(-1, 2).max(axis=1)


def pooled_vjp(v, x):
    return (np.eye(2)[x.reshape(-1, 2).argmax(axis=1)] * v[:, None]).reshape(-1)


def network(W1, W2, X, y):
    return backprop.cross_entropy(np.maximum(X @ W1, 0) @ W2, y)


def network_vjp(v, W1, W2, X, y):
    Z = X @ W1
    A = np.maximum(Z, 0)
    d = cross_entropy_vjp(v, A @ W2, y)
    dZ = d @ W2.T * (Z > 0)
    return X.T @ dZ, A.T @ d, dZ @ W1.T


def two_outputs(x):
    return np.sin(x), np.sum(x**2)


class Layer:
    """Keeps in its forward pass what its backward pass needs."""

    def forward(self, x):
        self.y = np.tanh(x)
        return self.y

    def backward(self, v):
        return v * (1 - self.y**2)


LABELS = np.array([0, 2, 1, 1])
LAYER = Layer()
HILBERT = 1 / (np.arange(1, 7)[:, None] + np.arange(6))
RIGHT = {
    "softmax": (backprop.softmax, softmax_vjp, draw(3, 5)),
    "softmax, tiny": (backprop.softmax, softmax_vjp, 1e-8 * draw(3, 5)),
    "softmax, sharp": (backprop.softmax, softmax_vjp, 1000 * draw(3, 5)),
    "softmax, ties": (backprop.softmax, softmax_vjp, np.ones((2, 3))),
    "log-softmax": (
        backprop.log_softmax,
        lambda v, Z: v - backprop.softmax(Z) * v.sum(-1, keepdims=True),
        draw(3, 5),
    ),
    "cross-entropy, labels left out": (backprop.cross_entropy, cross_entropy_vjp, draw(4, 3), LABELS),
    "cross-entropy, labels None": (
        backprop.cross_entropy,
        lambda v, Z, y: (cross_entropy_vjp(v, Z, y), None),
        draw(4, 3),
        LABELS,
    ),
    "cross-entropy, a tuple of one": (
        backprop.cross_entropy,
        lambda v, Z, y: (cross_entropy_vjp(v, Z, y),),
        draw(4, 3),
        LABELS,
    ),
    "layer norm": (layer_norm, layer_norm_vjp, draw(3, 5), draw(5), draw(5)),
    "layer norm, rows all equal": (layer_norm, layer_norm_vjp, np.ones((2, 4)), draw(4), draw(4)),
    "layer norm, large": (layer_norm, layer_norm_vjp, 1e6 * draw(3, 5), draw(5), draw(5)),
    "conv1d": (conv1d, conv1d_vjp, draw(9), draw(3)),
    "einsum": (matmuls, matmuls_vjp, draw(2, 3, 4), draw(2, 4, 2)),
    "bilinear": (
        lambda x, A, y: np.einsum("i,ij,j", x, A, y),
        lambda v, x, A, y: (v * A @ y, v * np.outer(x, y), v * A.T @ x),
        draw(3),
        draw(3, 4),
        draw(4),
    ),
    "broadcasting": (
        lambda a, b: a * b,
        lambda v, a, b: ((v * b).sum(1, keepdims=True), (v * a).sum(0)),
        draw(3, 1),
        draw(4),
    ),
    "a view of the upstream": (np.transpose, lambda v, x: v.T, draw(3, 4)),
    "the upstream itself": (lambda a, b: a + b, lambda v, a, b: (v, v), draw(3), draw(3)),
    "max": (np.max, lambda v, x: v * (x == x.max()), draw(7)),
    "max, a tie shared": (np.max, lambda v, x: v * (x == x.max()) / np.sum(x == x.max()), np.array([1.0, 3, 3])),
    "max, a tie to one": (np.max, lambda v, x: v * (np.arange(3) == np.argmax(x)), np.array([1.0, 3, 3])),
    "pooling with ties": (pooled, pooled_vjp, np.zeros(8)),
    "sort": (np.sort, lambda v, x: v[np.argsort(np.argsort(x))], draw(6)),
    "cumsum": (np.cumsum, lambda v, x: np.cumsum(v[::-1])[::-1], draw(6)),
    "inverse": (np.linalg.inv, inverse_vjp, draw(3, 3) + 3 * np.eye(3)),
    "determinant": (np.linalg.det, lambda v, A: v * np.linalg.det(A) * np.linalg.inv(A).T, draw(3, 3)),
    "solve": (np.linalg.solve, solve_vjp, draw(3, 3) + 3 * np.eye(3), draw(3)),
    "solve, badly conditioned": (np.linalg.solve, solve_vjp, HILBERT, draw(6)),
    "norm": (np.linalg.norm, lambda v, x: v * x / np.linalg.norm(x), draw(5)),
    "variance": (lambda X: X.var(0), lambda v, X: 2 * v * (X - X.mean(0)) / len(X), draw(3, 4)),
    "product": (np.prod, lambda v, x: v * np.prod(x) / x, draw(5)),
    "gather": (gather, gather_vjp, draw(5, 2), np.array([1, 1, 4])),
    "a mask": (
        lambda a, b, m: np.where(m, a, b),
        lambda v, a, b, m: (v * m, v * ~m),
        draw(4),
        draw(4),
        np.array([True, False, True, True]),
    ),
    "two outputs": (two_outputs, lambda v, x: v[0] * np.cos(x) + v[1] * 2 * x, draw(3)),
    "two outputs, far apart in size": (
        lambda x: (1e8 * np.sin(x), 1e-8 * x**2),
        lambda v, x: v[0] * 1e8 * np.cos(x) + v[1] * 2e-8 * x,
        draw(3),
    ),
    "numbers": (lambda a, b: a * np.sin(b), lambda v, a, b: (v * np.sin(b), v * a * np.cos(b)), 1.3, 0.4),
    "an array of shape ()": (lambda a: a**2, lambda v, a: 2 * v * a, np.array(1.3)),
    "other arguments": (
        lambda x, p, how: x**p if how == "power" else x,
        lambda v, x, p, how: p * v * x ** (p - 1),
        draw(3),
        3,
        "power",
    ),
    "a list for an answer": (lambda x: x**2, lambda v, x: [2 * a * b for a, b in zip(v, x, strict=True)], draw(3)),
    "a list for two answers": (lambda x, y: x * y, lambda v, x, y: [v * y, v * x], draw(3), draw(3)),
    "Fortran order": (lambda X: X @ X.T, lambda v, X: (v + v.T) @ X, np.asfortranarray(draw(3, 4))),
    "a vjp in single precision": (np.tanh, lambda v, x: (v * (1 - np.tanh(x) ** 2)).astype(np.float32), draw(3, 2)),
    "f in single precision": (
        lambda x: np.tanh(x.astype(np.float32)),
        lambda v, x: v * (1 - np.tanh(x) ** 2),
        draw(3, 2),
    ),
    "a large constant": (lambda x: 1e8 + x**2, lambda v, x: 2 * v * x, draw(3)),
    "a gradient that is 0 by cancellation": (
        lambda X, b: backprop.softmax(X + b),
        lambda v, X, b: (softmax_vjp(v, X + b), softmax_vjp(v, X + b).sum(1, keepdims=True)),
        draw(3, 4),
        draw(3, 1),
    ),
    "an input without effect": (np.add, lambda v, x, y: (v, v), draw(3), np.zeros(3)),
    "None for 0": (lambda x, y: np.sin(x), lambda v, x, y: (v * np.cos(x), None), draw(3), draw(2)),
    "a constant": (lambda x: np.ones(2), lambda v, x: np.zeros_like(x), draw(3)),
    "a layer that keeps its result": (LAYER.forward, LAYER.backward, draw(3, 2)),
    "a number without a gradient": (layer_norm, layer_norm_vjp, draw(3, 5), draw(5), draw(5), 1e-3),
    "a number, None": (lambda x, c: c * x, lambda v, x, c: (c * v, None), draw(3), 0.3),
    "a number with its gradient": (lambda x, c: c * x, lambda v, x, c: (c * v, np.sum(v * x)), draw(3), 0.3),
    "L1 at its corner": (
        lambda a, b: np.abs(a - b).mean(),
        lambda v, a, b: (v * np.sign(a - b) / a.size, -v * np.sign(a - b) / a.size),
        np.array([1.0, 2, 3]),
        np.array([1.0, 2.5, 2]),
    ),
    "hinge at its corner": (
        lambda s: np.maximum(0, 1 - s).sum(),
        lambda v, s: -v * (s < 1),
        np.array([1.0, 0.5, 2, 1]),
    ),
    "entropy": (lambda p: -(p * np.log(p)).sum(), lambda v, p: -v * (np.log(p) + 1), np.array([1e-12, 0.3, 0.7])),
    "near the end of its domain": (np.arcsin, lambda v, x: v / np.sqrt(1 - x * x), np.array([0.5, -0.9, 0.99])),
    "steep": (lambda x: np.tanh(1e4 * x), lambda v, x: v * 1e4 * (1 - np.tanh(1e4 * x) ** 2), 1e-4 * draw(4)),
    "fast": (lambda x: np.sin(1000 * x), lambda v, x: v * 1000 * np.cos(1000 * x), draw(4)),
    "a network": (network, network_vjp, draw(5, 7), draw(7, 3), draw(8, 5), RNG.integers(0, 3, 8)),
}
SIZES = (1e-8, 1e-4, 1.0, 1e4, 1e8)
for size in SIZES:
    RIGHT |= {
        f"log, {size:g}": (np.log, lambda v, x: v / x, size * (np.abs(draw(5)) + 0.1)),
        f"square root, {size:g}": (np.sqrt, lambda v, x: v / (2 * np.sqrt(x)), size * (np.abs(draw(5)) + 0.1)),
        f"reciprocal, {size:g}": (lambda x: 1 / x, lambda v, x: -v / x**2, size * (np.abs(draw(5)) + 0.1)),
        f"result of size {size:g}": (
            lambda x, size=size: size * np.sin(x),
            lambda v, x, size=size: v * size * np.cos(x),
            draw(4),
        ),
        f"a tiny and a huge factor, {size:g}": (
            lambda a, b: a * b,
            lambda v, a, b: (v * b, v * a),
            size * draw(4),
            draw(4) / size,
        ),
        f"mean of squares, {size:g}": (
            lambda a, b: np.mean((a - b) ** 2),
            lambda v, a, b: (2 * v * (a - b) / a.size, 2 * v * (b - a) / a.size),
            size * draw(3, 2),
            size * draw(3, 2),
        ),
        f"affine, {size:g}": (affine, affine_vjp, size * draw(3, 4), draw(4, 2), size * draw(2)),
    }


@pytest.mark.filterwarnings("ignore:overflow")
@pytest.mark.parametrize("name", RIGHT)
def test_right_gradients_pass(name):
    f, vjp, *inputs = RIGHT[name]
    before = [np.array(x) for x in inputs]
    for seed in range(2):
        verdict = gradcheck(f, vjp, *inputs, seed=seed)
        assert verdict, f"seed {seed}: {verdict}"
        assert verdict.passed
    assert all(np.array_equal(x, y) for x, y in zip(inputs, before, strict=True))


LARGE = {
    "elementwise": (np.tanh, lambda v, x: v * (1 - np.tanh(x) ** 2), draw(20_000)),
    "with kinks": (
        lambda x: np.maximum(x, 0),
        lambda v, x: v * (x > 0),
        np.where(RNG.random(5000) < 0.5, 0, draw(5000)),
    ),
    "matrices": (np.matmul, lambda v, A, B: (v @ B.T, A.T @ v), draw(60, 80), draw(80, 50)),
    "a loss": (lambda x: np.sum(np.sin(x)), lambda v, x: v * np.cos(x), draw(200_000)),
}


@pytest.mark.parametrize("name", LARGE)
def test_right_gradients_of_large_arrays_pass(name):
    f, vjp, *inputs = LARGE[name]
    verdict = gradcheck(f, vjp, *inputs, seed=1)
    assert verdict, str(verdict)
    assert "entries were compared one by one" in str(verdict)


@pytest.mark.parametrize("name", ["elementwise", "matrices", "a loss"])
def test_one_entry_of_a_large_array_that_is_off_by_one_percent_is_found(name):
    f, vjp, *inputs = LARGE[name]

    def off(v, *inputs):
        first, *others = vjp(v, *inputs) if len(inputs) > 1 else (vjp(v, *inputs),)
        first = np.array(first)
        first.flat[first.size // 3] *= 1.01
        return (first, *others)

    verdict = gradcheck(f, off, *inputs, seed=0)
    assert not verdict
    assert causes(verdict) == ["few-entries"]


# Wrong ones


def conv1d_overwriting(v, x, w):
    dx, dw = conv1d_vjp(v, x, w)
    for i in range(len(v)):
        dx[i : i + len(w)] = v[i] * w
    return dx, dw


def in_place(v, x):
    v *= np.cos(x)
    return v.copy()


def input_in_place(v, x):
    x *= 2
    return v * np.cos(x / 2)


def one_entry(v, x):
    return v * np.cos(x) * np.where(np.arange(x.size) == 17, 1.01, 1)


def first_row_left_out(v, X):
    dX = np.zeros_like(X)
    for i in range(1, len(X)):
        dX[i] = 2 * v[i] * X[i]
    return dX


def accumulating(total=np.zeros(3)):  # noqa: B008
    def vjp(v, x):
        nonlocal total
        total = total + v * np.cos(x)
        return total

    return vjp


def keeping(kept):
    def vjp(v, x):
        kept.append(v)
        return kept[0] * np.cos(x)

    return vjp


def overflowing(v, Z):
    P = np.exp(Z) / np.exp(Z).sum(axis=-1, keepdims=True)
    return P * (v - (v * P).sum(axis=-1, keepdims=True))


def not_written(v, x):
    raise NotImplementedError


X, W, B = draw(5, 3), draw(3, 4), draw(4)
SQUARE = draw(3, 3) + 3 * np.eye(3)
WRONG = {  # the causes that may be named; none for those where only the verdict counts
    "sign": ("sign-flipped", np.sin, lambda v, x: -v * np.cos(x), draw(5)),
    "the 2 of a square": ("constant-factor", lambda x: np.sum(x**2), lambda v, x: v * x, draw(5)),
    "twice": ("constant-factor", np.sin, lambda v, x: 2 * v * np.cos(x), draw(2, 5)),
    "mean for sum": ("constant-factor", affine, lambda v, X, W, b: (v @ W.T, X.T @ v, v.mean(0)), X, W, B),
    "no mean": (
        "constant-factor",
        backprop.cross_entropy,
        lambda v, Z, y: 4 * cross_entropy_vjp(v, Z, y),
        draw(4, 3),
        LABELS,
    ),
    "no upstream": ("upstream-forgotten", np.sin, lambda v, x: np.cos(x), draw(5)),
    "no upstream of a loss": ("upstream-forgotten", lambda x: np.sum(x**3), lambda v, x: 3 * x**2, draw(5)),
    "upstream squared": ("input-squared upstream-twice", np.sin, lambda v, x: v * v * np.cos(x), draw(5)),
    "upstream added": ("not-linear-in-upstream extra-term", np.sin, lambda v, x: v + np.cos(x), draw(5)),
    "gate on the upstream": (
        "not-linear-in-upstream other-product",
        lambda x: np.maximum(x, 0),
        lambda v, x: v * (v > 0),
        draw(7),
    ),
    "bias not summed": ("not-summed", affine, lambda v, X, W, b: (v @ W.T, X.T @ v, v), X, W, B),
    "bias summed over all": ("reduced-too-far", affine, lambda v, X, W, b: (v @ W.T, X.T @ v, v.sum()), X, W, B),
    "bias with an axis": (
        "wrong-shape",
        affine,
        lambda v, X, W, b: (v @ W.T, X.T @ v, v.sum(0, keepdims=True)),
        X,
        W,
        B,
    ),
    "broadcast axes not summed": (
        "not-summed",
        lambda a, b: a * b,
        lambda v, a, b: (v * b, v * a),
        draw(3, 1),
        draw(4),
    ),
    "weights transposed": ("transposed", affine, lambda v, X, W, b: (v @ W.T, v.T @ X, v.sum(0)), X, W, B),
    "determinant, not transposed": (
        "transposed",
        np.linalg.det,
        lambda v, A: v * np.linalg.det(A) * np.linalg.inv(A),
        SQUARE,
    ),
    "a product that does not fit": (
        "raised shapes-do-not-fit",
        affine,
        lambda v, X, W, b: (v @ W, X.T @ v, v.sum(0)),
        X,
        W,
        B,
    ),
    "results swapped": ("outputs-swapped", affine, lambda v, X, W, b: (X.T @ v, v @ W.T, v.sum(0)), X, W, B),
    "another input's": (
        "outputs-swapped inputs-swapped",
        lambda a, b: a * b,
        lambda v, a, b: (v * a, v * b),
        draw(4),
        draw(4),
    ),
    "two of three": ("wrong-count", affine, lambda v, X, W, b: (v @ W.T, X.T @ v), X, W, B),
    "one is None": ("returned-none", affine, lambda v, X, W, b: (v @ W.T, None, v.sum(0)), X, W, B),
    "no return": ("returned-none", np.sin, lambda v, x: None, draw(3)),
    "the input": ("input-returned", np.sin, lambda v, x: x, draw(3)),
    "the upstream": ("input-returned", np.sin, lambda v, x: v, draw(3)),
    "zeros": ("all-zeros", np.sin, lambda v, x: np.zeros_like(x), draw(3)),
    "nan": ("not-finite", np.sin, lambda v, x: v * np.nan, draw(3)),
    "overflow": ("not-finite", backprop.softmax, overflowing, draw(2, 3) + 800),
    "the Jacobian": ("jacobian-returned", np.sin, lambda v, x: np.diag(np.cos(x)), draw(3)),
    "changes the upstream": ("argument-changed", np.sin, in_place, draw(3)),
    "changes the input": ("argument-changed", np.sin, input_in_place, draw(3)),
    "keeps the upstream": ("remembers", np.sin, keeping([]), draw(3)),
    "accumulates": ("remembers", np.sin, accumulating(), draw(3)),
    "random": ("remembers", np.sin, lambda v, x: v * np.cos(x) + 1e-3 * np.random.rand(3), draw(3)),  # noqa: NPY002
    "one entry of 30": ("few-entries", np.sin, one_entry, draw(30)),
    "one entry of 400": ("few-entries", np.sin, one_entry, draw(400)),
    "a row": ("", lambda X: X**2, first_row_left_out, draw(6, 2)),
    "softmax without its sum": ("", backprop.softmax, lambda v, Z: v * backprop.softmax(Z), draw(3, 4)),
    "softmax, the diagonal alone": (
        "",
        backprop.softmax,
        lambda v, Z: v * backprop.softmax(Z) * (1 - backprop.softmax(Z)),
        draw(3, 4),
    ),
    "layer norm, mean only": (
        "",
        layer_norm,
        lambda v, X, g, b: (
            (v - v.mean(-1, keepdims=True)) * g / X.std(-1, keepdims=True),
            *layer_norm_vjp(v, X, g, b)[1:],
        ),
        draw(3, 5),
        draw(5),
        draw(5),
    ),
    "layer norm, another eps": (
        "",
        layer_norm,
        lambda v, *args: layer_norm_vjp(v, *args, eps=1e-3),
        draw(3, 5),
        draw(5),
        draw(5),
    ),
    "convolution, overwriting": ("", conv1d, conv1d_overwriting, draw(9), draw(3)),
    "convolution, reversed": (
        "upside-down",
        conv1d,
        lambda v, x, w: (conv1d_vjp(v, x, w)[0], conv1d_vjp(v, x, w)[1][::-1].copy()),
        draw(9),
        draw(3),
    ),
    "inverse, not transposed": ("", np.linalg.inv, lambda v, A: -np.linalg.inv(A) @ v @ np.linalg.inv(A), SQUARE),
    "gather without adding up": (
        "",
        gather,
        lambda v, T, i: np.eye(5)[:, [4]] * v[-1] + np.eye(5)[:, [1]] * v[1],
        draw(5, 2),
        np.array([1, 1, 4]),
    ),
    "the slope of another function": ("wrong-slope other-product", np.tanh, lambda v, x: v * (1 - x**2), draw(5)),
    "another logarithm": ("log-base-2", np.log, lambda v, x: v / (x * np.log(2)), np.abs(draw(5)) + 0.1),
    "differences": ("approximate", np.sin, lambda v, x: v * (np.sin(x + 1e-4) - np.sin(x)) / 1e-4, draw(6)),
    "right at ones only": ("right-by-chance", lambda x: x**3, lambda v, x: 3 * v * x, np.ones(4)),
    "right at zeros only": ("right-by-chance", np.sin, lambda v, x: v * np.exp(x), np.zeros(4)),
    "one of two outputs": ("", two_outputs, lambda v, x: v[0] * np.cos(x), draw(3)),
    "a number's gradient": (
        "sign-flipped",
        lambda x, c: c * x,
        lambda v, x, c: (c * v, -np.sum(v * x)),
        draw(3),
        0.3,
    ),
    "numbers, one sign": (
        "sign-flipped",
        lambda a, b: a * np.sin(b),
        lambda v, a, b: (v * np.sin(b), -v * a * np.cos(b)),
        1.3,
        0.4,
    ),
    "tiny results": ("constant-factor", lambda x: 1e-8 * np.sin(x), lambda v, x: 2e-8 * v * np.cos(x), draw(4)),
    "huge inputs": ("sign-flipped", lambda x: np.sin(x / 1e8), lambda v, x: -v * np.cos(x / 1e8) / 1e8, 1e8 * draw(4)),
    "text": ("wrong-type", np.sin, lambda v, x: "no", draw(3)),
    "a dict": ("wrong-type", np.sin, lambda v, x: {"dx": v}, draw(3)),
    "a signature": ("wrong-signature", np.sin, lambda x: np.cos(x), draw(3)),
    "not written": ("not-written", np.sin, not_written, draw(3)),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", WRONG)
def test_wrong_gradients_fail_and_are_named(name):
    causes_named, f, vjp, *inputs = WRONG[name]
    verdict = gradcheck(f, vjp, *inputs, seed=1)
    assert not verdict
    assert not verdict.passed
    if causes_named:
        assert set(causes(verdict)) & set(causes_named.split()), str(verdict)


def test_a_factor_that_is_a_length_is_pointed_out():
    verdict = gradcheck(lambda X: X.mean(0), lambda v, X: np.ones_like(X) * v, draw(7, 3), seed=1)
    assert "7 is also the length of axis 0 of `X`" in verdict.findings[0].next_step


def test_entries_with_both_numbers_and_the_cosine():
    finding = gradcheck(np.sin, one_entry, np.linspace(0.1, 1, 30), seed=1).findings[0]
    should, is_ = (float(n) for n in re.search(r"`dx\[17\]` should be (\S+) and is (\S+)\. ", finding.what).groups())
    assert is_ == pytest.approx(1.01 * should, rel=1e-4)
    assert "Of the 30 that were compared only this entry is wrong" in finding.what
    assert "cosine" in finding.what


def test_what_is_right_is_said():
    finding = gradcheck(affine, lambda v, X, W, b: (v @ W.T, X.T @ v, -v.sum(0)), X, W, B, seed=1).findings[0]
    assert "`db` is exactly −1 × expected" in finding.what
    assert "`dX` and `dW` are right" in finding.next_step


# Compositions drawn at random


def forward_and_back(names, weights, wrong=None):
    """A chain of elementwise functions and products with matrices, and its vjp with one link wrong, if asked for."""

    def forward(X):
        inputs = []
        for name, M in zip(names, weights, strict=True):
            inputs.append(X)
            X = X @ M if name == "matmul" else ELEMENTWISE[name][0](X)
        return X, inputs

    def vjp(v, X):
        _, inputs = forward(X)
        for k in reversed(range(len(names))):
            if names[k] == "matmul":
                v = v @ weights[k].T * (1.3 if k == wrong else 1)
            else:
                v = v * ELEMENTWISE[names[k]][1](inputs[k]) * (1 + 0.3 * inputs[k] if k == wrong else 1)
        return v

    return lambda X: forward(X)[0], vjp


LINKS = st.lists(
    st.sampled_from(["matmul", "sin", "tanh", "sigmoid", "softplus", "arctan", "gelu"]), min_size=1, max_size=5
)


@given(names=LINKS, seed=st.integers(0, 10**6), rows=st.integers(1, 4), columns=st.integers(1, 4))
def test_random_compositions(names, seed, rows, columns):
    rng = np.random.default_rng(seed)
    weights = [rng.standard_normal((columns, columns)) for _ in names]
    X = rng.standard_normal((rows, columns))
    verdict = gradcheck(*forward_and_back(names, weights), X, seed=seed)
    assert verdict, str(verdict)
    wrong = int(rng.integers(len(names)))
    assert not gradcheck(*forward_and_back(names, weights, wrong), X, seed=seed)


@given(
    name=st.sampled_from(list(ELEMENTWISE)),
    values=st.lists(st.floats(-9, 9).filter(lambda x: x != np.floor(x) and abs(x) > 1e-280), min_size=1, max_size=6),
    size=st.sampled_from([1e-8, 1e-4, 1.0]),
)
def test_random_points(name, values, size):
    f, slope = ELEMENTWISE[name]
    verdict = gradcheck(f, lambda v, x: v * slope(x), size * np.array(values), seed=0)
    assert verdict, str(verdict)


# PyTorch and TensorFlow


class Cube(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, upstream):
        (x,) = ctx.saved_tensors
        return upstream * 3 * x**2


class NoUpstream(Cube):
    @staticmethod
    def backward(ctx, upstream):
        (x,) = ctx.saved_tensors
        return 3 * x**2


class InPlace(Cube):
    @staticmethod
    def backward(ctx, upstream):
        (x,) = ctx.saved_tensors
        upstream *= 3 * x**2
        return upstream


class Raises(Cube):
    @staticmethod
    def backward(ctx, upstream):
        raise ValueError("not here")


class LogSumExp(torch.autograd.Function):
    @staticmethod
    def forward(x):
        return torch.logsumexp(x, -1)

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(inputs[0], output)

    @staticmethod
    def backward(ctx, upstream):
        x, y = ctx.saved_tensors
        return upstream[..., None] * torch.exp(x - y[..., None])


class Affine(torch.autograd.Function):
    @staticmethod
    def forward(ctx, X, W, b):
        ctx.save_for_backward(X, W)
        return X @ W + b

    @staticmethod
    def backward(ctx, upstream):
        X, W = ctx.saved_tensors
        return upstream @ W.T, X.T @ upstream, upstream.sum(0)


class AffineMean(Affine):
    @staticmethod
    def backward(ctx, upstream):
        X, W = ctx.saved_tensors
        return upstream @ W.T, X.T @ upstream, upstream.mean(0)


def tensors(*shapes, dtype=torch.float64):
    return [torch.tensor(draw(*shape), dtype=dtype) for shape in shapes]


@pytest.mark.parametrize(
    "f",
    [Cube, Cube.apply, LogSumExp, torch.relu, torch.nn.Linear(2, 3).double()],
    ids=["a Function", "its apply", "another Function", "a function of torch's", "a module"],
)
def test_right_torch_functions_pass(f):
    verdict = gradcheck(f, None, *tensors((3, 2)))
    assert verdict, str(verdict)


def test_torch_functions_of_several_inputs():
    assert gradcheck(Affine, None, *tensors((5, 3), (3, 4), (4,)))
    assert gradcheck(lambda x, i: x[i], None, *tensors((5, 2)), torch.tensor([0, 0, 3]))
    assert gradcheck(lambda x: (x.sin(), (x**2).sum()), None, *tensors((3,)))


@pytest.mark.parametrize(
    ("f", "cause"), [(NoUpstream, "upstream-forgotten"), (InPlace, "argument-changed"), (Raises, "raised")]
)
def test_wrong_torch_functions_fail_and_are_named(f, cause):
    verdict = gradcheck(f.apply, None, *tensors((3, 2)), seed=1)
    assert not verdict
    assert causes(verdict) == [cause]
    assert verdict.exercise == f.__name__


def test_the_line_of_a_backward_pass_that_raises_is_named():
    assert """`raise ValueError("not here")`""" in str(gradcheck(Raises, None, *tensors((3, 2))))


def test_a_mean_in_a_torch_function():
    finding = gradcheck(AffineMean, None, *tensors((5, 3), (3, 4), (4,)), seed=1).findings[0]
    assert "`db` is exactly 0.2 × expected" in finding.what
    assert "5 is also the length of axis 0 of `X`" in finding.next_step


def test_single_precision_is_checked_in_double_and_that_is_said():
    verdict = gradcheck(Cube, None, *tensors((3,), dtype=torch.float32))
    assert verdict
    assert "`x` came in single precision and was checked in double." in str(verdict)
    assert "single" in str(gradcheck(np.sin, lambda v, x: v * np.cos(x), draw(3).astype(np.float32)))


def test_only_tensors_that_require_a_gradient_are_checked_if_some_do():
    x, y = tensors((3,), (3,))
    detached = gradcheck(lambda x, y: x * y.detach(), None, x, y)
    assert causes(detached) == ["returned-none"]
    assert gradcheck(lambda x, y: x * y.detach(), None, x.requires_grad_(), y)


def test_a_cut_graph_is_named():
    verdict = gradcheck(lambda x: torch.tensor(x.detach().numpy() ** 2), None, *tensors((3,)))
    assert not verdict
    assert "detach" in verdict.findings[0].next_step


def test_a_torch_function_with_a_vjp_of_ones_own():
    assert gradcheck(torch.sin, lambda v, x: v * torch.cos(x), *tensors((3,)))
    assert causes(gradcheck(torch.sin, lambda v, x: -v * torch.cos(x), *tensors((3,)))) == ["sign-flipped"]


def test_a_module_in_single_precision_is_told_what_to_do():
    with pytest.raises(RuntimeError) as caught:
        gradcheck(torch.nn.Linear(3, 2), None, *tensors((4, 3), dtype=torch.float32))
    assert "double precision" in caught.value.__notes__[0]


@tf.custom_gradient
def cube(x):
    return x**3, lambda upstream: upstream * 3 * x**2


@tf.custom_gradient
def cube_without_upstream(x):
    return x**3, lambda upstream: 3 * x**2


@tf.custom_gradient
def tf_affine(X, W, b):
    return X @ W + b, lambda v: (v @ tf.transpose(W), tf.transpose(X) @ v, tf.reduce_sum(v, 0))


@tf.custom_gradient
def tf_affine_not_summed(X, W, b):
    return X @ W + b, lambda v: (v @ tf.transpose(W), tf.transpose(X) @ v, v)


def test_right_tensorflow_functions_pass():
    x, X, W, b = (tf.constant(draw(*shape)) for shape in ((3, 2), (5, 3), (3, 4), (4,)))
    for f, inputs in ((cube, [x]), (tf.function(cube), [x]), (tf_affine, [X, W, tf.Variable(b)]), (tf.nn.relu, [x])):
        verdict = gradcheck(f, None, *inputs)
        assert verdict, str(verdict)
    assert gradcheck(lambda t: tf.gather(t, [0, 0, 1]), None, x)
    assert gradcheck(cube, None, tf.constant([0.5, -2.0]))
    assert gradcheck(tf.sin, lambda v, x: v * tf.cos(x), x)


def test_wrong_tensorflow_functions_fail_and_are_named():
    x, X, W, b = (tf.constant(draw(*shape)) for shape in ((3, 2), (5, 3), (3, 4), (4,)))
    assert causes(gradcheck(cube_without_upstream, None, x)) == ["upstream-forgotten"]
    assert causes(gradcheck(tf_affine_not_summed, None, X, W, b)) == ["not-summed"]
    assert causes(gradcheck(tf.stop_gradient, None, x)) == ["returned-none"]


def test_no_framework_is_imported_for_numpy():
    code = (
        "import sys, numpy as np\nfrom autograder import gradcheck\n"
        "assert gradcheck(np.sin, lambda v, x: v * np.cos(x), np.ones(2))\n"
        "assert not {'torch', 'tensorflow'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


# Misuse


def sine_vjp(v, x):
    return v * np.cos(x)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((3, sine_vjp, np.ones(2)), TypeError, "expected a function first, got an int"),
        ((np.sin, np.ones(2)), TypeError, "expected the vector-Jacobian product second, got an array of float64"),
        ((np.sin, None, np.ones(2)), TypeError, "for NumPy the second argument must be the vector-Jacobian product"),
        ((np.sin, sine_vjp), TypeError, "none at all"),
        ((np.sin, sine_vjp, np.arange(3)), TypeError, r"x\.astype\(float\)"),
        ((np.sin, sine_vjp, [1.0, 2.0]), TypeError, r"as np\.array"),
        ((np.sin, sine_vjp, {"x": np.ones(2)}), TypeError, "an input of its own"),
        ((np.sin, sine_vjp, np.ones(2) * 1j), TypeError, "complex"),
        ((np.sin, sine_vjp, np.ones(0)), ValueError, "no entries"),
        ((np.sin, sine_vjp, np.array([np.nan])), ValueError, "nan or inf"),
        ((np.log, sine_vjp, np.array([-1.0])), ValueError, "f returns nan or inf at these inputs"),
        (
            (np.argsort, sine_vjp, np.ones(2)),
            TypeError,
            "must return floating-point numbers; it returned an array of int64",
        ),
        ((lambda x: x + np.random.rand(), sine_vjp, np.ones(2)), ValueError, "two results for the same inputs"),  # noqa: NPY002
        ((np.cbrt, sine_vjp, np.zeros(2)), ValueError, "no slope"),
        ((torch.sin, None, torch.ones(2), np.ones(2)), TypeError, "a NumPy array, another one a tensor"),
        ((torch.sin, None, torch.ones(2), tf.ones(2)), TypeError, "of PyTorch and of TensorFlow"),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value")
def test_misuse_says_what_was_expected(arguments, error, message):
    with pytest.raises(error, match=message):
        gradcheck(*arguments)


def test_a_seed_must_be_a_number():
    with pytest.raises(ValueError, match="seed must be a whole number"):
        gradcheck(np.sin, sine_vjp, np.ones(2), seed="x")


def test_an_error_of_the_function_itself_goes_through():
    with pytest.raises(ZeroDivisionError) as caught:
        gradcheck(lambda x: 1 / 0, sine_vjp, np.ones(2))
    assert "f itself raised this" in caught.value.__notes__[0]


def test_a_gradient_that_never_ends_is_no_verdict():
    def endless(v, x):
        while True:
            pass

    with pytest.raises(TimeoutError, match="still running"):
        gradcheck(np.sin, endless, np.ones(2))


def test_a_function_that_changes_its_input_is_named():
    def f(x):
        x += 1
        return np.sin(x)

    verdict = gradcheck(f, lambda v, x: v * np.cos(x + 1), np.ones(2))
    assert causes(verdict) == ["argument-changed"]


# The verdict


def test_the_verdict_reads_as_a_bool_a_text_and_a_card():
    right = gradcheck(np.sin, sine_vjp, draw(3))
    assert right
    assert right.points == right.out_of == 1
    assert repr(right).startswith("✓ sine_vjp: gradients right")
    wrong = gradcheck(np.sin, lambda v, x: -sine_vjp(v, x), draw(3), seed=7)
    assert not wrong
    assert repr(wrong) == str(wrong)
    assert str(wrong).endswith("Replay: gradcheck(…, seed=7)")
    html = wrong._repr_html_()
    assert 'aria-label="Check of sin: gradients not right"' in html
    assert "points" not in html


def test_a_seed_replays_the_run():
    first = gradcheck(np.sin, lambda v, x: v**3 * x, POINTS["ordinary"])
    assert str(gradcheck(np.sin, lambda v, x: v**3 * x, POINTS["ordinary"], seed=first.seed)) == str(first)


def test_remarks_cost_nothing():
    kinked = gradcheck(np.abs, lambda v, x: v * np.sign(x), np.array([0.0, 1.0]))
    assert kinked
    assert "kink" in str(kinked)
    shared = gradcheck(np.transpose, lambda v, x: v.T, draw(2, 3))
    assert shared
    assert "shares its memory" in str(shared)


def test_at_a_kink_nothing_beyond_both_slopes_is_accepted():
    for slope, right in ((0.0, True), (0.3, True), (1.0, True), (1.5, False), (-0.1, False)):

        def vjp(v, x, slope=slope):
            return v * np.where(x > 0, 1.0, np.where(x < 0, 0.0, slope))

        assert bool(gradcheck(lambda x: np.maximum(x, 0), vjp, np.array([0.0, 1.0, -1.0]))) == right


PAGE = (ROOT / "book" / "gradcheck.md").read_text()


def test_the_examples_of_the_page_give_what_it_shows(capsys):
    blocks = re.findall(r"```python\n(.*?)```(?:\n\n```text\n(.*?)```)?", PAGE, re.DOTALL)
    assert len(blocks) == 4
    namespace = {}
    for code, shown in blocks:
        exec(code, namespace)
        assert capsys.readouterr().out == shown


def test_the_examples_of_the_docstring_run():
    examples = [example.source for example in doctest.DocTestParser().get_examples(gradcheck.__doc__)]
    assert len(examples) == 5
    namespace = {"np": np, "torch": torch, "tf": tf, "gradcheck": gradcheck}
    for example in examples:
        exec(example, namespace)


# The numbers behind it


def test_complex_steps_are_taken_only_where_they_can_be_trusted():
    def ways(f, x):
        found = Differentiator(lambda inputs: np.atleast_1d(f(inputs[0])), [0], np.random.default_rng(0), True)
        found.jacobian([x], 1.0)
        return found.complexes

    assert ways(np.tanh, draw(4))
    assert not ways(np.abs, draw(4))
    assert not ways(lambda x: np.asarray(x, float) ** 2, draw(4))
    assert not ways(lambda x: np.vdot(x, x).real, draw(4))
    assert not ways(lambda x: np.maximum(x, 0), np.array([0.0, 1.0]))


@pytest.mark.parametrize("distance", [10.0**-k for k in range(2, 8)])
def test_slopes_beside_a_kink(distance):
    def line(t):
        return np.array([max(distance + t, 0), max(-distance + t, 0)])

    found = differences.slope(line, line(0.0), np.array([1e-16, 1e-16]), 1.0, 1.0)
    assert np.all(found.low - 10 * found.error - 1e-6 <= [1, 0])
    assert np.all(found.high + 10 * found.error + 1e-6 >= [1, 0])
    assert np.all(found.high - found.low < 1e-3)


def test_the_error_of_a_slope_is_not_underestimated():
    rng = np.random.default_rng(5)
    for f, slope in ELEMENTWISE.values():
        for x in rng.uniform(-5, 5, 40):

            def line(t, x=x, f=f):
                return np.atleast_1d(f(np.asarray(x + t)))

            noise = differences.noise(lambda t, x=x, line=line: line(t * x))
            found = differences.slope(line, line(0.0), noise, abs(x), abs(x))
            right = float(slope(np.asarray(x)))
            gap = max(0.0, float(found.low[0]) - right, right - float(found.high[0]))
            assert gap <= 10 * found.error[0] + 1e-9
